//! What a Kafka record says: CloudEvents in binary or structured mode, the plain envelope, bare
//! JSON, or nothing (a tombstone).
//!
//! | headers | value | form |
//! |---|---|---|
//! | `content-type: application/cloudevents+json` | any | structured mode: copied as it is |
//! | any `ce_` | any, or none | binary mode: attributes from headers, the value is the data |
//! | neither | none | tombstone |
//! | neither, or the type of JSON | has `specversion` | structured mode |
//! | neither, or the type of JSON | has `eventType` and `payload` | the plain envelope |
//! | neither, or the type of JSON | any other object | bare JSON, see `bare` |
//!
//! What is *not* here: where records come from, and whether the text that comes out is an event
//! ([`actors::DomainEvent::parse`] says so; a structured event is not even looked at before).
//! Invariant: a record that is bad leaves nothing in the text it was to be written to.

mod bare;

use actors::event::canonical;
use actors::{NotAnEvent, Timestamp};
use smallvec::SmallVec;

/// What every attribute's header begins with, in binary mode.
pub(super) const ATTRIBUTE: &str = "ce_";

/// The header that says what the value is.
pub(super) const CONTENT_TYPE: &str = "content-type";

/// What the type of all forms of CloudEvents begins with.
const CLOUDEVENTS: &str = "application/cloudevents";

/// A record as Kafka gives it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) headers: &'a [(&'a str, &'a [u8])],
    /// None: the record has no value, which is not the same as an empty one.
    pub(super) value: Option<&'a [u8]>,
    /// The record's own time.
    pub(super) time: Option<Timestamp>,
}

/// What a topic's records mean that do not say it themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    /// CloudEvents `source` of bare JSON.
    pub source: String,
    /// The header that names the type of bare JSON.
    pub type_header: String,
    /// The member that does so where there is no such header.
    pub type_field: String,
}

impl TopicDefaults {
    /// What counts where nothing is configured.
    pub fn new(topic: &str) -> Self {
        Self {
            source: format!("/kafka/{topic}"),
            type_header: "type".to_owned(),
            type_field: "type".to_owned(),
        }
    }
}

/// What a record turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Its text was written.
    Event,
    /// There is nothing to hear.
    Tombstone,
}

/// A record that is no event: what its dead letter says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Bad {
    /// For machines: `bad-header`, `bad-event`, `not-json`, `no-type`, `unsupported-media-type`.
    pub(super) code: &'static str,
    /// For people.
    pub(super) reason: String,
}

impl Bad {
    fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Code and reason.
    pub(super) fn parts(self) -> (&'static str, String) {
        (self.code, self.reason)
    }
}

impl From<NotAnEvent> for Bad {
    fn from(fault: NotAnEvent) -> Self {
        let code = match fault {
            NotAnEvent::Unreadable(_) => "not-json",
            NotAnEvent::Attribute { .. } => "bad-event",
        };
        Self::new(code, fault.to_string())
    }
}

/// Appends the record's event to `out`, as structured CloudEvents JSON.
///
/// # Errors
/// It is no event in any form that is understood; `out` is as it was.
pub(super) fn structured(
    raw: &Raw<'_>,
    defaults: &TopicDefaults,
    out: &mut Vec<u8>,
) -> Result<Form, Bad> {
    let begin = out.len();
    let made = write(raw, defaults, out);
    if made != Ok(Form::Event) {
        out.truncate(begin);
    }
    made
}

fn write(raw: &Raw<'_>, defaults: &TopicDefaults, out: &mut Vec<u8>) -> Result<Form, Bad> {
    let content_type = header(raw.headers, CONTENT_TYPE)?;
    let says_cloudevent = content_type.is_some_and(|said| begins(said, CLOUDEVENTS));
    if !says_cloudevent && raw.headers.iter().any(|(name, _)| name.starts_with(ATTRIBUTE)) {
        return binary(raw, content_type, out).map(|()| Form::Event);
    }
    let Some(value) = raw.value else { return Ok(Form::Tombstone) };
    if says_cloudevent && content_type.is_some_and(is_structured) {
        out.extend_from_slice(value);
    } else if says_cloudevent || !canonical::is_json(content_type) {
        let said = content_type.unwrap_or_default();
        let reason = format!("content-type {said:?} is not understood");
        return Err(Bad::new("unsupported-media-type", reason));
    } else {
        bare::write(raw, value, defaults, out)?;
    }
    Ok(Form::Event)
}

/// Binary mode.
fn binary(raw: &Raw<'_>, content_type: Option<&str>, out: &mut Vec<u8>) -> Result<(), Bad> {
    let mut attributes = SmallVec::<[(&str, &str); 12]>::new();
    for (name, value) in raw.headers {
        if let Some(attribute) = name.strip_prefix(ATTRIBUTE) {
            attributes.push((attribute, text(name, value)?));
        }
    }
    let given = |wanted: &str| attributes.iter().find(|(name, _)| *name == wanted);
    for needed in ["specversion", "id", "source", "type"] {
        if given(needed).is_none() {
            return Err(Bad::new("bad-event", format!("ce_{needed}: is missing")));
        }
    }
    if let Some((_, version)) = given("specversion").filter(|(_, version)| *version != "1.0") {
        let reason = format!("ce_specversion: must be \"1.0\", not {version:?}");
        return Err(Bad::new("bad-event", reason));
    }
    let data = raw.value.unwrap_or_default();
    Ok(canonical::binary_into(out, &attributes, content_type, data)?)
}

/// Batches have no form in Kafka, and events in other encodings than JSON none that we read.
fn is_structured(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.len() == CLOUDEVENTS.len() + "+json".len() && canonical::is_json(Some(media_type))
}

fn begins(text: &str, with: &str) -> bool {
    text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

/// The first header of this name, in whatever case.
fn header<'a>(headers: &[(&str, &'a [u8])], wanted: &str) -> Result<Option<&'a str>, Bad> {
    let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.map(|(name, value)| text(name, value)).transpose()
}

fn text<'a>(name: &str, value: &'a [u8]) -> Result<&'a str, Bad> {
    std::str::from_utf8(value)
        .map_err(|_| Bad::new("bad-header", format!("header {name} is not UTF-8")))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
