//! The floor: removing segments that nobody needs any more.
//!
//! A segment goes when images, sinks and both files of the origin table are beyond it. Its `.ids`
//! file stays for as long as its ids are to be remembered, and is synced before the segment goes,
//! since it can then no longer be made again.

use super::ids::SegmentIds;
use super::reader::lock;
use super::segment::Segment;
use super::{Error, Journal};
use actors::Position;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An `.ids` file whose segment is gone.
pub(crate) struct Orphan {
    pub(crate) path: PathBuf,
    pub(crate) last_ms: i64,
}

impl Journal {
    /// Removes the segments that lie wholly below `floor` and below the cuts of both files of the
    /// origin table. Returns the first position that is still there.
    pub fn drop_below(&mut self, floor: Position) -> Result<Position, Error> {
        let cut = self.cuts.iter().flatten().min().copied().unwrap_or(0);
        let floor = floor.min(cut);
        while let Some(segment) = self.oldest_below(floor) {
            self.keep_ids(&segment)?;
            lock(&self.shared.segments).remove(&segment.base);
            self.remove(&segment.path)?;
            // One at a time, so that a crash leaves no hole.
            self.sync_dir()?;
        }
        self.origins.forget_verdicts_below(floor);
        let oldest_ms = self.last_time.plus_ms(-self.options.ids_window_ms).0;
        while let Some(old) = self.orphans.pop_if(|orphan| orphan.last_ms < oldest_ms) {
            self.remove(&old.path)?;
        }
        Ok(self.shared.first())
    }

    /// The oldest segment, if it lies wholly below `floor` and is not the newest too.
    fn oldest_below(&self, floor: Position) -> Option<Arc<Segment>> {
        let segments = lock(&self.shared.segments);
        let (_, second) = (segments.values().next()?, segments.keys().nth(1)?);
        (*second <= floor).then(|| segments.values().next().cloned())?
    }

    fn keep_ids(&mut self, segment: &Segment) -> Result<(), Error> {
        let (ids, _) = self.shared.ids_of(segment.base, Some(segment))?;
        let Some(last_ms) = ids.last_ms() else { return self.remove(&segment.ids_path()) };
        let path = segment.ids_path();
        let file = self.shared.disk.open(&path).map_err(Error::io("open", &path))?;
        file.sync_data().map_err(Error::io("sync", &path))?;
        self.sync_dir()?;
        // The newest first, so that the ones to go are at the end.
        self.orphans.insert(0, Orphan { path, last_ms });
        Ok(())
    }

    fn sync_dir(&self) -> Result<(), Error> {
        let dir = &self.shared.dir;
        self.shared.disk.sync_dir(dir).map_err(Error::io("sync", dir))
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        match self.shared.disk.remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// The ids of a segment, and whether they had to be gathered from it.
pub(crate) type Gathered = (SegmentIds, bool);
