//! Killed at random moments under mixed load: what was acknowledged is there, once; what went out
//! went out once.
//!
//! Clients pay, and tell events with and without numbers, while the process is killed (SIGKILL) and
//! started again on the same data. In the end their promises are compared with what the process
//! answers, with its outbox, and with the gateway's own book. `.ci/run` kills it 30 times, a plain
//! `cargo test` 4 times. What is *not* here: faults of the disk (`state`).

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/load.rs"]
mod load;
#[path = "support/process.rs"]
mod process;

use load::{Client, Promises};
use process::{Process, bellwether};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const CLIENTS: u64 = 6;
/// Much longer than the gateway's longest answer.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// A journal file is full after a second or so, and then a checkpoint is due.
const CONFIG: &str = "
[journal]
segment_bytes = 2097152
[http]
batch_bytes_max = 1048576
[store]
checkpoint_journal_bytes = 1048576
checkpoint_interval_s = 1
[snapshot]
interval_s = 1
";

/// A small generator of random numbers (SplitMix64): the seed is all it takes to see a run again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn seed() -> u64 {
    let given = std::env::var("BELLWETHER_SEED").ok();
    given.map_or_else(
        || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
        |seed| seed.parse().expect("BELLWETHER_SEED is a number"),
    )
}

#[test]
fn killed_at_random_moments_it_keeps_every_promise_once() {
    let seed = seed();
    println!("BELLWETHER_SEED={seed}");
    let mut random = Random(seed);
    let usual = if process::long_tests() { 30 } else { 4 };
    let kills = std::env::var("BELLWETHER_KILLS").map_or(usual, |kills| kills.parse().unwrap());
    // Small files and frequent checkpoints, so that kills meet all of what they can meet.
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bellwether.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let mut process = Process::start(&["--config", config.to_str().unwrap()]);
    process.wait_ready();
    let stop = AtomicBool::new(false);
    let url = process.url.clone();
    let promises: Vec<Promises> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let client = Client::new(&url, number, &stop);
                scope.spawn(move || client.run())
            })
            .collect();
        for _ in 0..kills {
            std::thread::sleep(Duration::from_millis(random.below(900)));
            process.kill();
            process.restart();
        }
        process.wait_ready();
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let events: u64 = promises.iter().flat_map(|p| p.produced.values()).sum();
    let payments: usize = promises.iter().map(|p| p.payments.len()).sum();
    println!("{kills} kills, {payments} payments, {events} numbered events");
    assert!(payments > 0 && events > 0, "there was no load");
    for promised in &promises {
        events_are_there_once(&process, promised);
        payments_are_there_once(&process, promised);
    }
    let data = process.data();
    assert!(process.terminate().success());
    snapshots_are_good(&data);
    // Only now is the outbox written to its end.
    let settled: BTreeMap<String, Value> = payment_views(&mut process, &promises);
    the_gateway_was_asked_once(&data, &settled);
    the_outbox_says_all_once(&data, &settled);
}

fn events_are_there_once(process: &Process, promised: &Promises) {
    for (user, items) in &promised.items {
        let inbox = process.get(&format!("/api/v1/users/{user}/inbox?limit=1"));
        assert_eq!(inbox["meta"]["total"], *items, "items of {user}");
        assert_eq!(inbox["meta"]["unread"], *items, "unread items of {user}");
    }
    for (producer, next) in &promised.produced {
        let known = process.get(&format!("/api/v1/producers/{producer}"));
        assert_eq!(known["data"]["next_sequence"], *next, "{producer}");
    }
}

/// Whatever a kill has left of snapshots: what has the name of one is one.
fn snapshots_are_good(data: &Path) {
    let Ok(folder) = std::fs::read_dir(data.join("snapshots")) else { return };
    let paths = folder.map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|end| end == "snap")) {
        let verified = bellwether().args(["verify", "--snapshot"]).arg(&path).output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
}

