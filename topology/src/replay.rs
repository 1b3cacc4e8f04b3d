//! A data directory built from another's journal, with nothing carried out: no delivery, no timer,
//! nothing published, nothing appended.
//!
//! 1. The frames are copied as they are, up to the wanted end; the journal stays the same journal,
//!    by the same id, so that positions, effects' ids and our own `source` mean the same.
//! 2. The copy is folded by the engine's own core ([`drive`]). There is no writer, dispatcher or
//!    sink anywhere near: what records cause stands in the journal already, or is dropped.
//! 3. What came of it is compared with the other's own store ([`compare`]). The same code gives the
//!    same bytes; so whoever differs is whom a change of the code changes.
//!
//! The new directory is marked as a replay, and never served: it would carry out a second time what
//! the other has under way. What is *not* here: repair of the other directory, which is only looked
//! at.

mod compare;
mod drive;

pub(crate) use drive::{Batch, Drive};

use crate::engine::SHARDS;
use crate::kinds::Kinds;
use crate::record::{split_verdict, tag};
use crate::verify::Scratch;
use actors::{Kind, Position};
use state::directory::{Identity, JournalId, Layout, Lock};
use state::disk::{Disk, ReadOnlyDisk, RealDisk};
use state::journal::rest::{AtRest, Checked, Seen};
use state::journal::{self, Copy, Journal};
use state::store::{self, Kv, SledKv, Store, rest};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// sled's cache, in bytes.
const CACHE_BYTES: u64 = 64 << 20;

