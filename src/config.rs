//! What the operator wrote → what it means: typed, checked once, passed on by value.
//!
//! `bellwether.toml` < `BELLWETHER_*` < flags. One table (`keys`) has every key with its default,
//! range and meaning; `layers` reads it from the three places and remembers which; this file knows
//! what values mean together. What is *not* here: the engine's own option structs (`serve` fills
//! them), and any global: a configuration is an argument.
//!
//! Invariant: a [`Config`] that exists is acceptable; nobody behind it checks again.

mod kafka;
mod keys;
mod layers;
mod print;

pub(crate) use kafka::Kafka;
pub(crate) use layers::{Fault, FlagValue};
use layers::{Layers, Value};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use topology::snapshots::Retain;

/// The file that is read when none is named, if it is there.
const FILE: &str = "bellwether.toml";

/// The whole configuration. Its fields are explained where their keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) drain: Duration,
    pub(crate) read_wait: Duration,
    pub(crate) producers_max: usize,
    pub(crate) journal: Journal,
    pub(crate) snapshot: Snapshot,
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) http: Http,
    /// The synthetic campus, if it is to run.
    pub(crate) demo: Option<Demo>,
    /// Kafka, if there is one.
    pub(crate) kafka: Option<Kafka>,
}

/// The table `[journal]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Journal {
    pub(crate) segment_bytes: u64,
    pub(crate) ring_bytes: u64,
    pub(crate) disk_reserve_bytes: u64,
    pub(crate) ids_window: Duration,
    pub(crate) ids_window_max: usize,
    pub(crate) retain: Retain,
}

/// The table `[snapshot]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) interval_s: u64,
    pub(crate) keep: usize,
    pub(crate) folder: Option<PathBuf>,
}

/// The table `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Store {
    pub(crate) cache_bytes: u64,
    pub(crate) checkpoint_journal_bytes: u64,
    pub(crate) checkpoint_interval: Duration,
    pub(crate) behind_bytes_max: u64,
    pub(crate) open_max: Duration,
}

/// The table `[engine]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Engine {
    /// At least 1.
    pub(crate) workers: usize,
    pub(crate) residents_max: usize,
    pub(crate) resident_idle: Duration,
    pub(crate) in_flight_records_max: u64,
    pub(crate) in_flight_bytes_max: u64,
    pub(crate) restarts_max: u32,
    pub(crate) restarts_window: Duration,
}

/// The table `[http]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Http {
    pub(crate) connections_max: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) body_bytes_max: u64,
    pub(crate) batch_bytes_max: u64,
}

/// The table `[demo]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Demo {
    pub(crate) events_per_second: u32,
    pub(crate) users: u32,
    pub(crate) courses: u32,
}

impl Config {
    /// Reads the file (`named`, else `BELLWETHER_CONFIG`, else `bellwether.toml` if it is there),
    /// the environment and the flags. Returns the configuration, and the whole of it as a file to
    /// print.
    pub(crate) fn load(
        named: Option<PathBuf>,
        flags: Vec<FlagValue>,
    ) -> Result<(Self, String), Fault> {
        let file = named
            .or_else(|| std::env::var_os("BELLWETHER_CONFIG").map(PathBuf::from))
            .or_else(|| Path::new(FILE).exists().then(|| PathBuf::from(FILE)));
        Self::from_layers(file.as_deref(), std::env::vars_os(), flags)
    }

    fn from_layers(
        file: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
        flags: Vec<FlagValue>,
    ) -> Result<(Self, String), Fault> {
        let layers = Layers::read(file, environment, flags)?;
        let read = Read(&layers);
        let config = read.config();
        read.check(&config)?;
        Ok((config, print::effective(&layers)))
    }
}

/// Reads values by their keys' names; what a key takes has been checked.
struct Read<'a>(&'a Layers);

