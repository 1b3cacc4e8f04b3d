//! The bytes of a snapshot's header, index and trailer. What is *not* here: files.

use crate::image;
use crate::journal::ORIGIN_FILES;
use actors::{Position, Timestamp};
use std::path::PathBuf;

pub(super) const MAGIC: &[u8; 8] = b"BWSNAP\0\0";
pub(super) const END_MAGIC: &[u8; 8] = b"BWSNPEND";
pub(super) const VERSION: u16 = 1;
/// Magic, version, two zeros, length: what is the same in every version.
pub(super) const START_BYTES: usize = 16;
const HEADER_BYTES_MAX: usize = 1 << 20;
/// So much of a part is under one checksum.
pub(super) const PIECE_BYTES: u64 = 64 << 10;
pub(super) const TRAILER_BYTES: usize = 36;
const CURSOR_NAME_BYTES_MAX: usize = 64;

/// What a snapshot says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The journal it is of.
    pub journal: [u8; 16],
    /// How many shards the data directory has.
    pub shards: u16,
    /// Everything below this position is in it.
    pub position: Position,
    /// Its copy of the journal begins here.
    pub first: Position,
    /// The journal itself has to reach back to here for it to be of use beside that journal.
    pub replay_from: Position,
    /// When it was taken.
    pub time: Timestamp,
    /// The kinds that the data directory knows, in order.
    pub kinds: Vec<String>,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.journal);
        for number in [self.position, self.first, self.replay_from, self.time.0 as u64] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.shards.to_le_bytes());
        out.extend_from_slice(&(self.kinds.len() as u16).to_le_bytes());
        for kind in &self.kinds {
            out.push(u8::try_from(kind.len()).expect("a kind's name is a word"));
            out.extend_from_slice(kind.as_bytes());
        }
        let bytes = (out.len() + 4) as u32;
        out[12..16].copy_from_slice(&bytes.to_le_bytes());
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// The version and the length that a header's start claims; `None` if it is none.
    pub(super) fn claims(start: &[u8; START_BYTES]) -> Option<(u16, usize)> {
        let bytes = u32::from_le_bytes(array(&start[12..16])) as usize;
        let is_one = start[..8] == *MAGIC && (START_BYTES..=HEADER_BYTES_MAX).contains(&bytes);
        is_one.then(|| (u16::from_le_bytes(array(&start[8..10])), bytes))
    }

    /// All of it but its start and its CRC.
    pub(super) fn decode(mut rest: &[u8]) -> Option<Self> {
        let rest = &mut rest;
        let journal = array(take(rest, 16)?);
        let (position, first) = (number(rest)?, number(rest)?);
        let (replay_from, time) = (number(rest)?, Timestamp(number(rest)? as i64));
        let shards = u16::from_le_bytes(array(take(rest, 2)?));
        let count = u16::from_le_bytes(array(take(rest, 2)?));
        let mut kinds = Vec::new();
        for _ in 0..count {
            let bytes = take(rest, 1)?[0];
            kinds.push(std::str::from_utf8(take(rest, bytes.into())?).ok()?.to_owned());
        }
        let header = Self { journal, shards, position, first, replay_from, time, kinds };
        rest.is_empty().then_some(header)
    }
}

/// What a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A shard's image.
    Image(u16),
    /// The origin table's file of this generation.
    Origins(u64),
    /// The segment that begins at this position.
    Segment(Position),
    /// The ids of the segment that began at this position.
    Ids(Position),
    /// The cursor of a sink that tails, by its file's name.
    Cursor(String),
}

impl Part {
    /// Where it lies in a data directory.
    pub fn path(&self) -> PathBuf {
        let journal = PathBuf::from("journal");
        match self {
            // No two images of a directory have the same generation, and 0 means none.
            Self::Image(shard) => {
                PathBuf::from("images").join(image::file_name(*shard, Self::generation(*shard)))
            }
            Self::Origins(generation) => journal.join(ORIGIN_FILES[(generation % 2) as usize]),
            Self::Segment(base) => journal.join(format!("{base:020}.seg")),
            Self::Ids(base) => journal.join(format!("{base:020}.ids")),
            Self::Cursor(name) => PathBuf::from(name),
        }
    }

