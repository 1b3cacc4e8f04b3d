//! Snapshots as an operator has them: of a running process and of a directory at rest, restored,
//! checked, kept on a schedule; and the journal that forgets what they make good for.
//!
//! What is *not* here: crashes and damage byte by byte (`state`), and the load that is killed
//! (`tests/kill.rs`).

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/process.rs"]
mod process;

use actors::KINDS;
use process::{Process, bellwether};
use serde_json::{Value, json};
use state::directory::{Identity, JournalId};
use state::disk::RealDisk;
use state::store::{self, Kv, SledKv, Store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;
use topology::api::Intake;
use topology::snapshots::Retain;
use topology::{Engine, Options};

/// Many segments, and checkpoints all the time.
const CONFIG: &str = "
[journal]
segment_bytes = 2097152
[http]
batch_bytes_max = 1048576
[store]
checkpoint_interval_s = 1
";

fn event(number: u64) -> Value {
    let types = ["learning.lesson.completed", "commerce.order.placed", "learning.course.completed"];
    json!({
        "specversion": "1.0", "id": format!("e-{number}"), "source": "/snapshot",
        "type": format!("com.example.{}.v1", types[number as usize % types.len()]),
        "time": "2026-11-20T09:00:00Z",
        "data": {
            "user_id": format!("u-{}", number % 50), "course_id": format!("c-{}", number % 5),
            "lesson_id": "l", "order_id": format!("o-{number}"),
        },
    })
}

fn run(arguments: &[&str], path: &Path) -> Output {
    bellwether().args(arguments).arg(path).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// What it printed: a path.
fn printed(output: &Output) -> PathBuf {
    assert!(output.status.success(), "{}", said(output));
    PathBuf::from(String::from_utf8(output.stdout.clone()).unwrap().trim_end())
}

fn assert_verified(data: &Path) -> String {
    let verified = run(&["verify", "--data"], data);
    assert!(verified.status.success(), "{}", said(&verified));
    said(&verified)
}

fn restore(file: &Path, data: &Path) -> Output {
    bellwether().arg("restore").arg(file).arg("--data").arg(data).output().unwrap()
}

/// Events of a producer and events without numbers, all at once.
fn tell(process: &Process, from: u64, events: u64) -> (Value, Value) {
    let batch = |from: u64| Value::Array((from..from + events).map(event).collect()).to_string();
    let content = ("content-type", "application/cloudevents-batch+json");
    let sequence = from.to_string();
    let numbered =
        [content, ("bellwether-producer", "shop"), ("bellwether-sequence", sequence.as_str())];
    let numbered = process.post("/api/v1/events", &numbered, &batch(from));
    let unnumbered = process.post("/api/v1/events", &[content], &batch(1_000_000 + from));
    assert_eq!((numbered.0, unnumbered.0), (202, 202), "{numbered:?} {unnumbered:?}");
    (numbered.1["data"].clone(), unnumbered.1["data"].clone())
}

fn pay(process: &Process, key: &str, token: &str) -> (u16, Value) {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    let body = json!({
        "user_id": "u-1", "amount": 500, "currency": "EUR",
        "method": {"type": "card", "token": token}, "capture": "manual",
    });
    process.post("/api/v1/payments", &headers, &body.to_string())
}

/// What users see of everything.
fn shown(process: &Process, payments: &[String]) -> BTreeMap<String, Value> {
    let mut paths: Vec<String> =
        (0..50).map(|user| format!("/api/v1/users/u-{user}/inbox?limit=100")).collect();
    paths.extend((0..5).map(|course| format!("/api/v1/courses/c-{course}/report")));
    paths.extend(payments.iter().map(|id| format!("/api/v1/payments/{id}")));
    paths.extend(payments.iter().map(|id| format!("/api/v1/entities/payment/{id}/history")));
    paths.push("/api/v1/producers".to_owned());
    let shown = |path: String| {
        let data = process.get(&path)["data"].clone();
        (path, data)
    };
    paths.into_iter().map(shown).collect()
}

fn settled(process: &Process, id: &str) -> Value {
    loop {
        let view = process.get(&format!("/api/v1/payments/{id}"))["data"].clone();
        if view["status"] == "authorized" {
            return view;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_process_goes_on_from_its_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bellwether.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let mut process = Process::start(&["--config", config.to_str().unwrap()]);
    process.wait_ready();
    for from in (0..3_000).step_by(500) {
        tell(&process, from, 500);
    }
    let mut payments = Vec::new();
    for nth in 0..20 {
        let (status, paid) = pay(&process, &format!("key-{nth}"), "pm_card_visa");
        assert_eq!(status, 201, "{paid}");
        payments.push(paid["data"]["id"].as_str().unwrap().to_owned());
    }
    for id in &payments {
        settled(&process, id);
    }
    let before = shown(&process, &payments);
    // This one's answer is lost: the gateway has charged, and is to be asked again.
    let (_, late) = pay(&process, "late", "pm_card_visa_timeout");
    let late = late["data"]["id"].as_str().unwrap().to_owned();
    let gone_out = sent_positions(&process.data());
    let file = dir.path().join("copy.snap");
    let taken = run(&["snapshot", "--to", &process.url, "--out"], &file);
    assert_eq!(printed(&taken), file);
    let listed = process.get("/api/v1/ops/snapshots")["data"].clone();
    assert_eq!(listed[0]["bytes"], std::fs::metadata(&file).unwrap().len(), "{listed}");
    assert!(listed[0]["position"].as_u64().unwrap() > 6_000, "{listed}");
    let metrics = process.text("/metrics");
    assert!(metrics.contains("bellwether_snapshot_seconds_count 1"), "{metrics}");
    assert!(metrics.contains("bellwether_snapshot_failures_total 0"), "{metrics}");

    // All that comes after it is lost with the directory.
    tell(&process, 3_000, 10);
    process.kill();
    let (data, lost) = (process.data(), dir.path().join("lost"));
    std::fs::rename(&data, &lost).unwrap();
    let restored = restore(&file, &data);
    assert!(restored.status.success(), "{}", said(&restored));
    assert_verified(&data);
    // The gateway is another: what it has charged it knows.
    std::fs::copy(lost.join("mock-gateway.ndjson"), data.join("mock-gateway.ndjson")).unwrap();
    process.restart();
    process.wait_ready();
    assert_eq!(shown(&process, &payments), before);
    settled(&process, &late);
    for from in (0..3_000).step_by(500) {
        let (numbered, unnumbered) = tell(&process, from, 500);
        assert_eq!(
            (&numbered["duplicates"], &unnumbered["duplicates"]),
            (&500.into(), &500.into())
        );
    }
    let (numbered, unnumbered) = tell(&process, 3_000, 10);
    assert_eq!((&numbered["accepted"], &unnumbered["accepted"]), (&10.into(), &10.into()));
    for (nth, id) in payments.iter().enumerate() {
        let (status, again) = pay(&process, &format!("key-{nth}"), "pm_card_visa");
        assert_eq!((status, &again["data"]["id"]), (201, &json!(id)));
    }
    assert!(process.terminate().success());
    assert_verified(&data);
    let new = sent_positions(&data);
    assert!(!gone_out.is_empty() && new.windows(2).all(|pair| pair[0] < pair[1]));
    let twice = new.iter().filter(|position| gone_out.contains(position)).count();
    assert_eq!(twice, 0, "what had gone out by then does not go out again");
}

/// The positions of the lines in an outbox.
fn sent_positions(data: &Path) -> Vec<String> {
    let outbox = std::fs::read_to_string(data.join("outbox.ndjson")).unwrap();
    // The last one may be half written, if the process runs.
    let whole = outbox.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let lines = whole.map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["sequence"].as_str().unwrap().to_owned()).collect()
}

async fn start(options: Options) -> Engine {
    let engine =
        Engine::start(KINDS, options, Arc::new(RealDisk), topology::sinks::answering).await;
    let engine = engine.unwrap();
    engine.caught_up().await;
    engine
}

fn small(data: &Path) -> Options {
    let mut options = Options { workers: 2, ..Options::new(data) };
    options.journal.segment_bytes = 128 << 10;
    options
}

async fn take_in(engine: &Engine, numbers: std::ops::Range<u64>) {
    for from in numbers.clone().step_by(200) {
        let events = (from..(from + 200).min(numbers.end)).map(|n| Ok(event(n).to_string().into()));
        let producer = Some(("shop".to_owned(), from));
        engine.handle().intake(Intake { producer, events: events.collect() }).await.unwrap();
    }
}

/// Starts an engine, tells it events, and stops it.
fn live(options: Options, numbers: std::ops::Range<u64>) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let engine = start(options).await;
        take_in(&engine, numbers).await;
        engine.drain().await.unwrap();
    });
}

