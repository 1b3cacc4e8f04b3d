//! What survives a process: a disk, a key-value store, and the time. All of it can lose power, at
//! any change to either.
//!
//! What is *not* here: the process. The invariant: disk and key-value store crash at one moment.

use super::chance::Chance;
use actors::Timestamp;
use state::disk::{Disk, FaultyDisk};
use state::store::{Batch, Entries, Kv, KvError, MemKv, OpenKv};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the data directory is.
pub const DATA: &str = "/data";

/// A machine. Clones are the same machine.
#[derive(Clone)]
pub struct Machine {
    disk: FaultyDisk,
    kv: MemKv,
    /// The time of day, in ms.
    pub now: Timestamp,
}

impl Machine {
    /// A new one; `seed` decides what a crash leaves.
    pub fn new(seed: u64) -> Self {
        let disk = FaultyDisk::new(seed);
        disk.create_dir_all(Path::new(DATA)).expect("a new disk takes a directory");
        Self { disk, kv: MemKv::new(), now: Timestamp(1_795_000_000_000) }
    }

    /// Its disk.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        PathBuf::from(DATA)
    }

    /// The key-value store is gone, as if it had been moved aside: images and journal are left.
    pub fn lose_kv(&mut self) {
        self.kv = MemKv::new();
    }

    /// How the store opens its key-value store.
    pub fn open_kv(&self) -> OpenKv {
        let kv = Ticked { kv: self.kv.clone(), disk: self.disk.clone() };
        Arc::new(move |_: &Path| Ok(Arc::new(kv.clone()) as Arc<dyn Kv>))
    }

    /// How many changes were made so far, to disk and key-value store together.
    pub fn changes(&self) -> u64 {
        self.disk.mutations()
    }

    /// After so many more changes the power is gone.
    pub fn crash_after(&self, changes: u64) {
        self.disk.crash_after(changes);
    }

    /// One of the next writes, syncs or reads fails, and no more.
    pub fn fail_once(&self, chance: &mut Chance) {
        match chance.below(3) {
            0 => self.disk.fail_write(chance.below(20)),
            1 => self.disk.fail_sync(chance.below(10)),
            _ => self.disk.fail_read(chance.below(40)),
        }
    }

    /// The disk has room for so many more bytes; `None` is no limit.
    pub fn room(&self, bytes: Option<u64>) {
        self.disk.budget_bytes(bytes.map(|bytes| self.disk.used_bytes() + bytes));
    }

    /// No fault that was ordered comes any more.
    pub fn calm(&self) {
        self.disk.fail_write(u64::MAX);
        self.disk.fail_sync(u64::MAX);
        self.disk.fail_read(u64::MAX);
        self.room(None);
    }

    /// Whether the power is gone.
    pub fn is_down(&self) -> bool {
        self.disk.list(Path::new(DATA)).is_err()
    }

    /// Cuts the power, and boots with what is left.
    pub fn reboot(&mut self, chance: &mut Chance) {
        self.disk = self.disk.crash();
        self.kv = self.kv.crash(chance.any());
    }
}

/// A key-value store whose changes count as the disk's.
#[derive(Clone)]
struct Ticked {
    kv: MemKv,
    disk: FaultyDisk,
}

impl Ticked {
    /// Syncing a directory that nobody uses is a change that changes nothing.
    fn tick(&self) -> Result<(), KvError> {
        self.disk.sync_dir(Path::new("/kv")).map_err(|_| KvError::Crashed)
    }

    fn alive(&self) -> Result<(), KvError> {
        self.disk.list(Path::new(DATA)).map(drop).map_err(|_| KvError::Crashed)
    }
}

impl Kv for Ticked {
    fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.alive()?;
        self.kv.get(tree, key)
    }

    fn apply(&self, tree: &str, batch: &Batch) -> Result<(), KvError> {
        self.tick()?;
        self.kv.apply(tree, batch)
    }

    fn scan(
        &self,
        tree: &str,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, KvError> {
        self.alive()?;
        self.kv.scan(tree, from, to, limit)
    }

    fn drop_tree(&self, tree: &str) -> Result<(), KvError> {
        self.tick()?;
        self.kv.drop_tree(tree)
    }

    fn trees(&self) -> Result<Vec<String>, KvError> {
        self.alive()?;
        self.kv.trees()
    }

    fn sync(&self) -> Result<(), KvError> {
        self.tick()?;
        self.kv.sync()
    }

    fn size_bytes(&self) -> u64 {
        self.kv.size_bytes()
    }
}
