//! sled 0.34.7, and its traps. The only file that names it.
//!
//! | trap | answer |
//! |---|---|
//! | `flush` does not fsync on Linux | after it, fsync the database file ourselves |
//! | items above a quarter of a segment become unsynced files | segments of 8 MiB |
//! | a lock that all databases share is held over a batch | batches are small, one thread writes |
//! | the lock file may outlive its database for a moment | opening tries for a while |
//! | an error leaves it unusable | any error is the end of this store, see [`super::Store`] |
//!
//! What is *not* here: what the trees mean. Opening may hang or panic on a damaged directory; who
//! opens it must guard against both.

use super::kv::{Batch, Entries, Kv, KvError};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

const SEGMENT_BYTES: usize = 8 << 20;
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A sled database.
pub struct SledKv {
    db: sled::Db,
    /// The same file that sled writes, to be synced through a handle of our own.
    file: File,
    trees: RwLock<BTreeMap<String, sled::Tree>>,
}

impl SledKv {
    /// Opens the database in this directory, or makes one.
    ///
    /// # Errors
    /// sled cannot, or somebody else has it open.
    ///
    /// # Panics
    /// sled does so on some damaged directories.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self, KvError> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .segment_size(SEGMENT_BYTES)
            // Every checkpoint syncs; a timer of sled's own would only compete with the journal.
            .flush_every_ms(None);
        let db = open_patiently(&config)?;
        let file = File::open(path.join("db")).map_err(|error| io_error(&error))?;
        // The database's name in its directory, and the directory's in the one above.
        for dir in [Some(path), path.parent()].into_iter().flatten() {
            let synced = File::open(dir).and_then(|dir| dir.sync_all());
            synced.map_err(|error| io_error(&error))?;
        }
        Ok(Self { db, file, trees: RwLock::default() })
    }

    fn tree(&self, name: &str) -> Result<sled::Tree, KvError> {
        let known = self.trees.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(tree) = known {
            return Ok(tree);
        }
        let tree = self.db.open_tree(name).map_err(|error| sled_error(&error))?;
        let mut trees = self.trees.write().unwrap_or_else(PoisonError::into_inner);
        Ok(trees.entry(name.to_owned()).or_insert(tree).clone())
    }
}

fn open_patiently(config: &sled::Config) -> Result<sled::Db, KvError> {
    let mut tries = 0;
    loop {
        match config.open() {
            Ok(db) => return Ok(db),
            Err(sled::Error::Io(error))
                if tries < LOCK_TRIES && error.to_string().contains("lock") =>
            {
                tries += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(error) => return Err(sled_error(&error)),
        }
    }
}

fn sled_error(error: &sled::Error) -> KvError {
    KvError::Failed(format!("sled: {error}"))
}

fn io_error(error: &std::io::Error) -> KvError {
    KvError::Failed(format!("sled's file: {error}"))
}

impl Kv for SledKv {
    fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let found = self.tree(tree)?.get(key).map_err(|error| sled_error(&error))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn apply(&self, tree: &str, batch: &Batch) -> Result<(), KvError> {
        let mut changes = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => changes.insert(key.as_slice(), value.as_slice()),
                None => changes.remove(key.as_slice()),
            }
        }
        self.tree(tree)?.apply_batch(changes).map_err(|error| sled_error(&error))
    }

    fn scan(
        &self,
        tree: &str,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, KvError> {
        if to.is_some_and(|to| from >= to) {
            return Ok(Vec::new());
        }
        let tree = self.tree(tree)?;
        let range = match to {
            Some(to) => tree.range(from..to),
            None => tree.range(from..),
        };
        let entry = |entry: sled::Result<(sled::IVec, sled::IVec)>| match entry {
            Ok((key, value)) => Ok((key.to_vec(), value.to_vec())),
            Err(error) => Err(sled_error(&error)),
        };
        range.take(limit).map(entry).collect()
    }

    fn drop_tree(&self, tree: &str) -> Result<(), KvError> {
        self.trees.write().unwrap_or_else(PoisonError::into_inner).remove(tree);
        self.db.drop_tree(tree).map(drop).map_err(|error| sled_error(&error))
    }

    fn trees(&self) -> Result<Vec<String>, KvError> {
        let names = self.db.tree_names();
        let ours = names.into_iter().filter(|name| !name.starts_with(b"__sled__"));
        ours.map(|name| String::from_utf8(name.to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|error| KvError::Failed(format!("sled has a tree that is not ours: {error}")))
    }

    fn sync(&self) -> Result<(), KvError> {
        self.db.flush().map_err(|error| sled_error(&error))?;
        self.file.sync_all().map_err(|error| io_error(&error))
    }

    fn size_bytes(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}
