//! Reading the store, from any thread, while its owner writes. What is *not* here: waiting. A
//! reader sees what was handed over, entity by entity; an entity that is handed over between two
//! reads may be older in the first than in the second, and its row's position tells.

use super::kv::Entries;
use super::merge::{Span, merge};
use super::{Error, Shared};
use crate::image;
use std::sync::Arc;

/// Reads the store.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The key-value store or the disk fails, or an image is damaged.
    pub fn get(&self, shard: u16, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let found = self.shared.view(shard).get(&*self.shared.kv, &self.shared.cache, key);
        self.shared.judged(found)
    }

    /// The entries from `from` on, below `to`, in order of their keys, at most `limit`. Writing to
    /// the shard waits meanwhile, so ask for some at a time.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub fn scan(
        &self,
        shard: u16,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, Error> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        let view = self.shared.view(shard);
        let span = Span { from, to, limit, cache: Some(&self.shared.cache) };
        let merged = merge(&view, &view.recent(), &*self.shared.kv, span, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(found.len() < limit)
        });
        self.shared.judged(merged.map(|()| found))
    }

    /// Merges a shard into an image. It is begun once nothing more can come into the shard, so that
    /// whoever begins it knows an upper bound of what is in it; writing to the shard waits until it
    /// is done.
    pub(crate) fn pour(
        &self,
        shard: u16,
        begin: impl FnOnce() -> Result<image::Writer, image::Error>,
    ) -> Result<image::Writer, Error> {
        let view = self.shared.view(shard);
        let recent = view.recent();
        let mut writer = begin()?;
        let merged = merge(&view, &recent, &*self.shared.kv, Span::ALL, &mut |key, value| {
            writer.push(key, value)?;
            Ok(true)
        });
        self.shared.judged(merged)?;
        Ok(writer)
    }

    /// False if there is surely no such key. Nothing is read for it.
    pub fn may_contain(&self, shard: u16, key: &[u8]) -> bool {
        let view = self.shared.view(shard);
        let recent = view.recent().get(key).map(|held| held.value.is_some());
        recent.unwrap_or_else(|| view.may_contain_below(key))
    }

    /// About how many rows a shard has.
    pub fn rows(&self, shard: u16) -> u64 {
        self.shared.view(shard).rows()
    }

    /// What all of the store takes up on disk.
    pub fn size_bytes(&self) -> u64 {
        self.shared.size_bytes()
    }

    /// Reads every block of a shard's image.
    ///
    /// # Errors
    /// One is damaged, or the disk refuses.
    pub fn verify(&self, shard: u16) -> Result<(), Error> {
        let image = self.shared.view(shard).image.clone();
        Ok(image.map_or(Ok(()), |image| image.verify())?)
    }
}
