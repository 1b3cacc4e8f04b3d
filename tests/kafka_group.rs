//! Two processes' engines in one group, on real brokers: partitions go to and fro under load, and
//! the union of both journals has every offset exactly once.
//!
//! Runs where `BELLWETHER_TEST_KAFKA` names brokers, and says so where not.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/source.rs"]
mod source;

use source::{Bench, PATIENCE, Running, offsets, scratch};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 4;
const STEP: u64 = 500;

fn add(union: &mut BTreeMap<(String, u64), u32>, data: &Path) {
    for (way, all) in offsets(data) {
        let place = way.split('#').next().unwrap().to_owned();
        for (offset, times) in all {
            *union.entry((place.clone(), offset)).or_default() += times;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_go_to_and_fro_and_every_offset_is_read_once() {
    let Some(bench) = Bench::new("group") else { return };
    let rounds = if std::env::var_os("BELLWETHER_LONG_TESTS").is_some() { 20 } else { 3 };
    bench.make_topic(PARTITIONS);
    let bench = Arc::new(bench);
    let (done, produced) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load = {
        let (bench, done, produced) = (bench.clone(), done.clone(), produced.clone());
        std::thread::spawn(move || {
            while !done.load(Ordering::Acquire) {
                bench.produce(PARTITIONS, produced.load(Ordering::Acquire), STEP);
                produced.fetch_add(STEP, Ordering::AcqRel);
            }
        })
    };
    let mut options = bench.options();
    // A member that leaves says so, and its partitions go to the other at once.
    options.client.insert("group.instance.id".to_owned(), String::new());
    options.client.insert("heartbeat.interval.ms".to_owned(), "300".to_owned());
    let (_first_dir, first_data) = scratch();
    let (_second_dir, second_data) = scratch();
    let first = Running::start(&first_data, options.clone()).await;
    let assigned = |running: &Running| {
        running.engine.handle().sources().iter().filter(|source| source.assigned).count()
    };
    for round in 0..rounds {
        let second = Running::start(&second_data, options.clone()).await;
        let began = Instant::now();
        while assigned(&first) != 2 || assigned(&second) != 2 {
            assert!(began.elapsed() < PATIENCE, "round {round}: they do not share");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        second.stop().await;
        first.until("all come back", |sources| sources.iter().all(|source| source.assigned)).await;
    }
    done.store(true, Ordering::Release);
    load.join().unwrap();
    let end = produced.load(Ordering::Acquire);
    first.until_at(&[end; PARTITIONS as usize]).await;
    first.stop().await;

    let mut union = BTreeMap::new();
    add(&mut union, &first_data);
    let of_first: u32 = union.values().sum();
    add(&mut union, &second_data);
    let wrong: Vec<_> = union.iter().filter(|(_, times)| **times != 1).collect();
    assert!(
        wrong.is_empty(),
        "{} offsets stand there not once: {:?}",
        wrong.len(),
        &wrong[..5.min(wrong.len())]
    );
    assert_eq!(union.len() as u64, end * PARTITIONS as u64);
    assert!(u64::from(of_first) < end * PARTITIONS as u64, "the second has read some");
}
