//! `bench kafka`: the campus on a topic of four partitions; a bare consumer that only counts, then
//! the engine, both from the first record to the last.
//!
//! The engine's clock runs until the checkpoint behind the last event is durable, as in `bench
//! engine`. It is a fresh member of a fresh group, so the time includes joining it and proving
//! every partition. The brokers' own CPU is not counted. What is *not* here: Kafka itself.

use crate::engine::{all_durable, unless_fatal};
use crate::scratch::Scratch;
use crate::usage::{self, Usage};
use crate::{Error, feed, report};
use actors::KINDS;
use serde::Serialize;
use state::disk::RealDisk;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use topology::kafka::workbench::Workbench;
use topology::{Engine, Options, kafka};

/// As many as the comparison is defined for.
const PARTITIONS: u64 = 4;

/// How often we look whether everything has come.
const LOOK: Duration = Duration::from_millis(5);

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `HOST:PORT`, separated by commas.
    pub brokers: String,
    /// How many events.
    pub events: u64,
    /// How many people they are about.
    pub users: u64,
    /// Worker threads of the engine.
    pub workers: usize,
    /// Where data are written: into a directory of its own there, removed at the end.
    pub data: Option<PathBuf>,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// Engine by bare consumer, in events per second.
    pub ratio: f64,
    /// The baseline.
    pub drain_events_per_second: f64,
    /// The engine.
    pub engine_events_per_second: f64,
    /// Of the engine, all its threads, librdkafka's too.
    pub cpu_us_per_event: f64,
    /// Of the bare consumer.
    pub drain_cpu_us_per_event: f64,
    /// Of the engine.
    pub rss_bytes_max: f64,
    /// As planned.
    pub events: f64,
    /// As planned.
    pub users: f64,
}

/// Measures once.
///
/// # Errors
/// The brokers can't be worked on, or the engine fails.
pub fn run(plan: &Plan) -> Result<Figures, Error> {
    let scratch = Scratch::new(plan.data.as_deref())?;
    let bench = Workbench::new(&plan.brokers);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let topic = format!("bellwether-bench-{}", now.unwrap_or_default().as_millis());
    bench.make_topic(&topic, PARTITIONS as i32, 1, &[]).map_err(Error::engine)?;
    let measured = measure(plan, &bench, &topic, &scratch.path().join("data"));
    // The figures are worth more than a topic left behind.
    if let Err(error) = bench.delete_topic(&topic) {
        report::progress(&error.to_string());
    }
    measured
}

fn measure(plan: &Plan, bench: &Workbench, topic: &str, data: &Path) -> Result<Figures, Error> {
    let Plan { events, users, .. } = *plan;
    report::progress(&format!("producing {events} events"));
    for partition in 0..PARTITIONS {
        let records = campus(plan, partition);
        bench.produce(topic, records).map_err(Error::engine)?;
    }
    report::progress("a bare consumer counts");
    let before = Usage::now();
    let drained = bench.drain(topic, PARTITIONS as i32, events).map_err(Error::engine)?;
    let drain_used = Usage::now().since(&before);
    report::progress("the engine runs");
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("start threads in", data))?;
    let ran = runtime.block_on(Box::pin(drive(plan, topic, data)))?;
    let per_second = |took: Duration| events as f64 / took.as_secs_f64();
    Ok(Figures {
        ratio: drained.as_secs_f64() / ran.took.as_secs_f64(),
        drain_events_per_second: per_second(drained),
        engine_events_per_second: per_second(ran.took),
        cpu_us_per_event: ran.used.cpu_us as f64 / events as f64,
        drain_cpu_us_per_event: drain_used.cpu_us as f64 / events as f64,
        rss_bytes_max: ran.rss_bytes_max as f64,
        events: events as f64,
        users: users as f64,
    })
}

fn share(plan: &Plan, partition: u64) -> u64 {
    plan.events / PARTITIONS + u64::from(partition < plan.events % PARTITIONS)
}

fn campus(plan: &Plan, partition: u64) -> impl Iterator<Item = kafka::workbench::Record> {
    let mut campus = feed::campus(plan.users, partition, PARTITIONS);
    (0..share(plan, partition)).map(move |number| {
        let mut text = Vec::new();
        campus.write(number, &mut text);
        (partition as i32, None, Some(text))
    })
}

/// What the engine did.
struct Ran {
    took: Duration,
    used: Usage,
    rss_bytes_max: u64,
}

async fn drive(plan: &Plan, topic: &str, data: &Path) -> Result<Ran, Error> {
    let options = Options { workers: plan.workers, ..Options::new(data) };
    let started = Engine::start(KINDS, options, Arc::new(RealDisk), |_, _, _| Ok(<_>::default()));
    let engine = started.await.map_err(Error::engine)?;
    engine.caught_up().await;
    let mut source = kafka::Options::new(&plan.brokers, vec![topic.to_owned()]);
    topic.clone_into(&mut source.group);
    usage::reset_rss_max();
    let (before, began) = (Usage::now(), Instant::now());
    engine.consume_kafka(source);
    unless_fatal(&engine, async {
        while !all_there(&engine, plan)? {
            tokio::time::sleep(LOOK).await;
        }
        all_durable(&engine).await;
        Ok(())
    })
    .await?;
    let (took, used) = (began.elapsed(), Usage::now().since(&before));
    let rss_bytes_max = usage::rss_bytes_max().unwrap_or(0);
    engine.drain().await.map_err(Error::engine)?;
    Ok(Ran { took, used, rss_bytes_max })
}

/// Whether the journal has all of every partition.
fn all_there(engine: &Engine, plan: &Plan) -> Result<bool, Error> {
    let sources = engine.handle().sources();
    if let Some(source) = sources.iter().find(|source| source.waits_for_operator()) {
        return Err(Error::Engine(source.paused.clone().unwrap_or_default()));
    }
    let has_all =
        |source: &kafka::SourceState| source.position == Some(share(plan, source.partition as u64));
    Ok(sources.len() as u64 == PARTITIONS && sources.iter().all(has_all))
}
