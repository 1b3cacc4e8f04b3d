//! One pass over some shards: first where each row stands, then the folds up to there, then entry
//! by entry what is stored against what should be.
//!
//! What is *not* here: folding itself, and reading the journal.

use super::fold::{Expected, Fold};
use crate::engine::SHARDS;
use crate::floor::shard_of;
use crate::kinds::Kinds;
use actors::{Address, Effects, KindId, Position, Timestamp, address_hash};
use hashbrown::HashTable;
use state::frame::Record;
use state::row::key::{self, space};
use state::row::{Row, Trail};
use state::store::Reader;
use std::collections::{BTreeMap, BTreeSet};

/// So many entries are read from the store at once.
const SCAN_ENTRIES: usize = 1_000;

/// A shard of the pass.
#[derive(Clone, Copy)]
pub(super) struct Shard {
    pub(super) number: u16,
    pub(super) replay_from: Position,
}

/// What was compared.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) entities: u64,
    pub(super) entries: u64,
    pub(super) not_compared: u64,
}

/// Some shards, and all entities on them.
pub(super) struct Pass<'a> {
    kinds: Kinds,
    judged: &'a BTreeSet<Position>,
    /// Where the journal begins and ends.
    first: Position,
    end: Position,
    ceiling: Position,
    shards: BTreeMap<u16, (Shard, HashTable<Slot>)>,
    /// Entities without a row that should have one: told once.
    missing: BTreeSet<Address>,
    fx: Effects,
    counts: Counts,
}

/// An entity with a row.
struct Slot {
    hash: u64,
    address: Address,
    /// The row has applied everything below.
    position: Position,
    what: Stage,
    /// Full trail pages that were met.
    trail_pages: BTreeMap<u32, Vec<u8>>,
    /// Whether something was found wrong with it: one line for each entity is enough.
    told: bool,
}

enum Stage {
    /// It is not compared.
    Skipped,
    Folding(Fold),
    Comparing(Expected),
}

type Findings = Vec<String>;

