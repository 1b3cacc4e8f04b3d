//! Reading an image: index and filter are in memory, a look-up is one block. What is *not* here:
//! repair. The first damage found takes the image out of service: its file gets a name that no
//! start looks for, so that the next one rebuilds the shard from the journal instead of answering
//! from what is left.

use super::cache::Cache;
use super::cursor::{Cursor, entry_at};
use super::filter::{Filter, hash};
use super::{
    Error, HEADER_BYTES, Header, NOTE_BYTES_MAX, TRAILER_BYTES, Trailer, VERSION, array, disk_error,
};
use crate::disk::{Disk, DiskFile};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An image that can be read.
pub struct Image {
    /// Where a damaged one gets another name; none for one inside another file.
    disk: Option<Arc<dyn Disk>>,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    header: Header,
    index: Index,
    filter: Filter,
    entries: u64,
    rows: u64,
    bytes: u64,
}

/// Where the blocks are; the first keys lie one after the other in one buffer.
#[derive(Default)]
struct Index {
    blocks: Vec<BlockRef>,
    keys: Vec<u8>,
}

struct BlockRef {
    offset: u64,
    bytes: u32,
    crc: u32,
    key_end: u32,
}

impl Image {
    /// Opens an image and checks all of it but the blocks, which are checked as they are read.
    ///
    /// # Errors
    /// The disk refuses, or the file is damaged or of a newer version.
    pub fn open(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self, Error> {
        let file = disk.open(path).map_err(disk_error("open", path))?;
        Self::read(file, path, Some(Arc::clone(disk)))
    }

    /// Opens an image that is a part of another file, `path`, of which `file` shows just this part.
    /// Damage is told, and nothing is renamed.
    pub(crate) fn within(file: Arc<dyn DiskFile>, path: &Path) -> Result<Self, Error> {
        Self::read(file, path, None)
    }

    fn read(
        file: Arc<dyn DiskFile>,
        path: &Path,
        disk: Option<Arc<dyn Disk>>,
    ) -> Result<Self, Error> {
        let bytes = file.len().map_err(disk_error("measure", path))?;
        let parts = Parts { file: &*file, path, bytes };
        let (header, header_bytes, crc) = parts.header()?;
        let (trailer, tail) = parts.tail()?;
        if trailer.header_crc != crc {
            return Err(parts.damaged(bytes - TRAILER_BYTES as u64, "trailer"));
        }
        let (index_bytes, rest) = tail.split_at(trailer.index_bytes as usize);
        let index = Index::decode(index_bytes, trailer.blocks, header_bytes, trailer.index_offset)
            .ok_or_else(|| parts.damaged(trailer.index_offset, "index"))?;
        let filter = Filter::decode(&rest[..trailer.filter_bytes as usize])
            .ok_or_else(|| parts.damaged(trailer.index_offset + trailer.index_bytes, "filter"))?;
        let Trailer { entries, rows, .. } = trailer;
        let path = path.to_owned();
        Ok(Self { disk, file, path, header, index, filter, entries, rows, bytes })
    }

    /// What the image says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many entries it has.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// How many of them are rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How long the file is.
    pub fn size_bytes(&self) -> u64 {
        self.bytes
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// False if there is surely no such key; nothing is read for it.
    pub fn may_contain(&self, key: &[u8]) -> bool {
        self.may_contain_hash(hash(key))
    }

    pub(crate) fn may_contain_hash(&self, hash: u64) -> bool {
        self.filter.may_contain(hash)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The disk refuses, or the block is damaged.
    pub fn get(&self, key: &[u8], cache: &Cache) -> Result<Option<Vec<u8>>, Error> {
        let Some(number) = self.index.block_of(key) else { return Ok(None) };
        let block = self.block(number, Some(cache))?;
        let mut at = 0;
        while let Some(entry) = entry_at(&block, at) {
            match block[entry.key.clone()].cmp(key) {
                std::cmp::Ordering::Less => at = entry.value.end,
                std::cmp::Ordering::Equal => return Ok(Some(block[entry.value].to_vec())),
                std::cmp::Ordering::Greater => return Ok(None),
            }
        }
        Ok(None)
    }

    /// A cursor at the first key at or above `from`. Without a cache it reads past it, for a pass
    /// over everything.
    ///
    /// # Errors
    /// The disk refuses, or the block is damaged.
    pub fn seek<'a>(&'a self, from: &[u8], cache: Option<&'a Cache>) -> Result<Cursor<'a>, Error> {
        Cursor::seek(self, from, cache)
    }

    /// Reads every block.
    ///
    /// # Errors
    /// The disk refuses, or a block is damaged.
    pub fn verify(&self) -> Result<(), Error> {
        let mut block = Vec::new();
        (0..self.blocks()).try_for_each(|number| self.read_block(number, &mut block))
    }

    pub(super) fn blocks(&self) -> usize {
        self.index.blocks.len()
    }

    /// The last block that begins at or below `key`.
    pub(super) fn block_of(&self, key: &[u8]) -> Option<usize> {
        self.index.block_of(key)
    }

    pub(super) fn block(
        &self,
        number: usize,
        cache: Option<&Cache>,
    ) -> Result<Arc<Vec<u8>>, Error> {
        let read = || {
            let mut block = Vec::new();
            self.read_block(number, &mut block)?;
            Ok(Arc::new(block))
        };
        match cache {
            None => read(),
            Some(cache) => cache.block((self.header.generation, number), read),
        }
    }

    /// Puts a block in place of what is in `block`.
    pub(super) fn read_block(&self, number: usize, block: &mut Vec<u8>) -> Result<(), Error> {
        let BlockRef { offset, bytes, crc, .. } = self.index.blocks[number];
        block.resize(bytes as usize, 0);
        match self.file.read_exact_at(block, offset) {
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
                Err(disk_error("read", &self.path)(error))
            }
            Ok(()) if crc32c::crc32c(block) == crc => Ok(()),
            _ => Err(self.condemn(offset, "block")),
        }
    }

    /// Takes the image out of service, and says why.
    fn condemn(&self, offset: u64, what: &'static str) -> Error {
        if let Some(disk) = &self.disk {
            set_aside(&**disk, &self.path);
        }
        Error::Damaged { path: self.path.clone(), offset, what }
    }
}

/// Gives a damaged image a name that no start looks for. Best effort: if the disk refuses this too,
/// the next start finds the damage again.
pub(crate) fn set_aside(disk: &dyn Disk, path: &Path) {
    let renamed = disk.rename(path, &path.with_extension("aside"));
    let synced = renamed.and_then(|()| path.parent().map_or(Ok(()), |dir| disk.sync_dir(dir)));
    if let Err(error) = synced {
        tracing::warn!(image = %path.display(), %error, "could not set a damaged image aside");
    }
}

impl Index {
    /// `None` unless the blocks follow each other from `from` to `to` without a gap.
    fn decode(mut bytes: &[u8], blocks: u32, from: u64, to: u64) -> Option<Self> {
        let mut index = Self::default();
        let mut next = from;
        for _ in 0..blocks {
            let (head, rest) = bytes.split_first_chunk::<18>()?;
            let offset = u64::from_le_bytes(array(&head[..8]));
            let block_bytes = u32::from_le_bytes(array(&head[8..12]));
            let crc = u32::from_le_bytes(array(&head[12..16]));
            let key_bytes = u16::from_le_bytes(array(&head[16..18]));
            let (key, rest) = rest.split_at_checked(key_bytes.into())?;
            if offset != next {
                return None;
            }
            next = next.checked_add(block_bytes.into())?;
            index.keys.extend_from_slice(key);
            let key_end = index.keys.len() as u32;
            index.blocks.push(BlockRef { offset, bytes: block_bytes, crc, key_end });
            bytes = rest;
        }
        (next == to && bytes.is_empty()).then_some(index)
    }

    fn first_key(&self, block: usize) -> &[u8] {
        let start = block.checked_sub(1).map_or(0, |before| self.blocks[before].key_end);
        &self.keys[start as usize..self.blocks[block].key_end as usize]
    }

    fn block_of(&self, key: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.blocks.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.first_key(middle) <= key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }
}

/// A file that is being opened, part by part.
struct Parts<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    bytes: u64,
}

impl Parts<'_> {
    fn damaged(&self, offset: u64, what: &'static str) -> Error {
        Error::Damaged { path: self.path.to_owned(), offset, what }
    }

