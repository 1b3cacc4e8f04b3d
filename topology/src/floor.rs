//! The floor of one worker: its shards, the lives on them, and the batch at hand. Synchronous,
//! without a runtime.
//!
//! A batch goes through it in two steps: [`Floor::apply`] finds out whom each record concerns,
//! wakes them and lets them apply it, and [`Floor::finish`] gathers what was caused, in order of
//! (cause, index). Checkpoints take a shard's dirty lives between batches ([`Floor::capture`]).
//!
//! What is *not* here: threads, mailboxes, the writer and the store's thread. The worker and the
//! simulator drive it.

mod batch;
mod capture;
mod causes;
mod shards;
mod turn;

pub use capture::{Captured, Evicted};
pub use causes::{DEPTH_MAX, Publisher};

use crate::fresh::AllFresh;
use crate::kinds::Kinds;
use crate::life::{Caused, Error, Life, Rest};
use crate::pending::{Pending, from_stored};
use crate::remembered::Remembered;
use crate::waiters::{Told, Waiter, Waiters};
use actors::{Address, Effects, KindId, Position, Timestamp, codec};
use hashbrown::HashTable;
use shards::Shards;
use state::{journal, row, store};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// What one worker's floor is made of; shared with its residents, on one thread.
pub struct Floor<S> {
    kinds: Kinds,
    shards_total: u16,
    store: store::Reader,
    journal: journal::Reader,
    fresh: Arc<AllFresh>,
    waiters: Arc<Waiters>,
    remembered: Arc<Remembered>,
    judged: Arc<BTreeSet<Position>>,
    shards: RefCell<Shards<S>>,
    /// The records of a batch, while it is applied; kept for its memory.
    items: RefCell<Vec<Item>>,
    fx: RefCell<Effects>,
    counts: RefCell<Counts>,
    /// Whom to tell what once the batch is applied whole.
    answers: RefCell<Vec<(Waiter, Told)>>,
    batch_number: Cell<u32>,
    residents: Cell<usize>,
}

/// One shard: the lives on it, its pending entries, and what a checkpoint needs to know.
struct Shard<S> {
    lives: HashTable<Slot<S>>,
    pending: Pending,
    /// Records below are in the store.
    replay_from: Position,
    entities: BTreeMap<u8, u64>,
    caused: Vec<Caused>,
    capturing: bool,
}

/// A place in the table: whose it is, by hash first.
struct Slot<S> {
    hash: u64,
    place: Rc<Place<S>>,
}

/// A life's place on the floor. One allocation, which its shard's table and its resident share: a
/// record finds everything it needs behind one pointer.
pub struct Place<S> {
    /// The batch it last had a record in.
    last_batch: Cell<u32>,
    shard: u16,
    /// The life.
    pub life: RefCell<Life>,
    /// What the driver keeps of it: a resident's address, once somebody has talked to it. None
    /// again when it has moved out.
    pub seat: RefCell<Option<S>>,
    /// Whether an answer of it may be remembered somewhere.
    pub listens: Cell<bool>,
}

/// One record of a batch: whom it concerns, by hash, and where it stands.
struct Item {
    hash: u64,
    frame: u32,
    record: u32,
}

/// What may become of a record, as `records_applied_total` names it.
pub const OUTCOMES: [&str; 5] = ["applied", "ignored", "rejected", "replayed", "poison"];

/// What has happened since the driver last looked, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records applied: for each kind that had any, how many of each of [`OUTCOMES`].
    pub applied: Vec<(KindId, [u64; OUTCOMES.len()])>,
    /// When the newest record applied was journaled.
    pub newest: Timestamp,
}

impl Counts {
    /// One record of this kind had this outcome, an index of [`OUTCOMES`].
    fn count(&mut self, kind: KindId, outcome: usize) {
        let place = self.applied.iter().position(|(known, _)| *known == kind);
        let place = place.unwrap_or_else(|| {
            self.applied.push((kind, [0; OUTCOMES.len()]));
            self.applied.len() - 1
        });
        self.applied[place].1[outcome] += 1;
    }
}

/// What a floor stands on.
pub struct Ground {
    /// The kinds.
    pub kinds: Kinds,
    /// How many shards there are in all.
    pub shards_total: u16,
    /// The store, to read.
    pub store: store::Reader,
    /// The journal, to read.
    pub journal: journal::Reader,
    /// What lists need to know.
    pub fresh: Arc<AllFresh>,
    /// Who waits for answers.
    pub waiters: Arc<Waiters>,
    /// What readers remember of residents.
    pub remembered: Arc<Remembered>,
    /// The records that were judged before this process began.
    pub judged: Arc<BTreeSet<Position>>,
}

/// A shard of the store, as its lives see it.
pub(crate) struct ShardAtRest<'a> {
    pub(crate) store: &'a store::Reader,
    pub(crate) shard: u16,
}

impl Rest for ShardAtRest<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.store.get(self.shard, key).map_err(|error| Error::Rest(error.to_string()))
    }
}

