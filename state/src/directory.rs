//! The data directory: who holds it, and what it is.
//!
//! `LOCK` is held for as long as a process works in the directory; whose it is stands in it. The
//! file `bellwether.json` says once and for all which journal this is, how many shards there are,
//! and which kinds, in order: their numbers stand in every record and row. What is *not* here: the
//! journal, the store and the images, which lie in folders beside.
//!
//! The invariant: nothing in the directory is touched before the lock is held and the file is
//! understood.

use crate::disk::{Disk, read_file, replace_file};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const LOCK_FILE: &str = "LOCK";
const IDENTITY_FILE: &str = "bellwether.json";
/// The same while a snapshot is restored. It is renamed when all the rest is there, and until then
/// the directory is nobody's.
const RESTORING_FILE: &str = "bellwether.json.restoring";
/// The version of the directory's layout. A newer one is refused, an older one would be upgraded
/// here.
const FORMAT_VERSION: u32 = 1;

/// A data directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk failed.
    #[error("could not {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process works in it.
    #[error("the data directory {} is held by {holder}", dir.display())]
    Held {
        /// The directory.
        dir: PathBuf,
        /// Who holds it, such as `process 4711`.
        holder: String,
    },
    /// The file that says what the directory is says something else.
    #[error("{} does not describe a data directory: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A snapshot was being restored into it.
    #[error(
        "a snapshot was being restored into {}, and that was not finished: empty the directory and \
         restore again",
        .0.display()
    )]
    HalfRestored(PathBuf),
    /// There is a data directory already.
    #[error("{} is a data directory already", .0.display())]
    Taken(PathBuf),
    /// A newer program made it.
    #[error(
        "the data directory {} has format version {found}, this program knows up to {known}",
        dir.display()
    )]
    Newer {
        /// The directory.
        dir: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// It is cut into another number of shards.
    #[error(
        "the data directory {} has {found} shards, not {wanted}: that number never changes",
        dir.display()
    )]
    Shards {
        /// The directory.
        dir: PathBuf,
        /// How many it has.
        found: u32,
        /// How many were asked for.
        wanted: u32,
    },
    /// A kind has not heard all of the history yet.
    #[error(
        "in the data directory {} the kind {kind} has not heard all of the history yet: run \
         `bellwether backfill {kind}` to its end",
        dir.display()
    )]
    Backfill {
        /// The directory.
        dir: PathBuf,
        /// The kind.
        kind: String,
    },
    /// Its kinds are not those of this program.
    #[error(
        "the data directory {} knows the kinds {}, this program {}: \
         kinds are only ever added, at the end",
        dir.display(), found.join(", "), wanted.join(", ")
    )]
    Kinds {
        /// The directory.
        dir: PathBuf,
        /// Its kinds.
        found: Vec<String>,
        /// This program's.
        wanted: Vec<String>,
    },
}

impl Error {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// Which journal a data directory belongs to. It is written as a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JournalId(pub [u8; 16]);

impl JournalId {
    /// A new one, by chance.
    pub fn fresh() -> io::Result<Self> {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        // The marks of a random UUID.
        bytes[6] = bytes[6] & 0x0F | 0x40;
        bytes[8] = bytes[8] & 0x3F | 0x80;
        Ok(Self(bytes))
    }

    fn parse(text: &str) -> Option<Self> {
        let digits: String = text.split('-').collect();
        let number = u128::from_str_radix(&digits, 16).ok()?;
        let id = Self(number.to_be_bytes());
        (id.to_string() == text).then_some(id)
    }
}

impl std::fmt::Display for JournalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = format!("{:032x}", u128::from_be_bytes(self.0));
        let (time, rest) = digits.split_at(8);
        let (node, rest) = (&rest[12..], &rest[..12]);
        write!(f, "{time}-{}-{}-{}-{node}", &rest[..4], &rest[4..8], &rest[8..])
    }
}

/// The hold on a data directory, until it is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock is the open file")] File);

