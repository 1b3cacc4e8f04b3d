//! The engine over a real disk: what goes in comes out, also after a stop and after the process
//! just ends.

use actors::KINDS;
use actors::inbox::{self, Inbox};
use state::disk::RealDisk;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use topology::api::{Intake, Taken};
use topology::{Engine, Freshness, Options};

async fn start(data: &Path) -> Engine {
    let options = Options { sinks: true, workers: 2, ..Options::new(data) };
    let engine = Engine::start(KINDS, options, Arc::new(RealDisk), topology::sinks::answering);
    engine.await.expect("a fresh directory starts")
}

fn enrolled(user: u32, id: u32) -> Vec<u8> {
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"e-{id}\",\"source\":\"/test\",\
         \"type\":\"com.bellwether.learning.enrollment.created.v1\",\
         \"time\":\"2026-11-20T10:00:00Z\",\
         \"data\":{{\"user_id\":\"u-{user}\",\"course_id\":\"c-1\"}}}}"
    )
    .into_bytes()
}

async fn take(engine: &Engine, first: u64, count: u32) -> Taken {
    let events = (0..count).map(|i| Ok(enrolled(i % 100, first as u32 + i))).collect();
    let intake = Intake { producer: Some(("test".to_owned(), first)), events };
    engine.handle().intake(intake).await.expect("taken")
}

async fn total(engine: &Engine, user: &str, at_least: u64) -> u32 {
    let fresh = Freshness { at_least: Some(at_least), wait_max: Duration::from_secs(30) };
    let archived = inbox::Archived::Exclude;
    let list = inbox::List { unread: false, archived, limit: 1, before: None };
    let query = inbox::Query::List(list);
    let read = engine.handle().ask::<Inbox>(user, query, fresh).await.expect("readable");
    match read.value {
        Some(inbox::Answer::List(listed)) => listed.total,
        Some(inbox::Answer::Item(_)) => panic!("asked for a list"),
        None => 0,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_in_comes_out_and_is_there_after_a_stop_and_after_a_crash() {
    let data = tempfile::tempdir().expect("a directory");
    let engine = start(data.path()).await;
    let taken = take(&engine, 0, 1_000).await;
    assert_eq!((taken.accepted, taken.duplicates), (1_000, 0));
    assert_eq!(total(&engine, "u-7", taken.position).await, 10);
    let again = take(&engine, 0, 1_000).await;
    assert_eq!((again.accepted, again.duplicates), (0, 1_000));
    engine.drain().await.expect("stops");
    drop(engine);

    let engine = start(data.path()).await;
    engine.caught_up().await;
    assert_eq!(total(&engine, "u-7", 0).await, 10, "after a clean stop");
    let taken = take(&engine, 1_000, 500).await;
    assert_eq!(total(&engine, "u-7", taken.position).await, 15);
    engine.checkpoint().await;
    let taken = take(&engine, 1_500, 500).await;
    assert_eq!(total(&engine, "u-7", taken.position).await, 20);
    engine.drain().await.expect("stops");
}

/// Workers begin on threads of their own: whoever stops an engine at once is faster than they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_can_be_stopped_before_its_workers_have_begun() {
    let data = tempfile::tempdir().expect("a directory");
    for _ in 0..4 {
        let engine = start(data.path()).await;
        engine.drain().await.expect("stops");
    }
}
