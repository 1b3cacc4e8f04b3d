//! What happens when a record comes.

use super::{Again, Around, Caused, CausedWhat, Change, Done, Error, Life};
use crate::answers::{Answers, Known};
use crate::hear::panic_text;
use crate::pending::{Entry, What};
use crate::record::{self, CommandKey, Prefix, tag};
use actors::effects::EFFECTS_PER_RECORD_MAX;
use actors::{Effect, EffectId, Outcome, Position, Stop, id_fault};
use state::frame::Record;
use state::row::key;
use std::panic::AssertUnwindSafe;

/// Why a record is poison.
struct Poison {
    code: &'static str,
    reason: String,
}

impl Life {
    /// Applies one record of this entity's. `again` reads another of its records, should it have to
    /// be restored.
    pub fn apply(
        &mut self,
        record: &Record<'_>,
        around: &mut Around<'_>,
        again: &mut dyn FnMut(Position) -> Result<Again, Error>,
    ) -> Result<Done, Error> {
        if record.position < self.next {
            return Ok(Done::Known);
        }
        if self.is_unborn() {
            self.created = record.position;
        }
        let done = match self.try_apply(record, around)? {
            Ok(done) => done,
            Err(poison) => {
                self.restore(around.kinds, around.rest, again)?;
                self.judge(record, poison, around);
                self.rare().unfolded.push(record.position);
                Done::Poison
            }
        };
        self.next = record.position + 1;
        self.trail.push(record.position);
        self.dirty = true;
        Ok(done)
    }

    fn try_apply(
        &mut self,
        record: &Record<'_>,
        around: &mut Around<'_>,
    ) -> Result<Result<Done, Poison>, Error> {
        let split = record::split(record.tag, record.payload);
        if around.judged.contains(&record.position) {
            if let Ok((Prefix::Fired(id) | Prefix::Answered(id, true), _)) = split {
                self.end_pending(id, around);
            }
            return Ok(Ok(self.unfolded(record, Done::Poison)));
        }
        match split {
            Ok((prefix, event)) => self.apply_split(record, &prefix, event, around),
            Err(error) => Ok(Err(Poison { code: "undecodable", reason: error.to_string() })),
        }
    }

    /// What came of a record that is not to be folded, now or when the mind has to be restored.
    fn unfolded(&mut self, record: &Record<'_>, done: Done) -> Done {
        self.rare().unfolded.push(record.position);
        done
    }

    /// Ends a timer or a delivery. False if it had ended before.
    fn end_pending(&mut self, id: EffectId, around: &mut Around<'_>) -> bool {
        let Some(entry) = around.pending.end(id) else { return false };
        self.rare().changes.push(Change { id, due: entry.due });
        true
    }

    fn apply_split(
        &mut self,
        record: &Record<'_>,
        prefix: &Prefix<'_>,
        event: &[u8],
        around: &mut Around<'_>,
    ) -> Result<Result<Done, Poison>, Error> {
        match prefix {
            Prefix::Command(Some(key)) => self.command(record, *key, event, around),
            Prefix::Fired(id) | Prefix::Answered(id, true) if !self.end_pending(*id, around) => {
                Ok(Ok(self.unfolded(record, Done::Folded(Outcome::Ignored))))
            }
            Prefix::Answered(id, false) if around.pending.get(*id).is_none() => {
                Ok(Ok(self.unfolded(record, Done::Folded(Outcome::Ignored))))
            }
            _ => self.fold(record, event, around),
        }
    }

    fn command(
        &mut self,
        record: &Record<'_>,
        wanted: CommandKey<'_>,
        event: &[u8],
        around: &mut Around<'_>,
    ) -> Result<Result<Done, Poison>, Error> {
        match self.answers(around)?.look(wanted) {
            Known::New => {}
            Known::Answered(answer) => {
                return Ok(Ok(self.unfolded(record, Done::Replayed(answer))));
            }
            Known::Mismatch => return Ok(Ok(self.unfolded(record, Done::Mismatch))),
            Known::Full => {
                let reason = "this entity has answered as many commands as it can remember";
                let full = Done::Folded(Outcome::Rejected(reason.into()));
                return Ok(Ok(self.unfolded(record, full)));
            }
        }
        let done = self.fold(record, event, around)?;
        if let Ok(Done::Folded(outcome)) = &done {
            let rejected = match outcome {
                Outcome::Rejected(reason) => Some(&**reason),
                Outcome::Applied | Outcome::Ignored => None,
            };
            self.answers(around)?.remember(wanted, rejected);
        }
        Ok(done)
    }

