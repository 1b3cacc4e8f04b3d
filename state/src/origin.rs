//! The origin table: how far each numbered way has come, so that nothing that comes again is
//! written twice.
//!
//! The number and index of a way's last group stand in the frame with its records, so the table is
//! a fold of the journal. So that a start need not fold all of it, the table is also a checksummed
//! file in two generations, written in turn; each knows the position up to which it was folded, its
//! *cut*. Beside the table the file keeps which records verdicts were passed on, since a start has
//! to know them before it replays those records.
//!
//! What is *not* here: when it is saved, and the window for events without numbers.

mod file;

pub(crate) use file::{Saved, decode, encode};

use crate::frame::header::{FLAG_VERDICT, Header};
use crate::frame::view::View;
use crate::frame::{Mark, TAG_VERDICT, Way, WayKind};
use actors::{Position, Timestamp};
use std::collections::{BTreeSet, HashMap};

/// The last group of a numbered way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its number.
    pub number: u64,
    /// Its index among those of the same number.
    pub index: u16,
    /// The hash of its event; 0 if it has none.
    pub hash: u64,
    /// When it was appended.
    pub time: Timestamp,
    /// The position behind the frame it stands in; 0 if that was before the last start.
    pub end: Position,
}

impl Last {
    /// By what groups of a way are ordered.
    pub fn key(&self) -> (u64, u16) {
        (self.number, self.index)
    }
}

/// How far each numbered way has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    ways: HashMap<Way, Last>,
    producers: usize,
    verdicts: BTreeSet<Position>,
}

impl Origins {
    /// The last group of a way, if any has come.
    pub fn last(&self, way: &Way) -> Option<&Last> {
        self.ways.get(way)
    }

    /// The number that follows on from a way's last.
    pub fn next(&self, way: &Way) -> u64 {
        self.last(way).map_or(0, |last| last.number + 1)
    }

    /// All producers, by name.
    pub fn producers(&self) -> Vec<(&str, &Last)> {
        let all = self.ways.iter().filter(|(way, _)| way.kind == WayKind::Producer);
        let mut producers: Vec<_> = all.map(|(way, last)| (way.name.as_str(), last)).collect();
        producers.sort_unstable_by_key(|(name, _)| *name);
        producers
    }

    /// All ways of a sort, in no order.
    pub fn of_kind(&self, kind: WayKind) -> impl Iterator<Item = (&str, &Last)> {
        let all = self.ways.iter().filter(move |(way, _)| way.kind == kind);
        all.map(|(way, last)| (way.name.as_str(), last))
    }

    /// How many producers there are.
    pub fn producer_count(&self) -> usize {
        self.producers
    }

    /// The positions of the records that were judged to be poison, in order.
    pub fn verdicts(&self) -> impl Iterator<Item = Position> {
        self.verdicts.iter().copied()
    }

    /// Forgets verdicts on records that no start will ever replay.
    pub(crate) fn forget_verdicts_below(&mut self, floor: Position) {
        self.verdicts = self.verdicts.split_off(&floor);
    }

    pub(crate) fn judge(&mut self, cause: Position) {
        self.verdicts.insert(cause);
    }

    /// Takes down the last group of a way, unless the table is beyond it.
    pub(crate) fn note(&mut self, way: &Way, last: Last) {
        match self.ways.get_mut(way) {
            Some(known) if known.key() < last.key() => *known = last,
            Some(_) => {}
            None => {
                self.producers += usize::from(way.kind == WayKind::Producer);
                self.ways.insert(way.clone(), last);
            }
        }
    }

    /// Takes over where frames end, which is not stored, from a table that is otherwise the same.
    #[cfg(test)]
    pub(crate) fn take_ends_of(&mut self, other: &Self) {
        for (way, last) in &mut self.ways {
            last.end = other.ways.get(way).map_or(0, |other| other.end);
        }
    }

    /// Folds in a frame of the journal.
    pub(crate) fn fold(&mut self, view: View<'_>) {
        let Header { way_kind, hash, time, .. } = view.header;
        if let Mark::Number { number, index } = view.last_mark() {
            let way = Way::new(way_kind, view.name());
            self.note(&way, Last { number, index, hash, time, end: view.header.end() });
        }
        if view.header.flags & FLAG_VERDICT != 0 {
            self.fold_verdicts(view);
        }
    }

    fn fold_verdicts(&mut self, view: View<'_>) {
        let mut records = view.records();
        for group in view.groups() {
            let mut judged = false;
            for record in records.by_ref().take(group.records.len()) {
                judged |= record.tag == TAG_VERDICT;
            }
            if let (true, Mark::Number { number, .. }) = (judged, group.mark) {
                self.judge(number);
            }
        }
    }
}

#[cfg(test)]
mod tests;
