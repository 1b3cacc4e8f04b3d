//! Taking a snapshot, beside whoever writes the journal and the store: nobody waits for it but a
//! shard's checkpoint, while just that shard is merged.
//!
//! 1. What was read before anything else: where each shard and each cursor stands, the origin
//!    table.
//! 2. The shards, one by one, each merged into an image. By now a row may be further than 1, and
//!    knows it; none is further than the journal's durable end.
//! 3. That end is the snapshot's position: the journal is copied up to there, from the least
//!    position that anything of 1 needs.
//!
//! What is *not* here: when, and who is told.

use super::format::{Header, Part};
use super::write::Writer;
use super::{Error, Snapshot};
use crate::disk::Disk;
use crate::image;
use crate::journal::{self, export::Copied};
use crate::store;
use actors::{Position, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The cursor of a sink that tails the journal.
#[derive(Clone, Debug)]
pub struct Cursor {
    /// Its file's name in the data directory: lower-case letters, ending in `.cursor`.
    pub name: String,
    /// What stands in it.
    pub bytes: Vec<u8>,
    /// The sink reads on from here; 0 if it begins where the journal does.
    pub next: Position,
}

/// What a snapshot is taken of.
pub struct Source<'a> {
    /// The store.
    pub store: &'a store::Reader,
    /// The journal.
    pub journal: &'a journal::Reader,
    /// How many shards there are.
    pub shards: u16,
    /// From where a shard is to be replayed, and the engine's words about it; as of its last
    /// checkpoint that counts.
    pub mark: &'a dyn Fn(u16) -> (Position, Option<Vec<u8>>),
    /// The kinds, in order.
    pub kinds: &'a [&'a str],
    /// The cursors of sinks that tail, none beyond the journal's durable end.
    pub cursors: Vec<Cursor>,
    /// So much of the disk is left free.
    pub disk_reserve_bytes: u64,
    /// The time.
    pub now: Timestamp,
}

/// A snapshot that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Where it is.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// What it says about itself.
    pub header: Header,
}

/// Takes a snapshot into a file of the folder `dir`, which is made if need be. Its name is given
/// its position and says how it is called.
///
/// # Errors
/// The disk refuses, or what is to be copied cannot be read. Then nothing is left that could be
/// taken for a snapshot.
pub fn take(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    name: &dyn Fn(Position) -> String,
    source: &Source<'_>,
) -> Result<Taken, Error> {
    disk.create_dir_all(dir).map_err(super::disk_error("create", dir))?;
    let mut header = Header {
        journal: source.journal.uuid(),
        shards: source.shards,
        position: 0,
        first: 0,
        replay_from: Position::MAX,
        time: source.now,
        kinds: source.kinds.iter().map(|&kind| kind.to_owned()).collect(),
    };
    let mut writer = Writer::begin(disk, (dir, source.disk_reserve_bytes), &header)?;
    match fill(disk, &mut writer, &mut header, source) {
        Ok(()) => {}
        Err(error) => {
            writer.abandon();
            return Err(error);
        }
    }
    let snapshot = writer.finish(&header, &dir.join(name(header.position)))?;
    Ok(Taken { path: snapshot.path().to_owned(), bytes: snapshot.size_bytes(), header })
}

fn fill(
    disk: &Arc<dyn Disk>,
    writer: &mut Writer,
    header: &mut Header,
    source: &Source<'_>,
) -> Result<(), Error> {
    let origins = source.journal.origins_file()?;
    for shard in 0..source.shards {
        let (replay_from, note) = (source.mark)(shard);
        header.replay_from = header.replay_from.min(replay_from);
        // One that was never checkpointed is replayed from the journal's beginning.
        if let Some(note) = note {
            push_image(disk, writer, source, (shard, replay_from, note))?;
        }
    }
    let position = source.journal.durable();
    let cut = origins.as_ref().map_or(0, |(_, cut, _)| *cut);
    let mut needs = vec![
        ("a shard".to_owned(), header.replay_from.min(position)),
        ("the origin table".to_owned(), cut),
    ];
    let begun = source.cursors.iter().filter(|cursor| cursor.next > 0);
    needs.extend(begun.map(|cursor| (cursor.name.clone(), cursor.next)));
    let (who, from) = needs.into_iter().min_by_key(|(_, from)| *from).expect("there are two");
    let first = source.journal.first();
    if from < first {
        return Err(Error::Unreachable { who, needed: from, first });
    }
    (header.position, header.replay_from) = (position, header.replay_from.min(cut));
    header.first = push_journal(writer, source, (from, position))?;
    if let Some((generation, _, bytes)) = origins {
        writer.part(Part::Origins(generation));
        writer.push(&bytes)?;
    }
    for cursor in &source.cursors {
        assert!(cursor.next <= position, "{} is ahead of the journal", cursor.name);
        writer.part(Part::Cursor(cursor.name.clone()));
        writer.push(&cursor.bytes)?;
    }
    Ok(())
}

fn push_image(
    disk: &Arc<dyn Disk>,
    writer: &mut Writer,
    source: &Source<'_>,
    (shard, replay_from, note): (u16, Position, Vec<u8>),
) -> Result<(), Error> {
    writer.part(Part::Image(shard));
    let poured = source.store.pour(shard, || {
        let header = image::Header {
            journal: source.journal.uuid(),
            shard,
            generation: Part::generation(shard),
            replay_from,
            // Nothing comes into the shard any more, and what has was durable in the journal.
            ceiling: source.journal.durable(),
            note,
        };
        image::Writer::within(disk, writer.file(), writer.path(), &header)
    });
    poured?.end()?;
    Ok(())
}

/// Copies the journal, and says where the copy begins.
fn push_journal(
    writer: &mut Writer,
    source: &Source<'_>,
    (from, to): (Position, Position),
) -> Result<Position, Error> {
    let bases = source.journal.bases(from, to)?;
    let mut copied = Copied::default();
    for base in &bases {
        writer.part(Part::Segment(*base));
        let mut push = |bytes: &[u8]| writer.push(bytes);
        source.journal.copy(*base, to, &mut copied, &mut push)?;
    }
    let first = bases.first().copied().unwrap_or(to);
    let last = copied.last.unwrap_or(source.now);
    for (base, bytes) in source.journal.ids_before(first, last)? {
        writer.part(Part::Ids(base));
        writer.push(&bytes)?;
    }
    Ok(first)
}

impl Taken {
    /// The same of one that was there before.
    pub fn of(snapshot: &Snapshot) -> Self {
        let (path, bytes) = (snapshot.path().to_owned(), snapshot.size_bytes());
        Self { path, bytes, header: snapshot.header().clone() }
    }
}
