//! Where domain events come from: a source numbers raw records, a partition consumer takes them
//! from there into the journal.
//!
//! A source has one required verb: read on from a number. That number comes from the journal, which
//! alone knows what it has; so a source keeps no progress of its own, and being killed costs it
//! nothing. What is *not* here: what the bytes mean (a partition consumer decodes them), threads,
//! back-pressure (a source that nobody reads is paused), and the door, which is no source: it is
//! called.
//!
//! Invariant: a number means the same record for ever. Numbers rise within a partition; gaps are
//! fine.

pub mod campus;
pub mod lines;
pub mod paced;

use actors::Timestamp;
use state::frame::Way;
use std::io;
use std::time::Duration;

/// A partition of a place that domain events come from.
pub trait Source: Send {
    /// Adds raw records to an empty `batch`, from the number `next` on, which is the first one that
    /// the journal does not have; it may go back (after a failure) and forth. May block for a
    /// while: it has a thread of its own. Returns when the batch is full, or nothing more is there.
    ///
    /// # Errors
    /// The records can't be had; what is in the batch by then counts all the same.
    fn read(&mut self, next: u64, batch: &mut RawBatch) -> Result<Progress, Error>;

    /// Everything below `next` is in the journal. For places that like to know (Kafka shows lag).
    fn durable(&mut self, _next: u64) {}
}

/// What is to be done after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Read again.
    More,
    /// Nothing there just now: read again after so long, or later.
    Idle(Duration),
    /// There will never be more.
    End,
}

/// Why a source can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading failed. It may work later.
    #[error("reading {input} failed: {source}")]
    Read {
        /// The input's name.
        input: String,
        /// Why.
        source: io::Error,
    },
    /// The wanted record has been there, but can't be read any more.
    #[error("{input} does not have number {wanted} any more: it goes on with {first}")]
    Gone {
        /// The input's name.
        input: String,
        /// What was wanted.
        wanted: u64,
        /// The first number that could be had.
        first: u64,
    },
    /// The journal has more of this input than there is: it is another input under the same name.
    #[error("the journal has {wanted} records of {input}, which ends after {found}")]
    Shorter {
        /// The input's name.
        input: String,
        /// How many the journal has.
        wanted: u64,
        /// How many there are.
        found: u64,
    },
}

/// Is told of every record that is no domain event. It keeps its number and is not journaled.
pub type OnReject = Box<dyn FnMut(&Reject) + Send>;

/// A source and what its consumer needs to know about it.
pub struct Partition {
    /// For the tree and the log: the consumer is called `consumer-NAME`.
    pub name: String,
    /// The way into the journal that these numbers belong to.
    pub way: Way,
    /// The records.
    pub source: Box<dyn Source>,
    /// Whom to tell of what is no domain event.
    pub on_reject: OnReject,
}

/// A raw record that is no domain event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Its number.
    pub number: u64,
    /// Where people find it in the input: its line, counted from 1, or its offset.
    pub place: u64,
    /// One of the codes of the HTTP errors.
    pub code: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// A record as it came, not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// Its number.
    pub number: u64,
    /// Where people find it in the input.
    pub place: u64,
    /// The input's own time of it, for events that have none.
    pub time: Option<Timestamp>,
    /// What is to be decoded.
    pub bytes: &'a [u8],
}

#[derive(Debug)]
struct Held {
    number: u64,
    place: u64,
    time: Option<Timestamp>,
    end: usize,
}

/// Raw records in one buffer, to be used again and again.
#[derive(Debug)]
pub struct RawBatch {
    records_max: usize,
    bytes_max: usize,
    allowed: usize,
    bytes: Vec<u8>,
    records: Vec<Held>,
    rejects: Vec<Reject>,
    next: u64,
}

impl RawBatch {
    /// An empty batch that is full with so many records, or so many bytes (the last record may go
    /// beyond).
    pub fn new(records_max: usize, bytes_max: usize) -> Self {
        assert!(records_max > 0, "records_max must be at least 1");
        Self {
            records_max,
            bytes_max,
            allowed: records_max,
            bytes: Vec::new(),
            records: Vec::new(),
            rejects: Vec::new(),
            next: 0,
        }
    }

