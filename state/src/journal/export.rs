//! Copying a stretch of the journal, while it is written: what a snapshot holds of it.
//!
//! A copy is the segments from the one that holds the first position on, cut behind the last frame
//! below its end, and what a start needs that stands in segments before: the origin table and the
//! ids of events without numbers. Each frame is checked as it is copied. What is *not* here: where
//! the copy goes.
//!
//! The invariant: the copy, in a folder of its own, opens as a journal that ends there.

use super::Error;
use super::commit::ORIGIN_FILES;
use super::ids::SegmentIds;
use super::reader::{Reader, Shared, lock};
use super::segment::Segment;
use super::walk::Stop;
use crate::disk::read_file;
use crate::origin;
use actors::{Position, Timestamp};
use std::sync::Arc;

/// What stands in front of the next segment's copy: nothing if it is the first.
#[derive(Default)]
pub(crate) struct Copied {
    predecessor: Option<u32>,
    /// When the last frame copied was appended.
    pub(crate) last: Option<Timestamp>,
}

impl Reader {
    /// The first positions of the segments that hold `from..to`, in order.
    ///
    /// # Errors
    /// `from` lies below the floor.
    pub(crate) fn bases(&self, from: Position, to: Position) -> Result<Vec<Position>, Error> {
        if lock(&self.0.segments).is_empty() {
            return Ok(Vec::new());
        }
        let first = self.0.segment_of(from)?.base;
        let segments = lock(&self.0.segments);
        Ok(segments.range(first..to.max(first + 1)).map(|(base, _)| *base).collect())
    }

    /// The first positions of all segments, in order.
    pub fn segments(&self) -> Vec<Position> {
        lock(&self.0.segments).keys().copied().collect()
    }

    /// Gives the bytes of each frame of a segment to `take`: of the last one those below `to`, of
    /// one that another follows all.
    ///
    /// # Errors
    /// `take` fails, the disk does, or a frame is damaged.
    pub(crate) fn copy<E: From<Error>>(
        &self,
        base: Position,
        to: Position,
        copied: &mut Copied,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let segment = self.0.segment_of(base)?;
        let is_last = lock(&self.0.segments).range(base + 1..to).next().is_none();
        let file = self.0.disk.open(&segment.path).map_err(Error::io("open", &segment.path))?;
        let mut walk = self.0.walk(file, segment.start());
        walk.predecessor = copied.predecessor;
        while !is_last || walk.next.position < to {
            match walk.step() {
                Ok((view, _)) => {
                    copied.last = Some(view.header.time);
                    take(view.bytes())?;
                }
                Err(Stop::End) if !is_last => break,
                Err(stop) => return Err(self.0.stopped(stop, &segment, &walk).into()),
            }
        }
        copied.predecessor = walk.predecessor;
        Ok(())
    }

    /// The newest good file of the origin table: its generation, its cut and its bytes.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn origins_file(&self) -> Result<Option<(u64, Position, Vec<u8>)>, Error> {
        let Shared { disk, dir, .. } = &*self.0;
        let mut newest = None;
        for path in ORIGIN_FILES.map(|name| dir.join(name)) {
            if !disk.exists(&path) {
                continue;
            }
            // The writer may be at it; then the other one counts.
            let bytes = read_file(&**disk, &path).map_err(Error::io("read", &path))?;
            let Some(saved) = origin::decode(&bytes) else { continue };
            let older =
                |(generation, ..): &(u64, Position, Vec<u8>)| *generation < saved.generation;
            if newest.as_ref().is_none_or(older) {
                newest = Some((saved.generation, saved.cut, bytes));
            }
        }
        Ok(newest)
    }

    /// The `.ids` files of what lies before `base`, as far as those ids are still to be remembered
    /// at `now`; the newest first.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn ids_before(
        &self,
        base: Position,
        now: Timestamp,
    ) -> Result<Vec<(Position, Vec<u8>)>, Error> {
        let Shared { disk, dir, ids_max, ids_window_ms, .. } = &*self.0;
        let oldest_ms = now.0.saturating_sub(*ids_window_ms);
        let names = disk.list(dir).map_err(Error::io("list", dir))?;
        let of = |name: &String| {
            let (digits, end) = name.split_once('.')?;
            matches!(end, "ids" | "seg").then(|| digits.parse().ok())?
        };
        let mut bases: Vec<Position> = names.iter().filter_map(of).filter(|b| *b < base).collect();
        bases.dedup();
        let (mut files, mut count) = (Vec::new(), 0);
        for base in bases.into_iter().rev() {
            let ids = self.ids_of_closed(base)?;
            let Some(last_ms) = ids.last_ms() else { continue };
            if last_ms < oldest_ms || count >= *ids_max {
                break;
            }
            count += ids.len();
            files.push((base, ids.encode(base)));
        }
        Ok(files)
    }

    /// The ids of a segment that is written no more. Nothing is written here: the journal's thread
    /// may be doing just that.
    fn ids_of_closed(&self, base: Position) -> Result<SegmentIds, Error> {
        let shared = &*self.0;
        let path = Segment::new(&shared.dir, base).ids_path();
        if shared.disk.exists(&path) {
            let bytes = read_file(&*shared.disk, &path).map_err(Error::io("read", &path))?;
            if let Some(ids) = SegmentIds::decode(&bytes, base) {
                return Ok(ids);
            }
        }
        let segment: Option<Arc<Segment>> = lock(&shared.segments).get(&base).cloned();
        segment.map_or_else(|| Ok(SegmentIds::default()), |segment| shared.gather(&segment))
    }
}
