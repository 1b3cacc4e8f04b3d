//! Pending entries of one shard: timers and deliveries that have not ended yet.
//!
//! A timer and a delivery are one thing: an id, an address, what to do, and when. They are stored
//! with the entity that asked for them, in the same batch as its row, and stand here for the
//! timekeeper and the dispatcher. An id that is not here has ended, and whatever comes for it is
//! ignored.

use crate::record::{put_effect_id, tag};
use actors::{Address, Delivery, EffectId, Timestamp, codec};
use hashbrown::HashMap;
use state::frame::{Draft, Mark, RecordHead};
use state::row::key;
use std::collections::BTreeSet;

/// What an entry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Tell the entity this, when it is due.
    Timer(Vec<u8>),
    /// Carry this out at once, and tell the entity the answer.
    Delivery(Delivery),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it is due; for a delivery the time it was asked for.
    pub due: Timestamp,
    /// The entity that asked.
    pub address: Address,
    /// What it asked for.
    pub what: What,
}

/// The entries of one shard.
#[derive(Debug, Default)]
pub struct Pending {
    entries: HashMap<EffectId, Entry>,
    /// Timers that nobody has taken yet, by due time.
    timers: BTreeSet<(Timestamp, EffectId)>,
    /// Deliveries that nobody has taken yet.
    deliveries: BTreeSet<EffectId>,
    delivery_count: u64,
}

impl Pending {
    /// Adds an entry. One that is here already stays as it is.
    pub fn add(&mut self, id: EffectId, entry: Entry) {
        let hashbrown::hash_map::Entry::Vacant(vacant) = self.entries.entry(id) else { return };
        match entry.what {
            What::Timer(_) => {
                self.timers.insert((entry.due, id));
            }
            What::Delivery(_) => {
                self.deliveries.insert(id);
                self.delivery_count += 1;
            }
        }
        vacant.insert(entry);
    }

    /// Ends an entry, and gives it back if it was still there.
    pub fn end(&mut self, id: EffectId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        match entry.what {
            What::Timer(_) => {
                self.timers.remove(&(entry.due, id));
            }
            What::Delivery(_) => {
                self.deliveries.remove(&id);
                self.delivery_count -= 1;
            }
        }
        Some(entry)
    }

    /// The entry with this id, if it has not ended.
    pub fn get(&self, id: EffectId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Takes at most `most` timers that are due, oldest first. They stay pending until their record
    /// is applied, but are not given out again.
    pub fn take_due(&mut self, now: Timestamp, most: usize) -> Vec<(EffectId, Entry)> {
        let mut taken = Vec::new();
        while taken.len() < most {
            match self.timers.first() {
                Some((due, _)) if *due <= now => {}
                _ => break,
            }
            let (_, id) = self.timers.pop_first().expect("just seen");
            taken.push((id, self.entries[&id].clone()));
        }
        taken
    }

    /// Takes at most `most` deliveries that the dispatcher has not seen.
    pub fn take_deliveries(&mut self, most: usize) -> Vec<(EffectId, Entry)> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(id) = self.deliveries.pop_first() else { break };
            taken.push((id, self.entries[&id].clone()));
        }
        taken
    }

    /// Deliveries are to be given out once more: the dispatcher has begun anew and knows of none.
    pub fn offer_again(&mut self) {
        let all = self.entries.iter();
        let waiting = all.filter(|(_, entry)| matches!(entry.what, What::Delivery(_)));
        self.deliveries = waiting.map(|(id, _)| *id).collect();
    }

    /// When the next timer is due that nobody has taken.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Timers and deliveries that have not ended.
    pub fn counts(&self) -> (u64, u64) {
        (self.entries.len() as u64 - self.delivery_count, self.delivery_count)
    }
}

/// Adds to a draft that a timer is due.
pub fn put_fired(draft: &mut Draft, id: EffectId, entry: &Entry) {
    let What::Timer(event) = &entry.what else { return };
    let mut prefix = Vec::new();
    put_effect_id(id, &mut prefix);
    draft.begin_group(Mark::None);
    let head = RecordHead { tag: tag::FIRED, kind: entry.address.kind, depth: 0 };
    draft.push_parts(head, &entry.address.key, &[&prefix, event]);
}

/// The stored key of an entry.
pub fn stored_key(id: EffectId, due: Timestamp, address: &Address) -> Vec<u8> {
    key::pending(&key::Pending { due, kind: address.kind, key: &address.key, id })
}

/// The stored value of an entry.
pub fn stored_value(what: &What) -> Vec<u8> {
    match what {
        What::Timer(payload) => [&[0], payload.as_slice()].concat(),
        What::Delivery(delivery) => [&[1], codec::encode(delivery).as_slice()].concat(),
    }
}

/// An entry from its stored key and value.
pub fn from_stored(stored: &[u8], value: &[u8]) -> Result<(EffectId, Entry), String> {
    let parsed = key::parse_pending(stored).map_err(|error| error.to_string())?;
    let what = match value.split_first() {
        Some((0, payload)) => What::Timer(payload.to_vec()),
        Some((1, bytes)) => {
            What::Delivery(codec::decode(bytes).map_err(|error| error.to_string())?)
        }
        _ => return Err("a pending entry is neither timer nor delivery".to_owned()),
    };
    let address = Address::new(parsed.kind, parsed.key);
    Ok((parsed.id, Entry { due: parsed.due, address, what }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::KindId;

    fn timer(due: i64) -> Entry {
        let address = Address::new(KindId(1), "pay-1");
        Entry { due: Timestamp(due), address, what: What::Timer(b"expired".to_vec()) }
    }

    fn id(cause: u64) -> EffectId {
        EffectId { cause, index: 0 }
    }

    #[test]
    fn due_timers_are_given_out_once_and_stay_pending_until_they_end() {
        let mut pending = Pending::default();
        pending.add(id(1), timer(30));
        pending.add(id(2), timer(10));
        pending.add(id(3), timer(20));
        let due: Vec<_> = pending.take_due(Timestamp(20), 10).iter().map(|d| d.0.cause).collect();
        assert_eq!(due, [2, 3]);
        assert!(pending.take_due(Timestamp(20), 10).is_empty());
        assert_eq!(pending.counts(), (3, 0));
        assert_eq!(pending.end(id(2)), Some(timer(10)));
        assert_eq!(pending.end(id(2)), None);
        assert_eq!(pending.next_due(), Some(Timestamp(30)));
    }

    #[test]
    fn entries_come_back_from_their_stored_form() {
        let delivery = Delivery { sink: "gateway".to_owned(), body: vec![1, 2] };
        let address = Address::new(KindId(1), "pay-1");
        for what in [What::Timer(vec![]), What::Delivery(delivery)] {
            let entry = Entry { due: Timestamp(-5), address: address.clone(), what };
            let stored = stored_key(id(9), entry.due, &entry.address);
            let back = from_stored(&stored, &stored_value(&entry.what));
            assert_eq!(back, Ok((id(9), entry)));
        }
    }
}
