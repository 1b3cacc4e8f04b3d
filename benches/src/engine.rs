//! `bench engine`: the ledger, then the engine, on the same events, one after the other.
//!
//! The engine's clock runs from the first partition consumer's start until the checkpoint behind
//! the last event is durable. It runs as it is served: with its outbox and its metrics, and with
//! the usual options but for the bytes between two checkpoints, which are so many that there are at
//! least three. Afterwards what stands in its store is compared with the ledger, entity by entity.

use crate::census::Census;
use crate::feed::{self, Feed, Files};
use crate::ledger;
use crate::scratch::Scratch;
use crate::usage::{self, Usage};
use crate::{Error, report};
use actors::KINDS;
use serde::Serialize;
use state::disk::RealDisk;
use state::frame::{Way, WayKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use topology::sources::{Partition, Source};
use topology::{Consumer, Engine, Options};

/// There are at least so many rounds of checkpoints in a run.
const CHECKPOINTS_MIN: u64 = 3;

/// A byte of events makes at least so many hundredths of a byte of journal: the event itself, the
/// records it causes, and what those publish and send. Less than it usually is, so that rounds come
/// earlier rather than later.
const JOURNAL_PER_EVENT_BYTE_PERCENT: u64 = 130;

/// How often we look whether the consumers have ended.
const LOOK: Duration = Duration::from_millis(2);

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many events.
    pub events: u64,
    /// How many people they are about.
    pub users: u64,
    /// Worker threads of the engine.
    pub workers: usize,
    /// Partitions, each with a consumer.
    pub partitions: u64,
    /// Where data are written: into a directory of its own there, removed at the end.
    pub data: Option<PathBuf>,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// Engine by ledger, in events per second.
    pub ratio: f64,
    /// The baseline.
    pub ledger_events_per_second: f64,
    /// The engine.
    pub engine_events_per_second: f64,
    /// Of the engine, all its threads.
    pub cpu_us_per_event: f64,
    /// Of the ledger, both its threads.
    pub ledger_cpu_us_per_event: f64,
    /// Of the engine.
    pub rss_bytes_max: f64,
    /// The longest time in which a consumer did not read.
    pub intake_stall_ms_max: f64,
    /// What a live inbox takes beyond its own state; measured by itself, if at all.
    pub resident_bytes: Option<f64>,
    /// What the engine wrote to disk, journal, store and images together.
    pub bytes_written: Option<f64>,
    /// Rounds of checkpoints, the last one included.
    pub checkpoints: f64,
    /// Entities that both sides have, with the same views.
    pub entities: f64,
    /// As planned.
    pub events: f64,
    /// As planned.
    pub users: f64,
}

/// Measures once.
///
/// # Errors
/// A side fails, or they have not come to the same.
pub fn run(plan: &Plan) -> Result<Figures, Error> {
    let scratch = Scratch::new(plan.data.as_deref())?;
    let Plan { events, users, partitions, .. } = *plan;
    report::progress(&format!("writing {events} events"));
    let files = Files::write(scratch.path(), feed::Plan { events, users, partitions })?;
    report::progress("the ledger runs");
    let ledger = ledger::run(KINDS, &files)?;
    report::progress("the engine runs");
    let data = scratch.path().join("data");
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("start threads in", &data))?;
    let engine = runtime.block_on(Box::pin(drive(plan, &files, &data)))?;
    drop(runtime);
    report::progress("comparing what they have come to");
    Census::compare(&ledger.census, &Census::at_rest(&data, KINDS)?)?;
    let per_second = |took: Duration| events as f64 / took.as_secs_f64();
    let per_event = |used: &Usage| used.cpu_us as f64 / events as f64;
    Ok(Figures {
        ratio: ledger.took.as_secs_f64() / engine.took.as_secs_f64(),
        ledger_events_per_second: per_second(ledger.took),
        engine_events_per_second: per_second(engine.took),
        cpu_us_per_event: per_event(&engine.used),
        ledger_cpu_us_per_event: per_event(&ledger.used),
        rss_bytes_max: engine.rss_bytes_max as f64,
        intake_stall_ms_max: engine.stall_us_max as f64 / 1_000.0,
        resident_bytes: None,
        bytes_written: engine.used.written_bytes.map(|bytes| bytes as f64),
        checkpoints: engine.checkpoints as f64,
        entities: ledger.census.entities as f64,
        events: events as f64,
        users: users as f64,
    })
}

/// What the engine did.
pub(crate) struct Ran {
    took: Duration,
    used: Usage,
    rss_bytes_max: u64,
    stall_us_max: u64,
    checkpoints: u64,
}

