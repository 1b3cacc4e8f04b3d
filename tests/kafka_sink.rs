//! Kafka as a sink, against real brokers: what the process publishes is on the topic, whatever is
//! killed; with transactions once, without them at least once and under the same ids.
//!
//! Runs where `BELLWETHER_TEST_KAFKA` names brokers, and says so where not. The topic is read back
//! by Kafka's own consumer, which sees what is committed, and compared with the outbox, which holds
//! every published event once (`tests/kill.rs`). `.ci/run` kills the process 20 times, a plain
//! `cargo test` 4 times.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/load.rs"]
mod load;
#[path = "support/process.rs"]
mod process;

use kafka::{Brokers, Received, brokers, fresh, published, received, script};
use load::Client;
use process::Process;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};
use topology::kafka::workbench::{Message, Workbench};

/// Much longer than anything takes: only what hangs meets it.
const PATIENCE: Duration = Duration::from_secs(120);
const CLIENTS: u64 = 3;
const PARTITIONS: u32 = 3;

fn start(addresses: &str, topic: &str, exactly_once: bool) -> (tempfile::TempDir, Process) {
    configured(&format!(
        "brokers = \"{addresses}\"\nsink_topic = \"{topic}\"\nexactly_once = {exactly_once}"
    ))
}

/// A process with this `[kafka]` table.
fn configured(table: &str) -> (tempfile::TempDir, Process) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bellwether.toml");
    std::fs::write(&config, format!("[kafka]\n{table}\n")).unwrap();
    let process = Process::start(&["--config", config.to_str().unwrap()]);
    process.wait_ready();
    (dir, process)
}

fn sink(process: &Process) -> Value {
    process.get("/api/v1/ops/sinks")["data"][0].take()
}

/// Waits until the sink is as it should be.
fn until(process: &Process, what: &str, holds: impl Fn(&Value) -> bool) {
    let began = Instant::now();
    loop {
        let state = sink(process);
        if holds(&state) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "never: {what}; it is {state}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A payment of its own: created, authorized and captured.
fn pay(process: &Process, key: &str) -> String {
    let body = json!({"user_id": "u-1", "amount": 4_999, "currency": "EUR", "capture": "automatic",
        "method": {"type": "card", "token": "pm_card_visa"}});
    let headers = [("idempotency-key", key), ("content-type", "application/json")];
    let (status, answer) = process.post("/api/v1/payments", &headers, &body.to_string());
    assert_eq!(status, 201, "{answer}");
    answer["data"]["id"].as_str().unwrap().to_owned()
}

/// Held by tests that need the brokers as they are, and alone by the one that kills them.
static BROKERS: RwLock<()> = RwLock::new(());

fn undisturbed() -> RwLockReadGuard<'static, ()> {
    // A test that has failed has let go of nothing that others rely on.
    BROKERS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Load, and kills at moments that the number of kills spreads over a second; then a clean stop.
fn killed_under_load(
    brokers: &Brokers,
    topic: &str,
    exactly_once: bool,
) -> (Process, Vec<Received>) {
    let kills = if process::long_tests() { 20 } else { 4 };
    brokers.make_topic(topic, PARTITIONS);
    let (_dir, mut process) = start(&brokers.addresses, topic, exactly_once);
    let stop = AtomicBool::new(false);
    let url = process.url.clone();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            // Every third sort of client is one that pays.
            let client = Client::new(&url, number * 3, &stop);
            scope.spawn(move || client.run());
        }
        for kill in 0..kills {
            std::thread::sleep(Duration::from_millis(150 + kill * 731 % 1_500));
            process.kill();
            process.restart();
        }
        process.wait_ready();
        stop.store(true, Ordering::Relaxed);
    });
    until(&process, "all is sent", |sink| sink["state"] == "sending" && sink["lag_records"] == 0);
    assert!(process.terminate().success());
    let records = brokers.read(topic);
    (process, records)
}

#[test]
fn with_transactions_each_event_is_there_once_and_in_order_whatever_is_killed() {
    let Some(brokers) = brokers() else { return };
    let _undisturbed = undisturbed();
    let topic = fresh("sink-once");
    let (process, records) = killed_under_load(&brokers, &topic, true);
    let published = published(&process.data());
    println!("{} payments, {} events", published.len(), records.len());
    assert!(published.len() > 20, "there was no load");
    assert_eq!(received(&records), published);
}

#[test]
fn without_them_none_is_missing_and_repeats_have_the_same_id() {
    let Some(brokers) = brokers() else { return };
    let _undisturbed = undisturbed();
    let topic = fresh("sink-least");
    let (process, records) = killed_under_load(&brokers, &topic, false);
    let published = published(&process.data());
    println!("{} payments, {} messages", published.len(), records.len());
    assert!(published.len() > 20, "there was no load");
    let received = received(&records);
    assert_eq!(received.keys().collect::<Vec<_>>(), published.keys().collect::<Vec<_>>());
    for (payment, ids) in received {
        // Whoever drops what has come before sees them as they were published.
        let mut seen = BTreeSet::new();
        let first: Vec<String> = ids.into_iter().filter(|id| seen.insert(id.clone())).collect();
        assert_eq!(first, published[&payment], "of {payment}");
    }
}

