//! Folding: what one record costs a mind of each kind that hears events.

use actors::effects::Effects;
use actors::{DomainEvent, KINDS, KindId, Listener, Mind, Stop, Timestamp};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use topology::sources::campus::Campus;

/// Records folded into one mind.
const RECORDS: usize = 256;

struct Payloads {
    kind: KindId,
    list: Vec<Vec<u8>>,
}

impl Listener for Payloads {
    fn told(&mut self, kind: KindId, _: &str, payload: &[u8]) {
        if kind == self.kind && self.list.len() < RECORDS {
            self.list.push(payload.to_vec());
        }
    }
}

/// What a campus tells entities of one kind.
fn payloads(kind: KindId) -> Vec<Vec<u8>> {
    let mut campus = Campus::new(7, 1_000, 10, 0, 1);
    let mut told = Payloads { kind, list: Vec::new() };
    let (mut text, mut scratch) = (Vec::new(), Vec::new());
    for number in 0.. {
        if told.list.len() == RECORDS {
            break;
        }
        text.clear();
        campus.write(number, &mut text);
        let event = DomainEvent::parse(&text, Timestamp(0)).expect("the campus writes events");
        let heard = KINDS[usize::from(kind.0)].hear(kind, &event, &mut told, &mut scratch);
        heard.expect("and fit ones");
    }
    told.list
}

fn fold_all(mind: &mut dyn Mind, payloads: &[Vec<u8>], fx: &mut Effects) {
    for (position, payload) in payloads.iter().enumerate() {
        fx.reset(Timestamp(1_767_600_000_000), position as u64);
        loop {
            match mind.apply(payload, fx) {
                Ok(outcome) => break drop(black_box(outcome)),
                Err(Stop::NeedsPage(page)) => mind.give_page(page, None).expect("a new page"),
                Err(Stop::Undecodable(why)) => panic!("{why}"),
            }
        }
    }
}

fn fold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fold");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for (id, kind) in (0..).map(KindId).zip(KINDS) {
        let payloads = payloads(id);
        let mut fx = Effects::new(Timestamp(0), 0);
        group.bench_function(kind.name, |bencher| {
            let new = || kind.wake(None).expect("a new mind has no bytes");
            let run = |mut mind: Box<dyn Mind>| {
                fold_all(&mut *mind, &payloads, &mut fx);
                mind
            };
            bencher.iter_batched(new, run, BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, fold);
criterion_main!(benches);
