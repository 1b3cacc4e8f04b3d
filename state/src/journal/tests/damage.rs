//! Every byte of the last frames changed, every length cut: a torn frame is cut, damage is refused
//! by name.

use super::history::Chance;
use super::*;
use crate::frame::WayKind;

/// A journal of three commits, the last of two frames; and where each frame begins in the file, and
/// the last one ends.
fn sample(seal: bool) -> (FaultyDisk, Vec<u64>) {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    let mut places = Vec::new();
    for commit in [1, 1, 2] {
        for _ in 0..commit {
            places.push(journal.tail.offset * u64::from(journal.next > 0));
            journal.append(&command(100), Timestamp(1_000)).unwrap();
        }
        journal.commit().unwrap();
    }
    if seal {
        places.push(journal.tail.offset);
        journal.seal(Timestamp(1_000)).unwrap();
    }
    places.push(journal.tail.offset);
    (disk, places)
}

fn file() -> std::path::PathBuf {
    Path::new(DIR).join("00000000000000000000.seg")
}

/// The frame that holds a byte.
fn frame_of(places: &[u64], byte: u64) -> usize {
    places.partition_point(|place| *place <= byte) - 1
}

#[test]
fn a_changed_bit_in_what_nobody_vouches_for_costs_that_commit_only() {
    let (disk, places) = sample(false);
    // Frames 0 and 1 are vouched for by those behind them; frames 2 and 3 were one commit.
    for byte in places[0]..places[4] {
        for bit in [byte * 8, byte * 8 + 7] {
            let disk = disk.copy();
            disk.flip_bit(&file(), bit);
            let frame = frame_of(&places, byte);
            match open(&disk) {
                Ok((journal, report)) => {
                    assert!(frame >= 2, "bit {bit} of frame {frame} went unnoticed");
                    assert_eq!(journal.next(), frame as u64, "bit {bit}");
                    assert!(report.torn_bytes > 0, "bit {bit}");
                }
                Err(Error::Damaged { path, offset, position, vouched, voucher, .. }) => {
                    assert!(frame < 2, "bit {bit} of frame {frame} was refused");
                    assert_eq!((path, offset), (file(), places[frame]), "bit {bit}");
                    assert_eq!((position, vouched), (frame as u64, 2), "bit {bit}");
                    assert!(voucher.starts_with("a later frame in"), "bit {bit}: {voucher}");
                }
                Err(other) => panic!("bit {bit}: {other}"),
            }
        }
    }
}

#[test]
fn behind_a_seal_every_changed_bit_is_damage_but_the_seals_own() {
    let (disk, places) = sample(true);
    for byte in places[0]..places[5] {
        let disk = disk.copy();
        disk.flip_bit(&file(), byte * 8 + 3);
        match (frame_of(&places, byte), open(&disk)) {
            (4, Ok((journal, _))) => assert_eq!(journal.next(), 4),
            (frame @ 0..4, Err(Error::Damaged { position, vouched, .. })) => {
                assert_eq!((position, vouched), (frame as u64, 4), "byte {byte}");
            }
            (frame, other) => panic!("byte {byte}, frame {frame}: {:?}", other.map(|_| ())),
        }
    }
}

#[test]
fn a_file_cut_at_any_length_loses_what_was_cut_and_goes_on() {
    let (disk, places) = sample(false);
    for len in 0..=places[4] {
        let disk = disk.copy();
        disk.open(&file()).unwrap().set_len(len).unwrap();
        let whole = places[1..].iter().filter(|end| **end <= len).count();
        let (mut journal, _) = open(&disk).unwrap_or_else(|error| panic!("cut to {len}: {error}"));
        assert_eq!(journal.next(), whole as u64, "cut to {len}");
        journal.append(&command(7), Timestamp(2_000)).unwrap();
        journal.commit().unwrap();
        drop(journal);
        let journal = opened(&disk);
        assert_eq!(read_all(&journal.reader(), 0, 1).len(), whole + 1, "cut to {len}");
    }
}

#[test]
fn whoever_vouches_beyond_the_end_is_named() {
    let (disk, places) = sample(false);
    let vouched = |name: &str, position| {
        let vouched = [("an image".to_owned(), 1), (name.to_owned(), position)];
        Journal::open(Arc::new(disk.copy()), Path::new(DIR), options(), &vouched)
    };
    assert!(vouched("the store's ceiling", 4).is_ok());
    let text = vouched("the store's ceiling", 5).err().unwrap().to_string();
    let offset = places[4];
    assert_eq!(
        text,
        format!(
            "journal file /data/journal/00000000000000000000.seg is damaged at offset {offset}, \
             position 4: only zeros where a frame should be; the store's ceiling vouches for the \
             journal up to position 5"
        )
    );
    let empty = Arc::new(FaultyDisk::new(1));
    let vouched = [("the store's ceiling".to_owned(), 5)];
    let refused = Journal::open(empty, Path::new(DIR), options(), &vouched).err().unwrap();
    assert!(matches!(refused, Error::Empty { vouched: 5, .. }), "{refused}");
}

#[test]
fn another_journals_files_are_refused() {
    let (disk, _) = sample(false);
    let other = Options { uuid: [8; 16], ..options() };
    let refused = Journal::open(Arc::new(disk.copy()), Path::new(DIR), other.clone(), &[]);
    assert!(matches!(refused.err(), Some(Error::Foreign { path }) if path == file()));
    opened(&disk).save_origins().unwrap();
    let refused = Journal::open(Arc::new(disk), Path::new(DIR), other, &[]);
    let origins = Path::new(DIR).join("origins.1");
    assert!(matches!(refused.err(), Some(Error::Foreign { path }) if path == origins));
}

