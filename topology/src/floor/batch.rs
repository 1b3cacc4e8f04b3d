//! A batch of frames: for each of its records the life it belongs to, woken if it sleeps, and its
//! turn.
//!
//! With hundreds of thousands of lives nearly every record meets one that is in no processor cache,
//! and what a record needs of it is a chain of misses. So records are taken a stretch at a time,
//! one step of the chain for all of them before the next: the misses of a step do not depend on
//! each other, and the processor waits for them together.
//!
//! What is *not* here: what a life does with its record (`turn`).

use super::{Floor, Item, Place, Shard, ShardAtRest, Slot, shard_of};
use crate::life::{Error, Life};
use actors::{Address, KindId};
use hashbrown::hash_table::Entry;
use state::frame::{Frame, Record};
use state::row;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// So many records are looked up together.
const STRETCH: usize = 64;

impl<S> Floor<S> {
    /// Lets those whom a batch of frames concerns apply their records, in the order of the journal;
    /// wakes who is not live, and says so to `woken`.
    ///
    /// # Errors
    /// A life could not be woken, or what it needs of what is at rest could not be read.
    pub fn apply(
        &self,
        frames: &[Arc<Frame>],
        mut woken: impl FnMut(&Address),
    ) -> Result<(), Error> {
        self.batch_number.set(self.batch_number.get().wrapping_add(1));
        let mut items = self.items.take();
        items.clear();
        self.pick(frames, &mut items);
        let mut found = Vec::with_capacity(STRETCH);
        for stretch in items.chunks(STRETCH) {
            self.look_up(stretch, &mut found);
            let lives = found.iter().flatten().map(|place: &Rc<Place<S>>| place.life.borrow());
            std::hint::black_box(lives.map(|life| life.prefetch()).max());
            for (item, found) in stretch.iter().zip(found.drain(..)) {
                let record = frames[item.frame as usize].record(item.record as usize);
                let its = (record.kind, record.key.as_bytes());
                let place = match found.filter(|place| place.is(its)) {
                    Some(place) => place,
                    None => self.place(item.hash, &record, &mut woken)?,
                };
                self.turn(&place, &record)?;
            }
        }
        self.items.replace(items);
        Ok(())
    }

    /// The records that concern this floor's shards and are not in their store yet.
    fn pick(&self, frames: &[Arc<Frame>], items: &mut Vec<Item>) {
        let mut shards = self.shards.borrow_mut();
        for (frame_index, frame) in frames.iter().enumerate() {
            for (record_index, indexed) in frame.index().iter().enumerate() {
                if !indexed.addressed {
                    continue;
                }
                let number = shard_of(indexed.hash, self.shards_total);
                let Some(shard) = shards.get_mut(number) else { continue };
                if frame.base() + (record_index as u64) < shard.replay_from {
                    continue;
                }
                let (frame, record) = (frame_index as u32, record_index as u32);
                items.push(Item { hash: indexed.hash, frame, record });
            }
        }
    }

    /// The lives with these hashes, if they are live. Taking hold of them fetches them.
    fn look_up(&self, items: &[Item], found: &mut Vec<Option<Rc<Place<S>>>>) {
        let mut shards = self.shards.borrow_mut();
        found.extend(items.iter().map(|item| {
            let shard = shards.get_mut(shard_of(item.hash, self.shards_total))?;
            let slot = shard.lives.find(item.hash, |slot| slot.hash == item.hash)?;
            Some(slot.place.clone())
        }));
    }

    /// The place of a life that a look-up by hash alone has not found.
    fn place(
        &self,
        hash: u64,
        record: &Record<'_>,
        woken: &mut impl FnMut(&Address),
    ) -> Result<Rc<Place<S>>, Error> {
        let number = shard_of(hash, self.shards_total);
        let mut shards = self.shards.borrow_mut();
        let shard = shards.get_mut(number).expect("picked because it is on this floor");
        let Shard { lives, entities, .. } = shard;
        let same = |slot: &Slot<S>| {
            slot.hash == hash && slot.place.is((record.kind, record.key.as_bytes()))
        };
        let vacant = match lives.entry(hash, same, |slot| slot.hash) {
            Entry::Occupied(found) => return Ok(found.get().place.clone()),
            Entry::Vacant(vacant) => vacant,
        };
        let place = Rc::new(Place {
            last_batch: Cell::new(self.batch_number.get()),
            shard: number,
            life: RefCell::new(self.wake(entities, number, record)?),
            seat: RefCell::new(None),
            listens: Cell::new(false),
        });
        vacant.insert(Slot { hash, place: place.clone() });
        self.residents.set(self.residents.get() + 1);
        woken(place.life.borrow().address());
        Ok(place)
    }

    fn wake(
        &self,
        entities: &mut BTreeMap<u8, u64>,
        number: u16,
        record: &Record<'_>,
    ) -> Result<Life, Error> {
        let address = Address::new(record.kind, record.key);
        let rest = ShardAtRest { store: &self.store, shard: number };
        let row = row::key::row(address.kind, &address.key);
        let known = self.store.may_contain(number, &row);
        let life = if known {
            Life::wake(address, &self.kinds, &rest)?
        } else {
            Life::new(address, &self.kinds)?
        };
        // A replay may meet a row that is newer than the shard's count: at the entity's first
        // record it is counted.
        if life.is_unborn() || life.created() == record.position {
            *entities.entry(record.kind.0).or_default() += 1;
        }
        if life.is_unborn() {
            let address = life.address();
            self.fresh.shard(number).born(address.kind, &address.key);
        }
        Ok(life)
    }
}

impl<S> Place<S> {
    /// Whether it is the place of this entity. Between turns only.
    pub(super) fn is(&self, (kind, key): (KindId, &[u8])) -> bool {
        let life = self.life.borrow();
        let address = life.address();
        address.kind == kind && address.key.as_bytes() == key
    }
}
