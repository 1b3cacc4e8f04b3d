//! Checking a data directory at rest: every frame and image reads, positions have no gap, and every
//! row is what a plain fold of its records gives.
//!
//! It opens the directory as a start does (a torn tail is cut), and starts nothing. The fold is a
//! [`Life`] that has no rest to wake from: it applies the entity's records up to the row's own
//! position, and is then compared with what the store has. A row that begins before the journal's
//! floor can't be folded; it is counted, and its image's checksums have to do.
//!
//! What is *not* here: repair. Invariant: nothing that differs is passed over, and at most
//! [`FAULTS_MAX`] are described.

use super::open::{self, Error};
use crate::kinds::Kinds;
use crate::life::{self, Again, Around, Life, Rest};
use crate::options::Options;
use crate::pending::Pending;
use actors::{Address, Effects, Kind, Position, Timestamp};
use state::disk::Disk;
use state::frame::Record;
use state::row::{Row, key};
use state::{journal, store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many faults are described; the rest is counted.
const FAULTS_MAX: usize = 100;
/// How much of the journal is read at once, in bytes.
const READ_BYTES: usize = 4 << 20;
/// How many rows are looked at at once.
const SCAN_ROWS: usize = 1_000;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Frames read.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// The first position there is.
    pub first: Position,
    /// The journal's end.
    pub end: Position,
    /// Rows that equal the fold of their records.
    pub rows: u64,
    /// Rows that begin before the journal's floor, and so could not be folded.
    pub rows_below_floor: u64,
    /// What is wrong, and where; at most [`FAULTS_MAX`] of it.
    pub faults: Vec<String>,
    /// How many faults there are.
    pub fault_count: u64,
}

impl Report {
    fn fault(&mut self, what: String) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(what);
        }
    }
}

/// Checks the data directory that `options` names.
///
/// # Errors
/// It cannot be opened at all: held, newer, or damaged in a way that no start would accept.
pub fn verify(
    kinds: &'static [Kind],
    options: Options,
    disk: Arc<dyn Disk>,
) -> Result<Report, Error> {
    let kinds = Kinds::new(kinds);
    let parts = open::open(kinds, Options { sinks: false, ..options }, disk)?;
    let journal = parts.journal.reader();
    let shards = parts.store.shards();
    let mut check = Check {
        kinds,
        store: parts.store.reader(),
        replay_from: (0..shards).map(|shard| parts.store.replay_from(shard)).collect(),
        pending: (0..shards).map(|_| Pending::default()).collect(),
        judged: parts.journal.origins().verdicts().collect(),
        entities: BTreeMap::new(),
        fx: Effects::new(Timestamp(0), 0),
        report: Report { first: journal.first(), end: journal.durable(), ..Report::default() },
        journal,
    };
    for shard in 0..shards {
        if let Err(error) = check.store.verify(shard) {
            check.report.fault(format!("shard {shard}: {error}"));
        }
    }
    check.read_journal();
    check.compare_all();
    for shard in 0..shards {
        check.look_for_others(shard);
    }
    Ok(check.report)
}

/// An entity that a record is addressed to.
enum Folded {
    /// It has a row: the fold of its records so far, and the position up to which the row has them.
    Row { life: Box<Life>, until: Position, shard: u16 },
    /// It has none, or one that cannot be compared.
    Not,
}

struct Check {
    kinds: Kinds,
    journal: journal::Reader,
    store: store::Reader,
    replay_from: Vec<Position>,
    pending: Vec<Pending>,
    judged: BTreeSet<Position>,
    entities: BTreeMap<Address, Folded>,
    fx: Effects,
    report: Report,
}

/// Nothing is at rest: every fold begins at its first record.
struct Nothing;

impl Rest for Nothing {
    fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, life::Error> {
        Ok(None)
    }
}

impl Check {
    /// Reads every frame, and folds every record into its entity.
    fn read_journal(&mut self) {
        let mut next = self.report.first;
        while next < self.report.end {
            let frames = match self.journal.read(next, READ_BYTES) {
                Ok(frames) => frames,
                Err(error) => {
                    self.report.fault(format!("the journal at position {next}: {error}"));
                    return;
                }
            };
            for frame in frames {
                if frame.base() != next {
                    let base = frame.base();
                    self.report.fault(format!("the journal has a gap from {next} to {base}"));
                }
                self.report.frames += 1;
                for record in frame.records() {
                    self.report.records += 1;
                    if !record.key.is_empty() {
                        self.fold(&record);
                    }
                }
                next = frame.end();
            }
        }
    }

