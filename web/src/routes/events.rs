//! `POST /events`: domain events in any of four forms, each made into the one that the journal
//! keeps.
//!
//! | content type | form |
//! |---|---|
//! | `application/cloudevents-batch+json` | batch: a JSON array of structured events |
//! | `application/cloudevents+json` | structured |
//! | any other, with `ce-*` headers | binary |
//! | `application/json`, or none, without `ce-*` headers | the plain envelope |
//!
//! What is *not* here: duplicates, numbers and durability, which are the engine's. One invalid
//! event alone is a 400 and consumes no number; in a batch it is `rejected` beside the others, and
//! consumes its number.

mod headers;

use crate::call::Call;
use crate::error::Error;
use crate::query::number;
use crate::reply::Reply;
use actors::event::{DomainEvent, NotAnEvent, canonical};
use actors::{Timestamp, id_fault};
use serde::Serialize;
use topology::api::{Fault, Intake};
use warp::http::HeaderMap;

/// How the events of a request are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Batch,
    Structured,
    Binary,
    Envelope,
}

impl Form {
    /// The batch's content type begins like the structured one's, so it is asked for first.
    fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let media_type = headers::media_type(headers)?;
        if media_type.starts_with("application/cloudevents-batch") {
            known(Self::Batch, &media_type, "application/cloudevents-batch+json")
        } else if media_type.starts_with("application/cloudevents") {
            known(Self::Structured, &media_type, "application/cloudevents+json")
        } else if headers::has_attributes(headers) {
            Ok(Self::Binary)
        } else {
            known(Self::Envelope, &media_type, "application/json")
        }
    }
}

/// Only JSON formats are read; a request without a body has no type to speak of.
fn known(form: Form, media_type: &str, wanted: &str) -> Result<Form, Error> {
    if media_type == wanted || (form == Form::Envelope && media_type.is_empty()) {
        return Ok(form);
    }
    Err(Error::UnsupportedMediaType(format!(
        "{media_type} is not read here: send application/cloudevents+json, \
         application/cloudevents-batch+json, ce-* headers, or a plain envelope as application/json"
    )))
}

/// Whether the body may be as large as a batch.
pub(crate) fn is_batch(headers: &HeaderMap) -> bool {
    Form::of(headers) == Ok(Form::Batch)
}

/// What became of the events.
#[derive(Serialize)]
struct View {
    accepted: u64,
    duplicates: u64,
    ignored: u64,
    own: u64,
    rejected: Vec<Rejected>,
}

#[derive(Serialize)]
struct Rejected {
    index: usize,
    code: &'static str,
    detail: String,
}

/// `POST /events`
pub(super) async fn take(call: Call) -> Result<Reply, Error> {
    // Before anything is made of the body: to refuse must be cheap.
    call.handle.admits()?;
    let form = Form::of(&call.headers)?;
    let producer = producer(&call.headers)?;
    let received_at = Timestamp(jiff::Timestamp::now().as_millisecond());
    let events = match form {
        Form::Batch => {
            let body = call.body.clone();
            call.handle.aside(body.len(), move || batch(&body)).await?
        }
        Form::Structured => vec![Ok(alone(call.body.to_vec(), received_at)?)],
        Form::Envelope => {
            let event = canonical::envelope(&call.body).map_err(|fault| not_an_event(&fault))?;
            vec![Ok(alone(event, received_at)?)]
        }
        Form::Binary => {
            let event = headers::binary(&call.headers, &call.body)?;
            vec![Ok(alone(event, received_at)?)]
        }
    };
    let taken = call.handle.intake(Intake { producer, events }).await?;
    let rejected = taken.rejected.into_iter();
    let view = View {
        accepted: taken.accepted,
        duplicates: taken.duplicates,
        ignored: taken.ignored,
        own: taken.own,
        rejected: rejected
            .map(|(index, Fault { code, detail })| Rejected { index, code, detail })
            .collect(),
    };
    Ok(Reply::data(&view, taken.position).status(202))
}

fn not_an_event(fault: &NotAnEvent) -> Error {
    match fault {
        NotAnEvent::Unreadable(why) => Error::bad("body", why.as_str()),
        NotAnEvent::Attribute { attribute, why } => {
            Error::bad(format!("/{attribute}"), why.as_str())
        }
    }
}

/// One event that came by itself.
fn alone(text: Vec<u8>, received_at: Timestamp) -> Result<Vec<u8>, Error> {
    match DomainEvent::parse(&text, received_at) {
        Ok(_) => Ok(text),
        Err(fault) => Err(not_an_event(&fault)),
    }
}

