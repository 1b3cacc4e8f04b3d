//! Looking into a journal from outside, while another process may be writing it: frames as they
//! stand in the files, in order.
//!
//! A look holds nothing and changes nothing, so it needs no lock; in return it may see a frame that
//! a crash would take back. What is *not* here: deciding what is durable (`open`), and memory of
//! recent frames (`reader`).
//!
//! Invariant: a frame that is seen is whole, and follows the one seen before it.

use super::Error;
use super::segment::{Place, Segment};
use super::walk::{Stop, Walk};
use crate::disk::Disk;
use crate::frame::Frame;
use actors::Position;
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place in a journal to look from.
pub struct Look {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    uuid: [u8; 16],
    /// The segment that is read, and how far.
    at: Option<(Segment, Walk)>,
    /// The first position that is wanted.
    from: Position,
}

impl Look {
    /// Looks at the journal in `dir`, from the frame that holds `from` on, or from the first there
    /// is.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, uuid: [u8; 16], from: Position) -> Self {
        Self { disk, dir: dir.to_owned(), uuid, at: None, from }
    }

    /// The next frame that holds a record; `None` if there is none yet. Ask again later.
    pub fn frame(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            let Some((segment, mut walk)) = self.at.take() else {
                match self.enter(self.from, 0)? {
                    Some(at) => self.at = Some(at),
                    None => return Ok(None),
                }
                continue;
            };
            match walk.step() {
                Ok((view, _)) => {
                    let wanted = view.header.records > 0 && view.header.end() > self.from;
                    let frame = wanted
                        .then(|| Frame::new(Bytes::copy_from_slice(view.bytes()), view.header));
                    self.at = Some((segment, walk));
                    if frame.is_some() {
                        return Ok(frame);
                    }
                }
                Err(Stop::Io(source)) => return Err(Error::io("read", &segment.path)(source)),
                Err(Stop::End | Stop::Fault(_)) => {
                    let next = walk.next;
                    if let Some(at) = self.enter(next.position, segment.base + 1)? {
                        self.at = Some(at);
                        continue;
                    }
                    // Nothing more is here, or it is being written just now: read it anew next
                    // time.
                    let again = self.walk(&segment, next)?;
                    self.at = Some((segment, again));
                    return Ok(None);
                }
            }
        }
    }

    /// The start of the last segment that begins at or before `position`, if any does that begins
    /// at `base_min` or later; for the very first look, also the first one there is.
    fn enter(
        &self,
        position: Position,
        base_min: Position,
    ) -> Result<Option<(Segment, Walk)>, Error> {
        let names = self.disk.list(&self.dir).map_err(Error::io("list", &self.dir))?;
        let mut bases: Vec<Position> =
            names.iter().filter_map(|name| Segment::base_of(name)).collect();
        bases.sort_unstable();
        let before = bases.iter().rev().find(|base| **base <= position);
        let first = (base_min == 0).then(|| bases.first()).flatten();
        let Some(base) = before.or(first).filter(|base| **base >= base_min) else {
            return Ok(None);
        };
        let segment = Segment::new(&self.dir, *base);
        let walk = self.walk(&segment, Place { position: *base, offset: 0 })?;
        Ok(Some((segment, walk)))
    }

    fn walk(&self, segment: &Segment, place: Place) -> Result<Walk, Error> {
        let file = self.disk.open(&segment.path).map_err(Error::io("open", &segment.path))?;
        Ok(Walk::new(file, self.uuid, place))
    }
}
