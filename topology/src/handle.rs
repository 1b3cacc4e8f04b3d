//! The engine, as the door sees it: ask, command, take in, look. Cheap to clone, and the same over
//! restarts of any worker.

mod commands;
pub(crate) mod intake;
mod letters;
mod lists;
mod looks;
mod past;
mod reads;
mod sources;

pub use past::AsOf;
pub use sources::DecideError;

use crate::floor::shard_of;
use crate::fresh::AllFresh;
use crate::kafka::Kafka;
use crate::kinds::Kinds;
use crate::options::Options;
use crate::remembered::Remembered;
use crate::resident::Directory;
use crate::snapshots::Desk;
use crate::tree::Tree;
use crate::worker::{Link, Marks};
use crate::writer::Writer;
use actors::{Address, Kind, KindId, Position};
use metrics_exporter_prometheus::PrometheusHandle;
use state::disk::Disk;
use state::{journal, store};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A handle on the running engine.
#[derive(Clone)]
pub struct Handle {
    pub(crate) inner: Arc<Inner>,
}

/// What the handles have in common.
pub(crate) struct Inner {
    pub(crate) kinds: Kinds,
    pub(crate) options: Arc<Options>,
    pub(crate) source: String,
    /// The journal's.
    pub(crate) uuid: [u8; 16],
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) writer: Writer,
    pub(crate) journal: journal::Reader,
    pub(crate) store: store::Reader,
    pub(crate) fresh: Arc<AllFresh>,
    pub(crate) remembered: Arc<Remembered>,
    /// The records that were judged before this process began.
    pub(crate) judged: Arc<BTreeSet<Position>>,
    /// Reads of the past take turns.
    pub(crate) past_turns: Arc<tokio::sync::Semaphore>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) marks: Arc<Marks>,
    /// Worker `i` hosts every shard `s` with `s % workers == i`.
    pub(crate) workers: Vec<Arc<Link>>,
    pub(crate) tree: OnceLock<Tree>,
    pub(crate) kafka_sink: OnceLock<Arc<crate::kafka::sink::Sink>>,
    pub(crate) kafka: OnceLock<Arc<Kafka>>,
    pub(crate) turns: intake::Turns,
    pub(crate) snapshots: OnceLock<Arc<Desk>>,
    pub(crate) stopping: AtomicBool,
    /// Whether the disk has refused the last round of checkpoints.
    pub(crate) checkpoints_fail: Arc<AtomicBool>,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) started: std::time::SystemTime,
}

/// How long a read may wait, and for what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Freshness {
    /// The answer must reflect every record below this position.
    pub at_least: Option<Position>,
    /// How long to wait for that.
    pub wait_max: Duration,
}

impl Handle {
    /// The table of kinds.
    pub fn kinds(&self) -> &'static [Kind] {
        self.inner.kinds.table()
    }

    /// The kind of this name.
    pub fn kind(&self, name: &str) -> Option<KindId> {
        self.inner.kinds.id(name)
    }

    /// The journal's own `source` in events: `/bellwether/<journal id>`.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// The journal's durable end.
    pub fn durable_end(&self) -> Position {
        self.inner.journal.durable()
    }

    /// What was handed to the journal and is not durable yet, in bytes.
    pub fn unwritten_bytes(&self) -> u64 {
        self.inner.writer.gauge().unwritten_bytes.load(Ordering::Relaxed)
    }
}

impl Inner {
    pub(crate) fn shard_of(&self, address: &Address) -> u16 {
        shard_of(address.hash(), self.marks.shards())
    }

    pub(crate) fn worker_of(&self, shard: u16) -> &Arc<Link> {
        &self.workers[usize::from(shard) % self.workers.len()]
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Records that are journaled but not applied by the slowest worker.
    pub(crate) fn in_flight(&self) -> u64 {
        let slowest = self.workers.iter().map(|link| link.position()).min().unwrap_or(0);
        self.journal.durable().saturating_sub(slowest)
    }

    /// Why nothing more may come in from outside now, if it may not.
    pub(crate) fn overload(&self) -> Option<&'static str> {
        let gauge = self.writer.gauge();
        if gauge.disk_full.load(Ordering::Relaxed) {
            return Some("the disk is full");
        }
        if self.in_flight() > self.options.in_flight_records_max {
            return Some("too many records are waiting to be applied");
        }
        if gauge.unwritten_bytes.load(Ordering::Relaxed) > self.options.in_flight_bytes_max {
            return Some("too many bytes are waiting to be written");
        }
        if self.store_is_behind() {
            return Some("the store is too far behind the journal");
        }
        None
    }

    /// Whether so much is in no checkpoint that more would only cost memory and a long replay.
    /// Where checkpoints fail, the next one is tried only once there is more to store.
    fn store_is_behind(&self) -> bool {
        let segments = self.journal.segments_from(self.marks.replay_from());
        let bytes = segments.saturating_mul(self.options.journal.segment_bytes);
        bytes > self.options.store_behind_bytes() && !self.checkpoints_fail.load(Ordering::Relaxed)
    }
}