impl Lock {
    /// Takes hold of a directory, which is made if it is not there.
    ///
    /// # Errors
    /// Another process holds it.
    pub fn take(dir: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let path = dir.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(dir, &mut file)),
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
        }
        // For people and for the message above; the lock itself is the kernel's, and goes with the
        // process.
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(Error::io("write", &path))?;
        Ok(Self(file))
    }
}

fn held(dir: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let holder = match file.read_to_string(&mut text).map(|_| text.trim().parse::<u32>()) {
        Ok(Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    Error::Held { dir: dir.to_owned(), holder }
}

/// What a data directory is to be.
#[derive(Clone, Debug)]
pub struct Layout<'a> {
    /// Into how many shards the key space is cut.
    pub shards: u32,
    /// The kinds' names, in the order of the table.
    pub kinds: &'a [&'a str],
}

impl Layout<'_> {
    /// Whether a directory of the other layout can become one of this.
    pub(crate) fn holds(&self, other: &Layout<'_>, dir: &Path) -> Result<(), Error> {
        let dir = dir.to_owned();
        if other.shards != self.shards {
            return Err(Error::Shards { dir, found: other.shards, wanted: self.shards });
        }
        if !self.kinds.starts_with(other.kinds) {
            return Err(Error::Kinds { dir, found: other.names(), wanted: self.names() });
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        self.kinds.iter().map(|&kind| kind.to_owned()).collect()
    }
}

/// What a data directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Which journal it belongs to.
    pub journal: JournalId,
    /// Into how many shards the key space is cut.
    pub shards: u32,
    /// Whether it was made by a replay of another directory's journal: to be looked at, and never
    /// to carry anything out.
    pub is_replay: bool,
    /// The backfill that is under way.
    pub backfill: Option<Backfill>,
}

/// A kind that is being told the history: until it knows all of it, the directory is not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// Its name.
    pub kind: String,
    /// The history ends at this position.
    pub until: u64,
}

/// The file, as it is written.
#[derive(Serialize, Deserialize)]
struct Stored {
    format_version: u32,
    #[serde(default)]
    journal: String,
    #[serde(default)]
    shards: u32,
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    replay: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backfill: Option<Backfill>,
}

