//! Frames: what is appended to the journal at once, all or nothing.
//!
//! A frame is a fixed header, the name of the way it came in by, a table of its groups, and its
//! records (the layout stands in [`header`] and [`view`]). A [`Draft`] is what somebody hands to
//! the writer; the writer drops the groups it knows already and makes one frame of the rest. What
//! is *not* here: files, and what a record's tag and payload mean.
//!
//! The invariant: a frame's bytes never change once its checksum is there, and its positions are
//! `base..end`, without a gap.

pub(crate) mod draft;
pub(crate) mod header;
pub(crate) mod view;

pub use draft::Draft;
pub use view::{Group, Groups, Indexed, Record, Records};

use actors::{KindId, Position, Timestamp};
use bytes::Bytes;
use compact_str::CompactString;
use header::{Fault, Header};
use std::ops::Range;
use std::sync::OnceLock;
use view::View;

/// The longest name of a way, in bytes.
pub const WAY_NAME_BYTES_MAX: usize = 320;

/// The one tag this room knows: a frame that holds such a record is flagged, so that a start finds
/// it without looking into every record.
pub const TAG_VERDICT: u8 = 6;

/// The tag of the record that stands in a frame whose groups hold none, so that every frame but a
/// seal has a position of its own to be durable at. It is addressed to nobody and says nothing.
pub const TAG_BLANK: u8 = 255;

/// What sort of way in it is, and with that how its groups are deduplicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum WayKind {
    /// The engine itself: commands, firings, answers. Not deduplicated here.
    Engine = 0,
    /// Events without numbers, deduplicated by (source, id) within a window.
    Unnumbered = 1,
    /// A producer that numbers its events.
    Producer = 2,
    /// A shard's effects, numbered by (cause, index).
    Shard = 3,
    /// A partition of a Kafka topic, numbered by offset.
    Kafka = 4,
}

impl WayKind {
    pub(crate) fn of(byte: u8) -> Option<Self> {
        [Self::Engine, Self::Unnumbered, Self::Producer, Self::Shard, Self::Kafka]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }

    /// Whether its groups are numbered, and so deduplicated for ever.
    pub fn is_numbered(self) -> bool {
        matches!(self, Self::Producer | Self::Shard | Self::Kafka)
    }
}

/// A way in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    /// Its sort.
    pub kind: WayKind,
    /// Which of that sort; at most [`WAY_NAME_BYTES_MAX`] bytes.
    pub name: CompactString,
}

impl Way {
    /// The way of this sort and name.
    pub fn new(kind: WayKind, name: &str) -> Self {
        Self { kind, name: CompactString::new(name) }
    }

    /// The engine's own.
    pub fn engine() -> Self {
        Self::new(WayKind::Engine, "")
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            WayKind::Engine => f.write_str("the engine"),
            WayKind::Unnumbered => f.write_str("unnumbered events"),
            WayKind::Producer => write!(f, "producer {}", self.name),
            WayKind::Shard => write!(f, "shard {}", self.name),
            WayKind::Kafka => write!(f, "kafka {}", self.name),
        }
    }
}

/// By what a group is recognised when it comes again. It fits its way: numbers for numbered ways,
/// ids for unnumbered events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is not.
    None,
    /// By its number, and the index among those of the same number.
    Number {
        /// A sequence number, an offset, or the position of the cause.
        number: u64,
        /// Which of the same number; 0 but for a shard's effects.
        index: u16,
    },
    /// By the hash of its source and id.
    Id(u128),
}

/// What stands in front of a record's key and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// What sort of record it is.
    pub tag: u8,
    /// The kind of the entity it is addressed to.
    pub kind: KindId,
    /// How many records stand between it and what the outside said.
    pub depth: u8,
}

/// One frame, as readers get it.
pub struct Frame {
    bytes: Bytes,
    header: Header,
    /// Where each record is and whom it concerns; built by whoever asks first, not by the writer.
    index: OnceLock<Box<[Indexed]>>,
}

impl Frame {
    /// A frame that was checked, or built by ourselves.
    pub(crate) fn new(bytes: Bytes, header: Header) -> Self {
        Self { bytes, header, index: OnceLock::new() }
    }

    /// Reads a frame that takes up all of `bytes`, and checks every part of it.
    pub fn parse(bytes: Bytes) -> Result<Self, Fault> {
        let header = Header::check(&bytes)?;
        if header.frame_bytes() != bytes.len() {
            return Err(Fault::Inconsistent);
        }
        View::new(header, &bytes).check()?;
        Ok(Self::new(bytes, header))
    }

    pub(crate) fn view(&self) -> View<'_> {
        View::new(self.header, &self.bytes)
    }

    /// The position of its first record.
    pub fn base(&self) -> Position {
        self.header.base
    }

    /// The position behind its last record.
    pub fn end(&self) -> Position {
        self.header.end()
    }

    /// When it was appended, by the writer's clock, which never goes backwards.
    pub fn time(&self) -> Timestamp {
        self.header.time
    }

    /// The way it came in by.
    pub fn way(&self) -> Way {
        Way::new(self.way_kind(), self.way_name())
    }

    /// The sort of that way.
    pub fn way_kind(&self) -> WayKind {
        self.header.way_kind
    }

    /// The name of that way.
    pub fn way_name(&self) -> &str {
        self.view().name()
    }

    /// Whether it holds a verdict.
    pub fn has_verdict(&self) -> bool {
        self.header.flags & header::FLAG_VERDICT != 0
    }

    /// What was known to be durable when it was written.
    pub fn durable_to(&self) -> Position {
        self.header.durable_to
    }

    /// Its bytes as they stand in the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its groups, in order.
    pub fn groups(&self) -> Groups<'_> {
        self.view().groups()
    }

    /// Its records, in order.
    pub fn records(&self) -> Records<'_> {
        self.view().records()
    }

    /// The record at a position of this frame.
    pub fn at(&self, position: Position) -> Option<Record<'_>> {
        let index = position.checked_sub(self.base())?;
        (position < self.end()).then(|| self.record(index as usize))
    }

    /// Its nth record, from 0.
    ///
    /// # Panics
    /// It has fewer.
    pub fn record(&self, index: usize) -> Record<'_> {
        let start = self.index()[index].start as usize;
        view::record_at(&self.bytes, start, (self.base() + index as u64, self.time())).0
    }

    /// Whom each of its records concerns, in order. Made once for all its readers: each of several
    /// workers has to find its own among them.
    pub fn index(&self) -> &[Indexed] {
        self.index.get_or_init(|| self.view().index())
    }

    /// A frame of its records below `to` alone, at the same positions. A group that is cut keeps
    /// its mark; the hash of the last event goes, since it may be another's.
    ///
    /// # Panics
    /// None of its records is below `to`, or all are.
    pub(crate) fn cut(&self, to: Position) -> Self {
        let cut = self.base() < to && to < self.end();
        assert!(cut, "cutting {}..{} at {to}", self.base(), self.end());
        let (header, bytes) = self.view().cut((to - self.base()) as usize);
        Self::new(bytes.into(), header)
    }

    /// Its records from the `range.start`th on, so many of them.
    pub fn slice(&self, range: Range<usize>) -> impl Iterator<Item = Record<'_>> {
        range.map(|index| self.record(index))
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({}..{} by {})", self.base(), self.end(), self.way())
    }
}

#[cfg(test)]
mod tests;