#[test]
fn a_missing_segment_is_damage() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    for _ in 0..60 {
        journal.append(&command(1_000), Timestamp(1)).unwrap();
        journal.commit().unwrap();
    }
    let names = disk.list(Path::new(DIR)).unwrap();
    let segments: Vec<_> = names.iter().filter(|name| Segment::base_of(name).is_some()).collect();
    let [first, middle, .., last] = &segments[..] else { panic!("too few: {segments:?}") };
    for (missing, refused) in [(first, true), (middle, true), (last, false)] {
        let disk = disk.copy();
        disk.remove_file(&Path::new(DIR).join(missing)).unwrap();
        // Of the last one, nobody but a later frame, an image or a cursor could know.
        assert_eq!(open(&disk).is_err(), refused, "{missing}");
    }
}

#[test]
fn a_damaged_origin_table_falls_back_to_the_older_one() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    for _ in 0..3 {
        journal.append(&command(1), Timestamp(1)).unwrap();
        journal.save_origins().unwrap();
    }
    drop(journal);
    let newest = Path::new(DIR).join("origins.1");
    disk.flip_bit(&newest, 100);
    let (mut journal, report) = open(&disk).unwrap();
    assert_eq!(report.origin_files_damaged, ["origins.1"]);
    assert_eq!(journal.save_origins().unwrap(), 3);
    assert!(open(&disk).unwrap().1.origin_files_damaged.is_empty());
}

#[test]
fn a_frame_inside_a_payload_is_not_taken_for_one() {
    // The torn frame's payload holds whole frames of this journal, as a back-up of one would.
    let (disk, places) = sample(true);
    let frames = crate::disk::read_file(&disk, &file()).unwrap();
    let frames = &frames[..places[4] as usize];
    let other = FaultyDisk::new(2);
    let mut journal = opened(&other);
    let mut draft = Draft::new(Way::engine());
    draft.begin_group(Mark::None);
    draft.push(RecordHead { tag: 3, kind: KindId(0), depth: 0 }, "u-1", frames);
    for _ in 0..3 {
        journal.append(&draft, Timestamp(1)).unwrap();
    }
    journal.commit().unwrap();
    let mut chance = Chance::new(1);
    for _ in 0..50 {
        let other = other.copy();
        let frame_bytes = journal.tail.offset / 3;
        let byte = frame_bytes * 2 + chance.below(80);
        other.flip_bit(&file(), byte * 8);
        // They vouch for no more than position 2, and that much is there.
        assert_eq!(opened(&other).next(), 2, "byte {byte}");
    }
}

#[test]
fn a_tail_torn_before_a_later_segment_takes_that_segment_along() {
    let disk = FaultyDisk::new(1);
    let mut journal = opened(&disk);
    let mut draft = Draft::new(Way::new(WayKind::Unnumbered, ""));
    let mut append = |journal: &mut Journal, id: u128| {
        draft.clear();
        draft.begin_group(Mark::Id(id));
        draft.push(RecordHead { tag: 0, kind: KindId(0), depth: 0 }, "", &[b'x'; 1_000]);
        journal.append(&draft, Timestamp(1)).unwrap()
    };
    append(&mut journal, 0);
    journal.commit().unwrap();
    // One commit, two segments: of its frames nobody says yet that they are durable.
    while journal.parts.len() < 2 {
        let next = journal.next();
        append(&mut journal, u128::from(next));
    }
    let (last_of_first, end) = (journal.next() - 2, journal.next());
    let second = journal.tail.segment.clone().unwrap();
    assert_eq!(second.base, end - 1);
    journal.commit().unwrap();
    let frame_bytes = journal.tail.offset;
    drop(journal);
    disk.flip_bit(&file(), (last_of_first * frame_bytes + 90) * 8);

    let (mut journal, report) = open(&disk).unwrap();
    assert_eq!(journal.next(), last_of_first);
    assert!(report.torn_bytes > frame_bytes);
    assert!(!disk.exists(&second.path), "a later segment must not lie in wait");
    assert!(
        !disk.exists(&journal.tail.segment.clone().unwrap().ids_path()),
        "its ids have changed"
    );
    for id in [last_of_first, end - 1] {
        let receipt = append(&mut journal, u128::from(id));
        assert!(receipt.duplicates.is_empty(), "id {id} was lost, so it may come again");
    }
    journal.commit().unwrap();
    assert_eq!(opened(&disk).next(), end);
}

#[test]
fn a_frame_of_an_earlier_life_is_not_taken_for_one_of_this() {
    // The same journal, position and length, the checksum right: only what came before differs.
    let journal_of = |fill: usize| {
        let disk = FaultyDisk::new(1);
        let mut journal = opened(&disk);
        let mut first = command(100);
        first.bytes[20] = fill as u8;
        journal.append(&first, Timestamp(1)).unwrap();
        let second_at = journal.tail.offset;
        journal.append(&command(50), Timestamp(1)).unwrap();
        journal.commit().unwrap();
        (disk, second_at, journal.tail.offset)
    };
    let ((disk, second_at, end), (other, ..)) = (journal_of(1), journal_of(2));
    let mut stale = vec![0; (end - second_at) as usize];
    other.open(&file()).unwrap().read_exact_at(&mut stale, second_at).unwrap();
    disk.open(&file()).unwrap().write_all_at(&stale, second_at).unwrap();
    let (journal, report) = open(&disk).unwrap();
    assert_eq!((journal.next(), report.frames), (1, 1));
}
