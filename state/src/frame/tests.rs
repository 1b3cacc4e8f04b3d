//! The stored form of a frame, and that nothing but a whole one is taken for one.

use super::draft::Draft;
use super::header::{FLAG_VERDICT, Header};
use super::*;
use crate::disk::FaultyDisk;
use crate::journal::{Journal, Options};
use expect_test::{Expect, expect};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

const UUID: [u8; 16] = [0xAB; 16];

fn head(tag: u8, kind: u8, depth: u8) -> RecordHead {
    RecordHead { tag, kind: KindId(kind), depth }
}

/// The one frame that a new journal makes of this draft.
fn frame_of(draft: &Draft) -> Arc<Frame> {
    let disk = Arc::new(FaultyDisk::new(1));
    let options = Options { segment_bytes: 64 << 10, ..Options::new(UUID) };
    let (mut journal, _) = Journal::open(disk, Path::new("/j"), options, &[]).unwrap();
    journal.append(draft, Timestamp(1_700_000_000_123)).unwrap();
    journal.commit().unwrap();
    journal.reader().read(0, 1).unwrap().remove(0)
}

fn check(draft: &Draft, hex: &Expect, records: &Expect) {
    let frame = frame_of(draft);
    let lines = frame.bytes().chunks(16).map(|line| {
        let bytes: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        bytes.join(" ") + "\n"
    });
    hex.assert_eq(&lines.collect::<String>());
    let parsed = Frame::parse(Bytes::copy_from_slice(frame.bytes())).unwrap();
    let mut text = format!("{parsed:?} at {}\n", parsed.time());
    for group in parsed.groups() {
        writeln!(text, "{:?} {:?}", group.records, group.mark).unwrap();
    }
    for (index, record) in parsed.records().enumerate() {
        assert_eq!(parsed.record(index), record);
        assert_eq!(parsed.at(record.position), Some(record));
        let Record { position, tag, kind, depth, key, payload, .. } = record;
        writeln!(text, "{position}: {tag} {kind:?} {depth} <{key}> {payload:?}").unwrap();
    }
    assert_eq!(parsed.at(parsed.end()), None);
    records.assert_eq(&text);
}

