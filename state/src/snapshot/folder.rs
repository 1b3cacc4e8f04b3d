//! The folder of snapshots: which are there, which of them is the newest good one, and which go.
//!
//! A file's name is its position, so the newest is the last by name. What is *not* here: when.

use super::write::UNFINISHED;
use super::{Error, Snapshot, disk_error};
use crate::disk::Disk;
use actors::Position;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXTENSION: &str = "snap";

/// The name of a snapshot's file in the folder.
pub fn file_name(position: Position) -> String {
    format!("{position:020}.{EXTENSION}")
}

/// What lies in the folder under a snapshot's name.
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// It, if it opens; its parts were not looked at.
    pub snapshot: Result<Snapshot, Error>,
}

/// All of them, the newest first; none if there is no folder.
///
/// # Errors
/// The folder cannot be read.
pub fn list(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Vec<Found>, Error> {
    if !disk.exists(dir) {
        return Ok(Vec::new());
    }
    let mut names = disk.list(dir).map_err(disk_error("list", dir))?;
    names.retain(|name| Path::new(name).extension().is_some_and(|end| end == EXTENSION));
    names.reverse();
    let found = |name: String| {
        let path = dir.join(name);
        let snapshot = Snapshot::open(disk, &path);
        Found { path, snapshot }
    };
    Ok(names.into_iter().map(found).collect())
}

/// The newest good snapshot of a folder, and what is wrong with newer ones.
#[derive(Default)]
pub struct Newest {
    /// It.
    pub snapshot: Option<Snapshot>,
    /// Each with its file's name.
    pub passed_over: Vec<String>,
}

/// The newest snapshot of this journal of which every byte checks.
///
/// # Errors
/// The folder cannot be read.
pub fn newest(disk: &Arc<dyn Disk>, dir: &Path, journal: [u8; 16]) -> Result<Newest, Error> {
    let mut newest = Newest::default();
    for Found { path, snapshot } in list(disk, dir)? {
        let checked = snapshot.and_then(|snapshot| snapshot.check(&mut |_| {}).map(|()| snapshot));
        match checked {
            Ok(snapshot) if snapshot.header().journal == journal => {
                newest.snapshot = Some(snapshot);
                break;
            }
            Ok(_) => {
                let what = format!("snapshot {} is of another journal", path.display());
                newest.passed_over.push(what);
            }
            Err(error) => newest.passed_over.push(error.to_string()),
        }
    }
    Ok(newest)
}

/// Copies a snapshot to another file, durably, and checks the copy before it gets its name.
///
/// # Errors
/// The disk refuses, or a byte does not check.
pub fn copy(disk: &dyn Disk, from: &Snapshot, to: &Path) -> Result<(), Error> {
    let unfinished = to.with_extension(UNFINISHED);
    let copied = from.copy_file(disk, &unfinished);
    if copied.is_err() {
        // Nobody takes it for a snapshot; best effort.
        let _ = disk.remove_file(&unfinished);
    }
    copied?;
    disk.rename(&unfinished, to).map_err(disk_error("rename", &unfinished))?;
    let dir =
        to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    disk.sync_dir(dir).map_err(disk_error("sync", dir))
}

/// Removes what unfinished snapshots left.
///
/// # Errors
/// The disk refuses.
pub fn clean(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    let names = disk.list(dir).map_err(disk_error("list", dir))?;
    for name in names {
        let path = dir.join(name);
        if path.extension().is_some_and(|end| end == UNFINISHED) {
            disk.remove_file(&path).map_err(disk_error("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes all but the newest `keep` snapshots of this journal. What does not open, or is of
/// another journal, is somebody's to look at, and stays.
///
/// # Errors
/// The disk refuses.
pub fn prune(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    journal: [u8; 16],
    keep: usize,
) -> Result<(), Error> {
    let ours = |found: &Found| {
        found.snapshot.as_ref().is_ok_and(|snapshot| snapshot.header().journal == journal)
    };
    for found in list(disk, dir)?.into_iter().filter(ours).skip(keep.max(1)) {
        disk.remove_file(&found.path).map_err(disk_error("remove", &found.path))?;
    }
    Ok(())
}
