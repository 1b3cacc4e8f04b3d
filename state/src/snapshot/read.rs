//! Reading a snapshot: its header and index are in memory, its parts are read where they lie. What
//! is *not* here: repair. A snapshot that is damaged anywhere is of no use.

use super::format::{
    Entry, Header, PIECE_BYTES, Part, START_BYTES, TRAILER_BYTES, Trailer, VERSION,
};
use super::format::{array, decode_index};
use super::{Error, disk_error};
use crate::disk::{Disk, DiskFile};
use crate::image::{self, Image};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A snapshot that can be read.
pub struct Snapshot {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    header: Header,
    entries: Vec<Entry>,
    bytes: u64,
}

impl Snapshot {
    /// Opens a snapshot, and checks all of it but its parts.
    ///
    /// # Errors
    /// The disk refuses, or the file is damaged, of a newer version, or no snapshot.
    pub fn open(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self, Error> {
        Self::of(disk.open(path).map_err(disk_error("open", path))?, path)
    }

    fn of(file: Arc<dyn DiskFile>, path: &Path) -> Result<Self, Error> {
        let bytes = file.len().map_err(disk_error("measure", path))?;
        let opening = Opening { file: &*file, path, bytes };
        let (header, header_bytes, header_crc) = opening.header()?;
        let (trailer, tail) = opening.tail()?;
        let entries = decode_index(&tail, trailer.parts, header_bytes, trailer.index_offset);
        let entries = entries.ok_or_else(|| opening.damaged(trailer.index_offset, "the index"))?;
        if trailer.header_crc != header_crc {
            return Err(opening.damaged(0, "header and trailer are of different snapshots"));
        }
        Ok(Self { file, path: path.to_owned(), header, entries, bytes })
    }

    /// What it says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long the file is.
    pub fn size_bytes(&self) -> u64 {
        self.bytes
    }

    /// Its parts, in order, and how long they are.
    pub fn parts(&self) -> impl Iterator<Item = (&Part, u64)> {
        self.entries.iter().map(|entry| (&entry.part, entry.bytes))
    }

    /// Reads every byte and checks it; tells `look` how many were, now and then.
    ///
    /// # Errors
    /// The disk refuses, or a part is damaged.
    pub fn check(&self, look: &mut dyn FnMut(u64)) -> Result<(), Error> {
        for entry in &self.entries {
            self.pieces(entry, &mut |bytes, offset| {
                look(offset + bytes.len() as u64);
                Ok(())
            })?;
            if let Part::Image(shard) = &entry.part {
                self.check_image(entry, *shard)?;
            }
        }
        Ok(())
    }

    /// An image is one of this snapshot.
    fn check_image(&self, entry: &Entry, shard: u16) -> Result<(), Error> {
        let image = Image::within(self.window(entry), &self.path)?;
        let found = image.header();
        let fits = found.journal == self.header.journal
            && found.shard == shard
            && found.generation == Part::generation(shard)
            && found.replay_from >= self.header.replay_from
            && found.ceiling <= self.header.position;
        if fits { Ok(()) } else { Err(self.damaged(entry.offset, "an image of something else")) }
    }

    /// The image of a shard, to be read where it lies. `None` if nothing was stored of the shard.
    ///
    /// # Errors
    /// The disk refuses, or it is damaged. Its blocks are checked as they are read.
    pub fn image(&self, shard: u16) -> Result<Option<Image>, image::Error> {
        let entry = self.entries.iter().find(|entry| entry.part == Part::Image(shard));
        entry.map(|entry| Image::within(self.window(entry), &self.path)).transpose()
    }

    /// Copies the whole file, and checks the copy.
    pub(super) fn copy_file(&self, disk: &dyn Disk, to: &Path) -> Result<(), Error> {
        let file = disk.create(to).map_err(disk_error("create", to))?;
        let mut piece = vec![0; 1 << 20];
        let mut offset = 0;
        while offset < self.bytes {
            let piece = &mut piece[..(self.bytes - offset).min(1 << 20) as usize];
            let read = self.file.read_exact_at(piece, offset);
            read.map_err(disk_error("read", &self.path))?;
            file.write_all_at(piece, offset).map_err(disk_error("write", to))?;
            offset += piece.len() as u64;
        }
        file.sync_data().map_err(disk_error("sync", to))?;
        Self::of(file, to)?.check(&mut |_| {})
    }

    /// Gives the bytes of a part to `take`, each piece checked.
    pub(super) fn copy(
        &self,
        part: &Part,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let entry = self.entries.iter().find(|entry| entry.part == *part);
        self.pieces(entry.expect("a part of this snapshot"), &mut |bytes, _| take(bytes))
    }

    fn pieces(
        &self,
        entry: &Entry,
        take: &mut dyn FnMut(&[u8], u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut piece = vec![0; entry.bytes.min(PIECE_BYTES) as usize];
        let mut offset = entry.offset;
        for crc in &entry.crcs {
            let left = entry.offset + entry.bytes - offset;
            let piece = &mut piece[..left.min(PIECE_BYTES) as usize];
            match self.file.read_exact_at(piece, offset) {
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                    return Err(disk_error("read", &self.path)(error));
                }
                Ok(()) if crc32c::crc32c(piece) == *crc => {}
                _ => {
                    let what = format!("a piece of {}", entry.part.path().display());
                    return Err(self.damaged(offset, &what));
                }
            }
            take(piece, offset)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    fn window(&self, entry: &Entry) -> Arc<dyn DiskFile> {
        let (file, offset) = (self.file.clone(), entry.offset);
        Arc::new(Window { file, offset, bytes: entry.bytes })
    }

    fn damaged(&self, offset: u64, what: &str) -> Error {
        Error::Damaged { path: self.path.clone(), offset, what: what.to_owned() }
    }
}

/// A snapshot that is being opened, part by part.
struct Opening<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    bytes: u64,
}

impl Opening<'_> {
    fn damaged(&self, offset: u64, what: &str) -> Error {
        Error::Damaged { path: self.path.to_owned(), offset, what: what.to_owned() }
    }

    fn read(&self, buf: &mut [u8], offset: u64, what: &str) -> Result<(), Error> {
        match self.file.read_exact_at(buf, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged(offset, what))
            }
            read => read.map_err(disk_error("read", self.path)),
        }
    }

    /// The header, its length and its CRC.
    fn header(&self) -> Result<(Header, u64, u32), Error> {
        let mut start = [0; START_BYTES];
        let foreign = || Error::Foreign { path: self.path.to_owned() };
        if self.bytes < START_BYTES as u64 {
            return Err(foreign());
        }
        self.read(&mut start, 0, "the header")?;
        let (version, bytes) = Header::claims(&start).ok_or_else(foreign)?;
        let mut rest = vec![0; bytes - START_BYTES];
        self.read(&mut rest, START_BYTES as u64, "the header")?;
        let bad = || self.damaged(0, "the header");
        let (rest, crc) = rest.split_last_chunk::<4>().ok_or_else(bad)?;
        let crc = u32::from_le_bytes(*crc);
        if crc32c::crc32c_append(crc32c::crc32c(&start), rest) != crc {
            return Err(bad());
        }
        if version != VERSION {
            let path = self.path.to_owned();
            return Err(Error::Newer { path, found: version, known: VERSION });
        }
        Ok((Header::decode(rest).ok_or_else(bad)?, bytes as u64, crc))
    }

    /// The trailer and the index.
    fn tail(&self) -> Result<(Trailer, Vec<u8>), Error> {
        let trailer_at = self.bytes.saturating_sub(TRAILER_BYTES as u64);
        let bad = || self.damaged(trailer_at, "the trailer");
        let mut fixed = [0; TRAILER_BYTES];
        self.read(&mut fixed, trailer_at, "the trailer")?;
        let trailer = Trailer::decode(&fixed).ok_or_else(bad)?;
        if trailer.index_offset.checked_add(trailer.index_bytes) != Some(trailer_at) {
            return Err(bad());
        }
        let mut index = vec![0; trailer.index_bytes as usize];
        self.read(&mut index, trailer.index_offset, "the index")?;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&index), &fixed[..TRAILER_BYTES - 4]);
        if crc != u32::from_le_bytes(array(&fixed[TRAILER_BYTES - 4..])) {
            return Err(self.damaged(trailer.index_offset, "the index or the trailer"));
        }
        Ok((trailer, index))
    }
}

/// A part as a file of its own.
struct Window {
    file: Arc<dyn DiskFile>,
    offset: u64,
    bytes: u64,
}

impl DiskFile for Window {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = buf.len().min(self.bytes.saturating_sub(offset) as usize);
        if len == 0 { Ok(0) } else { self.file.read_at(&mut buf[..len], self.offset + offset) }
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}
