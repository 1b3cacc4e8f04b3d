//! What the engine can be told at start. Every number has its unit in its name.

use crate::snapshots::Retain;
use std::path::PathBuf;
use std::time::Duration;

/// A journal that may be cut needs snapshots to be cut by.
const UNLESS_TOLD: Duration = Duration::from_secs(3_600);

/// The engine's options; `Options::new` has the defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory.
    pub data: PathBuf,
    /// The journal's segments, ring, window and reserve. Its uuid is the data directory's.
    pub journal: state::journal::Options,
    /// The store's cache and image policy.
    pub store: state::store::Options,
    /// sled's cache, in bytes on disk; it takes more in memory.
    pub store_cache_bytes: u64,
    /// OS threads that host shards.
    pub workers: usize,
    /// Live entities, all workers together; beyond it, idle ones are put to rest.
    pub residents_max: usize,
    /// An entity idle for so long is put to rest, in seconds.
    pub resident_idle_s: u64,
    /// Rendered answers of residents that have not changed since, all together, in bytes.
    pub remembered_bytes_max: usize,
    /// Ways in from outside wait while so many records are journaled but not applied.
    pub in_flight_records_max: u64,
    /// Ways in from outside wait while so many bytes wait to be written.
    pub in_flight_bytes_max: u64,
    /// How much of the journal a worker applies at once, in bytes.
    pub batch_bytes_max: usize,
    /// A shard is checkpointed after so many bytes of journal at the latest.
    pub checkpoint_journal_bytes: u64,
    /// And after so many seconds at the latest, if anything has changed.
    pub checkpoint_interval_s: u64,
    /// Ways in from outside wait while more of the journal than this is in no checkpoint, in bytes;
    /// never less than four times `checkpoint_journal_bytes`.
    pub store_behind_bytes_max: u64,
    /// An actor restarted more often than this within `restarts_window_s` ends the process.
    pub restarts_max: u32,
    /// See `restarts_max`.
    pub restarts_window_s: u64,
    /// A read of the past folds at most so many records.
    pub as_of_records_max: usize,
    /// And reads at most so much of the journal, in bytes.
    pub as_of_journal_bytes_max: u64,
    /// So many reads of the past are under way at once.
    pub as_of_at_once_max: usize,
    /// Where snapshots go; the folder `snapshots` in the data directory if it is none.
    pub snapshots: Option<PathBuf>,
    /// A snapshot is taken after so many seconds, if anything has changed; 0: only when asked, or
    /// every hour if the journal may be cut.
    pub snapshot_interval_s: u64,
    /// So many snapshots are kept.
    pub snapshots_keep: usize,
    /// How much of the journal is kept.
    pub retain: Retain,
    /// Whether deliveries are carried out and published events are sent out. Off for replays.
    pub sinks: bool,
}

impl Options {
    /// The defaults, for this data directory.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            journal: state::journal::Options::new([0; 16]),
            store: state::store::Options::default(),
            store_cache_bytes: 128 << 20,
            workers: 1,
            residents_max: 1_000_000,
            resident_idle_s: 300,
            remembered_bytes_max: 64 << 20,
            in_flight_records_max: 65_536,
            in_flight_bytes_max: 64 << 20,
            batch_bytes_max: 1 << 20,
            checkpoint_journal_bytes: 64 << 20,
            checkpoint_interval_s: 30,
            store_behind_bytes_max: 1 << 30,
            restarts_max: 5,
            restarts_window_s: 60,
            as_of_records_max: 100_000,
            as_of_journal_bytes_max: 1 << 30,
            as_of_at_once_max: 2,
            snapshots: None,
            snapshot_interval_s: 0,
            snapshots_keep: 2,
            retain: Retain::default(),
            sinks: true,
        }
    }

    /// How much of the journal may be in no checkpoint: a few rounds of them, or there would be
    /// stalls of no use.
    pub(crate) fn store_behind_bytes(&self) -> u64 {
        self.store_behind_bytes_max.max(self.checkpoint_journal_bytes.saturating_mul(4))
    }

    /// The folder of snapshots.
    pub fn snapshots_dir(&self) -> PathBuf {
        let folder = || self.data.join(state::snapshot::FOLDER);
        self.snapshots.clone().unwrap_or_else(folder)
    }

    /// How often a snapshot is taken by itself, if ever.
    pub(crate) fn snapshot_interval(&self) -> Option<Duration> {
        match self.snapshot_interval_s {
            0 if self.retain.is_all() => None,
            0 => Some(UNLESS_TOLD),
            seconds => Some(Duration::from_secs(seconds)),
        }
    }
}
