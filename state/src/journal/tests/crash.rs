//! The power is cut after every single change that a history makes to the disk.

use super::history::{History, Told, assert_holds};
use super::*;

/// Runs a history into a crash, opens what is left, checks it, runs on, and checks again.
fn crash_at(seed: u64, frames: usize, writes: u64) {
    let case = format!("seed {seed}, crash after {writes} changes");
    let disk = FaultyDisk::new(seed ^ writes << 20);
    disk.crash_after(writes);
    let mut told = Told::default();
    let mut history = History::new(seed);
    if let Ok((mut journal, _)) = open(&disk) {
        history.run(&mut journal, frames, &mut told);
    }
    let left = disk.crash();
    let vouched = [("the test".to_owned(), told.committed)];
    let again = Journal::open(Arc::new(left.clone()), Path::new(DIR), options(), &vouched);
    let (journal, report) = again.unwrap_or_else(|error| panic!("{case}: {error}"));
    assert!(report.scanned_from <= told.committed, "{case}: {report:?}");
    assert_holds(&journal, &told, &case);
    let kept = journal.next();
    drop(journal);

    // What was found is durable now: a second crash takes nothing of it away, and the journal goes
    // on.
    let left = left.crash();
    let mut journal = opened(&left);
    assert_eq!(journal.next(), kept, "{case}: second start");
    told.frames.retain(|(end, _)| *end <= kept);
    let reaches = told.frames.len() + 20;
    let mut more = History::new(seed + 1_000);
    more.run_again(&mut journal, reaches, &mut told);
    let journal = opened(&left.crash());
    assert_holds(&journal, &told, &case);
}

#[test]
fn nothing_committed_is_lost_whenever_the_power_is_cut() {
    const FRAMES: usize = 500;
    for seed in 0..2 {
        let disk = FaultyDisk::new(seed);
        let mut told = Told::default();
        History::new(seed).run(&mut opened(&disk), FRAMES, &mut told);
        let segments = disk.list(Path::new(DIR)).unwrap();
        let segments = segments.iter().filter(|name| Segment::base_of(name).is_some()).count();
        assert!(told.frames.len() >= FRAMES && segments > 10 && told.cut > 0, "a dull history");
        for writes in 0..=disk.mutations() {
            crash_at(seed, FRAMES, writes);
        }
    }
}

#[test]
fn short_reads_change_nothing() {
    let disk = FaultyDisk::new(5);
    let mut told = Told::default();
    History::new(5).run(&mut opened(&disk), 100, &mut told);
    disk.short_reads(true);
    assert_holds(&opened(&disk), &told, "short reads");
}

#[test]
fn a_failed_read_is_told_and_does_no_harm() {
    let disk = FaultyDisk::new(6);
    let mut told = Told::default();
    History::new(6).run(&mut opened(&disk), 100, &mut told);
    for nth in 0.. {
        let disk = disk.copy();
        disk.fail_read(nth);
        let Err(error) = open(&disk) else {
            assert!(nth > 10, "only {nth} reads");
            break;
        };
        assert!(matches!(error, Error::Io { .. }), "read {nth}: {error}");
    }
    let journal = opened(&disk);
    assert_holds(&journal, &told, "after failed reads");
    disk.fail_read(0);
    assert!(matches!(journal.reader().read(0, 1), Err(Error::Io { .. })));
    assert!(journal.reader().read(0, 1).is_ok());
}

/// A disk with a journal whose ids files are not synced, as they never are while segments stay.
fn unsynced_ids(seed: u64) -> FaultyDisk {
    let disk = FaultyDisk::new(seed);
    let mut told = Told::default();
    let mut journal = opened(&disk);
    History::new(7).run(&mut journal, 300, &mut told);
    for _ in 0..2 {
        journal.save_origins().unwrap();
    }
    disk
}

#[test]
fn a_crash_while_segments_are_removed_leaves_no_hole_and_no_id_forgotten() {
    let (journal, before) = open(&unsynced_ids(0)).unwrap();
    assert!(before.ids > 50, "{} ids", before.ids);
    let (frames, end) = (read_all(&journal.reader(), 0, 20_000), journal.next());
    for writes in 0.. {
        let disk = unsynced_ids(writes);
        disk.crash_after(writes);
        let dropped = open(&disk).is_ok_and(|(mut journal, _)| journal.drop_below(end).is_ok());
        let (journal, report) = open(&disk.crash()).unwrap();
        assert_eq!((report.next, report.ids), (end, before.ids), "crash after {writes}");
        let first = journal.reader().first();
        let left = read_all(&journal.reader(), first, 20_000);
        let expected = frames.iter().filter(|frame| frame.base() >= first);
        assert!(left.iter().map(|f| f.bytes()).eq(expected.map(|f| f.bytes())), "after {writes}");
        if dropped {
            assert!(first > end / 2 && writes > 20, "first {first} of {end}, {writes} changes");
            break;
        }
    }
}
