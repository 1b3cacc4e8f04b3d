//! An entity as it was: at a thousand moments equal to a recount by plain fold, live and at rest;
//! and what there is no answer for, is said.

#[path = "support/campus.rs"]
mod campus;

use actors::course::{Bucket, Course, Metric, Query as CourseQuery};
use actors::deadletter::DeadLetter;
use actors::inbox::{Answer, Archived, Inbox, List, Query as InboxQuery};
use actors::payment::{Payment, Query as PaymentQuery};
use actors::{Address, Effect, EffectId, Effects, KINDS, Kind, KindId, Mind, Position, Stop};
use campus::lived;
use state::directory::Identity;
use state::disk::{ReadOnlyDisk, RealDisk};
use state::frame::Record;
use state::journal::rest::AtRest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use topology::api::ReadError;
use topology::record::{Prefix, split};
use topology::{AsOf, Engine, Freshness, Handle, Options};

const MOMENTS: usize = 1_000;

/// Chance from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// Every entity as a plain fold, and nothing of the engine's in it but what a record's prefix
/// means.
#[derive(Default)]
struct Recount {
    minds: BTreeMap<Address, (Box<dyn Mind + 'static>, BTreeSet<EffectId>)>,
    trails: BTreeMap<Address, Vec<Position>>,
}

impl Recount {
    fn record(&mut self, record: &Record<'_>) {
        if record.key.is_empty() {
            return;
        }
        let address = Address::new(record.kind, record.key);
        self.trails.entry(address.clone()).or_default().push(record.position);
        let (mind, pending) = self.minds.entry(address).or_insert_with(|| {
            let kind = match record.kind {
                KindId::DEAD_LETTER => Kind::of::<DeadLetter>(),
                KindId(id) => KINDS[usize::from(id)],
            };
            (kind.wake(None).expect("a new entity"), BTreeSet::new())
        });
        let (prefix, event) = split(record.tag, record.payload).expect("a sound record");
        match prefix {
            Prefix::Fired(id) | Prefix::Answered(id, true) if !pending.remove(&id) => return,
            Prefix::Answered(id, false) if !pending.contains(&id) => return,
            _ => {}
        }
        let mut fx = Effects::new(record.time, record.position);
        loop {
            match mind.apply(event, &mut fx) {
                Ok(actors::Outcome::Rejected(_)) => return,
                Ok(_) => break,
                Err(Stop::NeedsPage(page)) => mind.give_page(page, None).expect("a new page"),
                Err(Stop::Undecodable(why)) => panic!("{why}"),
            }
        }
        let ids = (0..).zip(fx.take()).filter_map(|(index, effect)| {
            let waits = matches!(effect, Effect::At { .. } | Effect::Deliver(_));
            waits.then_some(EffectId { cause: record.position, index })
        });
        pending.extend(ids);
    }
}

/// What was asked at a moment, and what the recount says.
struct Moment {
    position: Position,
    address: Address,
    /// The view; none if nothing had been told to it.
    view: Option<String>,
    trail: Vec<Position>,
    /// What the kind says to a question of its own.
    answer: Option<String>,
}

/// The list of an inbox, a course's series or a payment's history, whatever the kind has.
fn own_answer(kind: KindId, mind: &dyn Mind, key: &str) -> Option<String> {
    let question: Box<dyn std::any::Any + Send> = match kind {
        KindId(0) => Box::new(inbox_query()),
        KindId(1) => Box::new(PaymentQuery::History { cursor: None, limit: 100 }),
        KindId(2) => Box::new(course_query()),
        _ => return None,
    };
    // Every page stays in memory.
    let answer = mind.ask(key, question, &mut |_| None).expect("its own question");
    Some(match kind {
        KindId(0) => inbox_text(answer.downcast_ref().expect("its own answer")),
        KindId(1) => format!("{:?}", answer.downcast_ref::<<Payment as actors::Entity>::Answer>()),
        _ => format!("{:?}", answer.downcast_ref::<<Course as actors::Entity>::Answer>()),
    })
}

fn inbox_query() -> InboxQuery {
    InboxQuery::List(List { unread: false, archived: Archived::Include, limit: 100, before: None })
}

fn inbox_text(answer: &Answer) -> String {
    let Answer::List(listed) = answer else { panic!("asked for a list") };
    format!("{} {:?}", listed.total, serde_json::to_string(&listed.items))
}

fn course_query() -> CourseQuery {
    let metric = Metric::parse("enrollments", None).expect("a metric");
    let bucket = Bucket::parse("day").expect("a bucket");
    CourseQuery { metric, bucket, from: None, to: None }
}

/// Takes down what some entities were at some moments, in one pass over the journal.
fn recount(data: &Path, chance: &mut Chance) -> (Vec<Moment>, Position) {
    let uuid = Identity::read(&ReadOnlyDisk, data).expect("readable").expect("there").journal.0;
    let journal = AtRest::open(Arc::new(ReadOnlyDisk), &data.join("journal"), uuid);
    let journal = journal.expect("readable");
    let (mut addresses, mut end) = (BTreeSet::new(), 0);
    journal
        .frames(&mut |seen| {
            end = seen.frame.end();
            let records = seen.frame.records().filter(|record| !record.key.is_empty());
            addresses.extend(records.map(|record| Address::new(record.kind, record.key)));
        })
        .expect("readable");
    let addresses: Vec<Address> = addresses.into_iter().collect();
    let mut wanted: Vec<(Position, Address)> = (0..MOMENTS)
        .map(|_| {
            let address = &addresses[chance.below(addresses.len() as u64) as usize];
            (chance.below(end + 1), address.clone())
        })
        .collect();
    wanted.sort();
    let (mut fold, mut moments) = (Recount::default(), Vec::new());
    let mut wanted = wanted.into_iter().peekable();
    let mut take = |fold: &Recount, next: Position| {
        while let Some((position, address)) = wanted.next_if(|(position, _)| *position <= next) {
            let mind = fold.minds.get(&address).map(|(mind, _)| &**mind);
            let view = mind.map(|mind| String::from_utf8(mind.view(&address.key)).expect("JSON"));
            let answer = mind.and_then(|mind| own_answer(address.kind, mind, &address.key));
            let trail = fold.trails.get(&address).cloned().unwrap_or_default();
            moments.push(Moment { position, address, view, trail, answer });
        }
    };
    journal
        .frames(&mut |seen| {
            for record in seen.frame.records() {
                take(&fold, record.position);
                fold.record(&record);
            }
        })
        .expect("readable");
    take(&fold, end);
    (moments, end)
}

async fn start(data: &Path) -> Engine {
    let options = Options { sinks: false, ..campus::options(data) };
    let sinks = topology::sinks::answering;
    let engine = Engine::start(KINDS, options, Arc::new(RealDisk), sinks).await;
    let engine = engine.expect("it starts");
    engine.caught_up().await;
    engine
}

async fn compare(handle: &Handle, moments: &[Moment]) {
    for Moment { position, address, view, trail, answer } in moments {
        let what = format!("{address:?} as of {position}");
        let as_of = AsOf { position: *position, wait_max: Duration::from_secs(60) };
        let Address { kind, key } = address;
        let read = handle.view_as_of(*kind, key, as_of).await.expect("readable");
        assert_eq!(read.position, *position, "{what}");
        let said = read.value.map(|view| String::from_utf8(view).expect("JSON"));
        assert_eq!(said, *view, "{what}");
        let read = handle.history_as_of(address.clone(), None, usize::MAX, as_of).await;
        let history = read.expect("readable").value.unwrap_or_default();
        let positions = history.iter().rev().map(|item| item.position);
        assert!(positions.eq(trail.iter().copied()), "{what}");
        let asked = match kind {
            KindId(0) => {
                let read = handle.ask_as_of::<Inbox>(key, inbox_query(), as_of).await;
                read.expect("readable").value.map(|answer| inbox_text(&answer))
            }
            KindId(1) => {
                let query = PaymentQuery::History { cursor: None, limit: 100 };
                let read = handle.ask_as_of::<Payment>(key, query, as_of).await;
                read.expect("readable").value.map(|answer| format!("{:?}", Some(answer)))
            }
            KindId(2) => {
                let read = handle.ask_as_of::<Course>(key, course_query(), as_of).await;
                read.expect("readable").value.map(|answer| format!("{:?}", Some(answer)))
            }
            _ => None,
        };
        assert_eq!(asked, *answer, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_moments_equal_a_recount_at_rest_and_live() {
    let data = tempfile::tempdir().expect("a directory");
    lived(data.path(), KINDS, 2_000).await;
    let seed = 0xA50F;
    let (moments, end) = recount(data.path(), &mut Chance(seed));
    let there = moments.iter().filter(|moment| moment.view.is_some()).count();
    assert!(there > MOMENTS / 3, "{there} of {MOMENTS} moments are after a first record");
    let engine = start(data.path()).await;
    let handle = engine.handle();
    println!("seed {seed}, {MOMENTS} moments below {end}");
    compare(&handle, &moments).await;
    // Everybody is woken, and what they are told now changes nothing of what was.
    campus::study(&engine, 2_000, (400, 100)).await;
    engine.applied(handle.durable_end()).await;
    compare(&handle, &moments[..MOMENTS / 4]).await;
    assert!(handle.durable_end() > end);
    engine.drain().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_no_answer_for_is_said() {
    let data = tempfile::tempdir().expect("a directory");
    lived(data.path(), KINDS, 400).await;
    let limited = |records_max, bytes_max| Options {
        sinks: false,
        as_of_records_max: records_max,
        as_of_journal_bytes_max: bytes_max,
        ..campus::options(data.path())
    };
    let course = KindId(2);
    for (options, word) in
        [(limited(10, 1 << 30), "at most 10 are"), (limited(1_000, 300), "300 bytes")]
    {
        let sinks = topology::sinks::answering;
        let engine =
            Engine::start(KINDS, options, Arc::new(RealDisk), sinks).await.expect("starts");
        engine.caught_up().await;
        let (handle, end) = (engine.handle(), engine.handle().durable_end());
        let listing = topology::api::Listing { limit: 1, ..topology::api::Listing::default() };
        let keys = handle.list(course, listing, Freshness::default()).await.expect("listed");
        let key = keys.value.keys[0].clone();
        let as_of = |position| AsOf { position, wait_max: Duration::from_secs(60) };
        let refused = handle.view_as_of(course, &key, as_of(end)).await.expect_err("too much");
        assert!(matches!(&refused, ReadError::TooMuch(why) if why.contains(word)), "{refused}");
        // The trail alone is no work.
        let address = Address::new(course, &key);
        let history = handle.history_as_of(address, None, 5, as_of(end)).await.expect("readable");
        assert_eq!(history.value.expect("it is there").len(), 5);
        let beyond = handle.view_as_of(course, &key, as_of(end + 1)).await;
        assert_eq!(beyond.expect_err("refused"), ReadError::BeyondEnd { end });
        let nobody = handle.view_as_of(course, "nobody", as_of(end)).await.expect("readable");
        assert_eq!((nobody.value, nobody.position), (None, end));
        let before = handle.view_as_of(course, &key, as_of(0)).await.expect("readable");
        assert_eq!(before.value, None);
        engine.drain().await.expect("stops");
    }
}
