//! Kafka as a source: what its partitions hold goes into the journal, each record exactly once. The
//! only room that names the client library.
//!
//! One thread polls the client (`client.rs`); each partition that was ever ours has a thread
//! (`part.rs`) that proves the log (`proof.rs`) and reads it (`consume.rs`). The next offset is the
//! journal's, which has it in the same frame as the records; Kafka's own only follows. What is
//! *not* here: what an event means, and supervision.
//!
//! Invariant: without brokers everything else goes on; with brokers that lie, nothing is applied.

mod advice;
mod begin;
mod client;
mod consume;
pub mod doctor;
mod examine;
mod ffi;
mod format;
mod lag;
mod members;
mod original;
mod part;
mod place;
mod proof;
mod scribe;
pub mod sink;
pub mod workbench;

pub use format::TopicDefaults;
pub use proof::Decision;
pub(crate) use proof::Finding;

use crate::handle::{Handle, Inner};
use crate::metrics::kafka as metrics;
use crate::tree::{Child, Start as Begin, Work};
use crate::writer::wall_clock;
use client::Client;
use part::Part;
use place::Place;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Where a partition begins that the journal does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With its first record.
    Earliest,
    /// With the first that comes from now on.
    Latest,
}

/// What becomes of a partition whose log is not the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It waits for an operator.
    Stop,
    /// It goes on so.
    Go(Decision),
}

/// What the source is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// `HOST:PORT`, separated by commas.
    pub brokers: String,
    /// The consumer group.
    pub group: String,
    /// Topics, or patterns, which begin with `^`.
    pub topics: Vec<String>,
    /// Where a partition begins that the journal does not know.
    pub start: Start,
    /// When records were removed before they were read, or the log was cut.
    pub on_gap: Policy,
    /// When the topic was deleted and made again.
    pub on_recreated: Policy,
    /// When another process of the group has read further, into another journal.
    pub on_foreign: Policy,
    /// What records of some topics mean that do not say it themselves.
    pub defaults: BTreeMap<String, TopicDefaults>,
    /// Properties of librdkafka; none of those that [`owned`] names.
    pub client: BTreeMap<String, String>,
}

impl Options {
    /// The defaults, for these brokers and topics.
    pub fn new(brokers: impl Into<String>, topics: Vec<String>) -> Self {
        Self {
            brokers: brokers.into(),
            group: "bellwether".to_owned(),
            topics,
            start: Start::Earliest,
            on_gap: Policy::Stop,
            on_recreated: Policy::Stop,
            on_foreign: Policy::Go(Decision::Continue),
            defaults: BTreeMap::new(),
            client: BTreeMap::new(),
        }
    }
}

/// Why a property of librdkafka is the engine's own, if it is.
pub fn owned(property: &str) -> Option<&'static str> {
    Some(match property {
        "bootstrap.servers" | "metadata.broker.list" => "brokers are named by kafka.brokers",
        "group.id" => "the group is named by kafka.group",
        "enable.auto.commit"
        | "auto.commit.enable"
        | "enable.auto.offset.store"
        | "auto.commit.interval.ms" => "offsets are committed when the journal has the records",
        "auto.offset.reset" => "where reading begins is decided by kafka.start and the journal",
        "isolation.level" => "records of transactions that were aborted are never read",
        "partition.assignment.strategy" | "group.protocol" => {
            "the hand-over of partitions relies on cooperative-sticky"
        }
        "enable.partition.eof" | "allow.auto.create.topics" => "the engine relies on its value",
        _ => return None,
    })
}

/// A partition of a topic, for operators.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceState {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Whether the group has given it to this process.
    pub assigned: bool,
    /// The first offset that the journal does not have; null before that is known.
    pub position: Option<u64>,
    /// The first offset of the log.
    pub log_start: Option<u64>,
    /// The offset that the next record will have.
    pub log_end: Option<u64>,
    /// How many records are not journaled yet.
    pub lag_records: Option<u64>,
    /// How old the oldest of them is, or how long it is known of, if its time is not; 0 if there
    /// are none.
    pub lag_seconds: Option<f64>,
    /// What went wrong last, and is not mended.
    pub last_error: Option<String>,
    /// Why it is not read now; null if it is.
    pub paused: Option<String>,
    #[serde(skip)]
    waits: Option<&'static str>,
}

impl SourceState {
    /// Whether it goes on only when somebody has decided how.
    pub fn waits_for_operator(&self) -> bool {
        self.waits.is_some()
    }
}

