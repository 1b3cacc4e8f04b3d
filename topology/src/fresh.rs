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
    keys: Late<(KindId, Key), ()>,
    /// Look-up words that came (true) or went: word, kind, key.
    tags: Late<(Key, KindId, Key), bool>,
}

/// A sorted map that is put in order when somebody looks: much changes between two lists, and most
/// of it is written and gone before there is one.
#[derive(Debug)]
struct Late<K, V> {
    sorted: BTreeMap<K, V>,
    /// What came since, in the order it came: what is later holds.
    young: Vec<(K, V)>,
}

impl<K, V> Default for Late<K, V> {
    fn default() -> Self {
        Self { sorted: BTreeMap::new(), young: Vec::new() }
    }
}

impl<K: Ord, V> Late<K, V> {
    fn put(&mut self, key: K, value: V) {
        self.young.push((key, value));
    }

    /// All of it, from `from` on, in order.
    fn range(&mut self, from: K) -> impl Iterator<Item = (&K, &V)> {
        self.sorted.extend(self.young.drain(..));
        self.sorted.range(from..)
    }

    fn is_empty(&self) -> bool {
        self.sorted.is_empty() && self.young.is_empty()
    }
}

impl Changes {
    /// The keys of a kind, from `from` on, in order.
    fn keys<'a>(&'a mut self, kind: KindId, from: &Key) -> impl Iterator<Item = &'a Key> + use<'a> {
        let all = self.keys.range((kind, from.clone()));
        all.take_while(move |((of, _), ())| *of == kind).map(|((_, key), ())| key)
    }

    /// The entities of a kind with a change of this word, from `from` on, in order.
    fn tags<'a>(
        &'a mut self,
        word: &'a Key,
        kind: KindId,
        from: &Key,
    ) -> impl Iterator<Item = (&'a Key, bool)> + use<'a> {
        let all = self.tags.range((word.clone(), kind, from.clone()));
        all.take_while(move |((w, k, _), _)| w == word && *k == kind)
            .map(|((_, _, key), there)| (key, *there))
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
        self.current.keys.put((kind, key.clone()), ());
    }

    /// A look-up word came or went.
    pub fn tag(&mut self, word: &Key, kind: KindId, key: &Key, there: bool) {
        self.current.tags.put((word.clone(), kind, key.clone()), there);
    }

    /// Everything was handed over.
    pub fn handed_over(&mut self) {
        assert!(
            self.in_flight.keys.is_empty() && self.in_flight.tags.is_empty(),
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
        self.in_flight.keys(kind, from).chain(self.current.keys(kind, from))
    }

    /// The entities of a kind whose look-up word came (true) or went, older changes first.
    pub fn tags<'a>(
        &'a mut self,
        word: &'a Key,
        kind: KindId,
        from: &Key,
    ) -> impl Iterator<Item = (&'a Key, bool)> {
        self.in_flight.tags(word, kind, from).chain(self.current.tags(word, kind, from))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_change_of_a_word_holds_however_often_somebody_looks_between() {
        let (word, kind, from) = (Key::new("status:captured"), KindId(1), Key::new(""));
        let mut fresh = Fresh::default();
        let listed = |fresh: &mut Fresh| {
            let tags = fresh.tags(&word, kind, &from).map(|(key, there)| format!("{key} {there}"));
            tags.collect::<Vec<_>>().join(", ")
        };
        for key in ["b", "a", "c"] {
            fresh.tag(&word, kind, &Key::new(key), true);
        }
        fresh.tag(&Key::new("status:failed"), kind, &Key::new("a"), true);
        fresh.tag(&word, KindId(2), &Key::new("z"), true);
        fresh.tag(&word, kind, &Key::new("a"), false);
        assert_eq!(listed(&mut fresh), "a false, b true, c true");
        fresh.tag(&word, kind, &Key::new("a"), true);
        fresh.tag(&word, kind, &Key::new("b"), false);
        assert_eq!(listed(&mut fresh), "a true, b false, c true");
        fresh.handed_over();
        fresh.tag(&word, kind, &Key::new("c"), false);
        assert_eq!(listed(&mut fresh), "a true, b false, c true, c false");
        fresh.written();
        assert_eq!(listed(&mut fresh), "c false");
    }

    #[test]
    fn keys_of_a_kind_come_in_order_from_any_of_them_on() {
        let mut fresh = Fresh::default();
        for (kind, key) in [(1, "m"), (2, "a"), (1, "b"), (1, "z")] {
            fresh.born(KindId(kind), &Key::new(key));
        }
        let mut listed = |from: &str| {
            let from = Key::new(from);
            let keys = fresh.keys(KindId(1), &from).map(ToString::to_string);
            keys.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            (listed(""), listed("c"), listed("zz")),
            ("b m z".into(), "m z".into(), String::new())
        );
    }
}