pub(crate) async fn drive(plan: &Plan, files: &Files, data: &Path) -> Result<Ran, Error> {
    let journal_bytes = files.bytes / 100 * JOURNAL_PER_EVENT_BYTE_PERCENT;
    let options = Options {
        workers: plan.workers,
        checkpoint_journal_bytes: (journal_bytes / CHECKPOINTS_MIN).max(1),
        ..Options::new(data)
    };
    let started = Engine::start(KINDS, options, Arc::new(RealDisk), |_, _, _| Ok(<_>::default()));
    let engine = started.await.map_err(Error::engine)?;
    engine.caught_up().await;
    let mut partitions = Vec::new();
    let mut stalls: Vec<Arc<AtomicU64>> = Vec::new();
    for partition in 0..files.paths.len() {
        let feed = Feed::open(files, partition)?;
        stalls.push(feed.stall_us_max());
        partitions.push(as_partition(partition, feed));
    }
    usage::reset_rss_max();
    let shards = engine.handle().shards().await.len() as u64;
    // The process counts on over several runs.
    let rounds_before = rounds(&engine.handle().metrics().await, shards);
    let (before, began) = (Usage::now(), Instant::now());
    let consumers: Vec<_> =
        partitions.into_iter().map(|partition| engine.consume(partition, "file")).collect();
    unless_fatal(&engine, async {
        all_taken(&engine, &consumers, files).await?;
        all_durable(&engine).await;
        Ok(())
    })
    .await?;
    let (took, used) = (began.elapsed(), Usage::now().since(&before));
    let rss_bytes_max = usage::rss_bytes_max().unwrap_or(0);
    let metrics = engine.handle().metrics().await;
    let checkpoints = rounds(&metrics, shards) - rounds_before;
    if checkpoints < CHECKPOINTS_MIN {
        let few = format!("{checkpoints} rounds of checkpoints only: more events make more");
        report::progress(&few);
    }
    engine.drain().await.map_err(Error::engine)?;
    let stall_us_max = stalls.iter().map(|stall| stall.load(Ordering::Relaxed)).max().unwrap_or(0);
    Ok(Ran { took, used, rss_bytes_max, stall_us_max, checkpoints })
}

/// Does this, unless the engine gives up meanwhile: then nothing would ever come of waiting.
pub(crate) async fn unless_fatal<T>(
    engine: &Engine,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut fatal = engine.tree().fatal();
    tokio::select! {
        done = work => done,
        gave_up = fatal.wait_for(Option::is_some) => {
            let why = gave_up.ok().and_then(|why| why.clone());
            Err(Error::Engine(why.unwrap_or_else(|| "its root has ended".to_owned())))
        }
    }
}

pub(crate) fn as_partition(number: usize, feed: impl Source + 'static) -> Partition {
    Partition {
        name: format!("feed-{number}"),
        way: Way::new(WayKind::Producer, &format!("feed-{number}")),
        source: Box::new(feed),
        on_reject: Box::new(|reject| tracing::error!(?reject, "the feed has what is no event")),
    }
}

/// Waits until every consumer has ended, which it does when all it read is durable.
pub(crate) async fn all_taken(
    engine: &Engine,
    consumers: &[Arc<Consumer>],
    files: &Files,
) -> Result<(), Error> {
    for (number, consumer) in consumers.iter().enumerate() {
        let name = format!("consumer-feed-{number}");
        loop {
            let done = consumer.progress();
            if done.rejected > 0 {
                return Err(Error::Engine(format!("it rejected {} events", done.rejected)));
            }
            let children = engine.tree().children();
            let state = children.iter().find(|(child, _)| *child == name).map(|(_, s)| s.state);
            match state {
                Some("failed" | "restarting") => {
                    return Err(Error::Engine(format!("{name} failed")));
                }
                None | Some("stopped") if done.next == files.events[number] => break,
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }
    Ok(())
}

/// Waits until all that was caused, too, is applied and checkpointed. A checkpoint waits for the
/// effects of what it covers, so after one that has brought nothing new there is nothing left.
pub(crate) async fn all_durable(engine: &Engine) {
    let handle = engine.handle();
    loop {
        let end = handle.durable_end();
        engine.applied(end).await;
        if handle.durable_end() != end || handle.unwritten_bytes() > 0 {
            // What was caused is on its way: one checkpoint behind all of it is enough.
            tokio::time::sleep(LOOK).await;
            continue;
        }
        engine.checkpoint().await;
        if handle.durable_end() == end {
            return;
        }
    }
}

/// How often every shard was checkpointed.
fn rounds(metrics: &str, shards: u64) -> u64 {
    let name = "bellwether_checkpoint_seconds_count ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok());
    count.unwrap_or(0) / shards.max(1)
}

/// Makes sure that so many entities are live, and no more.
pub(crate) async fn expect_residents(engine: &Engine, wanted: u64) -> Result<(), Error> {
    let live: u64 = engine.handle().shards().await.iter().map(|shard| shard.residents).sum();
    if live == wanted {
        return Ok(());
    }
    Err(Error::Engine(format!("{live} entities are live, not {wanted}")))
}
