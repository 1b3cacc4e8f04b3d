//! A disk without room, met by the journal, by a checkpoint and by an image: whoever comes is
//! turned away, nothing that was acknowledged is lost, and when there is room it goes on by itself.
//!
//! The disk is a real one that refuses to grow while it is told to. What is *not* here: how a
//! refusal is said in HTTP (503 `overloaded`), which is the door's table of errors, and a full disk
//! inside the journal's own steps (`state`).

#[path = "support/full.rs"]
mod disk;

use actors::inbox::{self, Inbox};
use actors::{KINDS, Timestamp};
use disk::Full;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use topology::api::{CommandError, Intake, IntakeError};
use topology::dispatcher::Sinks;
use topology::{Engine, Freshness, Options};

/// Much longer than it takes to look for room.
const AGAIN_WITHIN: Duration = Duration::from_secs(60);

async fn start(data: &Path, disk: &Arc<Full>) -> Engine {
    let mut options = Options { sinks: false, ..Options::new(data) };
    options.journal.segment_bytes = 16 << 10;
    options.journal.disk_reserve_bytes = 0;
    options.store.image_entries_min = 1;
    let engine = Engine::start(KINDS, options, disk.clone(), |_, _, _| Ok(Sinks::new()));
    let engine = engine.await.expect("it starts");
    engine.caught_up().await;
    engine
}

fn note(number: u32) -> inbox::Event {
    let topic = inbox::Topic::OrderPlaced(format!("o-{number}").into());
    inbox::Event::Notify(inbox::Note { time: Timestamp(0), topic })
}

/// Tells one inbox after another, until told to stop or turned away; how many were acknowledged.
async fn tell(engine: &Engine, most: u32) -> (u32, Option<CommandError>) {
    for number in 0..most {
        let key = format!("u-{}", number % 40);
        if let Err(error) = engine.handle().command::<Inbox>(&key, &note(number), None).await {
            return (number, Some(error));
        }
    }
    (most, None)
}

async fn total(engine: &Engine) -> u32 {
    let fresh = Freshness {
        at_least: Some(engine.handle().durable_end()),
        wait_max: Duration::from_secs(60),
    };
    let kind = engine.handle().kind("inbox").expect("a kind");
    let mut total = 0;
    for user in 0..40 {
        let read = engine.handle().view(kind, &format!("u-{user}"), fresh).await;
        let view = read.expect("readable").value.expect("it was told something");
        let view: serde_json::Value = serde_json::from_slice(&view).expect("JSON");
        total += view["total"].as_u64().expect("a number") as u32;
    }
    total
}

/// Tries until there is room.
async fn tell_again(engine: &Engine, count: u32) {
    let began = Instant::now();
    loop {
        match tell(engine, 1).await {
            (1, None) => break,
            (_, Some(CommandError::Overloaded(_))) => {
                assert!(began.elapsed() < AGAIN_WITHIN, "it does not go on by itself");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            (_, error) => panic!("{error:?}"),
        }
    }
    let (told, error) = tell(engine, count - 1).await;
    assert_eq!(told, count - 1, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_for_a_segment_it_turns_away_and_goes_on_by_itself() {
    let data = tempfile::tempdir().expect("a directory");
    let disk = Arc::new(Full::default());
    let engine = start(data.path(), &disk).await;
    assert_eq!(tell(&engine, 100).await, (100, None));
    let mut acknowledged = 100;
    for _ in 0..3 {
        disk.full.store(true, Ordering::Release);
        let (told, error) = tell(&engine, 100_000).await;
        acknowledged += told;
        assert!(matches!(&error, Some(CommandError::Overloaded(_))), "{error:?}");
        let (none, error) = tell(&engine, 1).await;
        assert_eq!((none, error), (0, Some(CommandError::Overloaded("the disk is full".into()))));
        let refused = engine.handle().intake(Intake::default()).await;
        assert!(matches!(refused, Err(IntakeError::Overloaded(_))), "{refused:?}");
        assert_eq!(total(&engine).await, acknowledged, "reads go on, and nothing is lost");
        disk.full.store(false, Ordering::Release);
        tell_again(&engine, 200).await;
        acknowledged += 200;
    }
    engine.drain().await.expect("stops");
    drop(engine);
    let engine = start(data.path(), &disk).await;
    assert_eq!(total(&engine).await, acknowledged);
    engine.drain().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_for_a_checkpoint_the_journal_grows_and_nothing_is_lost() {
    let data = tempfile::tempdir().expect("a directory");
    let disk = Arc::new(Full::default());
    let engine = start(data.path(), &disk).await;
    assert_eq!(tell(&engine, 80).await, (80, None));
    // Only images and what else is not the journal's meets the full disk.
    disk.full_but_for_segments.store(true, Ordering::Release);
    for round in 1..4 {
        engine.checkpoint().await;
        assert_eq!(tell(&engine, 80).await, (80, None));
        assert_eq!(total(&engine).await, 80 * (round + 1));
    }
    assert!(disk.refused.load(Ordering::Acquire) > 0, "nothing was refused");
    assert_eq!(images(data.path()), 0, "no image could be written");
    disk.full_but_for_segments.store(false, Ordering::Release);
    engine.checkpoint().await;
    assert!(images(data.path()) > 0, "the next round writes what the ones before could not");
    engine.drain().await.expect("stops");
    drop(engine);
    let engine = start(data.path(), &disk).await;
    assert_eq!(total(&engine).await, 320);
    engine.drain().await.expect("stops");
}

fn images(data: &Path) -> usize {
    std::fs::read_dir(data.join("images")).expect("a folder").count()
}
