//! Copying a journal into another directory, frame by frame, as far as somebody wants it.
//!
//! The frames stay what they are, byte for byte; only one that the wanted end falls into is cut
//! there. Segments are cut anew: how a journal is divided into files means nothing. What is *not*
//! here: reading the frames (`rest`), and the origin table and the ids, which the first start makes
//! from the frames.
//!
//! The invariant: what was copied is the journal of the same id up to the wanted end, and opens as
//! such.

use super::Error;
use super::segment::Segment;
use crate::disk::{Disk, DiskFile};
use crate::frame::Frame;
use actors::Position;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// So much is written at once, in bytes.
const WRITE_BYTES: usize = 4 << 20;

/// A copy under way.
pub struct Copy {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    until: Position,
    file: Option<(PathBuf, Arc<dyn DiskFile>)>,
    /// How much of the file is written, and what is to be written behind it.
    written: u64,
    unwritten: Vec<u8>,
    end: Position,
}

impl Copy {
    /// Begins a copy of the records below `until`, in a directory that is empty or not there.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn begin(
        disk: Arc<dyn Disk>,
        dir: &Path,
        (segment_bytes, until): (u64, Position),
    ) -> Result<Self, Error> {
        disk.create_dir_all(dir).map_err(Error::io("create", dir))?;
        let (dir, unwritten) = (dir.to_owned(), Vec::new());
        Ok(Self { disk, dir, segment_bytes, until, file: None, written: 0, unwritten, end: 0 })
    }

    /// Takes the journal's next frame, seals included.
    ///
    /// # Errors
    /// The disk fails or is full.
    pub fn frame(&mut self, frame: &Frame) -> Result<(), Error> {
        if frame.base() >= self.until {
            return Ok(());
        }
        let cut;
        let frame = if frame.end() > self.until {
            cut = frame.cut(self.until);
            &cut
        } else {
            frame
        };
        let bytes = frame.bytes();
        let full = self.written + (self.unwritten.len() + bytes.len()) as u64 > self.segment_bytes;
        // A segment begins with a record: it is named by its position.
        if self.file.is_none() || (full && frame.end() > frame.base()) {
            self.close()?;
            let path = Segment::new(&self.dir, frame.base()).path;
            let file = self.disk.create(&path).map_err(Error::io("create", &path))?;
            self.file = Some((path, file));
            self.written = 0;
        }
        self.unwritten.extend_from_slice(bytes);
        self.end = frame.end();
        if self.unwritten.len() >= WRITE_BYTES { self.write() } else { Ok(()) }
    }

    /// Makes the copy durable. Returns the position behind its last record.
    ///
    /// # Errors
    /// The disk fails or is full.
    pub fn end(mut self) -> Result<Position, Error> {
        self.close()?;
        self.disk.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        Ok(self.end)
    }

    fn write(&mut self) -> Result<(), Error> {
        let Some((path, file)) = &self.file else { return Ok(()) };
        file.write_all_at(&self.unwritten, self.written).map_err(Error::io("write", path))?;
        self.written += self.unwritten.len() as u64;
        self.unwritten.clear();
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        self.write()?;
        let Some((path, file)) = self.file.take() else { return Ok(()) };
        // As long as any segment, so that there is room for a seal.
        let bytes = self.segment_bytes.max(self.written);
        file.set_len(bytes).map_err(Error::io("lengthen", &path))?;
        file.sync_data().map_err(Error::io("sync", &path))
    }
}
