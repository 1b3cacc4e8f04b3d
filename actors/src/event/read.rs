//! Reads structured CloudEvents JSON in one pass, without a tree of values: what borrows can
//! borrow, what nobody needs is skipped.
//!
//! What is *not* here: which values are acceptable (that is [`super::DomainEvent::parse`] and the
//! checks), and the other forms an event comes in (`canonical`). Invariant: a name that is read and
//! stands there twice is a fault, so that no two readers of one text can see two events in it.

use super::Data;
use super::fields::Content;
use super::scalar::{Name, Text};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// What stood in the envelope.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub(super) id: Text<'a>,
    pub(super) source: Text<'a>,
    pub(super) type_text: Text<'a>,
    pub(super) specversion: Text<'a>,
    pub(super) subject: Text<'a>,
    pub(super) time: Text<'a>,
    pub(super) data: Data<'a>,
    /// Whether there were data, and they were not null.
    pub(super) has_data: bool,
    pub(super) data_base64: Text<'a>,
    /// The first attribute that stood there twice.
    pub(super) twice: Option<&'static str>,
}

/// The attributes that are read, each with its bit among those seen.
#[derive(Clone, Copy)]
enum Attribute {
    Id,
    Source,
    Type,
    Specversion,
    Subject,
    Time,
    Data,
    DataBase64,
    Other,
}

const ATTRIBUTES: [&str; 8] =
    ["id", "source", "type", "specversion", "subject", "time", "data", "data_base64"];

fn attribute(name: &str) -> Attribute {
    match name {
        "id" => Attribute::Id,
        "source" => Attribute::Source,
        "type" => Attribute::Type,
        "specversion" => Attribute::Specversion,
        "subject" => Attribute::Subject,
        "time" => Attribute::Time,
        "data" => Attribute::Data,
        "data_base64" => Attribute::DataBase64,
        _ => Attribute::Other,
    }
}

/// Reads into an envelope where it stands: events are read by the million, and it is long to move.
pub(super) struct Into<'a, 'de>(pub(super) &'a mut Envelope<'de>);

impl<'de> DeserializeSeed<'de> for Into<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Into<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a CloudEvent's attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let envelope = self.0;
        let mut seen = 0u16;
        while let Some(attribute) = map.next_key_seed(Name(attribute))? {
            let bit = 1 << attribute as u16;
            if seen & bit != 0 && envelope.twice.is_none() {
                envelope.twice = ATTRIBUTES.get(attribute as usize).copied();
            }
            seen |= bit;
            match attribute {
                Attribute::Id => envelope.id = map.next_value()?,
                Attribute::Source => envelope.source = map.next_value()?,
                Attribute::Type => envelope.type_text = map.next_value()?,
                Attribute::Specversion => envelope.specversion = map.next_value()?,
                Attribute::Subject => envelope.subject = map.next_value()?,
                Attribute::Time => envelope.time = map.next_value()?,
                Attribute::Data => {
                    envelope.has_data = map.next_value_seed(Content(&mut envelope.data))?;
                }
                Attribute::DataBase64 => envelope.data_base64 = map.next_value()?,
                Attribute::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}
