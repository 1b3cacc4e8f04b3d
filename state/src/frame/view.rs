//! Looking into a frame's body, which follows the header: the way's name, the table of groups, the
//! records.
//!
//! A group's entry: records u16, bytes u32, then for numbered ways number u64 and index u16, for
//! unnumbered events the id's hash u128. A record: tag u8, kind u8, depth u8, key bytes u16,
//! payload bytes u32, key, payload. All little endian.

use super::header::{Fault, HEADER_BYTES, Header, u16_at, u32_at, u64_at};
use super::{Mark, RecordHead, WayKind};
use actors::words::key_hash;
use actors::{KindId, Position, Timestamp};
use std::ops::Range;

pub(crate) const RECORD_HEAD_BYTES: usize = 9;
const CHECKED: &str = "the frame was checked when it was read, or is our own";

/// How long a group's entry is.
pub(crate) fn group_bytes(way: WayKind) -> usize {
    match way {
        WayKind::Engine => 6,
        WayKind::Unnumbered => 22,
        WayKind::Producer | WayKind::Shard | WayKind::Kafka => 16,
    }
}

/// One record of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the journal.
    pub position: Position,
    /// When it was appended.
    pub time: Timestamp,
    /// What sort of record it is.
    pub tag: u8,
    /// The kind of the entity it is addressed to.
    pub kind: KindId,
    /// How many records stand between it and what the outside said.
    pub depth: u8,
    /// The key of that entity; empty if it is addressed to none.
    pub key: &'a str,
    /// The rest, which means something to whoever wrote it.
    pub payload: &'a [u8],
}

/// What a reader has to know of a record to tell whether it concerns him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// The hash of the address; 0 if it has none.
    pub hash: u64,
    /// Where it begins in the frame's bytes.
    pub(crate) start: u32,
    /// Whether it is addressed to an entity.
    pub addressed: bool,
}

/// One group of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// By what it is recognised.
    pub mark: Mark,
    /// Which of the frame's records it holds, counted from 0.
    pub records: Range<usize>,
}

/// A frame's header and bytes, borrowed.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) header: Header,
    bytes: &'a [u8],
}

impl<'a> View<'a> {
    pub(crate) fn new(header: Header, bytes: &'a [u8]) -> Self {
        Self { header, bytes: &bytes[..header.frame_bytes()] }
    }

