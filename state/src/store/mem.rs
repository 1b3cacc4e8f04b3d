//! A key-value store in memory that forgets like a crash does, for tests and the simulator. Clones
//! are the same store. A crash leaves what was synced, and of what came later a seeded number of
//! the oldest batches, each whole. What is *not* here: more mercy than [`super::Kv`] promises.

use super::kv::{Batch, Entries, Kv, KvError};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

type Trees = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A key-value store in memory. Clones are the same store.
#[derive(Clone, Default)]
pub struct MemKv(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    live: Trees,
    durable: Trees,
    unsynced: Vec<Change>,
    mutations: u64,
    crash_at: Option<u64>,
    crashed: bool,
    failed: bool,
}

enum Change {
    Apply(String, Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Drop(String),
}

impl MemKv {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no one panics while holding the store in memory")
    }

    /// How many operations so far changed something or synced.
    pub fn mutations(&self) -> u64 {
        self.inner().mutations
    }

    /// After so many more changes and syncs every operation fails.
    pub fn crash_after(&self, mutations: u64) {
        let mut inner = self.inner();
        inner.crash_at = Some(inner.mutations + mutations);
    }

    /// From now on every operation fails, as on a damaged store.
    pub fn fail(&self) {
        self.inner().failed = true;
    }

    /// Cuts the power. What is left is in the store returned; this one fails from now on.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let mut inner = self.inner();
        inner.crashed = true;
        let chance = xxhash_rust::xxh3::xxh3_64(&seed.to_le_bytes());
        let kept = (chance % (inner.unsynced.len() as u64 + 1)) as usize;
        let mut left = inner.durable.clone();
        inner.unsynced.iter().take(kept).for_each(|change| change.carry_out(&mut left));
        let inner = Inner { live: left.clone(), durable: left, ..Inner::default() };
        Self(Arc::new(Mutex::new(inner)))
    }
}

impl Change {
    fn carry_out(&self, trees: &mut Trees) {
        match self {
            Self::Drop(tree) => {
                trees.remove(tree);
            }
            Self::Apply(tree, batch) => {
                let tree = trees.entry(tree.clone()).or_default();
                for (key, value) in batch {
                    match value {
                        Some(value) => tree.insert(key.clone(), value.clone()),
                        None => tree.remove(key),
                    };
                }
            }
        }
    }
}

impl Inner {
    fn alive(&self) -> Result<(), KvError> {
        match () {
            () if self.crashed => Err(KvError::Crashed),
            () if self.failed => Err(KvError::Failed("it was told to fail".to_owned())),
            () => Ok(()),
        }
    }

    /// Counts a change that is about to be made.
    fn mutate(&mut self) -> Result<(), KvError> {
        self.crashed |= self.crash_at == Some(self.mutations);
        self.mutations += 1;
        self.alive()
    }

    /// The change that meets the crash may still be among those that are left.
    fn change(&mut self, change: Change) -> Result<(), KvError> {
        self.alive()?;
        let met = self.mutate();
        change.carry_out(&mut self.live);
        self.unsynced.push(change);
        met
    }
}

impl Kv for MemKv {
    fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let inner = self.inner();
        inner.alive()?;
        Ok(inner.live.get(tree).and_then(|tree| tree.get(key)).cloned())
    }

    fn apply(&self, tree: &str, batch: &Batch) -> Result<(), KvError> {
        self.inner().change(Change::Apply(tree.to_owned(), batch.to_vec()))
    }

    fn scan(
        &self,
        tree: &str,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, KvError> {
        let inner = self.inner();
        inner.alive()?;
        let Some(tree) = inner.live.get(tree) else { return Ok(Vec::new()) };
        if to.is_some_and(|to| from >= to) {
            return Ok(Vec::new());
        }
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let range = tree.range::<[u8], _>((Bound::Included(from), to));
        Ok(range.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn drop_tree(&self, tree: &str) -> Result<(), KvError> {
        self.inner().change(Change::Drop(tree.to_owned()))
    }

    fn trees(&self) -> Result<Vec<String>, KvError> {
        let inner = self.inner();
        inner.alive()?;
        Ok(inner.live.keys().cloned().collect())
    }

    fn sync(&self) -> Result<(), KvError> {
        let mut inner = self.inner();
        inner.alive()?;
        inner.mutate()?;
        inner.durable = inner.live.clone();
        inner.unsynced.clear();
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        let inner = self.inner();
        let entries = inner.live.values().flatten();
        entries.map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}
