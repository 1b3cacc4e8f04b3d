//! Checking a data directory at rest: every frame, every image, and every row against the fold of
//! its own records.
//!
//! The fold is a second, plain one ([`fold`]): records in, head and pages and pending entries out,
//! without floors, lives, checkpoints or replays. So a mistake of the engine's shows here as well
//! as damage of the disk does. What is *not* here: repair, and anything that writes: files are
//! opened for reading only, and the key-value store is copied before it is opened.
//!
//! Each entity is folded up to the position its row stands at. All entities of the shards at hand
//! are in memory at once, so the shards are taken in passes of about [`ENTITIES_AT_ONCE_MAX`], each
//! of which reads the journal once: some hundred MB, however many entities there are.

mod fold;
mod rows;

pub(crate) use rows::owner_of;

use crate::engine::SHARDS;
use crate::kinds::Kinds;
use crate::record::{split_verdict, tag};
use crate::sinks::outbox;
use actors::{Kind, Position};
use rows::{Pass, Shard};
use state::directory::{Identity, JournalId, Layout, Lock};
use state::disk::{Disk, ReadOnlyDisk};
use state::journal::rest::{AtRest, Checked, Seen};
use state::snapshot::{self, Found};
use state::store::{self, Kv, SledKv, rest};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many entities are folded at once, about.
const ENTITIES_AT_ONCE_MAX: u64 = 200_000;

/// sled's cache for the copy, in bytes.
const CACHE_BYTES: u64 = 64 << 20;

/// Why a directory cannot be checked. What is wrong with it is no error but a finding.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is held, newer or not ours.
    #[error(transparent)]
    Directory(#[from] state::directory::Error),
    /// There is nothing to check.
    #[error("{} is not a data directory: it has no bellwether.json", .0.display())]
    NoDirectory(PathBuf),
    /// The journal's files cannot be read.
    #[error(transparent)]
    Journal(#[from] state::journal::Error),
    /// The store's files cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// There is no place for a copy of the key-value store.
    #[error("could not make a directory for a copy of the store in {}: {source}", dir.display())]
    Scratch {
        /// Where.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Who is told how it goes.
pub trait Watch {
    /// Something is wrong: what, and where.
    fn found(&mut self, what: &str);
    /// So many bytes of journal, of so many, and so many records were read.
    fn at(&mut self, done_bytes: u64, all_bytes: u64, records: u64);
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The journal's files.
    pub segments: u64,
    /// Frames, seals included.
    pub frames: u64,
    /// Records.
    pub records: u64,
    /// The position behind the last record.
    pub end: Position,
    /// Images.
    pub images: u64,
    /// Entities whose rows equal the fold of their records, or were found not to.
    pub entities: u64,
    /// Entries that are stored with them: pages, tags, answers, trails, pending entries.
    pub entries: u64,
    /// Entities that were not compared, because their beginning is below the journal's floor or an
    /// older version of their kind wrote the row.
    pub not_compared: u64,
    /// Snapshots in the data directory's own folder.
    pub snapshots: u64,
    /// How much is wrong.
    pub findings: u64,
}

/// Checks the data directory `data`, and holds its lock meanwhile.
///
/// # Errors
/// The directory is held by another process, is none, or cannot be read.
pub fn verify(
    kinds: &'static [Kind],
    data: &Path,
    scratch: &Path,
    watch: &mut dyn Watch,
) -> Result<Report, Error> {
    let kinds = Kinds::new(kinds);
    let names: Vec<&str> = kinds.table().iter().map(|kind| kind.name).collect();
    let layout = Layout { shards: u32::from(SHARDS), kinds: &names };
    let disk: Arc<dyn Disk> = Arc::new(ReadOnlyDisk);
    let read = || Identity::check(&*disk, data, &layout);
    read()?.ok_or_else(|| Error::NoDirectory(data.to_owned()))?;
    let _lock = Lock::take(data)?;
    // Once more: whoever held the lock a moment ago may have written it.
    let identity = read()?.ok_or_else(|| Error::NoDirectory(data.to_owned()))?;
    let JournalId(uuid) = identity.journal;
    let scratch = Scratch::make(scratch)?;
    let place = rest::Place {
        disk: disk.clone(),
        dir: data,
        scratch: &scratch.0,
        open_kv: Arc::new(|path| Ok(Arc::new(SledKv::open(path, CACHE_BYTES)?) as Arc<dyn Kv>)),
    };
    let options = store::Options { shards: SHARDS, ..store::Options::default() };
    let looked = rest::look(&place, &options, uuid)?;
    let cursors = cursors(&*disk, data, uuid);
    let journal = AtRest::open(disk.clone(), &data.join("journal"), uuid)?;
    let mut check = Check::new(kinds, journal, looked, watch);
    for what in cursors.iter().filter_map(|cursor| cursor.as_ref().err()) {
        check.found(what);
    }
    check.vouchers = cursors.into_iter().flatten().collect();
    check.run()?;
    check.check_snapshots(&disk, &data.join(snapshot::FOLDER));
    Ok(check.report)
}

/// Up to where the sinks that tail say that the journal was durable.
fn cursors(
    disk: &dyn Disk,
    data: &Path,
    uuid: [u8; 16],
) -> Vec<Result<(String, Position), String>> {
    let outbox = outbox::saved(disk, data, uuid).map_err(|error| error.to_string());
    let kafka = crate::kafka::sink::cursor::load(disk, data, uuid);
    let kafka = kafka.map_err(|error| format!("the Kafka sink's cursor cannot be read: {error}"));
    let named = [("the outbox's cursor", outbox), ("the Kafka sink's cursor", kafka)];
    let named = named.into_iter().map(|(name, found)| {
        found.map(|next| next.map(|next| (name.to_owned(), next))).transpose()
    });
    named.flatten().collect()
}

/// A directory for the copy, which goes when this does.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn make(dir: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Scratch { dir: dir.to_owned(), source };
        let name = format!("bellwether-verify-{}", std::process::id());
        let mut names = (0_u32..).map(|n| dir.join(format!("{name}-{n}")));
        loop {
            let path = names.next().expect("numbers do not run out");
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(dir = %self.0.display(), %error, "could not remove a copy of the store");
        }
    }
}

/// A check under way.
struct Check<'a> {
    kinds: Kinds,
    journal: AtRest,
    looked: rest::Looked,
    watch: &'a mut dyn Watch,
    report: Report,
    /// The records that were judged.
    judged: BTreeSet<Position>,
    /// Who else knows up to where the journal was durable.
    vouchers: Vec<(String, Position)>,
    /// How much of the journal all passes read, in bytes; and how much the ones before this did.
    all_bytes: u64,
    done_bytes: u64,
    records_read: u64,
}

