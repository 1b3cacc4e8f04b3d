//! The oracle: what the journal's records come to, by a plain fold of them in order.
//!
//! Written apart from the engine, and dull on purpose: every entity is in memory with all its
//! pages, nothing is ever put to rest, nothing is done in batches. It shares the kinds with the
//! engine, and the form in which records are written. What is *not* here: the comparison.

use super::fuse::Fuse;
use crate::answers::ANSWERS_MAX;
use crate::floor::DEPTH_MAX;
use crate::kinds::Kinds;
use crate::pending::What;
use crate::record::{Prefix, split, split_verdict, tag};
use actors::effects::EFFECTS_PER_RECORD_MAX;
use actors::{
    Address, Effect, EffectId, Effects, Entity, KindId, Mind, Outcome, Position, Stop, Timestamp,
};
use state::frame::{Frame, Mark, Record, WayKind};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use xxhash_rust::xxh3::xxh3_64;

/// For so long an event without a number is known again.
const IDS_WINDOW_MS: i64 = 24 * 3_600_000;

/// What an effect must have become in the journal.
#[derive(Debug, PartialEq)]
pub enum Due {
    /// This was told to this entity.
    Sent(Address, Vec<u8>),
    /// An event with this id, sent out or not; or a letter instead.
    Published(String, bool),
    /// A verdict on this record.
    Verdict(Position),
    /// A letter, because the chain is too long.
    Letter,
}

/// The first answer to an idempotency key: its fingerprint, and a status or a reason.
pub type FirstAnswer = (u64, Result<u16, String>);

/// What an entity is.
pub struct Being {
    /// Its mind, with all pages.
    pub mind: Box<dyn Mind>,
    /// Its first record.
    pub created: Position,
    /// Its records.
    pub trail: Vec<Position>,
    /// Behind each of them, the hash of its head.
    pub heads: Vec<u64>,
    /// Its pages.
    pub pages: BTreeMap<u32, Vec<u8>>,
    /// What its commands were answered.
    pub answers: BTreeMap<String, FirstAnswer>,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was done, or there was nothing to do.
    Done,
    /// It was refused, or could not be applied.
    Refused,
    /// It was answered before: done or refused.
    Replayed(bool),
    /// Its key was used for something else.
    Mismatch,
}

/// Everything the journal's records come to.
pub struct Oracle {
    kinds: Kinds,
    /// Records on which the journal has a verdict: whatever the kinds would make of them now.
    judged: BTreeSet<Position>,
    /// Every entity.
    pub beings: BTreeMap<Address, Being>,
    /// Timers and deliveries that have not ended.
    pub pending: BTreeMap<EffectId, (Timestamp, Address, What)>,
    /// Effects that are not in the journal yet.
    pub due: BTreeMap<EffectId, Due>,
    /// Every delivery ever asked for.
    pub deliveries: BTreeSet<EffectId>,
    /// What was published, in order.
    pub published: Vec<(Position, Vec<u8>)>,
    /// What became of each command.
    pub fates: BTreeMap<Position, (Address, Fate)>,
    numbers: BTreeMap<String, u64>,
    ids: BTreeMap<u128, Timestamp>,
    next: Position,
    /// How often each thing happened that the history must not lack.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Oracle {
    /// What all these frames come to.
    pub fn of(kinds: Kinds, frames: &[Frame]) -> Self {
        let mut oracle = Self::new(kinds);
        let records = frames.iter().flat_map(Frame::records);
        let verdicts = records.filter(|record| record.tag == tag::VERDICT);
        oracle.judged = verdicts.filter_map(|v| Some(split_verdict(v.payload)?.0)).collect();
        for frame in frames {
            oracle.fold(frame);
        }
        oracle
    }

