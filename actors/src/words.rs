//! The words everything else is said in: time, position, kind, key, address.
//!
//! Nothing here does anything. What is *not* here: records and frames (they are `state`'s), and who
//! lives where (`topology`'s).

use crate::civil;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A record's number in the journal, from 0, without gaps. A `next` position is exclusive.
pub type Position = u64;

/// The name of one entity within its kind: 1 to [`ID_BYTES_MAX`] bytes of UTF-8 without control
/// characters. Keys of up to 24 bytes live inline, without an allocation.
pub type Key = CompactString;

/// The longest id, in bytes.
pub const ID_BYTES_MAX: usize = 256;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The earliest and the latest time an event may carry: the years 1 to 9999, so that every time
    /// prints as RFC 3339.
    pub const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

    /// Reads RFC 3339 (`2026-11-20T13:36:00.123Z`, any offset); finer digits than milliseconds are
    /// cut off.
    pub fn parse(text: &str) -> Option<Self> {
        let ms = match civil::parse_common(text) {
            Some(ms) => ms,
            None => text.parse::<jiff::Timestamp>().ok()?.as_millisecond(),
        };
        Self::RANGE.contains(&ms).then_some(Self(ms))
    }

    /// This time, so many milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, UTC, with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.clamp(*Self::RANGE.start(), *Self::RANGE.end());
        f.write_str(std::str::from_utf8(&civil::print(ms)).expect("digits and dashes are ASCII"))
    }
}

/// A kind's place in the table of kinds. It stands in records and rows, so a table only ever grows
/// at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KindId(pub u8);

impl KindId {
    /// The engine's own kind, of dead letters; no table of kinds reaches so far.
    pub const DEAD_LETTER: Self = Self(255);
}

/// Where an entity lives: its kind and its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// Which kind of entity.
    pub kind: KindId,
    /// Which one of them.
    pub key: Key,
}

impl Address {
    /// The address of `key` among the entities of `kind`.
    pub fn new(kind: KindId, key: &str) -> Self {
        Self { kind, key: Key::new(key) }
    }

    /// See [`address_hash`].
    pub fn hash(&self) -> u64 {
        address_hash(self.kind, &self.key)
    }
}

/// The hash that decides an address's shard. It is part of the data directory's format: never
/// change it.
pub fn address_hash(kind: KindId, key: &str) -> u64 {
    key_hash(kind, key.as_bytes())
}

/// [`address_hash`] of a key whose bytes were not looked into.
pub fn key_hash(kind: KindId, key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(key, u64::from(kind.0))
}

/// Says what is wrong with an id, or nothing.
pub fn id_fault(id: &str) -> Option<&'static str> {
    if id.is_empty() {
        Some("must not be empty")
    } else if id.len() > ID_BYTES_MAX {
        Some("must be at most 256 bytes")
    } else if !id.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && id.chars().any(char::is_control)
    {
        Some("must not contain control characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_and_parse_as_rfc_3339_with_milliseconds() {
        let cases = [
            ("2026-11-20T13:36:00.123Z", "2026-11-20T13:36:00.123Z"),
            ("2026-11-20T13:36:00.123999Z", "2026-11-20T13:36:00.123Z"),
            ("2026-11-20T15:36:00+02:00", "2026-11-20T13:36:00.000Z"),
        ];
        for (text, printed) in cases {
            assert_eq!(Timestamp::parse(text).expect(text).to_string(), printed);
        }
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp::parse("2026-11-20"), None);
    }

    #[test]
    fn the_shard_hash_never_changes() {
        assert_eq!(address_hash(KindId(0), "u-42"), 5_983_665_852_060_724_508);
        assert_ne!(address_hash(KindId(1), "u-42"), address_hash(KindId(0), "u-42"));
    }

    #[test]
    fn ids_are_bounded_and_printable() {
        assert_eq!(id_fault("u-42"), None);
        assert_eq!(id_fault("ü"), None);
        assert!(id_fault("").is_some());
        assert!(id_fault("a\nb").is_some());
        assert!(id_fault(&"x".repeat(257)).is_some());
        assert_eq!(id_fault(&"x".repeat(256)), None);
    }
}
