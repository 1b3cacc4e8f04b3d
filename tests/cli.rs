//! Every way to call the binary wrongly, or at a bad moment: the exit code, and a sentence that
//! says what to do.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/process.rs"]
mod process;

use process::{Process, bellwether};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// What it said on standard error, in one line.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// What came of a call that must not go on for ever, as a server would that should not have
/// started.
fn ended(arguments: &[&str]) -> Output {
    let child = bellwether().args(arguments).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id().to_string();
    let (done, waiting) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        if waiting.recv_timeout(Duration::from_secs(60)).is_err() {
            Command::new("kill").args(["-KILL", &id]).status().unwrap();
        }
    });
    let output = child.wait_with_output().unwrap();
    done.send(()).ok();
    guard.join().unwrap();
    output
}

#[test]
fn exit_codes_and_what_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let here = |name: &str| dir.path().join(name).display().to_string();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{free}");
    std::fs::write(here("bad.toml"), "[journal]\nsegment_mb = 64\n").unwrap();
    std::fs::write(here("events.ndjson"), "{}\n").unwrap();
    std::fs::create_dir(here("empty")).unwrap();
    let (bad, events, empty) = (here("bad.toml"), here("events.ndjson"), here("empty"));
    let missing = here("missing");
    let cases: [(&[&str], i32, &[&str]); 17] = [
        (&["frobnicate"], 2, &["unrecognized subcommand"]),
        (&["serve", "--frobnicate"], 2, &["unexpected argument"]),
        (&["serve", "--config", &missing], 2, &["reading the configuration", "missing"]),
        (&["serve", "--config", &bad], 2, &["bad.toml line 2", "journal.segment_bytes"]),
        (&["serve", "--listen", "0.0.0.0:0"], 2, &["--listen", "--allow-unauthenticated"]),
        (&["serve", "--listen", "here"], 2, &["--listen", "HOST:PORT"]),
        (&["serve", "--demo-rate", "0"], 2, &["--demo-rate", "events per second from 1"]),
        (&["ingest", &missing], 1, &["reading", "missing"]),
        (&["ingest", &empty], 1, &["is a folder"]),
        (&["ingest", "-"], 2, &["--producer"]),
        (&["ingest", &events, "--producer", "a b"], 2, &["visible ASCII"]),
        (&["ingest", &events, "--to", &nobody, "--data", &empty], 2, &["cannot be used with"]),
        (&["ingest", &events, "--to", &nobody], 1, &["does not answer", "is it running?"]),
        (&["import", "oulad", &empty], 1, &["no courses.csv", "is it an OULAD folder?"]),
        (&["import", "oulad", &missing], 1, &["no courses.csv"]),
        (&["inspect", "inbox"], 2, &["KIND/KEY"]),
        (&["inspect", "inbox/u", "--to", &nobody], 1, &["does not answer"]),
    ];
    for (arguments, code, words) in cases {
        let output = bellwether().current_dir(dir.path()).args(arguments).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?} should say {word:?}: {said}");
        }
    }
}

#[test]
fn a_variable_is_named_when_it_is_wrong() {
    let output = bellwether()
        .args(["serve", "--print-config"])
        .env("BELLWETHER_JOURNAL__SEGMENT_BYTES", "64MB")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("variable BELLWETHER_JOURNAL__SEGMENT_BYTES"));
}

#[test]
fn the_printed_configuration_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let printed = bellwether().args(["serve", "--print-config", "--demo"]).output().unwrap();
    assert!(printed.status.success());
    let file = dir.path().join("bellwether.toml");
    std::fs::write(&file, &printed.stdout).unwrap();
    let again = bellwether()
        .current_dir(dir.path())
        .args(["serve", "--print-config", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", said(&again));
    let values = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(values(&again), values(&printed));
    assert!(values(&again).contains(&"enabled = true".to_owned()));
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let output = bellwether().args(["completions", shell]).output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("ingest"), "{shell}");
    }
}

#[test]
fn a_port_or_a_data_directory_that_is_taken_is_said() {
    let mut process = Process::start(&[]);
    let data = process.data().display().to_string();
    let held = ended(&["serve", "--listen", "127.0.0.1:0", "--data", &data]);
    assert_eq!(held.status.code(), Some(1), "{}", said(&held));
    assert!(said(&held).contains("data"), "{}", said(&held));
    let other = process.scratch().join("other").display().to_string();
    let listen = process.url.trim_start_matches("http://").to_owned();
    let taken = ended(&["serve", "--listen", &listen, "--data", &other]);
    assert_eq!(taken.status.code(), Some(1), "{}", said(&taken));
    assert!(said(&taken).contains(&listen), "{}", said(&taken));
    assert!(process.terminate().success());
}

#[test]
fn lines_that_are_no_events_are_written_down_and_the_rest_is_taken() {
    let process = Process::start(&[]);
    process.wait_ready();
    let event = |id: &str| {
        let data = r#"{"user_id":"ada"}"#;
        let kind = "com.example.identity.user.registered.v1";
        let id = format!(r#""specversion":"1.0","id":"{id}","source":"/s","type":"{kind}""#);
        format!(r#"{{{id},"data":{data}}}"#)
    };
    let file = process.scratch().join("events.ndjson");
    let text = [&event("1"), "nonsense", "", r#"{"id":"2"}"#, &event("3")].join("\n");
    std::fs::write(&file, text).unwrap();
    for accepted in [2, 0] {
        let output =
            bellwether().arg("ingest").arg(&file).args(["--to", &process.url]).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let summary = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(summary.starts_with(&format!("accepted {accepted}, duplicates 0,")), "{summary}");
        let rejects = process.scratch().join("events.ndjson.rejects.ndjson");
        let rejects = std::fs::read_to_string(rejects).unwrap();
        let lines: Vec<_> = rejects
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["line"].clone())
            .collect();
        assert_eq!(lines, [2, 4]);
    }
}

#[test]
fn the_campus_is_written_the_same_each_time_and_can_be_ingested() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for name in ["one.ndjson", "two.ndjson"] {
        ended_with_output(&[
            "bench",
            "generate",
            "--events",
            "700",
            "--users",
            "40",
            "--out",
            &path(name),
        ]);
    }
    let text = std::fs::read(path("one.ndjson")).unwrap();
    assert!(text == std::fs::read(path("two.ndjson")).unwrap());
    assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 700);
    let said = ended_with_output(&["ingest", &path("one.ndjson"), "--data", &path("data")]);
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("accepted 700, duplicates 0, ignored 0, rejected 0"), "{said}");
}

#[test]
fn the_same_seeds_play_the_same_worlds() {
    let trace = |from: &str| {
        let output = ended_with_output(&["simulate", "--seeds", "3", "--from", from]);
        let said = String::from_utf8(output).unwrap();
        let last = said.lines().last().unwrap().to_owned();
        assert!(last.starts_with("trace ") && last.len() == 22, "{said}");
        last
    };
    assert_eq!(trace("40"), trace("40"));
    assert_ne!(trace("40"), trace("43"));
}

fn ended_with_output(arguments: &[&str]) -> Vec<u8> {
    let output = bellwether().args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    output.stdout
}
