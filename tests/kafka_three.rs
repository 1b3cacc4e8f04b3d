//! Three brokers, three replicas of everything, two of them in sync at least: each broker is killed
//! in turn under load. Nothing that was read is lost or doubled, nor anything that was sent, and
//! reads never fail.
//!
//! Runs where `BELLWETHER_TEST_KAFKA` names three brokers and `BELLWETHER_TEST_KAFKA_DIR` says
//! where they are kept (`scripts/kafka three`), and says so where not.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/load.rs"]
mod load;
#[path = "support/process.rs"]
mod process;
#[path = "support/source.rs"]
mod source;

use kafka::{brokers, published, received, script};
use load::Client;
use process::Process;
use source::{Bench, PATIENCE, offsets};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 4;
const STEP: u64 = 250;

fn done(arguments: &[&str]) {
    let output = script(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// How many records were read, and how many messages sent.
fn progress(process: &Process) -> (u64, u64) {
    let sources = process.get("/api/v1/ops/sources");
    let positions = sources["data"].as_array().unwrap().iter();
    let read = positions.map(|source| source["position"].as_u64().unwrap_or(0)).sum();
    let sinks = process.get("/api/v1/ops/sinks");
    (read, sinks["data"][0]["sent"].as_u64().unwrap_or(0))
}

fn until(process: &Process, what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > PATIENCE {
            let (sources, sinks) = ("/api/v1/ops/sources", "/api/v1/ops/sinks");
            panic!("never: {what}; {:#} {:#}", process.get(sources), process.get(sinks));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until more was read and more was sent.
fn goes_on(process: &Process, what: &str) {
    let (read, sent) = progress(process);
    until(process, what, || {
        let now = progress(process);
        now.0 > read && now.1 > sent
    });
}

/// Reads until it is told to stop, and says how often; no read may fail.
fn reads(process: &Process, stop: &AtomicBool) -> u64 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let user = format!("/api/v1/users/u-{}/inbox", count % 1_000);
        assert_eq!(process.status(&user), 200, "read {count}");
        assert_eq!(process.status("/health/ready"), 200, "after read {count}");
        count += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    count
}

/// Stops the load, also where the test fails: its threads would go on for ever.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Kills each broker in turn, and revives it.
fn kill_in_turn(process: &Process, bench: &Bench) {
    goes_on(process, "it reads and sends");
    for broker in ["1", "2", "3"] {
        done(&["kill", broker]);
        goes_on(process, &format!("it goes on without broker {broker}"));
        done(&["revive", broker]);
        let all_in_sync = || bench.kafka.in_sync_min().is_ok_and(|replicas| replicas == 3);
        until(process, &format!("broker {broker} has caught up"), all_in_sync);
        goes_on(process, &format!("it goes on with broker {broker}"));
    }
}

#[test]
fn each_of_three_brokers_dies_and_nothing_is_lost_or_doubled_either_way() {
    let (Some(bench), Some(brokers)) = (Bench::new("three"), brokers()) else { return };
    let dir = std::env::var_os("BELLWETHER_TEST_KAFKA_DIR");
    if bench.brokers.split(',').count() != 3 || dir.is_none() {
        println!("skipped: BELLWETHER_TEST_KAFKA names no three brokers that may be killed");
        return;
    }
    let sink_topic = format!("{}-out", bench.topic);
    bench.kafka.make_topic(&bench.topic, PARTITIONS, 3, &[("min.insync.replicas", "2")]).unwrap();
    brokers.make_topic(&sink_topic, 3);
    let config = tempfile::tempdir().unwrap();
    let file = config.path().join("bellwether.toml");
    let table = format!(
        "[kafka]\nbrokers = \"{}\"\ntopics = [\"{}\"]\ngroup = \"{}\"\n\
         sink_topic = \"{sink_topic}\"\nexactly_once = true\n",
        bench.brokers, bench.topic, bench.group
    );
    std::fs::write(&file, table).unwrap();
    let mut process = Process::start(&["--config", file.to_str().unwrap()]);
    process.wait_ready();

    let (stop, produced) = (AtomicBool::new(false), AtomicU64::new(0));
    let url = process.url.clone();
    let reads = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                bench.produce(PARTITIONS, produced.load(Ordering::Relaxed), STEP);
                produced.fetch_add(STEP, Ordering::Relaxed);
            }
        });
        let payer = Client::new(&url, 0, &stop);
        scope.spawn(move || payer.run());
        let reading = scope.spawn(|| reads(&process, &stop));
        let ends = Ends(&stop);
        kill_in_turn(&process, &bench);
        drop(ends);
        reading.join().unwrap()
    });
    let end = produced.load(Ordering::Relaxed);
    let all = (end * PARTITIONS as u64, "everything is read");
    until(&process, all.1, || progress(&process).0 == all.0);
    until(&process, "everything is sent", || {
        let sinks = process.get("/api/v1/ops/sinks");
        sinks["data"][0]["state"] == "sending" && sinks["data"][0]["lag_records"] == 0
    });
    assert!(process.terminate().success());

    let each_once: BTreeMap<u64, u32> = (0..end).map(|offset| (offset, 1)).collect();
    let read = offsets(&process.data());
    assert_eq!(read.len(), PARTITIONS as usize);
    for (way, of_way) in read {
        assert!(of_way == each_once, "{way}: {} offsets of {end}", of_way.len());
    }
    let published = published(&process.data());
    let sent = brokers.read(&sink_topic);
    println!(
        "{} records, {reads} reads, {} payments, {} messages",
        all.0,
        published.len(),
        sent.len()
    );
    assert!(published.len() > 20, "there was no load");
    assert_eq!(received(&sent), published);
}