impl<'a> Pass<'a> {
    pub(super) fn new(
        kinds: Kinds,
        judged: &'a BTreeSet<Position>,
        (first, end): (Position, Position),
        ceiling: Position,
    ) -> Self {
        let (shards, fx) = (BTreeMap::new(), Effects::new(Timestamp(0), 0));
        let counts = Counts::default();
        let missing = BTreeSet::new();
        Self { kinds, judged, first, end, ceiling, shards, missing, fx, counts }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// The shards that could be read so far.
    pub(super) fn shards(&self) -> Vec<u16> {
        self.shards.keys().copied().collect()
    }

    fn name(&self, kind: KindId, key: &str) -> String {
        format!("{}/{key}", self.kinds.get(kind).map_or("unknown", |kind| kind.name))
    }

    /// Reads where every row of a shard stands.
    pub(super) fn read_rows(
        &mut self,
        shard: &Shard,
        store: &Reader,
        findings: &mut Findings,
    ) -> Result<(), String> {
        let mut slots = HashTable::new();
        let rows = (vec![space::ROW], key::prefix_end(&[space::ROW]));
        scan(store, shard.number, rows, &mut |stored, value| match self.slot_of(
            shard.number,
            stored,
            value,
        ) {
            Ok(slot) => {
                slots.insert_unique(slot.hash, slot, |slot| slot.hash);
            }
            Err(why) => findings.push(format!("shard {}: {why}", shard.number)),
        })?;
        self.shards.insert(shard.number, (*shard, slots));
        Ok(())
    }

    fn slot_of(&mut self, shard: u16, stored: &[u8], value: &[u8]) -> Result<Slot, String> {
        let (kind, name) = key::parse_row(stored).map_err(|error| error.to_string())?;
        let (address, called) = (Address::new(kind, name), self.name(kind, name));
        let row = Row::decode(value).map_err(|error| format!("{called}: {error}"))?;
        let known = self.kinds.get(kind).ok_or_else(|| format!("{called}: no such kind"))?;
        let hash = address.hash();
        let (position, end, ceiling) = (row.position, self.end, self.ceiling);
        if shard_of(hash, SHARDS) != shard {
            return Err(format!("{called} does not belong to this shard"));
        }
        if position > end.min(ceiling) {
            return Err(format!(
                "{called}: the row stands at {position}, ahead of the journal's end {end} or the \
                 ceiling {ceiling}"
            ));
        }
        let comparable = row.created >= self.first && row.kind_version == known.version;
        let what = if comparable { Stage::Folding(Fold::new(known)) } else { Stage::Skipped };
        Ok(Slot { hash, address, position, what, trail_pages: BTreeMap::new(), told: false })
    }

    /// A record of the journal: folded in if its row has it.
    pub(super) fn record(&mut self, record: &Record<'_>, findings: &mut Findings) {
        if record.key.is_empty() {
            return;
        }
        let hash = address_hash(record.kind, record.key);
        let Some((shard, slots)) = self.shards.get_mut(&shard_of(hash, SHARDS)) else { return };
        let slot = slots.find_mut(hash, |slot| slot.is(record.kind, record.key));
        match slot {
            Some(slot) if record.position < slot.position => {
                if let Stage::Folding(fold) = &mut slot.what {
                    fold.apply(record, self.judged.contains(&record.position), &mut self.fx);
                }
            }
            slot if record.position < shard.replay_from => {
                let from = shard.replay_from;
                let (has, told) = if let Some(slot) = slot {
                    ("its row", std::mem::replace(&mut slot.told, true))
                } else {
                    let address = Address::new(record.kind, record.key);
                    ("the store", !self.missing.insert(address))
                };
                if !told {
                    let (name, position) = (self.name(record.kind, record.key), record.position);
                    findings.push(format!(
                        "{name}: {has} does not have record {position}, and replay begins at {from}"
                    ));
                }
            }
            _ => {}
        }
    }

    /// Compares what is stored of a shard with what should be.
    pub(super) fn compare(
        &mut self,
        shard: u16,
        store: &Reader,
        findings: &mut Findings,
    ) -> Result<(), String> {
        let (_, mut slots) = self.shards.remove(&shard).expect("a shard of this pass");
        for slot in &mut slots {
            self.finish(slot, findings);
        }
        scan(store, shard, (Vec::new(), None), &mut |stored, value| {
            self.counts.entries += u64::from(stored.first() != Some(&space::ROW));
            if let Err(why) = self.entry(&mut slots, stored, value) {
                findings.push(why);
            }
        })?;
        for slot in slots.iter().filter(|slot| !slot.told) {
            if let Stage::Comparing(Expected { entries, .. }) = &slot.what
                && let Some((missing, _)) = entries.first_key_value()
            {
                let name = self.name(slot.address.kind, &slot.address.key);
                let what = what_of(missing);
                let more = entries.len() - 1;
                findings.push(format!("{name}: {what} is missing, and {more} more entries"));
            }
        }
        Ok(())
    }

    /// The fold is done.
    fn finish(&mut self, slot: &mut Slot, findings: &mut Findings) {
        let Stage::Folding(fold) = std::mem::replace(&mut slot.what, Stage::Skipped) else {
            self.counts.not_compared += 1;
            return;
        };
        self.counts.entities += 1;
        let name = self.name(slot.address.kind, &slot.address.key);
        let (position, next) = (slot.position, fold.next());
        let wrong = if fold.first.is_none() {
            Some("it has a row, and no record of the journal is addressed to it".to_owned())
        } else if next != position {
            Some(format!("its row stands at {position}, its last record below is {}", next - 1))
        } else {
            fold.fault.clone()
        };
        match wrong {
            Some(wrong) => {
                findings.push(format!("{name}: {wrong}"));
                slot.told = true;
            }
            None => slot.what = Stage::Comparing(fold.expected(&slot.address)),
        }
    }

    /// One stored entry.
    fn entry(
        &self,
        slots: &mut HashTable<Slot>,
        stored: &[u8],
        value: &[u8],
    ) -> Result<(), String> {
        let owner = owner_of(stored).map_err(|error| format!("{}: {error}", what_of(stored)))?;
        let (kind, key) = (owner.kind, owner.key.as_str());
        let name = self.name(kind, key);
        let hash = owner.hash();
        let Some(slot) = slots.find_mut(hash, |slot| slot.is(kind, key)) else {
            // A row that does not decode was found before.
            let is_row = stored.first() == Some(&space::ROW);
            let stray = || format!("{name}: {} stands without a row", what_of(stored));
            return if is_row { Ok(()) } else { Err(stray()) };
        };
        let Stage::Comparing(expected) = &mut slot.what else { return Ok(()) };
        let compared = match stored.first() {
            Some(&space::TRAIL) => {
                let number = key::parse_numbered(stored, space::TRAIL).map(|(_, _, number)| number);
                let number = number.map_err(|error| error.to_string())?;
                slot.trail_pages.insert(number, value.to_vec());
                Ok(())
            }
            Some(&space::ROW) => compare_row(expected, &slot.trail_pages, &slot.address, value),
            _ => strike(expected, stored, value),
        };
        compared.map_err(|why| {
            slot.what = Stage::Skipped;
            slot.told = true;
            format!("{name}: {why}")
        })
    }
}

impl Slot {
    fn is(&self, kind: KindId, key: &str) -> bool {
        self.address.kind == kind && self.address.key == key
    }
}

/// An entry that should be there, as it is.
fn strike(expected: &mut Expected, stored: &[u8], value: &[u8]) -> Result<(), String> {
    match expected.entries.remove(stored) {
        Some(should) if should == value => Ok(()),
        Some(_) => Err(format!("{} is not what its records say", what_of(stored))),
        None => Err(format!("{} does not follow from its records", what_of(stored))),
    }
}

fn compare_row(
    expected: &mut Expected,
    trail_pages: &BTreeMap<u32, Vec<u8>>,
    address: &Address,
    value: &[u8],
) -> Result<(), String> {
    let row = Row::decode(value).map_err(|error| error.to_string())?;
    if row.head != expected.head {
        return Err(format!("the row at {} is not the fold of its records", row.position));
    }
    if let Some((number, bytes)) = row.page {
        strike(expected, &key::page(address.kind, &address.key, number), bytes)?;
    }
    let first = expected.trail.iter().next();
    if first != Some(row.created) {
        return Err(format!("its row says that it began at {}, not {first:?}", row.created));
    }
    let numbered = trail_pages.keys().copied().eq(0..row.trail_pages);
    let mut positions = Vec::new();
    for bytes in trail_pages.values().map(Vec::as_slice).chain([row.trail]) {
        let trail = Trail::decode(bytes).map_err(|error| error.to_string())?;
        positions.extend(trail.iter());
    }
    if numbered && positions.into_iter().eq(expected.trail.iter()) {
        Ok(())
    } else {
        Err("its trail does not hold the positions of its records".to_owned())
    }
}

/// Whose entry it is.
pub(crate) fn owner_of(stored: &[u8]) -> Result<Address, state::row::Error> {
    let (kind, key) = match stored.first() {
        Some(&space::TAG) => key::parse_tag(stored).map(|(_, kind, key)| (kind, key))?,
        Some(&space::PENDING) => key::parse_pending(stored).map(|entry| (entry.kind, entry.key))?,
        Some(&numbered @ (space::PAGE | space::TRAIL | space::ANSWERS)) => {
            key::parse_numbered(stored, numbered).map(|(kind, key, _)| (kind, key))?
        }
        _ => key::parse_row(stored)?,
    };
    Ok(Address::new(kind, key))
}

/// What an entry is, in words.
fn what_of(stored: &[u8]) -> String {
    match stored.first() {
        Some(&space::ROW) => "the row".to_owned(),
        Some(&space::TAG) => match key::parse_tag(stored) {
            Ok((word, ..)) => format!("tag {word}"),
            Err(_) => "a tag".to_owned(),
        },
        Some(&space::PENDING) => match key::parse_pending(stored) {
            Ok(entry) => format!("pending entry {}", entry.id),
            Err(_) => "a pending entry".to_owned(),
        },
        Some(&numbered) => {
            let what = match numbered {
                space::PAGE => "page",
                space::TRAIL => "trail page",
                space::ANSWERS => "answers page",
                _ => "entry of unknown sort",
            };
            match key::parse_numbered(stored, numbered) {
                Ok((.., number)) => format!("{what} {number}"),
                Err(_) => what.to_owned(),
            }
        }
        None => "an entry without a key".to_owned(),
    }
}

/// Shows every entry of a shard from one key on, below another.
fn scan(
    store: &Reader,
    shard: u16,
    (mut from, to): (Vec<u8>, Option<Vec<u8>>),
    show: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<(), String> {
    loop {
        let found = store.scan(shard, &from, to.as_deref(), SCAN_ENTRIES);
        let found = found.map_err(|error| error.to_string())?;
        for (key, value) in &found {
            show(key, value);
        }
        match found.into_iter().nth(SCAN_ENTRIES - 1) {
            None => return Ok(()),
            Some((last, _)) => from = last,
        }
        from.push(0);
    }
}
