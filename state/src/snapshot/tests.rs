//! What snapshots promise: a whole directory comes of one, whatever fails leaves none that counts,
//! and no damage goes unnoticed.

mod crash;
mod damage;

use super::*;
use crate::directory::Layout;
use crate::disk::{Disk, FaultyDisk, read_file};
use crate::frame::{Draft, Frame, Mark, RecordHead, Way, WayKind};
use crate::journal::Journal;
use crate::row::key;
use crate::store::{Checkpoint, MemKv, OpenKv, Store, Write};
use actors::{KindId, Timestamp};
use expect_test::expect;
use std::sync::Arc;

const JOURNAL: [u8; 16] = *b"0123456789abcdef";
const SHARDS: u16 = 3;
const KINDS: [&str; 2] = ["inbox", "payment"];
const NOW: Timestamp = Timestamp(1_000_000);

/// A data directory's journal and store, on a disk that can fail.
struct Rig {
    disk: FaultyDisk,
    journal: Journal,
    store: Store,
}

fn store_options() -> store::Options {
    store::Options {
        shards: SHARDS,
        image_entries_min: 30,
        open_seconds_max: 60,
        ..store::Options::default()
    }
}

fn open_kv(kv: &MemKv) -> OpenKv {
    let kv = kv.clone();
    Arc::new(move |_| Ok(Arc::new(kv.clone())))
}

fn open_journal(disk: &FaultyDisk, dir: &str) -> Journal {
    let options = journal::Options {
        segment_bytes: 8 << 10,
        recent_bytes_max: 2 << 10,
        disk_reserve_bytes: 0,
        ..journal::Options::new(JOURNAL)
    };
    let dir = Path::new(dir).join("journal");
    Journal::open(Arc::new(disk.clone()), &dir, options, &[]).unwrap().0
}

fn open_store(disk: &FaultyDisk, kv: &MemKv, dir: &str) -> Store {
    let disk = Arc::new(disk.clone());
    Store::open(disk, Path::new(dir), &open_kv(kv), store_options(), JOURNAL).unwrap().0
}

fn draft(nth: u64) -> Draft {
    let way = match nth % 3 {
        0 => Way::new(WayKind::Producer, "shop"),
        1 => Way::new(WayKind::Unnumbered, ""),
        _ => Way::engine(),
    };
    let mark = match way.kind {
        WayKind::Producer => Mark::Number { number: nth / 3, index: 0 },
        WayKind::Unnumbered => Mark::Id(u128::from(nth) << 64),
        _ => Mark::None,
    };
    let mut draft = Draft::new(way);
    draft.begin_group(mark);
    let payload = vec![nth as u8; (nth * 37 % 300) as usize];
    draft.push(RecordHead { tag: 1, kind: KindId(1), depth: 0 }, "u-1", &payload);
    draft
}

fn append(journal: &mut Journal, range: std::ops::Range<u64>) {
    for nth in range {
        journal.append(&draft(nth), Timestamp(nth as i64)).unwrap();
        if nth % 7 == 0 {
            journal.commit().unwrap();
        }
    }
    journal.commit().unwrap();
}

/// Rows of a shard, each with a page, so many that some rounds make an image of it.
fn rows(shard: u16, round: u64, count: u64) -> Vec<Write> {
    let of = |entity: u64| {
        let name = format!("u-{shard}-{entity}");
        let value = vec![round as u8; 40 + (entity % 7) as usize];
        Write {
            entries: vec![
                (key::row(KindId(1), &name), Some(value.clone())),
                (key::page(KindId(1), &name, 0), (entity % 5 != round % 5).then_some(value)),
            ],
        }
    };
    (0..count).map(|nth| of(nth * (round + 1) % 90)).collect()
}

impl Rig {
    /// A journal of several segments that is cut at its beginning, and a store of images and
    /// overlays and what is only in memory.
    fn new(seed: u64) -> Self {
        let disk = FaultyDisk::new(seed);
        let mut journal = open_journal(&disk, "/data");
        let mut store = open_store(&disk, &MemKv::new(), "/data");
        for round in 0..4_u64 {
            append(&mut journal, round * 60..round * 60 + 60);
            let ceiling = journal.durable();
            for shard in 0..SHARDS - 1 {
                let count = if round == 1 { 60 } else { 9 };
                let writes = rows(shard, round, count);
                let (replay_from, note) = (ceiling - u64::from(shard), vec![round as u8]);
                let checkpoint = Checkpoint { shard, writes, replay_from, note, ceiling };
                store.checkpoint(checkpoint).unwrap();
            }
            journal.save_origins().unwrap();
        }
        store
            .checkpoint(Checkpoint {
                shard: SHARDS - 1,
                writes: rows(SHARDS - 1, 5, 5),
                replay_from: 200,
                note: vec![9],
                ceiling: journal.durable(),
            })
            .unwrap();
        append(&mut journal, 240..260);
        store.raise_ceiling(journal.durable()).unwrap();
        store.write(0, rows(0, 6, 3)).unwrap();
        assert!(journal.drop_below(150).unwrap() > 0, "the journal does not begin at 0");
        Self { disk, journal, store }
    }

