//! The first pass of a start: folds the frames from the origin table's cut on, and finds where the
//! journal ends.

use super::Error;
use super::ids::SegmentIds;
use super::reader::Shared;
use super::segment::{Place, Segment};
use super::walk::{Stop, Walk};
use crate::frame::header::{Fault, Header};
use crate::frame::view::View;
use crate::origin::Origins;
use actors::{Position, Timestamp};
use std::collections::VecDeque;
use std::sync::Arc;

/// What the first pass has found so far.
pub(crate) struct Scan {
    pub(crate) origins: Origins,
    /// The ids of each segment scanned.
    pub(crate) ids: Vec<SegmentIds>,
    pub(crate) frames: u64,
    /// The last frame, if there is any.
    pub(crate) last: Option<Header>,
    /// Which of the segments is the last one with frames of the journal, and where they end in it.
    pub(crate) tail: usize,
    pub(crate) end: Place,
    /// What stands there instead of a frame; nothing, if only zeros.
    pub(crate) fault: Option<Fault>,
    /// The highest position that any frame says was durable, and the place of that frame.
    pub(crate) durable_to: Position,
    /// The frames of which no later frame says that they were durable.
    pub(crate) unvouched: VecDeque<Written>,
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) segment: usize,
    pub(crate) from: u64,
    pub(crate) to: u64,
    base: Position,
    end: Position,
}

impl Written {
    /// Whether a frame is known to be durable, if everything below `durable` is. A seal is only
    /// when that goes beyond it.
    pub(crate) fn is_vouched(&self, durable: Position) -> bool {
        self.end <= durable && self.base < durable
    }
}

impl Scan {
    /// Scans from the start of `segments[start]` on.
    pub(crate) fn run(
        shared: &Shared,
        segments: &[Arc<Segment>],
        start: usize,
        origins: Origins,
    ) -> Result<Self, Error> {
        let base = segments.get(start).map_or(0, |segment| segment.base);
        let mut scan = Self {
            origins,
            ids: Vec::new(),
            frames: 0,
            last: None,
            tail: start,
            end: Place { position: base, offset: 0 },
            fault: None,
            durable_to: 0,
            unvouched: VecDeque::new(),
        };
        for (index, segment) in segments.iter().enumerate().skip(start) {
            if index > start && segment.base != scan.end.position {
                break;
            }
            scan.segment(shared, index, segment)?;
            if scan.fault.is_some() {
                break;
            }
        }
        Ok(scan)
    }

    fn segment(&mut self, shared: &Shared, index: usize, segment: &Segment) -> Result<(), Error> {
        let path = &segment.path;
        let file = shared.disk.open(path).map_err(Error::io("open", path))?;
        let mut walk = shared.walk(file, Place { position: segment.base, offset: 0 });
        let none_before = || (segment.base == 0).then_some(0);
        walk.predecessor = self.last.map(|last| last.crc).or_else(none_before);
        self.ids.push(SegmentIds::default());
        self.tail = index;
        let stop = loop {
            match walk.step() {
                Ok((view, place)) => {
                    segment.mark(place);
                    self.fold(view, place, index);
                }
                Err(stop) => break stop,
            }
        };
        self.end = walk.next;
        match stop {
            Stop::End => Ok(()),
            Stop::Io(source) => Err(Error::io("read", path)(source)),
            Stop::Fault(Fault::Version(version)) => {
                Err(Error::Newer { path: path.clone(), version })
            }
            Stop::Fault(Fault::Journal) => Err(Error::Foreign { path: path.clone() }),
            Stop::Fault(fault) => {
                self.fault = Some(fault);
                Ok(())
            }
        }
    }

    fn fold(&mut self, view: View<'_>, place: Place, segment: usize) {
        let header = view.header;
        self.origins.fold(view);
        self.ids.last_mut().expect("a segment is being scanned").fold(view);
        self.frames += 1;
        self.last = Some(header);
        self.durable_to = self.durable_to.max(header.durable_to);
        while self.unvouched.front().is_some_and(|frame| frame.is_vouched(self.durable_to)) {
            self.unvouched.pop_front();
        }
        let (from, to) = (place.offset, place.offset + header.frame_bytes() as u64);
        let (base, end) = (header.base, header.end());
        self.unvouched.push_back(Written { segment, from, to, base, end });
    }

    pub(crate) fn last_time(&self) -> Timestamp {
        self.last.map_or(Timestamp(i64::MIN), |last| last.time)
    }
}

impl Shared {
    pub(super) fn walk(&self, file: Arc<dyn crate::disk::DiskFile>, next: Place) -> Walk {
        Walk::new(file, self.uuid(), next)
    }
}