    /// Makes it empty, to be filled from `next` on.
    pub fn begin(&mut self, next: u64) {
        self.allowed = self.records_max;
        self.bytes.clear();
        self.records.clear();
        self.rejects.clear();
        self.next = next;
    }

    /// Until the next [`RawBatch::begin`] it is full with so many records, if that is less.
    pub fn allow(&mut self, records: usize) {
        self.allowed = self.records_max.min(records);
    }

    /// Whether it has taken in enough.
    pub fn is_full(&self) -> bool {
        self.len() >= self.allowed || self.bytes.len() >= self.bytes_max
    }

    /// How many records it has taken in, rejects among them.
    pub fn len(&self) -> usize {
        self.records.len() + self.rejects.len()
    }

    /// Whether it has taken in none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number after the last one taken in: where to read on.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Takes in a record.
    ///
    /// # Panics
    /// Its number is below one that was taken in before.
    pub fn push(&mut self, record: RawRecord<'_>) {
        let RawRecord { number, place, time, bytes } = record;
        self.count(number);
        self.bytes.extend_from_slice(bytes);
        self.records.push(Held { number, place, time, end: self.bytes.len() });
    }

    /// Takes in a record that can be seen to be no event without decoding it.
    ///
    /// # Panics
    /// Its number is below one that was taken in before.
    pub fn reject(&mut self, reject: Reject) {
        self.count(reject.number);
        self.rejects.push(reject);
    }

    /// The records, in order of their numbers.
    pub fn records(&self) -> impl Iterator<Item = RawRecord<'_>> {
        let mut from = 0;
        self.records.iter().map(move |held| {
            let bytes = &self.bytes[std::mem::replace(&mut from, held.end)..held.end];
            RawRecord { number: held.number, place: held.place, time: held.time, bytes }
        })
    }

    /// What was rejected, in order of numbers.
    pub fn rejects(&self) -> &[Reject] {
        &self.rejects
    }

    fn count(&mut self, number: u64) {
        assert!(number >= self.next, "record {number} comes after all below {}", self.next);
        self.next = number + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64, bytes: &[u8]) -> RawRecord<'_> {
        RawRecord { number, place: number + 1, time: None, bytes }
    }

    #[test]
    fn a_batch_gives_back_what_it_took_and_is_used_again() {
        let mut batch = RawBatch::new(3, 100);
        for from in [0, 1_000] {
            batch.begin(from);
            assert!(batch.is_empty() && !batch.is_full() && batch.next() == from);
            batch.push(record(from, b"one"));
            let reason = "longer than 4 bytes".to_owned();
            let reject = Reject { number: from + 1, place: from + 2, code: "too-large", reason };
            batch.reject(reject.clone());
            batch.push(record(from + 7, b""));
            assert!(batch.is_full() && batch.next() == from + 8);
            let held: Vec<_> = batch.records().collect();
            assert_eq!(held, [record(from, b"one"), record(from + 7, b"")]);
            assert_eq!(batch.rejects(), [reject]);
        }
    }

    #[test]
    fn a_batch_is_full_by_records_by_bytes_or_as_allowed() {
        let mut batch = RawBatch::new(2, 5);
        batch.begin(0);
        batch.push(record(0, b"12345"));
        assert!(batch.is_full(), "bytes");
        batch.begin(0);
        batch.allow(1);
        assert!(!batch.is_full());
        batch.push(record(0, b"1"));
        assert!(batch.is_full(), "allowed");
        batch.begin(0);
        batch.push(record(0, b"1"));
        assert!(!batch.is_full());
        batch.push(record(1, b"1"));
        assert!(batch.is_full(), "records");
    }

    #[test]
    #[should_panic(expected = "record 3 comes after all below 5")]
    fn numbers_rise() {
        let mut batch = RawBatch::new(9, 100);
        batch.begin(0);
        batch.push(record(4, b""));
        batch.push(record(3, b""));
    }
}
