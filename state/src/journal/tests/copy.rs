//! A copy of a journal is that journal up to where it was wanted, whatever frame that falls into.

use super::*;
use crate::frame::{Record, WayKind};
use crate::journal::rest::AtRest;

const COPY: &str = "/copy/journal";

/// What anybody sees of a record.
fn seen(record: &Record<'_>) -> (Position, i64, u8, String, Vec<u8>) {
    let Record { position, time, tag, key, payload, .. } = *record;
    (position, time.0, tag, key.to_owned(), payload.to_vec())
}

/// Frames by all sorts of ways, with groups of several records, seals in between.
fn history(journal: &mut Journal) {
    for number in 0..60_u64 {
        let (way, mark) = match number % 3 {
            0 => (Way::engine(), Mark::None),
            1 => (Way::new(WayKind::Producer, "shop"), Mark::Number { number, index: 0 }),
            _ => (Way::new(WayKind::Unnumbered, ""), Mark::Id(u128::from(number))),
        };
        let mut draft = Draft::new(way);
        for group in 0..=(number % 3) {
            let mark = match mark {
                Mark::None => Mark::None,
                Mark::Number { number, .. } => {
                    Mark::Number { number: number * 5 + group, index: 0 }
                }
                Mark::Id(id) => Mark::Id(id << 8 | u128::from(group)),
            };
            draft.begin_hashed_group(mark, if number % 3 == 1 { 1 + group } else { 0 });
            for record in 0..number % 4 {
                let head = RecordHead { tag: 1, kind: KindId(0), depth: 0 };
                let payload = vec![b'x'; (number * 13 + record) as usize];
                draft.push(head, &format!("u-{record}"), &payload);
            }
        }
        journal.append(&draft, Timestamp(1_000 + number as i64)).unwrap();
        if number % 7 == 0 {
            journal.seal(Timestamp(1_000 + number as i64)).unwrap();
        }
        journal.commit().unwrap();
    }
}

#[test]
fn a_copy_is_the_journal_up_to_any_position() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    history(&mut journal);
    let end = journal.next();
    let all: Vec<_> = read_all(&journal.reader(), 0, 10_000)
        .iter()
        .flat_map(|frame| frame.records().map(|record| seen(&record)).collect::<Vec<_>>())
        .collect();
    assert_eq!(all.len() as u64, end);
    drop(journal);
    for until in 0..=end + 1 {
        let into = Arc::new(FaultyDisk::new(2));
        let from: Arc<dyn Disk> = Arc::new(disk.clone());
        let at_rest = AtRest::open(from, Path::new(DIR), options().uuid).unwrap();
        let mut copy = Copy::begin(into.clone(), Path::new(COPY), (8 << 10, until)).unwrap();
        at_rest.frames(&mut |seen| copy.frame(seen.frame).unwrap()).unwrap();
        assert_eq!(copy.end().unwrap(), until.min(end));
        // What was copied is durable, and opens without a word of complaint.
        let (journal, report) =
            Journal::open(Arc::new(into.crash()), Path::new(COPY), options(), &[]).unwrap();
        assert_eq!((journal.next(), report.torn_bytes), (until.min(end), 0));
        let frames = read_all(&journal.reader(), 0, 10_000);
        let copied = frames.iter().flat_map(|frame| frame.records().map(|r| seen(&r)));
        assert!(copied.eq(all.iter().take(until as usize).cloned()), "until {until}");
    }
}
