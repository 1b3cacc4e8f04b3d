//! Opening the store: whatever is there, a store comes of it, and what had to be given up is said.
//!
//! * Nothing: a new store; every shard replays from the journal's beginning.
//! * A key-value store that fails, hangs, is damaged or of another journal, or that failed at work
//!   the last time: it is moved aside, and every shard begins with its newest valid image.
//! * An image that is missing or damaged: it is moved aside, and the shard begins with another of
//!   its images, or from nothing.
//! * A shard that would then begin below the journal's floor: it begins with the newest good
//!   snapshot's image, if there is one.
//! * Files and trees that nothing names, which a crash left of a checkpoint: removed.
//! * An image of another journal: moved aside. One of a newer version: refused.
//!
//! An image is whole by itself, so any valid one is a true state of its shard, with its own *replay
//! from*; the overlay is true only over the image that it was begun on. What is *not* here: whether
//! the journal still reaches back far enough; the caller compares.

use super::fallback::Fallback;
use super::kv::{Kv, KvError};
use super::meta::{self, Found, Meta};
use super::view::{Overlay, View};
use super::{Error, Options, Shared, Store, disk_error, kv_error};
use crate::disk::{Disk, read_file};
use crate::image::{self, Cache, Image, file_name, is_unfinished, parse_file_name, set_aside};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, mpsc};
use std::time::Duration;

/// The file that says why the key-value store is not to be used again.
pub(super) const VERDICT: &str = "store.failed";

/// Opens a key-value store in a directory, or makes one.
pub type OpenKv = Arc<dyn Fn(&Path) -> Result<Arc<dyn Kv>, KvError> + Send + Sync>;

/// What was found and done when the store was opened, for the log and the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// There was nothing before.
    pub fresh: bool,
    /// The key-value store was moved aside: why, and where to.
    pub aside: Option<(String, PathBuf)>,
    /// Shards that begin with less than was known of them, and replay more of the journal.
    pub rebuilt: Vec<u16>,
    /// Images that were damaged, missing or of another journal, and what was wrong.
    pub images_lost: Vec<String>,
    /// The snapshot that shards begin with whose journal is gone, and which those are.
    pub snapshot: Option<PathBuf>,
    /// See `snapshot`.
    pub from_snapshot: Vec<u16>,
    /// Newer snapshots that cannot be used, and why.
    pub snapshots_lost: Vec<String>,
    /// How many files and trees of unfinished checkpoints were removed.
    pub leftovers: u32,
}

pub(super) fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    open_kv: &OpenKv,
    options: Options,
    journal: [u8; 16],
) -> Result<(Store, Opened), Error> {
    let images = dir.join("images");
    disk.create_dir_all(&images).map_err(disk_error("create", &images))?;
    let fallback = Fallback::new(&options, journal);
    let mut opening = Opening { disk, images, journal, fallback, opened: Opened::default() };
    let (kv, known) = opening.open_kv(dir, open_kv, &options)?;
    let files = opening.image_files()?;
    opening.opened.fresh = known.is_none() && files.is_empty() && opening.opened.aside.is_none();
    let last = files.iter().map(|file| file.generation).max().unwrap_or(0);
    let shards = known.iter().flat_map(|meta| &meta.shards);
    let last = shards.flat_map(|shard| [shard.image, shard.overlay]).fold(last, u64::max);
    let mut next_generation = last + 1;
    let chosen = opening.choose(known.as_ref(), &files, options.shards, &mut next_generation)?;
    if known.as_ref() != Some(&chosen.meta) {
        // An image that is counted on from now on may have its name from a moment before a crash.
        let synced = opening.disk.sync_dir(&opening.images);
        synced.map_err(disk_error("sync", &opening.images))?;
        meta::write(&*kv, &chosen.meta.batch())?;
    }
    opening.remove_leftovers(&*kv, &chosen, &files)?;
    let Chosen { meta, views } = chosen;
    let cache = Cache::new(options.block_cache_bytes);
    let Opening { disk, images, fallback, mut opened, .. } = opening;
    (opened.snapshot, opened.snapshots_lost) = fallback.report();
    let store = Store {
        shared: Arc::new(Shared { disk, images, verdict: dir.join(VERDICT), kv, views, cache }),
        options,
        ceiling_durable: meta.ceiling,
        meta,
        next_generation,
        staged: Vec::new(),
        reports: Vec::new(),
        retired: Vec::new(),
        unsynced: false,
        failed: false,
    };
    Ok((store, opened))
}

struct Opening {
    disk: Arc<dyn Disk>,
    images: PathBuf,
    journal: [u8; 16],
    fallback: Fallback,
    opened: Opened,
}