impl Read<'_> {
    fn config(&self) -> Config {
        Config {
            data: self.path("data"),
            listen: self.address("listen"),
            drain: self.seconds("drain_s"),
            read_wait: self.milliseconds("read_wait_ms"),
            producers_max: self.count("producers_max"),
            journal: Journal {
                segment_bytes: self.whole("journal.segment_bytes"),
                ring_bytes: self.whole("journal.ring_bytes"),
                disk_reserve_bytes: self.whole("journal.disk_reserve_bytes"),
                ids_window: Duration::from_secs(3_600 * self.whole("journal.ids_window_h")),
                ids_window_max: self.count("journal.ids_window_max"),
                retain: self.retain(),
            },
            snapshot: Snapshot {
                interval_s: self.whole("snapshot.interval_s"),
                keep: self.count("snapshot.keep"),
                folder: Some(self.text("snapshot.folder"))
                    .filter(|folder| !folder.is_empty())
                    .map(PathBuf::from),
            },
            store: Store {
                cache_bytes: self.whole("store.cache_bytes"),
                checkpoint_journal_bytes: self.whole("store.checkpoint_journal_bytes"),
                checkpoint_interval: self.seconds("store.checkpoint_interval_s"),
                behind_bytes_max: self.whole("store.behind_bytes_max"),
                open_max: self.seconds("store.open_s_max"),
            },
            engine: self.engine(),
            http: Http {
                connections_max: self.count("http.connections_max"),
                header_timeout: self.milliseconds("http.header_timeout_ms"),
                body_bytes_max: self.whole("http.body_bytes_max"),
                batch_bytes_max: self.whole("http.batch_bytes_max"),
            },
            demo: self.switch("demo.enabled").then(|| Demo {
                events_per_second: self.whole("demo.events_per_second") as u32,
                users: self.whole("demo.users") as u32,
                courses: self.whole("demo.courses") as u32,
            }),
            kafka: self.kafka(),
        }
    }

    fn retain(&self) -> Retain {
        let some = |number: u64| (number > 0).then_some(number);
        let day_ms = |days: u64| days as i64 * 86_400_000;
        Retain {
            bytes: some(self.whole("journal.retain_bytes")),
            ms: some(self.whole("journal.retain_days")).map(day_ms),
        }
    }

    fn engine(&self) -> Engine {
        let workers = match self.count("engine.workers") {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().min(64)),
            workers => workers,
        };
        Engine {
            workers,
            residents_max: self.count("engine.residents_max"),
            resident_idle: self.seconds("engine.resident_idle_s"),
            in_flight_records_max: self.whole("engine.in_flight_records_max"),
            in_flight_bytes_max: self.whole("engine.in_flight_bytes_max"),
            restarts_max: self.whole("engine.restarts_max") as u32,
            restarts_window: self.seconds("engine.restarts_window_s"),
        }
    }

    /// Refuses combinations that can't work.
    fn check(&self, config: &Config) -> Result<(), Fault> {
        if !config.listen.ip().is_loopback() && !self.switch("allow_unauthenticated") {
            let why = "other machines can reach that address, and nobody is asked who they \
                 are; listen on 127.0.0.1, or allow it with --allow-unauthenticated";
            return Err(self.combination(["listen", "allow_unauthenticated"], why));
        }
        if let Some(kafka) = &config.kafka {
            self.check_kafka(kafka)?;
        }
        let batch_bytes_max = config.http.batch_bytes_max;
        if batch_bytes_max < config.http.body_bytes_max {
            let why = "a batch must have room for one event";
            return Err(self.combination(["http.batch_bytes_max", "http.body_bytes_max"], why));
        }
        // A batch is one frame, with the records it causes beside it, and a frame never spans
        // segments.
        if config.journal.segment_bytes < batch_bytes_max.saturating_mul(2) {
            let why = "a journal file must have room for twice the largest batch: its events, \
                 and what they cause";
            return Err(self.combination(["journal.segment_bytes", "http.batch_bytes_max"], why));
        }
        if !self.list("kafka.topics").is_empty() && config.kafka.is_none() {
            let why = "the topics are nowhere without brokers";
            return Err(self.combination(["kafka.topics", "kafka.brokers"], why));
        }
        if config.engine.in_flight_bytes_max < batch_bytes_max {
            let why = "the largest batch could never come in";
            return Err(
                self.combination(["engine.in_flight_bytes_max", "http.batch_bytes_max"], why)
            );
        }
        Ok(())
    }

    fn combination(&self, keys: [&'static str; 2], why: &str) -> Fault {
        let [first, second] = keys.map(|key| {
            let (value, place) = self.0.get(key);
            format!("{key} = {value} ({place})")
        });
        Fault::Combination { first, second, why: why.to_owned() }
    }

    fn whole(&self, name: &str) -> u64 {
        match self.0.get(name).0 {
            Value::Whole(n) => *n,
            other => unreachable!("{name} takes a number, not {other}"),
        }
    }

    fn count(&self, name: &str) -> usize {
        usize::try_from(self.whole(name)).unwrap_or(usize::MAX)
    }

    fn switch(&self, name: &str) -> bool {
        *self.0.get(name).0 == Value::Switch(true)
    }

    fn path(&self, name: &str) -> PathBuf {
        match self.0.get(name).0 {
            Value::Path(path) => path.clone(),
            other => unreachable!("{name} takes a path, not {other}"),
        }
    }

    fn address(&self, name: &str) -> SocketAddr {
        match self.0.get(name).0 {
            Value::Address(address) => *address,
            other => unreachable!("{name} takes an address, not {other}"),
        }
    }

    fn text(&self, name: &str) -> &str {
        match self.0.get(name).0 {
            Value::Text(text) => text,
            other => unreachable!("{name} takes a text, not {other}"),
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.0.get(name).0 {
            Value::List(texts) => texts.clone(),
            other => unreachable!("{name} takes a list, not {other}"),
        }
    }

    fn table(&self, name: &str) -> BTreeMap<String, String> {
        match self.0.get(name).0 {
            Value::Table(table) => table.clone(),
            other => unreachable!("{name} takes a table, not {other}"),
        }
    }

    fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(self.whole(name))
    }

    fn milliseconds(&self, name: &str) -> Duration {
        Duration::from_millis(self.whole(name))
    }
}

#[cfg(test)]
mod tests;
