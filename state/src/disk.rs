//! The disk, as the journal, the store and the images see it: a trait, so that tests and the
//! simulator can put one under them that tears writes, forgets what was not synced, fails and fills
//! up ([`FaultyDisk`]).
//!
//! What is *not* here: what anybody keeps in files. Everybody who uses this trait holds to one
//! rule: a write is durable after [`DiskFile::sync_data`] of its file, a name after
//! [`Disk::sync_dir`] of its directory, and nothing is before.

mod direct;
mod faulty;
mod read_only;

pub use faulty::{FaultyDisk, is_crash};
pub use read_only::ReadOnlyDisk;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place for files.
pub trait Disk: Send + Sync {
    /// A new file, or an existing one made empty; for reading and writing.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// An existing file, for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// An existing file, to be written on and on and hardly read. A write may turn what is behind
    /// it into zeros, up to 4 KiB.
    fn open_appending(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }
    /// The names of the files in a directory, sorted. Directories are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory and those above it, durably. Existing ones are fine.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Gives a file another name within the same directory, in one step; replaces what has that
    /// name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Makes durable which names the directory holds.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Whether there is a file or a directory of this name.
    fn exists(&self, path: &Path) -> bool;
    /// How many bytes can still be written where `dir` is.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Reads into `buf`, possibly less than it holds; 0 is the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf`.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Makes durable what was written, and the length.
    fn sync_data(&self) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Cuts the file, or extends it with zeros that take no space yet.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills all of `buf`, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// All bytes of a file.
pub fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let mut bytes = vec![0; file.len()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Puts a file in place of `path`, durably and in one step: whoever opens it finds the old bytes or
/// the new ones.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().expect("a file of ours lies in a directory");
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let file = disk.create(&unfinished)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()?;
    disk.rename(&unfinished, path)?;
    disk.sync_dir(dir)
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open_appending(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        direct::open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        std::fs::create_dir_all(dir)?;
        // A directory is durable when the one above it is synced; the ones above that were most
        // likely there before.
        for above in dir.ancestors().skip(1).take(2) {
            if above.as_os_str().is_empty() {
                return self.sync_dir(Path::new("."));
            }
            self.sync_dir(above)?;
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What both disks must do alike.
    fn behaves(disk: &dyn Disk, dir: &Path) {
        let at = |name: &str| dir.join(name);
        disk.create_dir_all(dir).unwrap();
        assert!(disk.exists(dir));
        assert_eq!(disk.open(&at("a")).err().unwrap().kind(), io::ErrorKind::NotFound);
        let file = disk.create(&at("a")).unwrap();
        file.write_all_at(b"hello", 3).unwrap();
        assert_eq!(file.len().unwrap(), 8);
        assert_eq!(read_file(disk, &at("a")).unwrap(), b"\0\0\0hello");
        file.set_len(4).unwrap();
        file.set_len(6).unwrap();
        assert_eq!(read_file(disk, &at("a")).unwrap(), b"\0\0\0h\0\0");
        let past_the_end = file.read_exact_at(&mut [0; 2], 5).unwrap_err();
        assert_eq!(past_the_end.kind(), io::ErrorKind::UnexpectedEof);
        replace_file(disk, &at("b"), b"one").unwrap();
        replace_file(disk, &at("b"), b"two").unwrap();
        assert_eq!(disk.list(dir).unwrap(), ["a", "b"]);
        assert_eq!(read_file(disk, &at("b")).unwrap(), b"two");
        disk.remove_file(&at("a")).unwrap();
        assert!(!disk.exists(&at("a")));
        assert!(disk.free_bytes(dir).unwrap() > 0);
        assert!(disk.create(&at("missing/c")).is_err());
    }

    #[test]
    fn both_disks_behave_alike() {
        let dir = tempfile::tempdir().unwrap();
        behaves(&RealDisk, &dir.path().join("one/two"));
        behaves(&FaultyDisk::new(1), Path::new("/one/two"));
    }
}
