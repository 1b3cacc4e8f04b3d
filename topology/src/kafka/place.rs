//! Which log of which partition: how it is named in the journal, and how far the journal has come
//! with it.
//!
//! A partition's log may be another one tomorrow (deleted and made again under the same name, cut,
//! begun anew by an operator), and its offsets then mean other records. So a way into the journal
//! is named by topic, partition, *generation* and topic id; a new generation begins whenever
//! offsets begin anew. A record's group is marked (offset, 1); where reading begins is marked
//! (offset, 0), which stands before the record of that offset and behind all below it.
//!
//! Invariant: within a way, an offset means the same record for ever.

use state::frame::{Way, WayKind};
use state::origin::{Last, Origins};
use std::fmt;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) partition: i32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A log that the journal has read, or is to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogId {
    pub(super) topic_id: String,
    /// How often offsets have begun anew at this place.
    pub(super) generation: u32,
}

/// By what the last record that was consumed is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) offset: u64,
    pub(super) hash: u64,
}

/// What the journal knows of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) log: LogId,
    /// The first offset that the journal does not have.
    pub(super) next: u64,
    /// The last record; none if reading has only just begun somewhere.
    pub(super) print: Option<Print>,
    /// The last group of the way.
    pub(super) key: (u64, u16),
}

/// The index of a record's group.
pub(super) const RECORD: u16 = 1;

/// The index of a group that says where reading begins.
pub(super) const BEGIN: u16 = 0;

impl Place {
    /// The way into the journal of this place's log.
    pub(super) fn way(&self, log: &LogId) -> Way {
        let LogId { topic_id, generation } = log;
        Way::new(WayKind::Kafka, &format!("{self}#{generation}@{topic_id}"))
    }

    /// What the journal knows of this place: of the newest generation.
    pub(super) fn known(&self, origins: &Origins) -> Option<Known> {
        let all = origins.of_kind(WayKind::Kafka);
        let ours = all.filter_map(|(name, last)| {
            let (place, log) = parse(name)?;
            (place == *self).then(|| Known::new(log, last))
        });
        ours.max_by_key(|known| known.log.generation)
    }

    /// Whether the journal knows any partition of this topic's id.
    pub(super) fn has_siblings(topic_id: &str, origins: &Origins) -> bool {
        let mut all = origins.of_kind(WayKind::Kafka);
        all.any(|(name, _)| parse(name).is_some_and(|(_, log)| log.topic_id == topic_id))
    }
}

impl Known {
    fn new(log: LogId, last: &Last) -> Self {
        let is_record = last.index == RECORD;
        let print =
            (is_record && last.hash != 0).then_some(Print { offset: last.number, hash: last.hash });
        let next = if is_record { last.number + 1 } else { last.number };
        Self { log, next, print, key: (last.number, last.index) }
    }
}

/// A topic's name has none of `/`, `#` and `@`.
fn parse(name: &str) -> Option<(Place, LogId)> {
    let (rest, topic_id) = name.split_once('@')?;
    let (rest, generation) = rest.split_once('#')?;
    let (topic, partition) = rest.split_once('/')?;
    let place = Place { topic: topic.to_owned(), partition: partition.parse().ok()? };
    Some((place, LogId { topic_id: topic_id.to_owned(), generation: generation.parse().ok()? }))
}

/// The hash by which a record is known again: of its time, its key and its value.
pub(super) fn hash(time_ms: Option<i64>, key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
    let part = |bytes: Option<&[u8]>| bytes.map_or(0, xxhash_rust::xxh3::xxh3_64);
    let mut all = [0; 24];
    all[..8].copy_from_slice(&time_ms.unwrap_or(-1).to_le_bytes());
    all[8..16].copy_from_slice(&part(key).to_le_bytes());
    all[16..].copy_from_slice(&part(value).to_le_bytes());
    // 0 is no hash.
    xxhash_rust::xxh3::xxh3_64(&all).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_s_name_is_read_back() {
        let place = Place { topic: "campus.events-1_x".to_owned(), partition: 12 };
        let log = LogId { topic_id: "u5-_MxiCSnuCk0s1DVUxmA".to_owned(), generation: 3 };
        let way = place.way(&log);
        assert_eq!(way.name, "campus.events-1_x/12#3@u5-_MxiCSnuCk0s1DVUxmA");
        assert_eq!(parse(&way.name), Some((place, log)));
        for other in ["", "campus/0", "a/0#0", "a/x#0@i", "a/0#x@i", "a#0@i"] {
            assert_eq!(parse(other), None, "{other}");
        }
        let long = Place { topic: "t".repeat(249), partition: i32::MAX };
        let log = LogId { topic_id: "i".repeat(22), generation: u32::MAX };
        assert!(long.way(&log).name.len() <= state::frame::WAY_NAME_BYTES_MAX);
    }

    #[test]
    fn a_record_s_hash_sees_all_of_it() {
        let whole = hash(Some(1), Some(b"k"), Some(b"v"));
        assert_eq!(whole, hash(Some(1), Some(b"k"), Some(b"v")));
        let others = [
            hash(Some(2), Some(b"k"), Some(b"v")),
            hash(None, Some(b"k"), Some(b"v")),
            hash(Some(1), Some(b"v"), Some(b"k")),
            hash(Some(1), None, Some(b"v")),
            hash(Some(1), Some(b"k"), None),
        ];
        assert!(others.iter().all(|other| *other != whole));
        // What is stored must be known again by later versions.
        assert_eq!(whole, 9_984_196_123_919_236_225);
    }
}
