//! `journal`: records as JSON, one object per line, from a data directory that a server may hold.
//!
//! It takes no lock and changes nothing. What it shows is durable: a frame comes only once a later
//! one vouches for it, so the very last one of a process that was killed is not shown before the
//! next start. What is *not* here: reading beside a writer (`state::journal::Follower`).

use super::{Ended, Error};
use crate::cli::Journal;
use crate::process::{self, signals::Signals};
use actors::KINDS;
use serde::Serialize;
use serde_json::value::RawValue;
use state::directory::Identity;
use state::disk::ReadOnlyDisk;
use state::frame::{Frame, Mark, Record, TAG_BLANK, WayKind};
use state::journal::Follower;
use std::io::{self, BufWriter, Stdout, Write};
use std::sync::Arc;
use std::time::Duration;
use topology::kinds::Kinds;
use topology::record::{Prefix, split, split_verdict, tag, tag_name};

/// How often it is looked whether there is more.
const AGAIN: Duration = Duration::from_millis(100);

pub(super) fn run(arguments: &Journal) -> Result<Ended, Error> {
    let data = &arguments.at.data;
    process::existing(data)?;
    let place = data.display();
    let failed = |why: String| Error::Failed(format!("reading the journal of {place}: {why}"));
    let identity =
        Identity::read(&ReadOnlyDisk, data).map_err(|error| failed(error.to_string()))?;
    let identity = identity.ok_or_else(|| {
        Error::Failed(format!("{place} is not a data directory: it has no bellwether.json"))
    })?;
    let (dir, uuid) = (data.join("journal"), identity.journal.0);
    let mut follower = Follower::new(Arc::new(ReadOnlyDisk), &dir, uuid, arguments.from);
    let mut shown = Shown::new(arguments);
    let mut next = || follower.frame().map_err(|error| failed(error.to_string()));
    if !arguments.follow {
        while let Some(frame) = next()? {
            if !shown.frame(&frame)? {
                break;
            }
        }
        return shown.end();
    }
    process::run(async {
        let mut signals = Signals::listen()?;
        loop {
            let frame = next()?;
            let pause = if frame.is_some() { Duration::ZERO } else { AGAIN };
            let goes_on = match frame {
                Some(frame) => shown.frame(&frame)?,
                None => shown.flush()?,
            };
            if !goes_on {
                return shown.end();
            }
            tokio::select! {
                biased;
                _ = signals.next() => return shown.end(),
                () = tokio::time::sleep(pause) => {}
            }
        }
    })
}

/// One record, as it is shown.
#[derive(Serialize)]
struct Line<'a> {
    position: u64,
    time: String,
    tag: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    depth: u8,
    way: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    payload_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

/// What was asked for, and how much of it is shown.
struct Shown<'a> {
    arguments: &'a Journal,
    kinds: Kinds,
    left: u64,
    out: BufWriter<Stdout>,
}

impl<'a> Shown<'a> {
    fn new(arguments: &'a Journal) -> Self {
        let left = arguments.limit.unwrap_or(u64::MAX);
        let out = BufWriter::new(io::stdout());
        Self { arguments, kinds: Kinds::new(KINDS), left, out }
    }

    fn end(mut self) -> Result<Ended, Error> {
        self.flush()?;
        Ok(Ended::Done)
    }

    /// False if nobody reads any more.
    fn flush(&mut self) -> Result<bool, Error> {
        read_by_somebody(self.out.flush())
    }

    /// Shows what is asked for of a frame; false once that is all.
    fn frame(&mut self, frame: &Frame) -> Result<bool, Error> {
        let way = frame.way().to_string();
        let by_kafka = frame.way_kind() == WayKind::Kafka;
        let by_shard = frame.way_kind() == WayKind::Shard;
        for group in frame.groups() {
            // What our own event was published by, then what the event told whom.
            let mut cause = match group.mark {
                Mark::Number { number, .. } if by_shard => Some(number),
                _ => None,
            };
            let offset = match group.mark {
                Mark::Number { number, .. } if by_kafka => Some(number),
                _ => None,
            };
            for record in frame.slice(group.records) {
                let of_this = cause;
                if matches!(record.tag, tag::EVENT | tag::PUBLISHED) {
                    cause = Some(record.position);
                }
                if !self.is_wanted(&record) {
                    continue;
                }
                if self.left == 0 {
                    return Ok(false);
                }
                self.left -= 1;
                let mut line = line(&self.kinds, &record, &way, of_this);
                line.offset = offset;
                let mut text = serde_json::to_vec(&line).expect("a line has string keys");
                text.push(b'\n');
                if !read_by_somebody(self.out.write_all(&text))? {
                    return Ok(false);
                }
            }
        }
        Ok(self.left > 0)
    }

    fn is_wanted(&self, record: &Record<'_>) -> bool {
        let Journal { from, address, .. } = self.arguments;
        let is_its = |(kind, key): &(String, String)| {
            record.key == key && self.kinds.get(record.kind).is_some_and(|known| known.name == kind)
        };
        record.position >= *from && address.as_ref().is_none_or(is_its)
    }
}

/// Whoever reads what is written may have seen enough: that is no failure.
fn read_by_somebody(written: io::Result<()>) -> Result<bool, Error> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => Ok(written.map(|()| true)?),
    }
}

fn line<'a>(kinds: &'a Kinds, record: &Record<'a>, way: &'a str, cause: Option<u64>) -> Line<'a> {
    let addressed = !record.key.is_empty();
    let kind = || kinds.get(record.kind).map_or("unknown", |kind| kind.name);
    let mut line = Line {
        position: record.position,
        time: record.time.to_string(),
        tag: if record.tag == TAG_BLANK { "blank" } else { tag_name(record.tag) },
        kind: addressed.then(kind),
        key: addressed.then_some(record.key),
        depth: record.depth,
        way,
        offset: None,
        cause: None,
        event: None,
        idempotency_key: None,
        reason: None,
        payload_bytes: record.payload.len(),
        payload: None,
    };
    let (prefix, rest) =
        split(record.tag, record.payload).unwrap_or((Prefix::None, record.payload));
    line.cause = match prefix {
        Prefix::Cause(id) | Prefix::Fired(id) | Prefix::Answered(id, _) => Some(id.cause),
        _ => cause,
    };
    if let Prefix::Command(Some(key)) = prefix {
        line.idempotency_key = Some(key.key);
    }
    if let (tag::VERDICT, Some((judged, reason))) = (record.tag, split_verdict(record.payload)) {
        (line.cause, line.reason) = (Some(judged), Some(reason));
        return line;
    }
    if matches!(record.tag, tag::EVENT | tag::PUBLISHED) {
        line.event = on_one_line(rest);
    }
    if line.event.is_none() {
        line.payload = Some(hex(rest));
    }
    line
}

/// An event's text without line breaks, which stand between its parts only: within strings JSON
/// writes them as `\n`.
fn on_one_line(text: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(text).ok()?.replace(['\n', '\r'], " ");
    serde_json::from_str(&text).ok()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
