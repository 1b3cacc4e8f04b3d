//! Feeding lines of events into the product, exactly once: numbered, in batches, from where the
//! last run ended.
//!
//! Each line of the input has a number, from 0, in the name of a producer. The target knows the
//! next number it wants; what stands before it is skipped, so a feed may be run again, or killed
//! and run again, and changes nothing twice. A line that is no event keeps its number too (a `null`
//! in its batch), so that numbers and lines never drift apart.
//!
//! What is *not* here: how a batch reaches the engine (`http`), and where lines come from (`lines`,
//! `oulad`).
//!
//! Invariant: a number belongs to one line for ever; the last one sent before is sent again, so
//! that the target can tell.

pub(crate) mod http;
pub(crate) mod lines;
pub(crate) mod local;
mod progress;
mod rejects;

pub(crate) use progress::{Progress, Unit};
pub(crate) use rejects::{Reject, Rejects};
use serde::Deserialize;
use std::io;
use std::path::PathBuf;

/// Where a batch is cut whatever the number of events: half of what a server takes by default.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// The largest event, which is also the largest body of a request by default.
#[cfg(test)]
const EVENT_BYTES_MAX: usize = topology::sources::lines::LINE_BYTES_MAX;

/// Why a feed ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The input can't be read.
    #[error("reading {input} failed: {source}")]
    Input { input: String, source: io::Error },
    /// The lines can't be read.
    #[error(transparent)]
    Lines(#[from] topology::sources::Error),
    /// The rejects can't be written.
    #[error("writing the rejects file {path} failed: {source}")]
    Rejects { path: PathBuf, source: io::Error },
    /// The target has more lines from this producer than the input.
    #[error(
        "the target has {known} events of producer {producer}, but the input ends after {found}: \
         is it another input under the same name? give it its own with --producer"
    )]
    Shorter { producer: String, known: u64, found: u64 },
    /// The target says that a number was another event before.
    #[error(
        "the target has another event as number {number} of producer {producer}: the input has \
         changed since it was sent; feed it under another name with --producer"
    )]
    Changed { producer: String, number: u64 },
    /// The target can't be reached, or refuses.
    #[error("{0}")]
    Target(String),
}

/// One line of input, as it goes into a batch.
pub(crate) struct Item {
    /// Its place in the input, counted from 1.
    pub(crate) line: u64,
    /// How many bytes of input were read up to its end.
    pub(crate) read_bytes: u64,
    /// An event as JSON text, or why it is none.
    pub(crate) event: Result<String, Reject>,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Answer {
    pub(crate) accepted: u64,
    pub(crate) duplicates: u64,
    #[serde(default)]
    pub(crate) ignored: u64,
    #[serde(default)]
    pub(crate) rejected: Vec<Refused>,
}

/// An event of a batch that was not taken.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Refused {
    pub(crate) index: usize,
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) detail: String,
}

/// Something that takes numbered events.
pub(crate) trait Target {
    /// The next number it wants of this producer; 0 if it never heard of it.
    fn next_sequence(&mut self, producer: &str) -> Result<u64, Error>;
    /// Hands over events whose numbers begin at `first`. Returns when they are durable.
    fn send(&mut self, producer: &str, first: u64, batch: &[Item]) -> Result<Answer, Error>;
}

/// How to feed.
pub(crate) struct Options {
    pub(crate) producer: String,
    /// How many events go in one batch at most.
    pub(crate) batch: usize,
}

/// What a whole feed came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Lines that were there before this run.
    pub(crate) skipped: u64,
    pub(crate) accepted: u64,
    pub(crate) duplicates: u64,
    pub(crate) ignored: u64,
}

/// Sends what the target does not have yet.
pub(crate) fn feed(
    input: impl Iterator<Item = Result<Item, Error>>,
    target: &mut impl Target,
    options: &Options,
    rejects: &mut Rejects,
    progress: &mut Progress,
) -> Result<Summary, Error> {
    let known = target.next_sequence(&options.producer)?;
    let mut feeding = Feeding {
        target,
        options,
        rejects,
        progress,
        // One line again: a target that has another event under its number says so.
        first: known.saturating_sub(1),
        batch: Vec::new(),
        batch_bytes: 0,
        summary: Summary::default(),
    };
    let mut found = 0;
    for item in input {
        let item = item?;
        if let Err(reject) = &item.event {
            feeding.rejects.write(reject)?;
        }
        let number = found;
        found += 1;
        if number < feeding.first {
            feeding.summary.skipped += 1;
            feeding.progress.at(item.read_bytes, found);
        } else {
            feeding.push(item)?;
        }
    }
    if found < known {
        return Err(Error::Shorter { producer: options.producer.clone(), known, found });
    }
    feeding.flush()?;
    let mut summary = feeding.summary;
    if known > 0 {
        summary.skipped += 1;
        summary.duplicates = summary.duplicates.saturating_sub(1);
    }
    progress.finish();
    Ok(summary)
}

struct Feeding<'a, T> {
    target: &'a mut T,
    options: &'a Options,
    rejects: &'a mut Rejects,
    progress: &'a mut Progress,
    /// The number of the first event in the batch.
    first: u64,
    batch: Vec<Item>,
    batch_bytes: usize,
    summary: Summary,
}

impl<T: Target> Feeding<'_, T> {
    fn push(&mut self, item: Item) -> Result<(), Error> {
        let bytes = item.event.as_ref().map_or(0, String::len);
        if self.batch_bytes + bytes > BATCH_BYTES_MAX {
            self.flush()?;
        }
        self.batch_bytes += bytes;
        self.batch.push(item);
        if self.batch.len() >= self.options.batch {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        let Some(last) = self.batch.last() else { return Ok(()) };
        let read_bytes = last.read_bytes;
        let answer = self.target.send(&self.options.producer, self.first, &self.batch)?;
        self.summary.accepted += answer.accepted;
        self.summary.duplicates += answer.duplicates;
        self.summary.ignored += answer.ignored;
        for refused in answer.rejected {
            // A line that we knew to be no event has been written down already.
            if let Some(Item { line, event: Ok(_), .. }) = self.batch.get(refused.index) {
                self.rejects.write(&Reject {
                    file: None,
                    line: *line,
                    code: refused.code.into(),
                    reason: refused.detail,
                })?;
            }
        }
        self.first += self.batch.len() as u64;
        self.progress.at(read_bytes, self.first);
        self.batch.clear();
        self.batch_bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
