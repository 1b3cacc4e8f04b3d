//! A directory built from another's journal: the same bytes by the same code, exactly the records
//! below the wanted end, nothing carried out, and whoever a change of the code changes is named.

#[path = "support/campus.rs"]
mod campus;

use actors::entity::{Entity, Outcome, Tell};
use actors::event::{DomainEvent, Unfit};
use actors::{Effects, KINDS, Kind, Pages};
use campus::{Silent, lived};
use serde::{Deserialize, Serialize};
use state::directory::Identity;
use state::disk::{ReadOnlyDisk, RealDisk};
use state::store::{self, Kv, SledKv, rest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use topology::replay::{Error, Report, Request, replay};
use topology::{Engine, Options, verify};

/// Who is told, and told of nobody.
#[derive(Default)]
struct Told {
    differing: Vec<String>,
    findings: Vec<String>,
    progress: Option<(u64, u64)>,
}

impl topology::replay::Watch for Told {
    fn differs(&mut self, address: &str) {
        self.differing.push(address.to_owned());
    }

    fn at(&mut self, done_bytes: u64, all_bytes: u64, _: u64) {
        assert!(self.progress.is_none_or(|(before, _)| before <= done_bytes));
        self.progress = Some((done_bytes, all_bytes));
    }
}

impl verify::Watch for Told {
    fn found(&mut self, what: &str) {
        self.findings.push(what.to_owned());
    }

    fn at(&mut self, _: u64, _: u64, _: u64) {}
}

fn again(
    kinds: &'static [Kind],
    (from, into): (&Path, &Path),
    until: Option<u64>,
) -> Result<(Report, Told), Error> {
    let scratch = std::env::temp_dir();
    let mut told = Told::default();
    let request = Request { from, into, until, scratch: &scratch };
    Ok((replay(kinds, &request, &mut told)?, told))
}

/// Every entry of every shard, as it is stored.
fn stored(data: &Path) -> BTreeMap<(u16, Vec<u8>), Vec<u8>> {
    let uuid = Identity::read(&ReadOnlyDisk, data).expect("readable").expect("there").journal.0;
    let scratch = tempfile::tempdir().expect("a directory");
    let place = rest::Place {
        disk: Arc::new(ReadOnlyDisk),
        dir: data,
        scratch: scratch.path(),
        open_kv: Arc::new(|path| Ok(Arc::new(SledKv::open(path, 1 << 20)?) as Arc<dyn Kv>)),
    };
    let looked = rest::look(&place, &store::Options::default(), uuid).expect("readable");
    assert_eq!(looked.findings, Vec::<String>::new());
    let store = looked.store.expect("there is one");
    let mut all = BTreeMap::new();
    for shard in 0..64 {
        let entries = store.reader().scan(shard, &[], None, usize::MAX).expect("readable");
        all.extend(entries.into_iter().map(|(key, value)| ((shard, key), value)));
    }
    all
}

fn verified(data: &Path, kinds: &'static [Kind]) -> verify::Report {
    let mut told = Told::default();
    let report = verify::verify(kinds, data, &std::env::temp_dir(), &mut told).expect("readable");
    assert_eq!(told.findings, Vec::<String>::new());
    report
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_code_gives_the_same_bytes_and_carries_nothing_out() {
    let place = Place::new();
    let (from, into) = (place.at("from"), place.at("into"));
    lived(&from, KINDS, 3_000).await;
    let (report, told) = again(KINDS, (&from, &into), None).expect("replayed");
    assert_eq!(told.differing, Vec::<String>::new());
    assert_eq!((report.differing, report.not_compared, &report.store_unreadable), (0, 0, &None));
    assert!(report.compared > 140, "{report:?}");
    let (done, all) = told.progress.expect("it says how far it is");
    assert!(done * 2 > all, "{done} of {all}");
    let (theirs, ours) = (stored(&from), stored(&into));
    assert!(theirs.len() > 500, "{} entries", theirs.len());
    assert!(theirs == ours, "stored bytes differ");
    assert_eq!(verified(&into, KINDS).end, report.end);
    assert_eq!(verified(&from, KINDS).end, report.end);

    // Nothing was published or delivered, and nothing ever is: deliveries and timers wait in it.
    for file in ["outbox.ndjson", "mock-gateway.ndjson"] {
        assert!(from.join(file).exists() && !into.join(file).exists(), "{file}");
    }
    let silent = Silent::default();
    let counting = silent.clone();
    let start = |options, counting: Silent| {
        let sinks = move |_: &_, _: &_, _: &str| Ok(counting.sinks());
        Engine::start(KINDS, options, Arc::new(RealDisk), sinks)
    };
    let refused = start(Options::new(&into), counting.clone()).await.err().expect("refused");
    assert!(refused.to_string().contains("is a replay"), "{refused}");
    let looking = Options { sinks: false, ..Options::new(&into) };
    let engine = start(looking, counting).await.expect("it can be looked at");
    engine.caught_up().await;
    assert_eq!(engine.handle().durable_end(), report.end);
    engine.drain().await.expect("stops");
    drop(engine);
    assert_eq!(silent.0.load(Ordering::Acquire), 0, "deliveries");
    assert!(stored(&into) == theirs, "looking changed it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_to_any_position_it_is_a_plain_fold_of_the_records_below() {
    let place = Place::new();
    let from = place.at("from");
    lived(&from, KINDS, 900).await;
    let end = verified(&from, KINDS).end;
    let seed = 0x5eed_u64;
    let middle = (0..6).map(|n: u64| (seed + n).wrapping_mul(0x9E37_79B9_7F4A_7C15) % end);
    for until in [0, 1, end].into_iter().chain(middle) {
        let into = place.at(&format!("until-{until}"));
        let (report, told) = again(KINDS, (&from, &into), Some(until)).expect("replayed");
        assert_eq!((report.end, told.differing), (until, Vec::new()), "seed {seed}");
        let checked = verified(&into, KINDS);
        assert_eq!((checked.end, checked.not_compared), (until, 0), "seed {seed}, until {until}");
        assert_eq!(checked.entities, report.compared + report.not_compared - beyond(&from, until));
    }
}

/// How many entities began at or beyond a position.
fn beyond(data: &Path, until: u64) -> u64 {
    let rows = stored(data).into_iter().filter(|((_, key), _)| key[0] == b'r');
    let created = rows.map(|(_, value)| state::row::Row::decode(&value).expect("a row").created);
    created.filter(|created| *created >= until).count() as u64
}

/// One counter per user; `DOUBLES` is the change of the code.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Lessons<const DOUBLES: bool>(u64);

impl<const DOUBLES: bool> Entity for Lessons<DOUBLES> {
    const KIND: &'static str = "lessons";
    type Event = String;
    type Page = ();
    type View = u64;
    type Query = ();
    type Answer = ();

    fn hear(event: &DomainEvent<'_>, tell: &mut Tell<'_, Self>) -> Result<(), Unfit> {
        if let Ok(user) = event.data.user() {
            tell.tell(user, &user.to_owned());
        }
        Ok(())
    }

    fn apply(&mut self, _: Option<&mut ()>, user: String, _: &mut Effects) -> Outcome {
        self.0 += if DOUBLES && user.ends_with('7') { 2 } else { 1 };
        Outcome::Applied
    }

    fn view(&self, _: &str) -> u64 {
        self.0
    }

    fn ask(&self, _: &str, (): (), _: &mut Pages<'_, ()>) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_a_change_of_the_code_changes_is_named() {
    static OLD: &[Kind] = &[Kind::of::<Lessons<false>>()];
    static NEW: &[Kind] = &[Kind::of::<Lessons<true>>()];
    let place = Place::new();
    let (from, into) = (place.at("from"), place.at("into"));
    let start = |kinds| {
        let sinks = topology::sinks::answering;
        Engine::start(kinds, campus::options(&from), Arc::new(RealDisk), sinks)
    };
    let engine = start(OLD).await.expect("it starts");
    campus::study(&engine, 0, (600, 50)).await;
    engine.drain().await.expect("stops");
    drop(engine);
    let (report, told) = again(NEW, (&from, &into), None).expect("replayed");
    let users = stored(&from).into_iter().filter(|((_, key), _)| key[0] == b'r');
    let users = users.map(|((_, key), _)| String::from_utf8(key[2..key.len() - 1].to_vec()));
    let sevens = users.map(|user| user.expect("a key is text")).filter(|user| user.ends_with('7'));
    let mut expected: Vec<_> = sevens.map(|user| format!("lessons/{user}")).collect();
    let mut differing = told.differing;
    expected.sort_unstable();
    differing.sort_unstable();
    assert!(!expected.is_empty() && report.compared > expected.len() as u64, "{report:?}");
    assert_eq!(differing, expected);
    assert_eq!(report.differing, expected.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_replayed_is_said_and_leaves_nothing() {
    let place = Place::new();
    let (from, into) = (place.at("from"), place.at("into"));
    let refused = |(from, into): (&Path, &Path), until| {
        again(KINDS, (from, into), until).err().expect("refused").to_string()
    };
    let said = refused((&from, &into), None);
    assert!(said.contains("is not a data directory"), "{said}");
    lived(&from, KINDS, 200).await;
    let end = verified(&from, KINDS).end;
    let said = refused((&from, &into), Some(end + 1));
    assert!(said.contains(&format!("ends at position {end}")), "{said}");
    assert!(!into.exists(), "an unfinished replay stays");
    let said = refused((&from, &from), None);
    assert!(said.contains("held by") || said.contains("is not empty"), "{said}");
    std::fs::create_dir(&into).expect("made");
    std::fs::write(into.join("mine"), "keep").expect("written");
    let said = refused((&from, &into), None);
    assert!(said.contains("is not empty"), "{said}");
    assert!(into.join("mine").exists(), "it was there before");

    let held = state::directory::Lock::take(&from).expect("nobody holds it");
    let said = refused((&from, &place.at("other")), None);
    assert!(said.contains("is held by"), "{said}");
    drop(held);
    let mut segments: Vec<_> = std::fs::read_dir(from.join("journal")).expect("there").collect();
    segments.sort_unstable_by_key(|entry| entry.as_ref().expect("readable").path());
    let first =
        segments.into_iter().flatten().find(|s| s.path().extension().is_some_and(|e| e == "seg"));
    let first = first.expect("a segment").path();
    let mut bytes = std::fs::read(&first).expect("readable");
    bytes[300] ^= 1;
    std::fs::write(&first, bytes).expect("written");
    let said = refused((&from, &place.at("other")), None);
    assert!(said.contains("the journal is damaged"), "{said}");
    assert!(!place.at("other").exists());
}