/// Every entry of every shard.
fn entries(data: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let JournalId(journal) = Identity::read(&RealDisk, data).unwrap().unwrap().journal;
    let open_kv: store::OpenKv =
        Arc::new(|path| Ok(Arc::new(SledKv::open(path, 16 << 20)?) as Arc<dyn Kv>));
    let opened =
        Store::open(Arc::new(RealDisk), data, &open_kv, store::Options::default(), journal);
    let reader = opened.unwrap().0.reader();
    let of = |shard| reader.scan(shard, &[], None, 1_000_000).unwrap();
    (0..64).flat_map(of).collect()
}

#[test]
fn a_directory_at_rest_comes_back_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    live(small(&data), 0..2_000);
    live(small(&data), 2_000..2_400);
    let file = printed(&run(&["snapshot", "--data"], &data));
    assert_eq!(file.parent().unwrap(), data.join("snapshots"));
    let restored = restore(&file, &other);
    assert!(restored.status.success(), "{}", said(&restored));
    assert_verified(&other);
    assert_eq!(entries(&other), entries(&data));
    let inspect = |data: &Path| {
        let arguments = ["inspect", "inbox/u-7", "--history", "5", "--data"];
        let output = run(&arguments, data);
        assert!(output.status.success(), "{}", said(&output));
        output.stdout
    };
    assert_eq!(inspect(&other), inspect(&data));
    live(small(&data), 2_400..2_600);
    live(small(&other), 2_400..2_600);
    let ours = assert_verified(&other);
    assert!(ours.contains("; 0 snapshots; 0 findings"), "{ours}");
    assert!(assert_verified(&data).contains("; 1 snapshots; 0 findings"));
}

