//! JSON without a word about what it is: a structured event, the plain envelope, or bare JSON of
//! one of the dialects, whose type stands in a header or in a member.
//!
//! Bare JSON becomes an event so: its id is the member `eventId` or `event_id`, else the record's
//! place; its time the member `timestamp`, `time` or `occurredAt`, else the record's; its data the
//! member `data` or `payload` if that is an object, else all of it. What is *not* here: which
//! spellings of types are understood (`actors`).

use super::{Bad, Raw, TopicDefaults, header};
use crate::kafka::members::Members;
use actors::Timestamp;
use actors::event::canonical::{self, Object};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Where an event's id may stand. A plain `id` is as often that of the thing it is about.
const IDS: [&str; 2] = ["eventId", "event_id"];
const TIMES: [&str; 3] = ["timestamp", "time", "occurredAt"];
const DATA: [&str; 2] = ["data", "payload"];

/// Where the plain envelope has its type.
const ENVELOPE_TYPE: &str = "eventType";

/// Appends the event.
pub(super) fn write(
    raw: &Raw<'_>,
    value: &[u8],
    defaults: &TopicDefaults,
    out: &mut Vec<u8>,
) -> Result<(), Bad> {
    // How nearly everybody who writes structured events begins one.
    if value.starts_with(br#"{"specversion""#) {
        out.extend_from_slice(value);
        return Ok(());
    }
    let members: Members<'_> = serde_json::from_slice(value)
        .map_err(|error| Bad::new("not-json", format!("not a JSON object: {error}")))?;
    if members.get("specversion").is_some() {
        out.extend_from_slice(value);
    } else if members.get(ENVELOPE_TYPE).is_some() && members.get("payload").is_some() {
        canonical::envelope_into(out, value)?;
    } else {
        let type_text = type_of(raw, &members, defaults)?;
        dialect(raw, (value, &members), (&type_text, &defaults.source), out);
    }
    Ok(())
}

fn type_of<'a>(
    raw: &Raw<'a>,
    members: &Members<'_>,
    defaults: &TopicDefaults,
) -> Result<Cow<'a, str>, Bad> {
    if let Some(said) = header(raw.headers, &defaults.type_header)? {
        return Ok(said.into());
    }
    let said = members.text(&defaults.type_field).or_else(|| members.text(ENVELOPE_TYPE));
    said.map(Cow::Owned).ok_or_else(|| {
        let TopicDefaults { type_header, type_field, .. } = defaults;
        let reason = format!(
            "neither a header {type_header:?} nor a member {type_field:?} says of what type it is"
        );
        Bad::new("no-type", reason)
    })
}

fn dialect(
    raw: &Raw<'_>,
    (value, members): (&[u8], &Members<'_>),
    (type_text, source): (&str, &str),
    out: &mut Vec<u8>,
) {
    let whole = std::str::from_utf8(value).expect("what was read as JSON is UTF-8");
    let mut event = Object::begin(out);
    event.text("specversion", "1.0");
    match IDS.iter().find_map(|name| members.get(name)) {
        Some(id) => event.id_if_any("id", Some(id)),
        None => event.text("id", &format!("{}/{}/{}", raw.topic, raw.partition, raw.offset)),
    }
    event.text("source", source);
    event.text("type", type_text);
    let said = TIMES.iter().find_map(|name| Timestamp::parse(&members.text(name)?));
    if let Some(time) = said.or(raw.time) {
        event.text("time", &time.to_string());
    }
    let is_object = |json: &&RawValue| json.get().starts_with('{');
    let data = DATA.iter().find_map(|name| members.get(name).filter(is_object));
    event.raw("data", data.map_or(whole, RawValue::get));
    event.close();
}
