//! A worker that fails is started again on its own: nothing is lost, nothing happens twice, and no
//! read goes backwards. One that fails again and again ends the process.

#[path = "support/disk.rs"]
mod disk;

use actors::{Kind, inbox::Inbox};
use disk::Unreadable;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use topology::api::{CommandError, Idempotency, ReadError, Verdict};
use topology::dispatcher::Sinks;
use topology::simulation::fuse::{Event, Fuse};
use topology::{Engine, Freshness, Handle, Options};

static KINDS: &[Kind] = &[Kind::of::<Inbox>(), Kind::of::<Fuse>()];

/// An engine whose one worker reads every frame from the disk.
async fn start(data: &Path, disk: &Arc<Unreadable>) -> Engine {
    let mut options = Options { sinks: false, restarts_max: 3, ..Options::new(data) };
    options.journal.recent_bytes_max = 0;
    let engine = Engine::start(KINDS, options, disk.clone(), |_, _, _| Ok(Sinks::new()));
    let engine = engine.await.expect("a fresh directory starts");
    engine.caught_up().await;
    engine
}

/// Adds one, whatever happens meanwhile: repeats under the same key until there is an answer.
async fn add_one(handle: &Handle, number: u64) -> bool {
    let key = Idempotency { key: format!("add-{number}"), fingerprint: 1, status: 200 };
    let mut repeats = false;
    loop {
        match handle.command::<Fuse>("f-1", &Event::Add(1), Some(key.clone())).await {
            Ok(done) => {
                assert_eq!(done.verdict, Verdict::Done { status: 200 });
                return repeats;
            }
            Err(CommandError::Interrupted) => repeats = true,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn sum(handle: &Handle) -> Option<i64> {
    let fresh = Freshness { at_least: None, wait_max: Duration::from_secs(30) };
    match handle.ask::<Fuse>("f-1", (), fresh).await {
        Ok(read) => Some(read.value.unwrap_or(0)),
        Err(ReadError::Interrupted | ReadError::NotYet(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

fn restarts(engine: &Engine) -> u64 {
    let children = engine.tree().children();
    children.iter().find(|(name, _)| name == "worker-0").expect("a worker").1.restarts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_fails_is_started_again_and_nothing_is_lost() {
    let data = tempfile::tempdir().expect("a directory");
    let disk = Arc::new(Unreadable::default());
    let engine = start(data.path(), &disk).await;
    let handle = engine.handle();
    for number in 0..50 {
        add_one(&handle, number).await;
    }
    engine.checkpoint().await;
    for number in 50..60 {
        add_one(&handle, number).await;
    }
    let reading = tokio::spawn({
        let handle = handle.clone();
        async move {
            let (mut last, mut reads) = (0, 0_u64);
            while last < 100 {
                if let Some(now) = sum(&handle).await {
                    assert!(now >= last, "a read of {now} after one of {last}");
                    (last, reads) = (now, reads + 1);
                }
                tokio::task::yield_now().await;
            }
            reads
        }
    });
    let mut repeated = 0;
    for number in 60..100 {
        if number == 70 || number == 85 {
            disk.times.store(1, Ordering::Release);
        }
        repeated += u64::from(add_one(&handle, number).await);
    }
    assert!(reading.await.expect("it reads to the end") > 0);
    assert_eq!(sum(&handle).await, Some(100), "each was added once");
    assert_eq!(restarts(&engine), 2);
    assert!(repeated > 0, "no answer was lost, so nothing was tried");
    engine.drain().await.expect("stops");
    drop(engine);

    let engine = start(data.path(), &disk).await;
    assert_eq!(sum(&engine.handle()).await, Some(100));
    engine.drain().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_fails_again_and_again_ends_the_process() {
    let data = tempfile::tempdir().expect("a directory");
    let disk = Arc::new(Unreadable::default());
    let engine = start(data.path(), &disk).await;
    add_one(&engine.handle(), 1).await;
    let mut fatal = engine.tree().fatal();
    assert!(fatal.borrow().is_none());
    disk.times.store(i64::MAX, Ordering::Release);
    let handle = engine.handle();
    tokio::spawn(async move { handle.command::<Fuse>("f-1", &Event::Add(1), None).await });
    let why = fatal.wait_for(Option::is_some).await.expect("the tree lives").clone();
    assert!(why.expect("a reason").contains("worker-0 has failed 4 times"));
    assert_eq!(restarts(&engine), 3);
}
