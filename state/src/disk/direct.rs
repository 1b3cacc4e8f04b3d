//! A file that is written past the kernel's page cache.
//!
//! A journal writes every byte once and reads hardly any of them back from its files, so a cached
//! copy costs a page and a copy per 4 KiB and is of no use. Direct writes want whole blocks at
//! block boundaries: this file keeps the last, unfinished block in memory and writes it again,
//! longer, with what comes next; what is missing to a whole block is written as zeros.
//!
//! What is *not* here: when a write is durable; that is `sync_data`, as ever. A file system that
//! knows no direct writes gets usual ones.

use super::{DiskFile, RealFile};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What addresses, lengths and offsets of direct writes are multiples of: no disk wants more.
const BLOCK_BYTES: usize = 4_096;

/// So much is written at once: a second copy of it stays in the processor's cache.
const ROOM_BYTES: usize = 512 << 10;

/// A file, opened twice: to be written directly, and to be read as usual.
pub(super) struct DirectFile {
    direct: File,
    usual: RealFile,
    room: Mutex<Room>,
}

/// Where writes are put together, at an address that is a multiple of a block.
struct Room {
    memory: Vec<u8>,
    from: usize,
    /// The offset of the unfinished block that the room begins with, if it does.
    unfinished: Option<u64>,
    /// Whether the file system has refused direct writes.
    refused: bool,
}

/// Opens a file for direct writes; as usual where that is not possible, or where the file's length
/// is no number of whole blocks.
pub(super) fn open(path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    let usual = OpenOptions::new().read(true).write(true).open(path)?;
    let is_whole = usual.metadata()?.len().is_multiple_of(BLOCK_BYTES as u64);
    let flag = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    let direct = OpenOptions::new().read(true).write(true).custom_flags(flag).open(path);
    let usual = RealFile(usual);
    Ok(match direct {
        Ok(direct) if is_whole => {
            let memory = vec![0; ROOM_BYTES + BLOCK_BYTES];
            let from = memory.as_ptr().align_offset(BLOCK_BYTES);
            let room = Room { memory, from, unfinished: None, refused: false };
            Arc::new(DirectFile { direct, usual, room: Mutex::new(room) })
        }
        _ => Arc::new(usual),
    })
}

impl Room {
    fn blocks(&mut self) -> &mut [u8] {
        &mut self.memory[self.from..self.from + ROOM_BYTES]
    }
}

impl DirectFile {
    /// Writes as much as fits the room, and says how much that was.
    fn write_some(&self, room: &mut Room, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let before = (offset % BLOCK_BYTES as u64) as usize;
        let start = offset - before as u64;
        let known = room.unfinished.take() == Some(start);
        let blocks = room.blocks();
        if before > 0 && !known {
            self.direct.read_exact_at(&mut blocks[..BLOCK_BYTES], start)?;
        }
        let taken = bytes.len().min(ROOM_BYTES - before);
        let end = before + taken;
        let whole = end.next_multiple_of(BLOCK_BYTES);
        blocks[before..end].copy_from_slice(&bytes[..taken]);
        blocks[end..whole].fill(0);
        self.direct.write_all_at(&blocks[..whole], start)?;
        if whole > end {
            blocks.copy_within(whole - BLOCK_BYTES..whole, 0);
            room.unfinished = Some(start + (whole - BLOCK_BYTES) as u64);
        }
        Ok(taken)
    }
}

impl DiskFile for DirectFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.usual.read_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        // A writer that has panicked left no half of a block behind: the room forgets it first.
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            if room.refused {
                return self.usual.write_all_at(&buf[done..], at);
            }
            match self.write_some(&mut room, &buf[done..], at) {
                Ok(taken) => done += taken,
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => room.refused = true,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.direct.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.usual.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.usual.set_len(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, RealDisk, read_file};

    #[test]
    fn what_is_appended_in_any_portions_is_what_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let len = 3 << 20;
        RealDisk.create(&path).unwrap().write_all_at(&vec![0; len], 0).unwrap();
        let portions = [1, 7, 4_088, 4_096, 1, 4_095, 8_192, 100_000, ROOM_BYTES, 3, 1_300_000];
        let mut expected = vec![0; len];
        let (mut at, mut file) = (0, RealDisk.open_appending(&path).unwrap());
        for (number, portion) in portions.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..portion).map(|byte| (byte + number) as u8 | 1).collect();
            file.write_all_at(&bytes, at as u64).unwrap();
            expected[at..at + portion].copy_from_slice(&bytes);
            at += portion;
            file.sync_data().unwrap();
            assert!(read_file(&RealDisk, &path).unwrap() == expected, "portion {number}");
            if number % 3 == 2 {
                // Whoever comes later finds the unfinished block on the disk.
                file = RealDisk.open_appending(&path).unwrap();
            }
        }
    }

    #[test]
    fn a_file_that_is_no_number_of_blocks_keeps_its_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        RealDisk.create(&path).unwrap().write_all_at(&[0; 5_000], 0).unwrap();
        let file = RealDisk.open_appending(&path).unwrap();
        file.write_all_at(&[7; 900], 4_100).unwrap();
        assert_eq!(file.len().unwrap(), 5_000);
    }
}
