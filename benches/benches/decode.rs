//! Decoding one domain event, and asking every kind whom it concerns.

use actors::{DomainEvent, KINDS, KindId, Listener, Timestamp};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use topology::sources::campus::Campus;

/// Events to go through, so that no branch of the decoder is always the same.
const EVENTS: u64 = 1_024;

struct Counting(usize);

impl Listener for Counting {
    fn told(&mut self, _: KindId, key: &str, payload: &[u8]) {
        self.0 += key.len() + payload.len();
    }
}

fn events() -> Vec<Vec<u8>> {
    let mut campus = Campus::new(7, 1_000, 10, 0, 1);
    let event = |number| {
        let mut text = Vec::new();
        campus.write(number, &mut text);
        text
    };
    (0..EVENTS).map(event).collect()
}

fn decode(criterion: &mut Criterion) {
    let events = events();
    let mut group = criterion.benchmark_group("events");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            for text in &events {
                let event = DomainEvent::parse(black_box(text), Timestamp(0));
                black_box(event.expect("the campus writes events"));
            }
        });
    });
    group.bench_function("decode and hear", |bencher| {
        let (mut told, mut scratch) = (Counting(0), Vec::new());
        bencher.iter(|| {
            for text in &events {
                let event = DomainEvent::parse(text, Timestamp(0));
                let event = event.expect("the campus writes events");
                for (id, kind) in (0..).map(KindId).zip(KINDS) {
                    kind.hear(id, &event, &mut told, &mut scratch).expect("and fit ones");
                }
            }
            black_box(told.0)
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
