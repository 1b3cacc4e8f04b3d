//! A record that cannot be applied costs nobody but itself: its entity is as it was, its neighbours
//! answer, there is a letter to look at, and all of it is the same after a start.

use actors::deadletter::DeadLetter;
use actors::{Entity, Key, Kind, KindId, inbox::Inbox};
use state::disk::RealDisk;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use topology::api::{Listing, Verdict};
use topology::dispatcher::Sinks;
use topology::simulation::fuse::{Event, Fuse};
use topology::{Engine, Freshness, Handle, Options};

static KINDS: &[Kind] = &[Kind::of::<Inbox>(), Kind::of::<Fuse>()];

async fn start(data: &Path) -> Engine {
    let options = Options { sinks: false, workers: 2, ..Options::new(data) };
    let engine = Engine::start(KINDS, options, Arc::new(RealDisk), |_, _, _| Ok(Sinks::new()));
    let engine = engine.await.expect("the directory opens");
    engine.caught_up().await;
    engine
}

async fn tell(handle: &Handle, key: &str, event: Event) -> Verdict {
    handle.command::<Fuse>(key, &event, None).await.expect("answered").verdict
}

async fn sum(handle: &Handle, key: &str) -> i64 {
    let fresh = Freshness { at_least: None, wait_max: Duration::from_secs(30) };
    handle.ask::<Fuse>(key, (), fresh).await.expect("readable").value.expect("it is there")
}

/// The open letters, once there are so many: where they come from, and why.
async fn letters(handle: &Handle, count: usize) -> Vec<(String, String)> {
    let fresh = Freshness { at_least: None, wait_max: Duration::from_secs(30) };
    let listing = Listing { tag: Some(Key::new("state:open")), limit: 100, ..Listing::default() };
    loop {
        let keys = handle.list(KindId::DEAD_LETTER, listing.clone(), fresh).await;
        let keys = keys.expect("listed").value.keys;
        if keys.len() < count {
            // A verdict follows its record by a commit.
            tokio::task::yield_now().await;
            continue;
        }
        let mut letters = Vec::new();
        for key in keys {
            let view = handle.view(KindId::DEAD_LETTER, &key, fresh).await.expect("readable");
            let view: serde_json::Value =
                serde_json::from_slice(&view.value.expect("it is there")).expect("JSON");
            let text = |field: &str| view[field].as_str().unwrap_or_default().to_owned();
            letters.push((text("address"), text("code")));
        }
        letters.sort_unstable();
        return letters;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_applied_costs_nobody_but_itself() {
    let data = tempfile::tempdir().expect("a directory");
    let engine = start(data.path()).await;
    let handle = engine.handle();
    let refused = |verdict| matches!(verdict, Verdict::Rejected { .. });
    for key in ["f-1", "f-2"] {
        tell(&handle, key, Event::Add(5)).await;
    }
    engine.checkpoint().await;
    tell(&handle, "f-1", Event::Add(2)).await;
    tell(&handle, "f-1", Event::Put(0, 1, 10)).await;
    assert!(refused(tell(&handle, "f-1", Event::Blow).await));
    assert!(refused(tell(&handle, "f-1", Event::BlowInPage(0)).await));
    assert!(refused(tell(&handle, "f-1", Event::Flood(1_001, Key::new("f-2"))).await));
    assert!(refused(tell(&handle, "f-1", Event::TellNobody).await));
    tell(&handle, "f-1", Event::Add(1)).await;
    tell(&handle, "f-2", Event::Add(1)).await;
    assert_eq!((sum(&handle, "f-1").await, sum(&handle, "f-2").await), (8, 6));
    let of = |code: &str| (format!("{}/f-1", <Fuse>::KIND), code.to_owned());
    let expected = ["bad-key", "panicked", "panicked", "too-many-effects"].map(of).to_vec();
    assert_eq!(letters(&handle, 4).await, expected);
    assert_eq!(DeadLetter::KIND, "dead-letter");
    let restarts: u64 = engine.tree().children().iter().map(|(_, child)| child.restarts).sum();
    assert_eq!(restarts, 0, "nobody was started again");
    engine.drain().await.expect("stops");
    drop(engine);

    let engine = start(data.path()).await;
    let handle = engine.handle();
    assert_eq!((sum(&handle, "f-1").await, sum(&handle, "f-2").await), (8, 6));
    assert_eq!(letters(&handle, 4).await, expected);
    engine.drain().await.expect("stops");
}
