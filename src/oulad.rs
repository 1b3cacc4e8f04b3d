//! The OULAD tables as domain events: a university's registrations, results and submissions, told
//! in the order of time.
//!
//! [`Import::open`] reads a folder of tables (`.csv` or `.csv.zst`) whole, maps every row it can,
//! and keeps the rows it can't as [`Reject`]s with file and line. The events come out in one order
//! that depends on nothing but the rows themselves (time, then what, then whom), so that an event's
//! number is the same in every run: that is what makes an import exactly once.
//!
//! What is *not* here: sending (`verbs::feed`), and what the events mean to anybody (`actors`).
//!
//! Invariant: the same rows give the same lines, byte for byte, however the tables are packed or
//! sorted.

mod event;
mod mapping;
#[cfg(test)]
mod recount;
mod tables;

use crate::feed::Reject;
use event::Event;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Why a folder could not be imported at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A table is not there, packed or plain.
    #[error("the folder {dir} has no {table}.csv and no {table}.csv.zst: is it an OULAD folder?")]
    MissingTable { dir: PathBuf, table: &'static str },
    /// A table is there, but can't be read.
    #[error("reading {path} failed: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// A table's first line does not name the columns we need.
    #[error("{path} has no column {column}: its first line must name the columns")]
    MissingColumn { path: PathBuf, column: &'static str },
    /// A table that is not CSV from its first line.
    #[error("reading the first line of {path} failed: {source}")]
    Header { path: PathBuf, source: csv::Error },
}

/// A folder's events, in their order, and the rows that are none.
pub(crate) struct Import {
    events: Vec<Event>,
    terms: mapping::Terms,
    /// Rows that could not be mapped, in the order of files and lines.
    pub(crate) rejects: Vec<Reject>,
    /// The name under which these tables are imported, unless the caller has a better one: it
    /// changes when their content does.
    pub(crate) producer: String,
}

impl Import {
    /// Reads and maps all tables of `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let mut rejects = Vec::new();
        let tables = tables::Tables::read(dir, &mut rejects)?;
        let producer = format!("oulad-{:016x}", tables.content_hash);
        let (terms, events) = mapping::map(tables, &mut rejects);
        Ok(Self { events, terms, rejects, producer })
    }

    /// How many events there are.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Each event as one line of CloudEvents JSON, without the line's end.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.events.iter().map(|event| event.line(&self.terms))
    }
}

/// Opens `dir/name.csv` or `dir/name.csv.zst`, and reads it whole. The tables are small (22 MB
/// unpacked, all of them).
fn read_table(dir: &Path, table: &'static str) -> Result<(PathBuf, Vec<u8>), Error> {
    let plain = dir.join(format!("{table}.csv"));
    match fs::read(&plain) {
        Ok(bytes) => return Ok((plain, bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Io { path: plain, source }),
    }
    let packed = dir.join(format!("{table}.csv.zst"));
    let file = match fs::File::open(&packed) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(Error::MissingTable { dir: dir.to_owned(), table });
        }
        Err(source) => return Err(Error::Io { path: packed, source }),
    };
    match zstd::decode_all(file) {
        Ok(bytes) => Ok((packed, bytes)),
        Err(source) => Err(Error::Io { path: packed, source }),
    }
}
