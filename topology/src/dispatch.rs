//! The dispatcher's core: which delivery to carry to its sink now, and what to tell the entity that
//! asked for it.
//!
//! Deliveries are offered while their entries are pending, go out in batches per sink, and end by a
//! definite answer. Retry with back-off, the limit of what is in flight, and the circuit breaker
//! are here once, for all sinks. What is *not* here: the sinks, the clock, and any state that
//! survives: after a restart the shards offer what is pending again, under the same ids.
//!
//! Invariant: an id gets at most one last word, and at most one "unknown" before it. Nothing is
//! ever given up while its outcome is unknown.

mod breaker;
mod lane;

use actors::{Address, Answer, Delivery, EffectId, Timestamp};
use lane::Lane;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The longest wait before an outcome that has just become unknown is asked for again. Users are
/// promised two seconds; the rest is for the way there.
const UNKNOWN_AGAIN_MS_MAX: u64 = 1_000;

/// Last words that are remembered. What is forgotten and offered again is asked for again, under
/// the same id: a waste, not an error.
const TOLD_MAX: usize = 1 << 16;

/// How one sink is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Deliveries carried at once, in one batch.
    pub batch_max: usize,
    /// Batches on the way at the same time.
    pub batches_in_flight_max: usize,
    /// The upper bound of the wait after the first failure; it doubles with every further one.
    pub retry_base_ms: u64,
    /// What it does not grow beyond.
    pub retry_max_ms: u64,
    /// After so many failures in a row a delivery is given up; `None` is never.
    pub attempts_max: Option<u32>,
    /// After so many failed batches in a row nothing is sent for a while.
    pub breaker_failures: u32,
    /// For so long; then one delivery goes ahead as a probe.
    pub breaker_open_ms: u64,
}

impl Default for Options {
    /// For a sink on the same machine that answers batches.
    fn default() -> Self {
        Self {
            batch_max: 64,
            batches_in_flight_max: 4,
            retry_base_ms: 200,
            retry_max_ms: 60_000,
            attempts_max: None,
            breaker_failures: 8,
            breaker_open_ms: 1_000,
        }
    }
}

/// A delivery to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its name, and the receiver's idempotency key.
    pub id: EffectId,
    /// Who asked for it.
    pub address: Address,
    /// Where to, and what.
    pub delivery: Delivery,
}

/// Carry this now, and say of each what [came](Dispatch::came) of it, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// The sink's name.
    pub sink: String,
    /// At least one delivery, in order of their ids where nothing has failed.
    pub batch: Vec<Outgoing>,
}

/// What came of carrying one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// A definite answer, in the sink's own form. A "no" is one too.
    Answer(Vec<u8>),
    /// It was sent and no answer came: nobody knows whether it happened.
    Lost,
    /// It has definitely not happened, for this reason; it may next time.
    Failed(String),
    /// It will never happen, for this reason: the sink does not understand it, or there is no such
    /// sink.
    Refused(String),
}

/// What to tell the entity that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The answer. The last word.
    Definite(Vec<u8>),
    /// Nobody knows yet; it is asked for again under the same id.
    Unknown,
    /// It was refused or given up, for this reason: a dead letter. The last word.
    Refused(String),
}

/// Who is to be told what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who asked.
    pub address: Address,
    /// Which delivery.
    pub id: EffectId,
    /// What was asked for.
    pub delivery: Delivery,
    /// What came of it.
    pub word: Word,
}

impl Told {
    /// Whether the pending entry ends with it.
    pub fn last(&self) -> bool {
        self.word != Word::Unknown
    }

    /// The answer in the kinds' words; `None` for a dead letter.
    pub fn answer(&self) -> Option<Answer> {
        match &self.word {
            Word::Definite(bytes) => Some(Answer::Definite(bytes.clone())),
            Word::Unknown => Some(Answer::Unknown),
            Word::Refused(_) => None,
        }
    }
}

/// What has come of the deliveries of one sink since the start, each attempt counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Definite answers.
    pub answered: u64,
    /// Attempts without an answer.
    pub unknown: u64,
    /// Attempts that failed and are repeated.
    pub failed: u64,
    /// Refused or given up.
    pub refused: u64,
}

struct Entry {
    out: Outgoing,
    /// Failed and lost ones since it was offered.
    attempts: u32,
    /// Its entity has been told that the outcome is unknown.
    unknown: bool,
    /// Nobody waits for it any more, but it is still on its way.
    withdrawn: bool,
    phase: Phase,
}

