//! A university's whole history through Kafka: produced in binary mode to four partitions, keyed by
//! course, and consumed while the process is killed ten times and the broker three times. Then
//! every report, series and inbox equals the truth tables.
//!
//! Runs where `BELLWETHER_TEST_KAFKA` names brokers, and says so where not; on one module unless
//! the long tests are asked for.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/oulad.rs"]
mod oulad;
#[path = "support/process.rs"]
mod process;
#[path = "support/truth.rs"]
mod truth;

use process::{Process, bellwether};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use topology::kafka::workbench::{Message, Workbench};

const PARTITIONS: i32 = 4;

/// Much longer than anything takes: only a process that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(300);

const KILLS: u64 = 10;

/// After these of the process's kills the broker is killed too.
const BROKER_KILLS: [u64; 3] = [2, 5, 8];

/// The history as domain events, in order, by way of an import that keeps them whole.
fn events(scratch: &Path) -> Vec<Value> {
    let (tables, data) = (truth::tables(scratch), scratch.join("imported"));
    let mut import = bellwether();
    import.args(["import", "oulad"]).arg(tables).arg("--data").arg(&data).stdout(Stdio::null());
    assert!(import.status().unwrap().success());
    let mut journal = bellwether();
    journal.arg("journal").arg("--data").arg(&data).stdout(Stdio::piped());
    let mut journal = journal.spawn().unwrap();
    let lines = BufReader::new(journal.stdout.take().unwrap()).lines();
    let line = |line: std::io::Result<String>| -> Value {
        serde_json::from_str(&line.unwrap()).expect("a line of the journal is JSON")
    };
    let events = lines.map(line).filter(|line| line["tag"] == "event");
    let events = events.map(|mut line| line["event"].take()).collect();
    assert!(journal.wait().unwrap().success());
    events
}

/// An event in CloudEvents' binary mode, to the partition of its course.
fn message(event: &Value) -> Message {
    let course = event["data"]["course_id"].as_str().expect("all are about a course");
    let number = course.bytes().fold(7_u32, |sum, byte| sum * 31 % 65_521 + u32::from(byte));
    let attributes = event.as_object().unwrap().iter().filter(|(name, _)| *name != "data");
    let header = |(name, value): (&String, &Value)| {
        let name =
            if name == "datacontenttype" { "content-type".into() } else { format!("ce_{name}") };
        (name, value.as_str().expect("an attribute is text").as_bytes().to_vec())
    };
    Message {
        partition: (number % PARTITIONS as u32) as i32,
        key: Some(course.as_bytes().to_vec()),
        headers: attributes.map(header).collect(),
        value: Some(event["data"].to_string().into_bytes()),
    }
}

/// How far the process has read, all partitions together.
fn position(process: &Process) -> u64 {
    if process.status("/api/v1/ops/sources") != 200 {
        return 0;
    }
    let body = process.get("/api/v1/ops/sources");
    let sources = body["data"].as_array().cloned().unwrap_or_default();
    sources.iter().filter_map(|source| source["position"].as_u64()).sum()
}

fn until_at(process: &Process, end: u64) {
    let began = Instant::now();
    while position(process) < end {
        assert!(began.elapsed() < PATIENCE, "never at {end}: it is at {}", position(process));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn consumed_through_kills_of_process_and_broker_it_equals_the_truth() {
    let Some(brokers) = kafka::brokers() else { return };
    let topic = kafka::fresh("oulad");
    let scratch = tempfile::tempdir().unwrap();
    let events = events(scratch.path());
    let total = events.len() as u64;
    let workbench = Workbench::new(&brokers.addresses);
    workbench.make_topic(&topic, PARTITIONS, 1, &[]).unwrap();
    assert_eq!(workbench.produce(&topic, events.iter().map(message)).unwrap(), total);

    let mut process = Process::start(&["--kafka", &brokers.addresses, "--topic", &topic]);
    for kill in 1..=KILLS {
        until_at(&process, kill * total / (KILLS + 1));
        process.kill();
        if BROKER_KILLS.contains(&kill) {
            assert!(kafka::script(&["kill", "1"]).status.success());
            assert!(kafka::script(&["revive", "1"]).status.success());
        }
        process.restart();
    }
    until_at(&process, total);
    process.wait_ready();
    let letters = process.get("/api/v1/ops/dead-letters");
    assert_eq!(letters["data"].as_array().map(Vec::len), Some(0), "{letters}");
    truth::assert_equal_to_the_truth(&process);
    let by_partition = events.iter().map(message).fold(BTreeMap::new(), |mut counts, message| {
        *counts.entry(message.partition).or_insert(0_u64) += 1;
        counts
    });
    assert!(by_partition.len() > 1 || !process::long_tests(), "{by_partition:?}");
}
