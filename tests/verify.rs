//! `verify` and `journal` on real data directories: whole ones, killed ones, and ones with a single
//! thing wrong, which must be named.
//!
//! The directories are made by the engine, with small segments and images from the first checkpoint
//! on; each case damages a copy. What is *not* here: how a start copes with the same damage.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/process.rs"]
mod process;

use actors::payment::{Event, Payment, input::Create};
use actors::{Address, KINDS, KindId};
use process::{Process, bellwether};
use serde_json::{Value, json};
use state::directory::Identity;
use state::disk::RealDisk;
use state::row::key;
use state::store::{self, Checkpoint, Kv, SledKv, Store, Write};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, OnceLock};
use topology::api::Intake;
use topology::{Engine, Options};

const INBOX: KindId = KindId(0);
const SHARDS: u64 = 64;

fn event(number: u32) -> Vec<u8> {
    let types = ["learning.lesson.completed", "commerce.order.placed", "learning.course.completed"];
    json!({
        "specversion": "1.0", "id": format!("e-{number}"), "source": "/verify",
        "type": format!("com.example.{}.v1", types[number as usize % types.len()]),
        "time": "2026-11-20T09:00:00Z",
        "data": {
            "user_id": format!("u-{}", number % 150), "course_id": format!("c-{}", number % 5),
            "lesson_id": "l", "order_id": format!("o-{number}"),
        },
    })
    .to_string()
    .into_bytes()
}

async fn live(data: &Path, first: u32) {
    let mut options = Options { workers: 2, ..Options::new(data) };
    options.journal.segment_bytes = 128 << 10;
    options.store.image_entries_min = 1;
    let sinks = topology::sinks::answering;
    let engine = Engine::start(KINDS, options, Arc::new(RealDisk), sinks).await.unwrap();
    engine.caught_up().await;
    let handle = engine.handle();
    for batch in 0..8 {
        let from = first + batch * 250;
        let producer = Some(("test".to_owned(), u64::from(from)));
        let events = (from..from + 250).map(|number| Ok(event(number))).collect();
        handle.intake(Intake { producer, events }).await.unwrap();
        for number in from..from + 10 {
            let id = format!("p-{number}");
            let body = json!({
                "user_id": format!("u-{}", number % 150), "amount": 500, "currency": "EUR",
                "method": {"type": "card", "token": "pm_card_visa"}, "capture": "manual",
            });
            let create = Event::Create(Box::new(Create::read(id.as_str().into(), &body).unwrap()));
            handle.command::<Payment>(&id, &create, None).await.unwrap();
        }
        if batch == 3 {
            engine.checkpoint().await;
        }
    }
    engine.drain().await.unwrap();
}

/// A directory that was stopped once and goes on after it. Made once, and only copied from.
fn whole() -> &'static Path {
    static WHOLE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = WHOLE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        for first in [0, 2_000] {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(live(dir.path(), first));
        }
        dir
    });
    dir.path()
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

/// Every file but the lock, which says who holds it.
fn contents(dir: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contents(&path, found);
        } else if !path.ends_with("LOCK") {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
}

fn verify(data: &Path) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        bellwether().arg("verify").arg("--data").arg(data).output().unwrap();
    let said = [stdout, stderr].concat();
    (status.code(), String::from_utf8(said).unwrap())
}

/// The files of a folder whose names end so, in order.
fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(end)).collect();
    files.sort();
    files
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

/// Where the frames of a segment begin.
fn frames(segment: &Path) -> Vec<usize> {
    let bytes = std::fs::read(segment).unwrap();
    let magic = |at: &usize| bytes[*at..].starts_with(b"\xC1bwf");
    (4..bytes.len() - 4).filter(magic).map(|at| at - 4).collect()
}

/// The segment that is written last, and where its frames begin; the last of them is the seal.
fn last_segment(data: &Path) -> (PathBuf, Vec<usize>) {
    let segments = files(&data.join("journal"), ".seg");
    assert!(segments.len() > 3, "only {} segments", segments.len());
    let path = segments.last().unwrap().clone();
    let frames = frames(&path);
    (path, frames)
}

fn shard_of(address: &Address) -> u16 {
    (address.hash() % SHARDS) as u16
}

/// Changes what is stored of a shard, as the store does.
fn store_with(data: &Path, change: impl FnOnce(&store::Reader) -> (u16, Vec<Write>)) {
    let journal = Identity::read(&RealDisk, data).unwrap().unwrap().journal.0;
    let open_kv: store::OpenKv =
        Arc::new(|path| Ok(Arc::new(SledKv::open(path, 1 << 20)?) as Arc<dyn Kv>));
    let options = store::Options::default();
    let (mut store, opened) =
        Store::open(Arc::new(RealDisk), data, &open_kv, options, journal).unwrap();
    assert!(opened.images_lost.is_empty() && opened.aside.is_none());
    let (shard, writes) = change(&store.reader());
    let (replay_from, ceiling) = (store.replay_from(shard), store.ceiling());
    let note = store.shard_note(shard).unwrap();
    store.checkpoint(Checkpoint { shard, writes, replay_from, note, ceiling }).unwrap();
}

