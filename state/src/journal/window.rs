//! The window in which events without numbers are deduplicated: the hashes of the last so many ids,
//! for so long.
//!
//! Two million ids take 48 MiB when the window is full and next to nothing before: a ring of hashes
//! in the order they came, and an open-addressed table of places in that ring. The memory is taken
//! once and touched as it is needed.
//!
//! The invariant: every hash in the ring has exactly one slot, which leads to its newest place, and
//! no other slot is taken.

use std::collections::VecDeque;

/// Times are kept by the minute: an id is remembered at most that much longer than asked for.
const GRAIN_MS: i64 = 60_000;

pub(crate) struct Window {
    ring: Box<[u128]>,
    /// A place in the ring plus one, or 0 for a free slot. A power of two, at least one and a half
    /// times the ring.
    slots: Box<[u32]>,
    /// How many ids ever came before the oldest one here, and before the next one.
    oldest: u64,
    next: u64,
    /// From which id on, and since when, the oldest first.
    times: VecDeque<(u64, i64)>,
    remembered_ms: i64,
}

impl Window {
    /// For at most `ids_max` ids, each remembered for so long.
    pub(crate) fn new(ids_max: usize, remembered_ms: i64) -> Self {
        assert!(ids_max < 1 << 30, "a window of {ids_max} ids");
        let slots = (ids_max + ids_max / 2 + 1).next_power_of_two();
        Self {
            ring: vec![0; ids_max].into(),
            slots: vec![0; slots].into(),
            oldest: 0,
            next: 0,
            times: VecDeque::new(),
            remembered_ms,
        }
    }

    /// How many ids are remembered.
    pub(crate) fn len(&self) -> usize {
        (self.next - self.oldest) as usize
    }

    /// Takes down an id, or says when it came: as the how manieth ever. Forgets what is too old or
    /// too much.
    pub(crate) fn insert(&mut self, id: u128, now_ms: i64) -> Result<(), u64> {
        let slot = self.slot_of(id);
        if let Some(place) = self.place(slot) {
            return Err(self.came_as(place));
        }
        if self.ring.is_empty() {
            return Ok(());
        }
        if self.len() == self.ring.len() {
            self.forget_oldest();
        }
        if self.times.back().is_none_or(|(_, since)| now_ms - since >= GRAIN_MS) {
            self.times.push_back((self.next, now_ms));
        }
        let place = (self.next % self.ring.len() as u64) as usize;
        self.ring[place] = id;
        self.next += 1;
        let free = self.slot_of(id);
        self.slots[free] = place as u32 + 1;
        Ok(())
    }

    /// Takes down an id that came again after it had been forgotten: it counts from now on. For a
    /// window that is made again from what the journal remembers.
    pub(crate) fn remember(&mut self, id: u128, now_ms: i64) {
        if let Some(place) = self.place(self.slot_of(id)) {
            self.free(place);
        }
        assert!(self.insert(id, now_ms).is_ok(), "id {id:x} has just been forgotten");
    }

    /// Forgets what came longer ago than the window is long.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        while let Some(&(_, since)) = self.times.front() {
            if now_ms - since < self.remembered_ms + GRAIN_MS {
                return;
            }
            let until = self.times.get(1).map_or(self.next, |(from, _)| *from);
            while self.oldest < until {
                self.forget_oldest();
            }
        }
    }

    /// How many ids ever came; what [`Window::insert`] says an id came as is below it.
    pub(crate) fn count(&self) -> u64 {
        self.next
    }

    fn forget_oldest(&mut self) {
        let place = (self.oldest % self.ring.len() as u64) as usize;
        self.oldest += 1;
        // It may have come again since, at another place.
        if self.place(self.slot_of(self.ring[place])) == Some(place) {
            self.free(place);
        }
        // Every stretch of time has an id.
        if self.times.get(1).map_or(self.next, |(from, _)| *from) == self.oldest {
            self.times.pop_front();
        }
    }

    fn place(&self, slot: usize) -> Option<usize> {
        (self.slots[slot] as usize).checked_sub(1)
    }

    fn came_as(&self, place: usize) -> u64 {
        let len = self.ring.len() as u64;
        let oldest_place = self.oldest % len;
        self.oldest + (place as u64 + len - oldest_place) % len
    }

    fn home(&self, id: u128) -> usize {
        id as usize & (self.slots.len() - 1)
    }

    /// The slot that leads to `id`, or else the free one where it belongs.
    fn slot_of(&self, id: u128) -> usize {
        let mut slot = self.home(id);
        while self.place(slot).is_some_and(|place| self.ring[place] != id) {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
    }

    /// Frees the slot of what stands at `place`, and moves up what would be cut off from its home
    /// by the gap.
    fn free(&mut self, place: usize) {
        let mask = self.slots.len() - 1;
        let mut gap = self.slot_of(self.ring[place]);
        let mut slot = gap;
        loop {
            slot = (slot + 1) & mask;
            let Some(moved) = self.place(slot) else { break };
            let home = self.home(self.ring[moved]);
            if slot.wrapping_sub(home) & mask >= slot.wrapping_sub(gap) & mask {
                self.slots[gap] = self.slots[slot];
                gap = slot;
            }
        }
        self.slots[gap] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u128),
        Wait(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // Few homes and few ids, so that ids meet in the same slots and come again.
        let id = (0_u128..6, 0_u128..8).prop_map(|(low, high)| (low * 3) | (high << 64));
        let step = prop_oneof![
            8 => id.prop_map(Step::Insert),
            1 => (0_i64..200_000).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        #[test]
        fn the_window_answers_like_a_list(steps in steps(), ids_max in 0_usize..20) {
            let mut window = Window::new(ids_max, 300_000);
            // The model: (id, came as, time of its stretch), the oldest first.
            let mut list: Vec<(u128, u64, i64)> = Vec::new();
            let mut now_ms = 0;
            for step in steps {
                match step {
                    Step::Wait(ms) => now_ms += ms,
                    Step::Insert(id) => {
                        window.expire(now_ms);
                        list.retain(|(_, _, since)| now_ms - since < 360_000);
                        let known = list.iter().find(|known| known.0 == id).map(|known| known.1);
                        let count = window.count();
                        prop_assert_eq!(window.insert(id, now_ms).err(), known);
                        if known.is_none() && ids_max > 0 {
                            if list.len() == ids_max {
                                list.remove(0);
                            }
                            let stretch = list.last().map(|last| last.2);
                            let since = stretch.filter(|since| now_ms - since < GRAIN_MS);
                            list.push((id, count, since.unwrap_or(now_ms)));
                        }
                    }
                }
                prop_assert!(window.len() >= list.len());
            }
        }
    }
}
