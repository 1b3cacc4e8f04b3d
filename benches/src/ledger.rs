//! The baseline: the least that anybody has to do with the same events.
//!
//! One thread reads and decodes them and asks the kinds whom they concern; a second one folds what
//! they are told, with the same minds, in one plain hash table. No journal, no store, no mailboxes,
//! nothing survives. What a mind sends to another is applied at once; what it publishes is dropped.

use crate::census::Census;
use crate::feed::{Feed, Files};
use crate::tells::Tells;
use crate::usage::Usage;
use crate::{Error, feed};
use actors::{
    Address, DomainEvent, Effect, Effects, EventType, Key, Kind, KindId, Mind, Outcome, Stop,
    Timestamp,
};
use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use topology::sources::{Progress, RawBatch, Source};
use topology::writer::wall_clock;

/// So many batches wait between the two threads.
const BATCHES_MAX: usize = 16;

/// What the ledger did.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// How long it took, from the first event to the last fold.
    pub took: Duration,
    /// What it used.
    pub used: Usage,
    /// What it came to.
    pub census: Census,
}

/// Takes all events in, and compares nothing.
///
/// # Errors
/// An event or the feed is not what it should be.
pub fn run(kinds: &'static [Kind], files: &Files) -> Result<Ran, Error> {
    let (before, began) = (Usage::now(), Instant::now());
    let (sender, receiver) = sync_channel(BATCHES_MAX);
    let folding = std::thread::spawn(move || fold_all(kinds, &receiver));
    decode_all(kinds, files, &sender)?;
    drop(sender);
    let table = folding.join().expect("folding panics only on what is wrong with us")?;
    let (took, used) = (began.elapsed(), Usage::now().since(&before));
    let mut census = Census::default();
    for (address, mind) in &table.minds {
        census.add(address.kind, &address.key, &**mind);
    }
    Ok(Ran { took, used, census })
}

/// A batch of each partition in turn, until there are none.
fn decode_all(
    kinds: &[Kind],
    files: &Files,
    folding: &SyncSender<(Timestamp, Tells)>,
) -> Result<(), Error> {
    let open = |partition| Feed::open(files, partition);
    let mut feeds: Vec<Feed> = (0..files.paths.len()).map(open).collect::<Result<_, _>>()?;
    let mut batches: Vec<RawBatch> =
        feeds.iter().map(|_| RawBatch::new(feed::BLOCK_EVENTS as usize, 1 << 20)).collect();
    let mut reading: Vec<usize> = (0..feeds.len()).collect();
    let mut scratch = Vec::new();
    while !reading.is_empty() {
        let mut ended = Vec::new();
        for &at in &reading {
            let batch = &mut batches[at];
            batch.begin(batch.next());
            let progress = feeds[at].read(batch.next(), batch).map_err(Error::engine)?;
            let tells = hear(kinds, batch, &mut scratch)?;
            if folding.send((wall_clock(), tells)).is_err() {
                // The fold has failed, and says why.
                return Ok(());
            }
            if progress == Progress::End {
                ended.push(at);
            }
        }
        reading.retain(|at| !ended.contains(at));
    }
    Ok(())
}

fn hear(kinds: &[Kind], batch: &RawBatch, scratch: &mut Vec<u8>) -> Result<Tells, Error> {
    let mut tells = Tells::default();
    for record in batch.records() {
        let number = record.number;
        let wrong = |why: String| Error::Event { number, why };
        let event = DomainEvent::parse(record.bytes, wall_clock());
        let event = event.map_err(|error| wrong(error.to_string()))?;
        if !matches!(event.event_type, EventType::Known(_)) {
            return Err(wrong(format!("unknown type {}", event.type_text)));
        }
        for (id, kind) in ids(kinds) {
            let heard = kind.hear(id, &event, &mut tells, scratch);
            heard.map_err(|unfit| wrong(unfit.to_string()))?;
        }
    }
    Ok(tells)
}

fn ids(kinds: &[Kind]) -> impl Iterator<Item = (KindId, &Kind)> {
    (0..).map(KindId).zip(kinds)
}

/// The hash table.
struct Table {
    kinds: &'static [Kind],
    minds: HashMap<Address, Box<dyn Mind>>,
    fx: Effects,
    /// Counts up, as positions do.
    position: u64,
    /// What was sent and is not applied yet.
    sent: VecDeque<(KindId, Key, Vec<u8>)>,
}

fn fold_all(
    kinds: &'static [Kind],
    batches: &Receiver<(Timestamp, Tells)>,
) -> Result<Table, Error> {
    let mut table = Table {
        kinds,
        minds: HashMap::new(),
        fx: Effects::new(Timestamp(0), 0),
        position: 0,
        sent: VecDeque::new(),
    };
    while let Ok((now, tells)) = batches.recv() {
        for (kind, key, payload) in tells.iter() {
            table.fold(now, (kind, key), payload)?;
            while let Some((kind, key, payload)) = table.sent.pop_front() {
                table.fold(now, (kind, &key), &payload)?;
            }
        }
    }
    Ok(table)
}

impl Table {
    fn fold(
        &mut self,
        now: Timestamp,
        (kind, key): (KindId, &Key),
        payload: &[u8],
    ) -> Result<(), Error> {
        let wrong = |position, why| Error::Event { number: position, why };
        let address = Address { kind, key: key.clone() };
        let kinds = self.kinds;
        let wake = || kinds[usize::from(kind.0)].wake(None).expect("a new mind has no bytes");
        let mind = self.minds.entry(address).or_insert_with(wake);
        self.position += 1;
        self.fx.reset(now, self.position);
        loop {
            match mind.apply(payload, &mut self.fx) {
                Ok(Outcome::Rejected(_)) => return Ok(()),
                Ok(Outcome::Applied | Outcome::Ignored) => break,
                Err(Stop::NeedsPage(page)) => {
                    // Pages stay: the only one asked for that is not here is a new one.
                    let given = mind.give_page(page, None);
                    given.map_err(|error| wrong(self.position, error.to_string()))?;
                }
                Err(Stop::Undecodable(why)) => return Err(wrong(self.position, why)),
            }
        }
        if self.fx.list().is_empty() {
            return Ok(());
        }
        for effect in self.fx.take() {
            if let Effect::Send { kind, key, payload } = effect {
                let to = ids(kinds).find(|(_, known)| known.name == kind);
                let (id, _) = to.expect("a mind sends to kinds of the table");
                self.sent.push_back((id, key, payload));
            }
        }
        Ok(())
    }
}