#[derive(Clone, Copy)]
enum Phase {
    Waiting { due: Timestamp },
    InFlight { flight: u64 },
}

/// The dispatcher's core. `now` is any clock that does not go backwards.
pub struct Dispatch {
    options: Options,
    seed: u64,
    entries: BTreeMap<EffectId, Entry>,
    /// Had their last word, which the journal perhaps does not have yet: until then a restarted
    /// worker may offer them once more.
    told: BTreeSet<EffectId>,
    lanes: BTreeMap<String, Lane>,
    /// The sink that was served last.
    turn: String,
}

impl Dispatch {
    /// `options` are for every sink that has none of its own; `seed` spreads the retries.
    pub fn new(options: Options, seed: u64) -> Self {
        Self {
            options,
            seed,
            entries: BTreeMap::new(),
            told: BTreeSet::new(),
            lanes: BTreeMap::new(),
            turn: String::new(),
        }
    }

    /// Gives a sink options of its own.
    #[must_use]
    pub fn with_sink(mut self, sink: &str, options: Options) -> Self {
        self.lanes.insert(sink.to_owned(), Lane::new(options));
        self
    }

    /// Takes on a delivery. One that is known already, or has had its last word and was not
    /// withdrawn, is left as it is: a shard may offer what is pending as often as it likes.
    pub fn offer(&mut self, out: Outgoing) {
        let id = out.id;
        if self.told.contains(&id) {
            return;
        }
        if let Some(known) = self.entries.get_mut(&id) {
            known.withdrawn = false;
            return;
        }
        let due = Timestamp::default();
        let sink = &out.delivery.sink;
        if !self.lanes.contains_key(sink) {
            self.lanes.insert(sink.clone(), Lane::new(self.options));
        }
        self.lane(sink).wait(due, id);
        let phase = Phase::Waiting { due };
        self.entries
            .insert(id, Entry { out, attempts: 0, unknown: false, withdrawn: false, phase });
    }

    /// Nobody will offer this any more: its entity's pending entry has ended, or the record of its
    /// last word is durable. Should follow every last word.
    pub fn withdraw(&mut self, id: EffectId) {
        self.told.remove(&id);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        match entry.phase {
            Phase::InFlight { .. } => entry.withdrawn = true,
            Phase::Waiting { due } => {
                let entry = self.entries.remove(&id).expect("it was there just now");
                self.lane(&entry.out.delivery.sink).forget(due, id);
            }
        }
    }

    /// What to carry now, if anything. Sinks take turns; call it until it gives nothing more.
    pub fn next(&mut self, now: Timestamp) -> Option<Sending> {
        let after = (Bound::Excluded(self.turn.as_str()), Bound::Unbounded);
        let up_to = (Bound::Unbounded, Bound::Included(self.turn.as_str()));
        let turns = self.lanes.range::<str, _>(after).chain(self.lanes.range::<str, _>(up_to));
        let ready = |(_, lane): &(&String, &Lane)| lane.wake_at().is_some_and(|at| at <= now);
        let sink = turns.into_iter().find(ready)?.0.clone();
        let (flight, ids) = self.lane(&sink).take(now);
        let batch = ids.iter().map(|id| self.send(*id, flight)).collect();
        self.turn.clone_from(&sink);
        Some(Sending { sink, batch })
    }

