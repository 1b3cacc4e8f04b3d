//! Following a journal from beside, while another process writes it: without its lock, and without
//! touching anything.
//!
//! What a process has written may not be durable yet, and after a failed sync never was. So a frame
//! is shown only once a later one says that it was durable; an idle journal is sealed within
//! moments, so little waits for long. What is *not* here: waiting.

use super::Error;
use super::rest::AtRest;
use super::segment::{Place, Segment};
use super::walk::{Stop, Walk};
use crate::disk::Disk;
use crate::frame::Frame;
use actors::Position;
use bytes::Bytes;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who follows a journal.
pub struct Follower {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    uuid: [u8; 16],
    /// Where it is: none before the first segment is there.
    at: Option<(Arc<Segment>, Walk)>,
    from: Position,
    /// The highest position that any frame says was durable.
    vouched: Position,
    /// Read, and not known to be durable.
    waiting: VecDeque<Frame>,
}

impl Follower {
    /// Follows the journal in `dir` from the frame on that holds `from`, or from its first one if
    /// that is not there any more.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, uuid: [u8; 16], from: Position) -> Self {
        let dir = dir.to_owned();
        let waiting = VecDeque::new();
        Self { disk, dir, uuid, at: None, from, vouched: 0, waiting }
    }

    /// The next frame with records; none if nothing more is known to be durable by now.
    ///
    /// # Errors
    /// The disk fails, or what was durable is damaged.
    pub fn frame(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if self.waiting.front().is_some_and(|frame| frame.end() <= self.vouched) {
                return Ok(self.waiting.pop_front());
            }
            if !self.read_on()? {
                return Ok(None);
            }
        }
    }

    /// Reads one more frame, or goes on to the next segment; false if there is neither.
    fn read_on(&mut self) -> Result<bool, Error> {
        let Some((segment, walk)) = &mut self.at else { return self.enter(self.from) };
        let stop = match walk.step() {
            Ok((view, _)) => {
                let header = view.header;
                self.vouched = self.vouched.max(header.durable_to);
                if header.records > 0 && header.end() > self.from {
                    let bytes = Bytes::copy_from_slice(view.bytes());
                    self.waiting.push_back(Frame::new(bytes, header));
                }
                return Ok(true);
            }
            Err(stop) => stop,
        };
        let (place, segment) = (walk.next, segment.clone());
        match stop {
            Stop::Io(source) => Err(Error::io("read", &segment.path)(source)),
            Stop::Fault(fault) if place.position < self.vouched => Err(Error::Damaged {
                path: segment.path.clone(),
                offset: place.offset,
                position: place.position,
                fault,
                voucher: "a later frame".to_owned(),
                vouched: self.vouched,
            }),
            Stop::End | Stop::Fault(_) => self.later(&segment, place),
        }
    }

    /// Nothing more stands here now: goes on to the next segment, if that has begun. Else the file
    /// is read again from here, when there is more.
    fn later(&mut self, segment: &Segment, place: Place) -> Result<bool, Error> {
        let journal = self.journal()?;
        let next = journal.segment_of(place.position).filter(|next| next.base > segment.base);
        if let Some(next) = next {
            // Its predecessor may be a seal that was written after we looked.
            self.at = Some((next.clone(), journal.walk(next, next.start())?));
            return Ok(true);
        }
        let (segment, before) = self.at.take().expect("somewhere nothing more stands");
        let mut walk = journal.walk(&segment, place)?;
        walk.predecessor = before.predecessor;
        self.at = Some((segment, walk));
        Ok(false)
    }

    fn journal(&self) -> Result<AtRest, Error> {
        AtRest::open(self.disk.clone(), &self.dir, self.uuid)
    }

    /// Enters the segment that holds a position; false if there is none.
    fn enter(&mut self, position: Position) -> Result<bool, Error> {
        let journal = self.journal()?;
        let position = position.max(journal.first());
        let Some(segment) = journal.segment_of(position).cloned() else { return Ok(false) };
        let walk = journal.walk(&segment, segment.start())?;
        self.at = Some((segment, walk));
        Ok(true)
    }
}
