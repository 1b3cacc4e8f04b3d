//! The engine's core, driven over a journal that is at rest, without anybody to carry anything out.
//!
//! One thread, batch by batch; what was caused is given to whoever drives. There is no writer, so
//! nothing can be appended. What is *not* here: what the records mean, which is the floor's and the
//! lives'.
//!
//! The invariant: rows, pages and the rest are what the engine itself would store.

use super::Error;
use crate::floor::{Captured, Floor, Ground};
use crate::fresh::AllFresh;
use crate::kinds::Kinds;
use crate::life::Caused;
use crate::remembered::Remembered;
use crate::waiters::Waiters;
use actors::Position;
use state::frame::Frame;
use state::journal::Reader;
use state::store::{self, Checkpoint, Store};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How much of the journal is applied at once, in bytes.
const BATCH_BYTES: usize = 1 << 20;

/// After so much of the journal everything that changed is stored, in bytes.
const CHECKPOINT_BYTES: u64 = 256 << 20;

/// With more lives than this, those are put to rest that had no record lately.
const LIVES_MAX: usize = 1_000_000;

/// How many batches without a record make a life idle, once there are too many.
const IDLE_BATCHES: u32 = 16;

/// The core, and how far it has come.
pub(crate) struct Drive {
    floor: Floor<()>,
    journal: Reader,
    /// Frames from here on are not applied.
    end: Position,
    store: Store,
    cursor: Position,
    unstored_bytes: u64,
}

/// A batch that was applied.
pub(crate) struct Batch {
    /// Its frames.
    pub(crate) frames: Vec<Arc<Frame>>,
    /// Where they end.
    pub(crate) end: Position,
    /// How long they are, in bytes.
    pub(crate) bytes: u64,
    /// How many records they hold.
    pub(crate) records: u64,
    /// What they caused, in order of (cause, index).
    pub(crate) caused: Vec<Caused>,
}

impl Drive {
    /// Goes on from where this store is.
    pub(crate) fn open(
        kinds: Kinds,
        (journal, end): (Reader, Position),
        store: Store,
        judged: BTreeSet<Position>,
    ) -> Result<Self, Error> {
        let shards = store.shards();
        let marks: Vec<_> = (0..shards)
            .map(|shard| (shard, store.replay_from(shard), store.shard_note(shard)))
            .collect();
        let ground = Ground {
            kinds,
            shards_total: shards,
            store: store.reader(),
            journal: journal.clone(),
            fresh: Arc::new(AllFresh::new(shards)),
            waiters: Arc::<Waiters>::default(),
            // There are no readers.
            remembered: Arc::new(Remembered::new(0)),
            judged: Arc::new(judged),
        };
        let floor = Floor::open(ground, &marks)?;
        let cursor = floor.replay_from();
        Ok(Self { floor, journal, end, store, cursor, unstored_bytes: 0 })
    }

    /// What is stored.
    pub(crate) fn store(&self) -> store::Reader {
        self.store.reader()
    }

    /// Applies the next batch; none at the journal's end.
    pub(crate) fn step(&mut self) -> Result<Option<Batch>, Error> {
        let mut frames = self.journal.read(self.cursor, BATCH_BYTES)?;
        frames.retain(|frame| frame.base() < self.end);
        let Some(end) = frames.last().map(|frame| frame.end()) else { return Ok(None) };
        let bytes = frames.iter().map(|frame| frame.bytes().len() as u64).sum();
        self.floor.apply(&frames, |_| ())?;
        let caused = self.floor.take_caused();
        let records = end - self.cursor.min(end);
        self.cursor = end;
        self.unstored_bytes += bytes;
        if self.unstored_bytes >= CHECKPOINT_BYTES {
            self.checkpoint()?;
        }
        Ok(Some(Batch { frames, end, bytes, records, caused }))
    }

    /// Stores everything that has changed.
    pub(crate) fn checkpoint(&mut self) -> Result<(), Error> {
        for shard in self.floor.shard_numbers() {
            let Captured { shard, writes, replay_from, note } =
                self.floor.capture(shard, self.cursor);
            let ceiling = self.cursor;
            self.store.stage(Checkpoint { shard, writes, replay_from, note, ceiling })?;
            self.floor.settle(shard, replay_from);
        }
        self.store.commit()?;
        self.unstored_bytes = 0;
        if self.floor.residents() > LIVES_MAX {
            for shard in self.floor.shard_numbers() {
                self.floor.evict(shard, IDLE_BATCHES, usize::MAX);
            }
        }
        Ok(())
    }
}
