//! Opening what is on disk, each part with what the others vouch for.

use crate::kinds::Kinds;
use crate::options::Options;
use crate::sinks::outbox::{self, Outbox};
use crate::worker::Marks;
use state::directory::{self, Identity, JournalId, Layout, Lock};
use state::disk::Disk;
use state::journal::rest::AtRest;
use state::journal::{self, Journal};
use state::store::{self, Kv, SledKv, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The key space is cut into so many shards. Written in the data directory: a directory keeps what
/// it began with.
pub(crate) const SHARDS: u16 = 64;

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory is held, newer, or not ours.
    #[error(transparent)]
    Directory(#[from] directory::Error),
    /// The machine gives no random numbers, which a new journal is named by.
    #[error("cannot name a new journal: {0}")]
    Chance(std::io::Error),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The outbox cannot be opened.
    #[error(transparent)]
    Outbox(#[from] outbox::Error),
    /// The Kafka sink's cursor cannot be read.
    #[error("reading the Kafka sink's cursor failed: {0}")]
    KafkaCursor(std::io::Error),
    /// A sink cannot be opened.
    #[error("{0}")]
    Sink(String),
    /// The journal no longer reaches back to where a replay would have to begin.
    #[error(
        "the journal begins at position {first}, but shard {shard} has to be replayed from \
         {needed}, and there is no good snapshot of it in the folder {}: put one there, or \
         restore one into an empty directory",
        snapshots.display()
    )]
    Unreachable {
        /// The shard.
        shard: u16,
        /// From where.
        needed: u64,
        /// The journal's first position.
        first: u64,
        /// The folder of snapshots.
        snapshots: PathBuf,
    },
    /// It is a replay of another directory, and something was to be carried out.
    #[error(
        "{} is a replay: what it has under way is under way in the directory it was made from, so \
         it is never served; look at it with inspect, journal and verify",
        .0.display()
    )]
    Replay(PathBuf),
    /// The supervision tree cannot be started.
    #[error("cannot start the supervision tree: {0}")]
    Tree(String),
}

/// What was found when the directory was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Of the journal.
    pub journal: journal::Opened,
    /// Of the store.
    pub store: store::Opened,
}

/// The opened parts.
pub(crate) struct Parts {
    pub(crate) kinds: Kinds,
    pub(crate) options: Options,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) lock: Lock,
    pub(crate) source: String,
    pub(crate) uuid: [u8; 16],
    /// It is a replay: its timers are another directory's.
    pub(crate) is_replay: bool,
    pub(crate) store: Store,
    pub(crate) journal: Journal,
    pub(crate) outbox: Option<Outbox>,
    pub(crate) marks: Arc<Marks>,
    pub(crate) opened: Opened,
}

pub(crate) fn open(
    kinds: Kinds,
    mut options: Options,
    disk: Arc<dyn Disk>,
) -> Result<Parts, Error> {
    let names: Vec<&str> = kinds.table().iter().map(|kind| kind.name).collect();
    let lock = Lock::take(&options.data)?;
    let fresh = JournalId::fresh().map_err(Error::Chance)?;
    let layout = Layout { shards: u32::from(SHARDS), kinds: &names };
    let identity = Identity::open(&*disk, &options.data, &layout, fresh)?;
    if identity.is_replay && options.sinks {
        return Err(Error::Replay(options.data));
    }
    let JournalId(uuid) = identity.journal;
    options.journal.uuid = uuid;
    options.store.shards = SHARDS;
    let data = options.data.clone();
    options.store.snapshots = options.snapshots_dir();
    options.store.journal_first = AtRest::open(disk.clone(), &data.join("journal"), uuid)
        .map_or(0, |at_rest| at_rest.first());
    let cache_bytes = options.store_cache_bytes;
    let open_kv: store::OpenKv =
        Arc::new(move |path: &Path| Ok(Arc::new(SledKv::open(path, cache_bytes)?) as Arc<dyn Kv>));
    let (store, store_opened) =
        Store::open(disk.clone(), &data, &open_kv, options.store.clone(), uuid)?;
    report_store(&store_opened);
    let outbox = if options.sinks { Some(Outbox::open(disk.clone(), &data, uuid)?) } else { None };
    let mut vouchers = vec![("the store's ceiling".to_owned(), store.ceiling())];
    if let Some(outbox) = &outbox {
        vouchers.push(("the outbox's cursor".to_owned(), outbox.cursor()));
    }
    let sent = crate::kafka::sink::cursor::load(&*disk, &data, uuid).map_err(Error::KafkaCursor)?;
    vouchers.extend(sent.map(|next| ("the Kafka sink's cursor".to_owned(), next)));
    let (journal, journal_opened) =
        Journal::open(disk.clone(), &data.join("journal"), options.journal.clone(), &vouchers)?;
    report_journal(&journal_opened);
    let first = journal.reader().first();
    let mut marks = Vec::new();
    for shard in 0..store.shards() {
        let needed = store.replay_from(shard);
        if needed < first {
            let snapshots = options.snapshots_dir();
            return Err(Error::Unreachable { shard, needed, first, snapshots });
        }
        marks.push((needed, store.shard_note(shard)));
    }
    Ok(Parts {
        kinds,
        uuid,
        is_replay: identity.is_replay,
        source: format!("/bellwether/{}", identity.journal),
        options,
        disk,
        lock,
        store,
        journal,
        outbox,
        marks: Arc::new(Marks::new(marks)),
        opened: Opened { journal: journal_opened, store: store_opened },
    })
}

fn report_store(opened: &store::Opened) {
    if let Some((why, to)) = &opened.aside {
        let to = to.display();
        let what = "the store was moved aside and is rebuilt from images and journal";
        tracing::warn!(why, %to, what);
        crate::metrics::store_moved_aside();
    }
    if let Some(snapshot) = &opened.snapshot {
        let (snapshot, shards) = (snapshot.display(), opened.from_snapshot.len());
        tracing::warn!(%snapshot, shards, "shards whose journal is gone begin with a snapshot");
        if opened.aside.is_none() {
            crate::metrics::store_moved_aside();
        }
    }
    for why in &opened.snapshots_lost {
        tracing::warn!(why, "a snapshot cannot be used");
    }
    for lost in &opened.images_lost {
        tracing::warn!(lost, "an image cannot be used");
    }
    if !opened.rebuilt.is_empty() {
        tracing::warn!(shards = opened.rebuilt.len(), "shards are rebuilt from the journal");
    }
}

fn report_journal(opened: &journal::Opened) {
    if opened.torn_bytes > 0 {
        tracing::warn!(bytes = opened.torn_bytes, "a torn tail of the journal was cut");
    }
    for file in &opened.origin_files_damaged {
        tracing::warn!(file, "an origin table cannot be used");
    }
    tracing::info!(next = opened.next, frames = opened.frames, "the journal is open");
}
