//! Walking a segment's frames in order, reading the file by pieces.
//!
//! The start, the readers and the rebuilding of an `.ids` file all walk this way. A walk knows
//! which position, which journal and which predecessor the next frame must have, so bytes that an
//! earlier life of the file left behind are never taken for a frame of this one.

use crate::disk::DiskFile;
use crate::frame::header::{Fault, HEADER_BYTES, Header};
use crate::frame::view::View;
use std::io;
use std::sync::Arc;

use super::segment::Place;

const PIECE_BYTES: usize = 64 << 10;

/// Why a walk does not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nothing more was written to this segment.
    End,
    /// What stands here is not the frame that should.
    Fault(Fault),
    /// The disk failed.
    Io(io::Error),
}

pub(crate) struct Walk {
    file: Arc<dyn DiskFile>,
    uuid: [u8; 16],
    /// Where the next frame should begin.
    pub(crate) next: Place,
    /// The checksum of the frame before it, if that is known.
    pub(crate) predecessor: Option<u32>,
    /// The piece of the file in memory, and where in the file it begins.
    piece: Vec<u8>,
    piece_offset: u64,
}

impl Walk {
    pub(crate) fn new(file: Arc<dyn DiskFile>, uuid: [u8; 16], next: Place) -> Self {
        let (piece, piece_offset) = (Vec::new(), next.offset);
        Self { file, uuid, next, predecessor: None, piece, piece_offset }
    }

    /// The header of the next frame, and no more: nothing but its position is checked.
    pub(crate) fn peek(&mut self) -> Result<Header, Stop> {
        let fits = self.load(HEADER_BYTES).map_err(Stop::Io)?;
        let bytes = self.loaded();
        let header = match Header::peek(bytes) {
            Ok(header) if fits => header,
            Ok(_) => return Err(Stop::Fault(Fault::Cut)),
            Err(Fault::Zeros) => return Err(Stop::End),
            Err(fault) => return Err(Stop::Fault(fault)),
        };
        if header.base == self.next.position {
            Ok(header)
        } else {
            Err(Stop::Fault(Fault::Position(header.base)))
        }
    }

    /// Goes past a frame that was peeked at.
    pub(crate) fn skip(&mut self, header: &Header) {
        self.next.offset += header.frame_bytes() as u64;
        self.next.position = header.end();
        self.predecessor = Some(header.crc);
    }

    /// The next frame, every part of it checked, and where it begins.
    pub(crate) fn step(&mut self) -> Result<(View<'_>, Place), Stop> {
        let place = self.next;
        let header = self.check()?;
        self.skip(&header);
        let from = (place.offset - self.piece_offset) as usize;
        Ok((View::new(header, &self.piece[from..]), place))
    }

    fn check(&mut self) -> Result<Header, Stop> {
        self.load(HEADER_BYTES).map_err(Stop::Io)?;
        let claimed = match Header::claimed_bytes(self.loaded()) {
            Ok(claimed) => claimed,
            Err(Fault::Zeros) => return Err(Stop::End),
            Err(fault) => return Err(Stop::Fault(fault)),
        };
        self.load(claimed).map_err(Stop::Io)?;
        self.checked().map_err(Stop::Fault)
    }

    fn checked(&self) -> Result<Header, Fault> {
        let header = Header::check(self.loaded())?;
        if header.uuid != self.uuid {
            return Err(Fault::Journal);
        }
        if header.base != self.next.position {
            return Err(Fault::Position(header.base));
        }
        if self.predecessor.is_some_and(|crc| crc != header.predecessor) {
            return Err(Fault::Predecessor);
        }
        View::new(header, self.loaded()).check()?;
        Ok(header)
    }

    fn loaded(&self) -> &[u8] {
        let from = (self.next.offset - self.piece_offset) as usize;
        self.piece.get(from..).unwrap_or_default()
    }

    /// Has at least `len` bytes from the next frame's start on in memory; false if the file ends
    /// before that.
    fn load(&mut self, len: usize) -> io::Result<bool> {
        if self.loaded().len() >= len {
            return Ok(true);
        }
        let end = self.file.len()?;
        let left = end.saturating_sub(self.next.offset);
        let wanted = (len.max(PIECE_BYTES) as u64).min(left) as usize;
        let kept = self.loaded().len().min(wanted);
        let from = self.piece.len() - self.loaded().len();
        self.piece.copy_within(from..from + kept, 0);
        self.piece.resize(wanted, 0);
        self.piece_offset = self.next.offset;
        self.file.read_exact_at(&mut self.piece[kept..], self.next.offset + kept as u64)?;
        Ok(wanted >= len)
    }
}