impl<S> Floor<S> {
    /// A floor with these shards, each as the store has it: (shard, replay from, note).
    pub fn open(
        ground: Ground,
        shards: &[(u16, Position, Option<Vec<u8>>)],
    ) -> Result<Self, Error> {
        let mut opened = Shards::new(ground.shards_total);
        for (number, replay_from, note) in shards {
            ground.fresh.reset(*number);
            let shard = Shard {
                lives: HashTable::new(),
                pending: stored_pending(&ground.store, *number)?,
                replay_from: *replay_from,
                entities: note.as_deref().map(codec::decode).transpose()?.unwrap_or_default(),
                caused: Vec::new(),
                capturing: false,
            };
            opened.insert(*number, shard);
        }
        Ok(Self {
            kinds: ground.kinds,
            shards_total: ground.shards_total,
            store: ground.store,
            journal: ground.journal,
            fresh: ground.fresh,
            waiters: ground.waiters,
            remembered: ground.remembered,
            judged: ground.judged,
            shards: RefCell::new(opened),
            items: RefCell::default(),
            fx: RefCell::new(Effects::new(Timestamp(0), 0)),
            counts: RefCell::default(),
            answers: RefCell::default(),
            batch_number: Cell::new(0),
            residents: Cell::new(0),
        })
    }

    /// Lets go of everybody.
    pub fn clear(&self) {
        for (_, shard) in self.shards.borrow_mut().iter_mut() {
            for slot in shard.lives.drain() {
                // A resident holds its place, and the place its address: one of them has to let go.
                slot.place.seat.take();
            }
        }
        self.residents.set(0);
    }

    /// Where reading the journal begins: the least `replay from` of its shards.
    pub fn replay_from(&self) -> Position {
        let shards = self.shards.borrow();
        shards.iter().map(|(_, shard)| shard.replay_from).min().unwrap_or(0)
    }

    /// The place of an entity, if it is live.
    pub fn live(&self, address: &Address) -> Option<Rc<Place<S>>> {
        let hash = address.hash();
        let mut shards = self.shards.borrow_mut();
        let shard = shards.get_mut(shard_of(hash, self.shards_total))?;
        let its = (address.kind, address.key.as_bytes());
        let same = |slot: &Slot<S>| slot.hash == hash && slot.place.is(its);
        shard.lives.find(hash, same).map(|slot| slot.place.clone())
    }

    /// How many lives there are.
    pub fn residents(&self) -> usize {
        self.residents.get()
    }

    /// The kinds.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The store.
    pub fn store(&self) -> &store::Reader {
        &self.store
    }

    /// What readers remember of residents.
    pub fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// The shard of an address.
    pub fn shard_of(&self, address: &Address) -> u16 {
        shard_of(address.hash(), self.shards_total)
    }

    /// Answers the callers whose commands were applied. To be called when reads and lists reflect
    /// the batch, so that whoever is answered reads its own write.
    pub fn answer(&self) {
        for (waiter, told) in self.answers.take() {
            // The caller may have gone; then nobody needs the answer.
            let _ = waiter.send(Ok(told));
        }
    }

    /// What has happened since the last call.
    pub fn take_counts(&self) -> Counts {
        self.counts.take()
    }

    /// Visits the pending entries of one shard.
    pub fn with_pending<R>(&self, shard: u16, visit: impl FnOnce(&mut Pending) -> R) -> Option<R> {
        self.shards.borrow_mut().get_mut(shard).map(|shard| visit(&mut shard.pending))
    }

    /// The shards on this floor.
    pub fn shard_numbers(&self) -> Vec<u16> {
        self.shards.borrow().iter().map(|(number, _)| number).collect()
    }

    /// Entities by kind, live and at rest, over all shards of this floor.
    pub fn entities(&self) -> BTreeMap<u8, u64> {
        let mut all = BTreeMap::new();
        for (_, shard) in self.shards.borrow().iter() {
            for (kind, count) in &shard.entities {
                *all.entry(*kind).or_default() += count;
            }
        }
        all
    }

    /// (entities, residents, pending deliveries, timers, replay from) of each shard.
    pub fn shard_states(&self) -> Vec<(u16, u64, u64, u64, u64, Position)> {
        let shards = self.shards.borrow();
        let states = shards.iter().map(|(number, shard)| {
            let (timers, deliveries) = shard.pending.counts();
            let entities = shard.entities.values().sum();
            let residents = shard.lives.len() as u64;
            (number, entities, residents, deliveries, timers, shard.replay_from)
        });
        states.collect()
    }

    /// Residents by kind.
    pub fn residents_by_kind(&self) -> BTreeMap<u8, u64> {
        let mut all = BTreeMap::new();
        for (_, shard) in self.shards.borrow().iter() {
            for slot in &shard.lives {
                let kind = slot.place.life.borrow().address().kind;
                *all.entry(kind.0).or_default() += 1;
            }
        }
        all
    }
}

/// The shard of an address's hash.
pub fn shard_of(hash: u64, shards_total: u16) -> u16 {
    (hash % u64::from(shards_total)) as u16
}

fn stored_pending(store: &store::Reader, shard: u16) -> Result<Pending, Error> {
    const AT_ONCE: usize = 1_000;
    let mut pending = Pending::default();
    let mut from = vec![row::key::space::PENDING];
    let to = row::key::prefix_end(&from);
    loop {
        let found = store
            .scan(shard, &from, to.as_deref(), AT_ONCE)
            .map_err(|error| Error::Rest(error.to_string()))?;
        for (key, value) in &found {
            let (id, entry) = from_stored(key, value).map_err(Error::Rest)?;
            pending.add(id, entry);
        }
        let Some((last, _)) = found.last().filter(|_| found.len() == AT_ONCE) else {
            return Ok(pending);
        };
        from.clone_from(last);
        from.push(0);
    }
}
