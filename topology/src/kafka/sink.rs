//! Kafka as a sink: what is published goes out to topics, and the cursor over the journal moves
//! only when the brokers have confirmed it.
//!
//! One thread tails the journal. Without transactions the cursor is a file in the data directory,
//! and what was sent since it was saved last is sent again after a crash, under the same ids. With
//! them it is a record in Kafka, in the same transaction as the messages: readers of what is
//! committed see each once. While the brokers are away the thread waits, and everything else goes
//! on. What is *not* here: the journal, and what is published when.
//!
//! Invariant: the cursor, be it in the file or in Kafka, never passes a published event that no
//! broker has confirmed.

pub(crate) mod cursor;
mod letters;
mod marks;
mod message;
mod outlet;
mod status;
mod topics;

pub use message::Routes;
pub use status::SinkState;

use crate::handle::Handle;
use crate::record::tag;
use crate::tree::{Child, Start, Work};
use actors::Position;
use message::Message;
use outlet::Outlet;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use state::disk::Disk;
use state::frame::{Frame, WayKind};
use state::journal;
use status::Status;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What the thread is called in the tree.
pub(crate) const NAME: &str = "kafka-sink";

/// How much of the journal is read at once, in bytes: about as much goes into one transaction.
const READ_BYTES: usize = 1 << 20;

/// The file is saved at the latest so long after the cursor has moved.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// How long an idle sink waits before it looks around.
const IDLE: Duration = Duration::from_millis(250);

/// How long it waits after a failure: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long a stopping process waits for brokers that confirm nothing.
const FINISH_MAX: Duration = Duration::from_secs(3);

/// What the sink is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// `HOST:PORT`, separated by commas.
    pub brokers: String,
    /// Properties of librdkafka; none of those that [`owned`] names.
    pub client: BTreeMap<String, String>,
    /// Which topic an event goes to.
    pub routes: Routes,
    /// Whether messages are sent in transactions.
    pub exactly_once: bool,
    /// Whether dead letters that came from Kafka are copied.
    pub dlq: bool,
}

/// Why a property of librdkafka is the sink's own, if it is.
pub fn owned(property: &str) -> Option<&'static str> {
    Some(match property {
        "bootstrap.servers" | "metadata.broker.list" => "brokers are named by kafka.brokers",
        "transactional.id" | "transaction.timeout.ms" => "transactions are kafka.exactly_once",
        "enable.idempotence"
        | "enable.gapless.guarantee"
        | "acks"
        | "request.required.acks"
        | "max.in.flight"
        | "max.in.flight.requests.per.connection"
        | "retries"
        | "message.send.max.retries" => "messages are sent idempotently, in order",
        "message.timeout.ms" | "delivery.timeout.ms" => "nothing published is ever given up",
        _ => return None,
    })
}

/// Why nothing goes out.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{tried} failed: {source}")]
    Kafka { tried: &'static str, source: KafkaError },
    #[error("topic {topic} can't be used: {source}; make it, or let this user write to it")]
    Topic { topic: String, source: KafkaError },
    #[error("reading what was published failed: {0}")]
    Journal(#[from] journal::Error),
    #[error("saving the cursor in the data directory failed: {0}")]
    Cursor(#[source] io::Error),
    #[error(
        "Kafka has everything below position {theirs}, but the journal ends at {ours}: this data \
         directory is an older copy, and what it publishes now would not be sent"
    )]
    Ahead { theirs: Position, ours: Position },
    #[error("the brokers are away while the process stops")]
    Stopping,
}

impl Error {
    fn kafka(tried: &'static str) -> impl Fn(KafkaError) -> Self {
        move |source| Self::Kafka { tried, source }
    }
}

/// How long to wait for reports of deliveries: for ever, but while stopping.
struct Patience<'a> {
    stopping: &'a AtomicBool,
    since: Option<Instant>,
}

impl Patience<'_> {
    /// Waits on, unless the process stops and nothing has come for too long.
    fn wait(&mut self, progress: bool) -> Result<(), Error> {
        if progress || !self.stopping.load(Ordering::Acquire) {
            self.since = None;
            return Ok(());
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > FINISH_MAX { Err(Error::Stopping) } else { Ok(()) }
    }
}