    fn take(&self) -> Result<Taken, Error> {
        let (store, journal) = (self.store.reader(), self.journal.reader());
        let mark = |shard| (self.store.replay_from(shard), self.store.shard_note(shard));
        let cursor = |name: &str, next| Cursor { name: name.to_owned(), bytes: vec![7; 9], next };
        let source = Source {
            store: &store,
            journal: &journal,
            shards: SHARDS,
            mark: &mark,
            kinds: &KINDS,
            cursors: vec![cursor("outbox.cursor", 190), cursor("kafka.cursor", 0)],
            disk_reserve_bytes: 0,
            now: NOW,
        };
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        take(&disk, Path::new("/data/snapshots"), &file_name, &source)
    }
}

fn place<'a>(disk: &FaultyDisk, kv: &MemKv) -> Place<'a> {
    Place {
        disk: Arc::new(disk.clone()),
        dir: Path::new("/other"),
        open_kv: open_kv(kv),
        layout: Layout { shards: u32::from(SHARDS), kinds: &["inbox", "payment", "course"] },
    }
}

fn opened(disk: &FaultyDisk, path: &Path) -> Result<Snapshot, Error> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Snapshot::open(&disk, path)
}

fn frames(journal: &Journal, from: Position) -> Vec<Vec<u8>> {
    let reader = journal.reader();
    let mut frames: Vec<Arc<Frame>> = Vec::new();
    loop {
        let next = frames.last().map_or(from, |frame| frame.end());
        let more = reader.read(next, 3_000).unwrap();
        if more.is_empty() {
            return frames.iter().map(|frame| frame.bytes().to_vec()).collect();
        }
        frames.extend(more);
    }
}

/// The directory that a snapshot was restored to is that of the rig.
fn assert_same(rig: &Rig, disk: &FaultyDisk, kv: &MemKv) {
    let store = open_store(disk, kv, "/other");
    for shard in 0..SHARDS {
        let entries = |store: &Store| store.reader().scan(shard, &[], None, 10_000).unwrap();
        assert_eq!(entries(&store), entries(&rig.store), "shard {shard}");
        assert_eq!(store.replay_from(shard), rig.store.replay_from(shard));
        assert_eq!(store.shard_note(shard), rig.store.shard_note(shard));
        store.reader().verify(shard).unwrap();
    }
    let mut journal = open_journal(disk, "/other");
    assert!(store.ceiling() <= journal.durable());
    assert_eq!(journal.durable(), rig.journal.durable());
    let first = journal.reader().first();
    assert!(first <= 190, "the outbox reads on from 190, the journal begins at {first}");
    assert_eq!(frames(&journal, first), frames(&rig.journal, first));
    // Whatever came in before the snapshot is known, numbered or not, from before its beginning or
    // behind.
    for nth in [0_u64, 1, 30, 31, 151, 153, 256, 258] {
        let receipt = journal.append(&draft(nth), Timestamp(300)).unwrap();
        assert_eq!(receipt.duplicates, [0], "draft {nth}");
    }
    append(&mut journal, 260..300);
    assert_eq!(journal.durable(), 300);
    drop(journal);
    assert_eq!(open_journal(disk, "/other").durable(), 300);
}

#[test]
fn a_directory_comes_of_a_snapshot() {
    let rig = Rig::new(1);
    let taken = rig.take().unwrap();
    assert_eq!(taken.path, Path::new("/data/snapshots").join(file_name(260)));
    assert_eq!((taken.header.position, taken.header.replay_from), (260, 200));
    assert!(taken.header.first <= 190, "{}", taken.header.first);
    let kv = MemKv::new();
    let snapshot = opened(&rig.disk, &taken.path).unwrap();
    let mut seen = 0;
    restore(&snapshot, &place(&rig.disk, &kv), &mut |bytes| {
        assert!(bytes >= seen, "{bytes} after {seen}");
        seen = bytes;
    })
    .unwrap();
    assert_same(&rig, &rig.disk, &kv);
    let cursor = read_file(&rig.disk, Path::new("/other/outbox.cursor")).unwrap();
    assert_eq!(cursor, [7; 9]);
    let again = restore(&snapshot, &place(&rig.disk, &kv), &mut |_| {}).unwrap_err();
    assert_eq!(again.to_string(), "/other is a data directory already");
    let image = snapshot.image(0).unwrap().unwrap();
    let row = image.get(&key::row(KindId(1), "u-0-7"), &image::Cache::new(1 << 20)).unwrap();
    assert_eq!(row, rig.store.reader().get(0, &key::row(KindId(1), "u-0-7")).unwrap());
    assert!(row.is_some(), "rows are read by key where they lie");
}

