//! Domain events over a real socket: four forms of the same event, numbers, duplicates, and what
//! an inbox makes of them.
//!
//! What is *not* here: dialects and checks of data, which have tables of their own in `actors`.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;

use http::{Answer, Http};
use process::Process;
use serde_json::{Value, json};

const EVENTS: &str = "/api/v1/events";
const BATCH: (&str, &str) = ("content-type", "application/cloudevents-batch+json");
const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");

fn start() -> (Process, Http) {
    let process = Process::start(&[]);
    process.wait_ready();
    let http = Http::new(&process.url);
    (process, http)
}

fn event(id: &str, kind: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/test", "time": "2026-03-02T10:00:00Z",
        "type": format!("com.example.{kind}.v1"), "data": data
    })
}

fn enrolled(id: &str, user: &str) -> Value {
    event(id, "learning.enrollment.created", &json!({"user_id": user, "course_id": "c-1"}))
}

fn send(http: &Http, headers: &[(&str, &str)], body: &Value) -> Answer {
    http.send("POST", EVENTS, headers, body.to_string().as_bytes())
}

/// accepted, duplicates, ignored, rejected
fn counts(answer: &Answer) -> [u64; 4] {
    let data = answer.clone().expect(202).data();
    let rejected = data["rejected"].as_array().unwrap().len() as u64;
    let count = |name: &str| data[name].as_u64().unwrap();
    [count("accepted"), count("duplicates"), count("ignored"), rejected]
}

/// The inbox, as of what `answer` reflects.
fn inbox(http: &Http, user: &str, after: &Answer) -> Answer {
    let position = after.position();
    http.get(&format!("/api/v1/users/{user}/inbox?at_least={position}")).expect(200)
}

#[test]
fn the_four_forms_say_the_same() {
    let (_process, http) = start();
    let data = json!({"userId": "ada", "courseId": "c-1"}).to_string();
    send(&http, &[STRUCTURED], &enrolled("1", "ada")).expect(202);
    send(&http, &[BATCH], &json!([enrolled("2", "ada")])).expect(202);
    let binary = [
        ("content-type", "application/json; charset=utf-8"),
        ("ce-specversion", "1.0"),
        ("ce-id", "3"),
        ("ce-source", "/test%20with%20%E2%82%AC"),
        ("ce-type", "com.example.learning.enrollment.created.v1"),
        ("ce-time", "2026-03-02T10:00:00Z"),
    ];
    http.send("POST", EVENTS, &binary, data.as_bytes()).expect(202);
    let envelope = json!({
        "eventId": "4", "eventType": "ENROLLMENT_CREATED", "aggregateId": "e-4", "version": 1,
        "timestamp": "2026-03-02T10:00:00Z", "metadata": {"source": "web"},
        "payload": {"userId": "ada", "courseId": "c-1"}
    });
    let last = send(&http, &[("content-type", "application/json")], &envelope).expect(202);
    let items = inbox(&http, "ada", &last).data();
    let items = items.as_array().unwrap();
    assert_eq!(items.len(), 4);
    for item in items {
        assert_eq!(item["type"], "learning.enrollment.created");
        assert_eq!(item["time"], "2026-03-02T10:00:00.000Z");
        assert_eq!(item["data"]["course_id"], "c-1");
    }
}

#[test]
fn a_batch_takes_what_is_good_and_says_what_is_not() {
    let (_process, http) = start();
    let batch = json!([
        enrolled("1", "ada"),
        {"specversion": "1.0", "id": "2"},
        event("3", "weather.rain.started", &json!({})),
        enrolled("1", "ada"),
        event("4", "learning.enrollment.created", &json!({"course_id": "c-1"})),
    ]);
    let answer = send(&http, &[BATCH], &batch);
    assert_eq!(counts(&answer), [2, 1, 1, 1]);
    let rejected = answer.data()["rejected"][0].clone();
    assert_eq!((&rejected["index"], &rejected["code"]), (&json!(1), &json!("bad-request")));
    // The last one lacks its user: it was taken, and waits for somebody to look at it.
    let position = answer.position();
    let letters = http.get(&format!("/api/v1/ops/dead-letters?at_least={position}")).expect(200);
    let letter = letters.data()[0].clone();
    assert_eq!(letter["state"], "open");
    let path = format!("/api/v1/ops/dead-letters/{}", letter["id"].as_str().unwrap());
    assert_eq!(http.get(&path).expect(200).data()["payload"]["id"], "4");
    http.send("POST", &format!("{path}/retry"), &[], b"").expect(409);
    let discarded = http.send("POST", &format!("{path}/discard"), &[], b"").expect(200);
    assert_eq!(discarded.data()["state"], "discarded");
    http.send("POST", &format!("{path}/discard"), &[], b"").expect(409);
    assert_eq!(http.get("/api/v1/ops/dead-letters").expect(200).data(), json!([]));
    let alone = send(&http, &[STRUCTURED], &json!({"specversion": "1.0", "id": "2"})).expect(400);
    assert_eq!(alone.code(), "bad-request");
}

