//! Committing: the write and the sync, and what readers may see after them. Also what else the
//! writer puts on the disk: the origin table's file.
//!
//! Any failure of a write or a sync inside a segment ends this journal's life: after a failed sync
//! nobody knows what is on the disk, and only opening it anew finds out.

use super::reader::{Shared, lock};
use super::segment::{Place, Segment};
use super::{Error, Journal, Part};
use crate::disk::DiskFile;
use crate::frame::Frame;
use crate::frame::header::Header;
use crate::origin;
use actors::Position;
use bytes::Bytes;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The two files of the origin table.
pub(crate) const ORIGIN_FILES: [&str; 2] = ["origins.0", "origins.1"];

impl Journal {
    /// Makes everything that was appended durable, with one write and one sync per segment, and
    /// then visible to readers. Returns the position below which everything is durable.
    pub fn commit(&mut self) -> Result<Position, Error> {
        if self.failed {
            return Err(Error::Failed);
        }
        for part in std::mem::take(&mut self.parts) {
            let (segment, position) = (part.segment.clone(), self.durable());
            if let Err(source) = self.commit_part(part) {
                self.failed = true;
                return Err(Error::Write { path: segment.path.clone(), position, source });
            }
        }
        self.unwritten_bytes = 0;
        self.ids_durable = self.window.count();
        Ok(self.durable())
    }

    fn commit_part(&mut self, part: Part) -> io::Result<()> {
        if let Some((closed, ids)) = &part.closes {
            self.shared.write_ids(closed.base, ids);
        }
        let file = self.file_of(&part)?;
        file.write_all_at(&part.bytes, part.offset)?;
        file.sync_data()?;
        self.tail.file = Some(file);
        let Part { segment, offset, bytes, frames, .. } = part;
        let bytes = self.buffers.lend(bytes);
        self.shared.publish(&segment, offset, &bytes, frames);
        Ok(())
    }

    fn file_of(&self, part: &Part) -> io::Result<Arc<dyn DiskFile>> {
        let Shared { disk, dir, .. } = &*self.shared;
        let Some(spare) = &part.spare else {
            let open = self.tail.file.clone();
            return Ok(open.expect("a segment that was there before has its file open"));
        };
        disk.rename(spare, &part.segment.path)?;
        disk.sync_dir(dir)?;
        disk.open_appending(&part.segment.path)
    }

    /// Commits, and saves the origin table. Returns its cut: a start folds the journal from there.
    ///
    /// # Errors
    /// The journal has failed, or the table could not be saved; the latter does no harm to the
    /// journal.
    pub fn save_origins(&mut self) -> Result<Position, Error> {
        let cut = self.commit()?;
        let generation = self.generation + 1;
        let slot = (generation % 2) as usize;
        let bytes = origin::encode(&self.origins, generation, cut, self.options.uuid);
        let path = self.shared.dir.join(ORIGIN_FILES[slot]);
        // From here on the other generation is the only good one, until this one is synced.
        self.cuts[slot] = None;
        self.shared.write_synced(&path, &bytes).map_err(Error::io("save", &path))?;
        self.cuts[slot] = Some(cut);
        self.generation = generation;
        Ok(cut)
    }
}

impl Shared {
    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.disk.create(path)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()?;
        self.disk.sync_dir(&self.dir)
    }

    /// Shows a part that is durable to readers.
    fn publish(
        &self,
        segment: &Arc<Segment>,
        mut offset: u64,
        bytes: &Bytes,
        headers: Vec<Header>,
    ) {
        lock(&self.segments).entry(segment.base).or_insert_with(|| segment.clone());
        let mut start = 0;
        let mut end = self.durable();
        let mut frames = Vec::with_capacity(headers.len());
        for header in headers {
            let len = header.frame_bytes();
            segment.mark(Place { position: header.base, offset });
            if header.records > 0 {
                frames.push(Arc::new(Frame::new(bytes.slice(start..start + len), header)));
            }
            end = header.end();
            start += len;
            offset += len as u64;
        }
        lock(&self.recent).extend(frames);
        self.set_durable(end);
    }
}