#[test]
fn a_numbered_frame_is_stored_like_this() {
    let mut draft = Draft::new(Way::new(WayKind::Producer, "shop"));
    draft.begin_hashed_group(Mark::Number { number: 6, index: 0 }, 11);
    draft.push(head(0, 0, 0), "", b"{}");
    draft.push_parts(head(1, 2, 1), "u-42", &[b"pay", b"load"]);
    draft.begin_hashed_group(Mark::Number { number: 7, index: 0 }, 0x1122_3344_5566_7788);
    draft.push(head(6, 1, 16), "p", b"");
    check(
        &draft,
        &expect![[r"
        6b 15 a7 44 c1 62 77 66 01 02 02 00 4d 00 00 00
        02 00 00 00 03 00 00 00 04 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00 7b 68 e5 cf 8b 01 00 00
        00 00 00 00 00 00 00 00 88 77 66 55 44 33 22 11
        ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab
        73 68 6f 70 02 00 1f 00 00 00 06 00 00 00 00 00
        00 00 00 00 01 00 0a 00 00 00 07 00 00 00 00 00
        00 00 00 00 00 00 00 00 00 02 00 00 00 7b 7d 01
        02 01 04 00 07 00 00 00 75 2d 34 32 70 61 79 6c
        6f 61 64 06 01 10 01 00 00 00 00 00 70
    "]],
        &expect![[r"
        Frame(0..3 by producer shop) at 2023-11-14T22:13:20.123Z
        0..2 Number { number: 6, index: 0 }
        2..3 Number { number: 7, index: 0 }
        0: 0 KindId(0) 0 <> [123, 125]
        1: 1 KindId(2) 1 <u-42> [112, 97, 121, 108, 111, 97, 100]
        2: 6 KindId(1) 16 <p> []
    "]],
    );
    assert!(frame_of(&draft).has_verdict());
}

#[test]
fn a_frame_of_events_without_numbers_is_stored_like_this() {
    let mut draft = Draft::new(Way::new(WayKind::Unnumbered, ""));
    draft.begin_group(Mark::Id(0x0102_0304_0506_0708_090A_0B0C_0D0E_0F10));
    draft.push(head(0, 0, 0), "", b"{}");
    check(
        &draft,
        &expect![[r"
        74 5f 06 4c c1 62 77 66 01 00 01 00 21 00 00 00
        01 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00 7b 68 e5 cf 8b 01 00 00
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab
        01 00 0b 00 00 00 10 0f 0e 0d 0c 0b 0a 09 08 07
        06 05 04 03 02 01 00 00 00 00 00 02 00 00 00 7b
        7d
    "]],
        &expect![[r"
        Frame(0..1 by unnumbered events) at 2023-11-14T22:13:20.123Z
        0..1 Id(1339673755198158349044581307228491536)
        0: 0 KindId(0) 0 <> [123, 125]
    "]],
    );
}

#[test]
fn groups_without_records_get_a_blank_one() {
    let mut draft = Draft::new(Way::new(WayKind::Shard, "12"));
    draft.begin_group(Mark::Number { number: 300, index: 1 });
    draft.begin_group(Mark::Number { number: 300, index: 2 });
    check(
        &draft,
        &expect![[r"
        80 c9 8e ae c1 62 77 66 01 00 03 00 2b 00 00 00
        02 00 00 00 01 00 00 00 02 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00 7b 68 e5 cf 8b 01 00 00
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab
        31 32 00 00 00 00 00 00 2c 01 00 00 00 00 00 00
        01 00 01 00 09 00 00 00 2c 01 00 00 00 00 00 00
        02 00 ff 00 00 00 00 00 00 00 00
    "]],
        &expect![[r"
        Frame(0..1 by shard 12) at 2023-11-14T22:13:20.123Z
        0..0 Number { number: 300, index: 1 }
        0..1 Number { number: 300, index: 2 }
        0: 255 KindId(0) 0 <> []
    "]],
    );
}

#[test]
fn any_change_of_any_bit_and_any_cut_is_noticed() {
    let mut draft = Draft::new(Way::engine());
    draft.begin_group(Mark::None);
    draft.push(head(3, 0, 0), "u-1", b"read");
    let frame = frame_of(&draft);
    for bit in 0..frame.bytes().len() * 8 {
        let mut bytes = frame.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Frame::parse(bytes.into()).is_err(), "bit {bit}");
    }
    for len in 0..frame.bytes().len() {
        let bytes = Bytes::copy_from_slice(&frame.bytes()[..len]);
        assert!(Frame::parse(bytes).is_err(), "cut to {len}");
    }
}

/// What is said of a frame whose parts do not add up, and how it comes to that.
type Case = (&'static str, fn(&mut Header));

#[test]
fn a_checksum_alone_does_not_make_a_frame() {
    let mut draft = Draft::new(Way::engine());
    draft.begin_group(Mark::None);
    draft.push(head(3, 0, 0), "u-1", b"read");
    let good = frame_of(&draft);
    let header = Header::check(good.bytes()).unwrap();
    let cases: [Case; 5] = [
        ("more records", |header| header.records += 1),
        ("fewer records", |header| header.records -= 1),
        ("more groups", |header| header.groups += 1),
        ("a longer name", |header| header.name_bytes += 3),
        ("another way", |header| header.way_kind = WayKind::Unnumbered),
    ];
    for (case, change) in cases {
        let mut changed = header;
        change(&mut changed);
        let mut bytes = good.bytes().to_vec();
        changed.seal_bytes(&mut bytes);
        assert_eq!(Frame::parse(bytes.into()).unwrap_err(), header::Fault::Inconsistent, "{case}");
    }
    let mut newer = good.bytes().to_vec();
    newer[8] = 2;
    let crc = crc32c::crc32c(&newer[4..]);
    newer[..4].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Frame::parse(newer.into()).unwrap_err(), header::Fault::Version(2));
    assert_eq!(header.flags & FLAG_VERDICT, 0);
}
