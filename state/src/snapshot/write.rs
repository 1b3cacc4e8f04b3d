//! Writing a snapshot: parts one after the other, in large sequential writes, synced now and then
//! so that the disk is never left with much of it at once. Memory holds one write buffer and four
//! bytes a piece. What is *not* here: what goes into a part.

use super::format::{Entry, Header, PIECE_BYTES, Part, Trailer, encode_index};
use super::{Error, Snapshot, disk_error};
use crate::disk::{Disk, DiskFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const WRITE_BYTES: usize = 1 << 20;
/// The journal shares the disk: what waits to be written must not hold up its syncs.
const SYNC_BYTES: u64 = 16 << 20;
pub(super) const UNFINISHED: &str = "unfinished";

/// A snapshot that is being written, under a temporary name.
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    unfinished: PathBuf,
    stream: Stream,
    header_bytes: usize,
}

/// Where the parts go; the image of a shard has it for a while.
#[derive(Clone)]
struct Stream(Arc<Mutex<Out>>);

struct Out {
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins, and up to where the file was synced.
    flushed: u64,
    synced: u64,
    reserve: Reserve,
    entries: Vec<Entry>,
    /// The checksum of the piece at hand.
    crc: u32,
}

/// What is left free of the disk: the journal needs room too.
struct Reserve {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    bytes: u64,
}

impl Reserve {
    fn check(&self) -> io::Result<()> {
        if self.disk.free_bytes(&self.dir)? >= self.bytes {
            return Ok(());
        }
        let why = format!("less than {} bytes of the disk would be left free", self.bytes);
        Err(io::Error::new(io::ErrorKind::StorageFull, why))
    }
}

impl Writer {
    /// Begins a snapshot in the folder `dir`, with a header as long as this one; so many bytes of
    /// the disk are left free.
    pub(super) fn begin(
        disk: &Arc<dyn Disk>,
        (dir, reserve_bytes): (&Path, u64),
        header: &Header,
    ) -> Result<Self, Error> {
        let reserve = Reserve { disk: disk.clone(), dir: dir.to_owned(), bytes: reserve_bytes };
        reserve.check().map_err(disk_error("begin a snapshot in", dir))?;
        let unfinished = dir.join(format!("{}.{UNFINISHED}", std::process::id()));
        let file = disk.create(&unfinished).map_err(disk_error("create", &unfinished))?;
        let header_bytes = header.encode().len();
        let out = Out {
            file,
            buffer: Vec::with_capacity(WRITE_BYTES),
            flushed: header_bytes as u64,
            synced: 0,
            reserve,
            entries: Vec::new(),
            crc: 0,
        };
        let stream = Stream(Arc::new(Mutex::new(out)));
        Ok(Self { disk: disk.clone(), unfinished, stream, header_bytes })
    }

    /// Begins a part; the one before it is ended.
    pub(super) fn part(&mut self, part: Part) {
        let mut out = self.stream.out();
        out.end_part();
        let offset = out.flushed + out.buffer.len() as u64;
        out.entries.push(Entry { part, offset, bytes: 0, crcs: Vec::new() });
    }

    /// Adds to the part at hand.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let pushed = self.stream.out().push(bytes);
        pushed.map_err(disk_error("write", &self.unfinished))
    }

    /// The part at hand, as a file that is written from its start on.
    pub(super) fn file(&self) -> Arc<dyn DiskFile> {
        Arc::new(self.stream.clone())
    }

    /// What it is called until it is finished.
    pub(super) fn path(&self) -> &Path {
        &self.unfinished
    }

    /// Ends the snapshot, makes it durable, reads all of it back, and only then gives it its name.
    pub(super) fn finish(self, header: &Header, path: &Path) -> Result<Snapshot, Error> {
        let finished = self.finish_as(header, path);
        if finished.is_err() {
            self.abandon();
        }
        finished
    }

    fn finish_as(&self, header: &Header, path: &Path) -> Result<Snapshot, Error> {
        let written = self.stream.out().finish(header, self.header_bytes);
        written.map_err(disk_error("write", &self.unfinished))?;
        Snapshot::open(&self.disk, &self.unfinished)?.check(&mut |_| {})?;
        let renamed = self.disk.rename(&self.unfinished, path);
        renamed.map_err(disk_error("rename", &self.unfinished))?;
        let dir = path.parent().expect("it lies in a folder");
        self.disk.sync_dir(dir).map_err(disk_error("sync", dir))?;
        Snapshot::open(&self.disk, path)
    }

    /// Takes away what was written; best effort: nobody takes it for a snapshot.
    pub(super) fn abandon(&self) {
        let _ = self.disk.remove_file(&self.unfinished);
    }
}

impl Stream {
    fn out(&self) -> MutexGuard<'_, Out> {
        // A panic under this lock comes from memory running out.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Out {
    fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let entry = self.entries.last_mut().expect("a part was begun");
            let room = PIECE_BYTES - entry.bytes % PIECE_BYTES;
            let (now, later) = bytes.split_at(bytes.len().min(room as usize));
            self.crc = crc32c::crc32c_append(self.crc, now);
            entry.bytes += now.len() as u64;
            if entry.bytes.is_multiple_of(PIECE_BYTES) {
                entry.crcs.push(std::mem::take(&mut self.crc));
            }
            self.buffer.extend_from_slice(now);
            bytes = later;
        }
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn end_part(&mut self) {
        let Some(entry) = self.entries.last_mut() else { return };
        if !entry.bytes.is_multiple_of(PIECE_BYTES) {
            entry.crcs.push(std::mem::take(&mut self.crc));
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.flushed)?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        if self.flushed - self.synced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = self.flushed;
            self.reserve.check()?;
        }
        Ok(())
    }

    fn finish(&mut self, header: &Header, header_bytes: usize) -> io::Result<()> {
        self.end_part();
        let header = header.encode();
        assert_eq!(header.len(), header_bytes, "a header only changes its numbers");
        let mut tail = encode_index(&self.entries);
        let (_, crc) = header.split_last_chunk::<4>().expect("it ends with its CRC");
        let trailer = Trailer {
            index_offset: self.flushed + self.buffer.len() as u64,
            index_bytes: tail.len() as u64,
            parts: self.entries.len() as u32,
            header_crc: u32::from_le_bytes(*crc),
        };
        tail.extend_from_slice(&trailer.encode());
        let crc = crc32c::crc32c(&tail);
        tail.extend_from_slice(&crc.to_le_bytes());
        self.buffer.extend_from_slice(&tail);
        self.flush()?;
        self.file.write_all_at(&header, 0)?;
        self.file.sync_data()
    }
}

impl DiskFile for Stream {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut out = self.out();
        let bytes = out.entries.last().map(|entry| entry.bytes);
        assert_eq!(bytes, Some(offset), "a part is written from its start on");
        out.push(buf)
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.out().entries.last().map_or(0, |entry| entry.bytes))
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