#[test]
fn a_broker_that_hangs_or_dies_in_the_middle_of_transactions_costs_and_doubles_nothing() {
    let Some(brokers) = brokers() else { return };
    if std::env::var_os("BELLWETHER_TEST_KAFKA_DIR").is_none() {
        println!("skipped: BELLWETHER_TEST_KAFKA_DIR says of no broker that may be killed");
        return;
    }
    let _alone = BROKERS.write().unwrap_or_else(PoisonError::into_inner);
    let done = |arguments: &[&str]| {
        let output = script(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let topic = fresh("sink-broker");
    brokers.make_topic(&topic, PARTITIONS);
    let (_dir, mut process) = start(&brokers.addresses, &topic, true);
    let stop = AtomicBool::new(false);
    let url = process.url.clone();
    std::thread::scope(|scope| {
        let client = Client::new(&url, 0, &stop);
        scope.spawn(move || client.run());
        until(&process, "it sends", |sink| sink["sent"].as_u64() > Some(10));
        // Longer than the process waits for any answer, so that nobody knows what was committed.
        done(&["freeze", "1"]);
        until(&process, "it waits", |sink| sink["state"] == "waiting");
        done(&["thaw", "1"]);
        let sent = sink(&process)["sent"].as_u64();
        until(&process, "it sends again", |sink| sink["sent"].as_u64() > sent);
        done(&["kill", "1"]);
        until(&process, "it has trouble", |sink| sink["last_error"].is_string());
        assert_eq!(process.status("/health/ready"), 200);
        done(&["revive", "1"]);
        let sent = sink(&process)["sent"].as_u64();
        until(&process, "it sends again", |sink| sink["sent"].as_u64() > sent);
        stop.store(true, Ordering::Relaxed);
    });
    until(&process, "all is sent", |sink| sink["state"] == "sending" && sink["lag_records"] == 0);
    assert!(process.terminate().success());
    assert_eq!(received(&brokers.read(&topic)), published(&process.data()));
}

#[test]
fn records_that_are_no_events_are_copied_once_with_where_they_stood_and_why() {
    let Some(brokers) = brokers() else { return };
    let _undisturbed = undisturbed();
    let topic = fresh("poison");
    brokers.make_topic(&topic, 1);
    // Every third is an event; the others are no JSON, or do not say what they are.
    let value = |nth: u64| match nth % 3 {
        0 => json!({"type": "LESSON_COMPLETED", "user_id": "u-1", "course_id": "c-1",
            "lesson_id": nth.to_string()})
        .to_string(),
        1 => format!("no JSON {nth}"),
        _ => json!({"user_id": nth.to_string()}).to_string(),
    };
    let message = |nth: u64| Message {
        partition: 0,
        key: nth.is_multiple_of(2).then(|| format!("key-{nth}").into_bytes()),
        headers: vec![("trace".to_owned(), nth.to_string().into_bytes())],
        value: Some(value(nth).into_bytes()),
    };
    Workbench::new(&brokers.addresses).produce(&topic, (0..90).map(message)).unwrap();
    let (_dir, mut process) = configured(&format!(
        "brokers = \"{}\"\ntopics = [\"{topic}\"]\ngroup = \"{topic}\"\nsink_topic = \"\"\n\
         exactly_once = true\ndlq = true",
        brokers.addresses
    ));
    until(&process, "all is copied", |sink| sink["sent"] == 60 && sink["lag_records"] == 0);
    process.kill();
    process.restart();
    process.wait_ready();
    let total = || process.get("/api/v1/users/u-1/inbox")["meta"]["total"].clone();
    assert_eq!(total(), 30);
    until(&process, "nothing is left", |sink| {
        sink["state"] == "sending" && sink["lag_records"] == 0
    });
    assert!(process.terminate().success());
    let copies = brokers.read(&format!("dlq.{topic}"));
    let mut found: Vec<(u64, String, String)> = copies
        .into_iter()
        .map(|copy| {
            assert_eq!(copy.headers["bellwether_topic"], topic);
            assert_eq!(copy.headers["bellwether_partition"], "0");
            let offset: u64 = copy.headers["bellwether_offset"].parse().unwrap();
            // What the record had besides its value goes with it.
            let key =
                if offset.is_multiple_of(2) { format!("key-{offset}") } else { "null".to_owned() };
            assert_eq!((copy.key, &copy.headers["trace"]), (key, &offset.to_string()));
            (offset, copy.headers["bellwether_code"].clone(), copy.value)
        })
        .collect();
    found.sort();
    let code = |nth: u64| if nth % 3 == 1 { "not-json" } else { "no-type" };
    let bad = (0..90).filter(|nth| nth % 3 != 0);
    let wanted: Vec<_> = bad.map(|nth| (nth, code(nth).to_owned(), value(nth))).collect();
    assert_eq!(found, wanted);
}

#[test]
fn without_brokers_the_process_goes_on_and_says_so() {
    let topic = fresh("sink-away");
    // Nobody listens there.
    let (_dir, mut process) = start("127.0.0.1:1", &topic, false);
    let payment = pay(&process, "one");
    until(&process, "it waits", |sink| {
        sink["state"] == "waiting" && sink["last_error"].is_string()
    });
    assert_eq!(process.status(&format!("/api/v1/payments/{payment}")), 200);
    assert!(sink(&process)["lag_records"].as_u64().unwrap() > 0);
    // A clean stop does not wait for ever.
    assert!(process.terminate().success());
}

#[test]
fn a_topic_that_is_missing_is_waited_for() {
    let Some(brokers) = brokers() else { return };
    let _undisturbed = undisturbed();
    let topic = fresh("sink-later");
    let (_dir, mut process) = start(&brokers.addresses, &topic, true);
    let payment = pay(&process, "one");
    until(&process, "it names the topic", |sink| {
        sink["last_error"].as_str().is_some_and(|why| why.contains(&topic))
    });
    brokers.make_topic(&topic, 1);
    until(&process, "it sends", |sink| {
        sink["state"] == "sending" && sink["lag_records"] == 0 && sink["last_error"].is_null()
    });
    assert!(process.terminate().success());
    assert_eq!(received(&brokers.read(&topic)), published(&process.data()));
    assert!(published(&process.data())[&payment].len() >= 2);
}
