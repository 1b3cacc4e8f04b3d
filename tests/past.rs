//! The past, over the real edges: `as_of` over HTTP, `inspect --until` and `replay` on the command
//! line.
//!
//! What is *not* here: that what was is folded right (`topology/tests/as_of.rs`, `replay.rs`).

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/process.rs"]
mod process;

use process::{Process, bellwether};
use serde_json::{Value, json};
use std::process::Output;

/// Tells the process that somebody has enrolled, and gives the position behind it.
fn enroll(process: &Process, number: u64) -> u64 {
    let event = json!({
        "specversion": "1.0", "id": format!("e-{number}"), "source": "/past",
        "type": "com.example.learning.enrollment.created.v1",
        "time": format!("2026-11-{:02}T09:00:00Z", 1 + number % 20),
        "data": {"user_id": "ada", "course_id": "c-1"},
    });
    let headers = [("content-type", "application/cloudevents+json")];
    let (status, answer) = process.post("/api/v1/events", &headers, &event.to_string());
    assert_eq!(status, 202, "{answer}");
    answer["meta"]["position"].as_u64().unwrap()
}

/// The status and the body of an answer that is a problem.
fn problem(process: &Process, path: &str) -> (u16, Value) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
    let mut answer = config.new_agent().get(format!("{}{path}", process.url)).call().unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap())
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = bellwether().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn what_was_is_read_over_http_and_on_the_command_line() {
    let mut process = Process::start(&[]);
    process.wait_ready();
    let positions: Vec<u64> = (0..12).map(|number| enroll(&process, number)).collect();
    let end = *positions.last().unwrap();
    for (count, position) in (1..).zip(&positions) {
        let at = |path: &str| process.get(&format!("/api/v1/{path}as_of={position}"));
        let inbox = at("users/ada/inbox?limit=100&");
        assert_eq!(inbox["meta"], json!({"position": position, "unread": count, "total": count}));
        assert_eq!(inbox["data"].as_array().unwrap().len(), count);
        let report = at("courses/c-1/report?");
        assert_eq!(report["data"]["enrollments"]["created"], count);
        assert_eq!(report["meta"]["position"], *position);
        let series = at("courses/c-1/report/series?metric=enrollments&bucket=day&");
        assert_eq!(series["data"].as_array().unwrap().len(), count);
        let view = at("entities/course/c-1?");
        assert_eq!(view["data"], report["data"]);
        let history = at("entities/course/c-1/history?limit=100&");
        assert_eq!(history["data"].as_array().unwrap().len(), count);
    }
    // A page of one moment leads to the next of the same, and to no other.
    let path = "/api/v1/users/ada/inbox?limit=3";
    let first = process.get(&format!("{path}&as_of={}", positions[4]));
    let cursor = first["page"]["next"].as_str().unwrap().to_owned();
    let second = process.get(&format!("{path}&as_of={}&cursor={cursor}", positions[4]));
    assert_eq!(second["data"].as_array().unwrap().len(), 2);
    let item = first["data"][0]["id"].as_str().unwrap();
    let item = format!("/api/v1/users/ada/inbox/{item}");
    assert_eq!(process.status(&format!("{item}?as_of={}", positions[4])), 200);
    assert_eq!(process.status(&format!("{item}?as_of={}", positions[3])), 404);
    let known = format!("/api/v1/courses/c-1/report?as_of={end}");
    assert_eq!(process.status(&format!("{known}&at_least={end}")), 200);
    assert_eq!(process.status("/api/v1/courses/c-1/report?as_of=0"), 404);
    let refused = [
        (format!("{path}&cursor={cursor}"), "query:cursor"),
        (format!("{path}&as_of={}&cursor={cursor}", positions[5]), "query:cursor"),
        (format!("/api/v1/courses/c-1/report?as_of={}", end + 1_000), "query:as_of"),
        (format!("{known}&at_least={}", end + 1), "query:as_of"),
        (format!("/api/v1/courses?as_of={end}"), "query:as_of"),
        (format!("/api/v1/entities/course?as_of={end}"), "query:as_of"),
        ("/api/v1/entities/course/c-1?as_of=-1".to_owned(), "query:as_of"),
    ];
    for (path, pointer) in refused {
        let (status, body) = problem(&process, &path);
        assert_eq!((status, &body["code"]), (400, &json!("bad-request")), "{path}: {body}");
        assert_eq!(body["errors"][0]["pointer"], pointer, "{path}");
    }
    let json = [("content-type", "application/json")];
    let read_all = format!("/api/v1/users/ada/inbox/read-all?as_of={end}");
    assert_eq!(process.post(&read_all, &json, "{}").0, 400);
    let until = positions[6].to_string();
    let inspected = ["inspect", "course/c-1", "--history", "100", "--until", &until];
    let (code, out, err) = run(&[&inspected[..], &["--to", &process.url]].concat());
    assert_eq!(code, Some(0), "{err}");
    let online: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(online["view"]["enrollments"]["created"], 7);
    assert_eq!(online["history"].as_array().unwrap().len(), 7);
    assert!(process.terminate().success());
    at_rest(&process, &inspected, &online, positions[6]);
}

/// The same on the command line, on a directory that nobody holds.
fn at_rest(process: &Process, inspected: &[&str], online: &Value, until: u64) {
    let data = process.data().display().to_string();
    let into = process.scratch().join("again").display().to_string();
    let (code, out, err) = run(&[inspected, &["--data", &data]].concat());
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), *online);
    let until = until.to_string();
    let (code, out, err) = run(&["replay", "--from", &data, "--into", &into, "--until", &until]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains(&format!("up to position {until};")), "{out}");
    let (code, _, err) = run(&["replay", "--from", &data, "--into", &into]);
    assert!(code == Some(1) && err.contains("is not empty"), "{err}");
    let (code, _, err) = run(&["serve", "--listen", "127.0.0.1:0", "--data", &into]);
    assert!(code == Some(1) && err.contains("is a replay"), "{err}");
    let (code, out, err) = run(&["inspect", "course/c-1", "--data", &into]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["view"], online["view"]);
    let (code, out, _) = run(&["verify", "--data", &into]);
    assert_eq!(code, Some(0), "{out}");
    for (kind, why) in [("course", "knows course already"), ("cart", "has no kind cart")] {
        let (code, _, err) = run(&["backfill", kind, "--data", &data]);
        assert!(code == Some(1) && err.contains(why), "{err}");
    }
    let whole = process.scratch().join("whole").display().to_string();
    let (code, out, err) = run(&["replay", "--from", &data, "--into", &whole]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains(" 0 differ (0 not compared"), "{out}");
}
