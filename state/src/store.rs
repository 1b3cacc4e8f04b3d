//! The store: what every entity was at its shard's last checkpoint, so that starts are fast and
//! sleep is cheap. Never the only copy of anything: the journal is the truth, and a store that is
//! missing, damaged or of another journal is moved aside and rebuilt.
//!
//! A shard is a stack: what was handed over and is only in memory, an overlay (a tree of the
//! key-value store) and the newest image; the upper one wins, and a removal is a tombstone. A
//! checkpoint moves what is in memory down: into the overlay if it is little, into a new image if
//! it is much. What is *not* here: what rows mean, when to make checkpoints, and clocks.
//!
//! What holds, a crash at any moment included:
//! 1. what a checkpoint covered is there, and *replay from* is never ahead of it;
//! 2. what one entity handed over at once is there whole or not at all;
//! 3. no row reaches the disk before a ceiling at or above it is durable.

mod checkpoint;
mod fallback;
mod kv;
mod mem;
mod merge;
mod meta;
mod open;
mod reader;
mod recent;
pub mod rest;
mod sled;
mod view;

pub use self::sled::SledKv;
pub use kv::{Batch, Entries, Kv, KvError};
pub use mem::MemKv;
pub use open::{OpenKv, Opened};
pub use reader::Reader;

use crate::disk::{Disk, replace_file};
use crate::image::{self, Cache};
use actors::Position;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use view::View;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An image could not be written or read.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The key-value store failed. It is not used again.
    #[error("could not {what} the overlay: {source}")]
    Kv {
        /// What was tried.
        what: &'static str,
        /// What it said.
        source: KvError,
    },
    /// The disk refused.
    #[error("could not {what} {}: {source}", path.display())]
    Disk {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The key-value store has failed before, and since then nothing is written.
    #[error("the store has failed before and takes nothing more until it is opened again")]
    Failed,
}

impl Error {
    /// Whether the disk has refused, and may have room another time: the store goes on, and what
    /// was handed over is still readable.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Disk { .. } | Self::Image(image::Error::Disk { .. }))
    }
}

/// How the store behaves; the defaults are for a machine with two cores and an SSD.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many shards the data directory has.
    pub shards: u16,
    /// The key-value store that is not open after so long is moved aside.
    pub open_seconds_max: u64,
    /// What may be in memory only, in bytes; above it the largest shard moves down.
    pub recent_bytes_max: usize,
    /// A batch for the overlay has at most so many entries (one entity's are never split).
    pub batch_entries_max: usize,
    /// A batch for the overlay has at most so many bytes (one entity's are never split).
    pub batch_bytes_max: usize,
    /// When more than so many of a hundred entries lie over a shard's image, it gets a new one.
    pub dirty_percent_max: u64,
    /// But not for fewer entries than this: a file has its price too.
    pub image_entries_min: u64,
    /// An overlay larger than this becomes an image, in bytes.
    pub overlay_bytes_max: u64,
    /// An image that leaves more of the journal to be replayed becomes a new one, one a round.
    pub image_age_records_max: u64,
    /// Blocks of images kept for reads, in bytes.
    pub block_cache_bytes: usize,
    /// The journal's first position: a shard that would have to be replayed from below it begins
    /// with a snapshot.
    pub journal_first: Position,
    /// The folder of snapshots.
    pub snapshots: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 64,
            open_seconds_max: 30,
            recent_bytes_max: 64 << 20,
            batch_entries_max: 256,
            batch_bytes_max: 1 << 20,
            dirty_percent_max: 15,
            image_entries_min: 512,
            overlay_bytes_max: 16 << 20,
            image_age_records_max: 20_000_000,
            block_cache_bytes: 32 << 20,
            journal_first: 0,
            snapshots: PathBuf::new(),
        }
    }
}

/// All that one entity hands over at once. The first entry's key stands for the entity: it is the
/// same each time. `None` removes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// Keys and values, see [`crate::row::key`].
    pub entries: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// A shard's checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// Which shard.
    pub shard: u16,
    /// What has changed and was not handed over yet.
    pub writes: Vec<Write>,
    /// From where the journal is to be replayed onto all that is stored now.
    pub replay_from: Position,
    /// The engine's own words, kept with it.
    pub note: Vec<u8>,
    /// At least every position in the rows.
    pub ceiling: Position,
}

/// Where a checkpoint went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Into the overlay.
    Overlay,
    /// Into a new image.
    Image,
}

/// What a checkpoint wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointReport {
    /// Which shard.
    pub shard: u16,
    /// Where it went.
    pub form: Form,
    /// How many entries were written.
    pub entries: u64,
    /// How many bytes they are.
    pub bytes: u64,
}

