//! One life of the engine's core, without a thread: journal, store, floor, dispatcher, gateway and
//! outbox, each taking a step when it is told to.
//!
//! The steps are those of the shells (`writer`, `worker`, `keeper`, `dispatcher`, the tree's
//! outbox), in any order. What is *not* here: what comes in, and when what happens. An error means
//! that the machine is down, or that something is wrong.

use super::chance::Chance;
use super::machine::Machine;
use crate::dispatch::{self, Came, Dispatch, Sending};
use crate::dispatcher::put_answer;
use crate::floor::{Captured, Floor, Ground, Publisher};
use crate::fresh::AllFresh;
use crate::hear::Hearer;
use crate::kinds::Kinds;
use crate::pending::{What, put_fired};
use crate::remembered::Remembered;
use crate::sinks::gateway::Gateway;
use crate::sinks::outbox::Outbox;
use crate::sinks::{GATEWAY_BOOK, tail};
use crate::waiters::{Waiter, Waiters};
use actors::{EffectId, Position, Timestamp};
use state::frame::{Draft, Way};
use state::journal::{self, AppendError, Journal, Receipt};
use state::store::{self, Checkpoint, Store};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// So many shards.
pub const SHARDS: u16 = 8;

/// Our own `source` in events.
pub const SOURCE: &str = "/bellwether/simulated";

/// The journal's id.
pub const UUID: [u8; 16] = [0xb; 16];

/// What went wrong.
pub type Failed = String;

/// Whose draft it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// The client's, with its number.
    Client(usize),
    /// What this generation's batches caused.
    Effects(u64),
    /// Timers that are due.
    Fired,
    /// What the dispatcher says of these.
    Answers(Vec<EffectId>),
}

/// A draft on its way to the journal.
pub struct Submission {
    /// What to append.
    pub draft: Draft,
    /// Whose it is.
    pub from: From,
    /// Who waits for what becomes of its first record.
    pub waiter: Option<Waiter>,
}

/// What the journal said to a client's draft.
pub type Reply = (usize, Result<Receipt, AppendError>);

/// What became of a draft.
enum Appended {
    Reply(Reply),
    Done(From),
    Later(Submission),
}

/// A shard that is on its way to the store.
struct HandOver {
    captured: Captured,
    /// It waits for so many drafts of effects.
    after: u64,
}

/// The core of a running engine.
pub struct Process {
    kinds: Kinds,
    journal: Journal,
    store: Store,
    fresh: Arc<AllFresh>,
    waiters: Arc<Waiters>,
    judged: Arc<BTreeSet<Position>>,
    floor: Floor<()>,
    publisher: Publisher,
    /// Hears what clients bring.
    pub hearer: Hearer,
    dispatch: Dispatch,
    gateway: Gateway,
    outbox: Outbox,
    /// What the store says durably of each shard.
    marks: Vec<(u16, Position, Option<Vec<u8>>)>,
    queue: VecDeque<Submission>,
    /// What is urgent and found the disk full.
    deferred: VecDeque<Submission>,
    cursor: Position,
    recovery_end: Position,
    generation: u64,
    effects_submitted: u64,
    effects_durable: u64,
    handed_over: Option<HandOver>,
    staged: Vec<u16>,
    carrying: Vec<Sending>,
}

