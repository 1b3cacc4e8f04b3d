//! Two stores of one journal, entity by entity: who stands at the same position in both, and is not
//! the same.
//!
//! An entity is its row and everything beside it: pages, trail, answers, look-up words, pending
//! entries. One that stands at different positions is not compared, unless the other store says
//! that it has come so far. What is *not* here: why they differ.

use crate::kinds::Kinds;
use crate::verify::owner_of;
use actors::{Address, Position};
use state::row::Row;
use state::row::key::{self, space};
use state::store::{Reader, rest};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// So many entries are read from a store at once.
const SCAN_ENTRIES: usize = 1_000;

#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) compared: u64,
    pub(super) not_compared: u64,
    pub(super) differing: u64,
}

/// The stores.
pub(super) struct Compare<'a> {
    kinds: Kinds,
    theirs: &'a rest::AtRest,
    ours: Reader,
    end: Position,
    counts: Counts,
}

/// What was found of one shard.
#[derive(Default)]
struct Found {
    /// They stand at different positions.
    apart: BTreeSet<Address>,
    differing: BTreeSet<Address>,
}

type Bytes = Vec<u8>;

impl<'a> Compare<'a> {
    pub(super) fn new(
        kinds: Kinds,
        theirs: &'a rest::AtRest,
        (ours, end): (Reader, Position),
    ) -> Self {
        Self { kinds, theirs, ours, end, counts: Counts::default() }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Compares one shard, and tells who differs.
    pub(super) fn shard(&mut self, shard: u16, tell: &mut dyn FnMut(&str)) -> Result<(), String> {
        let mut found = Found::default();
        // The key-value store panics on some damage.
        let compared = AssertUnwindSafe(|| self.entries(shard, &mut found));
        catch_unwind(compared).map_err(|panic| crate::hear::panic_text(&*panic))??;
        self.counts.not_compared += found.apart.len() as u64;
        self.counts.differing += found.differing.len() as u64;
        for Address { kind, key } in &found.differing {
            tell(&format!("{}/{key}", self.kinds.get(*kind).map_or("unknown", |kind| kind.name)));
        }
        Ok(())
    }

    fn entries(&mut self, shard: u16, found: &mut Found) -> Result<(), String> {
        let replay_from = self.theirs.replay_from(shard);
        let rows = [space::ROW];
        let span = (&rows[..], key::prefix_end(&rows));
        let theirs = Entries::new(self.theirs.reader(), shard, span.clone());
        let ours = Entries::new(self.ours.clone(), shard, span);
        let (end, counts) = (self.end, &mut self.counts);
        merge(theirs, ours, &mut |stored, theirs, ours| {
            let owner = owner_of(stored).map_err(|error| error.to_string())?;
            if is_apart(theirs, ours, (replay_from, end))? {
                found.apart.insert(owner);
                return Ok(());
            }
            counts.compared += 1;
            if theirs != ours {
                found.differing.insert(owner);
            }
            Ok(())
        })?;
        let theirs = Entries::new(self.theirs.reader(), shard, (&[], None));
        let ours = Entries::new(self.ours.clone(), shard, (&[], None));
        merge(theirs, ours, &mut |stored, theirs, ours| {
            if theirs != ours {
                let owner = owner_of(stored).map_err(|error| error.to_string())?;
                if !found.apart.contains(&owner) {
                    found.differing.insert(owner);
                }
            }
            Ok(())
        })
    }
}

/// Whether two rows of an entity are of different times, and that is as it should be: their store
/// is not so far yet, or beyond our end.
fn is_apart(
    theirs: Option<&[u8]>,
    ours: Option<&[u8]>,
    (replay_from, end): (Position, Position),
) -> Result<bool, String> {
    let row = |bytes: Option<&[u8]>| {
        let position = |bytes| Row::decode(bytes).map(|row| (row.created, row.position));
        bytes.map(position).transpose().map_err(|error| error.to_string())
    };
    Ok(match (row(theirs)?, row(ours)?) {
        (Some((_, theirs)), Some((_, ours))) if theirs == ours => false,
        (Some((created, theirs)), _) if created >= end || theirs > end => true,
        (_, Some((_, ours))) => ours > replay_from,
        (_, None) => false,
    })
}

/// Whoever looks at an entry: its key, and its value in either store.
type Look<'a> = dyn FnMut(&[u8], Option<&[u8]>, Option<&[u8]>) -> Result<(), String> + 'a;

/// Goes through both in order of their keys.
fn merge(mut theirs: Entries, mut ours: Entries, look: &mut Look<'_>) -> Result<(), String> {
    let (mut a, mut b) = (theirs.next()?, ours.next()?);
    loop {
        let order = match (&a, &b) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let taken_a = if order.is_le() { std::mem::replace(&mut a, theirs.next()?) } else { None };
        let taken_b = if order.is_ge() { std::mem::replace(&mut b, ours.next()?) } else { None };
        let stored = taken_a.as_ref().or(taken_b.as_ref()).expect("one of them comes first");
        let value =
            |taken: &'_ Option<(Bytes, Bytes)>| taken.as_ref().map(|(_, value)| value.clone());
        look(&stored.0, value(&taken_a).as_deref(), value(&taken_b).as_deref())?;
    }
}

/// The entries of a shard, some at a time.
struct Entries {
    reader: Reader,
    shard: u16,
    from: Option<Bytes>,
    to: Option<Bytes>,
    read: std::vec::IntoIter<(Bytes, Bytes)>,
}

impl Entries {
    fn new(reader: Reader, shard: u16, (from, to): (&[u8], Option<Bytes>)) -> Self {
        Self { reader, shard, from: Some(from.to_vec()), to, read: Vec::new().into_iter() }
    }

    fn next(&mut self) -> Result<Option<(Bytes, Bytes)>, String> {
        if let Some(entry) = self.read.next() {
            return Ok(Some(entry));
        }
        let Some(from) = self.from.take() else { return Ok(None) };
        let found = self.reader.scan(self.shard, &from, self.to.as_deref(), SCAN_ENTRIES);
        let found = found.map_err(|error| error.to_string())?;
        self.from = (found.len() == SCAN_ENTRIES).then(|| {
            let mut last = found[SCAN_ENTRIES - 1].0.clone();
            last.push(0);
            last
        });
        self.read = found.into_iter();
        Ok(self.read.next())
    }
}
