//! `bench beside`: reads of inboxes with nothing else to do, and beside intake at 80 % of what the
//! engine can take in.
//!
//! Reads come at a pace, from a process of its own, as from people who look at their inboxes; so a
//! latency is what one of them waits, not what a queue of our own making adds. How much the engine
//! can take in is measured first, in the same run.

use crate::feed::{self, Feed, Files};
use crate::helper::Helper;
use crate::scratch::Scratch;
use crate::served::Served;
use crate::{Error, client, engine, report};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;
use topology::sources::paced::Paced;

const USERS: u64 = 10_000;
/// Events that say how much can be taken in.
const EVENTS: u64 = 1_000_000;
const PARTITIONS: u64 = 2;

const READS: u64 = 5_000;
const READS_PER_SECOND: u64 = 500;
const CONNECTIONS: u64 = 8;

/// Intake beside the reads, of what can be taken in.
const LOAD_PERCENT: u64 = 80;

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Nothing else going on: half of all reads.
    pub idle_p50_ms: f64,
    /// And 99 of 100.
    pub idle_p99_ms: f64,
    /// Beside intake: half of all reads.
    pub beside_p50_ms: f64,
    /// And 99 of 100.
    pub beside_p99_ms: f64,
    /// At full speed.
    pub intake_events_per_second: f64,
    /// Records journaled a second beside the reads: each event makes more than one.
    pub beside_records_per_second: f64,
}

/// Measures once.
///
/// # Errors
/// The engine or the client fails.
pub fn run(data: Option<&Path>, helper: &Helper) -> Result<Figures, Error> {
    let scratch = Scratch::new(data)?;
    let dir = scratch.path().join("data");
    let plan = |events| feed::Plan { events, users: USERS, partitions: PARTITIONS };
    report::progress("at full speed");
    let files = Files::write(scratch.path(), plan(EVENTS))?;
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("start threads in", &dir))?;
    let served = runtime.block_on(Box::pin(Served::open(&dir)))?;
    let full = runtime.block_on(Box::pin(full_speed(&served, &files)))?;
    report::progress("reads alone");
    ask(helper, &served, READS / 10)?;
    let idle = ask(helper, &served, READS)?;
    report::progress("reads beside intake");
    let pace = (full as u64 * LOAD_PERCENT / 100).max(PARTITIONS);
    let files = Files::write(scratch.path(), plan(pace * (READS / READS_PER_SECOND + 5)))?;
    let before = (served.engine.handle().durable_end(), Instant::now());
    runtime.block_on(async { start_paced(&served, &files, pace) })?;
    let beside = ask(helper, &served, READS)?;
    let records = (served.engine.handle().durable_end() - before.0) as f64;
    let per_second = records / before.1.elapsed().as_secs_f64();
    runtime.block_on(Box::pin(served.close()))?;
    Ok(Figures {
        idle_p50_ms: idle.p50_ms,
        idle_p99_ms: idle.p99_ms,
        beside_p50_ms: beside.p50_ms,
        beside_p99_ms: beside.p99_ms,
        intake_events_per_second: full,
        beside_records_per_second: per_second,
    })
}

/// Events per second, until all of them are applied and checkpointed.
async fn full_speed(served: &Served, files: &Files) -> Result<f64, Error> {
    let engine = &served.engine;
    let began = Instant::now();
    let mut consumers = Vec::new();
    for partition in 0..files.paths.len() {
        let source = engine::as_partition(partition, Feed::open(files, partition)?);
        consumers.push(engine.consume(source, "file"));
    }
    engine::unless_fatal(engine, async {
        engine::all_taken(engine, &consumers, files).await?;
        engine::all_durable(engine).await;
        Ok(())
    })
    .await?;
    Ok(EVENTS as f64 / began.elapsed().as_secs_f64())
}

/// Lets the same campus come in again under other names, no faster than this.
fn start_paced(served: &Served, files: &Files, per_second: u64) -> Result<(), Error> {
    for partition in 0..files.paths.len() {
        let feed = Feed::open(files, partition)?;
        let began = Instant::now();
        let clock = Box::new(move || began.elapsed());
        let paced = Paced::new(feed, per_second / PARTITIONS, clock);
        let number = partition + files.paths.len();
        served.engine.consume(engine::as_partition(number, paced), "file");
    }
    Ok(())
}

fn ask(helper: &Helper, served: &Served, requests: u64) -> Result<client::Figures, Error> {
    let words = ["bench", "client", "--load", "inboxes"].map(str::to_owned);
    let mut arguments = Vec::from(words);
    for (flag, value) in [
        ("--address", served.address.to_string()),
        ("--connections", CONNECTIONS.to_string()),
        ("--requests", requests.to_string()),
        ("--users", USERS.to_string()),
        ("--per-second", READS_PER_SECOND.to_string()),
    ] {
        arguments.extend([flag.to_owned(), value]);
    }
    helper.run(&arguments)
}
