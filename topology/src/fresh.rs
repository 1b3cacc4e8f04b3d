//! What the store does not know yet of keys and look-up words, so that lists read their own writes.
//!
//! Per shard: what has changed since the last hand-over, and what is being written. Workers put it
//! here, readers merge it over what is at rest.

use actors::{Key, KindId};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// Changes of one shard.
#[derive(Debug, Default)]
pub struct Changes {
    /// Entities that the store has no row of.
    pub keys: Born,
    /// Look-up words that came (true) or went: word, kind, key.
    pub tags: BTreeMap<(Key, KindId, Key), bool>,
}

/// Entities in the order they were born in, until somebody wants them in the order of their keys:
/// many are born between two lists.
#[derive(Debug, Default)]
pub struct Born {
    keys: Vec<(KindId, Key)>,
    sorted: bool,
}

impl Born {
    fn push(&mut self, kind: KindId, key: &Key) {
        self.keys.push((kind, key.clone()));
        self.sorted = false;
    }

    /// The keys of a kind, from `from` on, in order.
    fn of<'a>(&'a mut self, kind: KindId, from: &Key) -> impl Iterator<Item = &'a Key> + use<'a> {
        if !self.sorted {
            self.keys.sort();
            self.sorted = true;
        }
        let start = self.keys.partition_point(|(k, key)| (*k, key) < (kind, from));
        self.keys[start..].iter().take_while(move |(k, _)| *k == kind).map(|(_, key)| key)
    }
}

/// One shard's changes: those since the last hand-over to the store, and those handed over.
#[derive(Debug, Default)]
pub struct Fresh {
    current: Changes,
    in_flight: Changes,
}

impl Fresh {
    /// An entity was told something for the first time.
    pub fn born(&mut self, kind: KindId, key: &Key) {
        self.current.keys.push(kind, key);
    }

    /// A look-up word came or went.
    pub fn tag(&mut self, word: &Key, kind: KindId, key: &Key, there: bool) {
        self.current.tags.insert((word.clone(), kind, key.clone()), there);
    }

    /// Everything was handed over.
    pub fn handed_over(&mut self) {
        assert!(
            self.in_flight.keys.keys.is_empty() && self.in_flight.tags.is_empty(),
            "one hand-over of a shard at a time"
        );
        self.in_flight = std::mem::take(&mut self.current);
    }

    /// What was handed over can be read from the store.
    pub fn written(&mut self) {
        self.in_flight = Changes::default();
    }

    /// The keys of a kind that the store may not have, from `from` on.
    pub fn keys(&mut self, kind: KindId, from: &Key) -> impl Iterator<Item = &Key> {
        self.in_flight.keys.of(kind, from).chain(self.current.keys.of(kind, from))
    }

    /// The entities of a kind whose look-up word came (true) or went, older changes first.
    pub fn tags<'a>(
        &'a self,
        word: &'a Key,
        kind: KindId,
        from: &'a Key,
    ) -> impl Iterator<Item = (&'a Key, bool)> {
        let start = (word.clone(), kind, from.clone());
        let of = move |tags: &'a BTreeMap<(Key, KindId, Key), bool>| {
            tags.range(start.clone()..)
                .take_while(move |((w, k, _), _)| w == word && *k == kind)
                .map(|((_, _, key), there)| (key, *there))
        };
        of(&self.in_flight.tags).chain(of(&self.current.tags))
    }
}

/// The changes of all shards, shared between workers and readers.
#[derive(Debug)]
pub struct AllFresh(Vec<Mutex<Fresh>>);

impl AllFresh {
    /// For so many shards.
    pub fn new(shards: u16) -> Self {
        Self((0..shards).map(|_| Mutex::default()).collect())
    }

    /// One shard's.
    pub fn shard(&self, shard: u16) -> MutexGuard<'_, Fresh> {
        self.0[usize::from(shard)].lock().expect("nobody panics while changing a set")
    }

    /// Forgets one shard's: its worker begins anew.
    pub fn reset(&self, shard: u16) {
        *self.shard(shard) = Fresh::default();
    }
}