/// Why there is no replay.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory is held, newer or not ours.
    #[error(transparent)]
    Directory(#[from] state::directory::Error),
    /// There is nothing to replay.
    #[error("{} is not a data directory: it has no bellwether.json", .0.display())]
    NoDirectory(PathBuf),
    /// There is something where the new directory is to be.
    #[error("{} is not empty: a replay makes a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// The disk fails.
    #[error("could not {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The journal no longer has its beginning.
    #[error("the journal begins at position {0}: a replay needs all of it, from position 0")]
    NoBeginning(Position),
    /// The journal is damaged.
    #[error("the journal is damaged: {0}; `bellwether verify` says all that is wrong")]
    Damaged(String),
    /// The journal does not reach so far.
    #[error("the journal ends at position {end}, before the wanted {until}")]
    BeyondEnd {
        /// Where it ends.
        end: Position,
        /// What was wanted.
        until: Position,
    },
    /// A journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The copy cannot be sealed.
    #[error("could not seal the copied journal: {0}")]
    Seal(#[from] journal::AppendError),
    /// A store cannot be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// There is no place for a copy of the key-value store.
    #[error(transparent)]
    Scratch(#[from] crate::verify::Error),
    /// An entity cannot go on.
    #[error(transparent)]
    Life(#[from] crate::life::Error),
    /// The stores cannot be compared.
    #[error("could not compare the stores: {0}")]
    Compare(String),
}

impl Error {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// Who is told how it goes.
pub trait Watch {
    /// This entity is not what the other directory's store has, at the same position.
    fn differs(&mut self, address: &str);
    /// So many bytes of journal, of so many, and so many records are done.
    fn at(&mut self, done_bytes: u64, all_bytes: u64, records: u64);
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The directory to be replayed; nobody holds it.
    pub from: &'a Path,
    /// The new directory: empty, or not there.
    pub into: &'a Path,
    /// The records below this position; all, if it is not said.
    pub until: Option<Position>,
    /// Where there is room for a copy of a store.
    pub scratch: &'a Path,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The new directory reflects the records below this position.
    pub end: Position,
    /// Entities that stand at the same position in both stores.
    pub compared: u64,
    /// Entities that don't: the other store is not so far yet, or further.
    pub not_compared: u64,
    /// How many of those compared differ.
    pub differing: u64,
    /// Why nothing could be compared, if so.
    pub store_unreadable: Option<String>,
}

/// Builds the data directory.
///
/// # Errors
/// One directory is not what it should be, or a disk fails; then nothing is left of the new one.
pub fn replay(
    table: &'static [Kind],
    request: &Request<'_>,
    watch: &mut dyn Watch,
) -> Result<Report, Error> {
    let kinds = Kinds::new(table);
    let names: Vec<&str> = table.iter().map(|kind| kind.name).collect();
    let layout = Layout { shards: u32::from(SHARDS), kinds: &names };
    let look: Arc<dyn Disk> = Arc::new(ReadOnlyDisk);
    let none = || Error::NoDirectory(request.from.to_owned());
    Identity::check(&*look, request.from, &layout)?.ok_or_else(none)?;
    let _from_lock = Lock::take(request.from)?;
    // Once more: whoever held the lock a moment ago may have written it.
    let identity = Identity::check(&*look, request.from, &layout)?.ok_or_else(none)?;
    let target = Target::make(request.into)?;
    let _into_lock = Lock::take(request.into)?;
    let at_rest = AtRest::open(look, &request.from.join("journal"), identity.journal.0)?;
    let mut progress = Progress::new(watch, at_rest.size_bytes());
    let copied = copy(&at_rest, request, &mut progress)?;
    let drive = fold(kinds, request.into, (identity.journal, copied.judged), &mut progress)?;
    let mut report = Report { end: copied.end, ..Report::default() };
    compare_with(kinds, request, identity.journal, (&drive, &mut report), progress.watch)?;
    // Only now is it a data directory.
    identity.write_replay(&RealDisk, request.into, &layout)?;
    target.keep();
    Ok(report)
}

/// The new directory: empty at first, and again if it is not kept.
struct Target(Option<PathBuf>);

impl Target {
    fn make(dir: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let mut entries = std::fs::read_dir(dir).map_err(Error::io("list", dir))?;
        if entries.next().is_some() {
            return Err(Error::NotEmpty(dir.to_owned()));
        }
        Ok(Self(Some(dir.to_owned())))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let Some(dir) = &self.0 else { return };
        if let Err(error) = std::fs::remove_dir_all(dir) {
            tracing::warn!(dir = %dir.display(), %error, "could not remove an unfinished replay");
        }
    }
}

/// How far it is: the journal is read twice, once to copy and once to fold.
struct Progress<'a> {
    watch: &'a mut dyn Watch,
    journal_bytes: u64,
    done_bytes: u64,
    records: u64,
}

impl<'a> Progress<'a> {
    fn new(watch: &'a mut dyn Watch, journal_bytes: u64) -> Self {
        Self { watch, journal_bytes, done_bytes: 0, records: 0 }
    }

    fn at(&mut self, bytes: u64, records: u64) {
        self.watch.at(self.done_bytes + bytes, 2 * self.journal_bytes, self.records + records);
    }
}

struct Copied {
    end: Position,
    /// What was judged in all of the journal: a record below the end stays judged, even if the
    /// verdict is beyond it.
    judged: BTreeSet<Position>,
}

fn copy(
    from: &AtRest,
    request: &Request<'_>,
    progress: &mut Progress<'_>,
) -> Result<Copied, Error> {
    let until = request.until.unwrap_or(Position::MAX);
    let (dir, segment_bytes) = (request.into.join("journal"), 64 << 20);
    let mut copy = Copy::begin(Arc::new(RealDisk), &dir, (segment_bytes, until))?;
    let mut judged = BTreeSet::new();
    let (mut failed, mut records) = (None, 0);
    let checked = from.check(&[], &mut |seen: &Seen<'_>| {
        records += seen.frame.end() - seen.frame.base();
        judged.extend(verdicts(seen));
        if failed.is_none() {
            failed = copy.frame(seen.frame).err();
        }
        progress.at(seen.read_bytes, records);
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let Checked { first, end, holed, findings, .. } = checked;
    if holed {
        let what = findings.first().map_or_else(String::new, ToString::to_string);
        return Err(Error::Damaged(what));
    }
    if first > 0 {
        return Err(Error::NoBeginning(first));
    }
    if let Some(until) = request.until.filter(|until| *until > end) {
        return Err(Error::BeyondEnd { end, until });
    }
    progress.done_bytes = progress.journal_bytes;
    progress.records = records;
    Ok(Copied { end: copy.end()?, judged })
}

fn verdicts<'a>(seen: &'a Seen<'_>) -> impl Iterator<Item = Position> + 'a {
    let records = seen.frame.has_verdict().then(|| seen.frame.records());
    let verdicts = records.into_iter().flatten().filter(|record| record.tag == tag::VERDICT);
    verdicts.filter_map(|verdict| Some(split_verdict(verdict.payload)?.0))
}

pub(crate) fn open_kv() -> store::OpenKv {
    Arc::new(|path| Ok(Arc::new(SledKv::open(path, CACHE_BYTES)?) as Arc<dyn Kv>))
}

pub(crate) fn store_options() -> store::Options {
    store::Options { shards: SHARDS, ..store::Options::default() }
}

/// Folds the copied journal into a store of its own.
fn fold(
    kinds: Kinds,
    into: &Path,
    (JournalId(uuid), judged): (JournalId, BTreeSet<Position>),
    progress: &mut Progress<'_>,
) -> Result<Drive, Error> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = journal::Options::new(uuid);
    let (mut journal, _) = Journal::open(disk.clone(), &into.join("journal"), options, &[])?;
    // Whoever reads it later knows that nothing is missing.
    journal.seal(journal.last_time())?;
    journal.save_origins()?;
    let (store, _) = Store::open(disk, into, &open_kv(), store_options(), uuid)?;
    let mut drive = Drive::open(kinds, (journal.reader(), Position::MAX), store, judged)?;
    let (mut bytes, mut records) = (0, 0);
    while let Some(batch) = drive.step()? {
        bytes += batch.bytes;
        records += batch.records;
        progress.at(bytes, records);
    }
    drive.checkpoint()?;
    Ok(drive)
}

/// Compares what came of it with the other directory's own store.
fn compare_with(
    kinds: Kinds,
    request: &Request<'_>,
    JournalId(uuid): JournalId,
    (drive, report): (&Drive, &mut Report),
    watch: &mut dyn Watch,
) -> Result<(), Error> {
    let scratch = Scratch::make(request.scratch)?;
    let place = rest::Place {
        disk: Arc::new(ReadOnlyDisk),
        dir: request.from,
        scratch: scratch.path(),
        open_kv: open_kv(),
    };
    let looked = rest::look(&place, &store_options(), uuid)?;
    let whole = looked.store.filter(|_| looked.findings.is_empty());
    let Some(theirs) = whole else {
        report.store_unreadable = looked.findings.into_iter().next();
        return Ok(());
    };
    let mut compare = compare::Compare::new(kinds, &theirs, (drive.store(), report.end));
    for shard in 0..SHARDS {
        compare.shard(shard, &mut |address| watch.differs(address)).map_err(Error::Compare)?;
    }
    let counts = compare.counts();
    report.compared = counts.compared;
    report.not_compared = counts.not_compared;
    report.differing = counts.differing;
    Ok(())
}
