//! The table of paths: one line per method and path, one file per resource. The hottest stand
//! first.
//!
//! What is *not* here: how a path is looked up (`router.rs`) and what a request has on it
//! (`call.rs`).

mod commands;
mod courses;
mod entities;
pub(crate) mod events;
mod health;
mod inbox;
mod lists;
mod ops;
mod payments;
mod producers;
mod sources;

use crate::call::Call;
use crate::error::Error;
use crate::reply::Reply;
use crate::router::{Answer, Route, Takes};
use std::future::Future;

/// A read.
const fn get(template: &'static str, run: fn(Call) -> Answer) -> Route {
    Route { method: "GET", template, takes: Takes::Nothing, run }
}

/// A command.
const fn post(template: &'static str, run: fn(Call) -> Answer) -> Route {
    Route { method: "POST", template, takes: Takes::Command, run }
}

/// A handler's future, as the table holds it.
fn run(future: impl Future<Output = Result<Reply, Error>> + Send + 'static) -> Answer {
    Box::pin(future)
}

/// Every path there is.
pub(crate) static TABLE: &[Route] = &[
    get("/api/v1/users/{user}/inbox", |call| run(inbox::list(call))),
    Route { takes: Takes::Events, ..post("/api/v1/events", |call| run(events::take(call))) },
    post("/api/v1/payments", |call| run(payments::create(call))),
    get("/api/v1/payments/{payment}", |call| run(payments::show(call))),
    get("/api/v1/courses/{course}/report", |call| run(courses::report(call))),
    get("/api/v1/courses/{course}/report/series", |call| run(courses::series(call))),
    post("/api/v1/users/{user}/inbox/read-all", |call| run(inbox::read_all(call))),
    get("/api/v1/users/{user}/inbox/{item}", |call| run(inbox::show(call))),
    post("/api/v1/users/{user}/inbox/{item}/read", |call| run(inbox::read(call))),
    post("/api/v1/users/{user}/inbox/{item}/unread", |call| run(inbox::unread(call))),
    post("/api/v1/users/{user}/inbox/{item}/archive", |call| run(inbox::archive(call))),
    post("/api/v1/users/{user}/inbox/{item}/unarchive", |call| run(inbox::unarchive(call))),
    post("/api/v1/payments/{payment}/confirm", |call| run(payments::confirm(call))),
    post("/api/v1/payments/{payment}/capture", |call| run(payments::capture(call))),
    post("/api/v1/payments/{payment}/cancel", |call| run(payments::cancel(call))),
    post("/api/v1/payments/{payment}/refund", |call| run(payments::refund(call))),
    get("/api/v1/payments/{payment}/history", |call| run(payments::history(call))),
    get("/api/v1/payments", |call| run(payments::list(call))),
    get("/api/v1/courses", |call| run(courses::list(call))),
    get("/api/v1/producers/{name}", |call| run(producers::show(call))),
    get("/api/v1/producers", |call| run(producers::list(call))),
    get("/api/v1/entities/{kind}", |call| run(entities::list(call))),
    get("/api/v1/entities/{kind}/{key}", |call| run(entities::show(call))),
    get("/api/v1/entities/{kind}/{key}/history", |call| run(entities::history(call))),
    get("/api/v1/ops/tree", |call| run(ops::tree(call))),
    get("/api/v1/ops/shards", |call| run(ops::shards(call))),
    get("/api/v1/ops/sinks", |call| run(async move { Ok(ops::sinks(&call)) })),
    get("/api/v1/ops/snapshots", |call| run(ops::snapshots(call))),
    post("/api/v1/ops/snapshots", |call| run(ops::snapshot(call))),
    get("/api/v1/ops/sources", |call| run(async move { Ok(sources::list(&call)) })),
    post("/api/v1/ops/sources/{topic}/{partition}/continue", |call| run(sources::go_on(call))),
    post("/api/v1/ops/sources/{topic}/{partition}/restart", |call| run(sources::restart(call))),
    get("/api/v1/ops/dead-letters", |call| run(ops::dead_letters(call))),
    get("/api/v1/ops/dead-letters/{id}", |call| run(ops::dead_letter(call))),
    post("/api/v1/ops/dead-letters/{id}/retry", |call| run(ops::retry(call))),
    post("/api/v1/ops/dead-letters/{id}/discard", |call| run(ops::discard(call))),
    get("/health/live", |_| run(async { Ok(health::live()) })),
    get("/health/ready", |call| run(async move { Ok(health::ready(&call)) })),
    get("/metrics", |call| run(async move { Ok(Reply::metrics(call.handle.metrics().await)) })),
];

#[cfg(test)]
mod tests {
    use super::TABLE;

    #[test]
    fn no_path_stands_behind_one_that_hides_it() {
        let hides = |first: &str, second: &str| {
            let (first, second) = (first.split('/'), second.split('/'));
            first.clone().count() == second.clone().count()
                && first.zip(second).all(|(a, b)| a == b || a.starts_with('{'))
        };
        for (place, route) in TABLE.iter().enumerate() {
            for earlier in TABLE[..place].iter().filter(|e| e.template != route.template) {
                let hidden = hides(earlier.template, route.template);
                assert!(!hidden, "{} hides {}", earlier.template, route.template);
            }
        }
    }
}
