//! The store's keeper: the one thread that writes to it. Workers hand shards over; it waits until
//! what their records caused is durable, writes them, and tells the worker.
//!
//! A store that fails is fatal to the process: the next start moves it aside if it is damaged and
//! rebuilds it.

use crate::floor::Captured;
use crate::worker::{Generations, Marks};
use actors::Position;
use state::store::{Checkpoint, Error, Store};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;
use tokio::sync::Notify;

/// How many of a worker's effect drafts are durable. The writer counts them up, the keeper waits
/// for them, and the worker begins no batch while too much of them is unwritten.
#[derive(Debug, Default)]
pub struct EffectsDurable {
    count: Mutex<u64>,
    changed: Condvar,
    unwritten_bytes: AtomicU64,
    failed: AtomicBool,
    written: Notify,
}

impl EffectsDurable {
    /// One more is handed in.
    pub fn submitted(&self, bytes: usize) {
        self.unwritten_bytes.fetch_add(bytes as u64, Ordering::AcqRel);
    }

    /// One more is durable.
    pub fn add_one(&self, bytes: usize) {
        self.unwritten_bytes.fetch_sub(bytes as u64, Ordering::AcqRel);
        *self.count.lock().expect("nobody panics while counting") += 1;
        self.changed.notify_all();
        self.written.notify_one();
    }

    /// One can never be journaled: this generation of the worker is lost.
    pub fn fail(&self) {
        let _count = self.count.lock().expect("nobody panics while counting");
        self.failed.store(true, Ordering::Release);
        self.changed.notify_all();
        self.written.notify_one();
    }

    /// Whether one could not be journaled.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// How many bytes of them are not durable.
    pub fn unwritten_bytes(&self) -> u64 {
        self.unwritten_bytes.load(Ordering::Acquire)
    }

    /// Waits until another one is durable; for the worker alone.
    pub async fn written(&self) {
        self.written.notified().await;
    }

    /// Waits for so many. False if they will never be durable.
    fn wait_for(&self, wanted: u64) -> bool {
        let count = self.count.lock().expect("nobody panics while counting");
        let count = self
            .changed
            .wait_while(count, |count| *count < wanted && !self.has_failed())
            .expect("nobody panics while counting");
        *count >= wanted
    }
}

/// A shard handed over.
pub struct HandOver {
    /// What to write.
    pub captured: Captured,
    /// The worker's generation at work, and the one that hands this over: an older one's is
    /// refused.
    pub generation: (Arc<Generations>, u64),
    /// At least every position in it.
    pub ceiling: Position,
    /// It may be written once so many of the worker's effect drafts are durable.
    pub after: (Arc<EffectsDurable>, u64),
    /// Whether it is the last of a round: then all of the round becomes durable.
    pub last: bool,
    /// Whom to tell once it can be read, and if it is the last, once all of the round is durable.
    pub done: Box<dyn FnOnce(u16, Position) + Send>,
}

enum Message {
    Write(Box<HandOver>),
    Stop,
}

/// A way to hand shards to the keeper. Cheap to clone.
#[derive(Clone)]
pub struct Keeper {
    sender: Sender<Message>,
    failing: Arc<AtomicBool>,
}

/// The keeper is gone: the process is stopping.
#[derive(Debug, thiserror::Error)]
#[error("the store's keeper has stopped")]
pub struct Gone;

impl Keeper {
    /// Hands a shard over.
    pub fn hand_over(&self, hand_over: HandOver) -> Result<(), Gone> {
        self.sender.send(Message::Write(Box::new(hand_over))).map_err(|_| Gone)
    }

    /// Whether the disk has refused the last round, as it changes.
    pub(crate) fn failing(&self) -> Arc<AtomicBool> {
        self.failing.clone()
    }

    /// Ends the thread once everything handed over so far is written.
    pub fn stop(&self) {
        // An ended keeper has stopped already.
        let _ = self.sender.send(Message::Stop);
    }
}

/// The thread's own side.
pub struct Loop {
    store: Store,
    receiver: Receiver<Message>,
    marks: Arc<Marks>,
    /// Shards of the round that are not durable yet.
    staged: Vec<u16>,
    /// Whether the disk has refused anything of the round.
    refused: bool,
    failing: Arc<AtomicBool>,
}

/// A keeper for this store, and its thread's side, to be [`Loop::run`].
pub fn keeper(store: Store, marks: Arc<Marks>) -> (Keeper, Loop) {
    let (sender, receiver) = channel();
    let failing = Arc::<AtomicBool>::default();
    let keeper = Keeper { sender, failing: failing.clone() };
    (keeper, Loop { store, receiver, marks, staged: Vec::new(), refused: false, failing })
}

impl Loop {
    /// Writes what is handed over until it is told to stop or the store fails.
    pub fn run(mut self) -> Result<(), Error> {
        while let Ok(Message::Write(hand_over)) = self.receiver.recv() {
            self.write(*hand_over)?;
        }
        Ok(())
    }

    fn write(&mut self, hand_over: HandOver) -> Result<(), Error> {
        let started = Instant::now();
        let (effects, wanted) = &hand_over.after;
        if !effects.wait_for(*wanted) {
            return Ok(());
        }
        let Captured { shard, writes, replay_from, note } = hand_over.captured;
        let (generations, own) = &hand_over.generation;
        // No new generation begins while this one's shard is moved: it reads the store either
        // before or after.
        let Some(at_work) = generations.hold(*own) else { return Ok(()) };
        self.staged.push(shard);
        let checkpoint =
            Checkpoint { shard, writes, replay_from, note, ceiling: hand_over.ceiling };
        let staged = self.store.stage(checkpoint);
        drop(at_work);
        self.bear(staged)?;
        if hand_over.last {
            let committed = self.store.commit().map(drop);
            self.bear(committed)?;
            for shard in self.staged.drain(..) {
                let note = self.store.shard_note(shard).expect("a checkpoint has a note");
                self.marks.set(shard, self.store.replay_from(shard), note);
            }
            self.failing.store(std::mem::take(&mut self.refused), Ordering::Relaxed);
        }
        crate::metrics::checkpointed(started.elapsed());
        (hand_over.done)(shard, replay_from);
        Ok(())
    }

    /// A disk that refuses may be full, and have room in a later round. Until then what was handed
    /// over can be read from the store's memory, none of this round counts, and the journal grows.
    fn bear(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, "a checkpoint failed; the next round tries again");
                self.staged.clear();
                self.refused = true;
                self.failing.store(true, Ordering::Relaxed);
                Ok(())
            }
            result => result,
        }
    }
}
