//! The other forms an event comes in, made into the one that is kept: structured CloudEvents 1.0
//! JSON.
//!
//! Binary mode (attributes beside the data, as in HTTP and Kafka headers, and bare JSON whose type
//! is known from elsewhere), the plain envelope
//! `{eventId,eventType,aggregateId,version,timestamp,payload,metadata}`, and batches. What is *not*
//! here: whether the result is a CloudEvent; whoever made it hands it to
//! [`super::DomainEvent::parse`]. Invariant: `data` is copied byte by byte.

use super::NotAnEvent;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Whether data of this content type are JSON. No content type means JSON too.
pub fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return true };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let subtype = media_type.split_once('/').map_or("", |(_, subtype)| subtype);
    subtype.eq_ignore_ascii_case("json")
        || subtype.len() >= 5
            && subtype.is_char_boundary(subtype.len() - 5)
            && subtype[subtype.len() - 5..].eq_ignore_ascii_case("+json")
}

/// Structured JSON of an event in binary mode: its attributes by name (without `ce-` or `ce_`), the
/// content type, the data. Empty data are no data.
///
/// # Errors
/// An attribute's name is not allowed or there twice, or the data are not the JSON that the content
/// type says.
pub fn binary(
    attributes: &[(&str, &str)],
    content_type: Option<&str>,
    data: &[u8],
) -> Result<Vec<u8>, NotAnEvent> {
    let mut text = Vec::new();
    binary_into(&mut text, attributes, content_type, data)?;
    Ok(text)
}

/// The same, behind what is in `text` already.
///
/// # Errors
/// As [`binary`]; a part of it may stand in `text` then.
pub fn binary_into(
    text: &mut Vec<u8>,
    attributes: &[(&str, &str)],
    content_type: Option<&str>,
    data: &[u8],
) -> Result<(), NotAnEvent> {
    let mut out = Object::begin(text);
    for (index, (name, value)) in attributes.iter().enumerate() {
        let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if name.is_empty() || !is_plain || matches!(*name, "data" | "datacontenttype") {
            let why = format!("{name:?} is no name of an attribute");
            return Err(NotAnEvent::Attribute { attribute: "name", why });
        }
        if attributes[..index].iter().any(|(other, _)| other == name) {
            let why = format!("{name:?} is there twice");
            return Err(NotAnEvent::Attribute { attribute: "name", why });
        }
        out.text(name, value);
    }
    if let Some(content_type) = content_type {
        out.text("datacontenttype", content_type);
    }
    if data.is_empty() {
        out.close();
        return Ok(());
    }
    if is_json(content_type) {
        let json: &RawValue = serde_json::from_slice(data)
            .map_err(|error| NotAnEvent::Unreadable(format!("data: {error}")))?;
        out.raw("data", json.get());
    } else {
        out.text("data_base64", &base64(data));
    }
    out.close();
    Ok(())
}

/// The plain envelope. What only our own extensions can carry is kept in them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainEnvelope<'a> {
    #[serde(borrow)]
    event_id: Option<&'a RawValue>,
    #[serde(borrow)]
    event_type: Option<&'a RawValue>,
    #[serde(borrow)]
    aggregate_id: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

/// What we read of an envelope's metadata.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "correlation_id")]
    correlation_id: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "causation_id")]
    causation_id: Option<Cow<'a, str>>,
}

/// Structured JSON of a plain envelope. Its source is `/envelope/<metadata.source>`, `/envelope` if
/// that says none.
///
/// # Errors
/// The text is not a JSON object, or its metadata are not of the right types.
pub fn envelope(text: &[u8]) -> Result<Vec<u8>, NotAnEvent> {
    let mut made = Vec::new();
    envelope_into(&mut made, text)?;
    Ok(made)
}

/// The same, behind what is in `made` already.
///
/// # Errors
/// As [`envelope`]; nothing stands in `made` then that did not before.
pub fn envelope_into(made: &mut Vec<u8>, text: &[u8]) -> Result<(), NotAnEvent> {
    if !is_object(text) {
        return Err(NotAnEvent::Unreadable("expected an envelope's object".into()));
    }
    let plain: PlainEnvelope<'_> =
        serde_json::from_slice(text).map_err(|error| NotAnEvent::Unreadable(error.to_string()))?;
    let metadata: Metadata<'_> = match plain.metadata {
        None => Metadata::default(),
        Some(raw) if is_object(raw.get().as_bytes()) => {
            serde_json::from_str(raw.get()).map_err(|error| NotAnEvent::Attribute {
                attribute: "metadata",
                why: error.to_string(),
            })?
        }
        Some(_) => return Err(NotAnEvent::attribute("metadata", "must be an object")),
    };
    let mut out = Object::begin(made);
    out.text("specversion", "1.0");
    out.id_if_any("id", plain.event_id);
    let source = metadata.source.map_or_else(|| "/envelope".into(), |s| format!("/envelope/{s}"));
    out.text("source", &source);
    out.raw_if_any("type", plain.event_type);
    out.id_if_any("subject", plain.aggregate_id);
    out.raw_if_any("time", plain.timestamp);
    out.raw_if_any("aggregateversion", plain.version);
    for (name, value) in [
        ("correlationid", metadata.correlation_id),
        ("causationid", metadata.causation_id),
        ("envelopemetadata", plain.metadata.map(|raw| raw.get().into())),
    ] {
        if let Some(value) = value {
            out.text(name, &value);
        }
    }
    out.raw_if_any("data", plain.payload);
    out.close();
    Ok(())
}

/// Whether this JSON text is an object's: a derived reader would take an array for one, field by
/// field.
fn is_object(json: &[u8]) -> bool {
    json.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// The events of a batch, a JSON array, each as its own text.
///
/// # Errors
/// The text is not a JSON array.
pub fn batch(text: &[u8]) -> Result<Vec<&[u8]>, NotAnEvent> {
    let events: Vec<&RawValue> =
        serde_json::from_slice(text).map_err(|error| NotAnEvent::Unreadable(error.to_string()))?;
    Ok(events.into_iter().map(|raw| raw.get().as_bytes()).collect())
}

/// A JSON object in the making, at the end of a text.
pub struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    /// Begins an object behind what is there.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// A member that is a string. Names are ours or checked: they need no escapes.
    pub fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        serde_json::to_writer(&mut *self.out, text).expect("a string always encodes");
    }

    /// A member whose value is JSON text already.
    pub fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.extend_from_slice(json.as_bytes());
    }

    fn raw_if_any(&mut self, name: &str, json: Option<&RawValue>) {
        if let Some(json) = json {
            self.raw(name, json.get());
        }
    }

    /// A number is as good an id as its digits are.
    pub fn id_if_any(&mut self, name: &str, json: Option<&RawValue>) {
        match json.map(RawValue::get) {
            Some(json) if json.bytes().all(|byte| byte.is_ascii_digit()) => self.text(name, json),
            Some(json) => self.raw(name, json),
            None => {}
        }
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Ends the object.
    pub fn close(self) {
        self.out.push(b'}');
    }
}

/// RFC 4648, section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}