/// The view of a payment that nothing is under way for any more.
fn settled(process: &Process, id: &str) -> Value {
    let began = Instant::now();
    loop {
        let view = process.get(&format!("/api/v1/payments/{id}"))["data"].take();
        let under_way = ["in_flight", "gateway_pending", "outcome_unknown", "compensating", "new"];
        let settled = view["status"] != "processing"
            && !under_way.iter().any(|substatus| view["substatus"] == *substatus);
        if settled {
            return view;
        }
        assert!(began.elapsed() < SETTLED_WITHIN, "it does not settle: {view}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn payments_are_there_once(process: &Process, promised: &Promises) {
    let mut ids = BTreeSet::new();
    for payment in &promised.payments {
        assert!(ids.insert(&payment.id), "two keys, one payment: {}", payment.id);
        let view = settled(process, &payment.id);
        let amount = |name: &str| view[name].as_i64().unwrap();
        assert!(amount("captured") >= payment.captured_min, "a capture is lost: {view}");
        assert!(amount("refunded") >= payment.refunded_min, "a refund is lost: {view}");
        assert!(amount("captured") <= amount("amount"), "more taken than asked for: {view}");
        assert!(amount("refunded") <= amount("captured"), "more given back than taken: {view}");
        let headers =
            [("idempotency-key", payment.key.as_str()), ("content-type", "application/json")];
        let (status, again) = process.post("/api/v1/payments", &headers, &payment.body);
        assert_eq!((status, again["data"]["id"].as_str()), (201, Some(payment.id.as_str())));
    }
    let Some(payer) = promised.payments.first().map(|payment| &payment.body) else { return };
    let payer: Value = serde_json::from_str(payer).unwrap();
    let mut path =
        format!("/api/v1/payments?limit=100&user_id={}", payer["user_id"].as_str().unwrap());
    let mut listed = 0;
    loop {
        let page = process.get(&path);
        listed += page["data"].as_array().unwrap().len();
        let Some(next) = page["page"]["next"].as_str() else { break };
        let base = path.split("&cursor").next().unwrap().to_owned();
        path = format!("{base}&cursor={next}");
    }
    assert_eq!(listed, ids.len(), "payments that nobody was promised");
}

/// Every payment's view after one more start, by id.
fn payment_views(process: &mut Process, promises: &[Promises]) -> BTreeMap<String, Value> {
    process.restart();
    process.wait_ready();
    let all = promises.iter().flat_map(|promised| &promised.payments);
    let views = all.map(|payment| (payment.id.clone(), settled(process, &payment.id))).collect();
    assert!(process.terminate().success());
    views
}

/// A file of JSON lines.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{} is torn", path.display());
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Each movement stands once in the gateway's book, and its sums are the payments'.
fn the_gateway_was_asked_once(data: &Path, views: &BTreeMap<String, Value>) {
    let mut keys = BTreeSet::new();
    let mut taken: BTreeMap<String, i64> = BTreeMap::new();
    let mut given_back: BTreeMap<String, i64> = BTreeMap::new();
    for line in lines(&data.join("mock-gateway.ndjson")) {
        let key = line["idempotency_key"].as_str().unwrap().to_owned();
        assert!(keys.insert(key), "moved twice under one key: {line}");
        let sums = if line["kind"] == "refund" { &mut given_back } else { &mut taken };
        let payment = line["payment_id"].as_str().unwrap().to_owned();
        *sums.entry(payment).or_default() += line["amount"].as_i64().unwrap();
    }
    for (id, view) in views {
        let sum = |sums: &BTreeMap<String, i64>| sums.get(id).copied().unwrap_or(0);
        assert_eq!(view["captured"], sum(&taken), "the gateway took something else: {view}");
        assert_eq!(view["refunded"], sum(&given_back), "it gave back something else: {view}");
    }
    assert!(taken.keys().all(|id| views.contains_key(id)), "money of nobody's payment");
}

/// Each published event stands once in the outbox, and each payment's captures and refunds are
/// there.
fn the_outbox_says_all_once(data: &Path, views: &BTreeMap<String, Value>) {
    let (mut ids, mut sequences) = (BTreeSet::new(), BTreeSet::new());
    let mut said: BTreeMap<(String, String), u64> = BTreeMap::new();
    for line in lines(&data.join("outbox.ndjson")) {
        let id = (line["source"].to_string(), line["id"].to_string());
        assert!(ids.insert(id), "published twice: {line}");
        let sequence = line["sequence"].as_str().unwrap().to_owned();
        assert!(sequences.last().is_none_or(|last| *last < sequence), "out of order: {line}");
        sequences.insert(sequence);
        let payment = line["data"]["payment_id"].as_str().unwrap().to_owned();
        *said.entry((payment, line["type"].as_str().unwrap().to_owned())).or_default() += 1;
    }
    for (id, view) in views {
        let count = |action: &str| {
            let name = format!("com.bellwether.commerce.payment.{action}.v1");
            said.get(&(id.clone(), name)).copied().unwrap_or(0)
        };
        let moved = |name: &str| u64::from(view[name].as_i64().unwrap() > 0);
        assert_eq!(count("created"), 1, "{view}");
        assert_eq!(count("captured"), moved("captured"), "captures of {view}");
        assert_eq!(count("refunded"), moved("refunded"), "refunds of {view}");
    }
}