    fn answers(&mut self, around: &Around<'_>) -> Result<&mut Answers, Error> {
        let is_known = self.rare.as_ref().is_some_and(|rare| rare.answers.is_some());
        if !is_known {
            let (kind, name) = (self.address.kind, &self.address.key);
            let answers = if self.stored {
                Answers::load(|number| around.rest.get(&key::answers(kind, name, number)))?
            } else {
                Answers::default()
            };
            self.rare().answers = Some(answers);
        }
        Ok(self.rare().answers.as_mut().expect("just loaded"))
    }

    fn fold(
        &mut self,
        record: &Record<'_>,
        event: &[u8],
        around: &mut Around<'_>,
    ) -> Result<Result<Done, Poison>, Error> {
        around.fx.reset(record.time, record.position);
        let outcome = loop {
            let (mind, fx) = (&mut self.mind, &mut *around.fx);
            let folded = std::panic::catch_unwind(AssertUnwindSafe(|| mind.apply(event, fx)));
            match folded {
                Ok(Ok(outcome)) => break outcome,
                Ok(Err(Stop::NeedsPage(page))) => self.give_page(page, around.rest)?,
                Ok(Err(Stop::Undecodable(reason))) => {
                    return Ok(Err(Poison { code: "undecodable", reason }));
                }
                Err(panic) => {
                    let reason = panic_text(&*panic);
                    return Ok(Err(Poison { code: "panicked", reason }));
                }
            }
        };
        if around.fx.list().len() > EFFECTS_PER_RECORD_MAX {
            let reason = format!("asked for {} effects", around.fx.list().len());
            return Ok(Err(Poison { code: "too-many-effects", reason }));
        }
        if !matches!(outcome, Outcome::Rejected(_)) && !around.fx.list().is_empty() {
            if let Some(reason) = impossible(around.fx.list()) {
                return Ok(Err(Poison { code: "bad-key", reason }));
            }
            self.take_effects(record, around);
        }
        Ok(Ok(Done::Folded(outcome)))
    }

    fn take_effects(&mut self, record: &Record<'_>, around: &mut Around<'_>) {
        for (index, effect) in around.fx.take().into_iter().enumerate() {
            let index = u16::try_from(index).expect("at most 1,000 effects");
            let id = EffectId { cause: record.position, index };
            let (due, what) = match effect {
                effect if record.tag == tag::BACKFILLED && !self.is_kept(&effect, around) => {
                    continue;
                }
                Effect::At { due, payload } => (due, What::Timer(payload)),
                Effect::Deliver(delivery) => (record.time, What::Delivery(delivery)),
                other => {
                    let what = CausedWhat::Effect(other);
                    around.caused.push(Caused { id, depth: record.depth, what });
                    continue;
                }
            };
            around.pending.add(id, Entry { due, address: self.address.clone(), what });
            self.rare().changes.push(Change { id, due });
        }
    }

    /// Whether an effect of what is told late is carried out: what concerns its own kind alone.
    fn is_kept(&self, effect: &Effect, around: &Around<'_>) -> bool {
        let own = around.kinds.get(self.address.kind).map(|kind| kind.name);
        match effect {
            Effect::At { .. } => true,
            Effect::Send { kind, .. } => Some(*kind) == own,
            Effect::Deliver(_) | Effect::Publish(_) => false,
        }
    }

    fn judge(&self, record: &Record<'_>, poison: Poison, around: &mut Around<'_>) {
        let what = CausedWhat::Verdict {
            address: self.address.clone(),
            code: poison.code,
            reason: poison.reason,
        };
        let id = EffectId { cause: record.position, index: 0 };
        around.caused.push(Caused { id, depth: record.depth, what });
    }
}

/// Why an effect can never be carried out, if one cannot: an address without a sound key.
fn impossible(effects: &[Effect]) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::Send { kind, key, .. } => {
            id_fault(key).map(|fault| format!("told {kind} of a key that {fault}"))
        }
        _ => None,
    })
}