    /// When [`Dispatch::next`] will have something if nothing else happens; not after now if it has
    /// something now.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.lanes.values().filter_map(Lane::wake_at).min()
    }

    /// What came of one delivery, and whom to tell. A definite answer counts even when it comes
    /// late; what else comes late, or twice, is ignored.
    pub fn came(&mut self, now: Timestamp, id: EffectId, came: Came) -> Option<Told> {
        let entry = self.entries.get(&id)?;
        let (phase, withdrawn) = (entry.phase, entry.withdrawn);
        let sink = entry.out.delivery.sink.clone();
        let definite = matches!(came, Came::Answer(_) | Came::Refused(_));
        match phase {
            Phase::InFlight { flight } => self.lane(&sink).landed(flight, definite, now),
            Phase::Waiting { due } if definite => self.lane(&sink).forget(due, id),
            Phase::Waiting { .. } => return None,
        }
        self.count(&sink, &came);
        if withdrawn {
            self.entries.remove(&id);
            return None;
        }
        match came {
            Came::Answer(bytes) => Some(self.end(id, Word::Definite(bytes))),
            Came::Refused(why) => Some(self.end(id, Word::Refused(why))),
            Came::Failed(why) => self.failed(now, id, &why),
            Came::Lost => self.lost(now, id),
        }
    }

    /// Deliveries that have not had their last word.
    pub fn pending(&self) -> usize {
        self.entries.len()
    }

    /// What has come of each sink's deliveries.
    pub fn counts(&self) -> impl Iterator<Item = (&str, Counts)> {
        self.lanes.iter().map(|(sink, lane)| (sink.as_str(), lane.counts))
    }

    fn lane(&mut self, sink: &str) -> &mut Lane {
        self.lanes.get_mut(sink).expect("a delivery is only offered together with its lane")
    }

    fn entry(&mut self, id: EffectId) -> &mut Entry {
        self.entries.get_mut(&id).expect("what is queued or in flight has an entry")
    }

    fn send(&mut self, id: EffectId, flight: u64) -> Outgoing {
        let entry = self.entry(id);
        entry.phase = Phase::InFlight { flight };
        entry.out.clone()
    }

    fn count(&mut self, sink: &str, came: &Came) {
        let counts = &mut self.lane(sink).counts;
        *match came {
            Came::Answer(_) => &mut counts.answered,
            Came::Lost => &mut counts.unknown,
            Came::Failed(_) => &mut counts.failed,
            Came::Refused(_) => &mut counts.refused,
        } += 1;
    }

    fn end(&mut self, id: EffectId, word: Word) -> Told {
        let entry = self.entries.remove(&id).expect("only what has an entry can end");
        assert!(self.told.insert(id), "delivery {id} has had its last word before");
        if self.told.len() > TOLD_MAX {
            self.told.pop_first();
        }
        Told { address: entry.out.address, id, delivery: entry.out.delivery, word }
    }

    fn failed(&mut self, now: Timestamp, id: EffectId, why: &str) -> Option<Told> {
        let entry = self.entry(id);
        entry.attempts += 1;
        let (attempts, unknown) = (entry.attempts, entry.unknown);
        let sink = entry.out.delivery.sink.clone();
        let lane = self.lane(&sink);
        // An earlier attempt may have happened after all: only the sink can say, so it is asked for
        // ever.
        if !unknown && lane.options.attempts_max.is_some_and(|max| attempts >= max) {
            lane.counts.failed -= 1;
            lane.counts.refused += 1;
            return Some(self.end(id, Word::Refused(format!("gave up after {attempts}: {why}"))));
        }
        self.again(now, id, u64::MAX);
        None
    }

    fn lost(&mut self, now: Timestamp, id: EffectId) -> Option<Told> {
        let entry = self.entry(id);
        entry.attempts += 1;
        if std::mem::replace(&mut entry.unknown, true) {
            self.again(now, id, u64::MAX);
            return None;
        }
        let out = entry.out.clone();
        self.again(now, id, UNKNOWN_AGAIN_MS_MAX);
        Some(Told { address: out.address, id, delivery: out.delivery, word: Word::Unknown })
    }

    /// Exponential back-off with full jitter: anything between at once and the bound, so that what
    /// failed together does not come back together.
    fn again(&mut self, now: Timestamp, id: EffectId, wait_ms_max: u64) {
        let seed = self.seed;
        let entry = self.entry(id);
        let (attempts, sink) = (entry.attempts, entry.out.delivery.sink.clone());
        let lane = self.lane(&sink);
        let doublings = (attempts - 1).min(32);
        let bound = lane.options.retry_base_ms.saturating_mul(1 << doublings);
        let bound = bound.min(lane.options.retry_max_ms).min(wait_ms_max);
        let wait_ms = chance(seed, id, attempts) % bound.saturating_add(1);
        let due = now.plus_ms(i64::try_from(wait_ms).unwrap_or(i64::MAX));
        lane.wait(due, id);
        self.entry(id).phase = Phase::Waiting { due };
    }
}

/// A number that depends on nothing but the delivery, the attempt and the seed.
fn chance(seed: u64, id: EffectId, attempt: u32) -> u64 {
    let mut bytes = [0; 14];
    bytes[..8].copy_from_slice(&id.cause.to_le_bytes());
    bytes[8..10].copy_from_slice(&id.index.to_le_bytes());
    bytes[10..].copy_from_slice(&attempt.to_le_bytes());
    xxh3_64_with_seed(&bytes, seed)
}

#[cfg(test)]
mod tests;
