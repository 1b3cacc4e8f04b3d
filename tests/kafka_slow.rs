//! A store that writes nothing for a while, under a source that has much to read: reading pauses,
//! and goes on when the store does; the group keeps its member all the while, and memory stays
//! where it is.
//!
//! Runs where `BELLWETHER_TEST_KAFKA` names brokers, and says so where not. The store is held for a
//! minute in `.ci/run`, for a quarter of one in a plain `cargo test`; either is longer than the
//! group waits for a member that does not poll.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/source.rs"]
mod source;

use source::{Bench, Running, offsets, scratch};
use state::disk::{Disk, DiskFile, RealDisk};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use topology::Options;

const PARTITIONS: i32 = 2;
const EVENTS: u64 = 40_000;

/// What may be in no checkpoint: much less than what the topic holds.
const BEHIND_BYTES_MAX: u64 = 8 << 20;

/// What a process that stands still may still take: its threads' buffers, the allocator's slack.
const RSS_SLACK_BYTES: u64 = 24 << 20;

/// The real disk, but that no image can be begun on it while it is held.
#[derive(Default)]
struct Holding {
    held: Mutex<bool>,
    changed: Condvar,
}

impl Holding {
    fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.changed.notify_all();
    }
}

impl Disk for Holding {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if path.parent().is_some_and(|dir| dir.ends_with("images")) {
            let held = self.held.lock().unwrap();
            drop(self.changed.wait_while(held, |held| *held).unwrap());
        }
        RealDisk.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(path)
    }
    fn open_appending(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open_appending(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
    fn exists(&self, path: &Path) -> bool {
        RealDisk.exists(path)
    }
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(dir)
    }
}

fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

async fn rebalances(running: &Running) -> u64 {
    let metrics = running.engine.handle().metrics().await;
    let name = "bellwether_kafka_rebalances_total ";
    metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
}

/// An engine that makes images of everything, and often.
fn engine(data: &Path) -> Options {
    let mut engine = Options::new(data);
    engine.journal.segment_bytes = 1 << 20;
    engine.journal.recent_bytes_max = 4 << 20;
    engine.store.dirty_percent_max = 0;
    engine.store.image_entries_min = 1;
    engine.checkpoint_journal_bytes = 1 << 20;
    engine.checkpoint_interval_s = 1;
    engine.store_behind_bytes_max = BEHIND_BYTES_MAX;
    engine
}

fn positions(running: &Running) -> Vec<u64> {
    running.engine.handle().sources().iter().filter_map(|source| source.position).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_stands_still_pauses_reading_and_costs_no_place_in_the_group() {
    let Some(bench) = Bench::new("slow") else { return };
    let held_s = if std::env::var_os("BELLWETHER_LONG_TESTS").is_some() { 60 } else { 15 };
    bench.make_topic(PARTITIONS);
    bench.produce(PARTITIONS, 0, EVENTS);
    let (_dir, data) = scratch();
    let disk = Arc::new(Holding::default());
    disk.hold(true);
    let mut options = bench.options();
    // Whoever does not poll for so long is out.
    for (key, value) in [
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "500"),
        ("max.poll.interval.ms", "6000"),
    ] {
        options.client.insert(key.to_owned(), value.to_owned());
    }
    let running = Running::start_on(disk.clone(), engine(&data), options).await;
    let waits = |why: &Option<String>| {
        why.as_deref() == Some("it waits: the store is too far behind the journal")
    };
    running
        .until("all of it waits for the store", |sources| {
            sources.len() == PARTITIONS as usize && sources.iter().all(|s| waits(&s.paused))
        })
        .await;
    // What was in flight comes to rest.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, rss, rebalanced) = (positions(&running), rss_bytes(), rebalances(&running).await);
    let group = bench.kafka.group(&bench.group).unwrap();
    assert_eq!((group.0.as_str(), group.1.len()), ("Stable", 1));
    assert!(before.iter().all(|position| *position < EVENTS), "{before:?}");
    for second in 0..held_s {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(positions(&running), before, "after {second} s");
        let grown = rss_bytes().saturating_sub(rss);
        assert!(grown < RSS_SLACK_BYTES, "grown by {grown} bytes after {second} s");
    }
    assert_eq!(bench.kafka.group(&bench.group).unwrap(), group, "its member stays");
    assert_eq!(rebalances(&running).await, rebalanced);

    disk.hold(false);
    running.until_at(&[EVENTS; PARTITIONS as usize]).await;
    assert_eq!(bench.kafka.group(&bench.group).unwrap(), group, "its member stays");
    assert_eq!(rebalances(&running).await, rebalanced);
    running.stop().await;
    let each_once: BTreeMap<u64, u32> = (0..EVENTS).map(|offset| (offset, 1)).collect();
    assert_eq!(offsets(&data).into_values().collect::<Vec<_>>(), [each_once.clone(), each_once]);
}
