//! What is remembered of an entity is what it would answer: whoever has been told that a command is
//! applied reads it, however often others have asked before, and while entities are put to rest and
//! woken all the time.

use actors::Kind;
use std::path::Path;
use std::sync::Arc;
use topology::api::Verdict;
use topology::dispatcher::Sinks;
use topology::remembered::Rendered;
use topology::simulation::fuse::{Event, Fuse};
use topology::{Engine, Freshness, Handle, Options};

static KINDS: &[Kind] = &[Kind::of::<Fuse>()];

const KEYS: usize = 6;
const ADDS: i64 = 150;

/// An engine that has hardly any room for residents, and checkpoints without end.
async fn start(data: &Path) -> Engine {
    let options = Options {
        sinks: false,
        residents_max: 2,
        checkpoint_journal_bytes: 2_000,
        ..Options::new(data)
    };
    let disk = Arc::new(state::disk::RealDisk);
    let engine = Engine::start(KINDS, options, disk, |_, _, _| Ok(Sinks::new()));
    let engine = engine.await.expect("a fresh directory starts");
    engine.caught_up().await;
    engine
}

/// The sum as it is remembered, or else asked for.
async fn sum(handle: &Handle, key: &str) -> i64 {
    let render = |sum: Option<i64>| {
        let text = sum.unwrap_or(0).to_string();
        Rendered { gap: text.len(), text: text.into() }
    };
    let read = handle.render::<Fuse>(key, ("sum", ()), Freshness::default(), render);
    let rendered = read.await.expect("an answer").value;
    std::str::from_utf8(&rendered.text).expect("digits").parse().expect("a number")
}

/// Adds one again and again, and reads its own writes.
async fn add_and_read(handle: Handle, key: String) {
    for number in 1..=ADDS {
        let done = handle.command::<Fuse>(&key, &Event::Add(1), None).await.expect("an answer");
        assert_eq!(done.verdict, Verdict::Done { status: 200 });
        for _ in 0..3 {
            assert_eq!(sum(&handle, &key).await, number, "{key}");
        }
    }
}

/// Keeps what is remembered filled, and never sees anything go backwards.
async fn read_on(handle: Handle) {
    let mut seen = [0; KEYS];
    while seen.iter().any(|seen| *seen < ADDS) {
        for (number, seen) in seen.iter_mut().enumerate() {
            let now = sum(&handle, &format!("f-{number}")).await;
            assert!(now >= *seen, "f-{number} went from {seen} to {now}");
            *seen = now;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_answered_reads_it_and_nobody_reads_backwards() {
    let data = tempfile::tempdir().expect("a directory");
    let engine = start(data.path()).await;
    let handle = engine.handle();
    let mut tasks = Vec::new();
    for number in 0..KEYS {
        tasks.push(tokio::spawn(add_and_read(handle.clone(), format!("f-{number}"))));
    }
    tasks.push(tokio::spawn(read_on(handle.clone())));
    tasks.push(tokio::spawn(read_on(handle)));
    for task in tasks {
        task.await.expect("no promise is broken");
    }
    engine.drain().await.expect("it stops");
}
