//! Handing a shard over to the store, and putting to rest who has been idle.

use super::Floor;
use actors::{Address, Position, codec};
use state::store::Write;

/// A shard as it is handed over.
pub struct Captured {
    /// Which shard.
    pub shard: u16,
    /// What to write, entity by entity.
    pub writes: Vec<Write>,
    /// A replay begins here once that is written: everything below has been applied.
    pub replay_from: Position,
    /// The engine's note, stored with it.
    pub note: Vec<u8>,
}

/// A life that was put to rest: whoever keeps its address should forget it.
pub struct Evicted<S> {
    /// Where it lived.
    pub address: Address,
    /// What the driver kept of it.
    pub seat: Option<S>,
}

impl<S> Floor<S> {
    /// Takes what has changed in a shard, whole, between two batches; `applied` is where the worker
    /// stands.
    ///
    /// # Panics
    /// The last capture of this shard was not [`Self::settle`]d.
    pub fn capture(&self, number: u16, applied: Position) -> Captured {
        let mut shards = self.shards.borrow_mut();
        let shard = shards.get_mut(number).expect("a shard of this floor");
        assert!(!shard.capturing, "shard {number} is being written already");
        shard.capturing = true;
        let mut writes = Vec::new();
        for slot in &shard.lives {
            let mut life = slot.place.life.borrow_mut();
            if life.is_dirty() {
                writes.push(life.save(&shard.pending));
            }
        }
        self.fresh.shard(number).handed_over();
        let note = codec::encode(&shard.entities);
        // A shard that is ahead of the worker, in the middle of a replay, stays there.
        let replay_from = applied.max(shard.replay_from);
        Captured { shard: number, writes, replay_from, note }
    }

    /// What was captured of a shard is written: it is read from the store from now on, and a replay
    /// begins later.
    pub fn settle(&self, number: u16, replay_from: Position) {
        let mut shards = self.shards.borrow_mut();
        let Some(shard) = shards.get_mut(number) else { return };
        shard.capturing = false;
        shard.replay_from = replay_from;
        for slot in &shard.lives {
            slot.place.life.borrow_mut().settled();
        }
        self.fresh.shard(number).written();
    }

    /// Puts lives of a shard to rest that are at rest in the store as they are: at most `most`,
    /// those that had no record in the last `idle_batches` batches. Between two batches, and not
    /// while the shard is being written.
    pub fn evict(&self, number: u16, idle_batches: u32, most: usize) -> Vec<Evicted<S>> {
        let mut shards = self.shards.borrow_mut();
        let Some(shard) = shards.get_mut(number).filter(|shard| !shard.capturing) else {
            return Vec::new();
        };
        let now = self.batch_number.get();
        let mut left = most;
        let idle = shard.lives.extract_if(|slot| {
            let place = &slot.place;
            let gone = left > 0
                && now.wrapping_sub(place.last_batch.get()) > idle_batches
                && !place.life.borrow().is_dirty();
            left -= usize::from(gone);
            gone
        });
        let evicted: Vec<_> = idle
            .map(|slot| Evicted {
                address: slot.place.life.borrow().address().clone(),
                seat: slot.place.seat.take(),
            })
            .collect();
        self.residents.set(self.residents.get() - evicted.len());
        evicted
    }
}
