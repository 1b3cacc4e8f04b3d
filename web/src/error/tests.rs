//! Every error as the client gets it: status, code, whether to try again, and what its code needs.

use super::*;
use warp::http::{HeaderMap, HeaderValue};

struct Answered {
    headers: HeaderMap,
    body: Value,
}

fn answered(error: Error) -> Answered {
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_static("r-1"));
    let id = RequestId::of(&headers);
    let reply = error.into_reply(&id);
    let body: Value = serde_json::from_slice(&reply.body).expect("a problem is JSON");
    let status = reply.status;
    let response = reply.into_response(id);
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(body["status"], status);
    Answered { headers: response.headers().clone(), body }
}

#[test]
fn every_error_has_its_status_code_and_advice() {
    let fault = || vec![Fault::new("/amount", "must be positive")];
    let engine = || Overload::Engine("the disk is full".to_owned());
    let cases: Vec<(Error, u16, &str, &str)> = vec![
        (Error::BadRequest(fault()), 400, "bad-request", "never"),
        (Error::Validation(fault()), 422, "validation", "never"),
        (Error::NotFound("x".into()), 404, "not-found", "never"),
        (Error::NoRoute, 404, "not-found", "never"),
        (Error::MethodNotAllowed { allow: "GET".into() }, 405, "method-not-allowed", "never"),
        (Error::Conflict { reason: "x".into(), replayed: false }, 409, "conflict", "never"),
        (Error::IdempotencyMismatch, 422, "idempotency-mismatch", "never"),
        (Error::SequenceGap { next: 7 }, 409, "sequence-gap", "never"),
        (Error::SequenceMismatch { number: 7 }, 409, "sequence-mismatch", "never"),
        (Error::TooLarge("x".into()), 413, "too-large", "never"),
        (Error::UnsupportedMediaType("x".into()), 415, "unsupported-media-type", "never"),
        (Error::Overloaded(Overload::Count("x")), 429, "overloaded", "later"),
        (Error::Overloaded(engine()), 503, "overloaded", "later"),
        (Error::Overloaded(Overload::Stopping), 503, "overloaded", "later"),
        (Error::NotYet("x".into()), 503, "not-yet", "later"),
        (Error::Interrupted("x"), 503, "overloaded", "same"),
        (Error::Internal("secret".into()), 500, "internal", "later"),
    ];
    for (error, status, code, retry) in cases {
        let Answered { headers, body } = answered(error.clone());
        assert_eq!(body["status"], status, "{error:?}");
        assert_eq!(body["code"], code, "{error:?}");
        assert_eq!(body["retry"], retry, "{error:?}");
        assert_eq!(body["type"], format!("urn:bellwether:problem:{code}"));
        assert!(body["title"].is_string() && body["detail"].is_string());
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(headers["x-request-id"], "r-1");
        let waits = matches!(status, 429 | 503);
        assert_eq!(headers.contains_key("retry-after"), waits, "{error:?}");
    }
}

#[test]
fn each_code_brings_what_it_needs() {
    let body = answered(Error::SequenceGap { next: 7 }).body;
    assert_eq!(body["next_sequence"], 7);
    let body = answered(Error::bad("query:limit", "must be a number")).body;
    assert_eq!(body["errors"][0]["pointer"], "query:limit");
    assert_eq!(body["detail"], "query:limit: must be a number");
    let refused = answered(Error::Conflict { reason: "too late".into(), replayed: true });
    assert_eq!(refused.body["reason"], "too late");
    assert_eq!(refused.headers["idempotent-replayed"], "true");
    let method = answered(Error::MethodNotAllowed { allow: "GET, HEAD".into() });
    assert_eq!(method.headers["allow"], "GET, HEAD");
}

#[test]
fn nothing_of_our_inside_gets_out() {
    let body = answered(Error::Internal("open /var/secret failed".into())).body;
    assert!(!body.to_string().contains("secret"), "{body}");
}