/// The source as it runs.
pub(crate) struct Kafka {
    options: Options,
    inner: Weak<Inner>,
    /// The journal's id.
    journal: String,
    parts: Mutex<BTreeMap<Place, Arc<Part>>>,
    client: Mutex<Option<Arc<Client>>>,
    /// A client of its own for looks at single records; made when it is needed.
    looker: Mutex<Option<examine::Looker>>,
    /// What went wrong with the client last: its kind, and the whole of it.
    last_error: Mutex<Option<(&'static str, String)>>,
    /// Whether there is such an error.
    ailing: AtomicBool,
    stopping: AtomicBool,
}

impl Kafka {
    /// The source, not yet begun.
    pub(crate) fn new(options: Options, handle: &Handle) -> Arc<Self> {
        let journal = handle.source().rsplit('/').next().unwrap_or_default().to_owned();
        Arc::new(Self {
            options,
            inner: Arc::downgrade(&handle.inner),
            journal,
            parts: Mutex::default(),
            client: Mutex::default(),
            looker: Mutex::default(),
            last_error: Mutex::default(),
            ailing: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        })
    }

    /// Its thread, to be put under the tree.
    pub(crate) fn child(self: &Arc<Self>) -> Child {
        let kafka = self.clone();
        let start = Begin::Blocking(Arc::new(move || {
            client::run(&kafka);
            Ok(())
        }));
        Child { name: "kafka".to_owned(), work: Work::Finite, start }
    }

