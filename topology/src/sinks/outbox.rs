//! The outbox file: every domain event that we publish, one CloudEvent a line, with its position as
//! the extension attribute `sequence` (20 digits, zero-padded).
//!
//! The file is the truth about what has gone out: each line says where it comes from. The cursor
//! beside it says how far the journal was read when it was saved, and how long the file was then;
//! only what lies behind that can be torn. What is *not* here: reading the journal, and when to
//! write and save.
//!
//! Invariant: after [`Outbox::open`] the file holds, in order and once, every published event below
//! the cursor, and nothing else, whatever happened before. Two things are for people to do, while
//! the process is stopped: move the file away to begin a new one where it ended; remove both files
//! to have everything written again.

mod cursor;
mod line;
mod scan;

use actors::Position;
use cursor::Cursor;
use state::disk::{Disk, DiskFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file's name in the data directory.
pub const FILE: &str = "outbox.ndjson";
/// The cursor's name in the data directory.
pub const CURSOR_FILE: &str = "outbox.cursor";

/// What can go wrong with an outbox. After an error open it again: it goes on where the file ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("could not {tried} {}: {source}", path.display())]
    Io {
        /// What was tried.
        tried: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is a file of that name which no outbox has written.
    #[error("{} was not written by an outbox: move it away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// What was durable is no line any more.
    #[error(
        "{} is damaged at byte {offset}: restore it, or remove it and {CURSOR_FILE} to have all of \
         it written again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first bad line begins.
        offset: u64,
    },
    /// An earlier write failed, so nobody knows how the file ends.
    #[error("an earlier write to {} failed: open it again first", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
    },
}

/// The outbox file, open for writing.
pub struct Outbox {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file: Arc<dyn DiskFile>,
    cursor: Cursor,
    saved: Cursor,
    lines: Vec<u8>,
    failed: bool,
}

impl Outbox {
    /// Opens the outbox of the journal with this uuid, or makes a new one; an outbox of another
    /// journal is moved aside.
    ///
    /// Takes away what a crash has left of lines, and makes the rest durable.
    ///
    /// # Errors
    /// The disk failed, or there is a file of that name that is no outbox.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, journal: [u8; 16]) -> Result<Self, Error> {
        let path = dir.join(FILE);
        let known = cursor::load(&*disk, &dir.join(CURSOR_FILE))?;
        let known = match known {
            Some(other) if other.journal != journal => {
                move_aside(&*disk, dir, &other)?;
                Some(Cursor::new(journal))
            }
            known => known,
        };
        let tried = |tried| io_error(tried, &path);
        let file = match disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(&path),
            other => other,
        };
        let file = file.map_err(tried("open"))?;
        let scanned = scan::scan(&*file, known.as_ref()).map_err(tried("read"))?;
        if known.is_none() && scanned.end == 0 && scanned.file_bytes > 0 {
            // The cursor is made durable before the first line is, so this is not the work of a
            // crash.
            return Err(Error::Foreign { path });
        }
        if scanned.bad_line && known.as_ref().is_some_and(|known| scanned.end < known.file_bytes) {
            return Err(Error::Damaged { path, offset: scanned.end });
        }
        scan::mend(&*file, &scanned).map_err(tried("mend"))?;
        let known = known.unwrap_or_else(|| Cursor::new(journal));
        let cursor = scanned.cursor(&known);
        let mut outbox = Self {
            disk,
            dir: dir.to_owned(),
            file,
            cursor,
            saved: known,
            lines: Vec::new(),
            failed: false,
        };
        outbox.store_cursor()?;
        Ok(outbox)
    }

    /// Every published event below this position is in the file, durably. The journal must reach at
    /// least so far.
    pub fn cursor(&self) -> Position {
        self.cursor.next
    }

    /// Whether it has never held a line nor read anything.
    pub fn is_new(&self) -> bool {
        self.cursor.next == 0
    }

    /// The cursor as it was last saved: the journal's floor must not rise above it.
    pub fn saved(&self) -> Position {
        self.saved.next
    }

    /// Writes one line for each event, given as the JSON text of a CloudEvent. All are durable when
    /// it returns.
    ///
    /// # Errors
    /// The disk failed. The outbox is of no use any more and must be opened again.
    ///
    /// # Panics
    /// A position is not above the one before it or lies below the cursor, or a text is no JSON
    /// object.
    pub fn write(&mut self, events: &[(Position, &[u8])]) -> Result<(), Error> {
        let path = self.dir.join(FILE);
        if self.failed {
            return Err(Error::Failed { path });
        }
        let Some(&(last, _)) = events.last() else { return Ok(()) };
        let mut next = self.cursor.next;
        self.lines.clear();
        for &(position, text) in events {
            assert!(position >= next, "event {position} after all below {next} were written");
            next = position + 1;
            line::append(&mut self.lines, position, text);
        }
        self.failed = true;
        let at = self.cursor.file_bytes;
        self.file.write_all_at(&self.lines, at).map_err(io_error("write to", &path))?;
        self.file.sync_data().map_err(io_error("sync", &path))?;
        self.failed = false;
        self.cursor.file_bytes += self.lines.len() as u64;
        self.cursor.last = Some(last);
        self.cursor.next = next;
        Ok(())
    }

    /// The journal was read up to `next`, and all that was published below it has been written.
    pub fn advance(&mut self, next: Position) {
        self.cursor.next = self.cursor.next.max(next);
    }

    /// Makes the cursor durable, if it has moved. Not needed for exactness: it spares reading the
    /// journal again, and lets the journal's floor rise.
    ///
    /// # Errors
    /// The disk failed; the cursor is the old one or the new one.
    pub fn save(&mut self) -> Result<(), Error> {
        if self.failed {
            return Err(Error::Failed { path: self.dir.join(FILE) });
        }
        if self.cursor == self.saved { Ok(()) } else { self.store_cursor() }
    }

    fn store_cursor(&mut self) -> Result<(), Error> {
        let path = self.dir.join(CURSOR_FILE);
        // It also makes the names durable, the outbox file's too.
        state::disk::replace_file(&*self.disk, &path, &self.cursor.encode())
            .map_err(io_error("save the cursor", &path))?;
        self.saved = self.cursor.clone();
        Ok(())
    }
}

/// A cursor of this journal at `next`, for a directory that has no outbox file yet: it begins a new
/// one there.
pub(crate) fn cursor_at(journal: [u8; 16], next: Position) -> Vec<u8> {
    Cursor { next, ..Cursor::new(journal) }.encode()
}

/// Where the saved cursor stands: what a start may read again. `None` if there is none.
pub(crate) fn saved(
    disk: &dyn Disk,
    dir: &Path,
    journal: [u8; 16],
) -> Result<Option<Position>, Error> {
    let known = cursor::load(disk, &dir.join(CURSOR_FILE))?;
    Ok(known.filter(|cursor| cursor.journal == journal).map(|cursor| cursor.next))
}

fn io_error(tried: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { tried, path: path.to_owned(), source }
}

/// Its cursor stays where it is until the new one replaces it; then nothing remembers it.
fn move_aside(disk: &dyn Disk, dir: &Path, other: &Cursor) -> Result<(), Error> {
    let path = dir.join(FILE);
    if !disk.exists(&path) {
        return Ok(());
    }
    let journal = u128::from_be_bytes(other.journal);
    let aside = dir.join(format!("outbox.{journal:032x}.ndjson"));
    disk.rename(&path, &aside).map_err(io_error("move aside", &path))?;
    disk.sync_dir(dir).map_err(io_error("sync the directory of", &path))
}

#[cfg(test)]
mod tests;
