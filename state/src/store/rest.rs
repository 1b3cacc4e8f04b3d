//! The store at rest: looked at, and never opened, since opening repairs: it moves aside, removes
//! and begins anew. For checks.
//!
//! The images are read where they lie. The key-value store is copied first, and the copy is opened:
//! a key-value store that is opened may write. What is *not* here: what rows mean, and repair.

use super::open::{OpenKv, VERDICT, open_in_time};
use super::view::{Overlay, View};
use super::{Error, Options, Reader, Shared, disk_error, meta};
use crate::disk::Disk;
use crate::image::{Cache, Image, file_name};
use actors::Position;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, RwLock};

/// A store that nobody has open.
pub struct AtRest {
    shared: Arc<Shared>,
    meta: meta::Meta,
    /// The shards whose image cannot be read.
    broken: BTreeSet<u16>,
}

/// What was found.
#[derive(Default)]
pub struct Looked {
    /// The store, if it can be read.
    pub store: Option<AtRest>,
    /// How many images the store names.
    pub images: u64,
    /// What is wrong.
    pub findings: Vec<String>,
}

/// Where the store lies, and how to look at it.
pub struct Place<'a> {
    /// The disk; it may be one that refuses to write.
    pub disk: Arc<dyn Disk>,
    /// The data directory.
    pub dir: &'a Path,
    /// A directory that is there, empty, and the caller's to remove: for the copy.
    pub scratch: &'a Path,
    /// Opens a key-value store.
    pub open_kv: OpenKv,
}

/// Looks at the store of the journal of this id.
///
/// # Errors
/// The disk fails. What is wrong with the store is no error but a finding.
pub fn look(place: &Place<'_>, options: &Options, journal: [u8; 16]) -> Result<Looked, Error> {
    let mut looked = Looked::default();
    let path = place.dir.join("store");
    if place.disk.exists(&place.dir.join(VERDICT)) {
        let verdict = place.dir.join(VERDICT);
        looked.findings.push(format!("{}: the store has failed at work", verdict.display()));
    }
    if !place.disk.exists(&path) {
        looked.findings.push(format!("{}: there is no store", path.display()));
        return Ok(looked);
    }
    let copy = place.scratch.join("store");
    copy_dir(&path, &copy).map_err(disk_error("copy", &path))?;
    let opened = open_in_time(&place.open_kv, &copy, options.open_seconds_max);
    let known = opened.and_then(|kv| match meta::load(&*kv, journal, options.shards) {
        Ok(meta::Found::Ours(meta)) => Ok((kv, meta)),
        Ok(meta::Found::New) => Err("it is empty".to_owned()),
        Ok(meta::Found::Unfit(why)) => Err(why),
        Err(error) => Err(error.to_string()),
    });
    let (kv, meta) = match known {
        Ok(known) => known,
        Err(why) => {
            looked.findings.push(format!("{}: {why}", path.display()));
            return Ok(looked);
        }
    };
    let images = place.dir.join("images");
    let (mut views, mut broken) = (Vec::new(), BTreeSet::new());
    for (shard, entry) in (0..).zip(&meta.shards) {
        let overlay = Overlay::unlisted(entry.overlay_entries, entry.overlay_bytes);
        let image = image_of(place, shard, entry, journal);
        let image = image.unwrap_or_else(|why| {
            looked.findings.push(why);
            broken.insert(shard);
            None
        });
        looked.images += u64::from(image.is_some());
        let view = View::new(entry.tree(shard), image, overlay).with_rows(entry.rows);
        views.push(RwLock::new(Arc::new(view)));
    }
    let cache = Cache::new(options.block_cache_bytes);
    let verdict = place.scratch.join(VERDICT);
    let disk = place.disk.clone();
    let shared = Arc::new(Shared { disk, images, verdict, kv, views, cache });
    looked.store = Some(AtRest { shared, meta, broken });
    Ok(looked)
}

/// The image that a shard's entry names, if it names one; or what is wrong with it.
fn image_of(
    place: &Place<'_>,
    shard: u16,
    entry: &meta::Shard,
    journal: [u8; 16],
) -> Result<Option<Arc<Image>>, String> {
    if entry.image == 0 {
        return Ok(None);
    }
    let path = place.dir.join("images").join(file_name(shard, entry.image));
    let wrong = |why: &str| Err(format!("{}: {why}", path.display()));
    if !place.disk.exists(&path) {
        return wrong("the store names this image, and it is not there");
    }
    let image = Image::open(&place.disk, &path).map_err(|error| error.to_string())?;
    let header = image.header();
    if header.journal != journal {
        return wrong("the image belongs to another journal");
    }
    if (header.shard, header.generation) != (shard, entry.image) {
        return wrong("the image has the name of another");
    }
    Ok(Some(Arc::new(image)))
}

/// Copies the files of a directory, and of those in it.
fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_dir(&path, &copy)?;
        } else {
            std::fs::copy(&path, &copy)?;
        }
    }
    Ok(())
}

impl AtRest {
    /// At least every position that is stored.
    pub fn ceiling(&self) -> Position {
        self.meta.ceiling
    }

    /// From where the journal is to be replayed onto this shard.
    pub fn replay_from(&self, shard: u16) -> Position {
        self.meta.shards[usize::from(shard)].replay_from
    }

    /// Whether what is stored of this shard cannot be read whole.
    pub fn is_broken(&self, shard: u16) -> bool {
        self.broken.contains(&shard)
    }

    /// Reads the store. An image that it finds damaged stays where it is.
    pub fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }
}