/// The first entry in a space of the store's keys: its shard, key and value.
fn first_of(store: &store::Reader, space: u8) -> (u16, Vec<u8>, Vec<u8>) {
    let first = |shard| {
        let mut found = store.scan(shard, &[space], Some(&[space + 1]), 1).unwrap();
        found.pop().map(|(key, value)| (shard, key, value))
    };
    (0..SHARDS as u16).find_map(first).unwrap()
}

fn one((key, value): (Vec<u8>, Option<Vec<u8>>)) -> Vec<Write> {
    vec![Write { entries: vec![(key, value)] }]
}

fn remove_first_of(data: &Path, space: u8) {
    store_with(data, |store| {
        let (shard, key, _) = first_of(store, space);
        (shard, one((key, None)))
    });
}

#[test]
fn a_whole_directory_is_found_whole_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    copy(whole(), dir.path());
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    contents(dir.path(), &mut before);
    let (code, said) = verify(dir.path());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.trim_end().ends_with("0 findings"), "{said}");
    assert!(!said.contains(" 0 images") && !said.contains(" 0 entities"), "{said}");
    contents(dir.path(), &mut after);
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    assert!(before == after, "a file has changed");
}

/// One thing that is done to a directory, and what has to be said of it.
type Case = (&'static str, fn(&Path), &'static [&'static str]);

const DAMAGES: [Case; 8] = [
    (
        "a byte of a frame in the middle",
        |data| {
            let segment = &files(&data.join("journal"), ".seg")[1];
            let frames = frames(segment);
            flip(segment, frames[frames.len() / 2] + 90);
        },
        &[".seg, offset", "damaged: the checksum does not match", "no row was compared"],
    ),
    (
        "a byte of the last frame with records",
        |data| {
            let (path, frames) = last_segment(data);
            flip(&path, frames[frames.len() - 2] + 85);
        },
        &["damaged: the checksum does not match"],
    ),
    (
        "a byte of the seal, for which nobody vouches",
        |data| {
            let (path, frames) = last_segment(data);
            flip(&path, frames[frames.len() - 1] + 50);
        },
        &["a torn tail of"],
    ),
    (
        "a segment",
        |data| std::fs::remove_file(&files(&data.join("journal"), ".seg")[1]).unwrap(),
        &["are missing before it", "no row was compared"],
    ),
    (
        "the end of the journal",
        |data| {
            let (path, frames) = last_segment(data);
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(frames[0] as u64).unwrap();
        },
        &["the journal ends here, but", "vouches for it up to"],
    ),
    (
        "a byte of the origin table",
        |data| flip(&files(&data.join("journal"), "origins.1")[0], 60),
        &["origins.1", "does not decode"],
    ),
    (
        "a byte of an image's block",
        |data| flip(&files(&data.join("images"), "")[0], 600),
        &["images", "block"],
    ),
    (
        "an image",
        |data| std::fs::remove_file(&files(&data.join("images"), "")[0]).unwrap(),
        &["the store names this image, and it is not there"],
    ),
];

const ROWS: [Case; 6] = [
    (
        "a row that is another entity's",
        |data| {
            store_with(data, |store| {
                let (one_of, other) = (Address::new(INBOX, "u-1"), Address::new(INBOX, "u-2"));
                let row = |of: &Address| {
                    store.get(shard_of(of), &key::row(of.kind, &of.key)).unwrap().unwrap()
                };
                (shard_of(&one_of), one((key::row(INBOX, "u-1"), Some(row(&other)))))
            });
        },
        &["inbox/u-1: its row stands at"],
    ),
    (
        "a row",
        |data| {
            store_with(data, |_| {
                (shard_of(&Address::new(INBOX, "u-1")), one((key::row(INBOX, "u-1"), None)))
            });
        },
        &["inbox/u-1: the store does not have record"],
    ),
    (
        "a pending entry",
        |data| remove_first_of(data, key::space::PENDING),
        &["pending entry", "is missing"],
    ),
    ("a tag", |data| remove_first_of(data, key::space::TAG), &["payment/p-", "tag", "is missing"]),
    (
        "a byte in the head of a row",
        |data| {
            store_with(data, |store| {
                let (shard, key, mut row) = first_of(store, key::space::ROW);
                // Behind the two versions, two positions of two bytes at least, and a length.
                row[9] ^= 1;
                (shard, one((key, Some(row))))
            });
        },
        &["inbox/u-"],
    ),
    (
        "a page of nobody's",
        |data| {
            store_with(data, |_| {
                let stray = Address::new(INBOX, "nobody");
                (shard_of(&stray), one((key::page(INBOX, "nobody", 3), Some(vec![1]))))
            });
        },
        &["inbox/nobody: page 3 stands without a row"],
    ),
];

fn all_are_named(cases: &[Case]) {
    for (what, damage, words) in cases {
        let dir = tempfile::tempdir().unwrap();
        copy(whole(), dir.path());
        damage(dir.path());
        let (code, said) = verify(dir.path());
        assert_eq!(code, Some(1), "{what}: {said}");
        for word in *words {
            assert!(said.contains(word), "{what} should be called {word:?}: {said}");
        }
    }
}

#[test]
fn damaged_and_missing_files_are_named() {
    all_are_named(&DAMAGES);
}

#[test]
fn rows_that_do_not_follow_from_the_journal_are_named() {
    all_are_named(&ROWS);
}

#[test]
fn any_byte_of_the_key_value_store_is_noticed_or_does_no_harm() {
    let database = std::fs::read(whole().join("store/db")).unwrap();
    let used = database.iter().rposition(|byte| *byte != 0).unwrap();
    let mut noticed = 0;
    for nth in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        copy(whole(), dir.path());
        flip(&dir.path().join("store/db"), used * nth / 12 + 3);
        let (code, said) = verify(dir.path());
        assert!(code == Some(0) || code == Some(1), "byte {nth}: {code:?}, {said}");
        noticed += u32::from(code == Some(1));
    }
    assert!(noticed > 0, "no byte of the database matters");
}

#[test]
fn a_directory_that_is_held_or_none_is_said() {
    let mut process = Process::start(&[]);
    let (code, said) = verify(&process.data());
    assert_eq!(code, Some(1));
    assert!(said.contains("is held by process"), "{said}");
    assert!(process.terminate().success());
    let (code, said) = verify(process.scratch());
    assert_eq!(code, Some(1));
    assert!(said.contains("is not a data directory"), "{said}");
}

#[test]
fn a_killed_process_leaves_nothing_wrong_but_a_torn_tail() {
    let mut process = Process::start(&[]);
    for round in 0..5_u32 {
        process.wait_ready();
        let headers = [("content-type", "application/cloudevents-batch+json")];
        for batch in 0..4 {
            let from = (round * 4 + batch) * 100;
            let events: Vec<String> = (from..from + 100)
                .map(|number| String::from_utf8(event(number)).unwrap())
                .collect();
            let body = format!("[{}]", events.join(","));
            assert_eq!(process.post("/api/v1/events", &headers, &body).0, 202);
            let key = format!("k-{from}");
            let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
            let method = json!({"type": "card", "token": "pm_card_visa_timeout"});
            let body = json!({"user_id": "u", "amount": 9, "currency": "EUR", "method": method});
            assert_eq!(process.post("/api/v1/payments", &headers, &body.to_string()).0, 201);
        }
        if round % 2 == 1 {
            assert!(process.terminate().success());
        } else {
            process.kill();
        }
        let (code, said) = verify(&process.data());
        let findings = said.lines().filter(|line| line.contains(", offset "));
        let torn = findings.clone().filter(|line| line.contains("a torn tail")).count();
        assert_eq!(findings.count(), torn, "round {round}: {said}");
        assert_eq!(code, Some(i32::from(torn > 0)), "round {round}: {said}");
        process.restart();
    }
}

/// What `journal` shows, line by line.
fn journal(data: &Path, arguments: &[&str]) -> Vec<Value> {
    let output =
        bellwether().arg("journal").arg("--data").arg(data).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_journal_is_shown_whole_and_in_part() {
    let all = journal(whole(), &[]);
    let positions: Vec<u64> = all.iter().map(|line| line["position"].as_u64().unwrap()).collect();
    assert!(positions.iter().copied().eq(0..positions.len() as u64), "positions have gaps");
    let some = journal(whole(), &["--from", "1000", "--limit", "7"]);
    assert_eq!(some, all[1_000..1_007]);
    let of_one: Vec<_> =
        all.iter().filter(|line| line["kind"] == "payment" && line["key"] == "p-3").collect();
    let asked = journal(whole(), &["--address", "payment/p-3"]);
    assert_eq!(asked.iter().collect::<Vec<_>>(), of_one);
    assert_eq!(of_one[0]["tag"], "command");
    assert!(of_one.iter().any(|line| line["tag"] == "answered"), "{of_one:?}");
    assert_eq!(all[0]["event"]["id"], "e-0");
    assert_eq!(all[1]["cause"], 0);
    assert_eq!(journal(whole(), &["--from", "99999999"]), Vec::<Value>::new());
}

#[test]
fn the_journal_is_followed_beside_a_running_process() {
    use std::io::BufRead as _;
    let process = Process::start(&[]);
    process.wait_ready();
    let mut child = bellwether()
        .args(["journal", "--follow", "--limit", "600", "--data"])
        .arg(process.data())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let headers = [("content-type", "application/cloudevents+json")];
    for number in 0..300 {
        let body = String::from_utf8(event(number)).unwrap();
        assert_eq!(process.post("/api/v1/events", &headers, &body).0, 202);
    }
    let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let position = |line: std::io::Result<String>| {
        serde_json::from_str::<Value>(&line.unwrap()).unwrap()["position"].as_u64().unwrap()
    };
    let positions: Vec<u64> = lines.map(position).collect();
    assert!(positions.into_iter().eq(0..600));
    assert!(child.wait().unwrap().success());
}
