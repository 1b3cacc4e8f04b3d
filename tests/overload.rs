//! Told far more than it can take: it takes what it can, refuses the rest in good order, goes on
//! answering reads, and keeps what it has said yes to.
//!
//! Clients send batches as fast as they are answered, and take a no for an invitation to send
//! again at once, until they have offered five times what was taken. `BELLWETHER_FLOOD_S` says how
//! long (a plain `cargo test` a few seconds, `.ci/run` 20). What is *not* here: connections that
//! misbehave (`door.rs`), and kills (`kill.rs`).

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/process.rs"]
mod process;
#[path = "support/wire.rs"]
mod wire;

use process::{Process, long_tests};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use wire::{Said, Times, Wire, lessons, post, rss_bytes};

const CLIENTS: u64 = 12;
const BATCH_EVENTS: u64 = 400;
/// People that each client tells of.
const USERS: u64 = 50;
/// Offered by taken, at least.
const OFFERED_BY_TAKEN: u64 = 5;
/// What may be in flight is little, so that it is soon full.
const CONFIG: &str = "
[engine]
in_flight_records_max = 1024
in_flight_bytes_max = 1048576
[http]
batch_bytes_max = 1048576
";

fn flood_s() -> u64 {
    let usual = if long_tests() { 20 } else { 4 };
    std::env::var("BELLWETHER_FLOOD_S").map_or(usual, |seconds| seconds.parse().unwrap())
}

/// What came of it, over all clients.
#[derive(Default)]
struct Counts {
    offered: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
}

/// A refusal is a problem that says when to come again.
fn expect_refusal(said: &Said) {
    assert!(said.status == 503 || said.status == 429, "{} {}", said.status, said.body);
    assert!(said.head.contains("content-type: application/problem+json"), "{}", said.head);
    assert!(said.head.contains("retry-after: "), "{}", said.head);
    let problem: Value = serde_json::from_str(&said.body).expect(&said.body);
    assert_eq!(problem["code"], "overloaded", "{}", said.body);
    assert_eq!(problem["retry"], "later", "{}", said.body);
}

/// Sends numbered batches until it is told to stop; gives how many events were taken.
fn flood(url: &str, number: u64, stop: &AtomicBool, counts: &Counts) -> u64 {
    let mut wire = Wire::open(url).unwrap();
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        let headers = format!(
            "content-type: application/cloudevents-batch+json\r\nbellwether-producer: \
             flood-{number}\r\nbellwether-sequence: {next}\r\n"
        );
        let batch = lessons(&format!("u{number}"), next, BATCH_EVENTS, USERS);
        let request = post("/api/v1/events", &headers, &batch);
        loop {
            counts.offered.fetch_add(BATCH_EVENTS, Ordering::Relaxed);
            let said = wire.ask(&request).expect("an answer");
            if said.status == 202 {
                assert!(said.body.contains("\"accepted\":400,"), "{}", said.body);
                counts.taken.fetch_add(BATCH_EVENTS, Ordering::Relaxed);
                next += BATCH_EVENTS;
                break;
            }
            expect_refusal(&said);
            counts.refused.fetch_add(1, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    next
}

/// Pays now and then: taken and done, or refused in good order. Gives the keys that were taken.
fn pay(url: &str, stop: &AtomicBool) -> Vec<String> {
    let mut wire = Wire::open(url).unwrap();
    let mut taken = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("flood-{number}");
        let headers = format!("content-type: application/json\r\nidempotency-key: {key}\r\n");
        let body = r#"{"user_id":"payer","amount":100,"currency":"EUR"}"#;
        let said = wire.ask(&post("/api/v1/payments", &headers, body)).expect("an answer");
        match said.status {
            201 => taken.push(key),
            _ => expect_refusal(&said),
        }
        sleep(Duration::from_millis(5));
    }
    taken
}

/// Reads an inbox every few milliseconds until it is told to stop.
fn read(url: &str, stop: &AtomicBool) -> Times {
    let mut wire = Wire::open(url).unwrap();
    let mut times = Times::default();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let said = wire.get("/api/v1/users/u0-7/inbox").expect("an answer");
        assert_eq!(said.status, 200, "{}", said.body);
        times.took(began);
        sleep(Duration::from_millis(4));
    }
    times
}

