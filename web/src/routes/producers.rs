//! `/producers`: where each numbered way in from outside stands, so that a producer knows with
//! which number to go on.

use crate::call::Call;
use crate::cursor::Scope;
use crate::error::Error;
use crate::reply::{Envelope, Reply};
use serde::Serialize;
use topology::api::Producer;

/// A producer, as a client sees it.
#[derive(Serialize)]
struct View {
    name: String,
    next_sequence: u64,
    /// RFC 3339; null for one that was never heard of.
    last_at: Option<String>,
}

impl From<Producer> for View {
    fn from(producer: Producer) -> Self {
        let Producer { name, next_sequence, last_at } = producer;
        Self { name, next_sequence, last_at: last_at.map(|time| time.to_string()) }
    }
}

/// `GET /producers/{name}`. One that was never heard of has 0 as its next number.
pub(super) async fn show(call: Call) -> Result<Reply, Error> {
    let position = call.handle.readiness().end;
    let producer = View::from(call.handle.producer(call.id(0)).await?);
    Ok(Reply::data(&producer, position))
}

/// `GET /producers`, by name.
pub(super) async fn list(call: Call) -> Result<Reply, Error> {
    let limit = call.query.limit()?;
    let scope = Scope::new(call.path.as_str(), &call.query, &[])?;
    let after = scope.open_text(&call.query)?;
    let position = call.handle.readiness().end;
    let mut producers = call.handle.producers(after.as_deref(), limit + 1).await?;
    let more = producers.len() > limit;
    producers.truncate(limit);
    let next = producers.last().filter(|_| more).map(|last| scope.seal(last.name.as_bytes()));
    let views: Vec<View> = producers.into_iter().map(View::from).collect();
    let mut body = Envelope::begin(views.len() * 80);
    body.json(&views);
    Ok(Reply::enveloped(body.meta(position).page(next.as_deref())))
}
