//! Damage done to a real data directory: whatever is flipped, cut, removed or put back from
//! yesterday, it is noticed and named, or does no harm; and no answer is ever wrong.
//!
//! A small directory is made once, with segments, images and a store; each case damages a copy,
//! checks it as `bellwether verify` does, and starts the engine on it. `BELLWETHER_FLIPS` says how
//! many random flips are made, `BELLWETHER_SEED` which. What is *not* here: what the journal says
//! to every single flipped byte of its end (`state`), and the words of `verify` (the workspace's
//! `tests/verify.rs`).

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

use actors::payment::{Event, Payment, input::Create};
use actors::{KINDS, KindId};
use serde_json::{Value, json};
use state::disk::RealDisk;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use topology::api::{Intake, ReadError};
use topology::dispatcher::Sinks;
use topology::simulation::chance::Chance;
use topology::verify::{Watch, verify};
use topology::{Engine, Freshness, Options};

const USERS: u32 = 30;
const PAYMENTS: u32 = 12;

fn options(data: &Path) -> Options {
    let mut options = Options { sinks: false, store_cache_bytes: 1 << 20, ..Options::new(data) };
    options.journal.segment_bytes = 24 << 10;
    options.journal.disk_reserve_bytes = 0;
    options.store.image_entries_min = 1;
    options
}

async fn start(data: &Path) -> Result<Engine, String> {
    let start = Engine::start(KINDS, options(data), Arc::new(RealDisk), |_, _, _| Ok(Sinks::new()));
    let started = start.await;
    started.map_err(|error| error.to_string())
}

fn event(number: u32) -> Vec<u8> {
    json!({
        "specversion": "1.0", "id": format!("e-{number}"), "source": "/damage",
        "type": "com.example.learning.lesson.completed.v1", "time": "2026-11-20T09:00:00Z",
        "data": {
            "user_id": format!("u-{}", number % USERS), "course_id": format!("c-{}", number % 5),
            "lesson_id": format!("l-{number}"),
        },
    })
    .to_string()
    .into_bytes()
}

async fn live(engine: &Engine, first: u32) {
    engine.caught_up().await;
    let handle = engine.handle();
    for batch in 0..4 {
        let from = first + batch * 50;
        let producer = Some(("test".to_owned(), u64::from(from)));
        let events = (from..from + 50).map(|number| Ok(event(number))).collect();
        handle.intake(Intake { producer, events }).await.unwrap();
        for number in 0..PAYMENTS {
            let id = format!("p-{number}");
            let body = json!({"user_id": format!("u-{number}"), "amount": 500, "currency": "EUR"});
            let create = Event::Create(Box::new(Create::read(id.as_str().into(), &body).unwrap()));
            handle.command::<Payment>(&id, &create, None).await.unwrap();
        }
        if batch == 2 {
            engine.checkpoint().await;
        }
    }
}

/// What the directory's answers are: every view there is, by kind and key.
type Views = BTreeMap<(u8, String), Value>;

/// Asks for everything. What cannot be read is left out; it is no answer.
async fn views(engine: &Engine) -> Views {
    let handle = engine.handle();
    let keys = |kind: &'static str, start: &'static str, count: u32| {
        (0..count).map(move |number| (kind, format!("{start}{number}")))
    };
    let all = keys("inbox", "u-", USERS).chain(keys("payment", "p-", PAYMENTS));
    let wait_max = Duration::from_secs(30);
    let fresh = Freshness { at_least: Some(handle.durable_end()), wait_max };
    let mut views = Views::new();
    for (kind, key) in all.chain(keys("course", "c-", 5)) {
        let KindId(id) = handle.kind(kind).unwrap();
        match handle.view(KindId(id), &key, fresh).await {
            Ok(read) => {
                let view = read.value.map_or(Value::Null, |text| {
                    serde_json::from_slice(&text).expect("a view is JSON")
                });
                views.insert((id, key), view);
            }
            Err(ReadError::Internal(_)) => {}
            Err(error) => panic!("{kind}/{key}: {error}"),
        }
    }
    views
}

