//! Images: one shard's rows and pages as one sorted, checksummed, immutable file. Writing one costs
//! well under a microsecond a row, so it is how a busy shard is checkpointed; the store's overlay
//! is for what changes sparsely. What is *not* here: which image counts, and what lies over it.
//!
//! ```text
//! header   magic, format version, shard, note length, journal, generation, replay from, ceiling,
//!          note, CRC-32C of all that
//! blocks   about 8 KiB each: (key length u16, value length u32, key, value) …, keys rising
//! index    for each block: offset u64, length u32, CRC-32C u32, first key (length u16, bytes)
//! filter   what keys are surely not here
//! trailer  lengths and counts, the header's CRC, end magic, CRC-32C of index, filter and trailer
//! ```
//!
//! All numbers are little endian. Every byte is under a checksum, so damage is noticed and named by
//! file and offset, never answered from. A file appears whole or not at all: it is written under a
//! temporary name, synced, and renamed.

mod cache;
mod cursor;
mod filter;
mod read;
mod write;

pub use cache::Cache;
pub use cursor::Cursor;
pub(crate) use filter::hash;
pub use read::Image;
pub(crate) use read::set_aside;
pub use write::{Finished, Writer};

use actors::Position;
use std::io;
use std::path::{Path, PathBuf};

/// The longest key, in bytes: a tag with two ids of the longest kind, and room to spare.
pub const KEY_BYTES_MAX: usize = 4_096;
/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 10;

/// A block ends with the entry that brings it here. Smaller ones are quicker to look into, larger
/// ones make a smaller index.
const BLOCK_BYTES: usize = 8 << 10;
const UNFINISHED: &str = "tmp";
const MAGIC: &[u8; 8] = b"BWIMAGE\0";
const END_MAGIC: &[u8; 8] = b"BWIMGEND";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 56;
const TRAILER_BYTES: usize = 60;
const ENTRY_HEAD_BYTES: usize = 6;
const NOTE_BYTES_MAX: usize = 1 << 20;

/// Why an image could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("could not {what} {}: {source}", path.display())]
    Disk {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The bytes are not those that were written.
    #[error("image {} is damaged at byte {offset}: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where the part begins that does not check.
        offset: u64,
        /// Which part.
        what: &'static str,
    },
    /// A newer program wrote it.
    #[error("image {} has format version {found}, newer than {VERSION}", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The version that stands there.
        found: u16,
    },
    /// Somebody wants to keep more under one key than fits.
    #[error("a {what} of {bytes} bytes does not fit, at most {max} do")]
    TooLarge {
        /// A key, a value or a note.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
}

/// What an image says about itself: enough to start from images alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The journal it belongs to.
    pub journal: [u8; 16],
    /// Which shard it is.
    pub shard: u16,
    /// Newer images have greater ones; no two of a directory are the same.
    pub generation: u64,
    /// From where the journal is to be replayed onto it.
    pub replay_from: Position,
    /// At least every position stored in it.
    pub ceiling: Position,
    /// The engine's own words about the shard at that point.
    pub note: Vec<u8>,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.note.len() + 4);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.shard.to_le_bytes());
        out.extend_from_slice(&(self.note.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.journal);
        for number in [self.generation, self.replay_from, self.ceiling] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        debug_assert_eq!(out.len(), HEADER_BYTES);
        out.extend_from_slice(&self.note);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the fixed part; the note's length comes with it, the note itself later.
    fn decode_fixed(bytes: &[u8; HEADER_BYTES]) -> Option<(Self, u16, usize)> {
        if bytes[..8] != *MAGIC {
            return None;
        }
        let version = u16::from_le_bytes(array(&bytes[8..10]));
        let note_len = u32::from_le_bytes(array(&bytes[12..16])) as usize;
        let header = Self {
            journal: array(&bytes[16..32]),
            shard: u16::from_le_bytes(array(&bytes[10..12])),
            generation: u64::from_le_bytes(array(&bytes[32..40])),
            replay_from: u64::from_le_bytes(array(&bytes[40..48])),
            ceiling: u64::from_le_bytes(array(&bytes[48..56])),
            note: Vec::new(),
        };
        Some((header, version, note_len))
    }
}

/// What stands at the end of the file and leads to the rest.
#[derive(Clone, Copy, Debug)]
struct Trailer {
    index_offset: u64,
    index_bytes: u64,
    filter_bytes: u64,
    entries: u64,
    rows: u64,
    blocks: u32,
    header_crc: u32,
}

impl Trailer {
    /// All but the CRC, which also covers what stands before.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRAILER_BYTES);
        let numbers =
            [self.index_offset, self.index_bytes, self.filter_bytes, self.entries, self.rows];
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.blocks.to_le_bytes());
        out.extend_from_slice(&self.header_crc.to_le_bytes());
        out.extend_from_slice(END_MAGIC);
        out
    }

    fn decode(bytes: &[u8; TRAILER_BYTES]) -> Option<Self> {
        if bytes[48..56] != *END_MAGIC {
            return None;
        }
        let number = |at: usize| u64::from_le_bytes(array(&bytes[at..at + 8]));
        Some(Self {
            index_offset: number(0),
            index_bytes: number(8),
            filter_bytes: number(16),
            entries: number(24),
            rows: number(32),
            blocks: u32::from_le_bytes(array(&bytes[40..44])),
            header_crc: u32::from_le_bytes(array(&bytes[44..48])),
        })
    }
}

/// The name of an image's file.
pub fn file_name(shard: u16, generation: u64) -> String {
    format!("{shard:03}-{generation:010}.img")
}

/// Shard and generation, from a file's name.
pub fn parse_file_name(name: &str) -> Option<(u16, u64)> {
    let (shard, generation) = name.strip_suffix(".img")?.split_once('-')?;
    Some((shard.parse().ok()?, generation.parse().ok()?))
}

/// Whether this is the name of an image that was never finished.
pub fn is_unfinished(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == UNFINISHED)
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller cut exactly N bytes")
}

fn disk_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Disk { what, path, source }
}

#[cfg(test)]
mod tests;
