//! One shard as readers hold it: what is only in memory, the overlay's tree and the image, newest
//! first, as one handle. A new image comes with a new, empty tree, so both change together or not
//! at all. What is *not* here: writing, and deciding when a view is replaced.
//!
//! An entry moves downwards only after it can be read below, so a reader who looks from the top
//! never misses one.

use super::kv::Kv;
use super::recent::Recent;
use super::{Error, kv_error};
use crate::image::{Cache, Image, hash};
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// How many entries of a tree are read at once.
pub(super) const SCAN_ENTRIES: usize = 1_024;

/// One shard, consistently.
pub(super) struct View {
    pub(super) tree: String,
    pub(super) image: Option<Arc<Image>>,
    recent: RwLock<Recent>,
    overlay: RwLock<Overlay>,
    rows: AtomicI64,
}

/// What is known of the overlay's tree without reading it.
#[derive(Default)]
pub(super) struct Overlay {
    /// The hashes of its keys; none until the tree has been listed.
    hashes: Option<HashSet<u64, BuildHasherDefault<Identity>>>,
    /// How many entries it has, tombstones included.
    pub(super) entries: u64,
    /// How long they are, those that were overwritten since it was begun included.
    pub(super) bytes: u64,
}

/// The keys are hashes already.
#[derive(Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only u64 is hashed");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Overlay {
    /// An empty one, known to be so.
    pub(super) fn empty() -> Self {
        Self { hashes: Some(HashSet::default()), ..Self::default() }
    }

    /// One that was left by an earlier run.
    pub(super) fn unlisted(entries: u64, bytes: u64) -> Self {
        Self { hashes: None, entries, bytes }
    }

    fn may_contain(&self, hash: u64) -> bool {
        self.hashes.as_ref().is_none_or(|hashes| hashes.contains(&hash))
    }

    pub(super) fn is_listed(&self) -> bool {
        self.hashes.is_some()
    }

    /// Notes an entry that is about to be there.
    pub(super) fn note(&mut self, key: &[u8], value_bytes: usize) {
        self.bytes += (key.len() + value_bytes) as u64;
        if let Some(hashes) = &mut self.hashes {
            hashes.insert(hash(key));
            self.entries = hashes.len() as u64;
        }
    }
}

impl View {
    pub(super) fn new(tree: String, image: Option<Arc<Image>>, overlay: Overlay) -> Self {
        let rows = image.as_ref().map_or(0, |image| image.rows()) as i64;
        let (recent, overlay) = (RwLock::default(), RwLock::new(overlay));
        Self { tree, image, recent, overlay, rows: AtomicI64::new(rows) }
    }

    /// Counts rows from another start than the image's.
    pub(super) fn with_rows(self, rows: u64) -> Self {
        self.rows.store(rows as i64, Ordering::Relaxed);
        self
    }

    /// About how many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed).max(0) as u64
    }

    pub(super) fn add_rows(&self, rows: i64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    // A panic under one of these locks comes from memory running out: what is held is whole.

    pub(super) fn recent(&self) -> RwLockReadGuard<'_, Recent> {
        self.recent.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with_recent<R>(&self, change: impl FnOnce(&mut Recent) -> R) -> R {
        change(&mut self.recent.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn overlay(&self) -> RwLockReadGuard<'_, Overlay> {
        self.overlay.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with_overlay<R>(&self, change: impl FnOnce(&mut Overlay) -> R) -> R {
        change(&mut self.overlay.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the key may be in the overlay or the image.
    pub(super) fn may_contain_below(&self, key: &[u8]) -> bool {
        let hash = hash(key);
        self.overlay().may_contain(hash)
            || self.image.as_ref().is_some_and(|image| image.may_contain_hash(hash))
    }

    pub(super) fn get(
        &self,
        kv: &dyn Kv,
        cache: &Cache,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, Error> {
        if let Some(held) = self.recent().get(key) {
            return Ok(held.value.clone());
        }
        let hash = hash(key);
        let in_overlay = self.overlay().may_contain(hash);
        if in_overlay
            && let Some(stored) = kv.get(&self.tree, key).map_err(kv_error("read from"))?
        {
            return Ok(unwrap_owned(stored));
        }
        match &self.image {
            Some(image) if image.may_contain_hash(hash) => Ok(image.get(key, cache)?),
            _ => Ok(None),
        }
    }

    /// Lists the keys of a tree that an earlier run left, unless that has been done.
    pub(super) fn list_overlay(&self, kv: &dyn Kv) -> Result<(), Error> {
        if self.overlay().is_listed() {
            return Ok(());
        }
        let (mut listed, mut from) = (Overlay::empty(), Vec::new());
        loop {
            let page = kv.scan(&self.tree, &from, None, SCAN_ENTRIES);
            let page = page.map_err(kv_error("list"))?;
            for (key, value) in &page {
                listed.note(key, value.len());
            }
            match page.into_iter().next_back() {
                None => break,
                Some((last, _)) => from = successor(last),
            }
        }
        self.with_overlay(|overlay| *overlay = listed);
        Ok(())
    }
}

/// How a value lies in the overlay: behind it a 1. A tombstone is nothing at all.
pub(super) fn wrap(value: Option<&[u8]>) -> Vec<u8> {
    let Some(value) = value else { return Vec::new() };
    let mut stored = Vec::with_capacity(value.len() + 1);
    stored.extend_from_slice(value);
    stored.push(1);
    stored
}

pub(super) fn unwrap(stored: &[u8]) -> Option<&[u8]> {
    stored.split_last().map(|(_, value)| value)
}

fn unwrap_owned(mut stored: Vec<u8>) -> Option<Vec<u8>> {
    stored.pop().map(|_| stored)
}

/// The first key behind this one.
pub(super) fn successor(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}
