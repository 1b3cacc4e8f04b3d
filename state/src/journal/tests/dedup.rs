//! What comes again is dropped, and the answers are those of a naive model.

use super::history::Chance;
use super::*;
use crate::frame::WayKind;
use std::collections::BTreeSet;

const DAY_MS: i64 = 24 * 3_600_000;

fn producer(name: &str, events: &[(u64, u64)]) -> Draft {
    let mut draft = Draft::new(Way::new(WayKind::Producer, name));
    draft.contiguous = true;
    for (number, hash) in events {
        draft.begin_hashed_group(Mark::Number { number: *number, index: 0 }, *hash);
        draft.push(RecordHead { tag: 0, kind: KindId(0), depth: 0 }, "", b"{}");
    }
    draft
}

fn ids(ids: &[u128]) -> Draft {
    let mut draft = Draft::new(Way::new(WayKind::Unnumbered, ""));
    for id in ids {
        draft.begin_group(Mark::Id(*id));
        draft.push(RecordHead { tag: 0, kind: KindId(0), depth: 0 }, "", b"{}");
    }
    draft
}

#[test]
fn a_producers_numbers_follow_on() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    let at = Timestamp(1);
    let mut append = |events: &[(u64, u64)]| journal.append(&producer("shop", events), at);
    assert!(matches!(append(&[(1, 7)]), Err(AppendError::SequenceGap { next: 0 })));
    assert_eq!(append(&[(0, 5), (1, 6), (2, 7)]).unwrap().end, 3);
    assert!(matches!(append(&[(4, 9)]), Err(AppendError::SequenceGap { next: 3 })));
    assert!(matches!(append(&[(2, 8)]), Err(AppendError::SequenceMismatch { number: 2 })));
    assert!(matches!(append(&[(3, 8), (5, 9)]), Err(AppendError::SequenceGap { next: 4 })));
    let again = append(&[(1, 6), (2, 7), (3, 8)]).unwrap();
    assert_eq!((again.base, again.end, again.duplicates), (3, 4, vec![0, 1]));
    assert_eq!(again.durable_before, 3);
    let all_again = append(&[(0, 5), (3, 8)]).unwrap();
    assert_eq!((all_again.base, all_again.end, all_again.duplicates), (4, 4, vec![0, 1]));
    assert_eq!(all_again.durable_before, 4);
    journal.commit().unwrap();
    drop(journal);
    let mut journal = opened(&disk);
    assert_eq!(journal.origins().next(&Way::new(WayKind::Producer, "shop")), 4);
    let refused = journal.append(&producer("shop", &[(3, 9)]), at);
    assert!(matches!(refused, Err(AppendError::SequenceMismatch { number: 3 })));
}

#[test]
fn there_are_at_most_so_many_producers() {
    let disk = Arc::new(FaultyDisk::new(1));
    let options = Options { producers_max: 2, ..options() };
    let (mut journal, _) = Journal::open(disk, Path::new(DIR), options, &[]).unwrap();
    for (name, taken) in [("a", true), ("b", true), ("c", false), ("a", true)] {
        let next = journal.origins().next(&Way::new(WayKind::Producer, name));
        let receipt = journal.append(&producer(name, &[(next, 1)]), Timestamp(1));
        assert_eq!(receipt.is_ok(), taken, "{name}: {receipt:?}");
    }
}

#[test]
fn a_repeated_id_is_answered_when_its_original_is_durable() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    let at = Timestamp(1);
    let first = journal.append(&ids(&[1, 2, 1]), at).unwrap();
    assert_eq!((first.end, first.duplicates, first.durable_before), (2, vec![2], 2));
    let again = journal.append(&ids(&[2, 3]), at).unwrap();
    assert_eq!((again.base, again.end, again.duplicates), (2, 3, vec![0]));
    assert!(again.durable_before >= 2);
    journal.commit().unwrap();
    let again = journal.append(&ids(&[3]), at).unwrap();
    assert_eq!((again.end, again.duplicates), (3, vec![0]));
    assert!(again.durable_before <= journal.durable());
}

