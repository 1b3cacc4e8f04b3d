//! Writing an image: a stream of entries with rising keys goes out in large sequential writes.
//! Memory holds one write buffer, the sparse index and eight bytes a key. What is *not* here: where
//! the entries come from. Nothing of an unfinished image ever has the name of an image.

use super::filter::{Filter, hash};
use super::{
    BLOCK_BYTES, ENTRY_HEAD_BYTES, Error, Header, KEY_BYTES_MAX, NOTE_BYTES_MAX, TRAILER_BYTES,
    Trailer, UNFINISHED, VALUE_BYTES_MAX, disk_error, file_name,
};
use crate::disk::{Disk, DiskFile};
use crate::row::key::space;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const WRITE_BYTES: usize = 1 << 20;

/// An image that is being written.
pub struct Writer {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    names: Names,
    out: Vec<u8>,
    /// Where in the file `out` begins.
    flushed: u64,
    /// Where in `out` the current block begins.
    block_start: usize,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    index: Vec<u8>,
    hashes: Vec<u64>,
    rows: u64,
    blocks: u32,
    header_crc: u32,
}

struct Names {
    unfinished: PathBuf,
    finished: PathBuf,
}

/// An image that is whole and synced, but still under its temporary name.
pub struct Finished {
    disk: Arc<dyn Disk>,
    names: Names,
    /// How long the file is.
    pub bytes: u64,
    /// How many entries it has.
    pub entries: u64,
}

impl Writer {
    /// Begins an image in directory `dir`.
    ///
    /// # Errors
    /// The disk refuses, or the note is too long.
    pub fn begin(disk: &Arc<dyn Disk>, dir: &Path, header: &Header) -> Result<Self, Error> {
        fits("note", header.note.len(), NOTE_BYTES_MAX)?;
        let finished = dir.join(file_name(header.shard, header.generation));
        let names = Names { unfinished: finished.with_extension(UNFINISHED), finished };
        let create = disk.create(&names.unfinished);
        let file = create.map_err(disk_error("create", &names.unfinished))?;
        Ok(Self::new(Arc::clone(disk), file, names, header))
    }

    /// Begins an image as a part of another file, `path`, of which `file` takes just this part. It
    /// is [`Self::end`]ed, and durable when that file is.
    ///
    /// # Errors
    /// The note is too long.
    pub(crate) fn within(
        disk: &Arc<dyn Disk>,
        file: Arc<dyn DiskFile>,
        path: &Path,
        header: &Header,
    ) -> Result<Self, Error> {
        fits("note", header.note.len(), NOTE_BYTES_MAX)?;
        let names = Names { unfinished: path.to_owned(), finished: path.to_owned() };
        Ok(Self::new(Arc::clone(disk), file, names, header))
    }

    fn new(disk: Arc<dyn Disk>, file: Arc<dyn DiskFile>, names: Names, header: &Header) -> Self {
        let mut out = header.encode();
        let header_crc = u32::from_le_bytes(super::array(&out[out.len() - 4..]));
        let block_start = out.len();
        out.reserve(WRITE_BYTES + 2 * VALUE_BYTES_MAX);
        Self {
            disk,
            file,
            names,
            out,
            flushed: 0,
            block_start,
            first_key: Vec::new(),
            last_key: Vec::new(),
            index: Vec::new(),
            hashes: Vec::new(),
            rows: 0,
            blocks: 0,
            header_crc,
        }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// The disk refuses, or key or value are too long.
    ///
    /// # Panics
    /// Its key is not above the one before: what merges the entries is broken.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        fits("key", key.len(), KEY_BYTES_MAX)?;
        fits("value", value.len(), VALUE_BYTES_MAX)?;
        let rising = self.hashes.is_empty() || key > self.last_key.as_slice();
        assert!(rising, "keys rise in an image: {key:?} after {:?}", self.last_key);
        if self.out.len() == self.block_start {
            self.first_key.clear();
            self.first_key.extend_from_slice(key);
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.hashes.push(hash(key));
        self.rows += u64::from(key.first() == Some(&space::ROW));
        self.out.extend_from_slice(&(key.len() as u16).to_le_bytes());
        self.out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.out.extend_from_slice(key);
        self.out.extend_from_slice(value);
        if self.out.len() - self.block_start >= BLOCK_BYTES - ENTRY_HEAD_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    /// Ends the image and makes it durable, under its temporary name.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> Result<Finished, Error> {
        let entries = self.end()?;
        self.file.sync_data().map_err(disk_error("sync", &self.names.unfinished))?;
        let bytes = self.flushed;
        Ok(Finished { disk: self.disk, names: self.names, bytes, entries })
    }

    /// Ends the image, and says how many entries it has. It is not durable yet.
    pub(crate) fn end(&mut self) -> Result<u64, Error> {
        self.end_block()?;
        let filter = Filter::build(&self.hashes).encode();
        let trailer = Trailer {
            index_offset: self.flushed + self.out.len() as u64,
            index_bytes: self.index.len() as u64,
            filter_bytes: filter.len() as u64,
            entries: self.hashes.len() as u64,
            rows: self.rows,
            blocks: self.blocks,
            header_crc: self.header_crc,
        };
        let tail_start = self.out.len();
        self.out.extend_from_slice(&self.index);
        self.out.extend_from_slice(&filter);
        self.out.extend_from_slice(&trailer.encode());
        let crc = crc32c::crc32c(&self.out[tail_start..]);
        self.out.extend_from_slice(&crc.to_le_bytes());
        debug_assert_eq!(
            self.out.len() - tail_start,
            self.index.len() + filter.len() + TRAILER_BYTES
        );
        self.flush()?;
        Ok(trailer.entries)
    }

    fn end_block(&mut self) -> Result<(), Error> {
        let block = &self.out[self.block_start..];
        if block.is_empty() {
            return Ok(());
        }
        let offset = self.flushed + self.block_start as u64;
        self.index.extend_from_slice(&offset.to_le_bytes());
        self.index.extend_from_slice(&(block.len() as u32).to_le_bytes());
        self.index.extend_from_slice(&crc32c::crc32c(block).to_le_bytes());
        self.index.extend_from_slice(&(self.first_key.len() as u16).to_le_bytes());
        self.index.extend_from_slice(&self.first_key);
        self.blocks += 1;
        if self.out.len() >= WRITE_BYTES {
            self.flush()?;
        }
        self.block_start = self.out.len();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        let written = self.file.write_all_at(&self.out, self.flushed);
        written.map_err(disk_error("write", &self.names.unfinished))?;
        self.flushed += self.out.len() as u64;
        self.out.clear();
        Ok(())
    }
}

impl Finished {
    /// Gives the image its name. It is durable once the directory is synced.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn publish(&self) -> Result<&Path, Error> {
        let Names { unfinished, finished } = &self.names;
        self.disk.rename(unfinished, finished).map_err(disk_error("rename", unfinished))?;
        Ok(finished)
    }
}

fn fits(what: &'static str, bytes: usize, max: usize) -> Result<(), Error> {
    if bytes > max { Err(Error::TooLarge { what, bytes, max }) } else { Ok(()) }
}