#[test]
fn an_empty_directory_has_a_snapshot_too() {
    let disk = FaultyDisk::new(1);
    let journal = open_journal(&disk, "/data");
    let store = open_store(&disk, &MemKv::new(), "/data");
    let rig = Rig { disk, journal, store };
    let (reader, journal) = (rig.store.reader(), rig.journal.reader());
    let source = Source {
        store: &reader,
        journal: &journal,
        shards: SHARDS,
        mark: &|shard| (rig.store.replay_from(shard), rig.store.shard_note(shard)),
        kinds: &KINDS,
        cursors: Vec::new(),
        disk_reserve_bytes: 0,
        now: NOW,
    };
    let disk: Arc<dyn Disk> = Arc::new(rig.disk.clone());
    let taken = take(&disk, Path::new("/data/snapshots"), &file_name, &source).unwrap();
    assert_eq!((taken.header.position, taken.header.first), (0, 0));
    let kv = MemKv::new();
    let snapshot = opened(&rig.disk, &taken.path).unwrap();
    restore(&snapshot, &place(&rig.disk, &kv), &mut |_| {}).unwrap();
    assert_eq!(open_journal(&rig.disk, "/other").durable(), 0);
}

#[test]
fn a_journal_that_was_cut_too_far_is_refused() {
    let mut rig = Rig::new(1);
    rig.journal.save_origins().unwrap();
    rig.journal.save_origins().unwrap();
    let first = rig.journal.drop_below(240).unwrap();
    assert!(first > 200, "{first}");
    let refused = rig.take().unwrap_err().to_string();
    let what =
        format!("the journal begins at position {first}, but outbox.cursor needs it from 190 on");
    assert_eq!(refused, what);
    assert_eq!(rig.disk.list(Path::new("/data/snapshots")).unwrap(), [""; 0]);
}

#[test]
fn what_does_not_fit_this_program_is_refused() {
    let rig = Rig::new(1);
    let snapshot = opened(&rig.disk, &rig.take().unwrap().path).unwrap();
    let cases: [(u32, &[&str], &str); 2] = [
        (64, &KINDS, "has 3 shards, not 64"),
        (u32::from(SHARDS), &["inbox"], "knows the kinds inbox, payment, this program inbox"),
    ];
    for (shards, kinds, why) in cases {
        let place = Place { layout: Layout { shards, kinds }, ..place(&rig.disk, &MemKv::new()) };
        let refused = restore(&snapshot, &place, &mut |_| {}).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
        assert!(!rig.disk.exists(Path::new("/other")), "nothing was written");
    }
}

#[test]
fn the_newest_are_kept_and_the_newest_good_one_found() {
    let mut rig = Rig::new(1);
    let folder = Path::new("/data/snapshots");
    let disk: Arc<dyn Disk> = Arc::new(rig.disk.clone());
    let mut paths = Vec::new();
    for nth in 260..264 {
        paths.push(rig.take().unwrap().path);
        append(&mut rig.journal, nth..nth + 1);
    }
    prune(&disk, folder, *b"another journal!", 1).unwrap();
    assert_eq!(list(&disk, folder).unwrap().len(), 4, "they are not that journal's");
    prune(&disk, folder, JOURNAL, 3).unwrap();
    let found = list(&disk, folder).unwrap();
    let left: Vec<_> = found.into_iter().map(|found| found.path).collect();
    assert_eq!(left, [3, 2, 1].map(|nth: usize| paths[nth].clone()));
    rig.disk.flip_bit(&paths[3], 8 * 5_000);
    let newest = folder::newest(&disk, folder, JOURNAL).unwrap();
    assert_eq!(newest.snapshot.unwrap().path(), paths[2]);
    assert!(newest.passed_over[0].contains("is damaged at byte"), "{:?}", newest.passed_over);
    assert!(folder::newest(&disk, folder, [1; 16]).unwrap().snapshot.is_none());
}

#[test]
fn the_bytes_of_a_header_never_change() {
    let header = Header {
        journal: JOURNAL,
        shards: 64,
        position: 0x0102,
        first: 3,
        replay_from: 4,
        time: Timestamp(5),
        kinds: vec!["inbox".to_owned(), "payment".to_owned()],
    };
    let bytes = header.encode();
    let lines: Vec<String> = bytes.chunks(16).map(|line| line.escape_ascii().to_string()).collect();
    expect![[r#"
        BWSNAP\x00\x00\x01\x00\x00\x00V\x00\x00\x00
        0123456789abcdef
        \x02\x01\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00
        \x04\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00
        @\x00\x02\x00\x05inbox\x07payme
        nt\x16\xf8\xff\xcb"#]]
    .assert_eq(&lines.join("\n"));
    let end = bytes.len() - 4;
    assert_eq!(Header::decode(&bytes[16..end]), Some(header));
    (16..end).for_each(|cut| assert_eq!(Header::decode(&bytes[16..cut]), None, "{cut}"));
}
