//! What the overlay needs of a key-value store. sled is one ([`super::SledKv`]), a map that forgets
//! like a crash does is another ([`super::MemKv`]).
//!
//! The contract, beyond the obvious: a batch is atomic, for readers and for crashes. What was
//! applied before a [`Kv::sync`] that returned is there after a crash; of what was applied later, a
//! crash leaves some of the oldest batches, in order and over all trees: a log's torn tail.

/// Keys and values.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;
/// What is to be set, or removed (`None`).
pub type Batch = [(Vec<u8>, Option<Vec<u8>>)];

/// The key-value store does not work; it is not used again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// It has failed, and may fail again: the next start moves it aside.
    #[error("{0}")]
    Failed(String),
    /// The power is cut, as in a test: nothing is wrong with it.
    #[error("the power is cut")]
    Crashed,
}

/// A key-value store with named trees.
pub trait Kv: Send + Sync {
    /// The value of a key. A tree that nobody wrote is empty.
    fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;
    /// Applies a batch to a tree, all or nothing.
    fn apply(&self, tree: &str, batch: &Batch) -> Result<(), KvError>;
    /// The entries from `from` on, below `to`, in order of their keys, at most `limit`.
    fn scan(
        &self,
        tree: &str,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, KvError>;
    /// Removes a tree with all that is in it. One that nobody wrote is fine.
    fn drop_tree(&self, tree: &str) -> Result<(), KvError>;
    /// The names of all trees that were written.
    fn trees(&self) -> Result<Vec<String>, KvError>;
    /// Makes durable all that was applied before.
    fn sync(&self) -> Result<(), KvError>;
    /// What it takes up on disk.
    fn size_bytes(&self) -> u64;
}
