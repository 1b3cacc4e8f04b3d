//! Domain events: what the outside says, or what we publish. One shape, whatever dialect it came
//! in.
//!
//! The journal keeps every event in one form, structured CloudEvents 1.0 JSON, and
//! [`DomainEvent::parse`] reads that, and borrows from it wherever it can. The other forms an event
//! may come in are first made into that one by [`canonical`]. What is *not* here: HTTP and Kafka
//! headers, whose names and quoting are the door's and the consumer's, and what anybody does with
//! an event.

pub mod canonical;
mod check;
mod fields;
mod read;
mod scalar;
mod types;

pub use types::KNOWN;

use crate::words::{Timestamp, id_fault};
use read::Envelope;
use scalar::Text;
use serde::de::DeserializeSeed;
use std::borrow::Cow;

/// An event of a known type that lacks what it needs, or whose value is not acceptable. It becomes
/// a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Unfit {
    /// The field, such as `data.user_id`.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

/// What a text that should be a domain event is instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEvent {
    /// The text is not JSON, or not an object.
    #[error("not a JSON object: {0}")]
    Unreadable(String),
    /// A required attribute is missing or not acceptable.
    #[error("{attribute}: {why}")]
    Attribute {
        /// The attribute's name, such as `id`.
        attribute: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// The type of a domain event, as far as we know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// One of the known types, by its canonical name without reverse DNS and version:
    /// `learning.enrollment.created`.
    Known(&'static str),
    /// A known type with a major version we do not know: a dead letter.
    UnknownMajor,
    /// Any other: kept in the journal, heard by nobody.
    Unknown,
}

/// One domain event, decoded.
#[derive(Clone, Debug)]
pub struct DomainEvent<'a> {
    /// CloudEvents `id`.
    pub id: Cow<'a, str>,
    /// CloudEvents `source`.
    pub source: Cow<'a, str>,
    /// CloudEvents `type`, as it was written.
    pub type_text: Cow<'a, str>,
    /// What that means to us.
    pub event_type: EventType,
    /// CloudEvents `subject`.
    pub subject: Option<Cow<'a, str>>,
    /// When it happened: CloudEvents `time`, or when it was received if it has none.
    pub time: Timestamp,
    /// The fields of `data` that any kind needs.
    pub data: Data<'a>,
    /// Whether we published it ourselves. Kinds that turn outside facts into state do not hear
    /// their own.
    pub own: bool,
}

/// The fields of `data` that any known event has; camelCase and snake_case alike. Absent, null and
/// of another JSON type are `None`, except that an id may be a number (kept as its text). Kinds
/// read them through the checks (`user`, `money` and so on).
#[derive(Clone, Debug, Default)]
pub struct Data<'a> {
    /// `user_id`
    pub user_id: Option<Cow<'a, str>>,
    /// `course_id`
    pub course_id: Option<Cow<'a, str>>,
    /// `lesson_id`
    pub lesson_id: Option<Cow<'a, str>>,
    /// `assignment_id`
    pub assignment_id: Option<Cow<'a, str>>,
    /// `order_id`
    pub order_id: Option<Cow<'a, str>>,
    /// `payment_id`
    pub payment_id: Option<Cow<'a, str>>,
    /// `capture_id`
    pub capture_id: Option<Cow<'a, str>>,
    /// `refund_id`
    pub refund_id: Option<Cow<'a, str>>,
    /// `amount`, in minor units; `Some(None)` if it is there but not a whole number.
    pub amount: Option<Option<i64>>,
    /// `currency`, as written.
    pub currency: Option<Cow<'a, str>>,
    /// `score`
    pub score: Option<f64>,
    /// `due`
    pub due: Option<Timestamp>,
    /// `banked`
    pub banked: Option<bool>,
    /// `reason`
    pub reason: Option<Cow<'a, str>>,
    /// The first field that has the wrong JSON type, or is there twice: whoever hears this event
    /// finds it unfit.
    pub fault: Option<Unfit>,
}

impl<'a> DomainEvent<'a> {
    /// Reads structured CloudEvents 1.0 JSON. An event without a time happened when it was
    /// received.
    ///
    /// # Errors
    /// The text is not JSON, or lacks what makes it a CloudEvent. An event of a known type with
    /// unfit data is an event all the same.
    pub fn parse(text: &'a [u8], received_at: Timestamp) -> Result<Self, NotAnEvent> {
        let text = std::str::from_utf8(text)
            .map_err(|error| NotAnEvent::Unreadable(format!("not UTF-8: {error}")))?;
        let mut envelope = Envelope::default();
        let mut json = serde_json::Deserializer::from_str(text);
        read::Into(&mut envelope)
            .deserialize(&mut json)
            .and_then(|()| json.end())
            .map_err(|error| NotAnEvent::Unreadable(error.to_string()))?;
        Self::of_envelope(envelope, received_at)
    }

    fn of_envelope(envelope: Envelope<'a>, received_at: Timestamp) -> Result<Self, NotAnEvent> {
        if let Some(attribute) = envelope.twice {
            return Err(NotAnEvent::attribute(attribute, "is there twice"));
        }
        let specversion = optional("specversion", envelope.specversion)?;
        if specversion.as_deref() != Some("1.0") {
            return Err(NotAnEvent::attribute("specversion", "must be \"1.0\""));
        }
        let type_text = required("type", envelope.type_text)?;
        let time = match optional("time", envelope.time)? {
            None => received_at,
            Some(text) => Timestamp::parse(&text)
                .ok_or_else(|| NotAnEvent::attribute("time", "must be a time of RFC 3339"))?,
        };
        let data_base64 = optional("data_base64", envelope.data_base64)?;
        if data_base64.is_some() && envelope.has_data {
            return Err(NotAnEvent::attribute("data_base64", "must not stand beside data"));
        }
        Ok(Self {
            id: required("id", envelope.id)?,
            source: required("source", envelope.source)?,
            event_type: EventType::of(&type_text),
            type_text,
            subject: optional("subject", envelope.subject)?,
            time,
            data: envelope.data,
            own: false,
        })
    }
}

impl NotAnEvent {
    fn attribute(attribute: &'static str, why: &str) -> Self {
        Self::Attribute { attribute, why: why.to_owned() }
    }
}

/// An attribute of 1 to 256 bytes without control characters.
fn required<'a>(attribute: &'static str, text: Text<'a>) -> Result<Cow<'a, str>, NotAnEvent> {
    let text =
        optional(attribute, text)?.ok_or_else(|| NotAnEvent::attribute(attribute, "is missing"))?;
    match id_fault(&text) {
        None => Ok(text),
        Some(why) => Err(NotAnEvent::attribute(attribute, why)),
    }
}

fn optional<'a>(
    attribute: &'static str,
    text: Text<'a>,
) -> Result<Option<Cow<'a, str>>, NotAnEvent> {
    match text {
        Text::Absent => Ok(None),
        Text::Given(text) => Ok(Some(text)),
        Text::Number(_) | Text::Other => Err(NotAnEvent::attribute(attribute, "must be a string")),
    }
}

#[cfg(test)]
mod tests;
