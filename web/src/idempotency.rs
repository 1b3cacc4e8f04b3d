//! `Idempotency-Key`: its rules, and the fingerprint that tells a repeat from another request under
//! the same key.
//!
//! The fingerprint covers method, route, the ids in the path and the body's JSON in canonical form
//! (keys sorted, white space gone), so that a client which writes its JSON anew on each try is
//! still repeating itself. What is *not* here: remembering anything, which is the engine's.

use crate::error::Error;
use serde_json::Value;
use warp::http::HeaderMap;
use xxhash_rust::xxh3::Xxh3;

/// The longest key, in characters.
const KEY_CHARS_MAX: usize = 255;

/// The request's key, if it has one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let refused = |why: &str| Error::bad("header:Idempotency-Key", why);
    let mut given = headers.get_all("idempotency-key").iter();
    let Some(value) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(refused("is given more than once"));
    }
    let bytes = value.as_bytes();
    if !(1..=KEY_CHARS_MAX).contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(refused("must be 1 to 255 visible ASCII characters"));
    }
    Ok(Some(bytes.iter().map(|&byte| char::from(byte)).collect()))
}

/// A hash of what is asked for.
pub(crate) fn fingerprint<'a>(
    method: &str,
    template: &str,
    ids: impl IntoIterator<Item = &'a str>,
    body: &Value,
) -> u64 {
    let mut hash = Xxh3::with_seed(2);
    text(&mut hash, method);
    text(&mut hash, template);
    for id in ids {
        text(&mut hash, id);
    }
    json(&mut hash, body);
    hash.digest()
}

fn text(hash: &mut Xxh3, text: &str) {
    hash.update(&(text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

/// Adds a value, each with its type in front, objects by sorted keys whatever the order of the map.
fn json(hash: &mut Xxh3, value: &Value) {
    match value {
        Value::Null => hash.update(b"n"),
        Value::Bool(flag) => hash.update(if *flag { b"t" } else { b"f" }),
        Value::Number(number) => {
            hash.update(b"#");
            text(hash, &number.to_string());
        }
        Value::String(string) => {
            hash.update(b"\"");
            text(hash, string);
        }
        Value::Array(items) => {
            hash.update(b"[");
            for item in items {
                json(hash, item);
            }
            hash.update(b"]");
        }
        Value::Object(fields) => {
            hash.update(b"{");
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in sorted {
                text(hash, name);
                json(hash, value);
            }
            hash.update(b"}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use warp::http::HeaderValue;

    fn read(values: &[&[u8]]) -> Result<Option<String>, Error> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("idempotency-key", HeaderValue::from_bytes(value).expect("a header"));
        }
        key(&headers)
    }

    #[test]
    fn keys_are_visible_ascii_and_come_once() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"order-17:\"x\""]), Ok(Some("order-17:\"x\"".to_owned())));
        assert!(read(&[&[b'k'; 255]]).is_ok());
        for bad in [&b""[..], b"two words", "ü".as_bytes(), &[b'k'; 256], b"tab\t"] {
            assert!(read(&[bad]).is_err(), "{bad:?}");
        }
        assert!(read(&[b"a", b"a"]).is_err());
    }

    #[test]
    fn a_fingerprint_ignores_form_and_sees_content() {
        let of = |template: &str, ids: &[&str], body: &str| {
            let body = serde_json::from_str(body).expect("JSON");
            fingerprint("POST", template, ids.iter().copied(), &body)
        };
        let first = of("/p", &["a"], r#"{"x":1,"y":[true,null]}"#);
        assert_eq!(first, of("/p", &["a"], r#" {"y": [true, null], "x": 1} "#));
        let others = [
            of("/q", &["a"], r#"{"x":1,"y":[true,null]}"#),
            of("/p", &["b"], r#"{"x":1,"y":[true,null]}"#),
            of("/p", &[], r#"{"x":1,"y":[true,null]}"#),
            of("/p", &["a"], r#"{"x":2,"y":[true,null]}"#),
            of("/p", &["a"], r#"{"x":1,"y":[null,true]}"#),
            of("/p", &["a"], r#"{"x":"1","y":[true,null]}"#),
            of("/p", &["a"], r#"{"x":1,"y":[true],"z":null}"#),
        ];
        assert!(others.iter().all(|other| *other != first));
    }
}