#[test]
fn what_cannot_be_restored_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    live(small(&data), 0..200);
    let out = dir.path().join("one.snap");
    let taken = run(&["snapshot", "--data", data.to_str().unwrap(), "--out"], &out);
    assert_eq!(printed(&taken), out);
    let refused = |file: &Path, data: &Path, why: &str| {
        let restored = restore(file, data);
        assert_eq!(restored.status.code(), Some(1), "{}", said(&restored));
        assert!(said(&restored).contains(why), "{why}: {}", said(&restored));
    };
    refused(&out, &data, "data is not empty: a snapshot is restored into an empty directory");
    refused(&dir.path().join("none"), &other, "could not open");
    let mut bytes = std::fs::read(&out).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = dir.path().join("damaged.snap");
    std::fs::write(&damaged, &bytes).unwrap();
    refused(&damaged, &other, "damaged.snap is damaged at byte ");
    bytes.truncate(10);
    std::fs::write(&damaged, &bytes).unwrap();
    refused(&damaged, &other, "damaged.snap is no snapshot");
    let left: Vec<_> = std::fs::read_dir(&other).into_iter().flatten().collect();
    assert!(left.iter().all(|entry| entry.as_ref().unwrap().file_name() == "LOCK"), "{left:?}");
    // What a restore leaves that was killed: nobody starts from it.
    std::fs::create_dir_all(&other).unwrap();
    std::fs::copy(data.join("bellwether.json"), other.join("bellwether.json.restoring")).unwrap();
    refused(&out, &other, "other is not empty");
    for verb in ["serve", "verify", "snapshot"] {
        let started = run(&[verb, "--data"], &other);
        assert_eq!(started.status.code(), Some(1), "{verb}: {}", said(&started));
        let why = "and that was not finished: empty the directory and restore again";
        assert!(said(&started).contains(why), "{verb}: {}", said(&started));
    }
    let nowhere = run(&["snapshot", "--data"], &dir.path().join("nowhere"));
    assert!(said(&nowhere).contains("there is no data directory"), "{}", said(&nowhere));
    let nobody = bellwether().args(["snapshot", "--to", "http://127.0.0.1:1"]).output().unwrap();
    assert!(said(&nobody).contains("POST /api/v1/ops/snapshots at"), "{}", said(&nobody));
}

