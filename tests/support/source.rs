//! An engine that reads from real brokers, in this process; and what stands in its journal.
//!
//! The brokers are those that `BELLWETHER_TEST_KAFKA` names; without them a test says so and ends.
//! Every test has topics and a group of its own. What is *not* here: what any test expects.

#![allow(dead_code, reason = "each test takes what it needs")]

use state::directory::Identity;
use state::disk::{Disk, ReadOnlyDisk, RealDisk};
use state::frame::{Mark, WayKind};
use state::journal::Follower;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use topology::kafka::workbench::{Record, Workbench};
use topology::kafka::{self, SourceState};
use topology::sources::campus::Campus;
use topology::{Engine, Options};

/// Much longer than anything takes: only what hangs meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Brokers, a topic and a group for one test.
pub(crate) struct Bench {
    pub(crate) brokers: String,
    pub(crate) kafka: Workbench,
    pub(crate) topic: String,
    pub(crate) group: String,
}

impl Bench {
    /// `None`, and a word about it, if no brokers are named.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let Ok(brokers) = std::env::var("BELLWETHER_TEST_KAFKA") else {
            println!("skipped: BELLWETHER_TEST_KAFKA names no brokers");
            return None;
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let name = format!("{test}-{}", now.as_millis());
        let kafka = Workbench::new(&brokers);
        Some(Self { brokers, kafka, topic: name.clone(), group: name })
    }

    pub(crate) fn make_topic(&self, partitions: i32) {
        self.kafka.make_topic(&self.topic, partitions, 1, &[]).unwrap();
    }

    /// What the source is told.
    pub(crate) fn options(&self) -> kafka::Options {
        let topics = vec![self.topic.clone()];
        kafka::Options { group: self.group.clone(), ..kafka::Options::new(&self.brokers, topics) }
    }

    /// Produces so many events of the campus to each partition, from this number on.
    pub(crate) fn produce(&self, partitions: i32, from: u64, events: u64) {
        let all = (0..partitions).flat_map(|partition| campus(partition, partitions, from, events));
        self.kafka.produce(&self.topic, all).unwrap();
    }
}

/// Events of the campus, as records of one partition.
pub(crate) fn campus(
    partition: i32,
    partitions: i32,
    from: u64,
    events: u64,
) -> impl Iterator<Item = Record> {
    let mut campus = Campus::new(1, 1_000, 20, partition as u64, partitions as u64);
    (from..from + events).map(move |number| {
        let mut text = Vec::new();
        campus.write(number, &mut text);
        (partition, None, Some(text))
    })
}

/// An engine on a data directory that outlives it.
pub(crate) struct Running {
    pub(crate) engine: Engine,
}

impl Running {
    pub(crate) async fn start(data: &Path, options: kafka::Options) -> Self {
        let mut engine = Options::new(data);
        // Tests that kill nothing have no use for more.
        engine.journal.segment_bytes = 16 << 20;
        Self::start_on(Arc::new(RealDisk), engine, options).await
    }

    /// On a disk of the test's own.
    pub(crate) async fn start_on(
        disk: Arc<dyn Disk>,
        engine: Options,
        options: kafka::Options,
    ) -> Self {
        let started = Engine::start(actors::KINDS, engine, disk, topology::sinks::answering);
        let engine = started.await.unwrap();
        engine.caught_up().await;
        engine.consume_kafka(options);
        Self { engine }
    }

    /// Waits until this holds of the partitions.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&[SourceState]) -> bool) {
        let began = Instant::now();
        loop {
            let sources = self.engine.handle().sources();
            if holds(&sources) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "never: {what}; it is {sources:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the journal has everything below these ends, one a partition.
    pub(crate) async fn until_at(&self, ends: &[u64]) {
        self.until(&format!("positions {ends:?}"), |sources| {
            sources.len() == ends.len()
                && sources.iter().zip(ends).all(|(source, end)| source.position == Some(*end))
        })
        .await;
    }

    pub(crate) async fn stop(self) {
        self.engine.drain().await.unwrap();
    }
}

/// A data directory for one test.
pub(crate) fn scratch() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    (dir, data)
}

/// How often each offset of each way from Kafka stands in a journal; where reading began stands
/// there as index 0 and is not counted.
pub(crate) fn offsets(data: &Path) -> BTreeMap<String, BTreeMap<u64, u32>> {
    let identity = Identity::read(&ReadOnlyDisk, data).unwrap().unwrap();
    let dir = data.join("journal");
    let mut follower = Follower::new(Arc::new(ReadOnlyDisk), &dir, identity.journal.0, 0);
    let mut all = BTreeMap::<String, BTreeMap<u64, u32>>::new();
    while let Some(frame) = follower.frame().unwrap() {
        if frame.way_kind() != WayKind::Kafka {
            continue;
        }
        let of_way = all.entry(frame.way_name().to_owned()).or_default();
        for group in frame.groups() {
            if let Mark::Number { number, index: 1 } = group.mark {
                *of_way.entry(number).or_default() += 1;
            }
        }
    }
    all
}
