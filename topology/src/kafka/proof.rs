//! Is it the log that the journal has read? Decided before any record of it is applied, from what
//! the journal knows and what the brokers say; nothing here asks anybody.
//!
//! | what is found | what it means |
//! |---|---|
//! | another topic id | the topic was deleted and made again |
//! | the log begins behind the next offset | records were removed before they were read |
//! | the log ends before the next offset | it was cut: an unclean election, a restored broker |
//! | the last record is another one, or gone | it was cut and has grown again, and kept its id |
//!
//! Invariant: nothing is skipped without a word: where reading goes on anywhere but at the next
//! offset, somebody has decided so, and it is a record.

use super::place::Known;
use std::fmt;

/// A partition's log as the brokers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) topic_id: String,
    /// The first offset there is.
    pub(super) start: u64,
    /// The offset that the next record will have.
    pub(super) end: u64,
}

/// What speaks against reading on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The topic was deleted and made again under its name.
    Recreated {
        /// The id it had.
        was: String,
        /// The id it has.
        is: String,
    },
    /// Records were removed before they were read.
    Gap {
        /// The first that is missing.
        from: u64,
        /// The first that is there.
        to: u64,
    },
    /// The log ends before the next offset.
    Cut {
        /// The offset to be read next.
        next: u64,
        /// Where the log ends.
        end: u64,
    },
    /// The last record that was read is not what it was.
    Rewritten {
        /// Its offset.
        offset: u64,
    },
    /// Another process of the group has read a part, into another journal.
    TakenOver {
        /// That journal.
        by: String,
        /// The first offset that is not in ours.
        from: u64,
        /// The first that is not in the other one.
        to: u64,
    },
}

impl Finding {
    /// All that is counted about logs: findings, and what was noticed and went on by itself.
    pub(crate) const ALL: [&str; 6] =
        ["recreated", "gap", "cut", "rewritten", "moved", "taken-over"];

    /// What it is called in metrics and answers.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Finding::Recreated { .. } => "recreated",
            Finding::Gap { .. } => "gap",
            Finding::Cut { .. } => "cut",
            Finding::Rewritten { .. } => "rewritten",
            Finding::TakenOver { .. } => "taken-over",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Recreated { was, is } => {
                write!(f, "the topic was deleted and made again: its id was {was} and is {is}")
            }
            Finding::Gap { from, to } => write!(
                f,
                "offsets {from} to {} were removed from the log before they were read",
                to - 1
            ),
            Finding::Cut { next, end } => write!(
                f,
                "the log ends at offset {end}, but everything below {next} was read from it: it \
                 was cut"
            ),
            Finding::Rewritten { offset } => write!(
                f,
                "the record at offset {offset} is not the one that was read there: the log was cut \
                 and has grown again"
            ),
            Finding::TakenOver { by, from, to } => write!(
                f,
                "offsets {from} to {} were read by another process of the group, into journal {by}",
                to - 1
            ),
        }
    }
}

/// Whether to read on at `next`, which is the known next offset, or beyond it where another process
/// has read meanwhile. `hash_at` reads a record's hash from the brokers; `None` if there is none at
/// that offset.
pub(super) fn judge<E>(
    known: Option<&Known>,
    next: u64,
    log: &Log,
    hash_at: impl FnOnce(u64) -> Result<Option<u64>, E>,
) -> Result<Option<Finding>, E> {
    if let Some(known) = known
        && known.log.topic_id != log.topic_id
    {
        let (was, is) = (known.log.topic_id.clone(), log.topic_id.clone());
        return Ok(Some(Finding::Recreated { was, is }));
    }
    if next > log.end {
        return Ok(Some(Finding::Cut { next, end: log.end }));
    }
    if next < log.start {
        return Ok(Some(Finding::Gap { from: next, to: log.start }));
    }
    // What was removed in time can't be compared, and need not be: the log goes on where we do.
    let print = known.and_then(|known| known.print).filter(|print| print.offset >= log.start);
    if let Some(print) = print
        && hash_at(print.offset)? != Some(print.hash)
    {
        return Ok(Some(Finding::Rewritten { offset: print.offset }));
    }
    Ok(None)
}

/// What an operator, or the configuration, says to a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on at the next offset, or at the end of the log that is nearest to it.
    Continue,
    /// Begin at the log's start.
    Restart,
}

impl Decision {
    /// Where reading begins.
    pub(super) fn offset(self, next: u64, log: &Log) -> u64 {
        match self {
            Decision::Continue => next.min(log.end).max(log.start),
            Decision::Restart => log.start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::place::{LogId, Print};
    use std::convert::Infallible;

    fn known(next: u64) -> Known {
        let log = LogId { topic_id: "a".to_owned(), generation: 0 };
        let print = Some(Print { offset: next - 1, hash: 7 });
        Known { log, next, print, key: (next - 1, 1) }
    }

    fn found(known: Option<&Known>, next: u64, log: (&str, u64, u64), hash: Option<u64>) -> String {
        let (topic_id, start, end) = log;
        let log = Log { topic_id: topic_id.to_owned(), start, end };
        let found = judge(known, next, &log, |_| Ok::<_, Infallible>(hash)).unwrap();
        found.map_or_else(|| "read on".to_owned(), |finding| finding.code().to_owned())
    }

    #[test]
    fn every_lie_is_found() {
        let ten = known(10);
        for (next, log, hash, want) in [
            (10, ("a", 0, 10), Some(7), "read on"),
            (10, ("a", 0, 11), Some(7), "read on"),
            (10, ("a", 9, 11), Some(7), "read on"),
            // The last record was removed, but nothing behind it.
            (10, ("a", 10, 11), None, "read on"),
            (10, ("a", 11, 12), None, "gap"),
            (10, ("a", 0, 9), Some(7), "cut"),
            (10, ("a", 0, 0), None, "cut"),
            (10, ("a", 0, 10), Some(8), "rewritten"),
            (10, ("a", 0, 10), None, "rewritten"),
            // Made again: shorter, longer, of the same length.
            (10, ("b", 0, 3), Some(7), "recreated"),
            (10, ("b", 0, 20), Some(7), "recreated"),
            (10, ("b", 0, 10), Some(7), "recreated"),
            // Another process has read up to 15 meanwhile.
            (15, ("a", 0, 20), Some(7), "read on"),
            (15, ("a", 0, 20), Some(8), "rewritten"),
            (15, ("a", 16, 20), None, "gap"),
            (15, ("a", 0, 14), Some(7), "cut"),
        ] {
            assert_eq!(found(Some(&ten), next, log, hash), want, "{next} in {log:?}, {hash:?}");
        }
        assert_eq!(found(None, 0, ("b", 0, 3), None), "read on");
        assert_eq!(found(None, 5, ("b", 0, 3), None), "cut");
    }

    #[test]
    fn decisions_stay_within_the_log() {
        for (next, start, end, goes_on) in
            [(10, 0, 20, 10), (10, 12, 20, 12), (10, 0, 5, 5), (10, 0, 0, 0), (0, 3, 3, 3)]
        {
            let log = Log { topic_id: String::new(), start, end };
            assert_eq!(Decision::Continue.offset(next, &log), goes_on);
            assert_eq!(Decision::Restart.offset(next, &log), start);
        }
    }
}
