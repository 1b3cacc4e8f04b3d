//! A data directory from a snapshot. All of the snapshot is checked before anything is written, and
//! the directory is nobody's until all of it is there: its last step is one rename.
//!
//! What is *not* here: whether the directory is empty, and its lock; and the gateway's book, which
//! is the gateway's side of the world, and would forget there what was asked of it since.

use super::format::{Header, Part};
use super::{Error, Snapshot, disk_error};
use crate::directory::{Identity, JournalId, Layout};
use crate::disk::Disk;
use crate::store::{self, OpenKv, Store};
use std::path::Path;
use std::sync::Arc;

/// Where a snapshot is restored to.
pub struct Place<'a> {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The data directory, empty but for its lock.
    pub dir: &'a Path,
    /// Opens a key-value store.
    pub open_kv: OpenKv,
    /// How many shards this program has, and which kinds: the snapshot's are the first of them.
    pub layout: Layout<'a>,
}

/// Restores a snapshot. Tells `look` how many bytes of the file were checked, then how many were
/// copied on top of that.
///
/// # Errors
/// The snapshot is damaged or does not fit this program, or the disk refuses: then the directory
/// is no data directory, and says so to whoever opens it.
pub fn restore(
    snapshot: &Snapshot,
    place: &Place<'_>,
    look: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let Place { disk, dir, .. } = place;
    snapshot.check(look)?;
    let Header { journal, shards, kinds, .. } = snapshot.header();
    let names: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let layout = Layout { shards: u32::from(*shards), kinds: &names };
    place.layout.holds(&layout, dir)?;
    let identity = Identity {
        journal: JournalId(*journal),
        shards: layout.shards,
        is_replay: false,
        backfill: None,
    };
    identity.restoring(&**disk, dir, &layout)?;
    let mut done = snapshot.size_bytes();
    let parts: Vec<Part> = snapshot.parts().map(|(part, _)| part.clone()).collect();
    for part in &parts {
        copy_part(snapshot, place, part, &mut |bytes| {
            done += bytes;
            look(done);
        })?;
    }
    for folder in ["images", "journal"] {
        let folder = dir.join(folder);
        disk.create_dir_all(&folder).map_err(disk_error("create", &folder))?;
        disk.sync_dir(&folder).map_err(disk_error("sync", &folder))?;
    }
    disk.sync_dir(dir).map_err(disk_error("sync", dir))?;
    // The store names its images once and for all here, so that it is whole from the first start.
    let options = store::Options { shards: *shards, ..store::Options::default() };
    drop(Store::open(disk.clone(), dir, &place.open_kv, options, *journal)?);
    Ok(Identity::restored(&**disk, dir)?)
}

fn copy_part(
    snapshot: &Snapshot,
    Place { disk, dir, .. }: &Place<'_>,
    part: &Part,
    look: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let path = dir.join(part.path());
    let folder = path.parent().expect("a part lies in the data directory");
    disk.create_dir_all(folder).map_err(disk_error("create", folder))?;
    let file = disk.create(&path).map_err(disk_error("create", &path))?;
    let mut offset = 0;
    snapshot.copy(part, &mut |bytes| {
        file.write_all_at(bytes, offset).map_err(disk_error("write", &path))?;
        offset += bytes.len() as u64;
        look(bytes.len() as u64);
        Ok(())
    })?;
    file.sync_data().map_err(disk_error("sync", &path))
}
