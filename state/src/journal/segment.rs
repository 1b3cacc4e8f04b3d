//! Segments: the journal's files, named by the position of their first record,
//! `00000000000000000000.seg`.
//!
//! A segment is as long as it will ever be from the start, filled with zeros; frames never span
//! two. Beside a closed one lies its `.ids` file. What is *not* here: what stands in a segment
//! (`walk`), and where new ones come from (`spares`).

use actors::Position;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A place every so many bytes is remembered, so that a reader need not walk a segment from its
/// start.
const MARK_BYTES: u64 = 32 << 10;

/// One file of the journal.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: Position,
    pub(crate) path: PathBuf,
    marks: Mutex<Vec<Place>>,
}

/// Where a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: Position,
    pub(crate) offset: u64,
}

impl Segment {
    pub(crate) fn new(dir: &Path, base: Position) -> Self {
        let start = Place { position: base, offset: 0 };
        Self { base, path: dir.join(format!("{base:020}.seg")), marks: Mutex::new(vec![start]) }
    }

    /// The position in the name of a segment's file.
    pub(crate) fn base_of(name: &str) -> Option<Position> {
        let digits = name.strip_suffix(".seg")?;
        (digits.len() == 20).then(|| digits.parse().ok())?
    }

    /// Where its first frame begins.
    pub(crate) fn start(&self) -> Place {
        Place { position: self.base, offset: 0 }
    }

    pub(crate) fn ids_path(&self) -> PathBuf {
        self.path.with_extension("ids")
    }

    /// Remembers where a frame begins, if it is far enough from the last one remembered.
    pub(crate) fn mark(&self, place: Place) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let last = marks.last().expect("a segment's start is always marked");
        if place.offset >= last.offset + MARK_BYTES && place.position > last.position {
            marks.push(place);
        }
    }

    /// The last remembered place at or before a position.
    pub(crate) fn place_before(&self, position: Position) -> Place {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = marks.partition_point(|place| place.position <= position);
        marks[behind.saturating_sub(1)]
    }
}