struct Made {
    dir: tempfile::TempDir,
    /// The directory as it was a checkpoint ago.
    before: tempfile::TempDir,
    views: Views,
}

/// Made once, and only copied from.
fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let (dir, before) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let views = run(async {
            let engine = start(dir.path()).await.unwrap();
            live(&engine, 0).await;
            engine.drain().await.unwrap();
            drop(engine);
            copy(dir.path(), before.path());
            let engine = start(dir.path()).await.unwrap();
            live(&engine, 200).await;
            let views = views(&engine).await;
            engine.drain().await.unwrap();
            views
        });
        let known = views.values().filter(|view| !view.is_null()).count();
        assert_eq!(known, (USERS + PAYMENTS + 5) as usize);
        Made { dir, before, views }
    })
}

fn run<R>(what: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let done = runtime.block_on(what);
    // An engine that has failed may have threads that nobody will end.
    runtime.shutdown_background();
    done
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            std::fs::copy(&path, &copied).unwrap();
        }
    }
}

#[derive(Default)]
struct Findings(Vec<String>);

impl Watch for Findings {
    fn found(&mut self, what: &str) {
        self.0.push(what.to_owned());
    }

    fn at(&mut self, _: u64, _: u64, _: u64) {}
}

/// What `verify` finds; a directory that it refuses to look at is a finding too.
fn findings(data: &Path) -> Vec<String> {
    let mut findings = Findings::default();
    if let Err(error) = verify(KINDS, data, &std::env::temp_dir(), &mut findings) {
        findings.0.push(error.to_string());
    }
    findings.0
}

/// Starts on a damaged directory. Whatever it answers is right; if it refuses, it says why.
fn no_answer_is_wrong(data: &Path, what: &str, must_start: bool) {
    run(async {
        let engine = match start(data).await {
            Ok(engine) => engine,
            Err(why) => {
                assert!(!must_start, "{what}: {why}");
                assert!(why.contains(&data.display().to_string()), "{what}: {why} names no file");
                return;
            }
        };
        let mut fatal = engine.tree().fatal();
        tokio::select! {
            () = engine.caught_up() => {}
            why = fatal.wait_for(Option::is_some) => {
                assert!(!must_start, "{what}: {:?}", why.unwrap());
                return;
            }
        }
        let views = views(&engine).await;
        for (address, view) in &views {
            assert_eq!(view, &made().views[address], "{what}: {address:?}");
        }
        assert!(!must_start || views.len() == made().views.len(), "{what}: some are unreadable");
        let drained = engine.drain().await;
        assert!(!must_start || drained.is_ok(), "{what}: {drained:?}");
    });
}

/// The files of a folder, in order, without those that hold nothing but zeros.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && used(path) > 0)
        .collect();
    files.sort();
    files
}

/// How long a file is without the zeros at its end.
fn used(path: &Path) -> usize {
    let bytes = std::fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "seg")
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// A random bit of an older segment, an image or the store; never of what nobody vouches for yet.
#[test]
fn a_flipped_bit_is_noticed_and_named_or_does_no_harm() {
    let seed = number("BELLWETHER_SEED", 1);
    println!("BELLWETHER_SEED={seed}");
    let mut chance = Chance(seed);
    let (mut journal, mut images, mut store) = (0, 0, 0);
    for flip in 0..number("BELLWETHER_FLIPS", 24) {
        let dir = tempfile::tempdir().unwrap();
        copy(made().dir.path(), dir.path());
        let folder = *chance.of(&["journal", "images", "store"]);
        let mut all = files(&dir.path().join(folder));
        if folder == "journal" {
            all.retain(|path| is_segment(path));
            all.pop();
        }
        let path = chance.of(&all).clone();
        let byte = chance.below(used(&path) as u64) as usize;
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[byte] ^= 1 << chance.below(8);
        std::fs::write(&path, bytes).unwrap();
        let name = path.strip_prefix(dir.path()).unwrap().display().to_string();
        let what = format!("flip {flip}, byte {byte} of {name}");
        let found = findings(dir.path());
        let file = path.file_name().unwrap().to_str().unwrap();
        match folder {
            "store" => store += u32::from(!found.is_empty()),
            _ => assert!(found.iter().any(|said| said.contains(file)), "{what}: {found:?}"),
        }
        journal += u32::from(folder == "journal");
        images += u32::from(folder == "images");
        no_answer_is_wrong(dir.path(), &what, false);
    }
    println!("{journal} flips of segments, {images} of images; {store} of the store were noticed");
    assert!(journal > 0 && images > 0, "nothing was flipped");
}

