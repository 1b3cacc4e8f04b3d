//! Every published event once and in order, whatever is cut, lost, moved or broken on the way.

use super::*;
use expect_test::expect;
use state::disk::{FaultyDisk, RealDisk, is_crash, read_file};

const DIR: &str = "/data";
const JOURNAL: [u8; 16] = [7; 16];

/// Splitmix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// A journal, as far as an outbox sees it: published events at rising positions, and others between
/// and behind them.
struct Published {
    events: Vec<(Position, Vec<u8>)>,
    end: Position,
}

impl Published {
    fn new(seed: u64, count: usize) -> Self {
        let mut chance = Chance(seed);
        let mut end = 0;
        let mut events = Vec::new();
        for _ in 0..count {
            let position = end + chance.below(5);
            let pad = "x".repeat(chance.below(1_500) as usize);
            let text =
                format!(r#"{{"specversion":"1.0","id":"{position}","data":{{"p":"{pad}"}}}}"#);
            events.push((position, text.into_bytes()));
            end = position + 1;
        }
        Self { events, end: end + chance.below(5) }
    }

    fn from(&self, next: Position) -> &[(Position, Vec<u8>)] {
        &self.events[self.events.partition_point(|(position, _)| *position < next)..]
    }

    /// What the file must hold.
    fn file(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (position, text) in &self.events {
            line::append(&mut bytes, *position, text);
        }
        bytes
    }
}

fn disk(seed: u64) -> FaultyDisk {
    let disk = FaultyDisk::new(seed);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk
}

fn open(disk: &FaultyDisk) -> Result<Outbox, Error> {
    Outbox::open(Arc::new(disk.clone()), Path::new(DIR), JOURNAL)
}

fn file_of(disk: &FaultyDisk) -> Vec<u8> {
    read_file(disk, &Path::new(DIR).join(FILE)).unwrap()
}

/// Writes out all that is published, in batches and with saves as chance will have it. `acked` is
/// what was promised.
fn run(
    disk: &FaultyDisk,
    published: &Published,
    chance: &mut Chance,
    acked: &mut Position,
) -> Result<(), Error> {
    let mut outbox = open(disk)?;
    assert!(outbox.cursor() >= *acked, "{} was promised, it goes on at {}", acked, outbox.cursor());
    assert!(outbox.cursor() <= published.end);
    while outbox.cursor() < published.end {
        let rest = published.from(outbox.cursor());
        let batch = &rest[..rest.len().min(1 + chance.below(4) as usize)];
        let events: Vec<_> = batch.iter().map(|(at, text)| (*at, text.as_slice())).collect();
        outbox.write(&events)?;
        *acked = outbox.cursor();
        if batch.len() == rest.len() {
            outbox.advance(published.end);
        }
        if chance.below(3) == 0 {
            outbox.save()?;
            *acked = outbox.cursor();
        }
    }
    outbox.save()
}

fn crashed(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if is_crash(source))
}