impl<'a> Check<'a> {
    fn new(kinds: Kinds, journal: AtRest, looked: rest::Looked, watch: &'a mut dyn Watch) -> Self {
        let report = Report { images: looked.images, ..Report::default() };
        let (judged, all_bytes) = (BTreeSet::new(), journal.size_bytes());
        let (done_bytes, records_read, vouchers) = (0, 0, Vec::new());
        Self {
            kinds,
            journal,
            looked,
            watch,
            report,
            judged,
            vouchers,
            all_bytes,
            done_bytes,
            records_read,
        }
    }

    /// Reads every byte of every snapshot.
    fn check_snapshots(&mut self, disk: &Arc<dyn Disk>, dir: &Path) {
        let found = snapshot::list(disk, dir).unwrap_or_else(|error| {
            self.found(&error.to_string());
            Vec::new()
        });
        for Found { snapshot, .. } in found {
            self.report.snapshots += 1;
            if let Err(error) = snapshot.and_then(|snapshot| snapshot.check(&mut |_| {})) {
                self.found(&error.to_string());
            }
        }
    }

    fn found(&mut self, what: &str) {
        self.report.findings += 1;
        self.watch.found(what);
    }

    fn run(&mut self) -> Result<(), Error> {
        for what in std::mem::take(&mut self.looked.findings) {
            self.found(&what);
        }
        let store = self.looked.store.take();
        let passes = store.as_ref().map(passes).unwrap_or_default();
        self.all_bytes = self.journal.size_bytes() * (1 + passes.len() as u64);
        let checked = self.check_journal(store.as_ref().map(rest::AtRest::ceiling))?;
        let Some(store) = store else { return Ok(()) };
        let broken = self.check_images(&store);
        if checked.holed {
            self.watch.found("no row was compared: the journal that they follow from has a hole");
            return Ok(());
        }
        for shards in passes {
            let shards: Vec<u16> = shards.into_iter().filter(|n| !broken.contains(n)).collect();
            self.pass(&store, &checked, &shards)?;
        }
        Ok(())
    }

