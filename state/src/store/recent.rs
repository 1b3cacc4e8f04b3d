//! What was handed to the store and is not on disk yet: readable at once, lost in a crash (the
//! journal has it). It spares the overlay every write that an image is about to make. What is *not*
//! here: when it goes to disk, and where to.
//!
//! What one entity handed over stays one group, whenever its parts came, so that it reaches the
//! overlay in one batch: a row is never there without its pages, nor they without it.

use super::Write;
use crate::row::key::space;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

/// What a map entry costs beside key and value, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// Entries that are only in memory.
#[derive(Default)]
pub(super) struct Recent {
    entries: BTreeMap<Vec<u8>, Held>,
    groups: u32,
    bytes: usize,
}

/// What is held under a key.
pub(super) struct Held {
    group: u32,
    /// None is a tombstone.
    pub(super) value: Option<Vec<u8>>,
}

/// A key, and its value unless it is a tombstone.
pub(super) type Line<'a> = (&'a [u8], Option<&'a [u8]>);

impl Recent {
    /// Takes a write. `row` is told of every row: its key, whether one was held here before
    /// (`None`: not known), and whether there is one now.
    pub(super) fn insert(&mut self, write: Write, row: &mut dyn FnMut(&[u8], Option<bool>, bool)) {
        let Some((first, _)) = write.entries.first() else { return };
        let group = self.entries.get(first).map_or(self.groups, |held| held.group);
        self.groups += 1;
        for (key, value) in write.entries {
            self.bytes += cost(key.len(), value.as_deref());
            let now = value.is_some();
            let (key_bytes, is_row) = (key.len(), key.first() == Some(&space::ROW));
            let place = self.entries.entry(key);
            if is_row {
                let before = match &place {
                    Entry::Occupied(place) => Some(place.get().value.is_some()),
                    Entry::Vacant(_) => None,
                };
                row(place.key(), before, now);
            }
            match place {
                Entry::Vacant(place) => drop(place.insert(Held { group, value })),
                Entry::Occupied(mut place) => {
                    let old = place.insert(Held { group, value });
                    self.bytes -= cost(key_bytes, old.value.as_deref());
                }
            }
        }
    }

    /// What is held under this key, if anything is.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Held> {
        self.entries.get(key)
    }

    /// The entries from `from` on, in order.
    pub(super) fn from(&self, from: &[u8]) -> impl Iterator<Item = Line<'_>> {
        let range = self.entries.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        range.map(|(key, held)| line(key, held))
    }

    /// All entries, group by group.
    pub(super) fn groups(&self) -> Vec<Vec<Line<'_>>> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, held)| held.group);
        let groups = entries.chunk_by(|a, b| a.1.group == b.1.group);
        groups.map(|group| group.iter().map(|&(key, held)| line(key, held)).collect()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn line<'a>(key: &'a [u8], held: &'a Held) -> Line<'a> {
    (key, held.value.as_deref())
}

fn cost(key_bytes: usize, value: Option<&[u8]>) -> usize {
    2 * key_bytes + value.map_or(0, <[u8]>::len) + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(entries: &[(&str, Option<&str>)]) -> Write {
        let owned = |text: &str| text.as_bytes().to_vec();
        Write { entries: entries.iter().map(|(k, v)| (owned(k), v.map(owned))).collect() }
    }

    #[test]
    fn an_entitys_parts_stay_one_group_whenever_they_came() {
        let mut recent = Recent::default();
        let mut insert = |entries| recent.insert(write(entries), &mut |_, _, _| {});
        insert(&[("a", Some("1")), ("a/1", Some("x"))]);
        insert(&[("b", Some("1"))]);
        insert(&[("a", Some("2")), ("a/2", None)]);
        insert(&[]);
        let groups = recent.groups();
        assert_eq!(groups.len(), 2);
        let a: Vec<Line<'_>> = vec![(b"a", Some(b"2")), (b"a/1", Some(b"x")), (b"a/2", None)];
        assert_eq!(groups[0], a);
        assert!(recent.get(b"a/2").unwrap().value.is_none());
        assert!(recent.get(b"c").is_none());
        assert_eq!(recent.from(b"a/1").count(), 3);
    }

    #[test]
    fn bytes_are_those_of_what_is_held() {
        let mut recent = Recent::default();
        for _ in 0..10 {
            recent.insert(write(&[("key", Some("12345"))]), &mut |_, _, _| {});
        }
        assert_eq!(recent.bytes(), 2 * 3 + 5 + ENTRY_OVERHEAD_BYTES);
    }

    #[test]
    fn rows_are_told_with_what_was_before() {
        let (mut recent, mut told) = (Recent::default(), Vec::new());
        for write in [write(&[("r1", Some("x")), ("p", Some("y"))]), write(&[("r1", None)])] {
            recent.insert(write, &mut |key, before, now| told.push((key.to_vec(), before, now)));
        }
        assert_eq!(told, [(b"r1".to_vec(), None, true), (b"r1".to_vec(), Some(true), false)]);
    }
}