type Events = Vec<Result<Vec<u8>, Fault>>;

/// The events of a batch. Each is good or bad for itself, and the engine reads them once.
fn batch(body: &[u8]) -> Result<Events, Error> {
    let texts = canonical::batch(body).map_err(|fault| not_an_event(&fault))?;
    Ok(texts.into_iter().map(|text| Ok(text.to_vec())).collect())
}

const PRODUCER: &str = "bellwether-producer";
const SEQUENCE: &str = "bellwether-sequence";

/// The producer's name and the number of the first event, if the producer numbers its events.
fn producer(headers: &HeaderMap) -> Result<Option<(String, u64)>, Error> {
    let refused = |name: &str, why: &str| Error::bad(format!("header:{name}"), why);
    match (headers::single(headers, PRODUCER)?, headers::single(headers, SEQUENCE)?) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(refused("Bellwether-Sequence", "is missing beside the producer")),
        (None, Some(_)) => Err(refused("Bellwether-Producer", "is missing beside the sequence")),
        (Some(name), Some(sequence)) => {
            if let Some(why) = id_fault(name) {
                return Err(refused("Bellwether-Producer", why));
            }
            let sequence = number(sequence)
                .ok_or_else(|| refused("Bellwether-Sequence", "must be a whole number from 0"))?;
            Ok(Some((name.to_owned(), sequence)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use warp::http::{HeaderName, HeaderValue};

    fn of(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_content_type_decides_on_the_form_and_headers_only_without_one() {
        let ce = ("ce-id", "1");
        let cases: &[(&[(&str, &str)], Option<Form>)] = &[
            (&[("content-type", "application/cloudevents-batch+json")], Some(Form::Batch)),
            (
                &[("content-type", "application/cloudevents-batch+json; charset=utf-8"), ce],
                Some(Form::Batch),
            ),
            (
                &[("content-type", "Application/CloudEvents+JSON; charset=utf-8")],
                Some(Form::Structured),
            ),
            (&[("content-type", "application/cloudevents+json"), ce], Some(Form::Structured)),
            (&[("content-type", "application/cloudevents+avro"), ce], None),
            (&[("content-type", "application/cloudevents-batch+avro")], None),
            (&[("content-type", "application/json; charset=utf-8"), ce], Some(Form::Binary)),
            (&[("content-type", "text/plain"), ce], Some(Form::Binary)),
            (&[ce], Some(Form::Binary)),
            (&[("content-type", "application/json")], Some(Form::Envelope)),
            (&[], Some(Form::Envelope)),
            (&[("content-type", "text/plain")], None),
            (&[("content-type", "application/x-www-form-urlencoded")], None),
        ];
        for (pairs, form) in cases {
            let read = Form::of(&of(pairs));
            assert_eq!(read.clone().ok(), *form, "{pairs:?}");
            assert!(form.is_some() || matches!(read, Err(Error::UnsupportedMediaType(_))));
        }
    }

    #[test]
    fn a_producer_gives_its_name_and_a_number_or_neither() {
        let read = |pairs| producer(&of(pairs));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[(PRODUCER, "shop"), (SEQUENCE, "17")]), Ok(Some(("shop".into(), 17))));
        for bad in [
            &[(PRODUCER, "shop")][..],
            &[(SEQUENCE, "17")],
            &[(PRODUCER, "shop"), (SEQUENCE, "-1")],
            &[(PRODUCER, "shop"), (SEQUENCE, "18446744073709551616")],
            &[(PRODUCER, ""), (SEQUENCE, "0")],
            &[(PRODUCER, "shop"), (SEQUENCE, "0"), (SEQUENCE, "0")],
        ] {
            assert!(matches!(read(bad), Err(Error::BadRequest(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_batch_is_an_array_whatever_is_in_it() {
        let body = br#"[
            {"specversion":"1.0","id":"1","source":"/s","type":"a.b.c.v1"},
            {"specversion":"1.0","source":"/s","type":"a.b.c.v1"},
            17]"#;
        let events = batch(body).expect("an array");
        assert_eq!(events.len(), 3);
        assert_eq!(events[2].as_deref(), Ok(&b"17"[..]));
        assert!(batch(b"[]").expect("an array").is_empty());
        for bad in [&b"{}"[..], b"[1,", b"", b"[1]x", b"\xff"] {
            assert!(matches!(batch(bad), Err(Error::BadRequest(_))), "{bad:?}");
        }
    }
}