impl Process {
    /// Starts on what is on this machine.
    pub fn start(machine: &Machine, kinds: Kinds) -> Result<Self, Failed> {
        let (disk, data) = (machine.disk(), machine.data());
        let (store, _) =
            Store::open(disk.clone(), &data, &machine.open_kv(), store_options(), UUID)
                .map_err(text)?;
        let outbox = Outbox::open(disk.clone(), &data, UUID).map_err(text)?;
        let vouchers = [
            ("the store's ceiling".to_owned(), store.ceiling()),
            ("the outbox's cursor".to_owned(), outbox.cursor()),
        ];
        let (journal, _) =
            Journal::open(disk.clone(), &data.join("journal"), journal_options(), &vouchers)
                .map_err(text)?;
        let gateway = Gateway::open(disk, &data.join(GATEWAY_BOOK), SOURCE).map_err(text)?;
        let marks: Vec<_> = (0..SHARDS)
            .map(|shard| (shard, store.replay_from(shard), store.shard_note(shard)))
            .collect();
        let (fresh, waiters) = (Arc::new(AllFresh::new(SHARDS)), Arc::<Waiters>::default());
        let judged: Arc<BTreeSet<_>> = Arc::new(journal.origins().verdicts().collect());
        let ground = ground(kinds, &store, &journal, (&fresh, &waiters, &judged));
        let floor = Floor::open(ground, &marks).map_err(text)?;
        Ok(Self {
            kinds,
            cursor: floor.replay_from(),
            recovery_end: journal.durable(),
            floor,
            fresh,
            waiters,
            judged,
            publisher: Publisher::new(kinds, SOURCE.to_owned()).with_drafts_of(4 << 10),
            hearer: Hearer::new(kinds),
            dispatch: new_dispatch(),
            gateway,
            outbox,
            marks,
            journal,
            store,
            queue: VecDeque::new(),
            deferred: VecDeque::new(),
            generation: 1,
            effects_submitted: 0,
            effects_durable: 0,
            handed_over: None,
            staged: Vec::new(),
            carrying: Vec::new(),
        })
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The floor.
    pub fn floor(&self) -> &Floor<()> {
        &self.floor
    }

    /// From where each shard is replayed, by the last checkpoint that counts.
    pub fn covered(&self) -> impl Iterator<Item = Position> {
        self.marks.iter().map(|(_, replay_from, _)| *replay_from)
    }

    /// Hands in a draft.
    pub fn submit(&mut self, submission: Submission) {
        self.queue.push_back(submission);
    }

    /// The writer's step: appends at most so many drafts, commits, and gives what it said to
    /// clients.
    pub fn write(&mut self, most: usize, now: Timestamp) -> Result<Vec<Reply>, Failed> {
        let (mut replies, mut others) = (Vec::new(), Vec::new());
        let taken: Vec<_> = self.queue.drain(..most.min(self.queue.len())).collect();
        for submission in std::mem::take(&mut self.deferred).into_iter().chain(taken) {
            // What is urgent stays in its order.
            if submission.draft.urgent && !self.deferred.is_empty() {
                self.deferred.push_back(submission);
                continue;
            }
            match self.append(submission, now)? {
                Appended::Reply(reply) => replies.push(reply),
                Appended::Done(from) => others.push(from),
                Appended::Later(submission) => self.deferred.push_back(submission),
            }
        }
        self.journal.commit().map_err(text)?;
        for from in others {
            match from {
                From::Effects(generation) if generation == self.generation => {
                    self.effects_durable += 1;
                }
                From::Answers(ids) => ids.into_iter().for_each(|id| self.dispatch.withdraw(id)),
                _ => {}
            }
        }
        Ok(replies)
    }

    fn append(&mut self, submission: Submission, now: Timestamp) -> Result<Appended, Failed> {
        let result = self.journal.append(&submission.draft, now);
        if let Err(AppendError::Failed(error)) = result {
            return Err(error.to_string());
        }
        match (&submission.from, result) {
            (From::Client(number), result) => {
                if let (Ok(receipt), Some(waiter)) = (&result, submission.waiter) {
                    self.waiters.register(waiter, receipt.base, receipt.end);
                }
                Ok(Appended::Reply((*number, result)))
            }
            (_, Ok(_)) => Ok(Appended::Done(submission.from)),
            (_, Err(AppendError::DiskFull(_))) => Ok(Appended::Later(submission)),
            (_, Err(error)) => Err(format!("ours was refused: {error}")),
        }
    }

    /// The worker's step: applies about so many bytes of journal. False if there is nothing.
    pub fn work(&mut self, bytes_max: usize) -> Result<bool, Failed> {
        let frames = self.journal.reader().read(self.cursor, bytes_max).map_err(text)?;
        let Some(end) = frames.last().map(|frame| frame.end()) else { return Ok(false) };
        self.floor.apply(&frames, |_| ()).map_err(text)?;
        for draft in self.floor.finish(&mut self.publisher) {
            self.effects_submitted += 1;
            self.submit(Submission { draft, from: From::Effects(self.generation), waiter: None });
        }
        self.cursor = end;
        self.floor.answer();
        Ok(true)
    }

    /// Whether it has applied what was there when this generation began.
    pub fn has_caught_up(&self) -> bool {
        self.cursor >= self.recovery_end
    }

    /// The worker and the keeper: hands this shard over, unless another is on its way.
    pub fn capture(&mut self, shard: u16) {
        if self.handed_over.is_none() {
            let captured = self.floor.capture(shard, self.cursor);
            self.handed_over = Some(HandOver { captured, after: self.effects_submitted });
        }
    }

    /// The keeper's step: stages what was handed over, if what it caused is durable, and commits
    /// if `last`.
    pub fn keep(&mut self, last: bool) -> Result<(), Failed> {
        let ready = |handed: &mut HandOver| handed.after <= self.effects_durable;
        let Some(handed) = self.handed_over.take_if(ready) else { return Ok(()) };
        let Captured { shard, writes, replay_from, note } = handed.captured;
        let ceiling = replay_from;
        self.staged.push(shard);
        let checkpoint = Checkpoint { shard, writes, replay_from, note, ceiling };
        let staged = self.store.stage(checkpoint);
        self.bear(staged)?;
        self.floor.settle(shard, replay_from);
        if last {
            let committed = self.store.commit().map(drop);
            self.bear(committed)?;
            for shard in self.staged.drain(..) {
                let (replay_from, note) =
                    (self.store.replay_from(shard), self.store.shard_note(shard));
                self.marks[usize::from(shard)] = (shard, replay_from, note);
            }
        }
        Ok(())
    }

    /// A round that the disk refuses does not count.
    fn bear(&mut self, result: Result<(), store::Error>) -> Result<(), Failed> {
        match result {
            Err(error) if error.may_pass() => {
                self.staged.clear();
                Ok(())
            }
            result => result.map_err(text),
        }
    }

    /// Puts to rest who was idle in so many batches.
    pub fn evict(&mut self, shard: u16, idle_batches: u32) {
        self.floor.evict(shard, idle_batches, usize::MAX);
    }

    /// The timekeeper's step: at most so many timers of each shard that are due.
    pub fn fire(&mut self, now: Timestamp, most: usize) {
        for shard in 0..SHARDS {
            let due = self.floor.with_pending(shard, |pending| pending.take_due(now, most));
            let due = due.unwrap_or_default();
            if due.is_empty() {
                continue;
            }
            let mut draft = Draft::new(Way::engine());
            draft.urgent = true;
            for (id, entry) in &due {
                put_fired(&mut draft, *id, entry);
            }
            self.submit(Submission { draft, from: From::Fired, waiter: None });
        }
    }

    /// The worker offers what is pending, and the dispatcher sends what is due.
    pub fn dispatch(&mut self, now: Timestamp) {
        for shard in 0..SHARDS {
            let waiting = self.floor.with_pending(shard, |pending| pending.take_deliveries(100));
            for (id, entry) in waiting.unwrap_or_default() {
                let What::Delivery(delivery) = entry.what else { continue };
                let address = entry.address;
                self.dispatch.offer(dispatch::Outgoing { id, address, delivery });
            }
        }
        while let Some(sending) = self.dispatch.next(now) {
            self.carrying.push(sending);
        }
    }

    /// A sink carries one batch out, and the dispatcher journals what came of it. Gives the ids
    /// that the gateway was asked for.
    pub fn carry(&mut self, now: Timestamp, chance: &mut Chance) -> Vec<EffectId> {
        if self.carrying.is_empty() {
            return Vec::new();
        }
        let which = chance.below(self.carrying.len() as u64) as usize;
        let Sending { sink, batch } = self.carrying.swap_remove(which);
        let ids: Vec<EffectId> = batch.iter().map(|out| out.id).collect();
        let came = if sink == actors::payment::gateway::SINK {
            let bodies: Vec<_> =
                batch.iter().map(|out| (out.id, out.delivery.body.as_slice())).collect();
            self.gateway.carry(&bodies)
        } else {
            vec![Came::Refused("no such sink".to_owned()); batch.len()]
        };
        let mut draft = Draft::new(Way::engine());
        draft.urgent = true;
        let mut last = Vec::new();
        for (id, came) in ids.iter().zip(came) {
            if let Some(told) = self.dispatch.came(now, *id, came) {
                last.extend(told.last().then_some(*id));
                put_answer(self.kinds, &mut draft, &told);
            }
        }
        if draft.records() > 0 {
            self.submit(Submission { draft, from: From::Answers(last), waiter: None });
        }
        ids
    }

    /// The outbox reads on. False if there was nothing to read.
    pub fn tail(&mut self, bytes_max: usize, save: bool) -> Result<bool, Failed> {
        let more = tail::step(&self.journal.reader(), &mut self.outbox, bytes_max).map_err(text)?;
        if save {
            self.outbox.save().map_err(text)?;
        }
        Ok(more)
    }

    /// The origin table is saved.
    pub fn save_origins(&mut self) -> Result<(), Failed> {
        self.journal.save_origins().map(drop).map_err(text)
    }

    /// The journal is sealed.
    pub fn seal(&mut self, now: Timestamp) -> Result<(), Failed> {
        self.journal.seal(now).map_err(text)
    }

    /// The worker has failed and begins anew; what it handed over last is refused.
    pub fn restart_worker(&mut self) -> Result<(), Failed> {
        self.handed_over = None;
        self.waiters.strand_all();
        let with = (&self.fresh, &self.waiters, &self.judged);
        let ground = ground(self.kinds, &self.store, &self.journal, with);
        self.floor = Floor::open(ground, &self.marks).map_err(text)?;
        self.cursor = self.floor.replay_from();
        self.recovery_end = self.journal.durable();
        self.generation += 1;
        (self.effects_submitted, self.effects_durable) = (0, 0);
        Ok(())
    }

    /// The dispatcher has failed and begins anew; what it had carried is forgotten.
    pub fn restart_dispatcher(&mut self) {
        self.dispatch = new_dispatch();
        self.carrying.clear();
        for shard in 0..SHARDS {
            self.floor.with_pending(shard, crate::pending::Pending::offer_again);
        }
    }

    /// Whether nothing more will happen before `now`.
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty()
            && self.deferred.is_empty()
            && self.cursor == self.journal.durable()
            && self.dispatch.pending() == 0
            && self.outbox.cursor() == self.journal.durable()
    }