/// What is done to the store's folder; the data directory, and one of a checkpoint ago.
type Case = (&'static str, fn(&Path, &Path));

const STORES: [Case; 8] = [
    ("the store is deleted", |data, _| std::fs::remove_dir_all(data.join("store")).unwrap()),
    ("the store and the images are deleted", |data, _| {
        std::fs::remove_dir_all(data.join("store")).unwrap();
        std::fs::remove_dir_all(data.join("images")).unwrap();
    }),
    ("every file of the store is empty", |data, _| {
        for file in files(&data.join("store")) {
            std::fs::write(file, b"").unwrap();
        }
    }),
    ("every file of the store is cut in half", |data, _| {
        for file in files(&data.join("store")) {
            let bytes = std::fs::read(&file).unwrap();
            std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        }
    }),
    ("every image is cut in half", |data, _| {
        for file in files(&data.join("images")) {
            let bytes = std::fs::read(&file).unwrap();
            std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        }
    }),
    ("the store is one of a checkpoint ago", |data, before| {
        std::fs::remove_dir_all(data.join("store")).unwrap();
        copy(&before.join("store"), &data.join("store"));
    }),
    ("store and images are of a checkpoint ago", |data, before| {
        for folder in ["store", "images"] {
            std::fs::remove_dir_all(data.join(folder)).unwrap();
            copy(&before.join(folder), &data.join(folder));
        }
    }),
    ("a file stands where the store should be", |data, _| {
        std::fs::remove_dir_all(data.join("store")).unwrap();
        std::fs::write(data.join("store"), b"nothing of ours").unwrap();
    }),
];

#[test]
fn whatever_becomes_of_the_store_it_is_made_again_from_what_is_left() {
    for (what, damage) in STORES {
        let dir = tempfile::tempdir().unwrap();
        copy(made().dir.path(), dir.path());
        damage(dir.path(), made().before.path());
        no_answer_is_wrong(dir.path(), what, true);
        // What it was made into is whole again.
        let found = findings(dir.path());
        assert!(found.iter().all(|said| said.contains("torn tail")), "{what}: {found:?}");
    }
}

/// A journal that is older than its store is never taken for the whole truth.
#[test]
fn a_journal_of_a_checkpoint_ago_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    copy(made().dir.path(), dir.path());
    std::fs::remove_dir_all(dir.path().join("journal")).unwrap();
    copy(&made().before.path().join("journal"), &dir.path().join("journal"));
    let why = run(start(dir.path())).err().expect("it is refused");
    assert!(why.contains("the store's ceiling vouches for the journal"), "{why}");
    assert!(!findings(dir.path()).is_empty());
}

#[test]
fn a_store_that_cannot_be_written_is_said_and_costs_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    copy(made().dir.path(), dir.path());
    let allow = |mode| {
        let store = dir.path().join("store");
        for file in files(&store).iter().chain([&store]) {
            std::fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap();
        }
    };
    allow(0o555);
    // Whoever may do everything, as in a container, is not stopped by this; then it simply works.
    no_answer_is_wrong(dir.path(), "a store that is read-only", false);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    no_answer_is_wrong(dir.path(), "a store that was read-only", true);
}
