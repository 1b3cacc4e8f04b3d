//! One entity as a plain fold of its own records, and what the store should have of it.
//!
//! It knows what a record's prefix means, and what ends a pending entry; nothing of it is taken
//! from the engine's own `life`, which is what it is there to check. A judged record changes
//! nothing, but still ends the pending entry it was for.

use crate::answers::{Answers, Known};
use crate::hear::panic_text;
use crate::pending::{What, stored_key, stored_value};
use crate::record::{self, Prefix};
use actors::{Address, Effect, EffectId, Effects, Kind, Mind, Outcome, Position, Stop, Timestamp};
use state::frame::Record;
use state::row::{Trail, key};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An entity that is being folded.
pub(super) struct Fold {
    mind: Box<dyn Mind>,
    pending: BTreeMap<EffectId, (Timestamp, What)>,
    answers: Answers,
    trail: Trail,
    pub(super) first: Option<Position>,
    /// A record that could not be applied and was not judged.
    pub(super) fault: Option<String>,
}

/// What the store should have of an entity.
pub(super) struct Expected {
    /// The head's bytes.
    pub(super) head: Vec<u8>,
    /// Every other entry but the trail, by its stored key; pages included, inline or not.
    pub(super) entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The positions of its records.
    pub(super) trail: Trail,
}

impl Fold {
    pub(super) fn new(kind: &Kind) -> Self {
        Self {
            mind: kind.wake(None).expect("a new entity needs nothing to decode"),
            pending: BTreeMap::new(),
            answers: Answers::default(),
            trail: Trail::default(),
            first: None,
            fault: None,
        }
    }

    /// The position behind its last record; 0 if it has none.
    pub(super) fn next(&self) -> Position {
        self.trail.last().map_or(0, |last| last + 1)
    }

    /// Folds in one of its records.
    pub(super) fn apply(&mut self, record: &Record<'_>, judged: bool, fx: &mut Effects) {
        self.first.get_or_insert(record.position);
        self.trail.push(record.position);
        let applied = match record::split(record.tag, record.payload) {
            Ok((prefix, event)) => self.apply_split(record, (&prefix, event), judged, fx),
            Err(_) if judged => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = applied {
            let position = record.position;
            let fault = || format!("record {position} was never judged, and: {why}");
            self.fault.get_or_insert_with(fault);
        }
    }

    fn apply_split(
        &mut self,
        record: &Record<'_>,
        (prefix, event): (&Prefix<'_>, &[u8]),
        judged: bool,
        fx: &mut Effects,
    ) -> Result<(), String> {
        let command = match prefix {
            Prefix::Fired(id) | Prefix::Answered(id, true) => {
                if self.pending.remove(id).is_none() {
                    return Ok(());
                }
                None
            }
            Prefix::Answered(id, false) if !self.pending.contains_key(id) => return Ok(()),
            Prefix::Command(Some(key)) if self.answers.look(*key) != Known::New => return Ok(()),
            Prefix::Command(key) => *key,
            _ => None,
        };
        if judged {
            return Ok(());
        }
        let outcome = self.fold(record, event, fx)?;
        if let Some(key) = command {
            let rejected = match &outcome {
                Outcome::Rejected(reason) => Some(&**reason),
                Outcome::Applied | Outcome::Ignored => None,
            };
            self.answers.remember(key, rejected);
        }
        Ok(())
    }

    fn fold(
        &mut self,
        record: &Record<'_>,
        event: &[u8],
        fx: &mut Effects,
    ) -> Result<Outcome, String> {
        fx.reset(record.time, record.position);
        let outcome = loop {
            let mind = &mut self.mind;
            match catch_unwind(AssertUnwindSafe(|| mind.apply(event, fx))) {
                Ok(Ok(outcome)) => break outcome,
                // Every page stays in memory, so one that is not there was never written.
                Ok(Err(Stop::NeedsPage(page))) => {
                    mind.give_page(page, None).map_err(|error| error.to_string())?;
                }
                Ok(Err(Stop::Undecodable(why))) => return Err(why),
                Err(panic) => return Err(panic_text(&*panic)),
            }
        };
        if !matches!(outcome, Outcome::Rejected(_)) {
            self.take_pending(record, fx);
        }
        Ok(outcome)
    }

    fn take_pending(&mut self, record: &Record<'_>, fx: &mut Effects) {
        for (index, effect) in (0..).zip(fx.take()) {
            let entry = match effect {
                Effect::At { due, payload } => (due, What::Timer(payload)),
                // Nothing is delivered of what is told late.
                Effect::Deliver(_) if record.tag == record::tag::BACKFILLED => continue,
                Effect::Deliver(delivery) => (record.time, What::Delivery(delivery)),
                Effect::Send { .. } | Effect::Publish(_) => continue,
            };
            self.pending.insert(EffectId { cause: record.position, index }, entry);
        }
    }

    /// What the store should have of it.
    pub(super) fn expected(mut self, address: &Address) -> Expected {
        let mut head = Vec::new();
        self.mind.head(&mut head);
        let (kind, name) = (address.kind, &address.key);
        let pages = self.mind.take_changed_pages().into_iter();
        let pages = pages.map(|(number, bytes)| (key::page(kind, name, number), bytes));
        let answers = self.answers.take_changed().into_iter();
        let answers = answers.map(|(number, bytes)| (key::answers(kind, name, number), bytes));
        // Nothing was ever told to one without records, so it has no words either.
        let tags = self.first.map(|_| self.mind.tags()).unwrap_or_default();
        let tags = tags.iter().map(|word| (key::tag(word, kind, name), Vec::new()));
        let pending = self.pending.iter();
        let pending =
            pending.map(|(id, (due, what))| (stored_key(*id, *due, address), stored_value(what)));
        let entries = pages.chain(answers).chain(tags).chain(pending).collect();
        Expected { head, entries, trail: self.trail }
    }
}