    /// The generation of a shard's image in a snapshot.
    pub(super) fn generation(shard: u16) -> u64 {
        u64::from(shard) + 1
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, number, name) = match self {
            Self::Image(shard) => (1, u64::from(*shard), ""),
            Self::Origins(generation) => (2, *generation, ""),
            Self::Segment(base) => (3, *base, ""),
            Self::Ids(base) => (4, *base, ""),
            Self::Cursor(name) => (5, 0, name.as_str()),
        };
        assert!(name.len() <= CURSOR_NAME_BYTES_MAX, "{name} is no cursor's name");
        out.push(kind);
        out.extend_from_slice(&u64::to_le_bytes(number));
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        let (kind, number) = (take(rest, 1)?[0], number(rest)?);
        let bytes = take(rest, 1)?[0];
        let name = std::str::from_utf8(take(rest, bytes.into())?).ok()?;
        Some(match kind {
            1 => Self::Image(u16::try_from(number).ok()?),
            2 => Self::Origins(number),
            3 => Self::Segment(number),
            4 => Self::Ids(number),
            // It becomes a file's name: nothing that leads elsewhere.
            5 if is_plain(name) => Self::Cursor(name.to_owned()),
            _ => return None,
        })
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'.' || byte == b'-';
    !name.starts_with('.') && name.ends_with(".cursor") && name.bytes().all(plain)
}

/// Where a part is, and what its pieces are checked by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) part: Part,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) crcs: Vec<u32>,
}

pub(super) fn encode_index(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        entry.part.encode(&mut out);
        out.extend_from_slice(&entry.offset.to_le_bytes());
        out.extend_from_slice(&entry.bytes.to_le_bytes());
        for crc in &entry.crcs {
            out.extend_from_slice(&crc.to_le_bytes());
        }
    }
    out
}

/// `None` unless the parts follow each other from `from` to `to` without a gap.
pub(super) fn decode_index(mut rest: &[u8], parts: u32, from: u64, to: u64) -> Option<Vec<Entry>> {
    let (rest, mut next, mut entries) = (&mut rest, from, Vec::new());
    for _ in 0..parts {
        let part = Part::decode(rest)?;
        let (offset, bytes) = (number(rest)?, number(rest)?);
        let pieces = usize::try_from(bytes.div_ceil(PIECE_BYTES)).ok()?;
        let crcs = take(rest, pieces.checked_mul(4)?)?;
        let crcs = crcs.chunks(4).map(|crc| u32::from_le_bytes(array(crc))).collect();
        if offset != next {
            return None;
        }
        next = next.checked_add(bytes)?;
        entries.push(Entry { part, offset, bytes, crcs });
    }
    (next == to && rest.is_empty()).then_some(entries)
}

/// What stands at the end and leads to the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) index_offset: u64,
    pub(super) index_bytes: u64,
    pub(super) parts: u32,
    pub(super) header_crc: u32,
}

impl Trailer {
    /// All but the CRC, which also covers the index.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRAILER_BYTES);
        out.extend_from_slice(&self.index_offset.to_le_bytes());
        out.extend_from_slice(&self.index_bytes.to_le_bytes());
        out.extend_from_slice(&self.parts.to_le_bytes());
        out.extend_from_slice(&self.header_crc.to_le_bytes());
        out.extend_from_slice(END_MAGIC);
        out
    }

    pub(super) fn decode(bytes: &[u8; TRAILER_BYTES]) -> Option<Self> {
        (bytes[24..32] == *END_MAGIC).then(|| Self {
            index_offset: u64::from_le_bytes(array(&bytes[..8])),
            index_bytes: u64::from_le_bytes(array(&bytes[8..16])),
            parts: u32::from_le_bytes(array(&bytes[16..20])),
            header_crc: u32::from_le_bytes(array(&bytes[20..24])),
        })
    }
}

pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller cut exactly N bytes")
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(bytes)?;
    *rest = behind;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(array(take(rest, 8)?)))
}