#[test]
fn a_producers_numbers_hold_for_ever() {
    let (mut process, http) = start();
    let numbered = |number: &'static str, body: &Value| {
        let headers = [BATCH, ("bellwether-producer", "shop 1"), ("bellwether-sequence", number)];
        send(&http, &headers, body)
    };
    let standing = || http.get("/api/v1/producers/shop%201").expect(200).data();
    assert_eq!(standing()["next_sequence"], 0);
    let batch = json!([enrolled("1", "ada"), {"no": "event"}, enrolled("2", "ada")]);
    assert_eq!(counts(&numbered("0", &batch)), [2, 0, 0, 1]);
    assert_eq!(standing()["next_sequence"], 3);
    let gap = numbered("4", &json!([enrolled("3", "ada")])).expect(409);
    assert_eq!(gap.code(), "sequence-gap");
    assert_eq!(gap.json()["next_sequence"], 3);
    let mismatch = numbered("2", &json!([enrolled("other", "ada")])).expect(409);
    assert_eq!(mismatch.code(), "sequence-mismatch");
    process.kill();
    process.restart();
    process.wait_ready();
    assert_eq!(standing()["next_sequence"], 3);
    let [accepted, duplicates, _, _] = counts(&numbered("0", &batch));
    assert_eq!((accepted, duplicates), (0, 2));
    let last = numbered("2", &json!([enrolled("2", "ada"), enrolled("3", "ada")]));
    assert_eq!(counts(&last), [1, 1, 0, 0]);
    assert_eq!(inbox(&http, "ada", &last).json()["meta"]["total"], 3);
    let names = http.get("/api/v1/producers").expect(200).data();
    assert_eq!(names[0]["name"], "shop 1");
    assert!(names[0]["last_at"].is_string());
}

#[test]
fn an_inbox_is_read_marked_and_paged() {
    let (_process, http) = start();
    let batch: Vec<Value> = (0..25).map(|n| enrolled(&n.to_string(), "ada")).collect();
    let sent = send(&http, &[BATCH], &json!(batch)).expect(202);
    let first = inbox(&http, "ada", &sent);
    let body = first.json();
    assert_eq!((&body["meta"]["unread"], &body["meta"]["total"]), (&json!(25), &json!(25)));
    let items = first.data().as_array().unwrap().clone();
    assert_eq!(items.len(), 20);
    let cursor = first.next().unwrap();
    let rest = http.get(&format!("/api/v1/users/ada/inbox?cursor={cursor}")).expect(200);
    assert_eq!(rest.data().as_array().unwrap().len(), 5);
    assert_eq!(rest.next(), None);
    let positions: Vec<u64> = items.iter().map(|i| i["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted_by(|newer, older| newer > older), "{positions:?}");

    let path = format!("/api/v1/users/ada/inbox/{}", items[0]["id"].as_str().unwrap());
    let mark = |how: &str| http.send("POST", &format!("{path}/{how}"), &[], b"").expect(200).data();
    assert_eq!(mark("read")["read"], true);
    assert_eq!(mark("read")["read"], true);
    assert_eq!(mark("archive")["archived"], true);
    let listed = |query: &str| {
        let answer = http.get(&format!("/api/v1/users/ada/inbox?limit=100&{query}")).expect(200);
        answer.data().as_array().unwrap().len()
    };
    let lists =
        [listed(""), listed("archived=include"), listed("archived=only"), listed("unread=true")];
    assert_eq!(lists, [24, 25, 1, 24]);
    assert_eq!(mark("unarchive")["archived"], false);
    assert_eq!(mark("unread")["read"], false);
    assert_eq!(http.get(&path).expect(200).data()["read"], false);

    let all = http.send("POST", "/api/v1/users/ada/inbox/read-all", &[], b"").expect(200);
    assert_eq!(all.data(), json!({"unread": 0, "total": 25}));
    let later = send(&http, &[STRUCTURED], &enrolled("later", "ada")).expect(202);
    assert_eq!(inbox(&http, "ada", &later).json()["meta"]["unread"], 1);
    let nobody = http.send("POST", "/api/v1/users/nobody/inbox/read-all", &[], b"").expect(200);
    assert_eq!(nobody.data(), json!({"unread": 0, "total": 0}));
    http.get("/api/v1/entities/inbox/nobody").expect(404);
    assert_eq!(http.get("/api/v1/entities/inbox").expect(200).data(), json!(["ada"]));
}

#[test]
fn a_course_adds_up() {
    let (_process, http) = start();
    let handed_in = |id: &str, score: f64| {
        let data = json!({
            "user_id": "ada", "course_id": "c/1", "assignment_id": "a", "score": score,
            "due": "2026-03-01T00:00:00Z"
        });
        event(id, "learning.assignment.submitted", &data)
    };
    let batch = json!([handed_in("1", 70.5), handed_in("2", 80.0)]);
    let position = send(&http, &[BATCH], &batch).expect(202).position();
    let report = http.get(&format!("/api/v1/courses/c%2F1/report?at_least={position}"));
    let report = report.expect(200).data();
    assert_eq!(report["submissions"]["count"], 2);
    assert_eq!(report["submissions"]["late"], 2);
    assert_eq!(report["submissions"]["score_mean"], 75.25);
    let series = |query: &str| {
        http.get(&format!("/api/v1/courses/c%2F1/report/series?metric=submissions&{query}"))
    };
    let month = json!([{"start": "2026-03-01T00:00:00.000Z", "value": 2}]);
    assert_eq!(series("bucket=month").expect(200).data(), month);
    let week = json!([{"start": "2026-03-02T00:00:00.000Z", "value": 2}]);
    assert_eq!(series("bucket=week&from=2026-03-02&to=2026-03-03").expect(200).data(), week);
    let none = series("bucket=day&from=2026-03-03T00:00:00Z").expect(200);
    assert_eq!(none.data(), json!([]));
    let many = series("bucket=day&from=1900-01-01&to=2026-01-01").expect(422);
    assert_eq!(many.code(), "validation");
    let courses = http.get("/api/v1/courses").expect(200).data();
    assert_eq!(courses[0]["course"], "c/1");
}
