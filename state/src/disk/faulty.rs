//! A disk in memory that keeps no more of its promises than a real one does.
//!
//! It holds a durable image of every file and directory, and apart from it what was written but not
//! synced. A crash lets a seeded subset of the latter survive, in any order, each write possibly
//! torn at a 512-byte boundary. It can also fail the nth write, sync or read, read short, fill up,
//! and flip a bit. After a failed sync it does what Linux does: what was pending may or may not be
//! there, and a later sync says nothing about it.
//!
//! What is *not* here: durations. Nothing takes any time, and the same seed and the same calls give
//! the same disk.

mod content;

use super::{Disk, DiskFile};
use content::{Chance, Change, Content, NameChange, apply, rename, torn};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

const CRASHED: &str = "the faulty disk has crashed";

/// Whether an error comes from a [`FaultyDisk`] that has crashed.
pub fn is_crash(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.to_string() == CRASHED)
}

/// A disk in memory, with faults to order. Clones are the same disk.
#[derive(Clone)]
pub struct FaultyDisk(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    chance: Chance,
    files: BTreeMap<u64, Content>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    pending_names: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    mutations: u64,
    crash_at: Option<u64>,
    crashed: bool,
    short_reads: bool,
    fail_write: Option<u64>,
    fail_sync: Option<u64>,
    fail_read: Option<u64>,
    budget_bytes: Option<u64>,
}

impl FaultyDisk {
    /// An empty disk without faults. `seed` decides what a crash leaves.
    pub fn new(seed: u64) -> Self {
        let dirs = BTreeSet::from([PathBuf::from("/"), PathBuf::new()]);
        Self::of(Inner { chance: Chance(seed), dirs, ..Inner::default() })
    }

    fn of(inner: Inner) -> Self {
        Self(Arc::new(Mutex::new(inner)))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no one panics while holding the faulty disk")
    }

    /// How many operations so far changed something: a test can crash after every single one.
    pub fn mutations(&self) -> u64 {
        self.inner().mutations
    }

    /// After so many more changes every operation fails. The change that meets the crash may still
    /// reach the disk.
    pub fn crash_after(&self, writes: u64) {
        let mut inner = self.inner();
        inner.crash_at = Some(inner.mutations + writes);
    }

    /// Cuts the power. What is left is on the disk returned, without faults; this one fails from
    /// now on.
    #[must_use]
    pub fn crash(&self) -> Self {
        let mut inner = self.inner();
        inner.crashed = true;
        let left = inner.left_by_crash();
        Self::of(left)
    }

    /// From now on reads return less than they were asked for, where they can.
    pub fn short_reads(&self, short: bool) {
        self.inner().short_reads = short;
    }

    /// The `nth` write from now, counting from 0, fails with EIO, and may have been carried out in
    /// part.
    pub fn fail_write(&self, nth: u64) {
        self.inner().fail_write = Some(nth);
    }

    /// The `nth` sync of a file from now, counting from 0, fails with EIO.
    pub fn fail_sync(&self, nth: u64) {
        self.inner().fail_sync = Some(nth);
    }

    /// The `nth` read from now, counting from 0, fails with EIO.
    pub fn fail_read(&self, nth: u64) {
        self.inner().fail_read = Some(nth);
    }

    /// The bytes all files together may take up; `None` is no limit.
    pub fn budget_bytes(&self, bytes: Option<u64>) {
        self.inner().budget_bytes = bytes;
    }

    /// The bytes all files together take up.
    pub fn used_bytes(&self) -> u64 {
        self.inner().used_bytes()
    }

    /// Flips one bit of a file, for good: bit `bit % 8` of byte `bit / 8`.
    ///
    /// # Panics
    /// There is no such file, or it is shorter.
    pub fn flip_bit(&self, path: &Path, bit: u64) {
        let mut inner = self.inner();
        let file = inner.names[path];
        let content = inner.files.get_mut(&file).expect("a name leads to a file");
        let (byte, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        content.live[byte] ^= mask;
        if let Some(durable) = content.durable.get_mut(byte) {
            *durable ^= mask;
        }
    }

    /// A disk of its own with the same files and no faults, as if everything had been synced.
    #[must_use]
    pub fn copy(&self) -> Self {
        let inner = self.inner();
        let mut files = inner.files.clone();
        for content in files.values_mut() {
            content.durable.clone_from(&content.live);
            content.pending.clear();
        }
        let names = inner.names.clone();
        let (durable_names, dirs) = (names.clone(), inner.dirs.clone());
        let chance = Chance(inner.chance.0 ^ 1);
        Self::of(Inner { chance, files, names, durable_names, dirs, ..Inner::default() })
    }

    fn handle(&self, file: u64) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { disk: self.clone(), file })
    }
}

impl Inner {
    fn alive(&self) -> io::Result<()> {
        if self.crashed { Err(io::Error::other(CRASHED)) } else { Ok(()) }
    }

    /// Counts a change; the error is for after the change has become pending.
    fn mutate(&mut self) -> io::Result<()> {
        if self.crash_at == Some(self.mutations) {
            self.crashed = true;
        }
        self.mutations += 1;
        self.alive()
    }

