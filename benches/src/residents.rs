//! What a live inbox takes beyond its own state.
//!
//! Measured in a process of its own, by the kernel's count of resident memory, as a difference of
//! differences. First minds alone: so many are woken and told their first events, in one plain
//! list. Then residents: an engine takes in the events of some people, so that its buffers are full
//! and its tables have grown, and then those of many more. What one more resident takes, less what
//! one more mind takes, is its mailbox, its task, its life, and its places in the directory and in
//! its shard. Nothing is checkpointed meanwhile, so no row is counted.

use crate::scratch::Scratch;
use crate::usage::rss_bytes;
use crate::{Error, engine, report};
use actors::effects::Effects;
use actors::{DomainEvent, KINDS, Kind, Mind, Stop, Timestamp};
use serde::{Deserialize, Serialize};
use state::disk::RealDisk;
use std::path::Path;
use std::sync::Arc;
use topology::api::Intake;
use topology::{Engine, Options};

/// People whose events fill buffers first, and those who are counted.
const FIRST: u64 = 131_072;
const COUNTED: u64 = 262_144;

/// Events of one request.
const BATCH_EVENTS: u64 = 1_024;

/// Every inbox has so many items.
const ITEMS: u64 = 2;

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// What a live inbox takes, all in all.
    pub live_bytes: f64,
    /// What its state takes.
    pub state_bytes: f64,
    /// The difference.
    pub resident_bytes: f64,
}

/// Measures, in a process that does nothing else.
///
/// # Errors
/// The engine fails, or the kernel does not say how much memory is resident.
pub fn run(data: Option<&Path>) -> Result<Figures, Error> {
    report::progress("measuring what residents take");
    let state_bytes = minds(&KINDS[0])?;
    let scratch = Scratch::new(data)?;
    let runtime =
        tokio::runtime::Runtime::new().map_err(Error::io("start threads in", scratch.path()))?;
    let live_bytes = runtime.block_on(Box::pin(residents(&scratch.path().join("data"))))?;
    Ok(Figures { live_bytes, state_bytes, resident_bytes: live_bytes - state_bytes })
}

fn rss() -> Result<u64, Error> {
    rss_bytes().ok_or_else(|| Error::Engine("resident memory is not known here".to_owned()))
}

/// An enrollment of one person; only the inbox hears it, once per person and item. All of them
/// enroll in one course, which is the only other entity there is.
fn enrolled(user: u64, item: u64) -> Vec<u8> {
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{user}-{item}\",\"source\":\"/bench\",\
         \"type\":\"com.bellwether.learning.enrollment.created.v1\",\
         \"time\":\"2026-11-20T10:00:00Z\",\
         \"data\":{{\"user_id\":\"u-{user:06}\",\"course_id\":\"course-001\"}}}}"
    )
    .into_bytes()
}

fn minds(kind: &Kind) -> Result<f64, Error> {
    let mut list: Vec<Box<dyn Mind>> = Vec::with_capacity((FIRST + COUNTED) as usize);
    grow(kind, &mut list, 0..FIRST)?;
    let before = rss()?;
    grow(kind, &mut list, FIRST..FIRST + COUNTED)?;
    Ok((rss()? - before) as f64 / COUNTED as f64)
}

fn grow(
    kind: &Kind,
    list: &mut Vec<Box<dyn Mind>>,
    users: std::ops::Range<u64>,
) -> Result<(), Error> {
    let mut fx = Effects::new(Timestamp(0), 0);
    let mut scratch = Vec::new();
    for user in users {
        let mut mind = kind.wake(None).map_err(Error::engine)?;
        for item in 0..ITEMS {
            let text = enrolled(user, item);
            let event = DomainEvent::parse(&text, Timestamp(0)).map_err(Error::engine)?;
            let mut tells = crate::tells::Tells::default();
            let heard = kind.hear(actors::KindId(0), &event, &mut tells, &mut scratch);
            heard.map_err(Error::engine)?;
            for (_, _, payload) in tells.iter() {
                while let Err(Stop::NeedsPage(page)) = mind.apply(payload, &mut fx) {
                    mind.give_page(page, None).map_err(Error::engine)?;
                }
            }
        }
        list.push(mind);
    }
    Ok(())
}

async fn residents(data: &Path) -> Result<f64, Error> {
    let options = Options {
        checkpoint_journal_bytes: u64::MAX,
        checkpoint_interval_s: 3_600,
        // It is fed as fast as it goes, and not to be turned away.
        in_flight_records_max: u64::MAX,
        ..Options::new(data)
    };
    let started = Engine::start(KINDS, options, Arc::new(RealDisk), |_, _, _| Ok(<_>::default()));
    let engine = started.await.map_err(Error::engine)?;
    engine.caught_up().await;
    let (before, after) = engine::unless_fatal(&engine, async {
        let mut next = 0;
        feed(&engine, 0..FIRST, &mut next).await?;
        let before = rss()?;
        feed(&engine, FIRST..FIRST + COUNTED, &mut next).await?;
        Ok((before, rss()?))
    })
    .await?;
    engine::expect_residents(&engine, FIRST + COUNTED + 1).await?;
    // Nothing here needs to be kept, and a checkpoint would only take time.
    Ok((after - before) as f64 / COUNTED as f64)
}

async fn feed(engine: &Engine, users: std::ops::Range<u64>, next: &mut u64) -> Result<(), Error> {
    for from in users.clone().step_by(BATCH_EVENTS as usize) {
        let batch = from..(from + BATCH_EVENTS).min(users.end);
        for item in 0..ITEMS {
            let events: Vec<_> = batch.clone().map(|user| Ok(enrolled(user, item))).collect();
            let count = events.len() as u64;
            let intake = Intake { producer: Some(("bench".to_owned(), *next)), events };
            let taken = engine.handle().intake(intake).await;
            taken.map_err(|error| Error::Engine(format!("{error:?}")))?;
            *next += count;
        }
    }
    engine.applied(engine.handle().durable_end()).await;
    Ok(())
}
