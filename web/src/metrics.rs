//! The door's own metrics. Labels are templates, methods and statuses: nothing that grows with
//! users.
//!
//! Handles of what is counted on every request are looked up once. What is *not* here: the
//! recorder, and the other rooms' metrics.

use crate::router::Route;
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use std::time::Duration;

const REQUESTS: &str = "bellwether_http_requests_total";
const SECONDS: &str = "bellwether_http_request_seconds";
/// The route of a request that matches none.
const NO_ROUTE: &str = "none";

/// The statuses that have a handle ready; any other is looked up when it comes.
const USUAL: [u16; 3] = [200, 201, 202];

/// What is counted per route.
pub(crate) struct Metrics {
    routes: Vec<RouteMetrics>,
}

struct RouteMetrics {
    seconds: Histogram,
    usual: [Counter; 3],
}

impl Metrics {
    /// Describes them, and has them stand there with zero.
    pub(crate) fn new(table: &'static [Route]) -> Self {
        describe_counter!(REQUESTS, Unit::Count, "HTTP requests answered");
        describe_histogram!(SECONDS, Unit::Seconds, "time from a request's headers to its answer");
        let routes = table.iter().map(|route| {
            let count = |status| requests(route.template, route.method, status);
            RouteMetrics {
                seconds: histogram!(SECONDS, "route" => route.template),
                usual: USUAL.map(count),
            }
        });
        Self { routes: routes.collect() }
    }

    /// A request was answered by the route at this place of the table.
    pub(crate) fn answered(&self, index: usize, route: &Route, status: u16, took: Duration) {
        let metrics = &self.routes[index];
        metrics.seconds.record(took);
        match USUAL.iter().position(|usual| *usual == status) {
            Some(usual) => metrics.usual[usual].increment(1),
            None => requests(route.template, route.method, status).increment(1),
        }
    }

    /// A request was turned away before any route had it.
    pub(crate) fn turned_away(template: Option<&'static str>, method: &str, status: u16) {
        requests(template.unwrap_or(NO_ROUTE), known(method), status).increment(1);
    }
}

fn requests(template: &'static str, method: &'static str, status: u16) -> Counter {
    counter!(REQUESTS, "route" => template, "method" => method, "status" => status.to_string())
}

/// Methods are free text on the wire; as labels they are not.
fn known(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}
