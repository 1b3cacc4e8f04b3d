//! CloudEvents' HTTP binding, binary mode: attributes are headers, data is the body.
//!
//! A value is first freed of double quotes, then percent-decoded, once; the result must be UTF-8
//! without control characters. `content-type` is `datacontenttype`, which must not come as a header
//! of its own. What is *not* here: what the attributes mean.

use super::not_an_event;
use crate::error::Error;
use crate::text;
use actors::event::canonical;
use std::borrow::Cow;
use warp::http::HeaderMap;

const PREFIX: &str = "ce-";

/// Whether any attribute comes as a header.
pub(super) fn has_attributes(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with(PREFIX))
}

/// A header that may come once, as text.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused(name, "is given more than once"));
    }
    let text = std::str::from_utf8(value.as_bytes());
    text.map(Some).map_err(|_| refused(name, "is not UTF-8"))
}

/// The media type without parameters, in lower case; empty if there is none.
pub(super) fn media_type(headers: &HeaderMap) -> Result<String, Error> {
    let text = single(headers, "content-type")?.unwrap_or_default();
    Ok(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Structured JSON of an event in binary mode.
pub(super) fn binary(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Error> {
    let mut attributes = Vec::new();
    for name in headers.keys() {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else { continue };
        if attribute == "datacontenttype" {
            return Err(refused(name.as_str(), "must not come: the content type says it"));
        }
        if attribute.is_empty() || !attribute.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(refused(name.as_str(), "is no name of an attribute: letters and digits"));
        }
        let value = single(headers, name.as_str())?.unwrap_or_default();
        attributes.push((attribute, decode(name.as_str(), value)?));
    }
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| (*name, &**value)).collect();
    let content_type = single(headers, "content-type")?;
    canonical::binary(&attributes, content_type, body).map_err(|fault| not_an_event(&fault))
}

/// The attribute's value that a header's value stands for.
fn decode<'a>(name: &str, value: &'a str) -> Result<Cow<'a, str>, Error> {
    let malformed = || refused(name, "is not percent-encoded UTF-8");
    let decoded = match unquote(name, value)? {
        Cow::Borrowed(text) => text::percent_decode(text).ok_or_else(malformed)?,
        Cow::Owned(text) => Cow::Owned(text::percent_decode(&text).ok_or_else(malformed)?.into()),
    };
    if decoded.chars().any(char::is_control) {
        return Err(refused(name, "must not contain control characters"));
    }
    Ok(decoded)
}

/// Frees a value of double quotes; inside them a backslash makes the next character stand for
/// itself.
fn unquote<'a>(name: &str, value: &'a str) -> Result<Cow<'a, str>, Error> {
    let Some(inner) = value.strip_prefix('"') else { return Ok(Cow::Borrowed(value)) };
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if characters.as_str().is_empty() => return Ok(Cow::Owned(out)),
            '\\' => out.extend(characters.next()),
            '"' => break,
            other => out.push(other),
        }
    }
    Err(refused(name, "has a double quote that does not end it"))
}

fn refused(name: &str, why: &str) -> Error {
    Error::bad(format!("header:{name}"), why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use warp::http::{HeaderName, HeaderValue};

    /// After the conformance features of the CloudEvents project (Apache-2.0), and the examples of
    /// its HTTP binding.
    #[test]
    fn values_are_unquoted_then_decoded_once() {
        let cases = [
            ("1234-1234-1234", Some("1234-1234-1234")),
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", Some("Euro € 😀")),
            ("%2522", Some("%22")),
            ("\"quoted\"", Some("quoted")),
            ("\"a \\\"b\\\" c\"", Some("a \"b\" c")),
            ("\"Euro%20%E2%82%AC\"", Some("Euro €")),
            ("in \"the\" middle", Some("in \"the\" middle")),
            ("", Some("")),
            ("%C0%A0", None),
            ("%E2%82", None),
            ("100%", None),
            ("%0A", None),
            ("\"open", None),
            ("\"early\" end", None),
        ];
        for (value, decoded) in cases {
            assert_eq!(decode("ce-x", value).ok().as_deref(), decoded, "{value}");
        }
    }

    fn event(pairs: &[(&str, &str)], body: &str) -> Result<serde_json::Value, Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let text = binary(&headers, body.as_bytes())?;
        Ok(serde_json::from_slice(&text).expect("canonical text is JSON"))
    }

    #[test]
    fn binary_mode_becomes_the_same_event_as_structured_mode() {
        for content_type in ["application/json", "application/json; charset=utf-8"] {
            let pairs = [
                ("CE-SpecVersion", "1.0"),
                ("ce-type", "com.example.someevent"),
                ("ce-time", "2018-04-05T03:56:24Z"),
                ("ce-id", "1234-1234-1234"),
                ("ce-source", "/mycontext/subcontext"),
                ("content-type", content_type),
                ("x-other", "ignored"),
            ];
            let structured = serde_json::json!({
                "specversion": "1.0",
                "type": "com.example.someevent",
                "time": "2018-04-05T03:56:24Z",
                "id": "1234-1234-1234",
                "source": "/mycontext/subcontext",
                "datacontenttype": content_type,
                "data": {"message": "Hello World!"},
            });
            assert_eq!(event(&pairs, r#"{"message": "Hello World!"}"#), Ok(structured));
        }
    }

    #[test]
    fn headers_that_cannot_be_attributes_are_refused_by_name() {
        for (name, value) in
            [("ce-datacontenttype", "x"), ("ce-", "x"), ("ce-my_name", "x"), ("ce-id", "%zz")]
        {
            let Err(Error::BadRequest(faults)) = event(&[(name, value)], "") else {
                panic!("{name} was taken")
            };
            assert_eq!(faults[0].pointer, format!("header:{name}"));
        }
        assert!(event(&[("ce-id", "1"), ("ce-id", "1")], "").is_err());
    }
}