    fn new(kinds: Kinds) -> Self {
        Self {
            kinds,
            judged: BTreeSet::new(),
            beings: BTreeMap::new(),
            pending: BTreeMap::new(),
            due: BTreeMap::new(),
            deliveries: BTreeSet::new(),
            published: Vec::new(),
            fates: BTreeMap::new(),
            numbers: BTreeMap::new(),
            ids: BTreeMap::new(),
            next: 0,
            counts: BTreeMap::new(),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Folds a frame in. Panics if the journal is not as it must be: a gap, something twice, an
    /// effect that nobody asked for.
    fn fold(&mut self, frame: &Frame) {
        assert_eq!(frame.base(), self.next, "positions have no gap");
        self.next = frame.end();
        for group in frame.groups() {
            let records: Vec<Record<'_>> = group.records.map(|i| frame.record(i)).collect();
            match group.mark {
                Mark::None => {}
                Mark::Id(id) => {
                    let before = self.ids.insert(id, frame.time());
                    let again = before.map(|before| frame.time().0 - before.0);
                    assert!(
                        again.is_none_or(|ms| ms >= IDS_WINDOW_MS),
                        "event {id:x} came twice, {again:?} ms apart"
                    );
                }
                Mark::Number { number, index } if frame.way_kind() == WayKind::Shard => {
                    self.carried_out(EffectId { cause: number, index }, &records);
                }
                Mark::Number { number, .. } => {
                    let next = self.numbers.entry(frame.way().to_string()).or_default();
                    assert_eq!(number, *next, "{} without a gap", frame.way());
                    *next += 1;
                }
            }
        }
        for record in frame.records() {
            if record.tag == tag::PUBLISHED {
                self.published.push((record.position, record.payload.to_vec()));
            }
            if !record.key.is_empty() {
                self.apply(&record);
            }
        }
    }

    /// An effect is in the journal: somebody must have asked for it, and it must be what was asked
    /// for.
    fn carried_out(&mut self, id: EffectId, records: &[Record<'_>]) {
        let due = self.due.remove(&id).unwrap_or_else(|| panic!("nobody asked for {id}, or twice"));
        let first = &records[0];
        let is_letter = first.tag == tag::SENT && first.kind == KindId::DEAD_LETTER;
        match due {
            Due::Sent(address, payload) => {
                assert_eq!(records.len(), 1, "{id}");
                assert_eq!((first.kind, first.key), (address.kind, &*address.key), "{id}");
                let split = split(first.tag, first.payload).expect("a record of ours");
                assert_eq!(split, (Prefix::Cause(id), &payload[..]), "{id}");
            }
            Due::Published(name, outward) => {
                let wanted = if outward { tag::PUBLISHED } else { tag::EVENT };
                let text = String::from_utf8_lossy(first.payload);
                let named = text.contains(&format!("\"id\":\"{name}\""));
                assert!(is_letter || (first.tag == wanted && named), "{id}: {text}");
                self.count(if is_letter { "unpublishable" } else { "published" });
            }
            Due::Verdict(position) => {
                let verdict = split_verdict(first.payload).expect("a verdict");
                assert_eq!((first.tag, verdict.0), (tag::VERDICT, position), "{id}");
                assert_eq!(records.len(), 2, "a verdict and its letter");
            }
            Due::Letter => assert!(is_letter, "{id}"),
        }
    }

    fn apply(&mut self, record: &Record<'_>) {
        let address = Address::new(record.kind, record.key);
        let kind = self.kinds.get(record.kind).expect("a kind of the table");
        let wake = || Being {
            mind: kind.wake(None).expect("a new one"),
            created: record.position,
            trail: Vec::new(),
            heads: Vec::new(),
            pages: BTreeMap::new(),
            answers: BTreeMap::new(),
        };
        let mut being = self.beings.remove(&address).unwrap_or_else(wake);
        let fate = self.tell(&mut being, &address, record);
        if record.tag == tag::COMMAND {
            self.fates.insert(record.position, (address.clone(), fate));
        }
        being.trail.push(record.position);
        being.pages.extend(being.mind.take_changed_pages());
        being.heads.push(hash_of(&*being.mind));
        self.beings.insert(address, being);
    }

    fn tell(&mut self, being: &mut Being, address: &Address, record: &Record<'_>) -> Fate {
        let (prefix, event) = split(record.tag, record.payload).expect("records of ours");
        let keyed = match prefix {
            Prefix::Command(Some(key)) => {
                if let Some((fingerprint, answer)) = being.answers.get(key.key) {
                    self.count("repeated");
                    let same = *fingerprint == key.fingerprint;
                    return if same { Fate::Replayed(answer.is_ok()) } else { Fate::Mismatch };
                }
                if being.answers.len() >= ANSWERS_MAX {
                    return Fate::Refused;
                }
                Some((key.key.to_owned(), key.fingerprint, key.status))
            }
            Prefix::Fired(id) | Prefix::Answered(id, _) if !self.pending.contains_key(&id) => {
                self.count("too late");
                return Fate::Done;
            }
            Prefix::Fired(id) => {
                let (due, _, what) = self.pending.remove(&id).expect("just seen");
                assert!(due <= record.time, "{id} fired before it was due");
                assert_eq!(what, What::Timer(event.to_vec()), "{id}");
                self.count("fired");
                None
            }
            Prefix::Answered(id, last) => {
                if last {
                    self.pending.remove(&id);
                }
                self.count(if last { "answered" } else { "unknown" });
                None
            }
            _ => None,
        };
        let outcome = self.fold_event(being, address, record, event);
        if let (Some((key, fingerprint, status)), Ok(outcome)) = (keyed, &outcome) {
            let answer = match outcome {
                Outcome::Rejected(reason) => Err(reason.clone().into_owned()),
                _ => Ok(status),
            };
            being.answers.insert(key, (fingerprint, answer));
        }
        match outcome {
            Ok(Outcome::Applied | Outcome::Ignored) => Fate::Done,
            Ok(Outcome::Rejected(_)) | Err(()) => Fate::Refused,
        }
    }

    /// Folds one event; an error is poison.
    fn fold_event(
        &mut self,
        being: &mut Being,
        address: &Address,
        record: &Record<'_>,
        event: &[u8],
    ) -> Result<Outcome, ()> {
        let before = head_of(&*being.mind);
        let mut fx = Effects::new(record.time, record.position);
        let outcome = loop {
            if self.judged.contains(&record.position) {
                break Err(());
            }
            let folded = catch_unwind(AssertUnwindSafe(|| being.mind.apply(event, &mut fx)));
            match folded {
                Ok(Ok(outcome)) => break Ok(outcome),
                Ok(Err(Stop::NeedsPage(page))) => {
                    let bytes = being.pages.get(&page).map(Vec::as_slice);
                    being.mind.give_page(page, bytes).expect("a page");
                }
                Ok(Err(Stop::Undecodable(_))) | Err(_) => break Err(()),
            }
        };
        let nobody = |effect: &Effect| matches!(effect, Effect::Send { key, .. } if key.is_empty());
        let list = fx.take();
        let rejected = matches!(outcome, Ok(Outcome::Rejected(_)));
        let impossible =
            list.len() > EFFECTS_PER_RECORD_MAX || (!rejected && list.iter().any(nobody));
        if outcome.is_err() || impossible {
            let kind = self.kinds.get(address.kind).expect("a kind of the table");
            // Its pages are given again when they are needed.
            being.mind = kind.wake(Some(&before)).expect("its own head");
            let id = EffectId { cause: record.position, index: 0 };
            self.due.insert(id, Due::Verdict(record.position));
            self.count("poison");
            return Err(());
        }
        if rejected {
            assert_eq!(head_of(&*being.mind), before, "a refusal changes nothing: {address:?}");
            self.count("refused");
        } else {
            for (effect, index) in list.into_iter().zip(0..) {
                self.ask(EffectId { cause: record.position, index }, address, record, effect);
            }
        }
        outcome
    }

    fn ask(&mut self, id: EffectId, address: &Address, record: &Record<'_>, effect: Effect) {
        let too_deep = record.depth >= DEPTH_MAX;
        let due = match effect {
            Effect::At { due, payload } => {
                let entry = (due, address.clone(), What::Timer(payload));
                self.pending.insert(id, entry);
                return;
            }
            Effect::Deliver(delivery) => {
                self.deliveries.insert(id);
                let entry = (record.time, address.clone(), What::Delivery(delivery));
                self.pending.insert(id, entry);
                return;
            }
            _ if too_deep => {
                self.count("too deep");
                Due::Letter
            }
            Effect::Send { kind, key, payload } => {
                let kind = self.kinds.id(kind).expect("a kind of the table");
                Due::Sent(Address { kind, key }, payload)
            }
            Effect::Publish(publication) => {
                let name = format!("{}.{}.{}", publication.subject, id.cause, id.index);
                Due::Published(name, publication.outward)
            }
        };
        self.due.insert(id, due);
    }

    /// Whether an address is of the simulation's own kind.
    pub fn is_fuse(&self, address: &Address) -> bool {
        self.kinds.id(<Fuse>::KIND) == Some(address.kind)
    }
}

/// A mind's head, in its stored form.
pub fn head_of(mind: &dyn Mind) -> Vec<u8> {
    let mut head = Vec::new();
    mind.head(&mut head);
    head
}

fn hash_of(mind: &dyn Mind) -> u64 {
    xxh3_64(&head_of(mind))
}