    fn used_bytes(&self) -> u64 {
        let linked: BTreeSet<u64> = self.names.values().copied().collect();
        linked.iter().map(|file| self.files[file].live.len() as u64).sum()
    }

    fn grow(&self, file: u64, len: u64) -> io::Result<()> {
        let more = len.saturating_sub(self.files[&file].live.len() as u64);
        match self.budget_bytes {
            Some(budget) if more > 0 && self.used_bytes() + more > budget => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn change(&mut self, file: u64, change: Change) {
        let content = self.files.get_mut(&file).expect("an open file has content");
        apply(&mut content.live, &change);
        content.pending.push(change);
    }

    fn left_by_crash(&mut self) -> Inner {
        let mut chance = self.chance.fork();
        let mut names = self.durable_names.clone();
        for change in &self.pending_names {
            if chance.half() {
                rename(&mut names, change);
            }
        }
        let mut files = BTreeMap::new();
        for &file in names.values() {
            let content = &self.files[&file];
            let bytes = content.left_by_crash(&mut chance);
            files
                .insert(file, Content { live: bytes.clone(), durable: bytes, pending: Vec::new() });
        }
        let (durable_names, dirs) = (names.clone(), self.dirs.clone());
        Inner { chance, files, names, durable_names, dirs, ..Inner::default() }
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.inner();
        inner.alive()?;
        if !path.parent().is_some_and(|dir| inner.dirs.contains(dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let met = inner.mutate();
        let file = if let Some(&file) = inner.names.get(path) {
            inner.change(file, Change::SetLen(0));
            file
        } else {
            let file = inner.files.last_key_value().map_or(0, |(last, _)| last + 1);
            inner.files.insert(file, Content::default());
            let link = NameChange::Link { path: path.to_owned(), file };
            rename(&mut inner.names, &link);
            inner.pending_names.push(link);
            file
        };
        met.map(|()| self.handle(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner();
        inner.alive()?;
        let file = *inner.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(file))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let inner = self.inner();
        inner.alive()?;
        if !inner.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let here = inner.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.alive()?;
        inner.dirs.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.alive()?;
        let file = *inner.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let met = inner.mutate();
        let change = NameChange::Rename { from: from.to_owned(), to: to.to_owned(), file };
        rename(&mut inner.names, &change);
        inner.pending_names.push(change);
        met
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.alive()?;
        if !inner.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let met = inner.mutate();
        let change = NameChange::Unlink { path: path.to_owned() };
        rename(&mut inner.names, &change);
        inner.pending_names.push(change);
        met
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.alive()?;
        inner.mutate()?;
        let pending = std::mem::take(&mut inner.pending_names);
        for change in pending {
            if change.dir() == Some(dir) {
                rename(&mut inner.durable_names, &change);
            } else {
                inner.pending_names.push(change);
            }
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        let inner = self.inner();
        inner.names.contains_key(path) || inner.dirs.contains(path)
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let inner = self.inner();
        inner.alive()?;
        Ok(inner.budget_bytes.map_or(u64::MAX, |budget| budget.saturating_sub(inner.used_bytes())))
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    file: u64,
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.disk.inner();
        inner.alive()?;
        count_down(&mut inner.fail_read)?;
        let live = &inner.files[&self.file].live;
        let from = (offset as usize).min(live.len());
        let mut len = buf.len().min(live.len() - from);
        buf[..len].copy_from_slice(&live[from..from + len]);
        if inner.short_reads && len > 1 {
            len = 1 + inner.chance.below(len as u64) as usize;
        }
        Ok(len)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.alive()?;
        inner.grow(self.file, offset + buf.len() as u64)?;
        let met = inner.mutate();
        let failed = count_down(&mut inner.fail_write);
        let mut change = Change::Write { offset, bytes: buf.to_vec() };
        if failed.is_err() && !buf.is_empty() {
            change = torn(&change, &mut inner.chance);
        }
        inner.change(self.file, change);
        met.and(failed)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.alive()?;
        inner.mutate()?;
        let failed = count_down(&mut inner.fail_sync);
        let mut chance = inner.chance.fork();
        let content = inner.files.get_mut(&self.file).expect("an open file has content");
        for change in std::mem::take(&mut content.pending) {
            if failed.is_ok() || chance.half() {
                apply(&mut content.durable, &change);
            }
        }
        failed
    }

    fn len(&self) -> io::Result<u64> {
        let inner = self.disk.inner();
        inner.alive()?;
        Ok(inner.files[&self.file].live.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.alive()?;
        inner.grow(self.file, len)?;
        let met = inner.mutate();
        inner.change(self.file, Change::SetLen(len));
        met
    }
}

/// Fails once the count has run out, and only then.
fn count_down(left: &mut Option<u64>) -> io::Result<()> {
    match left {
        Some(0) => {
            *left = None;
            // EIO has no stable kind of its own.
            Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()))
        }
        Some(more) => {
            *more -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