struct ImageFile {
    shard: u16,
    generation: u64,
    name: String,
}

impl ImageFile {
    fn is(&self, shard: u16, generation: u64) -> bool {
        (self.shard, self.generation) == (shard, generation)
    }
}

struct Chosen {
    meta: Meta,
    views: Vec<RwLock<Arc<View>>>,
}

impl Opening {
    /// A key-value store that works, and what it knows if it is ours.
    fn open_kv(
        &mut self,
        dir: &Path,
        open_kv: &OpenKv,
        options: &Options,
    ) -> Result<(Arc<dyn Kv>, Option<Meta>), Error> {
        let (path, verdict) = (dir.join("store"), dir.join(VERDICT));
        let verdict_found = self.disk.exists(&verdict);
        let opened = if verdict_found {
            let why = read_file(&*self.disk, &verdict).map_err(disk_error("read", &verdict))?;
            Err(String::from_utf8_lossy(&why).into_owned())
        } else {
            open_in_time(open_kv, &path, options.open_seconds_max)
        };
        let why = match opened {
            Err(why) => why,
            Ok(kv) => match meta::load(&*kv, self.journal, options.shards) {
                Ok(Found::New) => return Ok((kv, None)),
                Ok(Found::Ours(meta)) => return Ok((kv, Some(meta))),
                Ok(Found::Unfit(why)) => why,
                Err(error) => error.to_string(),
            },
        };
        let aside = self.free_name(dir);
        if self.disk.exists(&path) {
            self.disk.rename(&path, &aside).map_err(disk_error("move aside", &path))?;
        }
        if verdict_found {
            self.disk.remove_file(&verdict).map_err(disk_error("remove", &verdict))?;
        }
        self.disk.sync_dir(dir).map_err(disk_error("sync", dir))?;
        self.opened.aside = Some((why, aside));
        let kv = open_in_time(open_kv, &path, options.open_seconds_max);
        let kv = kv.map_err(KvError::Failed).map_err(kv_error("begin a new"))?;
        Ok((kv, None))
    }

    fn free_name(&self, dir: &Path) -> PathBuf {
        let mut names = (1_u32..).map(|n| dir.join(format!("store.aside-{n}")));
        names.find(|path| !self.disk.exists(path)).expect("numbers do not run out")
    }

    /// All images that have a name, newest first.
    fn image_files(&self) -> Result<Vec<ImageFile>, Error> {
        let names = self.disk.list(&self.images).map_err(disk_error("list", &self.images))?;
        let mut files = Vec::new();
        for name in names {
            if let Some((shard, generation)) = parse_file_name(&name) {
                files.push(ImageFile { shard, generation, name });
            }
        }
        files.sort_by_key(|file| std::cmp::Reverse(file.generation));
        Ok(files)
    }

    /// For every shard the image that counts, and what is over it.
    fn choose(
        &mut self,
        known: Option<&Meta>,
        files: &[ImageFile],
        shards: u16,
        next_generation: &mut u64,
    ) -> Result<Chosen, Error> {
        let mut meta = known.cloned().unwrap_or_default();
        meta.journal = self.journal;
        meta.shards.resize_with(shards.into(), meta::Shard::default);
        let mut views = Vec::with_capacity(shards.into());
        for (shard, entry) in (0..shards).zip(&mut meta.shards) {
            let kept =
                known.is_some().then(|| self.kept(shard, entry, files)).transpose()?.flatten();
            let view = if let Some(view) = kept {
                view
            } else {
                let view = self.rebuild(shard, entry, files, *next_generation)?;
                *next_generation += 1;
                view
            };
            let ceiling = view.image.as_ref().map_or(0, |image| image.header().ceiling);
            meta.ceiling = meta.ceiling.max(ceiling);
            views.push(RwLock::new(Arc::new(view.with_rows(entry.rows))));
        }
        Ok(Chosen { meta, views })
    }

    /// The shard as the store knows it, unless its image is lost.
    fn kept(
        &mut self,
        shard: u16,
        entry: &meta::Shard,
        files: &[ImageFile],
    ) -> Result<Option<View>, Error> {
        let overlay = Overlay::unlisted(entry.overlay_entries, entry.overlay_bytes);
        if entry.image == 0 {
            return Ok(Some(View::new(entry.tree(shard), None, overlay)));
        }
        let Some(file) = files.iter().find(|file| file.is(shard, entry.image)) else {
            self.opened
                .images_lost
                .push(format!("image {} is missing", file_name(shard, entry.image)));
            return Ok(None);
        };
        let image = self.open_image(file)?;
        Ok(image.map(|image| View::new(entry.tree(shard), Some(Arc::new(image)), overlay)))
    }

