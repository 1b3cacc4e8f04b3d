//! The outbox's cursor at rest: 53 bytes, replaced as a whole.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 4 | `bwoc` |
//! | 4 | 1 | format version |
//! | 5 | 16 | the journal's uuid |
//! | 21 | 8 | `next` |
//! | 29 | 8 | the file's length in bytes |
//! | 37 | 8 | the position after that of the last line, 0 if there was none |
//! | 45 | 8 | XXH3-64 of all before |
//!
//! Numbers are little endian. A cursor that does not check is as good as none: the file says the
//! rest.

use super::{Error, io_error};
use actors::Position;
use state::disk::{Disk, read_file};
use std::io;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 4] = b"bwoc";
const VERSION: u8 = 1;
const BYTES: usize = 53;
const CHECKED_BYTES: usize = BYTES - 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Whose positions these are.
    pub(super) journal: [u8; 16],
    /// The next position to read.
    pub(super) next: Position,
    /// The file's length when all published events below `next` were in it.
    pub(super) file_bytes: u64,
    /// The position of the last event that was written, be it in this file or in one that was moved
    /// away.
    pub(super) last: Option<Position>,
}

impl Cursor {
    pub(super) fn new(journal: [u8; 16]) -> Self {
        Self { journal, next: 0, file_bytes: 0, last: None }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let after_last = self.last.map_or(0, |last| last + 1);
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.journal);
        for number in [self.next, self.file_bytes, after_last] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let check = xxh3_64(&bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != BYTES || !bytes.starts_with(MAGIC) || bytes[4] != VERSION {
            return None;
        }
        let number = |at: usize| Some(u64::from_le_bytes(*bytes[at..].first_chunk()?));
        if number(CHECKED_BYTES)? != xxh3_64(&bytes[..CHECKED_BYTES]) {
            return None;
        }
        let journal = *bytes[5..].first_chunk()?;
        let last = number(37)?.checked_sub(1);
        Some(Self { journal, next: number(21)?, file_bytes: number(29)?, last })
    }
}

/// The cursor at `path`; `None` if there is none that checks.
pub(super) fn load(disk: &dyn Disk, path: &Path) -> Result<Option<Cursor>, Error> {
    match read_file(disk, path) {
        Ok(bytes) => Ok(Cursor::decode(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn cursor() -> Cursor {
        Cursor { journal: *b"0123456789abcdef", next: 0x0102, file_bytes: 300, last: Some(7) }
    }

    #[test]
    fn the_stored_form_does_not_change() {
        let bytes = cursor().encode();
        let lines: Vec<String> =
            bytes.chunks(16).map(|line| line.escape_ascii().to_string()).collect();
        expect![[r#"
            bwoc\x010123456789a
            bcdef\x02\x01\x00\x00\x00\x00\x00\x00,\x01\x00
            \x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\xea\xb3\xb3
            \x1cS\x85\x0f\x18"#]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn it_comes_back_as_it_was_or_not_at_all() {
        for cursor in [cursor(), Cursor::new([0; 16])] {
            let bytes = cursor.encode();
            assert_eq!(Cursor::decode(&bytes), Some(cursor));
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Cursor::decode(&flipped), None, "bit {bit}");
            }
            for len in 0..bytes.len() {
                assert_eq!(Cursor::decode(&bytes[..len]), None, "{len} bytes");
            }
        }
    }
}
