//! Snapshots: everything a data directory needs to go on from a position, as one checksummed file.
//!
//! ```text
//! header   magic, format version, its length, journal, shards, position, first, replay from, time,
//!          kinds, CRC-32C of all that
//! parts    one after the other, as they lie in a data directory: an image of each shard, the
//!          journal's segments, its origin table, its ids, the cursors of sinks that tail
//! index    for each part: kind, number, name, offset, length, CRC-32C of each 64 KiB of it
//! trailer  where the index is, counts, the header's CRC, end magic, CRC-32C of index and trailer
//! ```
//!
//! All numbers are little endian. Magic, version, length and CRC of the header mean the same in
//! every version. Every byte is under a checksum, so damage is noticed and named by file and
//! offset. A file gets its name only after all of it was read back and checked. What is *not* here:
//! when one is taken, and what stands in a cursor.
//!
//! The invariant: an image's rows are no further than the journal's copy beside them, and the copy
//! begins no later than any of them has to be replayed from.

mod folder;
mod format;
mod read;
mod restore;
mod take;
mod write;

pub use folder::{Found, Newest, clean, copy, file_name, list, newest, prune};
pub use format::{Header, Part};
pub use read::Snapshot;
pub use restore::{Place, restore};
pub use take::{Cursor, Source, Taken, take};

use crate::{directory, image, journal, store};
use actors::Position;
use std::io;
use std::path::{Path, PathBuf};

/// The folder of snapshots in a data directory.
pub const FOLDER: &str = "snapshots";

/// Why a snapshot could not be taken, read or restored.
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
    /// It is another sort of file.
    #[error("{} is no snapshot", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// The bytes are not those that were written.
    #[error("snapshot {} is damaged at byte {offset}: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where the part begins that does not check.
        offset: u64,
        /// Which part.
        what: String,
    },
    /// A newer program wrote it.
    #[error(
        "snapshot {} has format version {found}, this program knows up to {known}",
        path.display()
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The version that stands there.
        found: u16,
        /// The newest version known here.
        known: u16,
    },
    /// The journal was cut above what a snapshot would need of it.
    #[error("the journal begins at position {first}, but {who} needs it from {needed} on")]
    Unreachable {
        /// Who needs more.
        who: String,
        /// From which position.
        needed: Position,
        /// The journal's first position.
        first: Position,
    },
    /// An image could not be written or read.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The store could not be read or made.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The data directory is no place for it.
    #[error(transparent)]
    Directory(#[from] directory::Error),
}

fn disk_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Disk { what, path, source }
}

#[cfg(test)]
mod tests;
