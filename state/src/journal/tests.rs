//! What the journal promises, apart from crashes (those are in `crash`).

use super::*;
use crate::disk::{Disk, FaultyDisk};
use crate::frame::{Draft, Frame, Mark, RecordHead, Way};
use actors::KindId;
use std::path::Path;

mod copy;
mod crash;
mod damage;
mod dedup;
mod history;
mod space;

pub(super) const DIR: &str = "/data/journal";

pub(super) fn options() -> Options {
    Options {
        segment_bytes: 16 << 10,
        recent_bytes_max: 4 << 10,
        ids_max: 1_000,
        disk_reserve_bytes: 0,
        ..Options::new([7; 16])
    }
}

pub(super) fn open(disk: &FaultyDisk) -> Result<(Journal, Opened), Error> {
    Journal::open(Arc::new(disk.clone()), Path::new(DIR), options(), &[])
}

pub(super) fn opened(disk: &FaultyDisk) -> Journal {
    open(disk).unwrap().0
}

/// A draft of the engine's, with one record of so many bytes.
pub(super) fn command(bytes: usize) -> Draft {
    let mut draft = Draft::new(Way::engine());
    draft.begin_group(Mark::None);
    draft.push(RecordHead { tag: 3, kind: KindId(0), depth: 0 }, "u-1", &vec![b'x'; bytes]);
    draft
}

/// All frames from `from` on, by a cursor that asks for so many bytes at once.
pub(super) fn read_all(reader: &Reader, from: Position, bytes_max: usize) -> Vec<Arc<Frame>> {
    let mut frames: Vec<Arc<Frame>> = Vec::new();
    loop {
        let next = frames.last().map_or(from, |frame| frame.end());
        let more = reader.read(next, bytes_max).unwrap();
        if more.is_empty() {
            assert_eq!(next, reader.durable());
            return frames;
        }
        frames.extend(more);
    }
}

#[test]
fn what_is_committed_is_read_back_from_memory_and_from_files() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    let reader = journal.reader();
    for size in 0..300 {
        let receipt = journal.append(&command(size * 3), Timestamp(1_000 + size as i64)).unwrap();
        assert_eq!((receipt.base, receipt.end), (size as u64, size as u64 + 1));
        assert!(reader.read(receipt.base, 1).unwrap().is_empty(), "seen before it is durable");
        if size % 7 == 0 {
            assert_eq!(journal.commit().unwrap(), receipt.end);
        }
    }
    journal.commit().unwrap();
    assert!(disk.list(Path::new(DIR)).unwrap().len() > 8, "several segments");
    for bytes_max in [0, 1_000, 100_000] {
        let frames = read_all(&reader, 0, bytes_max);
        assert_eq!(frames.len(), 300);
        for (position, frame) in frames.iter().enumerate() {
            assert_eq!((frame.base(), frame.end()), (position as u64, position as u64 + 1));
            assert_eq!(frame.record(0).payload.len(), position * 3);
            assert_eq!(frame.time(), Timestamp(1_000 + position as i64));
        }
    }
    let (frame, index) = reader.record(17).unwrap().unwrap();
    assert_eq!((frame.base(), index), (17, 0));
    assert!(reader.record(300).unwrap().is_none());
    drop(journal);
    let again = opened(&disk).reader();
    assert_eq!(read_all(&again, 5, 10_000).len(), 295);
}

#[test]
fn record_time_never_goes_backwards() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    for (now, time, jumps) in
        [(5_000, 5_000, 0), (4_500, 5_000, 0), (3_000, 5_000, 1), (6_000, 6_000, 1)]
    {
        let receipt = journal.append(&command(1), Timestamp(now)).unwrap();
        journal.commit().unwrap();
        let frame = journal.reader().record(receipt.base).unwrap().unwrap().0;
        assert_eq!((frame.time().0, journal.clock_jumps()), (time, jumps));
    }
    drop(journal);
    let mut journal = opened(&disk);
    journal.append(&command(1), Timestamp(1)).unwrap();
    assert_eq!(journal.last_time(), Timestamp(6_000));
}

#[test]
fn a_seal_vouches_for_the_last_frame_and_comes_once() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    journal.seal(Timestamp(1)).unwrap();
    assert_eq!(disk.list(Path::new(DIR)).unwrap().len(), 0, "nothing to vouch for");
    journal.append(&command(1), Timestamp(1)).unwrap();
    for _ in 0..3 {
        journal.seal(Timestamp(2)).unwrap();
    }
    drop(journal);
    for frames in [2, 2] {
        let (mut journal, report) = open(&disk).unwrap();
        assert_eq!((report.frames, report.next), (frames, 1));
        journal.seal(Timestamp(3)).unwrap();
    }
    let mut journal = opened(&disk);
    journal.append(&command(1), Timestamp(1)).unwrap();
    journal.commit().unwrap();
    assert_eq!(read_all(&journal.reader(), 0, 1).len(), 2);
}

#[test]
fn what_lies_below_the_floor_goes_and_the_rest_stays() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    for _ in 0..100 {
        journal.append(&command(1_000), Timestamp(1)).unwrap();
        journal.commit().unwrap();
    }
    assert_eq!(journal.drop_below(90).unwrap(), 0, "no origin table is saved");
    journal.save_origins().unwrap();
    let first = journal.drop_below(90).unwrap();
    assert!(first > 60 && first <= 90, "first {first}");
    let reader = journal.reader();
    assert!(
        matches!(reader.read(3, 1), Err(Error::BelowFloor { position: 3, floor }) if floor == first)
    );
    assert_eq!(read_all(&reader, first, 5_000).len() as u64, 100 - first);
    drop(journal);
    let (journal, report) = open(&disk).unwrap();
    assert_eq!((journal.next(), journal.reader().first()), (100, first));
    assert!(report.scanned_from > first);
}

#[test]
fn a_frame_larger_than_a_segment_is_refused_and_nothing_else() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    let refused = journal.append(&command(16 << 10), Timestamp(1));
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })), "{refused:?}");
    assert_eq!(journal.append(&command(15_000), Timestamp(1)).unwrap().end, 1);
    assert_eq!(journal.commit().unwrap(), 1);
}

#[test]
fn a_failed_write_or_sync_ends_the_journals_life() {
    let faults: [fn(&FaultyDisk); 2] = [|disk| disk.fail_write(0), |disk| disk.fail_sync(0)];
    for fault in faults {
        let disk = FaultyDisk::new(3);
        let mut journal = opened(&disk);
        journal.append(&command(1), Timestamp(1)).unwrap();
        journal.commit().unwrap();
        journal.append(&command(2), Timestamp(2)).unwrap();
        fault(&disk);
        let failed = journal.commit().unwrap_err();
        assert!(matches!(failed, Error::Write { position: 1, .. }), "{failed}");
        assert!(matches!(journal.commit(), Err(Error::Failed)));
        let refused = journal.append(&command(3), Timestamp(3));
        assert!(matches!(refused, Err(AppendError::Failed(Error::Failed))));
        assert_eq!(journal.reader().durable(), 1);
        // Opened again, it goes on from what is there, and that is durable now.
        let mut again = opened(&disk);
        let kept = again.next();
        assert!(kept == 1 || kept == 2, "kept {kept}");
        let after_crash = opened(&disk.crash());
        assert_eq!(after_crash.next(), kept);
        assert!(again.append(&command(4), Timestamp(4)).is_ok());
    }
}