#[test]
fn ids_are_forgotten_after_a_day_and_remembered_over_starts() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    journal.append(&ids(&[1]), Timestamp(0)).unwrap();
    journal.append(&ids(&[2]), Timestamp(DAY_MS / 2)).unwrap();
    journal.commit().unwrap();
    for _ in 0..60 {
        journal.append(&command(1_000), Timestamp(DAY_MS / 2)).unwrap();
        journal.commit().unwrap();
    }
    journal.save_origins().unwrap();
    drop(journal);
    // Once from the files, once gathered anew from the segments, once with the segments gone.
    for case in 0..3 {
        let (mut journal, report) = open(&disk).unwrap();
        assert_eq!(report.ids, 2, "case {case}");
        assert_eq!(report.ids_gathered > 0, case == 1, "case {case}");
        let known = |journal: &mut Journal, id, ms| {
            !journal.append(&ids(&[id]), Timestamp(ms)).unwrap().duplicates.is_empty()
        };
        assert!(known(&mut journal, 1, DAY_MS - 1), "case {case}");
        assert!(known(&mut journal, 2, DAY_MS - 1), "case {case}");
        match case {
            0 => disk.remove_file(&Path::new(DIR).join("00000000000000000000.ids")).unwrap(),
            1 => assert!(journal.drop_below(u64::MAX).unwrap() > 0),
            _ => {
                assert!(!known(&mut journal, 1, DAY_MS + 120_000));
                assert!(known(&mut journal, 2, DAY_MS + 120_000));
                // The file without a segment stays until its last id is forgotten.
                let orphan = Path::new(DIR).join("00000000000000000000.ids");
                journal.drop_below(0).unwrap();
                assert!(disk.exists(&orphan));
                journal.append(&command(1), Timestamp(DAY_MS * 2)).unwrap();
                journal.drop_below(0).unwrap();
                assert!(!disk.exists(&orphan));
            }
        }
    }
}

#[test]
fn an_id_that_came_again_after_it_was_forgotten_is_known_after_a_restart() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    let is_known = |journal: &mut Journal, id, ms| {
        let receipt = journal.append(&ids(&[id]), Timestamp(ms)).unwrap();
        journal.commit().unwrap();
        !receipt.duplicates.is_empty()
    };
    assert!(!is_known(&mut journal, 1, 0));
    assert!(!is_known(&mut journal, 1, 2 * DAY_MS), "it was forgotten");
    drop(journal);
    let mut journal = opened(&disk);
    assert!(!is_known(&mut journal, 2, 2 * DAY_MS + 60_000), "time goes on");
    assert!(is_known(&mut journal, 1, 2 * DAY_MS + 60_000), "it came a minute ago");
    assert!(is_known(&mut journal, 2, 2 * DAY_MS + 60_000));
}

/// Everything the journal should answer, kept in sets that only grow.
#[derive(Default)]
struct Model {
    numbers: BTreeSet<(u64, u16)>,
    ids: BTreeSet<u128>,
    next: Position,
}

fn random_draft(chance: &mut Chance, numbered: bool, model: &Model) -> Draft {
    let way = if numbered { WayKind::Shard } else { WayKind::Unnumbered };
    let mut draft = Draft::new(Way::new(way, "1"));
    let far = model.numbers.last().map_or(0, |(number, _)| *number);
    let mut number = far.saturating_sub(chance.below(4));
    for _ in 0..chance.below(6) {
        if numbered {
            number += chance.below(2);
            draft.begin_group(Mark::Number { number, index: chance.below(3) as u16 });
        } else {
            draft.begin_group(Mark::Id(u128::from(chance.below(200)) << 64));
        }
        for _ in 0..chance.below(3) {
            draft.push(RecordHead { tag: 1, kind: KindId(0), depth: 0 }, "k", b"payload");
        }
    }
    draft
}

impl Model {
    /// Which groups are duplicates, and where the frame ends.
    fn expect(&mut self, draft: &Draft) -> (Vec<u32>, Position) {
        let (mut duplicates, mut records, mut kept) = (Vec::new(), 0, false);
        for (index, group) in draft.groups.iter().enumerate() {
            let is_new = match group.mark {
                Mark::Number { number, index } => {
                    let beyond = self.numbers.range((number, index)..).next().is_none();
                    beyond && self.numbers.insert((number, index))
                }
                Mark::Id(id) => self.ids.insert(id),
                Mark::None => true,
            };
            if is_new {
                records += u64::from(group.records);
                kept = true;
            } else {
                duplicates.push(index as u32);
            }
        }
        self.next += if kept { records.max(1) } else { 0 };
        (duplicates, self.next)
    }
}

#[test]
fn the_journal_drops_what_a_naive_model_drops() {
    for seed in 0..40 {
        let mut chance = Chance::new(seed);
        let disk = FaultyDisk::new(seed);
        let mut journal = opened(&disk);
        let mut model = Model::default();
        for step in 0..300 {
            let numbered = chance.below(2) == 0;
            let draft = random_draft(&mut chance, numbered, &model);
            let receipt = journal.append(&draft, Timestamp(1)).unwrap();
            let answer = (receipt.duplicates, receipt.end);
            assert_eq!(answer, model.expect(&draft), "seed {seed}, step {step}");
            assert!(receipt.durable_before <= receipt.end, "seed {seed}, step {step}");
            match chance.below(30) {
                0 => {
                    journal.save_origins().unwrap();
                    journal = opened(&disk);
                }
                1..10 => drop(journal.commit().unwrap()),
                _ => {}
            }
        }
        journal.commit().unwrap();
        let (mut groups, reader) = (0, journal.reader());
        for frame in read_all(&reader, 0, 10_000) {
            groups += frame.groups().count();
        }
        assert_eq!(groups, model.numbers.len() + model.ids.len(), "seed {seed}");
    }
}
