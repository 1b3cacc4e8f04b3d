//! From the journal into the outbox: reads on from the outbox's cursor and hands it what was
//! published, a bounded stretch at a time.
//!
//! What is *not* here: the thread that repeats this, and when it saves the cursor or opens the
//! outbox again after an error.
//!
//! Invariant: the cursor moves over a record only when that record, if it was published, is durable
//! in the outbox.

use super::outbox::{self, Outbox};
use crate::record::tag;
use actors::Position;
use state::frame::{Frame, Record, WayKind};
use state::journal::{self, Reader};
use std::sync::Arc;

/// Why nothing more goes out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal can't be read.
    #[error("could not read what was published: {0}")]
    Journal(#[from] journal::Error),
    /// The outbox can't be written.
    #[error(transparent)]
    Outbox(#[from] outbox::Error),
}

/// Takes the outbox on by about `bytes_max` of journal. Says whether there was anything to read; if
/// not, it has caught up with what is durable.
///
/// An outbox that has never held a line begins where the journal does. One that has, and whose
/// cursor lies below the journal's floor, has lost lines that nobody can write again.
///
/// # Errors
/// The journal can't be read, or the outbox not be written and has to be opened again.
pub fn step(reader: &Reader, outbox: &mut Outbox, bytes_max: usize) -> Result<bool, Error> {
    if outbox.is_new() {
        outbox.advance(reader.first());
    }
    let from = outbox.cursor();
    let frames = reader.read(from, bytes_max)?;
    let Some(last) = frames.last() else { return Ok(false) };
    let records = published(&frames, from);
    let events: Vec<(Position, &[u8])> =
        records.map(|record| (record.position, record.payload)).collect();
    outbox.write(&events)?;
    outbox.advance(last.end());
    Ok(true)
}

fn published(frames: &[Arc<Frame>], from: Position) -> impl Iterator<Item = Record<'_>> {
    // Only what entities have caused is ever published: frames by other ways are not looked into.
    let ours = frames.iter().filter(|frame| frame.way_kind() == WayKind::Shard);
    let records = ours.flat_map(|frame| frame.records());
    records.filter(move |record| record.position >= from && record.tag == tag::PUBLISHED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::{KindId, Timestamp};
    use state::disk::{Disk, FaultyDisk, read_file};
    use state::frame::{Draft, Mark, RecordHead, Way};
    use state::journal::{Journal, Options};
    use std::path::Path;

    const DIR: &str = "/data";
    const UUID: [u8; 16] = [7; 16];

    fn open(disk: &FaultyDisk) -> (Journal, Outbox) {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        shared.create_dir_all(Path::new(DIR)).unwrap();
        let outbox = Outbox::open(shared.clone(), Path::new(DIR), UUID).unwrap();
        let vouched = [("the outbox".to_owned(), outbox.cursor())];
        let options =
            Options { segment_bytes: 8 << 10, disk_reserve_bytes: 0, ..Options::new(UUID) };
        let dir = Path::new(DIR).join("journal");
        (Journal::open(shared, &dir, options, &vouched).unwrap().0, outbox)
    }

    /// The text of the nth effect, if it is a publication: two of three are.
    fn text(nth: u64) -> Option<String> {
        let pad = "x".repeat((nth * 37 % 400) as usize);
        (!nth.is_multiple_of(3)).then(|| format!(r#"{{"id":"{nth}","data":"{pad}"}}"#))
    }

    /// A frame of what a shard's effects `from..to` are, and one from outside that looks alike.
    fn append(journal: &mut Journal, from: u64, to: u64) {
        let mut draft = Draft::new(Way::new(WayKind::Shard, "0"));
        for number in from..to {
            draft.begin_group(Mark::Number { number, index: 0 });
            let tag = if text(number).is_some() { tag::PUBLISHED } else { 2 };
            let text = text(number).unwrap_or_default();
            draft.push(RecordHead { tag, kind: KindId(0), depth: 1 }, "", text.as_bytes());
            draft.push(RecordHead { tag: 1, kind: KindId(0), depth: 1 }, "u-1", b"heard");
        }
        journal.append(&draft, Timestamp(from as i64)).unwrap();
        let mut draft = Draft::new(Way::new(WayKind::Producer, "p"));
        draft.begin_group(Mark::Number { number: from, index: 0 });
        draft.push(RecordHead { tag: 0, kind: KindId(0), depth: 0 }, "", br#"{"id":"outside"}"#);
        journal.append(&draft, Timestamp(from as i64)).unwrap();
    }

    /// What was published, by a plain read of the whole journal: the effects' numbers.
    fn numbers(lines: &[u8]) -> Vec<u64> {
        let lines = std::str::from_utf8(lines).unwrap().lines();
        lines
            .map(|line| {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                let number = value["id"].as_str().unwrap().parse().unwrap();
                assert!(line.starts_with(text(number).unwrap().trim_end_matches('}')));
                number
            })
            .collect()
    }

    fn outbox_file(disk: &FaultyDisk) -> Vec<u8> {
        read_file(disk, &Path::new(DIR).join(outbox::FILE)).unwrap()
    }

    #[test]
    fn what_was_published_goes_out_and_nothing_else() {
        for bytes_max in [0, 500, 1 << 20] {
            let disk = FaultyDisk::new(1);
            let (mut journal, mut outbox) = open(&disk);
            let reader = journal.reader();
            for from in (0..60).step_by(6) {
                append(&mut journal, from, from + 6);
                assert!(!step(&reader, &mut outbox, bytes_max).unwrap(), "not durable yet");
                journal.commit().unwrap();
                while step(&reader, &mut outbox, bytes_max).unwrap() {}
                assert_eq!(outbox.cursor(), reader.durable());
            }
            let want: Vec<u64> = (0..60).filter(|nth| text(*nth).is_some()).collect();
            assert_eq!(numbers(&outbox_file(&disk)), want);
        }
    }

    #[test]
    fn journal_and_outbox_agree_after_every_crash() {
        for seed in 0..60 {
            let mut disk = FaultyDisk::new(seed);
            let mut appended = 0;
            for round in 0..6 {
                let (mut journal, mut outbox) = open(&disk);
                let reader = journal.reader();
                // The shard's effects follow from durable records: after a crash they come again.
                for from in (0..appended + 10).step_by(5) {
                    append(&mut journal, from, from + 5);
                }
                appended += 10;
                journal.commit().unwrap();
                disk.crash_after((seed * 7 + round * 3) % 11);
                while step(&reader, &mut outbox, 700).unwrap_or(false) {}
                let _ = outbox.save();
                disk = disk.crash();
            }
            let (journal, mut outbox) = open(&disk);
            while step(&journal.reader(), &mut outbox, 700).unwrap() {}
            let want: Vec<u64> = (0..appended).filter(|nth| text(*nth).is_some()).collect();
            assert_eq!(numbers(&outbox_file(&disk)), want, "seed {seed}");
        }
    }
}
