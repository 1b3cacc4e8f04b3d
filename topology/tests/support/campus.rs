//! A data directory with a past: the synthetic campus, and payments that were taken by command.

#![allow(dead_code, reason = "each test takes what it needs")]

use actors::Kind;
use actors::payment::{Event, Payment, input::Create};
use serde_json::json;
use state::disk::RealDisk;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use topology::api::Intake;
use topology::dispatch::{Came, Outgoing};
use topology::dispatcher::{Sink, Sinks};
use topology::sources::campus::Campus;
use topology::{Engine, Options};

/// A gateway that counts what it is asked for, and never answers.
#[derive(Clone, Default)]
pub(crate) struct Silent(pub(crate) Arc<AtomicU64>);

impl Sink for Silent {
    fn carry(&mut self, batch: &[Outgoing]) -> Vec<Came> {
        self.0.fetch_add(batch.len() as u64, Ordering::AcqRel);
        batch.iter().map(|_| Came::Lost).collect()
    }
}

impl Silent {
    pub(crate) fn sinks(&self) -> Sinks {
        let sink: Arc<Mutex<dyn Sink>> = Arc::new(Mutex::new(self.clone()));
        [("gateway".to_owned(), sink)].into()
    }
}

/// Small segments, and images from the first checkpoint on.
pub(crate) fn options(data: &Path) -> Options {
    let mut options = Options { workers: 2, ..Options::new(data) };
    options.journal.segment_bytes = 1 << 20;
    options.store.image_entries_min = 8;
    options
}

/// So many events of the campus, `batch` at once, from number `first` on.
pub(crate) async fn study(engine: &Engine, first: u64, (count, batch): (u64, u64)) {
    let mut campus = Campus::new(7, 60, 4, 0, 1);
    let mut from = first;
    while from < first + count {
        let to = (first + count).min(from + batch);
        let events = (from..to).map(|number| {
            let mut text = Vec::new();
            campus.write(number, &mut text);
            Ok(text)
        });
        let producer = Some(("campus".to_owned(), from));
        let intake = Intake { producer, events: events.collect() };
        engine.handle().intake(intake).await.expect("taken");
        from = to;
    }
}

/// So many payments by command, from number `first` on.
pub(crate) async fn pay(engine: &Engine, first: u64, count: u64) {
    for number in first..first + count {
        let id = format!("p-{number}");
        let body = json!({
            "user_id": format!("u-{}", number % 9), "course_id": "c-1", "amount": 500,
            "currency": "EUR", "capture": "manual",
            "method": {"type": "card", "token": "pm_card_visa"},
        });
        let create = Create::read(id.as_str().into(), &body).expect("a sound payment");
        let create = Event::Create(Box::new(create));
        engine.handle().command::<Payment>(&id, &create, None).await.expect("answered");
    }
}

/// A directory with a stop and a checkpoint in its past. Half of its payments were answered by the
/// gateway, the others wait.
pub(crate) async fn lived(data: &Path, kinds: &'static [Kind], events: u64) {
    let disk = Arc::new(RealDisk);
    let sinks = topology::sinks::answering;
    let engine = Engine::start(kinds, options(data), disk, sinks).await.expect("it starts");
    engine.caught_up().await;
    let half = events / 2;
    study(&engine, 0, (half, 97)).await;
    pay(&engine, 0, 40).await;
    engine.checkpoint().await;
    study(&engine, half, (half / 2, 31)).await;
    engine.drain().await.expect("stops");
    drop(engine);

    let (disk, silent) = (Arc::new(RealDisk), Silent::default());
    let sinks = move |_: &_, _: &_, _: &str| Ok(silent.sinks());
    let engine = Engine::start(kinds, options(data), disk, sinks).await.expect("it starts again");
    engine.caught_up().await;
    pay(&engine, 40, 40).await;
    study(&engine, half + half / 2, (events - half - half / 2, 53)).await;
    engine.drain().await.expect("stops");
    drop(engine);

    // What the gateway said last may not be in the checkpoint. Now nobody says anything.
    let options = Options { sinks: false, ..options(data) };
    let sinks = |_: &_, _: &_, _: &str| Ok(Sinks::new());
    let engine = Engine::start(kinds, options, Arc::new(RealDisk), sinks).await.expect("it starts");
    engine.caught_up().await;
    engine.drain().await.expect("stops");
}
