//! An item as its reader sees it: its id, its texts, its data.
//!
//! What is *not* here: the texts themselves (`text`). Invariant: an id's text has one form only, so
//! that equal ids are equal texts.

use super::note::Topic;
use super::page::Item;
use super::text;
use crate::answer::{Millionths, Shown};
use crate::words::{Position, Timestamp};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// Which item: its page and its place there. As text `17-3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ItemId {
    /// The page, from 0.
    pub page: u32,
    /// The place in the page, from 0.
    pub slot: u16,
}

impl ItemId {
    /// Reads `17-3`, and nothing that looks like it.
    pub fn parse(text: &str) -> Option<Self> {
        let (page, slot) = text.split_once('-')?;
        let strict = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            plain && (digits == "0" || !digits.starts_with('0'))
        };
        if !strict(page) || !strict(slot) {
            return None;
        }
        Some(Self { page: page.parse().ok()?, slot: slot.parse().ok()? })
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.page, self.slot)
    }
}

/// An item, to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemView {
    /// Which one.
    pub id: ItemId,
    /// What happened.
    pub topic: Topic,
    /// When.
    pub time: Timestamp,
    /// Of the record that brought it.
    pub position: Position,
    /// Whether the user has read it.
    pub read: bool,
    /// Whether it is out of the default list.
    pub archived: bool,
}

impl ItemView {
    pub(super) fn new(id: ItemId, item: Item, epoch: u32) -> Self {
        Self {
            id,
            time: item.time,
            position: item.position,
            read: item.is_read(epoch),
            archived: item.archived,
            topic: item.topic,
        }
    }
}

impl Serialize for ItemView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("item", 9)?;
        out.serialize_field("id", &Shown(self.id))?;
        out.serialize_field("type", self.topic.name())?;
        out.serialize_field("title", &Shown(text::Title(&self.topic)))?;
        out.serialize_field("body", &Shown(text::Body(&self.topic)))?;
        out.serialize_field("time", &Shown(self.time))?;
        out.serialize_field("read", &self.read)?;
        out.serialize_field("archived", &self.archived)?;
        out.serialize_field("data", &ItemData(&self.topic))?;
        out.serialize_field("position", &self.position)?;
        out.end()
    }
}

/// The fields that a topic carries, under the names they have in events.
struct ItemData<'a>(&'a Topic);

impl Serialize for ItemData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        match self.0 {
            Topic::EnrollmentCreated(course)
            | Topic::EnrollmentCanceled(course)
            | Topic::EnrollmentCompleted(course)
            | Topic::EnrollmentFailed(course)
            | Topic::CourseCompleted(course) => out.serialize_entry("course_id", course)?,
            Topic::LessonCompleted { course_id, lesson_id } => {
                out.serialize_entry("course_id", course_id)?;
                out.serialize_entry("lesson_id", lesson_id)?;
            }
            Topic::AssignmentGraded { course_id, assignment_id, score } => {
                out.serialize_entry("course_id", course_id)?;
                out.serialize_entry("assignment_id", assignment_id)?;
                out.serialize_entry("score", &Millionths(u128::from(*score)))?;
            }
            Topic::OrderPlaced(order)
            | Topic::OrderShipped(order)
            | Topic::OrderCanceled(order) => {
                out.serialize_entry("order_id", order)?;
            }
            Topic::PaymentCaptured(payment)
            | Topic::PaymentFailed(payment)
            | Topic::PaymentRefunded(payment)
            | Topic::PaymentActionRequired(payment) => {
                out.serialize_entry("payment_id", &payment.payment_id)?;
                out.serialize_entry("amount", &payment.amount)?;
                out.serialize_entry("currency", &payment.currency)?;
            }
            Topic::UserRegistered => {}
        }
        out.end()
    }
}
