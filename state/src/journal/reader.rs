//! Reading by cursor: recent frames from memory, older ones from the files. Readers see durable
//! frames only, and of those only the ones that hold records.

use super::segment::Segment;
use super::walk::{Stop, Walk};
use super::{Error, Options};
use crate::disk::Disk;
use crate::frame::Frame;
use actors::Position;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the writer and the readers share.
pub(crate) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    uuid: [u8; 16],
    /// How many ids of events without numbers are remembered, and for how long.
    pub(super) ids_max: usize,
    pub(super) ids_window_ms: i64,
    durable: AtomicU64,
    pub(super) recent: Mutex<Recent>,
    /// By the position of their first record.
    pub(super) segments: Mutex<BTreeMap<Position, Arc<Segment>>>,
}

/// The newest frames, without a gap.
pub(super) struct Recent {
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    bytes_max: usize,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recent {
    pub(super) fn extend(&mut self, frames: Vec<Arc<Frame>>) {
        self.bytes += frames.iter().map(|frame| frame.bytes().len()).sum::<usize>();
        self.frames.extend(frames);
        while self.bytes > self.bytes_max {
            let oldest = self.frames.pop_front().expect("the bytes are those of frames");
            self.bytes -= oldest.bytes().len();
        }
    }

    /// `None` if the frame that holds `from` is not here any more.
    fn read(&self, from: Position, bytes_max: usize) -> Option<Vec<Arc<Frame>>> {
        if from < self.frames.front()?.base() {
            return None;
        }
        let first = self.frames.partition_point(|frame| frame.end() <= from);
        let mut bytes = 0;
        let mut frames = Vec::new();
        for frame in self.frames.range(first..) {
            bytes += frame.bytes().len();
            if bytes > bytes_max && !frames.is_empty() {
                break;
            }
            frames.push(frame.clone());
        }
        Some(frames)
    }
}

impl Shared {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, options: &Options) -> Self {
        let bytes_max = options.recent_bytes_max;
        let recent = Recent { frames: VecDeque::new(), bytes: 0, bytes_max };
        Self {
            disk,
            dir: dir.to_owned(),
            uuid: options.uuid,
            ids_max: options.ids_max,
            ids_window_ms: options.ids_window_ms,
            durable: AtomicU64::new(0),
            recent: Mutex::new(recent),
            segments: Mutex::new(BTreeMap::new()),
        }
    }

    pub(super) fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    pub(super) fn durable(&self) -> Position {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn set_durable(&self, position: Position) {
        self.durable.store(position, Ordering::Release);
    }

    /// The first position there is.
    pub(super) fn first(&self) -> Position {
        lock(&self.segments).keys().next().copied().unwrap_or(0)
    }

    pub(super) fn segment_of(&self, position: Position) -> Result<Arc<Segment>, Error> {
        let segments = lock(&self.segments);
        if let Some((_, segment)) = segments.range(..=position).next_back() {
            return Ok(segment.clone());
        }
        let floor = segments.keys().next().copied().unwrap_or(0);
        Err(Error::BelowFloor { position, floor })
    }

    /// Walks from the last remembered place at or before `from` to the frame that holds it.
    fn walk_to(&self, segment: &Segment, from: Position) -> Result<Walk, Error> {
        let file = self.disk.open(&segment.path).map_err(|source| {
            let floor = self.first();
            if floor > from {
                Error::BelowFloor { position: from, floor }
            } else {
                Error::io("open", &segment.path)(source)
            }
        })?;
        let mut walk = self.walk(file, segment.place_before(from));
        while walk.next.position < self.durable() {
            segment.mark(walk.next);
            let header = match walk.peek() {
                Ok(header) => header,
                Err(Stop::End) => break,
                Err(stop) => return Err(self.stopped(stop, segment, &walk)),
            };
            if header.end() > from {
                break;
            }
            walk.skip(&header);
        }
        Ok(walk)
    }

    pub(super) fn stopped(&self, stop: Stop, segment: &Segment, walk: &Walk) -> Error {
        let fault = match stop {
            Stop::Io(source) => return Error::io("read", &segment.path)(source),
            Stop::End => crate::frame::header::Fault::Zeros,
            Stop::Fault(fault) => fault,
        };
        Error::Damaged {
            path: segment.path.clone(),
            offset: walk.next.offset,
            position: walk.next.position,
            fault,
            voucher: "this process".to_owned(),
            vouched: self.durable(),
        }
    }

    /// Reads frames from one segment, at least one if the segment has one.
    fn read_segment(
        &self,
        segment: &Segment,
        from: Position,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Frame>>, Error> {
        let mut walk = self.walk_to(segment, from)?;
        let mut frames: Vec<Arc<Frame>> = Vec::new();
        let mut bytes = 0;
        while walk.next.position < self.durable() && (frames.is_empty() || bytes < bytes_max) {
            segment.mark(walk.next);
            let view = match walk.step() {
                Ok((view, _)) => view,
                Err(Stop::End) => break,
                Err(stop) => return Err(self.stopped(stop, segment, &walk)),
            };
            if view.header.records > 0 {
                bytes += view.bytes().len();
                let copy = Bytes::copy_from_slice(view.bytes());
                frames.push(Arc::new(Frame::new(copy, view.header)));
            }
        }
        if frames.is_empty() && !self.leads_on(walk.next.position) {
            return Err(self.stopped(Stop::End, segment, &walk));
        }
        Ok(frames)
    }

    /// Whether a segment begins at this position, or nothing more is durable.
    fn leads_on(&self, position: Position) -> bool {
        position >= self.durable() || lock(&self.segments).contains_key(&position)
    }
}

/// A reading end of the journal.
#[derive(Clone)]
pub struct Reader(pub(super) Arc<Shared>);

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Everything below this position is durable and can be read.
    pub fn durable(&self) -> Position {
        self.0.durable()
    }

    /// Which journal this is.
    pub fn uuid(&self) -> [u8; 16] {
        self.0.uuid()
    }

    /// The first position there is.
    pub fn first(&self) -> Position {
        self.0.first()
    }

    /// How many whole segments there are at least from this position on.
    pub fn segments_from(&self, position: Position) -> u64 {
        let beginning = lock(&self.0.segments).range(position..).count() as u64;
        // The last one is being written.
        beginning.saturating_sub(1)
    }

    /// The frames from the one that holds `from` on, about `bytes_max` of them and at least one;
    /// none if nothing more is durable. The next call goes on at the last one's end.
    pub fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<Arc<Frame>>, Error> {
        if from >= self.durable() {
            return Ok(Vec::new());
        }
        if let Some(frames) = lock(&self.0.recent).read(from, bytes_max) {
            return Ok(frames);
        }
        let segment = self.0.segment_of(from)?;
        let frames = self.0.read_segment(&segment, from, bytes_max)?;
        assert!(!frames.is_empty(), "position {from} is durable and in no segment");
        Ok(frames)
    }

    /// The frame that holds a position, and which of its records it is; `None` if it is not durable
    /// yet.
    pub fn record(&self, position: Position) -> Result<Option<(Arc<Frame>, usize)>, Error> {
        let frame = self.read(position, 0)?.into_iter().next();
        Ok(frame.map(|frame| {
            let index = (position - frame.base()) as usize;
            (frame, index)
        }))
    }
}
