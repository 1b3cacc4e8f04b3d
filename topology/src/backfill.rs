//! A kind that was added later hears the whole history, on a directory at rest.
//!
//! 1. The directory is marked: which kind, and where its history ends. From now on it is not
//!    served.
//! 2. The journal is folded anew by the engine's own core into a store that is thrown away, to know
//!    what other entities would have told the new kind's; and every domain event is heard on behalf
//!    of the new kind. All of it is appended, in the order of what caused it, by a way of its own
//!    that is numbered by cause: what is appended twice is dropped.
//! 3. The new kind is added to the directory, and the mark goes. The next start folds what was
//!    appended; what the new entities want delivered or published then is dropped (`life`).
//!
//! Killed anywhere, it is run again. What is *not* here: a directory that is served meanwhile.
//!
//! The invariant: before the mark has gone nobody reads the new kind, and it hears nothing live.

use crate::engine::SHARDS;
use crate::floor::DEPTH_MAX;
use crate::hear::{Hearer, parse_own};
use crate::kinds::Kinds;
use crate::life::{Caused, CausedWhat};
use crate::record::{put_effect_id, tag};
use crate::replay::{self, Batch, Drive, open_kv, store_options};
use crate::verify::Scratch;
use crate::writer::wall_clock;
use actors::{DomainEvent, Effect, EffectId, Key, Kind, KindId, Position};
use state::directory::{Backfill, Identity, JournalId, Layout, Lock};
use state::disk::{Disk, ReadOnlyDisk, RealDisk};
use state::frame::{Draft, Frame, Group, Mark, Record, RecordHead, Way, WayKind};
use state::journal::{self, Journal};
use state::store::{Store, rest};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A draft longer than this is followed by another, in bytes.
const DRAFT_BYTES_MAX: usize = 1 << 20;