impl Identity {
    /// What the directory is, if it is one; `None` if it is empty or not there.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, Error> {
        Ok(stored(disk, dir)?.map(|(identity, _)| identity))
    }

    /// What the directory is, if it is one and what this program wants it to be. Nothing is
    /// written.
    pub fn check(disk: &dyn Disk, dir: &Path, layout: &Layout<'_>) -> Result<Option<Self>, Error> {
        Ok(known(disk, dir, layout)?.map(|(identity, _)| identity))
    }

    /// Makes sure that the directory is what this program wants it to be, and makes it so if it is
    /// new, with the `fresh` journal's id. Kinds that are new at the end of the table are added.
    pub fn open(
        disk: &dyn Disk,
        dir: &Path,
        layout: &Layout<'_>,
        fresh: JournalId,
    ) -> Result<Self, Error> {
        let new = Self { journal: fresh, shards: layout.shards, is_replay: false, backfill: None };
        let (identity, known) = known(disk, dir, layout)?.unwrap_or((new, Vec::new()));
        if let Some(Backfill { kind, .. }) = identity.backfill {
            return Err(Error::Backfill { dir: dir.to_owned(), kind });
        }
        let wanted = layout.names();
        if known.is_empty() || known != wanted {
            identity.write(disk, dir, wanted)?;
        }
        Ok(identity)
    }

    /// Makes `dir` a replay of this directory's journal.
    pub fn write_replay(
        &self,
        disk: &dyn Disk,
        dir: &Path,
        layout: &Layout<'_>,
    ) -> Result<(), Error> {
        Self { is_replay: true, ..self.clone() }.write(disk, dir, layout.names())
    }

    /// The kinds that a directory knows.
    pub fn kinds(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, Error> {
        Ok(stored(disk, dir)?.map_or(Vec::new(), |(_, kinds)| kinds))
    }

    /// Marks the directory: a backfill is under way.
    pub fn begin_backfill(
        self,
        disk: &dyn Disk,
        dir: &Path,
        backfill: Backfill,
    ) -> Result<Self, Error> {
        let marked = Self { backfill: Some(backfill), ..self };
        marked.write(disk, dir, Self::kinds(disk, dir)?)?;
        Ok(marked)
    }

    /// The backfill is done: the directory knows the kind, and can be served again.
    pub fn end_backfill(mut self, disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
        let mut kinds = Self::kinds(disk, dir)?;
        kinds.extend(self.backfill.take().map(|backfill| backfill.kind));
        self.write(disk, dir, kinds)
    }

    /// Begins to make a directory what a snapshot says: from here on it is nobody's, until
    /// [`Self::restored`].
    pub(crate) fn restoring(
        &self,
        disk: &dyn Disk,
        dir: &Path,
        layout: &Layout<'_>,
    ) -> Result<(), Error> {
        if known(disk, dir, layout)?.is_some() {
            return Err(Error::Taken(dir.to_owned()));
        }
        self.write_as(disk, &dir.join(RESTORING_FILE), layout.names())
    }

    /// Everything else is there, durably: makes it a data directory, in one step.
    pub(crate) fn restored(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
        let path = dir.join(RESTORING_FILE);
        let renamed = disk.rename(&path, &dir.join(IDENTITY_FILE));
        renamed.and_then(|()| disk.sync_dir(dir)).map_err(Error::io("rename", &path))
    }

    fn write(&self, disk: &dyn Disk, dir: &Path, kinds: Vec<String>) -> Result<(), Error> {
        self.write_as(disk, &dir.join(IDENTITY_FILE), kinds)
    }

    fn write_as(&self, disk: &dyn Disk, path: &Path, kinds: Vec<String>) -> Result<(), Error> {
        let (journal, shards) = (self.journal.to_string(), self.shards);
        let (replay, backfill) = (self.is_replay, self.backfill.clone());
        let format_version = FORMAT_VERSION;
        let stored = Stored { format_version, journal, shards, kinds, replay, backfill };
        let mut text = serde_json::to_vec_pretty(&stored).expect("plain values have a JSON form");
        text.push(b'\n');
        let dir = path.parent().expect("the file lies in its directory");
        disk.create_dir_all(dir).map_err(Error::io("create", dir))?;
        replace_file(disk, path, &text).map_err(Error::io("write", path))
    }
}

/// What a directory is, and the kinds it knows, if it fits the layout.
fn known(
    disk: &dyn Disk,
    dir: &Path,
    layout: &Layout<'_>,
) -> Result<Option<(Identity, Vec<String>)>, Error> {
    let Some((identity, kinds)) = stored(disk, dir)? else { return Ok(None) };
    let dir = dir.to_owned();
    if identity.shards != layout.shards {
        return Err(Error::Shards { dir, found: identity.shards, wanted: layout.shards });
    }
    let wanted = layout.names();
    if !wanted.starts_with(&kinds) {
        return Err(Error::Kinds { dir, found: kinds, wanted });
    }
    Ok(Some((identity, kinds)))
}

fn stored(disk: &dyn Disk, dir: &Path) -> Result<Option<(Identity, Vec<String>)>, Error> {
    let path = dir.join(IDENTITY_FILE);
    if disk.exists(&dir.join(RESTORING_FILE)) {
        return Err(Error::HalfRestored(dir.to_owned()));
    }
    if !disk.exists(&path) {
        return Ok(None);
    }
    let bytes = read_file(disk, &path).map_err(Error::io("read", &path))?;
    let unreadable = |why: String| Error::Unreadable { path: path.clone(), why };
    let stored: Stored =
        serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if stored.format_version > FORMAT_VERSION {
        let (found, known) = (stored.format_version, FORMAT_VERSION);
        return Err(Error::Newer { dir: dir.to_owned(), found, known });
    }
    let journal = JournalId::parse(&stored.journal);
    let journal = journal.ok_or_else(|| unreadable(format!("journal {:?}", stored.journal)))?;
    let (shards, is_replay, backfill) = (stored.shards, stored.replay, stored.backfill);
    Ok(Some((Identity { journal, shards, is_replay, backfill }, stored.kinds)))
}

#[cfg(test)]
mod tests;
