//! The kind of `docs/adding-a-kind.md`, word by word: added to the product's table, told events,
//! asked, restarted, asked again.
//!
//! What is *not* here: what the engine does for any kind (its own tests).

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[allow(unreachable_pub, reason = "it stands here word by word as it would in actors")]
#[path = "support/diligence.rs"]
mod diligence;

use actors::Kind;
use diligence::Diligence;
use serde_json::{Value, json};
use state::disk::RealDisk;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use topology::api::Intake;
use topology::{Engine, Freshness, Options, sinks};

/// The product's table, and one more line.
static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let mut kinds = actors::KINDS.to_vec();
    kinds.push(Kind::of::<Diligence>());
    kinds
});

async fn start(data: &Path) -> Engine {
    let disk = Arc::new(RealDisk);
    let engine = Engine::start(&KINDS, Options::new(data), disk, sinks::answering).await.unwrap();
    engine.caught_up().await;
    engine
}

fn lesson(nth: u32, user: &str, time: &str) -> Vec<u8> {
    json!({
        "specversion": "1.0", "id": format!("{user}-{nth}"), "source": "/test", "time": time,
        "type": "com.example.learning.lesson.completed.v1",
        "data": {"user_id": user, "course_id": "c", "lesson_id": nth},
    })
    .to_string()
    .into_bytes()
}

async fn view(engine: &Engine, user: &str, at_least: u64) -> Option<Value> {
    let handle = engine.handle();
    let kind = handle.kind("diligence").expect("the kind stands in the table");
    let fresh = Freshness { at_least: Some(at_least), wait_max: Duration::from_secs(60) };
    let read = handle.view(kind, user, fresh).await.unwrap();
    read.value.map(|text| serde_json::from_slice(&text).unwrap())
}

#[test]
fn the_page_shows_the_file_that_is_built_here() {
    let page = include_str!("../docs/adding-a-kind.md");
    let file = include_str!("support/diligence.rs");
    assert!(page.contains(&format!("```rust\n{file}```")), "copy the file into the page");
}

#[tokio::test]
async fn a_fourth_kind_lives_like_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let engine = start(&data).await;
    let events = [
        lesson(1, "ada", "2026-11-20T09:00:00Z"),
        lesson(2, "ada", "2026-11-20T08:00:00Z"),
        lesson(1, "grace", "2026-11-20T10:00:00Z"),
        lesson(1, "ada", "2026-11-20T09:00:00Z"),
    ];
    let intake = Intake { producer: None, events: events.into_iter().map(Ok).collect() };
    let taken = engine.handle().intake(intake).await.unwrap();
    assert_eq!((taken.accepted, taken.duplicates), (3, 1));
    let ada = json!({"user": "ada", "lessons": 2, "last_at": "2026-11-20T09:00:00.000Z"});
    assert_eq!(view(&engine, "ada", taken.position).await, Some(ada.clone()));
    assert_eq!(view(&engine, "nobody", taken.position).await, None);
    engine.drain().await.unwrap();
    drop(engine);

    let engine = start(&data).await;
    assert_eq!(view(&engine, "ada", taken.position).await, Some(ada));
    let more =
        Intake { producer: None, events: vec![Ok(lesson(3, "ada", "2026-11-21T09:00:00Z"))] };
    let taken = engine.handle().intake(more).await.unwrap();
    let ada = view(&engine, "ada", taken.position).await.unwrap();
    assert_eq!((&ada["lessons"], &ada["last_at"]), (&json!(3), &json!("2026-11-21T09:00:00.000Z")));
    engine.drain().await.unwrap();
}

#[test]
fn a_table_that_does_not_go_on_where_the_directory_is_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        start(dir.path()).await.drain().await.unwrap();
        let disk = Arc::new(RealDisk);
        let options = Options::new(dir.path());
        let refused = Engine::start(actors::KINDS, options, disk, sinks::answering).await;
        let said = refused.err().expect("the directory knows one kind more").to_string();
        assert!(said.contains("kinds are only ever added, at the end"), "{said}");
    });
}
