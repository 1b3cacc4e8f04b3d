//! One life's turn: it applies its record, and whoever waits for that is answered.

use super::{Floor, Place, ShardAtRest};
use crate::api::Verdict;
use crate::life::{Again, Around, Done, Error, Life};
use crate::record::tag;
use crate::waiters::Told;
use actors::{Outcome, Position, Tags};
use state::frame::Record;

impl<S> Floor<S> {
    /// Lets the life at `place` apply its record.
    pub(super) fn turn(&self, place: &Place<S>, record: &Record<'_>) -> Result<(), Error> {
        let (number, life) = (place.shard, &mut *place.life.borrow_mut());
        place.last_batch.set(self.batch_number.get());
        if place.listens.take() {
            self.remembered.forget(life.address());
        }
        let mut shards = self.shards.borrow_mut();
        let shard = shards.get_mut(number).expect("a turn is of a life on this floor");
        let rest = ShardAtRest { store: &self.store, shard: number };
        // A new entity has no words yet, whatever its default would say of itself.
        let before = if life.is_unborn() { Tags::new() } else { life.tags() };
        let mut around = Around {
            kinds: &self.kinds,
            judged: &self.judged,
            rest: &rest,
            pending: &mut shard.pending,
            fx: &mut self.fx.borrow_mut(),
            caused: &mut shard.caused,
        };
        let done = life.apply(record, &mut around, &mut |position| self.again(position))?;
        self.account(life, record, &done);
        self.announce_tags(life, number, &before);
        Ok(())
    }

    fn account(&self, life: &Life, record: &Record<'_>, done: &Done) {
        let outcome = match done {
            Done::Known => return,
            Done::Folded(Outcome::Applied) => 0,
            Done::Folded(Outcome::Ignored) => 1,
            Done::Folded(Outcome::Rejected(_)) => 2,
            Done::Replayed(_) | Done::Mismatch => 3,
            Done::Poison => 4,
        };
        let mut counts = self.counts.borrow_mut();
        counts.count(record.kind, outcome);
        counts.newest = counts.newest.max(record.time);
        drop(counts);
        if record.tag == tag::COMMAND
            && let Some((waiter, position)) = self.waiters.take(record.position)
        {
            let status = crate::record::status_of(record.payload);
            let view = life.mind().view(&life.address().key);
            let (verdict, replayed) = verdict(done, status);
            let told = Told { verdict, replayed, position, view };
            self.answers.borrow_mut().push((waiter, told));
        }
    }

    fn announce_tags(&self, life: &Life, shard: u16, before: &Tags) {
        let now = life.tags();
        if now == *before {
            return;
        }
        let (kind, key) = (life.address().kind, &life.address().key);
        let mut fresh = self.fresh.shard(shard);
        for gone in before.iter().filter(|tag| !now.contains(tag)) {
            fresh.tag(gone, kind, key, false);
        }
        for come in now.iter().filter(|tag| !before.contains(tag)) {
            fresh.tag(come, kind, key, true);
        }
    }

    fn again(&self, position: Position) -> Result<Again, Error> {
        let unreadable = |why: String| Error::Record { position, why };
        let found = self.journal.record(position).map_err(|error| unreadable(error.to_string()))?;
        let (frame, index) = found.ok_or_else(|| unreadable("it is not there".to_owned()))?;
        let record = frame.record(index);
        let payload = record.payload.to_vec();
        Ok(Again { position, time: record.time, tag: record.tag, payload })
    }
}

fn verdict(done: &Done, status: u16) -> (Verdict, bool) {
    match done {
        Done::Known | Done::Folded(Outcome::Applied | Outcome::Ignored) => {
            (Verdict::Done { status }, false)
        }
        Done::Folded(Outcome::Rejected(reason)) => {
            (Verdict::Rejected { reason: reason.clone().into_owned() }, false)
        }
        Done::Replayed(Ok(status)) => (Verdict::Done { status: *status }, true),
        Done::Replayed(Err(reason)) => (Verdict::Rejected { reason: reason.clone() }, true),
        Done::Mismatch => (Verdict::Mismatch, false),
        Done::Poison => {
            let reason = "the command could not be applied; it is a dead letter now";
            (Verdict::Rejected { reason: reason.to_owned() }, false)
        }
    }
}
