//! Rows: from an entity to stored bytes and back.

use criterion::{Criterion, criterion_group, criterion_main};
use state::row::{Row, Trail};
use std::hint::black_box;

fn trail() -> Trail {
    let mut trail = Trail::default();
    for record in 0..40 {
        trail.push(record * 5_000);
    }
    trail
}

fn rows(criterion: &mut Criterion) {
    let (head, page, trail) = ([1; 24], [2; 900], trail());
    let row = Row {
        kind_version: 1,
        position: 4_000_000,
        created: 1_000,
        head: &head,
        page: Some((3, &page)),
        trail_pages: 0,
        trail: trail.bytes(),
    };
    let bytes = row.encode();
    let mut group = criterion.benchmark_group("row");
    group.bench_function("encode", |bencher| {
        let mut out = Vec::with_capacity(bytes.len());
        bencher.iter(|| {
            out.clear();
            black_box(&row).encode_into(&mut out);
            black_box(out.len())
        });
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let row = Row::decode(black_box(&bytes)).expect("it was encoded above");
            black_box(Trail::decode(row.trail).expect("and so was its trail"))
        });
    });
    group.finish();
}

criterion_group!(benches, rows);
criterion_main!(benches);