    fn check_journal(&mut self, ceiling: Option<Position>) -> Result<Checked, Error> {
        let mut vouchers = std::mem::take(&mut self.vouchers);
        vouchers.extend(ceiling.map(|ceiling| ("the store's ceiling".to_owned(), ceiling)));
        let (watch, judged) = (&mut *self.watch, &mut self.judged);
        let (all, records_read) = (self.all_bytes, &mut self.records_read);
        let checked = self.journal.check(&vouchers, &mut |seen: &Seen<'_>| {
            *records_read += seen.frame.end() - seen.frame.base();
            if seen.frame.has_verdict() {
                let verdicts = seen.frame.records().filter(|record| record.tag == tag::VERDICT);
                judged.extend(verdicts.filter_map(|v| Some(split_verdict(v.payload)?.0)));
            }
            watch.at(seen.read_bytes, all, *records_read);
        })?;
        self.done_bytes = self.journal.size_bytes();
        let Checked { segments, frames, records, end, .. } = checked;
        self.report = Report { segments, frames, records, end, ..self.report.clone() };
        for finding in &checked.findings {
            self.found(&finding.to_string());
        }
        Ok(checked)
    }

    /// Reads every block of every image. Returns the shards that cannot be read whole.
    fn check_images(&mut self, store: &rest::AtRest) -> BTreeSet<u16> {
        let reader = store.reader();
        let mut broken: BTreeSet<u16> =
            (0..SHARDS).filter(|shard| store.is_broken(*shard)).collect();
        for shard in 0..SHARDS {
            if let Err(error) = reader.verify(shard) {
                self.found(&error.to_string());
                broken.insert(shard);
            }
        }
        broken
    }

    /// Folds the entities of these shards, and compares them with what is stored.
    fn pass(
        &mut self,
        store: &rest::AtRest,
        checked: &Checked,
        shards: &[u16],
    ) -> Result<(), Error> {
        let mut findings = Vec::new();
        let (first, end) = (checked.first, checked.end);
        let mut pass = Pass::new(self.kinds, &self.judged, (first, end), store.ceiling());
        for number in shards {
            let replay_from = store.replay_from(*number);
            if replay_from > end || replay_from < first {
                findings.push(format!(
                    "shard {number} is to be replayed from position {replay_from}, and the journal \
                     goes from {first} to {end}"
                ));
            }
            let shard = Shard { number: *number, replay_from };
            // The key-value store panics on some damage.
            let read = AssertUnwindSafe(|| pass.read_rows(&shard, &store.reader(), &mut findings));
            guard(*number, catch_unwind(read), &mut findings);
        }
        let (watch, all) = (&mut *self.watch, self.all_bytes);
        let (done, records_read) = (self.done_bytes, &mut self.records_read);
        self.journal.frames(&mut |seen: &Seen<'_>| {
            *records_read += seen.frame.end() - seen.frame.base();
            seen.frame.records().for_each(|record| pass.record(&record, &mut findings));
            watch.at(done + seen.read_bytes, all, *records_read);
        })?;
        self.done_bytes += self.journal.size_bytes();
        for number in pass.shards() {
            let compare = AssertUnwindSafe(|| pass.compare(number, &store.reader(), &mut findings));
            guard(number, catch_unwind(compare), &mut findings);
        }
        let counts = pass.counts();
        self.report.entities += counts.entities;
        self.report.entries += counts.entries;
        self.report.not_compared += counts.not_compared;
        for what in &findings {
            self.found(what);
        }
        Ok(())
    }
}

/// Turns what has kept a shard from being read into a finding.
fn guard(shard: u16, read: std::thread::Result<Result<(), String>>, findings: &mut Vec<String>) {
    match read {
        Ok(Ok(())) => {}
        Ok(Err(why)) => findings.push(format!("shard {shard} cannot be read: {why}")),
        Err(panic) => {
            let why = crate::hear::panic_text(&*panic);
            findings.push(format!("shard {shard} cannot be read: {why}"));
        }
    }
}

/// The shards, so many at once as fit.
fn passes(store: &rest::AtRest) -> Vec<Vec<u16>> {
    let reader = store.reader();
    let mut passes: Vec<(u64, Vec<u16>)> = Vec::new();
    for shard in 0..SHARDS {
        let rows = reader.rows(shard);
        match passes.last_mut() {
            Some((sum, shards)) if *sum + rows <= ENTITIES_AT_ONCE_MAX => {
                *sum += rows;
                shards.push(shard);
            }
            _ => passes.push((rows, vec![shard])),
        }
    }
    passes.into_iter().map(|(_, shards)| shards).collect()
}