    /// Checks that the parts add up, so that nothing below has to.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let ok = self.adds_up().unwrap_or(false);
        if ok { Ok(()) } else { Err(Fault::Inconsistent) }
    }

    fn adds_up(&self) -> Option<bool> {
        let table = HEADER_BYTES + usize::from(self.header.name_bytes);
        std::str::from_utf8(self.bytes.get(HEADER_BYTES..table)?).ok()?;
        let mut at = self.table_end();
        self.bytes.get(..at)?;
        let mut left = self.header.records;
        for index in 0..self.header.groups as usize {
            let entry = table + index * group_bytes(self.header.way_kind);
            let end = at + u32_at(self.bytes, entry + 2) as usize;
            for _ in 0..u16_at(self.bytes, entry) {
                let (key, payload) = (at + RECORD_HEAD_BYTES, self.bytes.get(at + 3..at + 9)?);
                let payload_at = key + usize::from(u16_at(payload, 0));
                std::str::from_utf8(self.bytes.get(key..payload_at)?).ok()?;
                at = payload_at + u32_at(payload, 2) as usize;
                left = left.checked_sub(1)?;
            }
            if at != end {
                return Some(false);
            }
        }
        Some(left == 0 && at == self.bytes.len())
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn name(&self) -> &'a str {
        let name = &self.bytes[HEADER_BYTES..HEADER_BYTES + usize::from(self.header.name_bytes)];
        std::str::from_utf8(name).expect(CHECKED)
    }

    fn table_end(&self) -> usize {
        let entries = self.header.groups as usize * group_bytes(self.header.way_kind);
        HEADER_BYTES + usize::from(self.header.name_bytes) + entries
    }

    fn mark(&self, entry: usize) -> Mark {
        let at = entry + 6;
        match self.header.way_kind {
            WayKind::Engine => Mark::None,
            WayKind::Unnumbered => {
                let low = u128::from(u64_at(self.bytes, at));
                Mark::Id(low | u128::from(u64_at(self.bytes, at + 8)) << 64)
            }
            WayKind::Producer | WayKind::Shard | WayKind::Kafka => {
                Mark::Number { number: u64_at(self.bytes, at), index: u16_at(self.bytes, at + 8) }
            }
        }
    }

    /// The mark of the last group: the greatest number of the frame.
    pub(crate) fn last_mark(&self) -> Mark {
        if self.header.groups == 0 {
            return Mark::None;
        }
        self.mark(self.table_end() - group_bytes(self.header.way_kind))
    }

    pub(crate) fn groups(self) -> Groups<'a> {
        Groups { view: self, next: 0, record: 0 }
    }

    pub(crate) fn records(self) -> Records<'a> {
        Records { at: self.table_end(), position: self.header.base, view: self }
    }

    /// Where each record begins, and whom it concerns.
    pub(crate) fn index(&self) -> Box<[Indexed]> {
        let mut at = self.table_end();
        let index = (0..self.header.records).map(|_| {
            let (kind, key) = addressee(self.bytes, at);
            let payload_bytes = u32_at(self.bytes, at + 5) as usize;
            let next = at + RECORD_HEAD_BYTES + key.len() + payload_bytes;
            let start = std::mem::replace(&mut at, next) as u32;
            let addressed = !key.is_empty();
            Indexed { hash: if addressed { key_hash(kind, key) } else { 0 }, start, addressed }
        });
        index.collect()
    }

    /// The first records alone, and the header of the frame that they make.
    pub(crate) fn cut(self, records: usize) -> (Header, Vec<u8>) {
        let table = HEADER_BYTES + usize::from(self.header.name_bytes);
        let entry_bytes = group_bytes(self.header.way_kind);
        let mut bytes = self.bytes[..table].to_vec();
        let mut tail = self.table_end();
        let (from, mut left, mut groups) = (tail, records, 0);
        while left > 0 {
            let entry = table + groups * entry_bytes;
            let kept = left.min(usize::from(u16_at(self.bytes, entry)));
            let start = tail;
            for _ in 0..kept {
                // Position and time don't matter to where a record ends.
                tail = record_at(self.bytes, tail, (0, self.header.time)).1;
            }
            bytes.extend_from_slice(&(kept as u16).to_le_bytes());
            bytes.extend_from_slice(&((tail - start) as u32).to_le_bytes());
            bytes.extend_from_slice(&self.bytes[entry + 6..entry + entry_bytes]);
            left -= kept;
            groups += 1;
        }
        bytes.extend_from_slice(&self.bytes[from..tail]);
        let mut header = self.header;
        header.body_bytes = (bytes.len() - HEADER_BYTES) as u32;
        (header.groups, header.records) = (groups as u32, records as u32);
        header.hash = 0;
        header.seal_bytes(&mut bytes);
        (header, bytes)
    }
}

/// The kind and the key of the record that begins at byte `at` of a frame.
fn addressee(bytes: &[u8], at: usize) -> (KindId, &[u8]) {
    let (head, rest) = bytes[at..].split_at(RECORD_HEAD_BYTES);
    (KindId(head[1]), &rest[..usize::from(u16_at(head, 3))])
}

/// The record that begins at byte `at` of a frame, and where the next one does. Position and time
/// are as the frame's header has them: a record is read far more often than a header.
pub(crate) fn record_at(
    bytes: &[u8],
    at: usize,
    (position, time): (Position, Timestamp),
) -> (Record<'_>, usize) {
    let (head, rest) = bytes[at..].split_at(RECORD_HEAD_BYTES);
    let (key, rest) = rest.split_at(usize::from(u16_at(head, 3)));
    let payload = &rest[..u32_at(head, 5) as usize];
    let key = std::str::from_utf8(key).expect(CHECKED);
    let RecordHead { tag, kind, depth } =
        RecordHead { tag: head[0], kind: KindId(head[1]), depth: head[2] };
    let next = at + RECORD_HEAD_BYTES + key.len() + payload.len();
    (Record { position, time, tag, kind, depth, key, payload }, next)
}

/// The groups of a frame.
pub struct Groups<'a> {
    view: View<'a>,
    next: usize,
    record: usize,
}

impl Iterator for Groups<'_> {
    type Item = Group;

    fn next(&mut self) -> Option<Group> {
        let header = &self.view.header;
        if self.next == header.groups as usize {
            return None;
        }
        let table = HEADER_BYTES + usize::from(header.name_bytes);
        let entry = table + self.next * group_bytes(header.way_kind);
        let first = self.record;
        self.next += 1;
        self.record += usize::from(u16_at(self.view.bytes, entry));
        Some(Group { mark: self.view.mark(entry), records: first..self.record })
    }
}

/// The records of a frame.
pub struct Records<'a> {
    view: View<'a>,
    at: usize,
    position: Position,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.position == self.view.header.end() {
            return None;
        }
        let when = (self.position, self.view.header.time);
        let (record, next) = record_at(self.view.bytes, self.at, when);
        self.at = next;
        self.position += 1;
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.view.header.end() - self.position) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Records<'_> {}