#[test]
fn what_it_writes() {
    let disk = disk(1);
    let mut outbox = open(&disk).unwrap();
    outbox.write(&[(3, br#"{"id":"a"}"#), (17, br#"{"id":"b","data":{}}"#)]).unwrap();
    outbox.write(&[]).unwrap();
    outbox.write(&[(18, br#"{"id":"c"}"#)]).unwrap();
    expect![[r#"
        {"id":"a","sequence":"00000000000000000003"}
        {"id":"b","data":{},"sequence":"00000000000000000017"}
        {"id":"c","sequence":"00000000000000000018"}
    "#]]
    .assert_eq(&String::from_utf8(file_of(&disk)).unwrap());
    assert_eq!((outbox.cursor(), outbox.saved()), (19, 0));
    outbox.advance(30);
    outbox.save().unwrap();
    assert_eq!((outbox.cursor(), outbox.saved()), (30, 30));
    drop(outbox);
    assert_eq!(open(&disk).unwrap().cursor(), 30);
}

#[test]
fn a_crash_after_any_change_loses_nothing_and_repeats_nothing() {
    for seed in 0..40 {
        let published = Published::new(seed, 12);
        let mut crash_after = 0;
        loop {
            let mut disk = disk(seed ^ crash_after << 8);
            let mut chance = Chance(seed);
            let mut acked = 0;
            disk.crash_after(crash_after);
            let mut crashes = 0;
            while let Err(error) = run(&disk, &published, &mut chance, &mut acked) {
                assert!(crashed(&error), "seed {seed}, crash after {crash_after}: {error}");
                disk = disk.crash();
                crashes += 1;
                if crashes < 4 {
                    disk.crash_after(chance.below(12));
                }
            }
            let same = file_of(&disk) == published.file();
            assert!(same, "seed {seed}, crash after {crash_after}, {crashes} crashes");
            if crashes == 0 {
                break;
            }
            crash_after += 1;
        }
        assert!(crash_after > 12, "seed {seed}: only {crash_after} changes");
    }
}

#[test]
fn a_failed_write_or_sync_is_mended_by_opening_again() {
    for seed in 0..200 {
        let published = Published::new(seed, 12);
        let mut disk = disk(seed);
        let mut chance = Chance(seed);
        let mut acked = 0;
        let mut errors = 0;
        loop {
            match chance.below(2) {
                _ if errors > 4 => {}
                0 => disk.fail_write(chance.below(8)),
                _ => disk.fail_sync(chance.below(8)),
            }
            if run(&disk, &published, &mut chance, &mut acked).is_ok() && errors > 4 {
                break;
            }
            errors += 1;
            if chance.below(2) == 0 {
                disk = disk.crash();
            }
        }
        assert!(file_of(&disk) == published.file(), "seed {seed}");
    }
}

#[test]
fn after_an_error_it_writes_nothing_more() {
    let disk = disk(1);
    let mut outbox = open(&disk).unwrap();
    disk.fail_sync(0);
    assert!(matches!(outbox.write(&[(0, b"{}")]), Err(Error::Io { tried: "sync", .. })));
    assert!(matches!(outbox.write(&[(0, b"{}")]), Err(Error::Failed { .. })));
    assert!(matches!(outbox.save(), Err(Error::Failed { .. })));
    assert_eq!(outbox.cursor(), 0);
}

#[test]
fn a_full_disk_holds_it_up_until_there_is_space() {
    let disk = disk(1);
    let published = Published::new(1, 12);
    disk.budget_bytes(Some(4_000));
    let error = run(&disk, &published, &mut Chance(1), &mut 0).unwrap_err();
    assert!(
        matches!(&error, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    );
    disk.budget_bytes(None);
    run(&disk, &published, &mut Chance(1), &mut 0).unwrap();
    assert!(file_of(&disk) == published.file());
}

type Harm = &'static dyn Fn(&FaultyDisk, &Path);

/// Writes out everything, lets `harm` at the disk, and writes on.
fn after(harm: impl Fn(&FaultyDisk, &Path)) -> (FaultyDisk, Published) {
    let disk = disk(3);
    let mut published = Published::new(3, 20);
    run(&disk, &published, &mut Chance(3), &mut 0).unwrap();
    harm(&disk, Path::new(DIR));
    let next = published.end;
    published.events.push((next, br#"{"id":"one more"}"#.to_vec()));
    published.end = next + 1;
    run(&disk, &published, &mut Chance(4), &mut 0).unwrap();
    (disk, published)
}

#[test]
fn a_lost_or_damaged_cursor_costs_nothing_but_reading() {
    let cases: [Harm; 3] = [
        &|disk, dir| disk.remove_file(&dir.join(CURSOR_FILE)).unwrap(),
        &|disk, dir| disk.flip_bit(&dir.join(CURSOR_FILE), 200),
        &|disk, dir| disk.open(&dir.join(CURSOR_FILE)).unwrap().set_len(0).unwrap(),
    ];
    for harm in cases {
        let (disk, published) = after(harm);
        assert!(file_of(&disk) == published.file());
    }
}

#[test]
fn a_cursor_that_is_ahead_of_its_file_is_taken_back() {
    let len = Published::new(3, 20).file().len() as u64;
    for kept in [1, 100, 2_000, len - 1] {
        let cut = |disk: &FaultyDisk, dir: &Path| {
            disk.open(&dir.join(FILE)).unwrap().set_len(kept).unwrap();
        };
        let (disk, published) = after(cut);
        assert!(file_of(&disk) == published.file(), "cut to {kept} bytes");
    }
}

#[test]
fn damage_in_what_was_durable_is_not_cut_away() {
    let disk = disk(3);
    run(&disk, &Published::new(3, 20), &mut Chance(3), &mut 0).unwrap();
    let path = Path::new(DIR).join(FILE);
    let lines = file_of(&disk);
    let last = lines[..lines.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    disk.flip_bit(&path, (lines.len() as u64 - 4) * 8 + 7);
    let damaged = file_of(&disk);
    let error = open(&disk).err().expect("refused");
    assert!(matches!(&error, Error::Damaged { offset, .. } if *offset == last as u64), "{error}");
    assert!(file_of(&disk) == damaged);
}

#[test]
fn a_file_that_was_moved_away_is_not_written_again() {
    let (disk, published) = after(|disk, dir| {
        disk.rename(&dir.join(FILE), &dir.join("yesterday.ndjson")).unwrap();
    });
    let mut both = read_file(&disk, &Path::new(DIR).join("yesterday.ndjson")).unwrap();
    both.extend(file_of(&disk));
    assert!(both == published.file());
}

#[test]
fn without_both_files_everything_is_written_again() {
    let (disk, published) = after(|disk, dir| {
        disk.remove_file(&dir.join(FILE)).unwrap();
        disk.remove_file(&dir.join(CURSOR_FILE)).unwrap();
    });
    assert!(file_of(&disk) == published.file());
}

#[test]
fn the_outbox_of_another_journal_is_moved_aside() {
    let disk = disk(1);
    run(&disk, &Published::new(1, 5), &mut Chance(1), &mut 0).unwrap();
    let outbox = Outbox::open(Arc::new(disk.clone()), Path::new(DIR), [8; 16]).unwrap();
    assert_eq!(outbox.cursor(), 0);
    let aside = Path::new(DIR).join(format!("outbox.{}.ndjson", "07".repeat(16)));
    assert!(read_file(&disk, &aside).unwrap() == Published::new(1, 5).file());
    assert_eq!(file_of(&disk), b"");
}

#[test]
fn a_file_of_somebody_else_is_left_alone() {
    let disk = disk(1);
    let file = disk.create(&Path::new(DIR).join(FILE)).unwrap();
    file.write_all_at(b"{\"mine\":true}\n", 0).unwrap();
    let error = open(&disk).err().expect("refused");
    assert_eq!(error.to_string(), "/data/outbox.ndjson was not written by an outbox: move it away");
    assert_eq!(file_of(&disk), b"{\"mine\":true}\n");
}

#[test]
#[should_panic(expected = "event 4 after all below 5 were written")]
fn an_event_is_never_written_twice() {
    let mut outbox = open(&disk(1)).unwrap();
    outbox.write(&[(4, b"{}")]).unwrap();
    outbox.write(&[(4, b"{}")]).unwrap();
}

#[test]
fn a_long_file_on_a_real_disk_is_read_in_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let published = Published::new(9, 4_000);
    let open = || Outbox::open(Arc::new(RealDisk), dir.path(), JOURNAL).unwrap();
    let events: Vec<_> = published.events.iter().map(|(at, text)| (*at, text.as_slice())).collect();
    open().write(&events).unwrap();
    let mut torn = published.file();
    torn.extend(br#"{"id":"torn"#);
    std::fs::write(dir.path().join(FILE), &torn).unwrap();
    let last = events.last().unwrap().0;
    assert_eq!(open().cursor(), last + 1);
    assert!(std::fs::read(dir.path().join(FILE)).unwrap() == published.file());
}
