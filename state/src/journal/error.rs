//! What can go wrong with the journal, in words that name the file, the offset and the position.

use crate::frame::header::Fault;
use actors::Position;
use std::io;
use std::path::PathBuf;

/// The journal cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk failed while the journal was opened or read.
    #[error("could not {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// What was known to be durable is not as it was written.
    #[error(
        "journal file {} is damaged at offset {offset}, position {position}: {fault}; \
         {voucher} vouches for the journal up to position {vouched}",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// The position that should stand there.
        position: Position,
        /// What is wrong.
        fault: Fault,
        /// Who knows that there was more.
        voucher: String,
        /// Up to which position, exclusive.
        vouched: Position,
    },
    /// The journal's file or a part of it was written by a newer program.
    #[error(
        "journal file {} holds format version {version}, which this program does not know",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u8,
    },
    /// A file of another journal lies in this one's directory.
    #[error("{} belongs to another journal", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The files that hold a position are not there.
    #[error(
        "the journal in {} begins at position {found}, but {voucher} needs it from {needed} on",
        dir.display()
    )]
    Missing {
        /// The journal's directory.
        dir: PathBuf,
        /// The first position there is.
        found: Position,
        /// Who needs more.
        voucher: String,
        /// From which position.
        needed: Position,
    },
    /// There is no journal, but somebody knows that there was one.
    #[error(
        "there is no journal in {}, but {voucher} vouches for one up to position {vouched}",
        dir.display()
    )]
    Empty {
        /// The journal's directory.
        dir: PathBuf,
        /// Who knows that there was more.
        voucher: String,
        /// Up to which position, exclusive.
        vouched: Position,
    },
    /// A reader asks for what was removed below the journal's floor.
    #[error("position {position} lies below the journal's floor, {floor}")]
    BelowFloor {
        /// What was asked for.
        position: Position,
        /// The first position there is.
        floor: Position,
    },
    /// A write or a sync inside a segment has failed: nobody knows what is on the disk.
    #[error("could not write journal file {} at position {position}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The first position that is not known to be durable.
        position: Position,
        /// Why it failed.
        source: io::Error,
    },
    /// A write has failed before: the journal takes nothing more until it is opened again.
    #[error("the journal takes nothing more: an earlier write has failed")]
    Failed,
}

impl Error {
    pub(crate) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

/// A draft was not appended; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// A contiguous draft leaves out numbers.
    #[error("the sequence has a gap: {next} is next")]
    SequenceGap {
        /// The number that would follow on.
        next: u64,
    },
    /// Whoever handed it in has taken it back.
    #[error("it was withdrawn")]
    Withdrawn,
    /// The number came before, with another event.
    #[error("number {number} came before with another event")]
    SequenceMismatch {
        /// That number.
        number: u64,
    },
    /// A new producer, and there are as many as there may be.
    #[error("there are {max} producers, and no more are allowed")]
    TooManyProducers {
        /// How many there may be.
        max: usize,
    },
    /// There is no segment left for such a draft. It goes on when there is space.
    #[error("no space for the journal: {0}")]
    DiskFull(String),
    /// The frame would not fit into a segment.
    #[error("a frame of {bytes} bytes is too large, {bytes_max} are allowed")]
    TooLarge {
        /// How large it would be.
        bytes: usize,
        /// How large it may be.
        bytes_max: usize,
    },
    /// The journal has failed.
    #[error(transparent)]
    Failed(#[from] Error),
}