    /// When the dispatcher wants to try again.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.dispatch.wake_at()
    }
}

fn ground(
    kinds: Kinds,
    store: &Store,
    journal: &Journal,
    (fresh, waiters, judged): (&Arc<AllFresh>, &Arc<Waiters>, &Arc<BTreeSet<Position>>),
) -> Ground {
    Ground {
        kinds,
        shards_total: SHARDS,
        store: store.reader(),
        journal: journal.reader(),
        fresh: fresh.clone(),
        waiters: waiters.clone(),
        // There are no readers.
        remembered: Arc::new(Remembered::new(0)),
        judged: judged.clone(),
    }
}

fn new_dispatch() -> Dispatch {
    let options = dispatch::Options { batch_max: 16, ..dispatch::Options::default() };
    Dispatch::new(options, 1)
}

/// Small, so that every edge is met often.
fn journal_options() -> journal::Options {
    journal::Options {
        segment_bytes: 32 << 10,
        recent_bytes_max: 24 << 10,
        ids_max: 5_000,
        disk_reserve_bytes: 0,
        ..journal::Options::new(UUID)
    }
}

fn store_options() -> store::Options {
    store::Options {
        shards: SHARDS,
        // The one clock there is in here must not run out on a machine that has other things to do.
        open_seconds_max: 3_600,
        recent_bytes_max: 64 << 10,
        batch_entries_max: 16,
        batch_bytes_max: 16 << 10,
        image_entries_min: 24,
        image_age_records_max: 2_000,
        block_cache_bytes: 64 << 10,
        ..store::Options::default()
    }
}

fn text(error: impl std::fmt::Display) -> Failed {
    error.to_string()
}
