//! How old the oldest record of a partition is that the journal does not have.
//!
//! Its time is known once the record was taken from the queue: each draft leaves a mark with the
//! offset and time of its first record, the one at which reading stands still leaves a mark too,
//! and what is durable takes them away. Behind the last record a log may hold marks of
//! transactions, which nobody ever reads: once the end was met, what lies below it counts as read.
//! What is *not* here: taking anything from a queue.
//!
//! Invariant: marks rise; the first one is the oldest record that is known not to be durable.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A partition's unread records, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Lag(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Offset and time, in ms.
    marks: VecDeque<(u64, i64)>,
    /// There is nothing to read below this offset.
    read_to: u64,
    /// Since when there are unread records whose time is not known, in ms.
    behind_since_ms: Option<i64>,
}

impl Lag {
    /// Reading begins at this offset.
    pub(super) fn begin(&self, next: u64) {
        let mut known = self.lock();
        known.marks.clear();
        known.read_to = next;
    }

    /// A record was met that is not durable; only the first of a draft need be said.
    pub(super) fn met(&self, offset: u64, time_ms: i64) {
        let mut known = self.lock();
        if known.marks.back().is_none_or(|(last, _)| *last < offset) {
            known.marks.push_back((offset, time_ms));
        }
    }

    /// The log was read to its end, which is here.
    pub(super) fn met_end(&self, end: u64) {
        let mut known = self.lock();
        known.read_to = known.read_to.max(end);
    }

    /// Everything below this offset is durable.
    pub(super) fn durable(&self, next: u64) {
        let mut known = self.lock();
        while known.marks.front().is_some_and(|(offset, _)| *offset < next) {
            known.marks.pop_front();
        }
    }

    /// How many records there are from `next` to the log's end, and how old the oldest is, in
    /// seconds: at least, where only their number is known.
    pub(super) fn measure(&self, (next, end): (u64, u64), now_ms: i64) -> (u64, f64) {
        let mut known = self.lock();
        let age = |since_ms: i64| (now_ms - since_ms).max(0) as f64 / 1_000.0;
        if let Some((_, time_ms)) = known.marks.front() {
            let age = age(*time_ms);
            known.behind_since_ms = None;
            return (end.saturating_sub(next), age);
        }
        let records = end.saturating_sub(next.max(known.read_to));
        if records == 0 {
            known.behind_since_ms = None;
            return (0, 0.0);
        }
        (records, age(*known.behind_since_ms.get_or_insert(now_ms)))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_unread_record_counts_not_the_last_that_was_read() {
        let lag = Lag::default();
        lag.begin(10);
        assert_eq!(lag.measure((10, 10), 50_000), (0, 0.0));
        // One draft under way, another behind it, and the record that waits.
        lag.met(10, 1_000);
        lag.met(12, 4_000);
        lag.met(15, 9_000);
        // Said again when its draft begins.
        lag.met(15, 9_000);
        assert_eq!(lag.measure((10, 20), 10_000), (10, 9.0));
        lag.durable(12);
        assert_eq!(lag.measure((12, 20), 10_000), (8, 6.0));
        lag.durable(15);
        assert_eq!(lag.measure((15, 20), 10_000), (5, 1.0));
        lag.durable(20);
        // A record of a quiet topic is as old as it is, however old the one before it was.
        assert_eq!(lag.measure((20, 20), 90_000), (0, 0.0));
        lag.met(20, 89_500);
        assert_eq!(lag.measure((20, 21), 90_000), (1, 0.5));
        // Clocks differ.
        assert_eq!(lag.measure((20, 21), 80_000), (1, 0.0));
    }

    #[test]
    fn what_cannot_be_read_is_as_old_as_it_is_known() {
        let lag = Lag::default();
        lag.begin(5);
        assert_eq!(lag.measure((5, 8), 10_000), (3, 0.0));
        assert_eq!(lag.measure((5, 9), 12_500), (4, 2.5));
        assert_eq!(lag.measure((9, 9), 13_000), (0, 0.0));
        assert_eq!(lag.measure((9, 10), 14_000), (1, 0.0));
    }

    #[test]
    fn the_end_of_a_transaction_is_nothing_unread() {
        let lag = Lag::default();
        lag.begin(0);
        lag.met(0, 1_000);
        lag.met_end(4);
        assert_eq!(lag.measure((0, 4), 2_000), (4, 1.0));
        lag.durable(3);
        assert_eq!(lag.measure((3, 4), 60_000), (0, 0.0));
        // What comes then counts, and only that.
        assert_eq!(lag.measure((3, 6), 61_000), (2, 0.0));
        // A log that was begun anew begins at its own offsets.
        lag.begin(0);
        assert_eq!(lag.measure((0, 3), 62_000).0, 3);
    }
}
