//! Rendered answers to questions that are asked again and again, such as the first page of an
//! inbox: kept until the entity changes, so that the next reader wakes no worker.
//!
//! Only what residents have answered is kept. A resident that was asked *listens*: at its next
//! turn, and when it is put to rest, everything kept of it is forgotten, before anybody can read
//! what the turn did. The answer is rendered elsewhere meanwhile; a *ticket* taken while the
//! resident was asked says whether anything was forgotten since, and then it is not kept. What is
//! *not* here: how an answer is made, and who asks.
//!
//! Invariant: what is kept of an entity is what it would answer now, and all that is kept takes at
//! most `bytes_max` bytes.

use actors::Address;
use bytes::Bytes;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an answer takes beside its text, about: the address, the entry, the allocation's own.
const ENTRY_BYTES: usize = 192;
/// One set for so many bytes: about an answer each.
const SET_BYTES: usize = 4 << 10;
/// No answer may take more than this part of the room.
const SHARE_MAX: usize = 64;

/// An answer's text, whole but for the position that it is read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: Bytes,
    /// Where in the text the position belongs.
    pub gap: usize,
}

/// From when an answer is.
#[derive(Clone, Copy, Debug)]
pub struct Ticket(u64);

/// The rendered answers.
#[derive(Debug)]
pub struct Remembered {
    /// By a part of the address's hash.
    sets: Box<[Mutex<Set>]>,
    bytes: AtomicUsize,
    bytes_max: usize,
    /// Whose answers go next when there is no room for another. Hashes have no order, so this is as
    /// good as chance.
    hand: AtomicUsize,
}

#[derive(Debug, Default)]
struct Set {
    /// How often something was to be forgotten.
    forgotten: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    address: Address,
    /// Which of the questions that its kind is asked.
    asked: &'static str,
    rendered: Rendered,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.rendered.text.len() + ENTRY_BYTES
    }
}

impl Remembered {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        let sets = (bytes_max / SET_BYTES).max(1);
        Self {
            sets: (0..sets).map(|_| Mutex::default()).collect(),
            bytes: AtomicUsize::new(0),
            bytes_max,
            hand: AtomicUsize::new(0),
        }
    }

    /// The answer to a question, if it is kept.
    pub fn get(&self, address: &Address, asked: &str) -> Option<Rendered> {
        let set = self.set_of(address);
        let mut of_it = set.entries.iter().filter(|entry| entry.address == *address);
        of_it.find(|entry| entry.asked == asked).map(|entry| entry.rendered.clone())
    }

    /// To be taken where the answer is, on the thread on which it may change.
    pub fn ticket(&self, address: &Address) -> Ticket {
        Ticket(self.set_of(address).forgotten)
    }

    /// Keeps an answer, unless it may be an old one, or is too large.
    pub fn keep(&self, address: Address, asked: &'static str, ticket: Ticket, rendered: &Rendered) {
        let entry = Entry { address, asked, rendered: rendered.clone() };
        let bytes = entry.bytes();
        if bytes > self.bytes_max / SHARE_MAX {
            return;
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.make_room();
        let mut set = self.set_of(&entry.address);
        if set.forgotten != ticket.0 {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return;
        }
        // Two may have asked at once.
        self.remove(&mut set, |other| other.asked == asked && other.address == entry.address);
        set.entries.push(entry);
    }

    /// It has changed, or is going to.
    pub fn forget(&self, address: &Address) {
        let mut set = self.set_of(address);
        set.forgotten += 1;
        self.remove(&mut set, |entry| entry.address == *address);
    }

    /// Nothing is certain any more: a worker begins anew.
    pub fn forget_all(&self) {
        for set in &self.sets {
            let mut set = lock(set);
            set.forgotten += 1;
            self.remove(&mut set, |_| true);
        }
    }

    /// How much is kept.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn make_room(&self) {
        while self.bytes() > self.bytes_max {
            let next = self.hand.fetch_add(1, Ordering::Relaxed) % self.sets.len();
            self.remove(&mut lock(&self.sets[next]), |_| true);
        }
    }

    fn remove(&self, set: &mut Set, which: impl Fn(&Entry) -> bool) {
        set.entries.retain(|entry| {
            let goes = which(entry);
            if goes {
                self.bytes.fetch_sub(entry.bytes(), Ordering::Relaxed);
            }
            !goes
        });
    }

    fn set_of(&self, address: &Address) -> MutexGuard<'_, Set> {
        // The lower bits have chosen the shard.
        let number = (address.hash() >> 16) as usize % self.sets.len();
        lock(&self.sets[number])
    }
}

fn lock(set: &Mutex<Set>) -> MutexGuard<'_, Set> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::KindId;

    fn address(number: usize) -> Address {
        Address::new(KindId(3), &format!("u-{number}"))
    }

    fn rendered(bytes: usize) -> Rendered {
        Rendered { text: vec![b'x'; bytes].into(), gap: 0 }
    }

    #[test]
    fn an_answer_is_kept_until_its_entity_changes() {
        let kept = Remembered::new(1 << 20);
        let (one, other) = (address(1), address(2));
        kept.keep(one.clone(), "list", kept.ticket(&one), &rendered(10));
        kept.keep(other.clone(), "list", kept.ticket(&other), &rendered(20));
        assert_eq!(kept.get(&one, "list"), Some(rendered(10)));
        assert_eq!(kept.get(&one, "another question"), None);
        kept.forget(&one);
        assert_eq!((kept.get(&one, "list"), kept.get(&other, "list")), (None, Some(rendered(20))));
        kept.forget_all();
        assert_eq!((kept.get(&other, "list"), kept.bytes()), (None, 0));
    }

    #[test]
    fn what_was_rendered_over_a_change_is_not_kept() {
        let kept = Remembered::new(1 << 20);
        let one = address(1);
        let ticket = kept.ticket(&one);
        kept.forget(&one);
        kept.keep(one.clone(), "list", ticket, &rendered(10));
        assert_eq!((kept.get(&one, "list"), kept.bytes()), (None, 0));
        let ticket = kept.ticket(&one);
        kept.forget_all();
        kept.keep(one.clone(), "list", ticket, &rendered(10));
        assert_eq!((kept.get(&one, "list"), kept.bytes()), (None, 0));
    }

    #[test]
    fn there_is_never_more_than_there_is_room_for_and_it_is_counted() {
        let kept = Remembered::new(1 << 20);
        let mut sum = 0;
        for number in 0..5_000 {
            let one = address(number % 3_000);
            kept.keep(one.clone(), "list", kept.ticket(&one), &rendered(number % 977));
            assert!(kept.bytes() <= 1 << 20, "{} bytes after {number}", kept.bytes());
        }
        for number in 0..3_000 {
            let found = kept.get(&address(number), "list");
            sum += found.map_or(0, |rendered| rendered.text.len() + ENTRY_BYTES);
        }
        assert_eq!(kept.bytes(), sum);
        assert!(sum > (1 << 20) * 9 / 10, "{sum} bytes are used");
        let one = address(1);
        kept.forget_all();
        kept.keep(one.clone(), "list", kept.ticket(&one), &rendered(1 << 15));
        assert_eq!((kept.get(&one, "list"), kept.bytes()), (None, 0), "it is too large");
    }
}
