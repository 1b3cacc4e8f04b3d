//! `/payments`: money, by command. Each is answered when it is durable and applied.
//!
//! A create needs an `Idempotency-Key`, and the payment's id derives from it: however often it is
//! sent, there is one payment. What is *not* here: what a payment may do next (the fold says, with
//! a 409), and which values are acceptable (the kind says, with all that is wrong at once).

use super::commands;
use super::entities::must_exist;
use super::lists::Views;
use crate::call::Call;
use crate::cursor::Scope;
use crate::error::{Error, Fault};
use crate::idempotency;
use crate::query::fault;
use crate::reply::{Envelope, Reply};
use crate::text;
use actors::payment::{Confirm, Create, Event, Payment, Query, Status, input};
use actors::{Entity, Key, KindId};
use serde::Deserialize;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128_with_seed;

fn kind(call: &Call) -> Result<KindId, Error> {
    let kind = call.handle.kind(Payment::KIND);
    kind.ok_or_else(|| Error::Internal("the table of kinds has no payments".to_owned()))
}

/// The id of the payment that this key creates.
fn id_for(key: &str) -> Key {
    let hash = xxh3_128_with_seed(key.as_bytes(), 0x7061_795f).to_be_bytes();
    Key::from(format!("pay_{}", text::base32(&hash)))
}

/// `POST /payments`
pub(super) async fn create(call: Call) -> Result<Reply, Error> {
    let Some(key) = idempotency::key(&call.headers)? else {
        return Err(Error::bad("header:Idempotency-Key", "is required: it makes a retry safe"));
    };
    let body = call.object()?;
    let id = id_for(&key);
    let create = Create::read(id.clone(), &body).map_err(refused)?;
    let event = Event::Create(Box::new(create));
    let done = commands::tell::<Payment>(&call, &id, &event, &body, 201).await?;
    Ok(done.reply().header("location", &format!("/api/v1/payments/{id}")))
}

fn refused(list: Vec<input::Fault>) -> Error {
    let faults = list.into_iter().map(|fault| Fault::new(fault.pointer, fault.detail));
    Error::Validation(faults.collect())
}

/// `GET /payments/{payment}`
pub(super) async fn show(call: Call) -> Result<Reply, Error> {
    let read = call.view(kind(&call)?, call.id(0)).await?;
    match read.value.filter(|view| view != b"null") {
        Some(view) => Ok(Reply::text(&view, read.position)),
        None => Err(not_found(&call)),
    }
}

fn not_found(call: &Call) -> Error {
    Error::NotFound(format!("there is no payment {}", call.id(0)))
}

/// `POST /payments/{payment}/confirm`
pub(super) async fn confirm(call: Call) -> Result<Reply, Error> {
    command(call, |body| Confirm::read(body).map(Event::Confirm)).await
}

/// `POST /payments/{payment}/capture`
pub(super) async fn capture(call: Call) -> Result<Reply, Error> {
    command(call, |body| input::amount(body).map(Event::Capture)).await
}

/// `POST /payments/{payment}/cancel`
pub(super) async fn cancel(call: Call) -> Result<Reply, Error> {
    command(call, |_| Ok(Event::Cancel)).await
}

/// `POST /payments/{payment}/refund`
pub(super) async fn refund(call: Call) -> Result<Reply, Error> {
    command(call, |body| input::amount(body).map(Event::Refund)).await
}

type Read = fn(&Value) -> Result<Event, Vec<input::Fault>>;

/// A command on a payment that must be there: nothing is journaled for one that is not.
async fn command(call: Call, read: Read) -> Result<Reply, Error> {
    let body = call.object()?;
    let event = read(&body).map_err(refused)?;
    idempotency::key(&call.headers)?;
    must_exist(&call, kind(&call)?, call.id(0), "payment").await?;
    Ok(commands::tell::<Payment>(&call, call.id(0), &event, &body, 200).await?.reply())
}

/// `GET /payments/{payment}/history`: transitions, oldest first.
pub(super) async fn history(call: Call) -> Result<Reply, Error> {
    let limit = call.query.limit()?;
    let scope = Scope::new(call.path.as_str(), &call.query, &["as_of"])?;
    let query = Query::History { cursor: scope.open_position(&call.query)?, limit };
    let read = call.ask::<Payment>(call.id(0), query).await?;
    let Some(page) = read.value.filter(|page| !page.items.is_empty()) else {
        let view = call.view(kind(&call)?, call.id(0)).await?.value;
        view.filter(|view| view != b"null").ok_or_else(|| not_found(&call))?;
        let mut body = Envelope::begin(0);
        body.text(b"[]");
        return Ok(Reply::enveloped(body.meta(read.position).page(None)));
    };
    let next = page.next.map(|place| scope.seal(&place.to_le_bytes()));
    let mut body = Envelope::begin(page.items.len() * 160);
    body.json(&page.items);
    Ok(Reply::enveloped(body.meta(read.position).page(next.as_deref())))
}

/// The fields of a view that a list filters by.
#[derive(Deserialize)]
struct Filtered<'a> {
    #[serde(borrow)]
    status: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    user_id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    order_id: Option<std::borrow::Cow<'a, str>>,
}

/// `GET /payments`, by `user_id`, `order_id` or `status`; with several, those that match all.
pub(super) async fn list(call: Call) -> Result<Reply, Error> {
    let user = call.query.id("user_id")?;
    let order = call.query.id("order_id")?;
    let status = match call.query.get("status")? {
        Some(text) => match Status::parse(text) {
            Some(status) => Some(status.as_str()),
            None => return Err(fault("status", "is no status of a payment")),
        },
        None => None,
    };
    // The word that the fewest payments have comes first; the others are filtered out of what it
    // gives.
    let tag = (order.map(|id| format!("order:{id}")))
        .or_else(|| user.map(|id| format!("user:{id}")))
        .or_else(|| status.map(|status| format!("status:{status}")))
        .map(Key::from);
    let keep = |view: &[u8]| {
        let Ok(have) = serde_json::from_slice::<Filtered<'_>>(view) else { return true };
        status.is_none_or(|want| want == have.status)
            && user.is_none_or(|want| have.user_id.as_deref() == Some(want))
            && order.is_none_or(|want| have.order_id.as_deref() == Some(want))
    };
    let filters = &["user_id", "order_id", "status"];
    Views { kind: kind(&call)?, tag, filters, keep: &keep }.answer(&call).await
}

#[cfg(test)]
mod tests {
    use super::id_for;

    #[test]
    fn a_key_always_creates_the_same_payment() {
        assert_eq!(id_for("order-17").len(), 30);
        assert_ne!(id_for("order-17"), id_for("order-18"));
        expect_test::expect!["pay_0nsxbsz76jdph780wgbffde6s0"].assert_eq(&id_for("order-17"));
    }
}
