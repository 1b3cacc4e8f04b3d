//! A resident's core, sans IO: one entity in memory, and everything that happens to it when a
//! record comes.
//!
//! The floor lets it apply records, and the actix shell around it (`resident.rs`) shows it to
//! readers; tests and the simulator drive a `Life` without any runtime. It keeps these: a record is
//! applied once (its position says so), a refused or failed one leaves the state as it was, what it
//! asks for is named by (position, index), and it is handed to the store whole, at one position.

mod apply;
mod rest;

pub use rest::{Again, mind_at_rest};

use crate::answers::Answers;
use crate::kinds::Kinds;
use crate::pending::Pending;
use actors::{Address, Effect, EffectId, Effects, Mind, Outcome, Position, Tags, Timestamp, codec};
use state::row::{self, Trail};
use std::collections::BTreeSet;

/// Why a life cannot go on: the store could not be read, or holds what no life can come from.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading what is at rest failed.
    #[error("cannot read what is at rest: {0}")]
    Rest(String),
    /// A row does not decode.
    #[error(transparent)]
    Row(#[from] row::Error),
    /// A head, a page or answers do not decode.
    #[error(transparent)]
    Codec(#[from] codec::Error),
    /// A record that must be there cannot be read.
    #[error("cannot read record {position}: {why}")]
    Record {
        /// Which one.
        position: Position,
        /// Why.
        why: String,
    },
}

/// Where entities are at rest: one shard of the store, as a life sees it.
pub trait Rest {
    /// The stored bytes under a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;
}

/// What surrounds a life while it applies records: everything it may look at or hand over to.
pub struct Around<'a> {
    /// The kinds.
    pub kinds: &'a Kinds,
    /// Records that were judged before this process began: they stay judged, whatever its code
    /// would make of them.
    pub judged: &'a BTreeSet<Position>,
    /// Its shard, at rest.
    pub rest: &'a dyn Rest,
    /// Its shard's timers and deliveries.
    pub pending: &'a mut Pending,
    /// A buffer for effects, reused from record to record.
    pub fx: &'a mut Effects,
    /// What records cause that concerns others, in the order it is asked for.
    pub caused: &'a mut Vec<Caused>,
}

/// An effect that concerns others, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Caused {
    /// The record, and which of its effects.
    pub id: EffectId,
    /// How many records deep in a chain of causes its record stood.
    pub depth: u8,
    /// What to do.
    pub what: CausedWhat,
}

/// What a record causes.
#[derive(Clone, Debug, PartialEq)]
pub enum CausedWhat {
    /// A `send` or a `publish`.
    Effect(Effect),
    /// The record cannot be applied, ever: it is judged.
    Verdict {
        /// Whose record it was.
        address: Address,
        /// A code for machines.
        code: &'static str,
        /// What went wrong.
        reason: String,
    },
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The row knew it already.
    Known,
    /// It was folded in.
    Folded(Outcome),
    /// Its idempotency key is known: this is the first answer, a status or a reason.
    Replayed(Result<u16, String>),
    /// Its idempotency key is known with another fingerprint.
    Mismatch,
    /// It panicked or does not decode, now or before: it is judged, and changed nothing.
    Poison,
}

/// One entity in memory.
pub struct Life {
    address: Address,
    kind_version: u8,
    mind: Box<dyn Mind>,
    /// Everything of this entity's below is in here.
    next: Position,
    created: Position,
    /// Whether anything has happened since it was last handed to the store.
    dirty: bool,
    /// Whether there is a row of it, or one on its way.
    stored: bool,
    trail: Trail,
    trail_pages: u32,
    newest_page: NewestPage,
    /// What most lives don't have most of the time.
    rare: Option<Box<Rare>>,
}

/// What a life has only now and then: apart from it, so that the many that have none of it are
/// small.
#[derive(Default)]
struct Rare {
    /// The look-up words that the store has.
    stored_tags: Tags,
    /// Pending entries that began or ended since it was last handed to the store.
    changes: Vec<Change>,
    answers: Option<Answers>,
    /// Those of its records since it was last handed over that were not folded: repeats, what came
    /// too late, and what was judged.
    unfolded: Vec<Position>,
    /// Row and pages that were handed over but may not be readable at rest yet, by stored key.
    unsettled: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Rare {
    /// Whether there is none of it: a life without look-up words, between two checkpoints.
    fn is_none(&self) -> bool {
        self.stored_tags.is_empty()
            && self.changes.is_empty()
            && self.answers.is_none()
            && self.unfolded.is_empty()
            && self.unsettled.is_empty()
    }
}

/// The page that the row carries inline.
enum NewestPage {
    None,
    /// As it came with the row: the mind has not needed it yet.
    AtRest(u32, Box<[u8]>),
    /// The mind has it.
    InMind(u32),
}

/// A pending entry that began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    id: EffectId,
    due: Timestamp,
}

impl Life {
    /// Where it lives.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Everything of this entity's below this position is in here.
    pub fn next(&self) -> Position {
        self.next
    }

    /// Whether anything has happened since it was last handed to the store.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Looks at what a record will need, and says nothing of use: whoever is about to let many
    /// lives apply records has all of them fetched into the processor's caches at once.
    pub fn prefetch(&self) -> usize {
        self.mind.prefetch() ^ self.next as usize
    }

    /// Whether nothing was ever told to it.
    pub fn is_unborn(&self) -> bool {
        self.next == 0
    }

    /// Its mind, to be asked.
    pub fn mind(&self) -> &dyn Mind {
        &*self.mind
    }

    /// The position of its first record.
    pub fn created(&self) -> Position {
        self.created
    }

    /// Its look-up words now.
    pub fn tags(&self) -> Tags {
        self.mind.tags()
    }

    /// The positions of its own records that are not in full trail pages, oldest first; and how
    /// many full pages there are.
    pub fn trail(&self) -> (Vec<Position>, u32) {
        (self.trail.iter().collect(), self.trail_pages)
    }

    /// The bytes of a page, wherever it is.
    pub fn page(&self, number: u32, rest: &dyn Rest) -> Result<Option<Vec<u8>>, Error> {
        if let NewestPage::AtRest(newest, bytes) = &self.newest_page
            && *newest == number
        {
            return Ok(Some(bytes.to_vec()));
        }
        match self.mind.page_bytes(number) {
            Some(bytes) => Ok(Some(bytes)),
            None => {
                self.at_rest(rest, &row::key::page(self.address.kind, &self.address.key, number))
            }
        }
    }

    /// What was handed over last has been written: from now on it is read from rest.
    pub fn settled(&mut self) {
        let Some(rare) = &mut self.rare else { return };
        rare.unsettled = Vec::new();
        if rare.is_none() {
            self.rare = None;
        }
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The stored bytes under a key of its own, with what is on its way to the store.
    pub fn at_rest(&self, rest: &dyn Rest, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let unsettled = self.rare.as_ref().map_or(&[][..], |rare| &rare.unsettled);
        match unsettled.iter().rev().find(|(unsettled, _)| unsettled == key) {
            Some((_, bytes)) => Ok(Some(bytes.clone())),
            None if self.stored => rest.get(key),
            None => Ok(None),
        }
    }
}
