//! Appending to the journal: what a frame costs in memory, and what a commit costs on this disk.

use actors::{KindId, Timestamp};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use state::disk::RealDisk;
use state::frame::{Draft, Mark, RecordHead, Way};
use state::journal::{Journal, Options};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

/// Groups of a frame, as a partition consumer makes them: an event and what it told two entities.
const GROUPS: u64 = 512;

fn open(dir: &Path) -> Journal {
    let options = Options { segment_bytes: 16 << 20, ..Options::new([7; 16]) };
    let opened = Journal::open(Arc::new(RealDisk), dir, options, &[]);
    opened.expect("an empty directory opens").0
}

fn draft(groups: u64) -> Draft {
    let mut draft = Draft::new(Way::engine());
    for number in 0..groups {
        draft.begin_group(Mark::None);
        let key = format!("u-{number:06}");
        let head = |tag, kind| RecordHead { tag, kind: KindId(kind), depth: 0 };
        draft.push(head(0, 0), "", &[b'e'; 290]);
        draft.push(head(1, 0), &key, &[1; 30]);
        draft.push(head(1, 2), "course-001", &[2; 12]);
    }
    draft
}

fn journal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal");
    group.sample_size(10);
    for groups in [1, GROUPS] {
        let draft = draft(groups);
        let dir = tempfile::tempdir_in(".").expect("a directory on this disk");
        let mut journal = open(dir.path());
        group.throughput(Throughput::Bytes(draft.bytes() as u64));
        group.bench_function(format!("append and commit {groups} groups"), |bencher| {
            bencher.iter(|| {
                let receipt = journal.append(&draft, Timestamp(1_767_600_000_000));
                black_box(receipt.expect("there is room"));
                journal.commit().expect("the disk works")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, journal);
criterion_main!(benches);
