//! A kind that was added later, told the whole history: its states are those of a directory that
//! had it from the start, it is told each thing once however often that is killed, and nothing is
//! carried out.

#[path = "support/campus.rs"]
mod campus;

use actors::course::{Bucket, Course, Metric, Query};
use actors::currency::Currency;
use actors::inbox::Inbox;
use actors::payment::Payment;
use actors::{KINDS, Kind};
use campus::{Silent, study};
use state::disk::RealDisk;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use topology::api::Listing;
use topology::backfill::{Error, Report, backfill};
use topology::{Engine, Freshness, verify};

static WITHOUT: &[Kind] = &[Kind::of::<Inbox>(), Kind::of::<Payment>()];

async fn try_start(kinds: &'static [Kind], data: &Path, silent: &Silent) -> Result<Engine, String> {
    let silent = silent.clone();
    let sinks = move |_: &_, _: &_, _: &str| Ok(silent.sinks());
    let engine = Engine::start(kinds, campus::options(data), Arc::new(RealDisk), sinks).await;
    let engine = engine.map_err(|error| error.to_string())?;
    engine.caught_up().await;
    Ok(engine)
}

async fn start(kinds: &'static [Kind], data: &Path) -> Engine {
    try_start(kinds, data, &Silent::default()).await.expect("it starts")
}

/// Every course's report and two of its series.
async fn courses(engine: &Engine) -> BTreeMap<String, String> {
    let handle = engine.handle();
    let at_least = Some(handle.durable_end());
    let fresh = Freshness { at_least, wait_max: Duration::from_secs(60) };
    let kind = handle.kind("course").expect("it is in the table");
    let listing = Listing { limit: 100, ..Listing::default() };
    let keys = handle.list(kind, listing, fresh).await.expect("listed").value.keys;
    let mut all = BTreeMap::new();
    for key in keys {
        let view = handle.view(kind, &key, fresh).await.expect("readable").value;
        let mut text = String::from_utf8(view.expect("it is there")).expect("JSON");
        for metric in ["enrollments", "revenue"] {
            let metric = Metric::parse(metric, Currency::parse("EUR")).expect("a metric");
            let bucket = Bucket::parse("day").expect("a bucket");
            let query = Query { metric, bucket, from: None, to: None };
            let series = handle.ask::<Course>(&key, query, fresh).await.expect("readable");
            text.push_str(&format!("{:?}", series.value));
        }
        all.insert(key.to_string(), text);
    }
    all
}

fn tell(
    kinds: &'static [Kind],
    (kind, data): (&str, &Path),
    watch: &mut dyn FnMut(u64),
) -> Result<Report, Error> {
    backfill(kinds, (kind, data), &std::env::temp_dir(), &mut |done, _| watch(done))
}

#[derive(Default)]
struct Findings(Vec<String>);

impl verify::Watch for Findings {
    fn found(&mut self, what: &str) {
        self.0.push(what.to_owned());
    }

    fn at(&mut self, _: u64, _: u64, _: u64) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_is_added_later_comes_to_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let (whole, later) = (dir.path().join("whole"), dir.path().join("later"));
    for (data, kinds) in [(&whole, KINDS), (&later, WITHOUT)] {
        let engine = start(kinds, data).await;
        study(&engine, 0, (5_000, 250)).await;
        engine.drain().await.expect("stops");
    }
    // Killed after each batch but the last: what was told stays told.
    let mut kills = 0;
    for batches in 1.. {
        let mut seen = 0;
        let told = catch_unwind(AssertUnwindSafe(|| {
            tell(KINDS, ("course", &later), &mut |_| {
                seen += 1;
                assert!(seen < batches, "killed");
            })
        }));
        let Ok(told) = told else {
            kills += 1;
            for kinds in [KINDS, WITHOUT] {
                let said = try_start(kinds, &later, &Silent::default()).await.err();
                let said = said.expect("nobody reads it half told");
                assert!(said.contains("bellwether backfill course"), "{said}");
            }
            continue;
        };
        assert!(told.expect("done").told > 1_000);
        break;
    }
    assert!(kills >= 2, "{kills} kills");
    let known = tell(KINDS, ("course", &later), &mut |_| {}).expect_err("it is done");
    assert!(matches!(known, Error::Known(_)), "{known}");

    let silent = Silent::default();
    let told = try_start(KINDS, &later, &silent).await.expect("it can be served again");
    let from_the_start = start(KINDS, &whole).await;
    let expected = courses(&from_the_start).await;
    assert!(expected.len() > 2 && expected.values().any(|text| text.contains("\"gross\"")));
    assert_eq!(courses(&told).await, expected);
    // From now on it hears what happens, as the other does.
    for engine in [told, from_the_start] {
        study(&engine, 5_000, (300, 100)).await;
        engine.drain().await.expect("stops");
    }
    let mut states = Vec::new();
    for data in [&whole, &later] {
        let engine = try_start(KINDS, data, &silent).await.expect("it starts");
        states.push(courses(&engine).await);
        engine.drain().await.expect("stops");
    }
    assert!(states[0] == states[1] && states[0] != expected);
    assert_eq!(silent.0.load(Ordering::Acquire), 0, "deliveries");
    let mut findings = Findings::default();
    verify::verify(KINDS, &later, &std::env::temp_dir(), &mut findings).expect("readable");
    assert_eq!(findings.0, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_told_the_history_is_said() {
    static ONE: &[Kind] = &[Kind::of::<Inbox>()];
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path();
    let said = |kind: &str| {
        let error = tell(KINDS, (kind, data), &mut |_| {}).expect_err("refused");
        error.to_string()
    };
    assert!(said("course").contains("is not a data directory"), "{}", said("course"));
    start(ONE, data).await.drain().await.expect("stops");
    assert_eq!(said("cart"), "this program has no kind cart");
    assert_eq!(said("course"), "payment comes first: run its backfill");
    assert!(said("inbox").contains("knows inbox already"), "{}", said("inbox"));
    let report = tell(KINDS, ("payment", data), &mut |_| {}).expect("there is nothing to tell");
    assert_eq!(report, Report { end: 0, told: 0 });
    start(&KINDS[..2], data).await.drain().await.expect("stops");
}
