//! The journal: every record there ever was above the floor, in the order in which they happened.
//!
//! One [`Journal`] writes. [`Journal::append`] makes a frame of a draft, less what the origin table
//! or the window of ids knows already, and touches no disk; [`Journal::commit`] writes and syncs
//! everything appended since the last one, and only then do [`Reader`]s see it. [`Journal::open`]
//! finds out what a crash left, and refuses to go on if more is missing than a crash can take.
//!
//! What is *not* here: threads, clocks, who waits for whom, and what a record means.
//!
//! The invariants: positions have no gap; a frame is seen whole or not at all; what was once
//! durable stays, byte for byte.

mod append;
mod buffers;
mod commit;
mod copy;
mod error;
pub(crate) mod export;
mod floor;
mod follow;
mod ids;
mod open;
mod reader;
pub mod rest;
mod scan;
mod segment;
mod spares;
mod tail;
mod walk;
mod window;

pub use crate::frame::header::Fault;
pub(crate) use commit::ORIGIN_FILES;
pub use copy::Copy;
pub use error::{AppendError, Error};
pub use follow::Follower;
pub use open::Opened;
pub use reader::Reader;
pub use spares::Spares;

use crate::disk::DiskFile;
use crate::frame::header::Header;
use crate::origin::Origins;
use actors::{Position, Timestamp};
use buffers::Buffers;
use floor::Orphan;
use ids::SegmentIds;
use reader::Shared;
use segment::Segment;
use std::path::PathBuf;
use std::sync::Arc;
use window::Window;

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which journal it is: the data directory knows. Frames of another one are refused.
    pub uuid: [u8; 16],
    /// The length of a segment.
    pub segment_bytes: u64,
    /// How much of the newest frames stays in memory for readers.
    pub recent_bytes_max: usize,
    /// How many ids of events without numbers are remembered.
    pub ids_max: usize,
    /// For how long.
    pub ids_window_ms: i64,
    /// How many producers there may be.
    pub producers_max: usize,
    /// How much of the disk is left free.
    pub disk_reserve_bytes: u64,
}

impl Options {
    /// The usual ones.
    pub fn new(uuid: [u8; 16]) -> Self {
        Self {
            uuid,
            segment_bytes: 64 << 20,
            recent_bytes_max: 64 << 20,
            ids_max: 2_000_000,
            ids_window_ms: 24 * 3_600_000,
            producers_max: 10_000,
            disk_reserve_bytes: 256 << 20,
        }
    }
}

/// What became of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The position of the first record written.
    pub base: Position,
    /// The position behind the last one; `base` if every group was a duplicate.
    pub end: Position,
    /// Which groups were dropped because they came before, counted from 0 in the draft, in order.
    pub duplicates: Vec<u32>,
    /// The originals of those duplicates are durable when everything below this is.
    pub durable_before: Position,
}

/// The journal's writing end.
pub struct Journal {
    shared: Arc<Shared>,
    options: Options,
    spares: Spares,
    origins: Origins,
    /// The cuts of the two files of the origin table, as far as those are good, and the number of
    /// the last one written.
    cuts: [Option<Position>; 2],
    generation: u64,
    window: Window,
    /// How many ids had come at the last commit: those below are durable.
    ids_durable: u64,
    /// The ids in the segment that is written.
    ids: SegmentIds,
    /// The `.ids` files whose segments are gone, the newest first.
    orphans: Vec<Orphan>,
    tail: Tail,
    /// What was appended and is not written, a part per segment.
    parts: Vec<Part>,
    buffers: Buffers,
    unwritten_bytes: usize,
    next: Position,
    last_time: Timestamp,
    /// The checksum of the last frame.
    predecessor: u32,
    /// Whether the last frame is a seal, or there is none.
    sealed: bool,
    clock_jumps: u64,
    failed: bool,
}

/// Where the next frame goes.
struct Tail {
    segment: Option<Arc<Segment>>,
    /// The file of the segment written last; the parts lead on to others.
    file: Option<Arc<dyn DiskFile>>,
    offset: u64,
    capacity: u64,
}

/// Frames that go into one segment with one write.
struct Part {
    segment: Arc<Segment>,
    /// The spare that becomes this segment, if it is not one yet.
    spare: Option<PathBuf>,
    /// The segment before it, which is complete, and the ids in it.
    closes: Option<(Arc<Segment>, SegmentIds)>,
    offset: u64,
    bytes: Vec<u8>,
    frames: Vec<Header>,
}

impl Journal {
    /// A reading end.
    pub fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }

    /// The shelf of spare segments, for a thread that fills it.
    pub fn spares(&self) -> Spares {
        self.spares.clone()
    }

    /// How far each numbered way has come.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Which journal this is.
    pub fn uuid(&self) -> [u8; 16] {
        self.options.uuid
    }

    /// The position of the next record.
    pub fn next(&self) -> Position {
        self.next
    }

    /// The time of the last frame: no later one will have an earlier time.
    pub fn last_time(&self) -> Timestamp {
        self.last_time
    }

    /// Everything below this position is durable.
    pub fn durable(&self) -> Position {
        self.shared.durable()
    }

    /// How much was appended and is not written.
    pub fn unwritten_bytes(&self) -> usize {
        self.unwritten_bytes
    }

    /// How often the clock has been behind the last frame by more than a second.
    pub fn clock_jumps(&self) -> u64 {
        self.clock_jumps
    }
}

#[cfg(test)]
mod tests;
