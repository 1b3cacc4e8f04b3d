//! Lines of a file or of standard input → items of a feed.
//!
//! The engine's own source of lines reads and numbers them, so that a line has the same number
//! whichever way it goes in; here each is judged as a server would judge it. What is *not* here:
//! what an event means to anybody.

use super::{Error, Item, Reject};
use actors::{DomainEvent, Timestamp};
use std::collections::VecDeque;
use std::io::{BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use topology::sources::lines::Lines as Source;
use topology::sources::{self, Progress, RawBatch, Source as _};

/// How much is read and judged at once.
const READ_RECORDS: usize = 1_000;
const READ_BYTES: usize = 1 << 20;

/// Reads items from lines.
pub(crate) struct Lines {
    source: Source,
    batch: RawBatch,
    ready: VecDeque<Item>,
    /// How much of the input has been read.
    read_bytes: Arc<AtomicU64>,
    ended: bool,
}

impl Lines {
    /// The lines of a stream; `input` is its name, for messages.
    pub(crate) fn new(stream: impl Read + Send + 'static, input: String) -> Self {
        let read_bytes = Arc::default();
        let counting = Counting { stream, read_bytes: Arc::clone(&read_bytes) };
        let stream = Box::new(BufReader::with_capacity(READ_BYTES, counting));
        let batch = RawBatch::new(READ_RECORDS, READ_BYTES);
        let source = Source::stream(input, stream);
        Self { source, batch, ready: VecDeque::new(), read_bytes, ended: false }
    }

    /// Reads the next items, if there are more.
    fn fill(&mut self) -> Result<(), sources::Error> {
        let next = self.batch.next();
        self.batch.begin(next);
        self.ended = self.source.read(next, &mut self.batch)? == Progress::End;
        let read_bytes = self.read_bytes.load(Ordering::Relaxed);
        let records = self.batch.records().map(|record| {
            let event = check(record.bytes).map_err(|reason| ("bad-request", reason));
            (record.place, event)
        });
        let rejects = self.batch.rejects().iter();
        let rejects =
            rejects.map(|reject| (reject.place, Err((reject.code, reject.reason.clone()))));
        let item = |(line, event): (u64, Result<String, (&'static str, String)>)| {
            let reject =
                |(code, reason)| Reject { file: None, line, code: From::from(code), reason };
            Item { line, read_bytes, event: event.map_err(reject) }
        };
        self.ready.extend(records.chain(rejects).map(item));
        self.ready.make_contiguous().sort_by_key(|item| item.line);
        Ok(())
    }
}

impl Iterator for Lines {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.ended {
            if let Err(error) = self.fill() {
                self.ended = true;
                return Some(Err(error.into()));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

/// Whether a line is an event, by the same judgement as the server's: what it would refuse is
/// refused here, in every run alike.
fn check(line: &[u8]) -> Result<String, String> {
    DomainEvent::parse(line, Timestamp::default()).map_err(|fault| fault.to_string())?;
    Ok(String::from_utf8(line.to_vec()).expect("what parses is UTF-8"))
}

/// Counts what passes.
struct Counting<R> {
    stream: R,
    read_bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::EVENT_BYTES_MAX;
    use std::io::Cursor;

    #[test]
    fn lines_are_numbered_checked_and_bounded() {
        let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"x"}"#;
        let sized = |bytes| event.replace('x', &"x".repeat(bytes + 1 - event.len()));
        let (long, just_fits) = (sized(EVENT_BYTES_MAX + 1), sized(EVENT_BYTES_MAX));
        let input = format!("\u{feff}{event}\r\n\n[1]\n{long}\n{just_fits}\n{{\"b\"\n  {event}  ");
        let total = input.len() as u64;
        let items: Vec<_> =
            Lines::new(Cursor::new(input), "test".into()).map(Result::unwrap).collect();
        let said: Vec<_> = items
            .iter()
            .map(|item| match &item.event {
                Ok(text) if text.len() < 200 => format!("{} {text}", item.line),
                Ok(text) => format!("{} {} bytes", item.line, text.len()),
                Err(reject) => format!("{} {}: {}", reject.line, reject.code, reject.reason),
            })
            .collect();
        expect_test::expect![[r#"
            1 {"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"x"}
            3 bad-request: not a JSON object: invalid type: sequence, expected an object with a CloudEvent's attributes at line 1 column 0
            4 too-large: longer than 1048576 bytes
            5 1048576 bytes
            6 bad-request: not a JSON object: EOF while parsing an object at line 1 column 4
            7 {"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"x"}"#]]
        .assert_eq(&said.join("\n"));
        assert_eq!(items.last().unwrap().read_bytes, total);
    }
}