    fn read(&self, buf: &mut [u8], offset: u64, what: &'static str) -> Result<(), Error> {
        match self.file.read_exact_at(buf, offset) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(self.damaged(offset, what))
            }
            read => read.map_err(disk_error("read", self.path)),
        }
    }

    /// The header, its length and its CRC.
    fn header(&self) -> Result<(Header, u64, u32), Error> {
        let bad = || self.damaged(0, "header");
        let mut fixed = [0; HEADER_BYTES];
        self.read(&mut fixed, 0, "header")?;
        let (mut header, version, note_bytes) = Header::decode_fixed(&fixed).ok_or_else(bad)?;
        if note_bytes > NOTE_BYTES_MAX {
            return Err(bad());
        }
        let mut rest = vec![0; note_bytes + 4];
        self.read(&mut rest, HEADER_BYTES as u64, "header")?;
        let (note, crc) = rest.split_at(note_bytes);
        let crc = u32::from_le_bytes(array(crc));
        if crc32c::crc32c_append(crc32c::crc32c(&fixed), note) != crc {
            return Err(bad());
        }
        if version != VERSION {
            return Err(Error::Newer { path: self.path.to_owned(), found: version });
        }
        header.note = note.to_vec();
        Ok((header, (HEADER_BYTES + rest.len()) as u64, crc))
    }

    /// The trailer, and all bytes from the index to the end.
    fn tail(&self) -> Result<(Trailer, Vec<u8>), Error> {
        let trailer_at = self.bytes.saturating_sub(TRAILER_BYTES as u64);
        let bad = || self.damaged(trailer_at, "trailer");
        let mut fixed = [0; TRAILER_BYTES];
        self.read(&mut fixed, trailer_at, "trailer")?;
        let trailer = Trailer::decode(&fixed).ok_or_else(bad)?;
        let end = trailer.index_offset.checked_add(trailer.index_bytes);
        let end = end.and_then(|end| end.checked_add(trailer.filter_bytes));
        if end != Some(trailer_at) {
            return Err(bad());
        }
        let mut tail = vec![0; (self.bytes - trailer.index_offset) as usize];
        self.read(&mut tail, trailer.index_offset, "index")?;
        let (checked, crc) = tail.split_at(tail.len() - 4);
        if crc32c::crc32c(checked) != u32::from_le_bytes(array(crc)) {
            return Err(self.damaged(trailer.index_offset, "index, filter or trailer"));
        }
        Ok((trailer, tail))
    }
}