#[test]
fn verify_names_a_damaged_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    live(small(&data), 0..200);
    let file = printed(&run(&["snapshot", "--data"], &data));
    let whole = run(&["verify", "--snapshot"], &file);
    assert!(whole.status.success() && said(&whole).contains("; 0 findings"), "{}", said(&whole));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[5_000] ^= 64;
    std::fs::write(&file, &bytes).unwrap();
    for damaged in [run(&["verify", "--snapshot"], &file), run(&["verify", "--data"], &data)] {
        assert_eq!(damaged.status.code(), Some(1));
        let name = format!("snapshot {} is damaged at byte ", file.display());
        assert!(said(&damaged).contains(&name), "{}", said(&damaged));
    }
}

fn segments(data: &Path) -> Vec<String> {
    let names = std::fs::read_dir(data.join("journal")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_segment = |name: &String| Path::new(name).extension().is_some_and(|end| end == "seg");
    let mut segments: Vec<_> = names.filter(is_segment).collect();
    segments.sort();
    segments
}

/// An engine that may cut its journal: it takes a snapshot, and cuts. Then it lives on a little.
fn cut(data: &Path) {
    let retain = Retain { bytes: Some(1), ms: None };
    let options = Options { retain, ..small(data) };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let engine = start(options).await;
        engine.handle().take_snapshot().await.unwrap();
        while segments(data).first().is_some_and(|name| name.starts_with("00000000000000000000")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        take_in(&engine, 4_000..4_300).await;
        engine.drain().await.unwrap();
    });
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

#[test]
fn a_lost_store_is_made_of_snapshot_and_journal() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    live(small(&data), 0..4_000);
    let before = segments(&data);
    cut(&data);
    let after = segments(&data);
    assert!(before.len() > 8 && after.len() < before.len() / 2, "{before:?}, then {after:?}");
    assert_verified(&data);
    let whole = entries(&data);
    let history = run(&["inspect", "inbox/u-7", "--history", "1000", "--data"], &data);
    assert!(history.status.success(), "what was cut is not there: {}", said(&history));

    let lost = dir.path().join("lost");
    copy(&data, &lost);
    for folder in ["store", "images"] {
        std::fs::remove_dir_all(lost.join(folder)).unwrap();
    }
    let hopeless = dir.path().join("hopeless");
    copy(&lost, &hopeless);
    live(small(&lost), 4_300..4_300);
    assert_eq!(entries(&lost), whole);
    assert_verified(&lost);

    std::fs::remove_dir_all(hopeless.join("snapshots")).unwrap();
    let refused = run(&["snapshot", "--data"], &hopeless);
    assert_eq!(refused.status.code(), Some(1));
    let why = "and there is no good snapshot of it in the folder";
    assert!(said(&refused).contains(why), "{}", said(&refused));
}

#[test]
fn snapshots_are_taken_on_a_schedule_and_so_many_kept() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("elsewhere");
    let config = dir.path().join("bellwether.toml");
    let table = format!("[snapshot]\ninterval_s = 1\nkeep = 2\nfolder = {folder:?}\n");
    std::fs::write(&config, format!("{CONFIG}{table}")).unwrap();
    let process = Process::start(&["--config", config.to_str().unwrap()]);
    process.wait_ready();
    let mut seen = std::collections::BTreeSet::new();
    for from in (0..).step_by(10) {
        tell(&process, from, 10);
        let listed = process.get("/api/v1/ops/snapshots")["data"].clone();
        let positions = listed.as_array().unwrap().iter().map(|one| one["position"].as_u64());
        seen.extend(positions.flatten());
        assert!(listed.as_array().unwrap().len() <= 3, "{listed}");
        if seen.len() >= 4 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<_> = names.filter(|name| name.to_string_lossy().ends_with(".snap")).collect();
    assert!(names.len() <= 3, "{names:?}");
    assert!(!process.data().join("snapshots").exists());
}