/// Reads for a while with nothing else going on.
fn read_idle(url: &str) -> Times {
    let stop = AtomicBool::new(false);
    scope(|scope| {
        let reader = scope.spawn(|| read(url, &stop));
        sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    })
}

/// What a flood left.
struct Flooded {
    /// By client.
    taken: Vec<u64>,
    paid: Vec<String>,
    reads: Times,
    /// Sampled all the while.
    rss_bytes: Vec<u64>,
}

fn flood_for(process: &Process, wanted: Duration, counts: &Counts) -> Flooded {
    let (url, stop) = (process.url.as_str(), AtomicBool::new(false));
    let stop = &stop;
    scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|n| scope.spawn(move || flood(url, n, stop, counts))).collect();
        let payer = scope.spawn(move || pay(url, stop));
        let reader = scope.spawn(move || read(url, stop));
        let (began, mut rss) = (Instant::now(), Vec::new());
        let enough = || {
            let [offered, taken] = [&counts.offered, &counts.taken].map(load);
            began.elapsed() >= wanted && offered >= OFFERED_BY_TAKEN * taken
        };
        // A machine on which refusing is as dear as taking would go on for ever; the counts say so.
        while !enough() && began.elapsed() < 4 * wanted {
            rss.push(rss_bytes(process.id()));
            sleep(Duration::from_millis(100));
        }
        stop.store(true, Ordering::Relaxed);
        Flooded {
            taken: clients.into_iter().map(|client| client.join().unwrap()).collect(),
            paid: payer.join().unwrap(),
            reads: reader.join().unwrap(),
            rss_bytes: rss,
        }
    })
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

#[test]
fn what_is_too_much_is_refused_and_what_is_taken_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bellwether.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let process = Process::start(&["--config", config.to_str().unwrap()]);
    process.wait_ready();
    let idle = read_idle(&process.url);
    let counts = Counts::default();
    let flooded = flood_for(&process, Duration::from_secs(flood_s()), &counts);
    let [offered, taken, refused] = [&counts.offered, &counts.taken, &counts.refused].map(load);
    println!("{offered} events offered, {taken} taken; {refused} batches refused");
    println!("{} payments taken beside it", flooded.paid.len());
    let [idle_p99, flood_p99] = [&idle, &flooded.reads].map(|times| times.percent(99));
    println!("99 of 100 reads within {idle_p99:?} before it, {flood_p99:?} meanwhile");
    assert!(refused > 0 && taken > 0, "there was no flood");
    memory_is_flat(&flooded.rss_bytes);
    everything_taken_is_there(&process, &flooded);
}

/// The second half needs no more than the first, but for what the entities themselves take.
fn memory_is_flat(rss_bytes: &[u64]) {
    let (first, second) = rss_bytes.split_at(rss_bytes.len() / 2);
    let max = |half: &[u64]| half.iter().copied().max().unwrap_or(0);
    let (first, second) = (max(first), max(second));
    println!("memory: at most {} MiB, then {} MiB", first >> 20, second >> 20);
    assert!(second <= first + first / 2 + (128 << 20), "{first} bytes grew to {second}");
}

fn everything_taken_is_there(process: &Process, flooded: &Flooded) {
    for (number, taken) in (0..).zip(&flooded.taken) {
        if *taken == 0 {
            continue;
        }
        let producer = process.get(&format!("/api/v1/producers/flood-{number}"));
        assert_eq!(producer["data"]["next_sequence"], *taken, "of client {number}");
        let at_least = producer["meta"]["position"].as_u64().unwrap_or(0);
        let items: u64 = (0..USERS)
            .map(|user| {
                let path = format!("/api/v1/users/u{number}-{user}/inbox?at_least={at_least}");
                process.get(&path)["meta"]["total"].as_u64().unwrap()
            })
            .sum();
        assert_eq!(items, *taken, "items of client {number}'s people");
    }
    let mut paid = 0;
    let mut path = "/api/v1/payments?user_id=payer&limit=100".to_owned();
    loop {
        let page = process.get(&path);
        paid += page["data"].as_array().unwrap().len();
        let Some(next) = page["page"]["next"].as_str() else { break };
        path = format!("/api/v1/payments?user_id=payer&limit=100&cursor={next}");
    }
    assert_eq!(paid, flooded.paid.len(), "payments that were taken");
}
