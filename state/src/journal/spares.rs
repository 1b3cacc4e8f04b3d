//! Spare segments: files of full length, filled with zeros and synced, made ahead so that a full
//! disk is met between segments and never inside one.
//!
//! Two lie on the shelf: the next one, and the last resort, which only urgent drafts may take. Any
//! thread may [`Spares::prepare`] them. A spare is complete when it has its name: it is filled and
//! synced under another.

use crate::disk::Disk;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const PREFIX: &str = "spare.";
const UNFINISHED: &str = ".new";
const SPARES: usize = 2;
const FILL_BYTES: usize = 1 << 20;

/// The shelf of spare segments. Clones are the same shelf.
#[derive(Clone)]
pub struct Spares(Arc<Inner>);

struct Inner {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    reserve_bytes: u64,
    /// Held while a spare is made, so that no two threads make the same one.
    making: Mutex<()>,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    spares: VecDeque<PathBuf>,
    next: u64,
    /// Why the last attempt to make one failed; none is made in passing until `prepare` is called.
    full: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spares {
    /// The shelf of a journal's directory, in which these names were found. Unfinished and misfit
    /// spares are removed.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        names: &[String],
        (segment_bytes, reserve_bytes): (u64, u64),
    ) -> io::Result<Self> {
        let mut shelf = Shelf::default();
        for name in names {
            let Some(number) = name.strip_prefix(PREFIX) else { continue };
            let path = dir.join(name);
            let fits = number.parse().is_ok_and(|number: u64| {
                shelf.next = shelf.next.max(number + 1);
                true
            });
            if fits && disk.open(&path)?.len()? == segment_bytes {
                shelf.spares.push_back(path);
            } else {
                disk.remove_file(&path)?;
            }
        }
        let (making, shelf, dir) = (Mutex::new(()), Mutex::new(shelf), dir.to_owned());
        let inner = Inner { disk, dir, segment_bytes, reserve_bytes, making, shelf };
        Ok(Self(Arc::new(inner)))
    }

    /// Makes the spares that are missing, and says whether all are there now. To be called now and
    /// then, off the hot path; after the disk was full, the journal goes on only when this has been
    /// called.
    pub fn prepare(&self) -> bool {
        let _making = lock(&self.0.making);
        while lock(&self.0.shelf).spares.len() < SPARES {
            let made = self.make();
            let mut shelf = lock(&self.0.shelf);
            match made {
                Ok(path) => {
                    shelf.spares.push_back(path);
                    shelf.full = None;
                }
                Err(error) => {
                    shelf.full = Some(error.to_string());
                    return false;
                }
            }
        }
        lock(&self.0.shelf).full = None;
        true
    }

    /// Whether all are there, so that any draft would get one.
    pub fn are_ready(&self) -> bool {
        lock(&self.0.shelf).spares.len() >= SPARES
    }

    /// Takes a spare off the shelf, or says why there is none for a draft that is urgent or not.
    pub(crate) fn take(&self, urgent: bool) -> Result<PathBuf, String> {
        let needed = if urgent { 1 } else { SPARES };
        let missing = |shelf: &Shelf| shelf.spares.len() < needed;
        let may_make = {
            let shelf = lock(&self.0.shelf);
            missing(&shelf) && shelf.full.is_none()
        };
        if may_make {
            self.prepare();
        }
        let mut shelf = lock(&self.0.shelf);
        if missing(&shelf) {
            return Err(shelf.full.clone().unwrap_or_else(|| "no spare segment".to_owned()));
        }
        Ok(shelf.spares.pop_front().expect("as many as needed are there"))
    }

    /// The length of a segment.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.0.segment_bytes
    }

    fn make(&self) -> io::Result<PathBuf> {
        let Inner { disk, dir, segment_bytes, reserve_bytes, .. } = &*self.0;
        let free = disk.free_bytes(dir)?;
        if free < segment_bytes.saturating_add(*reserve_bytes) {
            let why = format!(
                "{free} bytes are free; a segment takes {segment_bytes}, \
                 and {reserve_bytes} are kept in reserve"
            );
            return Err(io::Error::new(io::ErrorKind::StorageFull, why));
        }
        let number = {
            let mut shelf = lock(&self.0.shelf);
            shelf.next += 1;
            shelf.next - 1
        };
        let path = dir.join(format!("{PREFIX}{number}"));
        let unfinished = dir.join(format!("{PREFIX}{number}{UNFINISHED}"));
        let filled = self.fill(&unfinished).and_then(|()| disk.rename(&unfinished, &path));
        if let Err(error) = filled {
            // The space must not stay lost, and if this fails too the next start removes it.
            let _ = disk.remove_file(&unfinished);
            return Err(error);
        }
        disk.sync_dir(dir)?;
        Ok(path)
    }

    fn fill(&self, path: &Path) -> io::Result<()> {
        self.0.disk.create(path)?;
        let file = self.0.disk.open_appending(path)?;
        let zeros = vec![0; FILL_BYTES.min(self.0.segment_bytes as usize)];
        let mut offset = 0;
        while offset < self.0.segment_bytes {
            let len = zeros.len().min((self.0.segment_bytes - offset) as usize);
            file.write_all_at(&zeros[..len], offset)?;
            offset += len as u64;
        }
        file.sync_data()
    }
}
