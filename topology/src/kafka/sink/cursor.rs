//! The sink's cursor at rest: 37 bytes in the data directory, replaced as a whole.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 4 | `bwkc` |
//! | 4 | 1 | format version |
//! | 5 | 16 | the journal's uuid |
//! | 21 | 8 | `next`, little endian |
//! | 29 | 8 | XXH3-64 of all before, little endian |
//!
//! Everything below `next` has been delivered. A cursor that does not check, or is of another
//! journal, is as good as none: then everything is sent again, under the same ids. What is *not*
//! here: when it is saved.

use actors::Position;
use state::disk::{Disk, read_file, replace_file};
use std::io;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// Its name in the data directory.
pub(crate) const FILE: &str = "kafka.cursor";

const MAGIC: &[u8; 4] = b"bwkc";
const VERSION: u8 = 1;
const BYTES: usize = 37;
const CHECKED_BYTES: usize = BYTES - 8;

/// The cursor of this journal's sink; `None` if there is none that checks.
///
/// # Errors
/// The file is there but can't be read.
pub(crate) fn load(disk: &dyn Disk, dir: &Path, journal: [u8; 16]) -> io::Result<Option<Position>> {
    match read_file(disk, &dir.join(FILE)) {
        Ok(bytes) => Ok(decode(&bytes, journal)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the cursor durable.
///
/// # Errors
/// The disk failed; the cursor is the old one or the new one.
pub(super) fn save(
    disk: &dyn Disk,
    dir: &Path,
    journal: [u8; 16],
    next: Position,
) -> io::Result<()> {
    replace_file(disk, &dir.join(FILE), &encode(journal, next))
}

pub(crate) fn encode(journal: [u8; 16], next: Position) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&journal);
    bytes.extend_from_slice(&next.to_le_bytes());
    let check = xxh3_64(&bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8], journal: [u8; 16]) -> Option<Position> {
    if bytes.len() != BYTES || !bytes.starts_with(MAGIC) || bytes[4] != VERSION {
        return None;
    }
    let number = |at: usize| Some(u64::from_le_bytes(*bytes[at..].first_chunk()?));
    if number(CHECKED_BYTES)? != xxh3_64(&bytes[..CHECKED_BYTES]) || bytes[5..21] != journal {
        return None;
    }
    number(21)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use state::disk::FaultyDisk;

    const JOURNAL: [u8; 16] = *b"0123456789abcdef";

    #[test]
    fn the_stored_form_does_not_change() {
        let bytes = encode(JOURNAL, 0x0102);
        expect![[
            r#"bwkc\x010123456789abcdef\x02\x01\x00\x00\x00\x00\x00\x00\x08/\xff\xb9nF\xad%"#
        ]]
        .assert_eq(&bytes.escape_ascii().to_string());
    }

    #[test]
    fn it_comes_back_as_it_was_or_not_at_all() {
        let bytes = encode(JOURNAL, 77);
        assert_eq!(decode(&bytes, JOURNAL), Some(77));
        assert_eq!(decode(&bytes, [0; 16]), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped, JOURNAL), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len], JOURNAL), None, "{len} bytes");
        }
    }

    #[test]
    fn a_crash_leaves_the_old_one_or_the_new_one() {
        for seed in 0..40 {
            let disk = FaultyDisk::new(seed);
            let dir = Path::new("/data");
            disk.create_dir_all(dir).unwrap();
            assert_eq!(load(&disk, dir, JOURNAL).unwrap(), None);
            save(&disk, dir, JOURNAL, 5).unwrap();
            disk.crash_after(seed % 7);
            let saved = save(&disk, dir, JOURNAL, 9);
            let after = load(&disk.crash(), dir, JOURNAL).unwrap();
            let is_old = saved.is_err() && after == Some(5);
            assert!(after == Some(9) || is_old, "seed {seed}: {after:?}");
        }
    }
}
