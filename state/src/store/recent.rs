//! What was handed to the store and is not on disk yet: readable at once, lost in a crash (the
//! journal has it). It spares the overlay every write that an image is about to make. What is *not*
//! here: when it goes to disk, and where to.
//!
//! What one entity handed over stays one group, whenever its parts came, so that it reaches the
//! overlay in one batch: a row is never there without its pages, nor they without it.

use super::Write;
use std::collections::BTreeMap;
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

/// One entry: a key, and its value unless it is a tombstone.
pub(super) type Entry<'a> = (&'a [u8], Option<&'a [u8]>);

impl Recent {
    pub(super) fn insert(&mut self, write: Write) {
        let Some((first, _)) = write.entries.first() else { return };
        let group = self.entries.get(first).map_or(self.groups, |held| held.group);
        self.groups += 1;
        for (key, value) in write.entries {
            let key_bytes = key.len();
            self.bytes += cost(key_bytes, value.as_deref());
            if let Some(old) = self.entries.insert(key, Held { group, value }) {
                self.bytes -= cost(key_bytes, old.value.as_deref());
            }
        }
    }

    /// What is held under this key, if anything is.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Held> {
        self.entries.get(key)
    }

    /// The entries from `from` on, in order.
    pub(super) fn from(&self, from: &[u8]) -> impl Iterator<Item = Entry<'_>> {
        let range = self.entries.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        range.map(|(key, held)| entry(key, held))
    }

    /// All entries, group by group.
    pub(super) fn groups(&self) -> Vec<Vec<Entry<'_>>> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, held)| held.group);
        let groups = entries.chunk_by(|a, b| a.1.group == b.1.group);
        groups.map(|group| group.iter().map(|&(key, held)| entry(key, held)).collect()).collect()
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

fn entry<'a>(key: &'a [u8], held: &'a Held) -> Entry<'a> {
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
        recent.insert(write(&[("a", Some("1")), ("a/1", Some("x"))]));
        recent.insert(write(&[("b", Some("1"))]));
        recent.insert(write(&[("a", Some("2")), ("a/2", None)]));
        recent.insert(write(&[]));
        let groups = recent.groups();
        assert_eq!(groups.len(), 2);
        let a: Vec<Entry<'_>> = vec![(b"a", Some(b"2")), (b"a/1", Some(b"x")), (b"a/2", None)];
        assert_eq!(groups[0], a);
        assert!(recent.get(b"a/2").unwrap().value.is_none());
        assert!(recent.get(b"c").is_none());
        assert_eq!(recent.from(b"a/1").count(), 3);
    }

    #[test]
    fn bytes_are_those_of_what_is_held() {
        let mut recent = Recent::default();
        for _ in 0..10 {
            recent.insert(write(&[("key", Some("12345"))]));
        }
        assert_eq!(recent.bytes(), 2 * 3 + 5 + ENTRY_OVERHEAD_BYTES);
    }
}
