//! A full disk is met between segments and nowhere else, and it goes on when there is space.

use super::*;

fn fill(journal: &mut Journal, urgent: bool) -> (u32, AppendError) {
    let mut draft = command(1_000);
    draft.urgent = urgent;
    for taken in 0..1_000 {
        match journal.append(&draft, Timestamp(1)) {
            Ok(_) => drop(journal.commit().unwrap()),
            Err(error) => return (taken, error),
        }
    }
    panic!("the disk is never full");
}

#[test]
fn the_last_spare_is_for_what_is_urgent_and_it_goes_on_when_there_is_space() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    let segment = options().segment_bytes;
    disk.budget_bytes(Some(segment * 5 + 4_096));
    let (taken, error) = fill(&mut journal, false);
    assert!(matches!(error, AppendError::DiskFull(_)), "{error}");
    assert!(taken > 40, "{taken} frames");
    let end = journal.next();
    assert_eq!(journal.durable(), end);
    let (urgent, error) = fill(&mut journal, true);
    assert!(matches!(error, AppendError::DiskFull(_)), "{error}");
    assert!(urgent >= 14, "a whole segment is left for what is urgent, {urgent} frames");
    // Nothing was lost, and reading goes on.
    assert_eq!(read_all(&journal.reader(), 0, 10_000).len() as u64, journal.next());
    assert!(!journal.spares().prepare());

    disk.budget_bytes(Some(segment * 12));
    let (none, _) = fill(&mut journal, false);
    assert_eq!(none, 0, "only `prepare` finds out that there is space");
    assert!(journal.spares().prepare());
    assert!(fill(&mut journal, false).0 > 40);
    drop(journal);
    assert!(open(&disk).is_ok(), "a full disk does not keep the journal from opening");
}

#[test]
fn spares_are_used_again_after_a_start_and_unfinished_ones_removed() {
    let disk = FaultyDisk::new(1);
    let journal = opened(&disk);
    assert!(journal.spares().prepare());
    disk.create(&Path::new(DIR).join("spare.7.new")).unwrap();
    disk.create(&Path::new(DIR).join("spare.8")).unwrap();
    drop(journal);
    let mut journal = opened(&disk);
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), ["spare.0", "spare.1"]);
    journal.append(&command(1), Timestamp(1)).unwrap();
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), ["spare.0", "spare.1"], "appending is no IO");
    journal.commit().unwrap();
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), ["00000000000000000000.seg", "spare.1"]);
}

#[test]
fn the_reserve_is_left_free() {
    let disk = FaultyDisk::new(1);
    disk.budget_bytes(Some(100 << 10));
    let options = Options { disk_reserve_bytes: 90 << 10, ..options() };
    let disk_again = Arc::new(disk.clone());
    let (mut journal, _) = Journal::open(disk_again, Path::new(DIR), options, &[]).unwrap();
    let refused = journal.append(&command(1), Timestamp(1)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "no space for the journal: 102400 bytes are free; a segment takes 16384, and 92160 are \
         kept in reserve"
    );
    assert_eq!(disk.used_bytes(), 0);
}

#[test]
fn a_full_disk_while_the_origin_table_is_saved_does_no_harm() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    journal.append(&command(1), Timestamp(1)).unwrap();
    assert_eq!(journal.save_origins().unwrap(), 1);
    disk.budget_bytes(Some(disk.used_bytes() + 10));
    journal.append(&command(1), Timestamp(1)).unwrap();
    assert!(matches!(journal.save_origins(), Err(Error::Io { .. })));
    journal.append(&command(1), Timestamp(1)).unwrap();
    assert_eq!(journal.commit().unwrap(), 3);
    let (journal, report) = open(&disk).unwrap();
    assert_eq!((journal.next(), report.origin_files_damaged), (3, vec!["origins.0".to_owned()]));
}
