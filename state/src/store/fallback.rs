//! Where a shard begins that the journal cannot bring back any more: its images are lost or too
//! old, and what they would be replayed from was cut. The newest good snapshot has an image of it.
//!
//! What is *not* here: when that is so, and what becomes of a shard that no snapshot has.

use super::{Error, Options, disk_error};
use crate::disk::Disk;
use crate::image::{Header, Image, Writer};
use crate::snapshot::{self, Newest, Snapshot};
use actors::Position;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of snapshots, looked through when the first shard needs it.
pub(super) struct Fallback {
    dir: PathBuf,
    journal: [u8; 16],
    journal_first: Position,
    looked: Option<Newest>,
}

impl Fallback {
    pub(super) fn new(options: &Options, journal: [u8; 16]) -> Self {
        let Options { snapshots: dir, journal_first, .. } = options;
        Self { dir: dir.clone(), journal, journal_first: *journal_first, looked: None }
    }

    /// Whether the journal reaches back to where this image is to be replayed from.
    pub(super) fn reaches(&self, image: Option<&Image>) -> bool {
        image.map_or(0, |image| image.header().replay_from) >= self.journal_first
    }

    /// Makes a shard's image of the newest good snapshot one of the folder `images`. None if there
    /// is no snapshot of this journal, or an older one than the journal.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn image(
        &mut self,
        disk: &Arc<dyn Disk>,
        images: &Path,
        (shard, generation): (u16, u64),
    ) -> Result<Option<Image>, Error> {
        let Some(snapshot) = self.snapshot(disk) else { return Ok(None) };
        let image = snapshot.image(shard)?;
        let Some(image) = image.filter(|image| self.reaches(Some(image))) else { return Ok(None) };
        let header = Header { generation, ..image.header().clone() };
        let mut writer = Writer::begin(disk, images, &header)?;
        let mut cursor = image.seek(&[], None)?;
        while let Some((key, value)) = cursor.peek() {
            writer.push(key, value)?;
            cursor.advance()?;
        }
        let finished = writer.finish()?;
        let path = finished.publish()?;
        disk.sync_dir(images).map_err(disk_error("sync", images))?;
        Ok(Some(Image::open(disk, path)?))
    }

    fn snapshot(&mut self, disk: &Arc<dyn Disk>) -> Option<&Snapshot> {
        let looked = self.looked.get_or_insert_with(|| {
            let newest = snapshot::newest(disk, &self.dir, self.journal);
            newest.unwrap_or_else(|error| Newest {
                snapshot: None,
                passed_over: vec![error.to_string()],
            })
        });
        looked.snapshot.as_ref()
    }

    /// Which snapshot shards began with, and what was wrong with newer ones.
    pub(super) fn report(self) -> (Option<PathBuf>, Vec<String>) {
        let Newest { snapshot, passed_over } = self.looked.unwrap_or_default();
        (snapshot.map(|snapshot| snapshot.path().to_owned()), passed_over)
    }
}