/// The store. One thread owns it and does all the writing; see [`Store::reader`].
pub struct Store {
    shared: Arc<Shared>,
    options: Options,
    meta: meta::Meta,
    /// The ceiling that is on disk; `meta.ceiling` may be ahead of it while no row needs it.
    ceiling_durable: Position,
    next_generation: u64,
    staged: Vec<checkpoint::Staged>,
    reports: Vec<CheckpointReport>,
    /// Views that were replaced and that a reader may still hold.
    retired: Vec<Arc<View>>,
    /// Whether something was applied since the last sync.
    unsynced: bool,
    failed: bool,
}

/// What the store and its readers have in common.
struct Shared {
    disk: Arc<dyn Disk>,
    images: PathBuf,
    /// Where to write why the key-value store is not to be used again.
    verdict: PathBuf,
    kv: Arc<dyn Kv>,
    views: Vec<RwLock<Arc<View>>>,
    cache: Cache,
}

impl Shared {
    fn view(&self, shard: u16) -> Arc<View> {
        let view = self.views[usize::from(shard)].read();
        Arc::clone(&view.unwrap_or_else(PoisonError::into_inner))
    }

    /// Passes a result on. If the key-value store has failed, the next start is told: it may well
    /// open, and fail again at the same place.
    fn judged<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error @ Error::Kv { source: KvError::Failed(_), .. }) = &result {
            let written = replace_file(&*self.disk, &self.verdict, error.to_string().as_bytes());
            if let Err(why) = written {
                tracing::warn!(%error, %why, "could not write down why the store failed");
            }
        }
        result
    }

    fn size_bytes(&self) -> u64 {
        let images =
            (0..self.views.len()).filter_map(|shard| self.view(shard as u16).image.clone());
        self.kv.size_bytes() + images.map(|image| image.size_bytes()).sum::<u64>()
    }
}

impl Store {
    /// Opens the store in the data directory `dir` for the journal of this id. `open_kv` opens the
    /// key-value store in a directory of its own; it runs on a thread of its own, because it may
    /// hang.
    ///
    /// # Errors
    /// The disk refuses, an image is of a newer version, or not even an empty key-value store
    /// opens.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        open_kv: &OpenKv,
        options: Options,
        journal: [u8; 16],
    ) -> Result<(Self, Opened), Error> {
        open::open(disk, dir, open_kv, options, journal)
    }

    /// At least every position that is stored: a journal that ends below it has lost something.
    pub fn ceiling(&self) -> Position {
        self.meta.ceiling
    }

    /// From where the journal is to be replayed onto this shard.
    pub fn replay_from(&self, shard: u16) -> Position {
        self.meta.shards[usize::from(shard)].replay_from
    }

    /// The engine's own words, as of that point.
    pub fn shard_note(&self, shard: u16) -> Option<Vec<u8>> {
        self.meta.shards[usize::from(shard)].note.clone()
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        self.options.shards
    }

    /// For everybody who reads.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// Says that rows up to `to` may come. It is durable before any of them is.
    ///
    /// # Errors
    /// The store has failed before.
    pub fn raise_ceiling(&mut self, to: Position) -> Result<(), Error> {
        self.alive()?;
        self.meta.ceiling = self.meta.ceiling.max(to);
        Ok(())
    }

    /// Takes what entities hand over as they are passivated: readable at once, durable with the
    /// shard's next checkpoint.
    ///
    /// # Errors
    /// The key-value store fails, or something does not fit.
    pub fn write(&mut self, shard: u16, writes: Vec<Write>) -> Result<(), Error> {
        self.alive()?;
        if self.staged.iter().any(|staged| staged.replaces(shard)) {
            self.commit_staged()?;
        }
        self.take_in(shard, writes)?;
        self.make_room()
    }

    fn alive(&self) -> Result<(), Error> {
        if self.failed { Err(Error::Failed) } else { Ok(()) }
    }

    /// Runs something on the key-value store.
    fn with_kv<T>(
        &mut self,
        what: &'static str,
        run: impl FnOnce(&dyn Kv) -> Result<T, KvError>,
    ) -> Result<T, Error> {
        let result = run(&*self.shared.kv).map_err(kv_error(what));
        self.judged(result)
    }

    /// Passes a result on; the first error of the key-value store is the end.
    fn judged<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        self.failed |= matches!(result, Err(Error::Kv { .. }));
        self.shared.judged(result)
    }
}

fn kv_error(what: &'static str) -> impl Fn(KvError) -> Error {
    move |source| Error::Kv { what, source }
}

fn disk_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Disk { what, path, source }
}

#[cfg(test)]
mod tests;
