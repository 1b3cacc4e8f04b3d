//! The engine, put together: what is opened in which order, who stands under the root, and how all
//! of it stops.
//!
//! Order of start: the data directory and its lock, the store, the outbox, the journal (for which
//! the others vouch), then the tree: writer, keeper, workers, timekeeper, dispatcher, outbox;
//! partition consumers come last. What is *not* here: what any of them does.

mod children;
mod open;
mod stop;

pub use open::{Error, Opened};
pub(crate) use open::{SHARDS, open};

use crate::consumer::Consumer;
use crate::dispatcher::Sinks;
use crate::handle::Handle;
use crate::kafka::{self, Kafka, sink::Sink};
use crate::keeper::Keeper;
use crate::kinds::Kinds;
use crate::options::Options;
use crate::sources::Partition;
use crate::tree::{Child, Root, Start, Tree, Work};
use actors::{Kind, Position};
use state::disk::Disk;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

/// The running engine: what started it keeps it, everybody else has a [`Handle`].
pub struct Engine {
    handle: Handle,
    tree: Tree,
    keeper: Keeper,
    consumers: Mutex<Vec<(String, Arc<Consumer>)>>,
    outbox_cursor: Arc<AtomicU64>,
    opened: Opened,
    /// Held until the process ends: nobody else may open the directory.
    _lock: state::directory::Lock,
}

impl Engine {
    /// Opens the data directory and starts everything but partition consumers.
    ///
    /// # Errors
    /// The directory is held by another process, of a newer version, or damaged; the error says
    /// which and what to do.
    pub async fn start(
        kinds: &'static [Kind],
        options: Options,
        disk: Arc<dyn Disk>,
        sinks: impl FnOnce(&Arc<dyn Disk>, &Options, &str) -> Result<Sinks, String>,
    ) -> Result<Self, Error> {
        let kinds = Kinds::new(kinds);
        let parts = open(kinds, options, disk)?;
        let sinks = sinks(&parts.disk, &parts.options, &parts.source).map_err(Error::Sink)?;
        children::start(parts, sinks).await
    }

    /// For everybody else.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The supervision tree: for what stands beside the engine, such as the door.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What was found when the directory was opened.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Starts a partition consumer. It goes on from what the journal knows of its way.
    /// `origin` is what `events_received_total` calls where they come from.
    pub fn consume(&self, partition: Partition, origin: &'static str) -> Arc<Consumer> {
        let name = format!("consumer-{}", partition.name);
        let consumer = Consumer::new(self.handle(), partition, origin);
        let running = consumer.clone();
        let start = move || running.run();
        self.consumers
            .lock()
            .expect("nobody panics while adding")
            .push((name.clone(), consumer.clone()));
        self.tree.add(Child { name, work: Work::Finite, start: Start::Blocking(Arc::new(start)) });
        consumer
    }

    /// Begins to send what is published to Kafka. Without brokers it waits for them.
    ///
    /// # Panics
    /// It was begun before: an engine has one such sink.
    pub fn send_to_kafka(&self, options: kafka::sink::Options) {
        let sink = Sink::new(options, &self.handle);
        let child = sink.child();
        assert!(self.handle.inner.kafka_sink.set(sink).is_ok(), "an engine sends to Kafka once");
        self.tree.add(child);
    }

    /// Starts reading from Kafka. Without brokers it waits for them.
    ///
    /// # Panics
    /// It was started before: an engine is in one group.
    pub fn consume_kafka(&self, options: kafka::Options) {
        let kafka = Kafka::new(options, &self.handle);
        let child = kafka.child();
        assert!(self.handle.inner.kafka.set(kafka).is_ok(), "an engine reads from Kafka once");
        self.tree.add(child);
    }

    /// Has every worker checkpoint all its shards, and waits until that is durable.
    pub async fn checkpoint(&self) {
        let mut waiting = Vec::new();
        for link in &self.handle.inner.workers {
            let (sender, done) = tokio::sync::oneshot::channel();
            link.send(crate::worker::Control::Checkpoint(sender));
            waiting.push(done);
        }
        for done in waiting {
            // A worker that was restarted meanwhile checkpoints when it is due again.
            let _ = done.await;
        }
    }

    /// Waits until every worker has applied everything below this position.
    pub async fn applied(&self, position: Position) {
        for link in &self.handle.inner.workers {
            // The link outlives its worker, so the watermark is never closed.
            let _ = link.watermark().wait_for(|applied| *applied >= position).await;
        }
    }

    /// Waits until recovery has caught up.
    pub async fn caught_up(&self) {
        while self.handle.inner.workers.iter().any(|link| !link.is_open()) {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
}

/// Starts the root with these children.
async fn root(options: &Options, children: Vec<Child>) -> Result<Tree, Error> {
    let limits = crate::tree::Limits {
        restarts_max: options.restarts_max,
        window: std::time::Duration::from_secs(options.restarts_window_s),
    };
    Root::start(limits, children).await.map_err(|error| Error::Tree(error.to_string()))
}
