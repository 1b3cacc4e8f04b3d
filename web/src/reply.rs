//! What goes back: status, a few headers, one buffer. The envelopes of data, lists and problems are
//! written here.
//!
//! Data that is JSON text already is copied in as it stands, never parsed again. What is *not*
//! here: what an error means (it is `error.rs`'s).

use serde::Serialize;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use topology::remembered::Rendered;
use warp::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// An answer on its way out.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub status: u16,
    content_type: &'static str,
    headers: Vec<(&'static str, HeaderValue)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, headers: Vec::new(), body }
    }

    /// `{"data": …, "meta": {"position": P}}`
    pub(crate) fn data(data: &impl Serialize, position: u64) -> Self {
        let mut body = Envelope::begin(256);
        body.json(data);
        Self::new(200, JSON, body.meta(position).end())
    }

    /// The same, of JSON text.
    pub(crate) fn text(data: &[u8], position: u64) -> Self {
        let mut body = Envelope::begin(data.len() + 48);
        body.text(data);
        Self::new(200, JSON, body.meta(position).end())
    }

    /// A rendered answer, read at this position.
    pub(crate) fn rendered(rendered: &Rendered, position: u64) -> Self {
        let (before, after) = rendered.text.split_at(rendered.gap);
        let mut body = Vec::with_capacity(rendered.text.len() + POSITION_BYTES_MAX);
        body.extend_from_slice(before);
        write_json(&mut body, &position);
        body.extend_from_slice(after);
        Self::new(200, JSON, body)
    }

    /// An envelope that the caller has written.
    pub(crate) fn enveloped(envelope: Envelope) -> Self {
        Self::new(200, JSON, envelope.end())
    }

    /// Plain JSON, without an envelope.
    pub(crate) fn json(status: u16, value: &impl Serialize) -> Self {
        let mut body = Vec::with_capacity(128);
        write_json(&mut body, value);
        Self::new(status, JSON, body)
    }

    /// An RFC 9457 problem.
    pub(crate) fn problem(status: u16, value: &impl Serialize) -> Self {
        Self { content_type: "application/problem+json", ..Self::json(status, value) }
    }

    /// Prometheus text.
    pub(crate) fn metrics(text: String) -> Self {
        Self::new(200, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes())
    }

    /// With another status.
    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// With one more header. A value that cannot stand in a header is left out.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// As warp wants it.
    pub(crate) fn into_response(self, id: RequestId) -> warp::reply::Response {
        let mut response = warp::reply::Response::new(self.body.into());
        *response.status_mut() =
            StatusCode::from_u16(self.status).expect("every status of ours is between 100 and 599");
        let headers = response.headers_mut();
        headers.reserve(3 + self.headers.len());
        headers.insert("content-type", HeaderValue::from_static(self.content_type));
        headers.insert(&REQUEST_ID, id.0);
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

const JSON: &str = "application/json";
/// The digits of a position.
const POSITION_BYTES_MAX: usize = 20;
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outer object of an answer, while it is written: data, then meta, then page.
#[derive(Debug)]
pub(crate) struct Envelope(Vec<u8>);

impl Envelope {
    /// Begins with `{"data":`.
    pub(crate) fn begin(capacity: usize) -> Self {
        let mut body = Vec::with_capacity(capacity + 64);
        body.extend_from_slice(b"{\"data\":");
        Self(body)
    }

    /// Appends a value as JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) {
        write_json(&mut self.0, value);
    }

    /// Appends what is JSON text already.
    pub(crate) fn text(&mut self, text: &[u8]) {
        self.0.extend_from_slice(text);
    }

    /// Appends a list whose items are JSON text already.
    pub(crate) fn list<T: AsRef<[u8]>>(&mut self, items: impl IntoIterator<Item = T>) {
        self.0.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            self.0.extend_from_slice(item.as_ref());
        }
        self.0.push(b']');
    }

    /// Ends the data: `,"meta":{"position":P}`
    pub(crate) fn meta(mut self, position: u64) -> Self {
        self.0.extend_from_slice(META);
        self.json(&position);
        self.0.push(b'}');
        self
    }

    /// A whole list with counts beside it, and a gap in its meta where the position belongs.
    pub(crate) fn rendered(mut self, counts: &[(&str, u64)], next: Option<&str>) -> Rendered {
        self.0.extend_from_slice(META);
        let gap = self.0.len();
        for (name, value) in counts {
            self.0.push(b',');
            self.json(name);
            self.0.push(b':');
            self.json(value);
        }
        self.0.push(b'}');
        let mut text = self.page(next).end();
        // It may be kept for long.
        text.shrink_to_fit();
        Rendered { text: text.into(), gap }
    }

    /// `,"page":{"next":…}`
    pub(crate) fn page(mut self, next: Option<&str>) -> Self {
        self.0.extend_from_slice(b",\"page\":{\"next\":");
        self.json(&next);
        self.0.push(b'}');
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

const META: &[u8] = b",\"meta\":{\"position\":";

fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value)
        .expect("answers have string keys, and memory takes any write");
}

/// `X-Request-Id`: the caller's if it is sane, else a new one.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

/// The longest id we repeat, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

impl RequestId {
    /// Reads it, or makes one. Sane is what can stand in a log line and a shell without quoting.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match headers.get(&REQUEST_ID) {
            Some(given) if Self::is_sane(given.as_bytes()) => Self(given.clone()),
            _ => Self::fresh(),
        }
    }

    fn is_sane(text: &[u8]) -> bool {
        (1..=REQUEST_ID_BYTES_MAX).contains(&text.len())
            && text.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(b))
    }

    /// Unique within a process's life, and different from process to process.
    fn fresh() -> Self {
        static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("request id"));
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 16];
        let mut rest = number ^ *SEED;
        for digit in text.iter_mut().rev() {
            *digit = b"0123456789abcdef"[(rest & 15) as usize];
            rest >>= 4;
        }
        Self(HeaderValue::from_bytes(&text).expect("hex digits may stand in a header"))
    }

    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("only visible ASCII is let in")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &[u8]) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_bytes(text).expect("a header"));
        RequestId::of(&headers)
    }

    #[test]
    fn a_sane_request_id_is_repeated_and_any_other_replaced() {
        assert_eq!(given(b"req-42/a:b").as_str(), "req-42/a:b");
        assert_eq!(given(&[b'x'; 128]).as_str().len(), 128);
        for bad in [&b""[..], b"two words", b"\"", "ü".as_bytes(), &[b'x'; 129], b"a\tb"] {
            assert_eq!(given(bad).as_str().len(), 16, "{bad:?}");
        }
        assert_ne!(RequestId::fresh().as_str(), RequestId::fresh().as_str());
    }

    #[test]
    fn envelopes_are_json() {
        let mut list = Envelope::begin(0);
        list.list(["1", "{}"]);
        let reply = Reply::rendered(&list.rendered(&[("unread", 2)], Some("abc")), 7);
        assert_eq!(
            String::from_utf8(reply.body).expect("text"),
            r#"{"data":[1,{}],"meta":{"position":7,"unread":2},"page":{"next":"abc"}}"#
        );
        let reply = Reply::text(br#"{"a":1}"#, 3);
        assert_eq!(reply.body, br#"{"data":{"a":1},"meta":{"position":3}}"#);
        let reply = Reply::data(&"x", 0);
        assert_eq!(reply.body, br#"{"data":"x","meta":{"position":0}}"#);
    }
}
