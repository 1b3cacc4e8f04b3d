//! Reads the fields of `data`, in camelCase or snake_case, and notes the first thing that is wrong
//! with them.
//!
//! What is *not* here: which fields an event needs (`check`). Invariant: a field of the wrong JSON
//! type, or one that stands there twice, leaves a fault in [`Data::fault`]; unknown fields leave
//! nothing.

use super::scalar::{Name, Scalar, Text, skip_seq};
use super::{Data, Unfit};
use crate::words::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Reads the value of `data` where it stands, and says whether there is one: null counts as none,
/// and what is no object has none of our fields.
pub(super) struct Content<'a, 'de>(pub(super) &'a mut Data<'de>);

impl<'de> DeserializeSeed<'de> for Content<'_, 'de> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Content<'_, 'de> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<bool, A::Error> {
        skip_seq(seq)?;
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut reader = DataReader { data: self.0, seen: 0 };
        while let Some(field) = map.next_key_seed(Name(field))? {
            reader.read(field, &mut map)?;
        }
        Ok(true)
    }
}

/// The fields of `data` that are read, each with its bit among those seen.
#[derive(Clone, Copy)]
enum Field {
    User,
    Course,
    Lesson,
    Assignment,
    Order,
    Payment,
    Capture,
    Refund,
    Amount,
    Currency,
    Score,
    Due,
    Banked,
    Reason,
    Other,
}

/// What faults call them.
const FIELDS: [&str; 15] = [
    "data.user_id",
    "data.course_id",
    "data.lesson_id",
    "data.assignment_id",
    "data.order_id",
    "data.payment_id",
    "data.capture_id",
    "data.refund_id",
    "data.amount",
    "data.currency",
    "data.score",
    "data.due",
    "data.banked",
    "data.reason",
    "data",
];

fn field(name: &str) -> Field {
    match name {
        "user_id" | "userId" => Field::User,
        "course_id" | "courseId" => Field::Course,
        "lesson_id" | "lessonId" => Field::Lesson,
        "assignment_id" | "assignmentId" => Field::Assignment,
        "order_id" | "orderId" => Field::Order,
        "payment_id" | "paymentId" => Field::Payment,
        "capture_id" | "captureId" => Field::Capture,
        "refund_id" | "refundId" => Field::Refund,
        "amount" => Field::Amount,
        "currency" => Field::Currency,
        "score" => Field::Score,
        "due" => Field::Due,
        "banked" => Field::Banked,
        "reason" => Field::Reason,
        _ => Field::Other,
    }
}

struct DataReader<'a, 'de> {
    data: &'a mut Data<'de>,
    seen: u16,
}

impl<'de> DataReader<'_, 'de> {
    fn read<A: MapAccess<'de>>(&mut self, field: Field, map: &mut A) -> Result<(), A::Error> {
        let bit = 1 << field as u16;
        if self.seen & bit != 0 && !matches!(field, Field::Other) {
            self.fault(field, "is there twice");
        }
        self.seen |= bit;
        match field {
            Field::User => self.data.user_id = self.id(field, map.next_value()?),
            Field::Course => self.data.course_id = self.id(field, map.next_value()?),
            Field::Lesson => self.data.lesson_id = self.id(field, map.next_value()?),
            Field::Assignment => self.data.assignment_id = self.id(field, map.next_value()?),
            Field::Order => self.data.order_id = self.id(field, map.next_value()?),
            Field::Payment => self.data.payment_id = self.id(field, map.next_value()?),
            Field::Capture => self.data.capture_id = self.id(field, map.next_value()?),
            Field::Refund => self.data.refund_id = self.id(field, map.next_value()?),
            Field::Amount => self.data.amount = self.amount(map.next_value()?),
            Field::Currency => self.data.currency = self.text(field, map.next_value()?),
            Field::Score => self.data.score = self.score(map.next_value()?),
            Field::Due => self.data.due = self.due(map.next_value()?),
            Field::Banked => self.data.banked = self.banked(map.next_value()?),
            Field::Reason => self.data.reason = self.text(field, map.next_value()?),
            Field::Other => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }

    fn fault(&mut self, field: Field, why: &'static str) {
        let fault = Unfit { field: FIELDS[field as usize], why };
        self.data.fault.get_or_insert(fault);
    }

    fn id(&mut self, field: Field, value: Text<'de>) -> Option<Cow<'de, str>> {
        match value {
            Text::Number(number) => Some(Cow::Owned(number)),
            other => self.text(field, other),
        }
    }

    fn text(&mut self, field: Field, value: Text<'de>) -> Option<Cow<'de, str>> {
        match value {
            Text::Absent => None,
            Text::Given(text) => Some(text),
            Text::Number(_) | Text::Other => {
                self.fault(field, "must be a string");
                None
            }
        }
    }

    fn due(&mut self, value: Text<'de>) -> Option<Timestamp> {
        let text = self.text(Field::Due, value)?;
        let due = Timestamp::parse(&text);
        if due.is_none() {
            self.fault(Field::Due, "must be a time of RFC 3339");
        }
        due
    }

    // The outer `None` is an absent amount, the inner one an amount that is no whole number.
    #[allow(clippy::option_option)]
    fn amount(&mut self, value: Scalar) -> Option<Option<i64>> {
        match value {
            Scalar::Absent => None,
            Scalar::Whole(amount) => Some(Some(amount)),
            Scalar::Broken(_) | Scalar::Bool(_) | Scalar::Other => {
                self.fault(Field::Amount, "must be a whole number of minor units");
                Some(None)
            }
        }
    }

    fn score(&mut self, value: Scalar) -> Option<f64> {
        match value {
            Scalar::Absent => None,
            Scalar::Whole(score) => Some(score as f64),
            Scalar::Broken(score) => Some(score),
            Scalar::Bool(_) | Scalar::Other => {
                self.fault(Field::Score, "must be a number");
                None
            }
        }
    }

    fn banked(&mut self, value: Scalar) -> Option<bool> {
        match value {
            Scalar::Absent => None,
            Scalar::Bool(banked) => Some(banked),
            Scalar::Whole(_) | Scalar::Broken(_) | Scalar::Other => {
                self.fault(Field::Banked, "must be true or false");
                None
            }
        }
    }
}
