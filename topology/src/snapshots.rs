//! Snapshots of a data directory: what goes into one beside journal and store, when they are taken,
//! and what they let the journal forget.
//!
//! A snapshot carries the cursors of the sinks that tail the journal, and enough journal for them
//! to go on. It does not carry what has gone out: the outbox file grows for ever and is its
//! readers', so a restored directory begins a new one where the cursor stands, as if the old one
//! had been moved away. Nor does it carry the gateway's book, which is the gateway's side of the
//! world: what was charged stays charged, whatever we go back to. What is *not* here: the file
//! itself (`state::snapshot`).

mod archivist;
mod retain;

pub(crate) use archivist::{Archivist, Desk};
pub use archivist::{SnapshotError, SnapshotState};
pub use retain::Retain;

use crate::engine::{self, SHARDS};
use crate::kinds::Kinds;
use crate::options::Options;
use crate::sinks::outbox;
use crate::writer::wall_clock;
use actors::{Kind, Position};
use state::directory::{Layout, Lock};
use state::disk::{Disk, ReadOnlyDisk, RealDisk};
use state::snapshot::{self, Cursor, Place, Snapshot, Source, Taken};
use state::store::{Kv, OpenKv, SledKv};
use state::{journal, store};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// sled's cache while a directory is restored, in bytes.
const CACHE_BYTES: u64 = 64 << 20;

/// Why there is no snapshot, or nothing comes of one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be opened.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// It is held by somebody.
    #[error(transparent)]
    Directory(#[from] state::directory::Error),
    /// The snapshot cannot be taken, read or restored.
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    /// A snapshot is restored into an empty directory only.
    #[error("{} is not empty: a snapshot is restored into an empty directory", .0.display())]
    NotEmpty(PathBuf),
    /// The directory cannot be looked at.
    #[error("could not list {}: {source}", path.display())]
    List {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A cursor cannot be read.
    #[error("could not read the cursors of sinks in {}: {source}", path.display())]
    Cursor {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What a snapshot is taken of, running or at rest.
pub(crate) struct Subject<'a> {
    pub(crate) kinds: Kinds,
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) data: &'a Path,
    pub(crate) uuid: [u8; 16],
    pub(crate) store: &'a store::Reader,
    pub(crate) journal: &'a journal::Reader,
    pub(crate) marks: &'a crate::worker::Marks,
    /// How far the outbox has written.
    pub(crate) outbox: Position,
    pub(crate) disk_reserve_bytes: u64,
    /// Whether somebody sends to Kafka by the cursor that lies there.
    pub(crate) kafka: bool,
}

impl Subject<'_> {
    /// Takes a snapshot into a file of this folder, under its position's name or this one.
    pub(crate) fn take(&self, dir: &Path, name: Option<&str>) -> Result<Taken, Error> {
        let names: Vec<&str> = self.kinds.table().iter().map(|kind| kind.name).collect();
        let mark = |shard| {
            let (_, replay_from, note) = self.marks.of(&[shard]).remove(0);
            (replay_from, note)
        };
        let source = Source {
            store: self.store,
            journal: self.journal,
            shards: self.marks.shards(),
            mark: &mark,
            kinds: &names,
            cursors: self.cursors()?,
            disk_reserve_bytes: self.disk_reserve_bytes,
            now: wall_clock(),
        };
        let name = |position| name.map_or_else(|| snapshot::file_name(position), str::to_owned);
        Ok(snapshot::take(self.disk, dir, &name, &source)?)
    }

    /// What the sinks that tail go on from. One that nobody goes by is carried along, and needs no
    /// journal.
    fn cursors(&self) -> Result<Vec<Cursor>, Error> {
        let first = self.journal.first();
        // What lies below the journal's floor is gone for them too.
        let needed = |next: Position| if next < first { 0 } else { next };
        let mut cursors = vec![Cursor {
            name: outbox::CURSOR_FILE.to_owned(),
            bytes: outbox::cursor_at(self.uuid, self.outbox),
            next: needed(self.outbox),
        }];
        let failed = |source| Error::Cursor { path: self.data.to_owned(), source };
        let sent = crate::kafka::sink::cursor::load(&**self.disk, self.data, self.uuid);
        if let Some(next) = sent.map_err(failed)? {
            cursors.push(Cursor {
                name: crate::kafka::sink::cursor::FILE.to_owned(),
                bytes: crate::kafka::sink::cursor::encode(self.uuid, next),
                next: if self.kafka { needed(next) } else { 0 },
            });
        }
        Ok(cursors)
    }
}

/// Takes a snapshot of a data directory that no process holds. The directory is opened as a start
/// does, and nothing happens in it.
///
/// # Errors
/// It is held, or cannot be opened or read.
pub fn at_rest(
    kinds: &'static [Kind],
    options: Options,
    (dir, name): (&Path, Option<&str>),
) -> Result<Taken, Error> {
    let parts = engine::open(Kinds::new(kinds), options, Arc::new(RealDisk))?;
    let journal = parts.journal.reader();
    let outbox = parts.outbox.as_ref().map_or(0, outbox::Outbox::cursor);
    let subject = Subject {
        kinds: parts.kinds,
        disk: &parts.disk,
        data: &parts.options.data,
        uuid: parts.uuid,
        store: &parts.store.reader(),
        journal: &journal,
        marks: &parts.marks,
        outbox,
        disk_reserve_bytes: parts.options.journal.disk_reserve_bytes,
        // Whether anybody does is not known here: what they would need is kept.
        kafka: true,
    };
    subject.take(dir, name)
}

/// Reads all of a snapshot, and checks every byte.
///
/// # Errors
/// It is damaged, newer or none.
pub fn check(file: &Path) -> Result<Taken, snapshot::Error> {
    let disk: Arc<dyn Disk> = Arc::new(ReadOnlyDisk);
    let snapshot = Snapshot::open(&disk, file)?;
    snapshot.check(&mut |_| {})?;
    Ok(Taken::of(&snapshot))
}

/// Restores a snapshot into a directory that is empty, or not there. Tells `look` how many bytes of
/// twice the file's length were read.
///
/// # Errors
/// The snapshot is damaged or newer, or the directory is not empty.
pub fn restore(
    kinds: &'static [Kind],
    file: &Path,
    data: &Path,
    look: &mut dyn FnMut(u64),
) -> Result<Taken, Error> {
    let read: Arc<dyn Disk> = Arc::new(ReadOnlyDisk);
    let snapshot = Snapshot::open(&read, file)?;
    refuse_unless_empty(data)?;
    let _lock = Lock::take(data)?;
    let kinds = Kinds::new(kinds);
    let names: Vec<&str> = kinds.table().iter().map(|kind| kind.name).collect();
    let open_kv: OpenKv =
        Arc::new(|path: &Path| Ok(Arc::new(SledKv::open(path, CACHE_BYTES)?) as Arc<dyn Kv>));
    let layout = Layout { shards: u32::from(SHARDS), kinds: &names };
    let place = Place { disk: Arc::new(RealDisk), dir: data, open_kv, layout };
    snapshot::restore(&snapshot, &place, look)?;
    Ok(Taken::of(&snapshot))
}

/// What a file system or a lock leaves in a directory does not count.
fn refuse_unless_empty(data: &Path) -> Result<(), Error> {
    let failed = |source| Error::List { path: data.to_owned(), source };
    let entries = match std::fs::read_dir(data) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        if name != "LOCK" && name != "lost+found" {
            return Err(Error::NotEmpty(data.to_owned()));
        }
    }
    Ok(())
}
