//! The engine as this binary runs it: from a configuration to a running engine, and to its end.
//!
//! `serve` puts a door in front of it and waits for a signal; the verbs that work on a data
//! directory run it for as long as they need. What is *not* here: HTTP, and what is done with the
//! engine.
//!
//! Invariant: whoever starts an engine here drains it, or the process ends with code 1 and a
//! reason.

pub(crate) mod descriptors;
pub(crate) mod signals;

use crate::config::{Config, Kafka};
use crate::verbs::Error;
use state::disk::RealDisk;
use std::future::Future;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{self, Runtime};
use topology::kafka::sink::{self, Routes};
use topology::{Engine, Options};

/// How long a verb that runs an engine waits for its last checkpoint.
const DRAIN_MAX: Duration = Duration::from_secs(600);

/// Logs go to standard error, as much as `RUST_LOG` says; without it, what an operator should know.
pub(crate) fn log(otherwise: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(otherwise));
    let colors = std::io::stderr().is_terminal();
    // Only tests start a second subscriber in one process, and the first will do.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colors)
        .try_init();
}

/// What the engine is told, from what the operator said.
pub(crate) fn options(config: &Config) -> Options {
    let mut options = Options::new(&config.data);
    let journal = &mut options.journal;
    journal.segment_bytes = config.journal.segment_bytes;
    journal.recent_bytes_max = bytes(config.journal.ring_bytes);
    journal.disk_reserve_bytes = config.journal.disk_reserve_bytes;
    journal.ids_window_ms = config.journal.ids_window.as_millis() as i64;
    journal.ids_max = config.journal.ids_window_max;
    journal.producers_max = config.producers_max;
    options.retain = config.journal.retain;
    options.snapshots.clone_from(&config.snapshot.folder);
    options.snapshot_interval_s = config.snapshot.interval_s;
    options.snapshots_keep = config.snapshot.keep;
    options.store.open_seconds_max = config.store.open_max.as_secs();
    options.store_cache_bytes = config.store.cache_bytes;
    options.checkpoint_journal_bytes = config.store.checkpoint_journal_bytes;
    options.checkpoint_interval_s = config.store.checkpoint_interval.as_secs();
    options.store_behind_bytes_max = config.store.behind_bytes_max;
    options.workers = config.engine.workers;
    options.residents_max = config.engine.residents_max;
    options.resident_idle_s = config.engine.resident_idle.as_secs();
    options.in_flight_records_max = config.engine.in_flight_records_max;
    options.in_flight_bytes_max = config.engine.in_flight_bytes_max;
    options.restarts_max = config.engine.restarts_max;
    options.restarts_window_s = config.engine.restarts_window.as_secs();
    options
}

/// What the Kafka sink is told; nothing if no event goes to any topic.
pub(crate) fn kafka_sink(kafka: &Kafka) -> Option<sink::Options> {
    let routes = Routes::new(&kafka.sink_topic, &kafka.routes);
    (kafka.dlq || !routes.topics().is_empty()).then(|| sink::Options {
        brokers: kafka.brokers.clone(),
        client: kafka.client.clone(),
        routes,
        exactly_once: kafka.exactly_once,
        dlq: kafka.dlq,
    })
}

/// What the Kafka source is told, from what the operator said.
pub(crate) fn kafka_source(config: &Kafka) -> topology::kafka::Options {
    topology::kafka::Options {
        brokers: config.brokers.clone(),
        group: config.group.clone(),
        topics: config.topics.clone(),
        start: config.start,
        on_gap: config.on_gap,
        on_recreated: config.on_recreated,
        on_foreign: config.on_foreign,
        defaults: config.defaults.clone(),
        client: config.client.clone(),
    }
}

fn bytes(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Starts the product's engine.
pub(crate) async fn start(options: Options) -> Result<Engine, Error> {
    let data = options.data.clone();
    Engine::start(actors::KINDS, options, Arc::new(RealDisk), topology::sinks::answering)
        .await
        .map_err(|error| Error::Failed(format!("opening {} failed: {error}", data.display())))
}

/// Drains the engine, within this time.
pub(crate) async fn drain(engine: &Engine, within: Duration) -> Result<(), Error> {
    match tokio::time::timeout(within, engine.drain()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(Error::Failed(format!(
            "stopping failed: {why}; what was accepted is in the journal, and the next start \
             goes on \
             from there"
        ))),
        Err(_) => Err(Error::Failed(format!(
            "stopping took longer than drain_s = {}: what was accepted is in the journal, and the \
             next start goes on from there",
            within.as_secs()
        ))),
    }
}

fn runtime() -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Failed(format!("starting a runtime failed: {error}")))
}

/// Runs this on a runtime of its own, to its end.
pub(crate) fn run<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = runtime()?;
    let result = runtime.block_on(work);
    // Threads that block are not waited for: what they hold is in the journal or nowhere.
    runtime.shutdown_background();
    result
}

/// Runs an engine on a data directory for as long as `work` takes, and leaves it checkpointed.
pub(crate) fn with_engine<T>(
    options: Options,
    work: impl FnOnce(&Engine, &runtime::Handle) -> Result<T, Error>,
) -> Result<T, Error> {
    log("warn");
    let runtime = runtime()?;
    let engine = runtime.block_on(async {
        let engine = start(options).await?;
        engine.caught_up().await;
        Ok::<_, Error>(engine)
    })?;
    let result = work(&engine, runtime.handle());
    let drained = runtime.block_on(drain(&engine, DRAIN_MAX));
    runtime.shutdown_background();
    let result = result?;
    drained.map(|()| result)
}

/// A data directory that must be there already: reading one that is not would make it.
pub(crate) fn existing(data: &Path) -> Result<(), Error> {
    if data.is_dir() {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "there is no data directory {}: name one with --data",
        data.display()
    )))
}