    fn fold(&mut self, record: &Record<'_>) {
        let address = Address::new(record.kind, record.key);
        if !self.entities.contains_key(&address) {
            let folded = self.meet(&address, record.position);
            self.entities.insert(address.clone(), folded);
        }
        let Some(Folded::Row { life, until, shard }) = self.entities.get_mut(&address) else {
            return;
        };
        if record.position >= *until {
            if record.position < self.replay_from[usize::from(*shard)] {
                let (kind, position) = (address.kind.0, record.position);
                let who = format!("record {position} of kind {kind} {}", address.key);
                self.report.fault(format!("{who} is neither in its row nor replayed at a start"));
            }
            return;
        }
        let mut caused = Vec::new();
        let mut around = Around {
            kinds: &self.kinds,
            rest: &Nothing,
            judged: &self.judged,
            pending: &mut self.pending[usize::from(*shard)],
            fx: &mut self.fx,
            caused: &mut caused,
        };
        let journal = &self.journal;
        let mut again = |position| read_again(journal, position);
        if let Err(error) = life.apply(record, &mut around, &mut again) {
            let (key, position) = (&address.key, record.position);
            self.report.fault(format!("record {position} of {key} cannot be folded: {error}"));
            self.entities.insert(address, Folded::Not);
        }
    }

    /// What a record's entity is, seen for the first time.
    fn meet(&mut self, address: &Address, position: Position) -> Folded {
        let shards = u16::try_from(self.pending.len()).expect("as many as the directory says");
        let shard = crate::floor::shard_of(address.hash(), shards);
        let stored = self.store.get(shard, &key::row(address.kind, &address.key));
        let who = format!("{} of kind {}", address.key, address.kind.0);
        let bytes = match stored {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                if position < self.replay_from[usize::from(shard)] {
                    self.report.fault(format!("{who} has no row, and a start replays none of it"));
                }
                return Folded::Not;
            }
            Err(error) => {
                self.report.fault(format!("the row of {who} cannot be read: {error}"));
                return Folded::Not;
            }
        };
        match (Row::decode(&bytes), Life::new(address.clone(), &self.kinds)) {
            (Ok(row), _) if row.created < self.report.first => {
                self.report.rows_below_floor += 1;
                Folded::Not
            }
            (Ok(row), Ok(life)) => Folded::Row { life: Box::new(life), until: row.position, shard },
            (Err(error), _) => {
                self.report.fault(format!("the row of {who} does not decode: {error}"));
                Folded::Not
            }
            (_, Err(error)) => {
                self.report.fault(format!("{who} cannot be folded: {error}"));
                Folded::Not
            }
        }
    }

    /// Compares every fold with what is stored of its entity.
    fn compare_all(&mut self) {
        for (address, folded) in std::mem::take(&mut self.entities) {
            let Folded::Row { mut life, shard, .. } = folded else { continue };
            let write = life.save(&self.pending[usize::from(shard)]);
            let mut differs = None;
            for (nth, (key, value)) in write.entries.iter().enumerate() {
                match self.store.get(shard, key) {
                    Ok(stored) if stored == *value => {}
                    Ok(_) if nth == 0 => differs = Some("row is not the fold of its records"),
                    Ok(_) => differs = Some("pages, tags or timers are not those of its records"),
                    Err(_) => differs = Some("stored entries cannot be read"),
                }
            }
            match differs {
                None => self.report.rows += 1,
                Some(how) => {
                    let (kind, key) = (address.kind.0, &address.key);
                    self.report.fault(format!("{key} of kind {kind}, shard {shard}: its {how}"));
                }
            }
        }
    }

    /// Rows to which the journal has told nothing: all of them must be from before its floor.
    fn look_for_others(&mut self, shard: u16) {
        let kinds: Vec<_> = self.kinds.all().map(|(id, _)| id).collect();
        for kind in kinds {
            let prefix = key::row_prefix(kind, "");
            let end = key::prefix_end(&prefix);
            let mut from = prefix;
            loop {
                let found = match self.store.scan(shard, &from, end.as_deref(), SCAN_ROWS) {
                    Ok(found) => found,
                    Err(error) => return self.report.fault(format!("shard {shard}: {error}")),
                };
                for (stored, bytes) in &found {
                    let created = Row::decode(bytes).map_or(Position::MAX, |row| row.created);
                    if created >= self.report.end {
                        let name = key::parse_row(stored).map_or("?", |(_, name)| name);
                        self.report
                            .fault(format!("{name}, shard {shard}: a row ahead of the journal"));
                    }
                }
                let Some((last, _)) = found.last() else { break };
                from.clone_from(last);
                from.push(0);
            }
        }
    }
}

fn read_again(journal: &journal::Reader, position: Position) -> Result<Again, life::Error> {
    let unreadable = |why: String| life::Error::Record { position, why };
    let found = journal.record(position).map_err(|error| unreadable(error.to_string()))?;
    let (frame, index) = found.ok_or_else(|| unreadable("it is not there".to_owned()))?;
    let record = frame.record(index);
    let payload = record.payload.to_vec();
    Ok(Again { position, time: record.time, tag: record.tag, payload })
}
