//! The process is killed again and again while it reads from real brokers, and once it has caught
//! up its journal has every record of the topic exactly once, in order.
//!
//! Runs where `BELLWETHER_TEST_KAFKA` names brokers, and says so where not.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/process.rs"]
mod process;
#[path = "support/source.rs"]
mod source;

use process::{Process, long_tests};
use source::{Bench, PATIENCE, offsets};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 4;

/// The positions of the partitions, as `/ops/sources` shows them; none of those not looked at yet.
fn positions(process: &Process) -> Vec<u64> {
    let body = process.get("/api/v1/ops/sources");
    let sources = body["data"].as_array().cloned().unwrap_or_default();
    sources.iter().filter_map(|source| source["position"].as_u64()).collect()
}

fn until(process: &Process, what: &str, holds: impl Fn(&[u64]) -> bool) {
    let began = Instant::now();
    loop {
        let now = positions(process);
        if holds(&now) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "never: {what}; it is at {now:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn killed_again_and_again_it_journals_every_record_once() {
    let Some(bench) = Bench::new("kill") else { return };
    let (kills, step) = if long_tests() { (10, 20_000) } else { (3, 3_000) };
    bench.make_topic(PARTITIONS);
    bench.produce(PARTITIONS, 0, step);
    let arguments = ["--kafka", &bench.brokers, "--topic", &bench.topic];
    let mut process = Process::start(&arguments);
    let mut end = step;
    for kill in 0..kills {
        // In the middle of a step, wherever that is.
        let begun = (kill + 1) * step / 2;
        until(&process, "it reads", |now| now.iter().sum::<u64>() >= begun);
        process.kill();
        bench.produce(PARTITIONS, end, step);
        end += step;
        process.restart();
    }
    until(&process, "it has caught up", |now| now == [end; PARTITIONS as usize]);
    assert_eq!(process.get("/health/ready")["status"], "ready");
    assert!(process.terminate().success());
    let all = offsets(&process.data());
    assert_eq!(all.len(), PARTITIONS as usize);
    for (way, of_way) in all {
        let expected: BTreeMap<u64, u32> = (0..end).map(|offset| (offset, 1)).collect();
        assert!(of_way == expected, "{way}: {} offsets of {end}", of_way.len());
    }
}
