//! The fixed part of a frame, little endian:
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..4 | crc | CRC-32C of everything behind it |
//! | 4..8 | magic | `C1 62 77 66`; the first byte never occurs in UTF-8 text |
//! | 8, 9 | version, flags | the first sixteen bytes mean the same in every version |
//! | 10, 11 | way kind, zero | |
//! | 12..16 | body bytes | name, groups and records |
//! | 16..20, 20..24 | groups, records | counts |
//! | 24..26, 26..28 | name bytes, zero | |
//! | 28..32 | predecessor | the crc of the frame before |
//! | 32..40, 40..48 | base, time | position of the first record; ms |
//! | 48..56 | durable to | what was known durable when this was written |
//! | 56..64 | hash | of the last event of the way, 0 if it has none |
//! | 64..80 | uuid | the journal's |

use super::WayKind;
use actors::{Position, Timestamp};

pub(crate) const HEADER_BYTES: usize = 80;
pub(crate) const MAGIC: [u8; 4] = [0xC1, b'b', b'w', b'f'];
pub(crate) const MAGIC_AT: usize = 4;
pub(crate) const FLAG_SEAL: u8 = 1;
pub(crate) const FLAG_VERDICT: u8 = 2;
const VERSION: u8 = 1;

/// Why bytes are not a frame, or not the frame that should stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing was ever written here, or it did not reach the disk.
    #[error("only zeros where a frame should be")]
    Zeros,
    /// Something else stands here.
    #[error("no frame begins here")]
    Magic,
    /// The frame goes on behind the end of the file.
    #[error("the frame is cut off")]
    Cut,
    /// The bytes have changed.
    #[error("the checksum does not match")]
    Checksum,
    /// A version of the format that this program does not know.
    #[error("format version {0} is not known to this program")]
    Version(u8),
    /// The checksum matches, but the parts do not add up.
    #[error("the parts of the frame do not add up")]
    Inconsistent,
    /// A frame of another journal.
    #[error("the frame belongs to another journal")]
    Journal,
    /// A whole frame, but of another position.
    #[error("the frame has position {0}")]
    Position(Position),
    /// A whole frame, but not the successor of the one before.
    #[error("the frame does not follow on from the one before")]
    Predecessor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) crc: u32,
    pub(crate) flags: u8,
    pub(crate) way_kind: WayKind,
    pub(crate) body_bytes: u32,
    pub(crate) groups: u32,
    pub(crate) records: u32,
    pub(crate) name_bytes: u16,
    pub(crate) predecessor: u32,
    pub(crate) base: Position,
    pub(crate) time: Timestamp,
    pub(crate) durable_to: Position,
    pub(crate) hash: u64,
    pub(crate) uuid: [u8; 16],
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range is N long")
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

impl Header {
    pub(crate) fn end(&self) -> Position {
        self.base + u64::from(self.records)
    }

    pub(crate) fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.body_bytes as usize
    }

    pub(crate) fn is_seal(&self) -> bool {
        self.flags & FLAG_SEAL != 0
    }

    /// Writes the header in front of a finished body, and with it the checksum of both.
    pub(crate) fn seal_bytes(&mut self, frame: &mut [u8]) {
        assert_eq!(frame.len(), self.frame_bytes(), "a header of another frame");
        frame[4..8].copy_from_slice(&MAGIC);
        frame[8..12].copy_from_slice(&[VERSION, self.flags, self.way_kind as u8, 0]);
        frame[12..16].copy_from_slice(&self.body_bytes.to_le_bytes());
        frame[16..20].copy_from_slice(&self.groups.to_le_bytes());
        frame[20..24].copy_from_slice(&self.records.to_le_bytes());
        frame[24..28].copy_from_slice(&u32::from(self.name_bytes).to_le_bytes());
        frame[28..32].copy_from_slice(&self.predecessor.to_le_bytes());
        frame[32..40].copy_from_slice(&self.base.to_le_bytes());
        frame[40..48].copy_from_slice(&self.time.0.to_le_bytes());
        frame[48..56].copy_from_slice(&self.durable_to.to_le_bytes());
        frame[56..64].copy_from_slice(&self.hash.to_le_bytes());
        frame[64..80].copy_from_slice(&self.uuid);
        self.crc = crc32c::crc32c(&frame[4..]);
        frame[0..4].copy_from_slice(&self.crc.to_le_bytes());
    }

    /// How many bytes the frame at the start of `bytes` takes up, as far as its first
    /// [`HEADER_BYTES`] say. Nothing is checked but that a frame begins here.
    pub(crate) fn claimed_bytes(bytes: &[u8]) -> Result<usize, Fault> {
        let head = &bytes[..bytes.len().min(HEADER_BYTES)];
        if head.iter().all(|byte| *byte == 0) {
            Err(Fault::Zeros)
        } else if head.len() < HEADER_BYTES {
            Err(Fault::Cut)
        } else if head[4..8] == MAGIC {
            Ok(HEADER_BYTES + u32_at(head, 12) as usize)
        } else {
            Err(Fault::Magic)
        }
    }

    /// The header of the frame at the start of `bytes`, of which nothing is checked but what is
    /// needed to read it.
    pub(crate) fn peek(bytes: &[u8]) -> Result<Self, Fault> {
        Self::claimed_bytes(bytes)?;
        if bytes[8] != VERSION {
            return Err(Fault::Version(bytes[8]));
        }
        Ok(Self {
            crc: u32_at(bytes, 0),
            flags: bytes[9],
            way_kind: WayKind::of(bytes[10]).ok_or(Fault::Inconsistent)?,
            body_bytes: u32_at(bytes, 12),
            groups: u32_at(bytes, 16),
            records: u32_at(bytes, 20),
            name_bytes: u16_at(bytes, 24),
            predecessor: u32_at(bytes, 28),
            base: u64_at(bytes, 32),
            time: Timestamp(u64_at(bytes, 40) as i64),
            durable_to: u64_at(bytes, 48),
            hash: u64_at(bytes, 56),
            uuid: array(bytes, 64),
        })
    }

    /// The header of the frame at the start of `bytes`, its checksum checked.
    pub(crate) fn check(bytes: &[u8]) -> Result<Self, Fault> {
        let claimed = Self::claimed_bytes(bytes)?;
        let frame = bytes.get(..claimed).ok_or(Fault::Cut)?;
        if crc32c::crc32c(&frame[4..]) != u32_at(frame, 0) {
            return Err(Fault::Checksum);
        }
        Self::peek(frame)
    }
}
