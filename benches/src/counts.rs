//! The hot paths, each so often and no more: for a tool that counts instructions from outside.
//!
//! Instructions hardly depend on what else the machine does, so they can be compared with what
//! stands in `baseline.json`; `scripts/counts` does. Everything is the same each time, made from
//! the benches' one campus. What is *not* here: how long anything takes (the criterion benches).

use crate::feed::{self, Files};
use crate::scratch::Scratch;
use crate::tells::Tells;
use crate::{Error, engine};
use actors::{DomainEvent, Effects, KINDS, KindId, Mind, Stop, Timestamp};
use state::disk::RealDisk;
use state::frame::{Draft, Mark, RecordHead, Way};
use state::journal::{Journal, Options};
use state::row::{Row, Trail};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

/// Times each is done.
const EVENTS: u64 = 20_000;
const FOLDS: usize = 40;
const FRAMES: usize = 100;
const ROWS: usize = 50_000;

/// Groups of a frame, as a partition consumer makes them.
const GROUPS: u64 = 512;

/// People of the campus.
const USERS: u64 = 1_000;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// What a process takes that has nothing to do, to be subtracted from all others.
    Nothing,
    /// An event decoded, and every kind asked whom it concerns.
    Decode,
    /// Records folded into a mind of each kind.
    Fold,
    /// Frames appended and committed.
    Journal,
    /// Rows encoded and decoded.
    Row,
    /// The whole engine, from partition consumer to checkpoint.
    Engine,
}

/// Does it.
///
/// # Errors
/// The disk or the engine fails.
pub fn run(what: What, data: Option<&Path>) -> Result<(), Error> {
    let scratch = Scratch::new(data)?;
    match what {
        What::Nothing => Ok(()),
        What::Decode => {
            for text in &events(EVENTS) {
                black_box(heard(text)?);
            }
            Ok(())
        }
        What::Fold => fold(),
        What::Journal => journal(scratch.path()),
        What::Row => {
            rows();
            Ok(())
        }
        What::Engine => whole(scratch.path()),
    }
}

fn events(count: u64) -> Vec<Vec<u8>> {
    let mut campus = feed::campus(USERS, 0, 1);
    let event = |number| {
        let mut text = Vec::new();
        campus.write(number, &mut text);
        text
    };
    (0..count).map(event).collect()
}

fn heard(text: &[u8]) -> Result<Tells, Error> {
    let event = DomainEvent::parse(text, Timestamp(0)).map_err(Error::engine)?;
    let (mut tells, mut scratch) = (Tells::default(), Vec::new());
    for (id, kind) in (0..).map(KindId).zip(KINDS) {
        kind.hear(id, &event, &mut tells, &mut scratch).map_err(Error::engine)?;
    }
    Ok(tells)
}

/// What one campus tells entities of each kind, folded into one mind of it, again and again.
fn fold() -> Result<(), Error> {
    let mut payloads: Vec<Vec<Vec<u8>>> = KINDS.iter().map(|_| Vec::new()).collect();
    for text in &events(1_024) {
        for (kind, _, payload) in heard(text)?.iter() {
            payloads[usize::from(kind.0)].push(payload.to_vec());
        }
    }
    let mut fx = Effects::new(Timestamp(0), 0);
    for (kind, payloads) in KINDS.iter().zip(&payloads) {
        for _ in 0..FOLDS {
            let mut mind = kind.wake(None).map_err(Error::engine)?;
            for (position, payload) in (0..).zip(payloads) {
                fx.reset(Timestamp(1_767_600_000_000), position);
                apply(&mut *mind, payload, &mut fx)?;
            }
            black_box(mind);
        }
    }
    Ok(())
}

fn apply(mind: &mut dyn Mind, payload: &[u8], fx: &mut Effects) -> Result<(), Error> {
    loop {
        match mind.apply(payload, fx) {
            Ok(outcome) => {
                black_box(outcome);
                return Ok(());
            }
            Err(Stop::NeedsPage(page)) => mind.give_page(page, None).map_err(Error::engine)?,
            Err(Stop::Undecodable(why)) => return Err(Error::Engine(why)),
        }
    }
}

/// A frame as a partition consumer makes it: events, and what each told two entities.
pub(crate) fn draft(groups: u64) -> Draft {
    let mut draft = Draft::new(Way::engine());
    for number in 0..groups {
        draft.begin_group(Mark::None);
        let key = format!("u-{number:06}");
        let head = |tag, kind| RecordHead { tag, kind: KindId(kind), depth: 0 };
        draft.push(head(0, 0), "", &[b'e'; 290]);
        draft.push(head(1, 0), &key, &[1; 30]);
        draft.push(head(1, 2), "course-001", &[2; 12]);
    }
    draft
}

/// An empty journal.
pub(crate) fn open_journal(dir: &Path) -> Result<Journal, Error> {
    let opened = Journal::open(Arc::new(RealDisk), dir, Options::new([7; 16]), &[]);
    Ok(opened.map_err(Error::engine)?.0)
}

fn journal(dir: &Path) -> Result<(), Error> {
    let (mut journal, draft) = (open_journal(dir)?, draft(GROUPS));
    for _ in 0..FRAMES {
        let receipt = journal.append(&draft, Timestamp(1_767_600_000_000));
        black_box(receipt.map_err(Error::engine)?);
        journal.commit().map_err(Error::engine)?;
    }
    Ok(())
}

fn rows() {
    let mut trail = Trail::default();
    for record in 0..40 {
        trail.push(record * 5_000);
    }
    let (head, page) = ([1; 24], [2; 900]);
    let row = Row {
        kind_version: 1,
        position: 4_000_000,
        created: 1_000,
        head: &head,
        page: Some((3, &page)),
        trail_pages: 0,
        trail: trail.bytes(),
    };
    let mut bytes = Vec::new();
    for _ in 0..ROWS {
        bytes.clear();
        black_box(&row).encode_into(&mut bytes);
        let row = Row::decode(black_box(&bytes)).expect("it was encoded above");
        black_box(Trail::decode(row.trail).expect("and so was its trail"));
    }
}

fn whole(dir: &Path) -> Result<(), Error> {
    let (events, users) = (EVENTS / 2, USERS);
    let files = Files::write(dir, feed::Plan { events, users, partitions: 1 })?;
    let plan = engine::Plan { events, users, workers: 1, partitions: 1, data: None };
    let data = dir.join("data");
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("start threads in", &data))?;
    runtime.block_on(Box::pin(engine::drive(&plan, &files, &data))).map(drop)
}
