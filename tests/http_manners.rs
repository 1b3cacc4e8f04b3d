//! The manners of the API, over a real socket: every error code, ids of requests, cursors, caps.
//!
//! What is *not* here: what the resources are about (`http_events.rs`, `http_payments.rs`).

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;

use http::Http;
use process::Process;
use serde_json::{Value, json};

fn start() -> (Process, Http) {
    let process = Process::start(&[]);
    process.wait_ready();
    let http = Http::new(&process.url);
    (process, http)
}

/// A request that must fail.
struct Bad {
    method: &'static str,
    path: String,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    status: u16,
    code: &'static str,
    /// The first place at fault.
    pointer: &'static str,
}

fn bad_get(path: &str, status: u16, code: &'static str, pointer: &'static str) -> Bad {
    Bad { method: "GET", path: path.to_owned(), headers: &[], body: "", status, code, pointer }
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const KEYED: &[(&str, &str)] = &[("content-type", "application/json"), ("idempotency-key", "k")];
const BATCH: &[(&str, &str)] = &[("content-type", "application/cloudevents-batch+json")];

fn bad_post(path: &str, headers: &'static [(&str, &str)], body: &'static str) -> Bad {
    Bad { method: "POST", headers, body, ..bad_get(path, 400, "bad-request", "body") }
}

fn bad_reads() -> Vec<Bad> {
    let long = "x".repeat(10_000);
    let bad_query = |query: &str, pointer| {
        bad_get(&format!("/api/v1/users/u/inbox?{query}"), 400, "bad-request", pointer)
    };
    let series = |query: &str, status, code, pointer| {
        let path = format!("/api/v1/courses/nowhere/report/series?{query}");
        bad_get(&path, status, code, pointer)
    };
    vec![
        bad_query("limit=0", "query:limit"),
        bad_query("limit=101", "query:limit"),
        bad_query("unread=yes", "query:unread"),
        bad_query("archived=no", "query:archived"),
        bad_query("cursor=nonsense", "query:cursor"),
        bad_query("at_least=-1", "query:at_least"),
        bad_query("limit=%C0", "query:limit"),
        bad_get("/api/v1/users/a%0Ab/inbox", 400, "bad-request", "path:user"),
        bad_get(&format!("/api/v1/users/{long}/inbox"), 400, "bad-request", "path:user"),
        bad_get("/api/v1/users/u/inbox/17-3", 404, "not-found", ""),
        bad_get("/api/v1/users/u/inbox/017-3", 404, "not-found", ""),
        bad_get("/api/v1/payments/none", 404, "not-found", ""),
        bad_get("/api/v1/payments/none/history", 404, "not-found", ""),
        bad_get("/api/v1/payments?status=odd", 400, "bad-request", "query:status"),
        bad_get("/api/v1/courses/none/report", 404, "not-found", ""),
        series("bucket=day", 400, "bad-request", "query:metric"),
        series("metric=revenue&bucket=day", 400, "bad-request", "query:currency"),
        series("metric=revenue&bucket=day&currency=eur", 400, "bad-request", "query:currency"),
        series("metric=submissions&bucket=hour", 400, "bad-request", "query:bucket"),
        series("metric=submissions&bucket=day&from=x", 400, "bad-request", "query:from"),
        bad_get("/api/v1/entities/unicorn", 404, "not-found", ""),
        bad_get("/api/v1/entities/inbox/none", 404, "not-found", ""),
        bad_get("/api/v1/entities/inbox/none/history", 404, "not-found", ""),
        bad_get("/api/v1/ops/dead-letters/none", 404, "not-found", ""),
        bad_get("/api/v1/ops/dead-letters?state=odd", 400, "bad-request", "query:state"),
        bad_get("/api/v2/payments", 404, "not-found", ""),
        bad_get("/", 404, "not-found", ""),
        Bad { method: "DELETE", ..bad_get("/api/v1/payments", 405, "method-not-allowed", "") },
    ]
}

/// Without a body that could be at fault.
fn other(bad: Bad, status: u16, code: &'static str) -> Bad {
    Bad { status, code, pointer: "", ..bad }
}

fn bad_commands() -> Vec<Bad> {
    const TEXT: &[(&str, &str)] = &[("content-type", "text/plain"), ("idempotency-key", "k")];
    let unsupported = "unsupported-media-type";
    vec![
        Bad { pointer: "header:Idempotency-Key", ..bad_post("/api/v1/payments", JSON, "{}") },
        bad_post("/api/v1/payments", KEYED, "{"),
        other(bad_post("/api/v1/payments", KEYED, "[]"), 422, "validation"),
        other(bad_post("/api/v1/payments", TEXT, "{}"), 415, unsupported),
        other(bad_post("/api/v1/payments/none/capture", KEYED, "{}"), 404, "not-found"),
        other(bad_post("/api/v1/users/u/inbox/0-0/read", JSON, ""), 404, "not-found"),
        bad_post("/api/v1/events", BATCH, "{}"),
        bad_post("/api/v1/events", JSON, "nonsense"),
        other(bad_post("/api/v1/events", TEXT, "x"), 415, unsupported),
    ]
}

#[test]
fn every_bad_request_is_told_its_code_and_place() {
    let (_process, http) = start();
    for bad in bad_reads().into_iter().chain(bad_commands()) {
        let answer = http.send(bad.method, &bad.path, bad.headers, bad.body.as_bytes());
        let what = format!("{} {} {}: {}", bad.method, bad.path, bad.body, answer.text);
        let body = answer.json();
        assert_eq!(answer.status, bad.status, "{what}");
        assert_eq!(body["code"], bad.code, "{what}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
        assert_eq!(
            body["errors"][0]["pointer"].as_str().unwrap_or_default(),
            bad.pointer,
            "{what}"
        );
        assert!(!answer.header("x-request-id").is_empty(), "{what}");
    }
    assert_eq!(http.send("PUT", "/api/v1/payments", &[], b"").header("allow"), "POST, GET, HEAD");
}

#[test]
fn every_fault_of_a_payment_is_told_at_once() {
    let (_process, http) = start();
    let body = json!({
        "user_id": "a\nb", "amount": -1, "currency": "eur", "capture": "later",
        "method": {"type": "card", "token": "pm_gold"}, "metadata": []
    });
    let answer = http.post("/api/v1/payments", &[("idempotency-key", "k")], &body).expect(422);
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    let mut pointers: Vec<&str> =
        errors.iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    let all = ["/amount", "/capture", "/currency", "/metadata", "/method/token", "/user_id"];
    assert_eq!(pointers, all);
    for amount in [json!(0), json!(1_000_000_000_001_u64), json!(1.5), json!("7"), json!(null)] {
        let body = json!({"user_id": "u", "amount": amount, "currency": "EUR"});
        let answer = http.post("/api/v1/payments", &[("idempotency-key", "k")], &body);
        assert_eq!((answer.status, answer.code().as_str()), (422, "validation"), "{amount}");
    }
}

#[test]
fn bodies_are_capped_and_batches_may_be_larger() {
    let (_process, http) = start();
    let spaces = |bytes: usize| [b"[", vec![b' '; bytes - 2].as_slice(), b"]"].concat();
    let events = "/api/v1/events";
    http.send("POST", events, BATCH, &spaces(8 << 20)).expect(202);
    let answer = http.send("POST", events, BATCH, &spaces((8 << 20) + 1)).expect(413);
    assert_eq!(answer.code(), "too-large");
    let answer = http.send("POST", "/api/v1/payments", KEYED, &spaces((1 << 20) + 1)).expect(413);
    assert_eq!(answer.code(), "too-large");
    // A body whose length nobody has declared is counted while it comes.
    let mut chunked = format!(
        "POST {events} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         connection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        (1 << 20) + 1
    )
    .into_bytes();
    chunked.extend(vec![b' '; (1 << 20) + 1]);
    chunked.extend(b"\r\n0\r\n\r\n");
    assert_eq!(http.raw(&chunked).expect(413).code(), "too-large");
}

/// Numbers that look random and come from a seed: splitmix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)) % end as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Well-formed as HTTP, and otherwise put together by chance.
fn any_request(chance: &mut Chance) -> Vec<u8> {
    let paths = [
        "/api/v1/events",
        "/api/v1/payments",
        "/api/v1/payments/p/capture",
        "/api/v1/courses",
        "/api/v1/users/u/inbox",
        "/api/v1/users/u/inbox/read-all",
        "/api/v1/entities/payment/p",
        "/api/v1/users/u/inbox/0-0/read",
        "/api/v1/courses/c/report/series",
        "/api/v1/producers/x",
        "/api/v1/ops/dead-letters/x/retry",
        "/%",
        "//",
        "/api/v1/users/%00/inbox",
        "/*",
    ];
    let queries =
        ["", "?", "?&&=", "?limit=9&limit=9", "?at_least=0&cursor=0", "?metric=x", "?a=%ff"];
    let headers = [
        "content-type: application/json",
        "content-type: application/cloudevents+json",
        "content-type: application/cloudevents-batch+json",
        "content-type: ;;",
        "ce-id: %ff",
        "ce-specversion: 1.0",
        "idempotency-key: k",
        "bellwether-sequence: 99999999999999999999",
        "bellwether-producer: p",
        "bellwether-sequence: 0",
        "x-request-id: \u{7f}",
        "ce-time: now",
    ];
    let bodies = [
        "",
        "{}",
        "[]",
        "[[[[",
        "null",
        "{\"specversion\":\"1.0\"}",
        "[null,1,{}]",
        "\u{0}",
        "{\"amount\":1e400}",
        "{\"user_id\":\"u\",\"amount\":1,\"currency\":\"EUR\"}",
        "{\"eventId\":1,\"eventType\":[],\"metadata\":7}",
        "\"\\ud800\"",
    ];
    let method = chance.one(&["GET", "POST", "POST", "POST", "PUT", "HEAD", "OPTIONS"]);
    let mut text =
        format!("{method} {}{} HTTP/1.1\r\nhost: x\r\n", chance.one(&paths), chance.one(&queries));
    for _ in 0..chance.below(5) {
        text += &format!("{}\r\n", chance.one(&headers));
    }
    let mut body = chance.one(&bodies).as_bytes().to_vec();
    if chance.below(4) == 0 && !body.is_empty() {
        let at = chance.below(body.len());
        body[at] = chance.below(256) as u8;
    }
    text += &format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    [text.into_bytes(), body].concat()
}

#[test]
fn whatever_is_asked_nothing_of_ours_fails() {
    let (_process, http) = start();
    for seed in 0..600 {
        let request = any_request(&mut Chance(seed));
        let answer = http.raw(&request);
        let what = format!("seed {seed}: {}\n{}", String::from_utf8_lossy(&request), answer.text);
        assert!(answer.status < 500, "{what}");
        if answer.status >= 400 && answer.headers.contains_key("x-request-id") {
            assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
        }
    }
    http.get("/health/live").expect(200);
}

#[test]
fn a_request_id_comes_back_and_heads_have_no_body() {
    let (_process, http) = start();
    let answer = http.send("GET", "/health/live", &[("x-request-id", "mine-1")], b"").expect(200);
    assert_eq!(answer.header("x-request-id"), "mine-1");
    let answer = http.send("HEAD", "/api/v1/users/u/inbox", &[], b"").expect(200);
    assert_eq!(answer.text, "");
    assert_ne!(answer.header("content-length"), "0");
}

#[test]
fn a_read_waits_for_the_position_it_asks_for_and_no_longer() {
    let (_process, http) = start();
    let answer = http.get("/api/v1/users/u/inbox?at_least=1000000").expect(503);
    assert_eq!(answer.code(), "not-yet");
    assert_eq!(answer.header("retry-after"), "1");
    let answer = http.get("/api/v1/users/u/inbox?at_least=0").expect(200);
    assert_eq!(answer.data(), json!([]));
    let body = answer.json();
    assert_eq!(body["meta"]["unread"], 0);
    assert_eq!(body["meta"]["total"], 0);
    assert_eq!(body["page"]["next"], Value::Null);
}

#[test]
fn operators_see_the_process_as_it_lives() {
    let (_process, http) = start();
    assert_eq!(http.get("/api/v1/ops/tree").expect(200).data()["actor"], "root");
    assert!(!http.get("/api/v1/ops/shards").expect(200).data().as_array().unwrap().is_empty());
    assert_eq!(http.get("/api/v1/ops/dead-letters").expect(200).data(), json!([]));
    let metrics = http.get("/metrics").expect(200);
    assert!(metrics.header("content-type").starts_with("text/plain"));
    let labels = r#"{route="/api/v1/ops/tree",method="GET",status="200"}"#;
    let line = format!("bellwether_http_requests_total{labels} 1");
    assert!(metrics.text.contains(&line), "{}", metrics.text);
}
