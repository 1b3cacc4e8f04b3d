//! `/entities`: any entity of any kind, as it stands: for operators, and for kinds that have no
//! paths of their own.

use super::lists;
use crate::call::Call;
use crate::cursor::Scope;
use crate::error::Error;
use crate::reply::{Envelope, Reply};
use actors::{Address, Key, KindId};
use serde::Serialize;
use topology::api::{EventRef, HistoryItem, Listing};

/// The kind that the path names.
fn kind(call: &Call) -> Result<KindId, Error> {
    let name = call.id(0);
    call.handle.kind(name).ok_or_else(|| Error::NotFound(format!("there is no kind {name}")))
}

fn not_found(call: &Call) -> Error {
    Error::NotFound(format!("there is no {} {}", call.id(0), call.id(1)))
}

/// `GET /entities/{kind}`: keys, in key order.
pub(super) async fn list(call: Call) -> Result<Reply, Error> {
    let kind = kind(&call)?;
    let limit = call.query.limit()?;
    let scope = Scope::new(call.path.as_str(), &call.query, &["prefix"])?;
    let after = scope.open_text(&call.query)?.map(Key::from);
    let prefix = call.query.get("prefix")?.map(str::to_owned);
    let listing = Listing { tag: None, prefix, after, limit };
    let keys = call.handle.list(kind, listing, call.fresh()?).await?;
    let (position, keys) = (keys.position, keys.value);
    let next = keys.keys.last().filter(|_| keys.more).map(|last| scope.seal(last.as_bytes()));
    let mut body = Envelope::begin(keys.keys.len() * 16);
    body.json(&keys.keys);
    Ok(Reply::enveloped(body.meta(position).page(next.as_deref())))
}

/// `GET /entities/{kind}/{key}`: the view, and the position applied.
pub(super) async fn show(call: Call) -> Result<Reply, Error> {
    let kind = kind(&call)?;
    let read = call.view(kind, call.id(1)).await?;
    match read.value.filter(|view| view != b"null") {
        Some(view) => Ok(Reply::text(&view, read.position)),
        None => Err(not_found(&call)),
    }
}

/// One record of an entity, as a client sees it.
#[derive(Serialize)]
struct Item {
    position: u64,
    time: String,
    tag: &'static str,
    cause: Option<u64>,
    event: Option<EventRef>,
    payload_bytes: usize,
}

impl From<HistoryItem> for Item {
    fn from(item: HistoryItem) -> Self {
        let HistoryItem { position, time, tag, cause, event, payload_bytes } = item;
        Self { position, time: time.to_string(), tag, cause, event, payload_bytes }
    }
}

/// `GET /entities/{kind}/{key}/history`: its own records, newest first.
pub(super) async fn history(call: Call) -> Result<Reply, Error> {
    let kind = kind(&call)?;
    let limit = call.query.limit()?;
    let scope = Scope::new(call.path.as_str(), &call.query, &["as_of"])?;
    let before = scope.open_position(&call.query)?;
    let address = Address::new(kind, call.id(1));
    let read = match call.as_of()? {
        Some(as_of) => call.handle.history_as_of(address, before, limit + 1, as_of).await?,
        None => call.handle.history(address, before, limit + 1, call.fresh()?).await?,
    };
    let Some(mut items) = read.value else { return Err(not_found(&call)) };
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| scope.seal(&last.position.to_le_bytes()));
    let items: Vec<Item> = items.into_iter().map(Item::from).collect();
    let mut body = Envelope::begin(items.len() * 160);
    body.json(&items);
    Ok(Reply::enveloped(body.meta(read.position).page(next.as_deref())))
}

/// Whether an entity is there: its view, or why not.
pub(super) async fn must_exist(
    call: &Call,
    kind: KindId,
    key: &str,
    what: &str,
) -> Result<Vec<u8>, Error> {
    let view = lists::view(call, kind, key, None).await?;
    view.ok_or_else(|| Error::NotFound(format!("there is no {what} {key}")))
}