/// Why there is no backfill.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This program has no such kind.
    #[error("this program has no kind {0}")]
    NoKind(String),
    /// The directory has it already.
    #[error(
        "the directory knows {0} already: the history can only be told to a kind before anything \
         else is"
    )]
    Known(String),
    /// Another one has to be told first.
    #[error("{0} comes first: run its backfill")]
    OtherFirst(String),
    /// It is a replay.
    #[error("{} is a replay, and only to be looked at", .0.display())]
    IsReplay(PathBuf),
    /// The journal takes nothing more.
    #[error("could not journal what the history tells: {0}")]
    Append(#[from] journal::AppendError),
    /// What a replay needs too is not as it should be.
    #[error(transparent)]
    Fold(#[from] replay::Error),
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The history ends here.
    pub end: Position,
    /// So many records told the new kind's entities something, now or before it was killed.
    pub told: u64,
}

/// Who is told how it goes: so many records of so many were read.
pub type Watch<'a> = dyn FnMut(u64, u64) + 'a;

/// Tells the whole history to the kind of this name.
///
/// # Errors
/// The kind cannot be told it, the directory is not what it should be, or a disk fails.
pub fn backfill(
    table: &'static [Kind],
    (name, data): (&str, &Path),
    scratch: &Path,
    watch: &mut Watch<'_>,
) -> Result<Report, Error> {
    let kinds = Kinds::new(table);
    let names: Vec<&str> = table.iter().map(|kind| kind.name).collect();
    let kind = names.iter().position(|known| *known == name);
    let kind = kind.ok_or_else(|| Error::NoKind(name.to_owned()))?;
    let layout = Layout { shards: u32::from(SHARDS), kinds: &names };
    let check = || Identity::check(&ReadOnlyDisk, data, &layout).map_err(replay::Error::from);
    let none = || replay::Error::NoDirectory(data.to_owned());
    check()?.ok_or_else(none)?;
    let _lock = Lock::take(data).map_err(replay::Error::from)?;
    let identity = check()?.ok_or_else(none)?;
    let known = Identity::kinds(&ReadOnlyDisk, data).map_err(replay::Error::from)?.len();
    if identity.is_replay {
        return Err(Error::IsReplay(data.to_owned()));
    }
    if kind < known {
        return Err(Error::Known(name.to_owned()));
    }
    if kind > known {
        return Err(Error::OtherFirst(names[known].to_owned()));
    }
    let scratch = Scratch::make(scratch).map_err(replay::Error::from)?;
    let mut journal = open(data, scratch.path(), identity.journal)?;
    let identity = if identity.backfill.is_some() {
        identity
    } else {
        let backfill = Backfill { kind: name.to_owned(), until: journal.durable() };
        let marked = identity.begin_backfill(&RealDisk, data, backfill);
        marked.map_err(replay::Error::from)?
    };
    let until = identity.backfill.as_ref().map_or(0, |backfill| backfill.until);
    let mut tell = Tell::new(kinds, (kind, name), identity.journal);
    let mut drive = drive(kinds, scratch.path(), &journal, until)?;
    while let Some(batch) = drive.step()? {
        tell.batch(&batch, &mut journal)?;
        watch(batch.end, until);
    }
    tell.flush(&mut journal)?;
    journal.seal(wall_clock())?;
    journal.save_origins().map_err(replay::Error::from)?;
    identity.end_backfill(&RealDisk, data).map_err(replay::Error::from)?;
    Ok(Report { end: until, told: tell.told })
}

/// Opens the journal for writing; the store says how far it must reach.
fn open(data: &Path, scratch: &Path, JournalId(uuid): JournalId) -> Result<Journal, Error> {
    let disk: Arc<dyn Disk> = Arc::new(ReadOnlyDisk);
    let place = rest::Place { disk, dir: data, scratch, open_kv: open_kv() };
    let looked = rest::look(&place, &store_options(), uuid).map_err(replay::Error::from)?;
    let ceiling = looked.store.as_ref().map_or(0, rest::AtRest::ceiling);
    let vouchers = [("the store's ceiling".to_owned(), ceiling)];
    let options = journal::Options::new(uuid);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let opened = Journal::open(disk, &data.join("journal"), options, &vouchers);
    let (journal, _) = opened.map_err(replay::Error::from)?;
    match journal.reader().first() {
        0 => Ok(journal),
        first => Err(replay::Error::NoBeginning(first).into()),
    }
}

/// The core over the history, with a store that is thrown away.
fn drive(
    kinds: Kinds,
    scratch: &Path,
    journal: &Journal,
    until: Position,
) -> Result<Drive, replay::Error> {
    let dir = scratch.join("folded");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (store, _) = Store::open(disk, &dir, &open_kv(), store_options(), journal.uuid())?;
    let judged = journal.origins().verdicts().collect();
    Drive::open(kinds, (journal.reader(), until), store, judged)
}

/// What an event or an entity tells: by what it is known, to whom, and what.
type Told = (EffectId, Vec<(Key, Vec<u8>)>);

/// Tells the new kind's entities.
struct Tell {
    hearer: Hearer,
    kind: KindId,
    name: String,
    source: String,
    draft: Draft,
    payload: Vec<u8>,
    told: u64,
}

impl Tell {
    fn new(kinds: Kinds, (kind, name): (usize, &str), journal: JournalId) -> Self {
        let mut draft = Draft::new(Way::new(WayKind::Shard, &format!("backfill:{name}")));
        draft.urgent = true;
        Self {
            hearer: Hearer::new(kinds),
            kind: KindId(u8::try_from(kind).expect("a table has at most 254 kinds")),
            name: name.to_owned(),
            source: format!("/bellwether/{journal}"),
            draft,
            payload: Vec::new(),
            told: 0,
        }
    }

    fn batch(&mut self, batch: &Batch, journal: &mut Journal) -> Result<(), Error> {
        let mut all: Vec<Told> = Vec::new();
        for frame in &batch.frames {
            for group in frame.groups() {
                self.group(frame, group, &mut all);
            }
        }
        all.extend(batch.caused.iter().filter_map(|caused| self.sent(caused)));
        all.sort_by_key(|(id, _)| *id);
        for (id, told) in all {
            self.put(id, &told);
            if self.draft.bytes() >= DRAFT_BYTES_MAX {
                self.flush(journal)?;
            }
        }
        Ok(())
    }

    /// What the domain events of a group tell. One that opened a dead letter was heard by nobody.
    fn group(&mut self, frame: &Frame, group: Group, all: &mut Vec<Told>) {
        let letter = |r: &Record<'_>| r.tag == tag::HEARD && r.kind == KindId::DEAD_LETTER;
        if frame.slice(group.records.clone()).any(|record| letter(&record)) {
            return;
        }
        for record in frame.slice(group.records) {
            if !matches!(record.tag, tag::EVENT | tag::PUBLISHED) {
                continue;
            }
            let Ok(event) = DomainEvent::parse(record.payload, record.time) else { continue };
            let ours = event.source == self.source.as_str();
            let event = if ours { parse_own(record.payload, record.time) } else { Some(event) };
            let told = event.map(|event| self.hearer.told_to(&event, self.kind));
            let id = EffectId { cause: record.position, index: 0 };
            all.extend(told.filter(|told| !told.is_empty()).map(|told| (id, told)));
        }
    }

    /// What an entity sends to one of the new kind.
    fn sent(&self, caused: &Caused) -> Option<Told> {
        match &caused.what {
            CausedWhat::Effect(Effect::Send { kind, key, payload })
                if *kind == self.name && caused.depth < DEPTH_MAX =>
            {
                Some((caused.id, vec![(key.clone(), payload.clone())]))
            }
            _ => None,
        }
    }

    fn put(&mut self, id: EffectId, told: &[(Key, Vec<u8>)]) {
        self.draft.begin_group(Mark::Number { number: id.cause, index: id.index });
        self.payload.clear();
        put_effect_id(id, &mut self.payload);
        for (key, event) in told {
            let head = RecordHead { tag: tag::BACKFILLED, kind: self.kind, depth: 1 };
            self.draft.push_parts(head, key, &[&self.payload, event]);
            self.told += 1;
        }
    }

    fn flush(&mut self, journal: &mut Journal) -> Result<(), Error> {
        if self.draft.records() > 0 {
            journal.append(&self.draft, wall_clock())?;
            journal.commit().map_err(replay::Error::from)?;
            self.draft.clear();
        }
        Ok(())
    }
}
