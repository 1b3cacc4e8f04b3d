//! What an outbox file holds, after whatever has happened: which of its lines are whole, and where
//! the next one belongs.
//!
//! | the file, against the cursor | what is read | next |
//! |---|---|---|
//! | at least as long, same line at the cursor's end | what lies behind | the cursor's, or more |
//! | empty, or newly made: it was moved away | nothing | the cursor's |
//! | shorter, or another line there | all of it | after its last line |
//! | there is no cursor | all of it | after its last line |
//!
//! Lines that lie behind the cursor were perhaps never synced: they are kept if they are whole, cut
//! from the first that is not, and written again, because after a failed sync a file reads as if
//! all were well.

use super::cursor::Cursor;
use super::line;
use actors::Position;
use state::disk::DiskFile;
use std::io;

const CHUNK_BYTES: usize = 1 << 20;

/// What was found.
pub(super) struct Scanned {
    /// Everything before this offset is known to be durable.
    start: u64,
    /// The whole lines end here.
    pub(super) end: u64,
    /// How long the file was.
    pub(super) file_bytes: u64,
    /// What follows is a line, but not a whole one of ours, or one out of order.
    pub(super) bad_line: bool,
    next: Position,
    last: Option<Position>,
}

impl Scanned {
    /// Where to go on.
    pub(super) fn cursor(&self, known: &Cursor) -> Cursor {
        Cursor { journal: known.journal, next: self.next, file_bytes: self.end, last: self.last }
    }
}

/// Looks at as much of the file as the cursor leaves open.
pub(super) fn scan(file: &dyn DiskFile, known: Option<&Cursor>) -> io::Result<Scanned> {
    let file_bytes = file.len()?;
    let mut scanned =
        Scanned { start: 0, end: 0, file_bytes, bad_line: false, next: 0, last: None };
    if let Some(cursor) = known {
        let fits = ends_as(file, file_bytes, cursor)?;
        if fits || file_bytes == 0 {
            scanned.start = if fits { cursor.file_bytes } else { 0 };
            scanned.next = cursor.next;
            scanned.last = cursor.last;
        }
    }
    scanned.end = scanned.start;
    read_lines(file, &mut scanned)?;
    Ok(scanned)
}

/// Takes away what is not a whole line, and makes what is durable.
pub(super) fn mend(file: &dyn DiskFile, scanned: &Scanned) -> io::Result<()> {
    if scanned.start == scanned.file_bytes {
        return Ok(());
    }
    file.set_len(scanned.end)?;
    let mut chunk = vec![0; CHUNK_BYTES.min((scanned.end - scanned.start) as usize)];
    let mut at = scanned.start;
    while at < scanned.end {
        let len = chunk.len().min((scanned.end - at) as usize);
        file.read_exact_at(&mut chunk[..len], at)?;
        file.write_all_at(&chunk[..len], at)?;
        at += len as u64;
    }
    file.sync_data()
}

/// Whether the line that ends where the cursor says is the one it says.
fn ends_as(file: &dyn DiskFile, file_bytes: u64, cursor: &Cursor) -> io::Result<bool> {
    if cursor.file_bytes == 0 {
        return Ok(true);
    }
    let end_bytes = line::END_BYTES + 1;
    if cursor.file_bytes > file_bytes || cursor.file_bytes < end_bytes {
        return Ok(false);
    }
    let mut end = [0; line::END_BYTES as usize + 1];
    file.read_exact_at(&mut end, cursor.file_bytes - end_bytes)?;
    let position = end.strip_suffix(b"\n").and_then(line::position_at_end);
    Ok(position.is_some() && position == cursor.last)
}

fn read_lines(file: &dyn DiskFile, scanned: &mut Scanned) -> io::Result<()> {
    let mut unread = Vec::new();
    let mut at = scanned.start;
    loop {
        let held = unread.len();
        unread.resize(held + CHUNK_BYTES, 0);
        let read = file.read_at(&mut unread[held..], at)?;
        unread.truncate(held + read);
        at += read as u64;
        let Some(whole) = accept(&unread, held, scanned) else {
            scanned.bad_line = true;
            return Ok(());
        };
        if read == 0 {
            return Ok(());
        }
        unread.drain(..whole);
    }
}

/// Takes the lines in `bytes` one by one, and says how many bytes they are; `None` when one is not
/// whole or out of order. No line ends in the first `held` bytes.
fn accept(bytes: &[u8], held: usize, scanned: &mut Scanned) -> Option<usize> {
    let (mut from, mut searched) = (0, held);
    while let Some(len) = bytes[searched..].iter().position(|byte| *byte == b'\n') {
        let end = searched + len;
        let position = line::position(&bytes[from..end])?;
        if scanned.last.is_some_and(|last| position <= last) {
            return None;
        }
        scanned.last = Some(position);
        scanned.next = scanned.next.max(position + 1);
        scanned.end += (end + 1 - from) as u64;
        (from, searched) = (end + 1, end + 1);
    }
    Some(from)
}
