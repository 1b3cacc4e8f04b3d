//! How everybody else sees a worker, and how they reach it: a link that outlives its generations.

use crate::api::ReadError;
use crate::resident::{Look, ResidentFloor};
use actors::{Address, Position, Timestamp};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// What a worker is told, besides what the journal says.
pub enum Control {
    /// The timekeeper's: it is so late now.
    Tick(Timestamp),
    /// The keeper's: a shard is written.
    Written {
        /// Which.
        shard: u16,
        /// Where a replay of it begins now.
        replay_from: Position,
        /// The generation that handed it over.
        generation: u64,
    },
    /// Somebody wants to know how it is.
    States(oneshot::Sender<WorkerState>),
    /// Checkpoint every shard, and say when it is done.
    Checkpoint(oneshot::Sender<()>),
    /// The dispatcher's: it has begun anew, and wants to be offered everything that is pending.
    OfferAgain,
    /// A reader's: a look at an entity that has no seat yet.
    Look(Address, Look),
    /// Checkpoint every shard, then end.
    Drain,
}

/// How a worker is: (shard, entities, residents, deliveries, timers, replay from), residents and
/// entities by kind.
pub struct WorkerState {
    /// Each shard's figures.
    pub shards: Vec<(u16, u64, u64, u64, u64, Position)>,
    /// Live entities by kind.
    pub residents: BTreeMap<u8, u64>,
    /// Entities by kind.
    pub entities: BTreeMap<u8, u64>,
}

/// How a worker is seen and reached, over all its generations.
pub struct Link {
    control: Mutex<Option<mpsc::UnboundedSender<Control>>>,
    applied: watch::Sender<Position>,
    pub(super) position: AtomicU64,
    open: AtomicBool,
    generations: Arc<Generations>,
    next_due_ms: AtomicI64,
}

impl Link {
    /// A link to a worker that has not begun.
    pub fn new() -> Self {
        Self {
            control: Mutex::new(None),
            applied: watch::channel(0).0,
            position: AtomicU64::new(0),
            open: AtomicBool::new(false),
            generations: Arc::default(),
            next_due_ms: AtomicI64::new(i64::MAX),
        }
    }

    /// Tells it something; lost if it is between two generations.
    pub fn send(&self, control: Control) {
        let sender = self.control.lock().expect("nobody panics while sending").clone();
        if let Some(sender) = sender {
            // A worker that has just ended needs to know nothing any more.
            let _ = sender.send(control);
        }
    }

    /// Its watermark.
    pub fn watermark(&self) -> watch::Receiver<Position> {
        self.applied.subscribe()
    }

    /// Its watermark now: it has applied everything below. Never goes backwards, over all
    /// generations.
    pub fn position(&self) -> Position {
        self.position.load(Ordering::Acquire)
    }

    /// Whether it has caught up since this generation began.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Whether it is where readers have seen it: false while a new generation is behind the one
    /// before.
    pub fn is_current(&self) -> bool {
        self.generations.at_work() <= 1 || self.is_open()
    }

    /// Passes on what was read, unless another generation has begun meanwhile: its state may be
    /// older than what the read was to reflect.
    pub(crate) fn still<T>(&self, generation: u64, read: T) -> Result<T, ReadError> {
        let same = self.generations.at_work() <= generation.max(1);
        if same { Ok(read) } else { Err(ReadError::Interrupted) }
    }

    /// When its next timer is due.
    pub fn next_due(&self) -> Timestamp {
        Timestamp(self.next_due_ms.load(Ordering::Relaxed))
    }

    pub(super) fn set_next_due(&self, due: Option<Timestamp>) {
        self.next_due_ms.store(due.map_or(i64::MAX, |due| due.0), Ordering::Relaxed);
    }

    /// The generation at work, to compare one's own with.
    pub(crate) fn generations(&self) -> &Arc<Generations> {
        &self.generations
    }

    pub(super) fn next_generation(&self) -> u64 {
        self.open.store(false, Ordering::Release);
        self.generations.begin()
    }

    pub(super) fn reconnect(&self, sender: mpsc::UnboundedSender<Control>) {
        *self.control.lock().expect("nobody panics while sending") = Some(sender);
    }

    pub(super) fn opened(&self) {
        self.open.store(true, Ordering::Release);
    }

    pub(super) fn applied(&self, end: Position, floor: &ResidentFloor) {
        let counts = floor.take_counts();
        crate::metrics::applied(floor.kinds(), &counts);
        if end > self.position.fetch_max(end, Ordering::AcqRel) {
            self.applied.send_replace(end);
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

/// Which generation of a worker is at work.
#[derive(Debug, Default)]
pub struct Generations {
    number: AtomicU64,
    /// Held while something is done that a new generation must see whole or not at all.
    gate: Mutex<()>,
}

impl Generations {
    /// The one at work; 0 before the first.
    pub fn at_work(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Keeps the next generation from beginning, if `own` is the one at work.
    pub fn hold(&self, own: u64) -> Option<MutexGuard<'_, ()>> {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        (self.at_work() == own).then_some(gate)
    }

    /// Begins the next one, and gives its number.
    fn begin(&self) -> u64 {
        let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.number.fetch_add(1, Ordering::AcqRel) + 1
    }
}

/// What the store says of a shard: where a replay of it begins, the engine's note, and since when.
type Mark = (Position, Option<Vec<u8>>, Instant);

/// What the store says of each shard: the keeper writes it, a worker's next generation begins from
/// it.
#[derive(Debug)]
pub struct Marks(Mutex<Vec<Mark>>);

impl Marks {
    /// The marks of all shards, in order.
    pub fn new(marks: Vec<(Position, Option<Vec<u8>>)>) -> Self {
        let now = Instant::now();
        let since = |(position, note)| (position, note, now);
        Self(Mutex::new(marks.into_iter().map(since).collect()))
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        u16::try_from(self.lock().len()).expect("as many as the data directory says")
    }

    /// The marks of these shards.
    pub fn of(&self, shards: &[u16]) -> Vec<(u16, Position, Option<Vec<u8>>)> {
        let marks = self.lock();
        let mark = |shard: &u16| {
            let (position, note, _) = marks[usize::from(*shard)].clone();
            (*shard, position, note)
        };
        shards.iter().map(mark).collect()
    }

    /// A shard was written.
    pub fn set(&self, shard: u16, replay_from: Position, note: Vec<u8>) {
        self.lock()[usize::from(shard)] = (replay_from, Some(note), Instant::now());
    }

    /// The least `replay from` of all shards.
    pub fn replay_from(&self) -> Position {
        self.lock().iter().map(|(position, ..)| *position).min().unwrap_or(0)
    }

    /// How old the oldest shard's checkpoint is, as far as this process knows.
    pub fn oldest(&self) -> Duration {
        self.lock().iter().map(|(.., since)| since.elapsed()).max().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Mark>> {
        self.0.lock().expect("nobody panics while copying")
    }
}
