//! A real disk that has no room left while it is told so.

use state::disk::{Disk, DiskFile, RealDisk};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The real disk, but nothing new fits on it now and then.
#[derive(Default)]
pub(crate) struct Full {
    /// There is no room for anything.
    pub(crate) full: AtomicBool,
    /// There is room for the journal, and for nothing else.
    pub(crate) full_but_for_segments: AtomicBool,
    /// How often something was refused.
    pub(crate) refused: AtomicU64,
}

impl Full {
    fn room(&self, path: &Path) -> io::Result<()> {
        let is_journals = path.parent().is_some_and(|dir| dir.ends_with("journal"));
        let full = self.full.load(Ordering::Acquire)
            || (self.full_but_for_segments.load(Ordering::Acquire) && !is_journals);
        if full {
            self.refused.fetch_add(1, Ordering::AcqRel);
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Disk for Full {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.room(path)?;
        RealDisk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn exists(&self, path: &Path) -> bool {
        RealDisk.exists(path)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        if self.full.load(Ordering::Acquire) { Ok(0) } else { RealDisk.free_bytes(dir) }
    }
}
