//! `/users/{user}/inbox`: what happened that concerns a user, and what they have done with it.
//!
//! A user nobody has ever heard of has an empty inbox: users are not ours to know. An item that is
//! not this user's is a 404. What is *not* here: the texts, which are the kind's.

use super::commands;
use crate::call::Call;
use crate::cursor::{Scope, refused};
use crate::error::Error;
use crate::query::LIMIT_USUAL;
use crate::reply::{Envelope, Reply};
use actors::inbox::{Answer, Archived, Event, Inbox, ItemId, ItemView, List, Listed, Query};
use serde_json::json;
use topology::Freshness;
use topology::remembered::Rendered;

/// What `?archived=` takes.
const ARCHIVED: &[(&str, Archived)] =
    &[("exclude", Archived::Exclude), ("include", Archived::Include), ("only", Archived::Only)];
/// About the size of an item as JSON.
const ITEM_BYTES: usize = 320;

/// What changes the list. A plain one has none of them, and is what nearly everybody asks for.
const PARAMETERS: [&str; 5] = ["unread", "archived", "limit", "cursor", "as_of"];

/// The list in an answer; that of an inbox that is not there is empty.
fn listed(answer: Option<Answer>) -> Listed {
    match answer {
        Some(Answer::List(listed)) => listed,
        Some(Answer::Item(_)) => unreachable!("an inbox answers a list with a list"),
        None => Listed { items: Vec::new(), next: None, unread: 0, total: 0 },
    }
}

/// Asks for a part of the inbox.
async fn ask_list(call: &Call, list: List, fresh: Freshness) -> Result<(Listed, u64), Error> {
    let read = call.handle.ask::<Inbox>(call.id(0), Query::List(list), fresh).await?;
    Ok((listed(read.value), read.position))
}

/// `GET /users/{user}/inbox`
pub(super) async fn list(call: Call) -> Result<Reply, Error> {
    // A cursor belongs to the path as it was sent, and an id can be sent in many ways.
    if !call.query.has_any(&PARAMETERS) && !call.path.as_str().contains('%') {
        let list =
            List { unread: false, archived: Archived::default(), limit: LIMIT_USUAL, before: None };
        let asked = ("list", Query::List(list));
        let scope = Scope::plain(call.path.as_str());
        let render = |answer| rendered(&listed(answer), &scope);
        let read = call.handle.render::<Inbox>(call.id(0), asked, call.fresh()?, render).await?;
        return Ok(Reply::rendered(&read.value, read.position));
    }
    let scope = Scope::new(call.path.as_str(), &call.query, &["unread", "archived", "as_of"])?;
    let before = scope.open_text(&call.query)?;
    let before = match before {
        Some(place) => Some(ItemId::parse(&place).ok_or_else(refused)?),
        None => None,
    };
    let list = List {
        unread: call.query.boolean("unread")?.unwrap_or(false),
        archived: call.query.word("archived", ARCHIVED)?.unwrap_or_default(),
        limit: call.query.limit()?,
        before,
    };
    let read = call.ask::<Inbox>(call.id(0), Query::List(list)).await?;
    Ok(Reply::rendered(&rendered(&listed(read.value), &scope), read.position))
}

fn rendered(listed: &Listed, scope: &Scope) -> Rendered {
    let next = listed.next.map(|place| scope.seal(place.to_string().as_bytes()));
    let mut body = Envelope::begin(listed.items.len() * ITEM_BYTES);
    body.json(&listed.items);
    let counts = [("unread", u64::from(listed.unread)), ("total", u64::from(listed.total))];
    body.rendered(&counts, next.as_deref())
}

/// One of the user's items, so fresh, or as the call says.
async fn item(call: &Call, fresh: Option<Freshness>) -> Result<(ItemId, ItemView, u64), Error> {
    let (user, text) = (call.id(0), call.id(1));
    let not_found = || Error::NotFound(format!("the inbox of {user} has no item {text}"));
    let id = ItemId::parse(text).ok_or_else(not_found)?;
    let read = match fresh {
        Some(fresh) => call.handle.ask::<Inbox>(user, Query::Item(id), fresh).await?,
        None => call.ask::<Inbox>(user, Query::Item(id)).await?,
    };
    match read.value {
        Some(Answer::Item(Some(item))) => Ok((id, item, read.position)),
        _ => Err(not_found()),
    }
}

/// `GET /users/{user}/inbox/{item}`
pub(super) async fn show(call: Call) -> Result<Reply, Error> {
    let (_, item, position) = item(&call, None).await?;
    Ok(Reply::data(&item, position))
}

/// `POST /users/{user}/inbox/{item}/read`
pub(super) async fn read(call: Call) -> Result<Reply, Error> {
    mark(call, Event::Read).await
}

/// `POST /users/{user}/inbox/{item}/unread`
pub(super) async fn unread(call: Call) -> Result<Reply, Error> {
    mark(call, Event::Unread).await
}

/// `POST /users/{user}/inbox/{item}/archive`
pub(super) async fn archive(call: Call) -> Result<Reply, Error> {
    mark(call, Event::Archive).await
}

/// `POST /users/{user}/inbox/{item}/unarchive`
pub(super) async fn unarchive(call: Call) -> Result<Reply, Error> {
    mark(call, Event::Unarchive).await
}

/// Marks one item, and answers with it.
async fn mark(call: Call, event: fn(ItemId) -> Event) -> Result<Reply, Error> {
    let body = call.object()?;
    let (id, _, _) = item(&call, Some(call.fresh()?)).await?;
    let done = commands::tell::<Inbox>(&call, call.id(0), &event(id), &body, 200).await?;
    let (_, item, position) = item(&call, Some(call.fresh_from(done.position))).await?;
    Ok(done.mark(Reply::data(&item, position)))
}

/// `POST /users/{user}/inbox/read-all`: whatever stood there when the call came is read.
pub(super) async fn read_all(call: Call) -> Result<Reply, Error> {
    let body = call.object()?;
    let counts = List { unread: false, archived: Archived::Exclude, limit: 0, before: None };
    let (before, position) = ask_list(&call, counts.clone(), call.fresh()?).await?;
    if before.total == 0 {
        // Nothing to read, and nobody needs a record of that: a user we never heard of stays one.
        return Ok(Reply::data(&json!({"unread": 0, "total": 0}), position));
    }
    let done = commands::tell::<Inbox>(&call, call.id(0), &Event::ReadAll, &body, 200).await?;
    let (after, position) = ask_list(&call, counts, call.fresh_from(done.position)).await?;
    let counts = json!({"unread": after.unread, "total": after.total});
    Ok(done.mark(Reply::data(&counts, position)))
}