    /// Nothing more is read from now on; what was read is finished.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for part in self.all_parts() {
            part.release();
        }
    }

    /// What the threads of its partitions are called.
    pub(crate) fn consumers(&self) -> Vec<String> {
        self.all_parts().iter().map(|part| name(&part.place)).collect()
    }

    /// Every partition that was ever ours.
    pub(crate) fn sources(&self) -> Vec<SourceState> {
        self.all_parts().iter().map(|part| self.state(part)).collect()
    }

    /// How it is with one partition.
    pub(crate) fn source(&self, topic: &str, partition: i32) -> Option<SourceState> {
        self.part(topic, partition).map(|part| self.state(&part))
    }

    /// Tells a partition what was decided, and waits until that is a record. `None` if there is no
    /// such partition, false if it waits for nothing.
    pub(crate) async fn decide(
        &self,
        (topic, partition): (&str, i32),
        decision: Decision,
    ) -> Option<bool> {
        let part = self.part(topic, partition)?;
        let (told, journaled) = tokio::sync::oneshot::channel();
        if !part.decide(decision, Some(told)) {
            return Some(false);
        }
        // It fails if the partition was taken from us meanwhile.
        Some(journaled.await.is_ok())
    }

    fn part(&self, topic: &str, partition: i32) -> Option<Arc<Part>> {
        let place = Place { topic: topic.to_owned(), partition };
        self.parts.lock().expect("nobody panics while looking").get(&place).cloned()
    }

    fn state(&self, part: &Part) -> SourceState {
        let Place { topic, partition } = part.place.clone();
        let (assigned, waiting, last_error) = part.standing();
        let seen = self.client().and_then(|client| {
            use rdkafka::consumer::Consumer as _;
            ffi::seen_ends(client.client(), &topic, partition)
        });
        let looked = (part.log_start.load(Ordering::Relaxed), part.log_end.load(Ordering::Relaxed));
        let position = part.position();
        let (log_start, log_end) =
            seen.map_or(looked, |(start, end)| (start.max(looked.0), end.max(looked.1)));
        // Of a partition that others read, nothing is known.
        let lag = position
            .filter(|_| assigned)
            .map(|position| part.lag.measure((position, log_end), wall_clock().0));
        let paused = match &waiting {
            Some(waiting) => Some(waiting.why.clone()),
            None if !assigned => Some("it is not assigned to this process".to_owned()),
            None if part.paused.load(Ordering::Relaxed) => {
                let handle = self.handle();
                let why = handle.and_then(|handle| handle.inner.overload());
                Some(format!("it waits: {}", why.unwrap_or("there is no room for more")))
            }
            None => None,
        };
        let of_client = || self.last_error.lock().expect("nobody panics while copying").clone();
        let last_error = last_error.or_else(|| of_client().map(|(_, why)| why));
        SourceState {
            topic,
            partition,
            assigned,
            position,
            log_start: Some(log_start),
            log_end: Some(log_end),
            lag_records: lag.map(|(records, _)| records),
            lag_seconds: lag.map(|(_, seconds)| seconds),
            last_error,
            paused,
            waits: waiting.map(|waiting| waiting.code),
        }
    }

    /// What records of a topic mean that do not say it themselves.
    fn defaults(&self, topic: &str) -> TopicDefaults {
        let found = self.options.defaults.get(topic);
        found.cloned().unwrap_or_else(|| TopicDefaults::new(topic))
    }

    fn handle(&self) -> Option<Handle> {
        self.inner.upgrade().map(|inner| Handle { inner })
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn client(&self) -> Option<Arc<Client>> {
        self.client.lock().expect("nobody panics while copying").clone()
    }

    fn set_client(&self, client: Arc<Client>) {
        *self.client.lock().expect("nobody panics while copying") = Some(client);
    }

    fn forget_client(&self) {
        self.client.lock().expect("nobody panics while copying").take();
    }

    fn all_parts(&self) -> Vec<Arc<Part>> {
        self.parts.lock().expect("nobody panics while copying").values().cloned().collect()
    }

    fn parts_at(&self, places: &[Place]) -> Vec<Arc<Part>> {
        let parts = self.parts.lock().expect("nobody panics while copying");
        places.iter().filter_map(|place| parts.get(place).cloned()).collect()
    }

    /// Partitions are ours from now on; those that never were get a thread.
    fn give(self: &Arc<Self>, places: Vec<Place>) {
        for place in places {
            let mut parts = self.parts.lock().expect("nobody panics while adding");
            let known = parts.get(&place).cloned();
            let part = known.unwrap_or_else(|| {
                let part = Arc::new(Part::new(place.clone(), self.journal.clone()));
                parts.insert(place, part.clone());
                self.begin_thread(&part);
                part
            });
            part.give();
        }
    }

    fn begin_thread(self: &Arc<Self>, part: &Arc<Part>) {
        let (kafka, running) = (self.clone(), part.clone());
        let start = Begin::Blocking(Arc::new(move || {
            running.run(&kafka);
            Ok(())
        }));
        let child = Child { name: name(&part.place), work: Work::Finite, start };
        if let Some(tree) = self.inner.upgrade().and_then(|inner| inner.tree.get().cloned()) {
            tree.add(child);
        }
    }

    /// A partition is looked at again.
    fn read_anew(&self, place: &Place) {
        for part in self.parts_at(std::slice::from_ref(place)) {
            part.anew.store(true, Ordering::Release);
        }
    }

    /// Takes down what went wrong; says it once while it stays the same.
    fn failed(&self, error: &KafkaError, what: &str) {
        let (kind, advice) = advice::describe(error);
        metrics::failed(kind);
        let mut last = self.last_error.lock().expect("nobody panics while comparing");
        let why = format!("{error}: {what}; {advice}");
        // That all brokers are down says less than what was wrong with them.
        let is_all_down = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        if is_all_down && last.is_some() {
            return;
        }
        if last.as_ref().is_none_or(|(before, _)| *before != kind) {
            tracing::warn!(kind, brokers = self.options.brokers, "kafka: {why}");
        }
        *last = Some((kind, why));
        self.ailing.store(true, Ordering::Release);
    }

    /// Kafka answers again.
    fn mended(&self) {
        if self.ailing.swap(false, Ordering::AcqRel) {
            *self.last_error.lock().expect("nobody panics while forgetting") = None;
        }
    }

    /// Waits, but no longer than the engine runs.
    fn sleep(&self, pause: Duration) {
        let until = std::time::Instant::now() + pause;
        while !self.is_stopping() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn config(&self) -> ClientConfig {
        let mut config = client::base_config(self);
        config.set("partition.assignment.strategy", "cooperative-sticky");
        // So that a log that ends in marks of transactions is known to be read to its end.
        config.set("enable.partition.eof", "true");
        let mut default = |key: &str, value: &str| {
            if !self.options.client.contains_key(key) {
                config.set(key, value);
            }
        };
        // A restart takes its place in the group again, without waiting for a time-out.
        default("group.instance.id", &format!("bellwether-{}", self.journal));
        default("client.id", "bellwether");
        // Of each partition: what is fetched ahead of the journal.
        default("queued.max.messages.kbytes", "4096");
        // A full queue is looked at again soon: the usual second would be most of the time.
        default("fetch.queue.backoff.ms", "5");
        default("fetch.wait.max.ms", "100");
        config
    }
}

/// What a partition's thread is called in the tree.
fn name(place: &Place) -> String {
    format!("consumer-{}-{}", place.topic, place.partition)
}
