//! The operating system's files, to be looked at and nothing else: whoever checks a data directory
//! cannot change it by mistake, nor by using a room that repairs what it finds.
//!
//! What is *not* here: locks. Whoever reads beside a process that writes has to expect that.
//!
//! The invariant: every method that would change anything fails, and files are opened for reading
//! only.

use super::{Disk, DiskFile, RealDisk};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// The operating system's files, for reading only.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOnlyDisk;

fn refused<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "the disk is only to be looked at"))
}

impl Disk for ReadOnlyDisk {
    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        refused()
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(ReadOnlyFile(File::open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove_file(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn exists(&self, path: &Path) -> bool {
        RealDisk.exists(path)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(dir)
    }
}

struct ReadOnlyFile(File);

impl DiskFile for ReadOnlyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        refused()
    }

    fn sync_data(&self) -> io::Result<()> {
        refused()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        refused()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_would_change_something_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&path, b"as it was").unwrap();
        let disk = ReadOnlyDisk;
        let file = disk.open(&path).unwrap();
        let results = [
            disk.create(&other).map(drop),
            disk.create(&path).map(drop),
            disk.create_dir_all(&other),
            disk.rename(&path, &other),
            disk.remove_file(&path),
            disk.sync_dir(dir.path()),
            file.write_all_at(b"x", 0),
            file.set_len(0),
            file.sync_data(),
        ];
        for (nth, result) in results.into_iter().enumerate() {
            let kind = result.unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::ReadOnlyFilesystem, "the {nth}th");
        }
        assert_eq!(disk.list(dir.path()).unwrap(), ["a"]);
        assert_eq!(super::super::read_file(&disk, &path).unwrap(), b"as it was");
    }
}
