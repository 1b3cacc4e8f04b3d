//! `bench rest`: what entities take that are at rest: on the disk, and in the memory of a process
//! that has just been started and was asked nothing.
//!
//! An engine takes the campus in and ends in order. What lies in store and images then is set
//! beside what the entities themselves know, their heads and pages. A server is started on it, and
//! one on an empty directory; what the first one takes more is the sleeping entities'.

use crate::census;
use crate::feed::{self, Files};
use crate::helper::Helper;
use crate::restart::Killed;
use crate::scratch::Scratch;
use crate::{Error, cores, engine, report, usage};
use actors::KINDS;
use serde::Serialize;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A block of a file, as the kernel counts them.
const BLOCK_BYTES: u64 = 512;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many events.
    pub events: u64,
    /// How many people they are about.
    pub users: u64,
    /// Where data are written: into a directory of its own there, removed at the end.
    pub data: Option<PathBuf>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Bytes on the disk by bytes of heads and pages.
    pub disk_by_payload: f64,
    /// Store and images, an entity.
    pub disk_bytes: f64,
    /// Heads and pages, an entity.
    pub payload_bytes: f64,
    /// Memory of a process, a sleeping entity.
    pub sleeping_bytes: f64,
    /// The journal, an event.
    pub journal_bytes_per_event: f64,
    /// How many entities.
    pub entities: f64,
}

/// Measures once.
///
/// # Errors
/// The engine fails, or a process does not start.
pub fn run(plan: &Plan, helper: &Helper) -> Result<Figures, Error> {
    let scratch = Scratch::new(plan.data.as_deref())?;
    let data = scratch.path().join("data");
    fill(plan, scratch.path(), &data)?;
    let (entities, payload_bytes) = census::payload_at_rest(&data, KINDS)?;
    let bytes = |dir: &str| {
        let dir = data.join(dir);
        disk_bytes(&dir).map_err(Error::io("look into", &dir))
    };
    let (disk, journal) = (bytes("store")? + bytes("images")?, bytes("journal")?);
    report::progress("starting on it, and on nothing");
    let asleep = served_rss(helper, &data)?;
    let empty = served_rss(helper, &scratch.path().join("empty"))?;
    let each = |bytes: u64| bytes as f64 / entities as f64;
    Ok(Figures {
        disk_by_payload: disk as f64 / payload_bytes as f64,
        disk_bytes: each(disk),
        payload_bytes: each(payload_bytes),
        sleeping_bytes: each(asleep.saturating_sub(empty)),
        journal_bytes_per_event: journal as f64 / plan.events as f64,
        entities: entities as f64,
    })
}

fn fill(plan: &Plan, scratch: &Path, data: &Path) -> Result<(), Error> {
    let Plan { events, users, .. } = *plan;
    report::progress(&format!("taking {events} events in"));
    let files = Files::write(scratch, feed::Plan { events, users, partitions: 2 })?;
    let plan = engine::Plan { events, users, workers: cores(), partitions: 2, data: None };
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("start threads in", data))?;
    runtime.block_on(Box::pin(engine::drive(&plan, &files, data)))?;
    Ok(())
}

/// What the files below take up.
fn disk_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            entry.metadata()?.blocks() * BLOCK_BYTES
        };
    }
    Ok(bytes)
}

/// The memory of a server that is ready and was asked nothing else.
fn served_rss(helper: &Helper, data: &Path) -> Result<u64, Error> {
    let serving = Killed::serve(helper, data)?;
    serving.until_ready()?;
    let rss = usage::rss_bytes_of(serving.id());
    rss.ok_or_else(|| Error::Engine("resident memory is not known here".to_owned()))
}
