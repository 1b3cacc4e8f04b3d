//! Domain events: what the outside says, or what we publish. One shape, whatever dialect it came in.
//!
//! [`DomainEvent::parse`] reads CloudEvents 1.0 JSON, the plain envelope and bare dialect JSON, and borrows from the input
//! wherever it can. What is *not* here: HTTP and Kafka headers (binary mode is put together by the door and the consumer from
//! the same parts), and what anybody does with an event.

use crate::words::Timestamp;
use std::borrow::Cow;

/// An event of a known type that lacks what it needs, or whose value is not acceptable. It becomes a dead letter.
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
    /// One of the known types, by its canonical name without reverse DNS and version: `learning.enrollment.created`.
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
    /// Whether we published it ourselves. Kinds that turn outside facts into state do not hear their own.
    pub own: bool,
}

/// The fields of `data` that any known event has; camelCase and snake_case alike. Absent, null and of another JSON type are `None`,
/// except that an id may be a number (kept as its text).
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
}
