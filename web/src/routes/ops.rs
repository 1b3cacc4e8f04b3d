//! `/ops`: the process as it lives, for operators. Actors, shards, and what could not be applied.

use super::commands;
use super::entities::must_exist;
use super::lists::Views;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{Envelope, Reply};
use actors::deadletter::{DeadLetter, Event};
use actors::{Key, KindId};

/// `GET /ops/tree`
pub(super) async fn tree(call: Call) -> Result<Reply, Error> {
    let position = call.handle.readiness().applied;
    Ok(Reply::data(&call.handle.tree().await, position))
}

/// `GET /ops/shards`
pub(super) async fn shards(call: Call) -> Result<Reply, Error> {
    let position = call.handle.readiness().applied;
    Ok(Reply::data(&call.handle.shards().await, position))
}

/// `GET /ops/sinks`
pub(super) fn sinks(call: &Call) -> Reply {
    let position = call.handle.readiness().applied;
    Reply::data(&call.handle.sinks(), position)
}

/// `GET /ops/snapshots`: the newest first.
pub(super) async fn snapshots(call: Call) -> Result<Reply, Error> {
    let position = call.handle.readiness().applied;
    let found = tokio::task::spawn_blocking(move || call.handle.snapshots()).await;
    let found = found.map_err(|error| Error::Internal(error.to_string()))??;
    Ok(Reply::data(&found, position))
}

/// `POST /ops/snapshots`: takes one, and answers when it has been read back.
pub(super) async fn snapshot(call: Call) -> Result<Reply, Error> {
    let taken = call.handle.take_snapshot().await?;
    Ok(Reply::data(&taken, call.handle.readiness().applied).status(201))
}

/// What `?state=` takes, and the look-up word for it.
const STATES: &[(&str, Option<&str>)] = &[
    ("open", Some("state:open")),
    ("retried", Some("state:retried")),
    ("discarded", Some("state:discarded")),
    ("all", None),
];

/// `GET /ops/dead-letters`: the open ones, unless another `state` is asked for.
pub(super) async fn dead_letters(call: Call) -> Result<Reply, Error> {
    let tag = call.query.word("state", STATES)?.unwrap_or(Some("state:open")).map(Key::from);
    let kind = KindId::DEAD_LETTER;
    Views { kind, tag, filters: &["state"], keep: &|_| true }.answer(&call).await
}

async fn letter(call: &Call) -> Result<Vec<u8>, Error> {
    must_exist(call, KindId::DEAD_LETTER, call.id(0), "dead letter").await
}

/// `GET /ops/dead-letters/{id}`: with the payload, as JSON if it is JSON; null if it does not exist
/// any more.
pub(super) async fn dead_letter(call: Call) -> Result<Reply, Error> {
    let view = letter(&call).await?;
    let position = call.handle.readiness().applied;
    let payload = call.handle.dead_letter_payload(&Key::new(call.id(0)), call.fresh()?).await?;
    let fields = view.strip_suffix(b"}").ok_or_else(|| {
        Error::Internal(format!("the view of dead letter {} is no object", call.id(0)))
    })?;
    let mut body = Envelope::begin(view.len() + payload.as_ref().map_or(8, String::len));
    body.text(fields);
    body.text(b",\"payload\":");
    match payload {
        Some(text) if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() => {
            body.text(text.as_bytes());
        }
        other => body.json(&other),
    }
    body.text(b"}");
    Ok(Reply::enveloped(body.meta(position)))
}

/// `POST /ops/dead-letters/{id}/retry`
pub(super) async fn retry(call: Call) -> Result<Reply, Error> {
    letter(&call).await?;
    let retried = call.handle.retry_dead_letter(&Key::new(call.id(0))).await?;
    Ok(commands::done(retried, 200)?.reply())
}

/// `POST /ops/dead-letters/{id}/discard`
pub(super) async fn discard(call: Call) -> Result<Reply, Error> {
    letter(&call).await?;
    let body = call.object()?;
    let told = commands::tell::<DeadLetter>(&call, call.id(0), &Event::Discarded, &body, 200);
    Ok(told.await?.reply())
}
