//! What lies behind the last good frame: a torn tail, which is cut, or damage, which is not.
//!
//! | at position p stands | and behind it, or elsewhere | then |
//! |---|---|---|
//! | no frame | nobody vouches beyond p | a torn tail: cut, with all behind it |
//! | no frame | somebody vouches beyond p | damage: start is refused |
//!
//! Whoever vouches is a later frame (its `durable_to`), the origin table's cut, or one of those the
//! caller names: an image, the store's ceiling, a sink's cursor. Frames that nobody vouches for may
//! be in the page cache and not on the disk, if an earlier sync failed; they are written again and
//! synced before anyone reads them.

use super::Error;
use super::reader::Shared;
use super::scan::Scan;
use super::segment::Segment;
use crate::disk::DiskFile;
use crate::frame::header::{Fault, Header, MAGIC, MAGIC_AT};
use actors::Position;
use std::io;
use std::sync::Arc;

const PIECE_BYTES: usize = 1 << 20;

/// Somebody who knows up to where the journal was durable, exclusive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Voucher {
    pub(crate) name: String,
    pub(crate) position: Position,
}

impl Voucher {
    fn raise(&mut self, position: Position, name: impl FnOnce() -> String) {
        if position > self.position {
            *self = Self { name: name(), position };
        }
    }
}

/// The highest of those that somebody outside the journal's frames vouches for.
pub(crate) fn highest(vouched_to: &[(String, Position)]) -> Voucher {
    let mut highest = Voucher::default();
    for (name, position) in vouched_to {
        highest.raise(*position, || name.clone());
    }
    highest
}

/// Cuts what lies behind the scanned frames, or refuses to. Returns how many bytes were cut.
pub(crate) fn cut(
    shared: &Shared,
    segments: &[Arc<Segment>],
    scan: &Scan,
    mut voucher: Voucher,
) -> Result<u64, Error> {
    let Some(tail) = segments.get(scan.tail) else {
        return refuse_if_short(shared, scan, None, &voucher).map(|()| 0);
    };
    let mut torn_bytes = 0;
    let mut torn = None;
    for (index, segment) in segments.iter().enumerate().skip(scan.tail) {
        let from = if index == scan.tail { scan.end.offset } else { 0 };
        let failed = |source| Error::io("read", &segment.path)(source);
        let file = shared.disk.open(&segment.path).map_err(failed)?;
        let bytes = rest(&*file, from).map_err(failed)?;
        torn_bytes += bytes.len() as u64;
        vouched_within(shared, segment, &bytes, &mut voucher);
        if index == scan.tail && !bytes.is_empty() {
            torn = Some((file, bytes.len()));
        }
    }
    refuse_if_short(shared, scan, Some(tail), &voucher)?;
    remove_behind(shared, &segments[scan.tail + 1..])?;
    if let Some((file, len)) = torn {
        let zeros = vec![0; len];
        let zeroed = file.write_all_at(&zeros, scan.end.offset).and_then(|()| file.sync_data());
        zeroed.map_err(Error::io("cut the torn tail of", &tail.path))?;
    }
    Ok(torn_bytes)
}

fn refuse_if_short(
    shared: &Shared,
    scan: &Scan,
    tail: Option<&Arc<Segment>>,
    voucher: &Voucher,
) -> Result<(), Error> {
    let position = scan.end.position;
    if voucher.position <= position {
        return Ok(());
    }
    let (voucher, vouched) = (voucher.name.clone(), voucher.position);
    Err(match tail {
        None => Error::Empty { dir: shared.dir.clone(), voucher, vouched },
        Some(tail) => Error::Damaged {
            path: tail.path.clone(),
            offset: scan.end.offset,
            position,
            fault: scan.fault.unwrap_or(Fault::Zeros),
            voucher,
            vouched,
        },
    })
}

/// What stands in a file from `from` on, up to its end if it is not all zeros.
pub(crate) fn rest(file: &dyn DiskFile, from: u64) -> io::Result<Vec<u8>> {
    let end = file.len()?;
    let piece_bytes = PIECE_BYTES.min(end.saturating_sub(from) as usize);
    let mut piece = vec![0; piece_bytes];
    let zeros = vec![0; piece_bytes];
    let mut offset = from;
    while offset < end {
        let len = piece_bytes.min((end - offset) as usize);
        file.read_exact_at(&mut piece[..len], offset)?;
        if piece[..len] != zeros[..len] {
            let mut bytes = vec![0; (end - offset) as usize];
            file.read_exact_at(&mut bytes, offset)?;
            // The zeros before it count: what is cut begins at `from`.
            let mut all = vec![0; (offset - from) as usize];
            all.append(&mut bytes);
            return Ok(all);
        }
        offset += len as u64;
    }
    Ok(Vec::new())
}

/// Looks for whole frames of this journal at any place in `bytes`, and takes down what they vouch
/// for.
pub(crate) fn vouched_within(
    shared: &Shared,
    segment: &Segment,
    bytes: &[u8],
    voucher: &mut Voucher,
) {
    let mut from = 0;
    while let Some(found) = find(&bytes[from..], MAGIC) {
        let at = from + found;
        from = at + 1;
        let Some(start) = at.checked_sub(MAGIC_AT) else { continue };
        let Ok(header) = Header::check(&bytes[start..]) else { continue };
        if header.uuid == shared.uuid() {
            let name = || {
                let file = segment.path.display();
                format!("a later frame in {file}, of position {},", header.base)
            };
            voucher.raise(header.durable_to, name);
        }
    }
}

fn find(bytes: &[u8], wanted: [u8; 4]) -> Option<usize> {
    let mut from = 0;
    loop {
        from += bytes.get(from..)?.iter().position(|byte| *byte == wanted[0])?;
        if bytes[from..].starts_with(&wanted) {
            return Some(from);
        }
        from += 1;
    }
}

fn remove_behind(shared: &Shared, segments: &[Arc<Segment>]) -> Result<(), Error> {
    for segment in segments.iter().rev() {
        shared.disk.remove_file(&segment.path).map_err(Error::io("remove", &segment.path))?;
        if shared.disk.exists(&segment.ids_path()) {
            let ids_path = segment.ids_path();
            shared.disk.remove_file(&ids_path).map_err(Error::io("remove", &ids_path))?;
        }
    }
    Ok(())
}

/// Writes again, and syncs, the frames that nobody vouches for. Returns how many bytes those were.
pub(crate) fn rewrite(
    shared: &Shared,
    segments: &[Arc<Segment>],
    scan: &Scan,
    durable: Position,
) -> Result<u64, Error> {
    let mut rewritten = 0;
    for (index, segment) in segments.iter().enumerate() {
        let here = scan.unvouched.iter();
        let mut here = here.filter(|frame| frame.segment == index && !frame.is_vouched(durable));
        let Some(first) = here.next() else { continue };
        let last = here.next_back().unwrap_or(first);
        let mut bytes = vec![0; (last.to - first.from) as usize];
        let mut again = || {
            let file = shared.disk.open(&segment.path)?;
            file.read_exact_at(&mut bytes, first.from)?;
            file.write_all_at(&bytes, first.from)?;
            file.sync_data()
        };
        again().map_err(Error::io("write again the end of", &segment.path))?;
        rewritten += last.to - first.from;
    }
    Ok(rewritten)
}
