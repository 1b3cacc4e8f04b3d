//! The ids of one segment's events without numbers, in the order they came, and the `.ids` file of
//! a closed segment.
//!
//! The file spares a start the reading of 64 MiB per segment of the last day. It is never synced
//! and can always be made again from the segment, so it carries a checksum, and whoever cannot read
//! it does just that. Little endian: crc u32 of everything behind it, magic, version u8, the
//! segment's base u64, counts u32 and u32, times (first id u32, ms i64), ids (u128).

use crate::frame::Mark;
use crate::frame::view::View;
use actors::{Position, Timestamp};

const MAGIC: &[u8] = b"bwid";
const VERSION: u8 = 1;
const START_BYTES: usize = 25;
/// Times are kept by the minute, as in the window.
const GRAIN_MS: i64 = 60_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentIds {
    ids: Vec<u128>,
    times: Vec<(u32, i64)>,
}

impl SegmentIds {
    pub(crate) fn push(&mut self, id: u128, time: Timestamp) {
        if self.times.last().is_none_or(|(_, since)| time.0 - since >= GRAIN_MS) {
            self.times.push((self.ids.len() as u32, time.0));
        }
        self.ids.push(id);
    }

    /// Adds the ids of a frame.
    pub(crate) fn fold(&mut self, view: View<'_>) {
        for group in view.groups() {
            if let Mark::Id(id) = group.mark {
                self.push(id, view.header.time);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// When the last of them came, within a minute.
    pub(crate) fn last_ms(&self) -> Option<i64> {
        self.times.last().map(|(_, ms)| *ms)
    }

    /// Each id, and when it came, within a minute.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u128, i64)> {
        let mut stretch = 0;
        self.ids.iter().enumerate().map(move |(index, id)| {
            while self.times.get(stretch + 1).is_some_and(|(from, _)| *from as usize <= index) {
                stretch += 1;
            }
            (*id, self.times[stretch].1)
        })
    }

    pub(crate) fn encode(&self, base: Position) -> Vec<u8> {
        let mut out = vec![0; 4];
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.extend_from_slice(&base.to_le_bytes());
        out.extend_from_slice(&(self.times.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.ids.len() as u32).to_le_bytes());
        for (first, ms) in &self.times {
            out.extend_from_slice(&first.to_le_bytes());
            out.extend_from_slice(&ms.to_le_bytes());
        }
        for id in &self.ids {
            out.extend_from_slice(&id.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` if it is not the whole file of this segment.
    pub(crate) fn decode(bytes: &[u8], base: Position) -> Option<Self> {
        let (start, rest) = bytes.split_at_checked(START_BYTES)?;
        let number = |at: usize| Some(u32::from_le_bytes(start[at..at + 4].try_into().ok()?));
        let intact = number(0)? == crc32c::crc32c(&bytes[4..])
            && &start[4..8] == MAGIC
            && start[8] == VERSION
            && start[9..17] == base.to_le_bytes();
        let (times, ids) = (number(17)? as usize, number(21)? as usize);
        if !intact || rest.len() != times * 12 + ids * 16 {
            return None;
        }
        let (times, ids) = rest.split_at(times * 12);
        let time = |entry: &[u8]| {
            let (first, ms) = entry.split_at(4);
            Some((
                u32::from_le_bytes(first.try_into().ok()?),
                i64::from_le_bytes(ms.try_into().ok()?),
            ))
        };
        let id = |entry: &[u8]| Some(u128::from_le_bytes(entry.try_into().ok()?));
        let times: Vec<_> = times.chunks(12).map(time).collect::<Option<_>>()?;
        let ids: Vec<_> = ids.chunks(16).map(id).collect::<Option<_>>()?;
        (times.is_empty() == ids.is_empty()).then_some(Self { ids, times })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_back_and_any_change_noticed() {
        let mut ids = SegmentIds::default();
        for (id, ms) in [(7, 0), (8, 59_999), (9, 60_000), (10, 60_001), (11, 500_000)] {
            ids.push(id, Timestamp(ms));
        }
        let all: Vec<_> = ids.iter().collect();
        assert_eq!(all, [(7, 0), (8, 0), (9, 60_000), (10, 60_000), (11, 500_000)]);
        let bytes = ids.encode(42);
        assert_eq!(SegmentIds::decode(&bytes, 42), Some(ids));
        assert_eq!(SegmentIds::decode(&bytes, 43), None);
        for len in 0..bytes.len() {
            assert_eq!(SegmentIds::decode(&bytes[..len], 42), None, "cut to {len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentIds::decode(&flipped, 42), None, "bit {bit}");
        }
        let none = SegmentIds::default();
        assert_eq!(SegmentIds::decode(&none.encode(0), 0), Some(none));
    }
}
