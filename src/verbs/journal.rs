//! `journal`: records as they stand in the files, one JSON object a line.
//!
//! It looks from outside and holds nothing, so a server may be running on the directory; a record
//! that was written this very moment may be taken back by a crash. What is *not* here: what records
//! do to anybody (`inspect`).

use super::{Ended, Error};
use crate::cli::Journal;
use crate::process;
use serde_json::{Value, json};
use state::directory::Identity;
use state::disk::RealDisk;
use state::frame::{Frame, Record};
use state::journal::Look;
use std::io::{ErrorKind, Write as _};
use std::sync::Arc;
use std::time::Duration;
use topology::record::{Prefix, split, tag, tag_name};

/// How often a follower looks for more.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);

pub(super) fn run(arguments: &Journal) -> Result<Ended, Error> {
    let data = &arguments.at.data;
    process::existing(data)?;
    let failed =
        |error: String| Error::Failed(format!("reading {} failed: {error}", data.display()));
    let identity = Identity::read(&RealDisk, data).map_err(|error| failed(error.to_string()))?;
    let Some(identity) = identity else {
        return Err(Error::Failed(format!("{} is not a data directory", data.display())));
    };
    let uuid = identity.journal.0;
    let mut look = Look::new(Arc::new(RealDisk), &data.join("journal"), uuid, arguments.from);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    while left > 0 {
        match look.frame().map_err(|error| failed(error.to_string()))? {
            Some(frame) => match print(&frame, arguments, &mut left, &mut out) {
                // Whoever read it has had enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Ended::Done),
                printed => printed?,
            },
            None if arguments.follow => {
                out.flush()?;
                std::thread::sleep(FOLLOW_EVERY);
            }
            None => break,
        }
    }
    out.flush()?;
    Ok(Ended::Done)
}

fn print(
    frame: &Frame,
    arguments: &Journal,
    left: &mut u64,
    out: &mut impl std::io::Write,
) -> std::io::Result<()> {
    let wanted = |record: &Record<'_>| {
        record.position >= arguments.from
            && arguments
                .address
                .as_ref()
                .is_none_or(|(kind, key)| kind_name(record) == Some(kind) && record.key == key)
    };
    for record in frame.records().filter(wanted) {
        if *left == 0 {
            break;
        }
        *left -= 1;
        serde_json::to_writer(&mut *out, &line(frame, &record))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn kind_name(record: &Record<'_>) -> Option<&'static str> {
    if record.kind == actors::KindId::DEAD_LETTER {
        return Some("dead-letter");
    }
    actors::KINDS.get(usize::from(record.kind.0)).map(|kind| kind.name)
}

fn line(frame: &Frame, record: &Record<'_>) -> Value {
    let mut line = json!({
        "position": record.position,
        "time": record.time.to_string(),
        "tag": tag_name(record.tag),
        "way": frame.way().to_string(),
        "payload_bytes": record.payload.len(),
    });
    if !record.key.is_empty() {
        let kind = kind_name(record).map_or_else(|| record.kind.0.to_string(), str::to_owned);
        line["address"] = format!("{kind}/{}", record.key).into();
        line["depth"] = record.depth.into();
    }
    match split(record.tag, record.payload) {
        Ok((Prefix::Cause(id) | Prefix::Fired(id) | Prefix::Answered(id, _), _)) => {
            line["cause"] = id.to_string().into();
        }
        Ok((Prefix::Command(Some(command)), _)) => line["idempotency_key"] = command.key.into(),
        _ => {}
    }
    if matches!(record.tag, tag::EVENT | tag::PUBLISHED) {
        line["event"] = serde_json::from_slice(record.payload).unwrap_or_default();
    }
    line
}