    /// The shard as its newest valid image has it, or empty.
    fn rebuild(
        &mut self,
        shard: u16,
        entry: &mut meta::Shard,
        files: &[ImageFile],
        overlay: u64,
    ) -> Result<View, Error> {
        let mut image = self.newest_valid(shard, files)?;
        if !self.fallback.reaches(image.as_ref())
            && let Some(found) = self.fallback.image(&self.disk, &self.images, (shard, overlay))?
        {
            self.opened.from_snapshot.push(shard);
            image = Some(found);
        }
        let known = image.as_ref().map(|image| meta::of_image(image.header(), image.rows()));
        *entry = meta::Shard { overlay, ..known.unwrap_or_default() };
        if !self.opened.fresh {
            self.opened.rebuilt.push(shard);
        }
        Ok(View::new(entry.tree(shard), image.map(Arc::new), Overlay::empty()))
    }

    fn newest_valid(&mut self, shard: u16, files: &[ImageFile]) -> Result<Option<Image>, Error> {
        for file in files.iter().filter(|file| file.shard == shard) {
            if let Some(image) = self.open_image(file)? {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    /// An image, or none if it is no good; then it has another name from now on.
    fn open_image(&mut self, file: &ImageFile) -> Result<Option<Image>, Error> {
        let path = self.images.join(&file.name);
        if !self.disk.exists(&path) {
            return Ok(None);
        }
        let why = match Image::open(&self.disk, &path) {
            Ok(image) if image.header().journal != self.journal => {
                format!("image {} belongs to another journal", path.display())
            }
            Ok(image)
                if (image.header().shard, image.header().generation)
                    == (file.shard, file.generation) =>
            {
                return Ok(Some(image));
            }
            Ok(_) => format!("image {} has the name of another", path.display()),
            Err(error @ image::Error::Damaged { .. }) => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        set_aside(&*self.disk, &path);
        self.opened.images_lost.push(why);
        Ok(None)
    }

    /// Removes what unfinished checkpoints left.
    fn remove_leftovers(
        &mut self,
        kv: &dyn Kv,
        chosen: &Chosen,
        files: &[ImageFile],
    ) -> Result<(), Error> {
        let shards = chosen.meta.shards.iter().zip(0_u16..);
        let named: BTreeSet<(u16, u64)> = shards.clone().map(|(s, i)| (i, s.image)).collect();
        let unnamed = files.iter().filter(|f| !named.contains(&(f.shard, f.generation)));
        let mut names: Vec<String> = unnamed.map(|file| file.name.clone()).collect();
        let listed = self.disk.list(&self.images).map_err(disk_error("list", &self.images))?;
        names.extend(listed.into_iter().filter(|name| is_unfinished(name)));
        for name in names {
            let path = self.images.join(name);
            // Some were set aside a moment ago.
            if self.disk.exists(&path) {
                self.disk.remove_file(&path).map_err(disk_error("remove", &path))?;
                self.opened.leftovers += 1;
            }
        }
        let trees: BTreeSet<String> = shards.map(|(s, i)| s.tree(i)).collect();
        for tree in kv.trees().map_err(kv_error("list the trees of"))? {
            if tree != meta::TREE && !trees.contains(&tree) {
                kv.drop_tree(&tree).map_err(kv_error("drop a tree of"))?;
                self.opened.leftovers += 1;
            }
        }
        Ok(())
    }
}

/// Opens a key-value store on a thread of its own: it may panic, and it may not come back. A thread
/// that does not is left behind; its database is moved away under it.
pub(super) fn open_in_time(
    open_kv: &OpenKv,
    path: &Path,
    seconds_max: u64,
) -> Result<Arc<dyn Kv>, String> {
    let (answer, opened) = mpsc::channel();
    let (open_kv, path) = (Arc::clone(open_kv), path.to_owned());
    let opener = move || {
        let result = catch_unwind(AssertUnwindSafe(|| open_kv(&path)));
        // Nobody listens any more if it took too long.
        let _ = answer.send(result);
    };
    let spawned = std::thread::Builder::new().name("store-open".to_owned()).spawn(opener);
    spawned.map_err(|error| format!("could not start a thread to open it: {error}"))?;
    match opened.recv_timeout(Duration::from_secs(seconds_max)) {
        Ok(Ok(Ok(kv))) => Ok(kv),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Err(_panic)) => Err("opening it panicked".to_owned()),
        Err(_) => Err(format!("it was not open after {seconds_max} s")),
    }
}
