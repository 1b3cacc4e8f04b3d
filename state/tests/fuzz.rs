//! Whatever lies on a disk is read or refused: frames, rows, trails and keys with bytes that are
//! not what was written.
//!
//! What is *not* here: what a start makes of damage (`journal/tests/damage.rs`), and images, whose
//! blocks carry checksums of their own (`image/tests.rs`).

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "../../tests/support/fuzz.rs"]
mod fuzz;

use actors::{EffectId, KindId, Timestamp};
use fuzz::fuzz;
use state::disk::FaultyDisk;
use state::frame::{Draft, Frame, Mark, RecordHead, Way, WayKind};
use state::journal::{Journal, Options};
use state::row::{Row, Trail, key};
use std::path::Path;
use std::sync::Arc;

/// A frame by each sort of way.
fn frames() -> Vec<Vec<u8>> {
    let disk = FaultyDisk::new(1);
    let options =
        Options { segment_bytes: 64 << 10, disk_reserve_bytes: 0, ..Options::new([7; 16]) };
    let (mut journal, _) =
        Journal::open(Arc::new(disk), Path::new("/journal"), options, &[]).unwrap();
    let ways = [
        (Way::engine(), Mark::None),
        (Way::new(WayKind::Producer, "p"), Mark::Number { number: 0, index: 0 }),
        (Way::new(WayKind::Unnumbered, ""), Mark::Id(77)),
        (Way::new(WayKind::Shard, "3"), Mark::Number { number: 1, index: 2 }),
    ];
    for (way, mark) in ways {
        let mut draft = Draft::new(way);
        draft.begin_group(mark);
        for key in ["", "u-1"] {
            draft.push(RecordHead { tag: 1, kind: KindId(2), depth: 0 }, key, b"payload");
        }
        journal.append(&draft, Timestamp(5)).unwrap();
        journal.commit().unwrap();
    }
    let frames = journal.reader().read(0, 1 << 20).unwrap();
    frames.iter().map(|frame| frame.bytes().to_vec()).collect()
}

fn read_whole(frame: &Frame) {
    let records = frame.records().count();
    assert_eq!(frame.groups().map(|group| group.records.len()).sum::<usize>(), records);
    assert_eq!(frame.end() - frame.base(), records as u64);
    for (index, record) in frame.records().enumerate() {
        assert_eq!(frame.record(index).position, record.position);
        assert_eq!(
            frame.at(record.position).map(|at| at.key.to_owned()),
            Some(record.key.to_owned())
        );
    }
    assert_eq!(frame.index().len(), records);
    let _ = (frame.way(), frame.has_verdict(), frame.durable_to());
}

#[test]
fn fuzz_frames() {
    let samples = frames();
    assert_eq!(samples.len(), 4);
    fuzz(&samples, |bytes| {
        if let Ok(frame) = Frame::parse(bytes.to_vec().into()) {
            let whole = samples.iter().any(|sample| sample == frame.bytes());
            assert!(whole, "a frame that nobody wrote has a right checksum");
        }
        // And with a checksum that fits, as another program might write it.
        let mut sealed = bytes.to_vec();
        if sealed.len() > 16 {
            let claimed = 80 + u32::from_le_bytes(sealed[12..16].try_into().unwrap()) as usize;
            sealed.truncate(claimed.max(16));
            let crc = crc32c::crc32c(&sealed[4..]);
            sealed[..4].copy_from_slice(&crc.to_le_bytes());
        }
        if let Ok(frame) = Frame::parse(sealed.into()) {
            read_whole(&frame);
        }
    });
}

#[test]
fn fuzz_rows_and_trails() {
    let mut trail = Trail::default();
    (0..400).for_each(|position| trail.push(position * position));
    let full = trail.split_off_full().unwrap_or_default();
    let row = Row {
        kind_version: 1,
        position: 160_000,
        created: 3,
        head: b"a head",
        page: Some((4, b"a page")),
        trail_pages: 2,
        trail: trail.bytes(),
    };
    fuzz(&[row.encode(), Row { page: None, ..row }.encode()], |bytes| {
        let Ok(row) = Row::decode(bytes) else { return };
        assert_eq!(Row::decode(&row.encode()).unwrap().encode(), row.encode());
        if let Ok(trail) = Trail::decode(row.trail) {
            assert_eq!(trail.iter().count(), trail.count() as usize);
        }
    });
    fuzz(&[trail.bytes().to_vec(), full], |bytes| {
        if let Ok(trail) = Trail::decode(bytes) {
            assert_eq!(trail.iter().last(), trail.last());
        }
    });
}

#[test]
fn fuzz_keys() {
    let (kind, id) = (KindId(3), EffectId { cause: 5, index: 1 });
    let samples = [
        key::row(kind, "u-1"),
        key::page(kind, "u-1", 7),
        key::tag("word:1", kind, "u-1"),
        key::pending(&key::Pending { due: Timestamp(9), kind, key: "u-1", id }),
    ];
    fuzz(&samples, |bytes| {
        if let Ok((kind, name)) = key::parse_row(bytes) {
            assert_eq!(key::row(kind, name), bytes);
        }
        if let Ok((kind, name, number)) = key::parse_numbered(bytes, key::space::PAGE) {
            assert_eq!(key::page(kind, name, number), bytes);
        }
        if let Ok((word, kind, name)) = key::parse_tag(bytes) {
            assert_eq!(key::tag(word, kind, name), bytes);
        }
        if let Ok(pending) = key::parse_pending(bytes) {
            assert_eq!(key::pending(&pending), bytes);
        }
        if let Some(end) = key::prefix_end(bytes) {
            assert!(end.as_slice() > bytes);
        }
    });
}