/// How far the sink has come.
struct Progress {
    next: Position,
    saved: Position,
    saved_at: Instant,
    /// What lies beyond `next` and was delivered all the same, before something failed.
    delivered: BTreeSet<Position>,
    /// Topics of dead letters that are there.
    made: BTreeSet<String>,
}

/// The sink as it runs.
pub(crate) struct Sink {
    options: Options,
    uuid: [u8; 16],
    journal_id: String,
    journal: journal::Reader,
    durable: watch::Receiver<Position>,
    disk: Arc<dyn Disk>,
    data: PathBuf,
    runtime: tokio::runtime::Handle,
    status: Arc<Status>,
    stopping: AtomicBool,
}

impl Sink {
    /// The sink, not yet begun. Has to be called on a runtime.
    pub(crate) fn new(options: Options, handle: &Handle) -> Arc<Self> {
        let inner = &handle.inner;
        let journal_id = inner.source.rsplit('/').next().unwrap_or_default().to_owned();
        Arc::new(Self {
            options,
            uuid: inner.uuid,
            journal_id,
            journal: inner.journal.clone(),
            durable: inner.writer.durable(),
            disk: inner.disk.clone(),
            data: inner.options.data.clone(),
            runtime: tokio::runtime::Handle::current(),
            status: Arc::default(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Its thread, to be put under the tree.
    pub(crate) fn child(self: &Arc<Self>) -> Child {
        let sink = self.clone();
        let start = Start::Blocking(Arc::new(move || sink.run()));
        Child { name: NAME.to_owned(), work: Work::Finite, start }
    }

    /// It ends when everything durable has gone out, or can't.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// How it is, for operators.
    pub(crate) fn state(&self) -> SinkState {
        self.status.show(self.journal.durable())
    }

    /// Brokers that do not answer must not hold up a stop, question by question.
    fn go_on(&self) -> Result<(), Error> {
        if self.is_stopping() { Err(Error::Stopping) } else { Ok(()) }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn run(&self) -> Result<(), String> {
        let saved = cursor::load(&*self.disk, &self.data, self.uuid);
        let saved = saved.map_err(|error| format!("reading {} failed: {error}", cursor::FILE))?;
        let next = saved.unwrap_or(0);
        let mut progress = Progress {
            next,
            saved: next,
            saved_at: Instant::now(),
            delivered: BTreeSet::new(),
            made: BTreeSet::new(),
        };
        let mut pause = PAUSE_MIN;
        loop {
            let before = progress.next;
            let Err(error) = self.session(&mut progress) else { break };
            self.status.waits(&error.to_string(), self.journal.durable());
            if self.is_stopping() {
                tracing::warn!(next = progress.next, "what is left goes out after the next start");
                break;
            }
            pause = if progress.next > before { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
            self.sleep(pause);
        }
        if let Err(error) = self.save(&mut progress) {
            tracing::warn!(%error, "what was sent last is sent again after the next start");
        }
        self.status.stopped();
        Ok(())
    }

    /// Connects, and sends until something is in doubt, or all is done and the process stops.
    fn session(&self, progress: &mut Progress) -> Result<(), Error> {
        let id = format!("bellwether.{}", self.journal_id);
        let id = self.options.exactly_once.then_some(id.as_str());
        let outlet = Outlet::connect(self.config(), id, &self.status)?;
        for topic in self.options.routes.topics() {
            self.go_on()?;
            outlet.ask_for(topic)?;
        }
        if self.options.exactly_once {
            self.go_on()?;
            let mark = marks::read(&self.config(), &self.journal_id, &self.runtime)?;
            progress.next = progress.next.max(mark.unwrap_or(0));
            progress.delivered.clear();
        }
        let (first, end) = (self.journal.first(), self.journal.durable());
        if progress.next > end {
            return Err(Error::Ahead { theirs: progress.next, ours: end });
        }
        if progress.next < first {
            let next = progress.next;
            tracing::error!(next, first, "what was published in between is gone, and not sent");
            progress.next = first;
        }
        self.status.sent(0, progress.next, end);
        loop {
            if self.step(&outlet, progress)? {
                continue;
            }
            self.save(progress)?;
            if self.is_stopping() || !self.wait(progress.next) {
                return Ok(());
            }
            outlet.serve()?;
        }
    }

    /// Sends what the next stretch of the journal holds. False if there is nothing to read.
    fn step(&self, outlet: &Outlet, progress: &mut Progress) -> Result<bool, Error> {
        let frames = self.journal.read(progress.next, READ_BYTES)?;
        let Some(end) = frames.last().map(|frame| frame.end()) else { return Ok(false) };
        let mut messages: Vec<(Position, Message)> = Vec::new();
        for frame in &frames {
            self.collect(frame, progress, &mut messages);
        }
        self.make_topics(progress, &messages)?;
        if !messages.is_empty() {
            self.send(outlet, progress, (&messages, end))?;
        }
        progress.next = end;
        progress.delivered.clear();
        self.status.sent(messages.len() as u64, end, self.journal.durable());
        if progress.saved_at.elapsed() > SAVE_EVERY {
            self.save(progress)?;
        }
        Ok(true)
    }

    fn collect(&self, frame: &Frame, progress: &Progress, messages: &mut Vec<(Position, Message)>) {
        if frame.way_kind() == WayKind::Kafka && self.options.dlq {
            letters::collect(frame, progress.next, messages);
            messages.retain(|(position, _)| !progress.delivered.contains(position));
        }
        // Only what entities have caused is ever published.
        if frame.way_kind() != WayKind::Shard {
            return;
        }
        for record in frame.records() {
            let is_new =
                record.position >= progress.next && !progress.delivered.contains(&record.position);
            if record.tag == tag::PUBLISHED && is_new {
                let routes = &self.options.routes;
                let message = message::of_event(record.position, record.payload, routes);
                messages.extend(message.map(|message| (record.position, message)));
            }
        }
    }

    /// Topics of dead letters are made when the first comes.
    fn make_topics(
        &self,
        progress: &mut Progress,
        messages: &[(Position, Message)],
    ) -> Result<(), Error> {
        for (_, Message { topic, .. }) in messages {
            if letters::is_topic(topic) && !progress.made.contains(topic) {
                topics::make(&self.config(), &topics::new(topic, None), &self.runtime)?;
                progress.made.insert(topic.clone());
            }
        }
        Ok(())
    }

    fn send(
        &self,
        outlet: &Outlet,
        progress: &mut Progress,
        (messages, end): (&[(Position, Message)], Position),
    ) -> Result<(), Error> {
        let mut patience = Patience { stopping: &self.stopping, since: None };
        let mark = self.options.exactly_once.then(|| marks::message(&self.journal_id, end));
        let all = messages.iter().map(|(_, message)| message).chain(&mark);
        let (delivered, sent) = outlet.send(all, &mut patience);
        if sent.is_err() {
            let positions = delivered.iter().filter_map(|index| messages.get(*index));
            progress.delivered.extend(positions.map(|(position, _)| *position));
        }
        sent
    }

    fn save(&self, progress: &mut Progress) -> Result<(), Error> {
        progress.saved_at = Instant::now();
        if progress.next > progress.saved {
            cursor::save(&*self.disk, &self.data, self.uuid, progress.next)
                .map_err(Error::Cursor)?;
            progress.saved = progress.next;
        }
        Ok(())
    }

    /// Waits until there is more to read, but not long. False if nothing will ever come.
    fn wait(&self, next: Position) -> bool {
        let mut durable = self.durable.clone();
        durable.borrow_and_update();
        if self.journal.durable() > next {
            return true;
        }
        let changed = async { tokio::time::timeout(IDLE, durable.changed()).await };
        !matches!(self.runtime.block_on(changed), Ok(Err(_)))
    }

    /// Waits, but no longer than the process runs.
    fn sleep(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.is_stopping() && Instant::now() < until {
            std::thread::sleep(PAUSE_MIN.min(pause));
        }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.options.client {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.options.brokers);
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }
}

/// A context that only writes the log.
struct Silent;

impl ClientContext for Silent {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, _: KafkaError, _: &str) {
        // Whoever asked gets the same as an answer.
    }
}

impl ConsumerContext for Silent {}

/// librdkafka's own lines. What matters comes as an error as well, a lost connection each time.
fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        _ if facility == "FAIL" => tracing::debug!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}
