//! Opening a journal: what a crash left is found out, and made durable or cut, before anyone reads
//! it.
//!
//! 1. the newest good file of the origin table;
//! 2. the frames from its cut on (`scan`);
//! 3. the tail: cut if torn, refused if damaged (`tail`);
//! 4. what nobody vouches for is written again and synced;
//! 5. the window of ids, from the `.ids` files and the frames scanned.

use super::buffers::Buffers;
use super::commit::ORIGIN_FILES;
use super::floor::{Gathered, Orphan};
use super::ids::SegmentIds;
use super::reader::{Shared, lock};
use super::scan::Scan;
use super::segment::{Place, Segment};
use super::walk::Stop;
use super::window::Window;
use super::{Error, Journal, Options, Spares, Tail, tail};
use crate::disk::{Disk, read_file};
use crate::origin::{Origins, Saved, decode};
use actors::Position;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What was found when the journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The position of the next record.
    pub next: Position,
    /// From where the origin table was folded again.
    pub scanned_from: Position,
    /// How many frames that were.
    pub frames: u64,
    /// How many bytes of a torn tail were cut.
    pub torn_bytes: u64,
    /// How many bytes were written again because nobody vouched for them.
    pub rewritten_bytes: u64,
    /// How many ids are remembered.
    pub ids: usize,
    /// Of how many segments the ids had to be gathered anew.
    pub ids_gathered: u32,
    /// Which files of the origin table were there and could not be used.
    pub origin_files_damaged: Vec<String>,
}

impl Journal {
    /// Opens the journal in `dir`, or begins one. `vouched_to` says who outside the journal knows
    /// that it was durable up to where: a journal that is shorter is refused.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: Options,
        vouched_to: &[(String, Position)],
    ) -> Result<(Self, Opened), Error> {
        disk.create_dir_all(dir).map_err(Error::io("create", dir))?;
        let names = disk.list(dir).map_err(Error::io("list", dir))?;
        let shared = Arc::new(Shared::new(disk.clone(), dir, &options));
        let mut opened = Opened::default();
        let Generations { saved, cuts } = generations(&shared, &names, &mut opened)?;
        let segments: Vec<Arc<Segment>> = names
            .iter()
            .filter_map(|name| Some(Arc::new(Segment::new(dir, Segment::base_of(name)?))))
            .collect();
        let start = first_scanned(&shared, &segments, saved.cut)?;
        let mut scan = Scan::run(&shared, &segments, start, saved.origins)?;
        let mut vouchers = vec![("the origin table".to_owned(), saved.cut)];
        vouchers.extend_from_slice(vouched_to);
        let voucher = tail::highest(&vouchers);
        let durable = scan.durable_to.max(voucher.position);
        opened.torn_bytes = tail::cut(&shared, &segments, &scan, voucher)?;
        opened.rewritten_bytes = tail::rewrite(&shared, &segments, &scan, durable)?;
        let kept = &segments[..segments.len().min(scan.tail + 1)];
        forget_ids_of_tail(&shared, kept)?;
        disk.sync_dir(dir).map_err(Error::io("sync", dir))?;

        let sizes = (options.segment_bytes, options.disk_reserve_bytes);
        let spares =
            Spares::open(disk, dir, &names, sizes).map_err(Error::io("look for spares in", dir))?;
        let (window, orphans) =
            window(&shared, &options, (kept, start, &names), &scan, &mut opened)?;
        opened.next = scan.end.position;
        opened.scanned_from = segments.get(start).map_or(0, |segment| segment.base);
        opened.frames = scan.frames;
        *lock(&shared.segments) =
            kept.iter().map(|segment| (segment.base, segment.clone())).collect();
        shared.set_durable(scan.end.position);
        let journal = Self {
            tail: open_tail(&shared, kept, scan.end, options.segment_bytes)?,
            origins: std::mem::take(&mut scan.origins),
            cuts,
            generation: saved.generation,
            ids_durable: window.count(),
            window,
            orphans,
            ids: scan.ids.pop().unwrap_or_default(),
            parts: Vec::new(),
            buffers: Buffers::default(),
            unwritten_bytes: 0,
            next: scan.end.position,
            last_time: scan.last_time(),
            predecessor: scan.last.map_or(0, |last| last.crc),
            sealed: scan.last.is_none_or(|last| last.is_seal()),
            clock_jumps: 0,
            failed: false,
            shared,
            options,
            spares,
        };
        Ok((journal, opened))
    }
}

struct Generations {
    /// The newest good one, or an empty table cut at 0.
    saved: Saved,
    cuts: [Option<Position>; 2],
}

fn generations(
    shared: &Shared,
    names: &[String],
    opened: &mut Opened,
) -> Result<Generations, Error> {
    let none = Saved { generation: 0, cut: 0, uuid: [0; 16], origins: Origins::default() };
    let mut found = Generations { saved: none, cuts: [None; 2] };
    for (slot, name) in ORIGIN_FILES.into_iter().enumerate() {
        if !names.iter().any(|there| there == name) {
            continue;
        }
        let path = shared.dir.join(name);
        let bytes = read_file(&*shared.disk, &path).map_err(Error::io("read", &path))?;
        let Some(saved) = decode(&bytes) else {
            opened.origin_files_damaged.push(name.to_owned());
            continue;
        };
        if saved.uuid != shared.uuid() {
            return Err(Error::Foreign { path });
        }
        found.cuts[slot] = Some(saved.cut);
        if saved.generation > found.saved.generation {
            found.saved = saved;
        }
    }
    Ok(found)
}

/// The segment that holds the cut.
fn first_scanned(
    shared: &Shared,
    segments: &[Arc<Segment>],
    cut: Position,
) -> Result<usize, Error> {
    let behind = segments.partition_point(|segment| segment.base <= cut);
    match (segments.first(), behind) {
        (Some(first), 0) => Err(Error::Missing {
            dir: shared.dir.clone(),
            found: first.base,
            voucher: "the origin table".to_owned(),
            needed: cut,
        }),
        _ => Ok(behind.saturating_sub(1)),
    }
}

/// The segment that goes on being written may have been closed before its end was cut.
fn forget_ids_of_tail(shared: &Shared, kept: &[Arc<Segment>]) -> Result<(), Error> {
    let Some(tail) = kept.last() else { return Ok(()) };
    let path = tail.ids_path();
    if shared.disk.exists(&path) {
        shared.disk.remove_file(&path).map_err(Error::io("remove", &path))?;
    }
    Ok(())
}

fn open_tail(
    shared: &Shared,
    kept: &[Arc<Segment>],
    end: Place,
    segment_bytes: u64,
) -> Result<Tail, Error> {
    let Some(segment) = kept.last() else {
        return Ok(Tail { segment: None, file: None, offset: 0, capacity: 0 });
    };
    let failed = |source| Error::io("open", &segment.path)(source);
    let file = shared.disk.open(&segment.path).map_err(failed)?;
    let mut capacity = file.len().map_err(failed)?;
    if segment.base == end.position && capacity < segment_bytes {
        // Somebody has cut the file. Its name is taken, so what is next has to fit in.
        let zeros = vec![0; (segment_bytes - capacity) as usize];
        let lengthened = file.write_all_at(&zeros, capacity).and_then(|()| file.sync_data());
        lengthened.map_err(Error::io("lengthen", &segment.path))?;
        capacity = segment_bytes;
    }
    let file = shared.disk.open_appending(&segment.path).map_err(failed)?;
    let segment = Some(segment.clone());
    Ok(Tail { segment, file: Some(file), offset: end.offset, capacity })
}

/// The window as it was, from the frames scanned and from the `.ids` files of what lies before
/// them, the newest first.
fn window(
    shared: &Shared,
    options: &Options,
    (kept, start, names): (&[Arc<Segment>], usize, &[String]),
    scan: &Scan,
    opened: &mut Opened,
) -> Result<(Window, Vec<Orphan>), Error> {
    for (segment, ids) in kept[start.min(kept.len())..].iter().zip(&scan.ids) {
        let is_tail = Arc::ptr_eq(segment, kept.last().expect("it is not empty"));
        if !is_tail && !shared.disk.exists(&segment.ids_path()) {
            shared.write_ids(segment.base, ids);
        }
    }
    let oldest_ms = scan.last_time().0.saturating_sub(options.ids_window_ms);
    let mut count: usize = scan.ids.iter().map(SegmentIds::len).sum();
    let mut older = Vec::new();
    let mut orphans = Vec::new();
    for base in bases_before(kept, start, names) {
        let at = kept.binary_search_by_key(&base, |segment| segment.base);
        let segment = at.ok().map(|at| &*kept[at]);
        if count >= options.ids_max && segment.is_some() {
            continue;
        }
        let (ids, gathered) = shared.ids_of(base, segment)?;
        opened.ids_gathered += u32::from(gathered);
        let last_ms = ids.last_ms().unwrap_or(i64::MIN);
        if segment.is_none() {
            orphans.push(Orphan { path: Segment::new(&shared.dir, base).ids_path(), last_ms });
        }
        if last_ms >= oldest_ms && count < options.ids_max {
            count += ids.len();
            older.push(ids);
        }
    }
    let mut window = Window::new(options.ids_max, options.ids_window_ms);
    for (id, ms) in older.iter().rev().chain(&scan.ids).flat_map(SegmentIds::iter) {
        window.remember(id, ms);
    }
    opened.ids = window.len();
    Ok((window, orphans))
}

/// The segments before the scanned ones, and the `.ids` files without a segment, the newest first.
fn bases_before(kept: &[Arc<Segment>], start: usize, names: &[String]) -> Vec<Position> {
    let first = kept.first().map_or(0, |segment| segment.base);
    let orphan = |name: &String| {
        let base: Position = name.strip_suffix(".ids")?.parse().ok()?;
        (base < first).then_some(base)
    };
    let orphans = names.iter().filter_map(orphan);
    let before = kept[..start.min(kept.len())].iter().map(|segment| segment.base);
    let mut bases: Vec<_> = orphans.chain(before).collect();
    bases.reverse();
    bases
}

impl Shared {
    /// The ids of a segment, from its `.ids` file or else from the segment, if that is still there.
    pub(super) fn ids_of(
        &self,
        base: Position,
        segment: Option<&Segment>,
    ) -> Result<Gathered, Error> {
        let path = Segment::new(&self.dir, base).ids_path();
        match read_file(&*self.disk, &path) {
            Ok(bytes) => {
                if let Some(ids) = SegmentIds::decode(&bytes, base) {
                    return Ok((ids, false));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", &path)(error)),
        }
        let Some(segment) = segment else { return Ok((SegmentIds::default(), false)) };
        let ids = self.gather(segment)?;
        self.write_ids(base, &ids);
        Ok((ids, true))
    }

    pub(super) fn gather(&self, segment: &Segment) -> Result<SegmentIds, Error> {
        let path = &segment.path;
        let file = self.disk.open(path).map_err(Error::io("open", path))?;
        let mut walk = self.walk(file, Place { position: segment.base, offset: 0 });
        let mut ids = SegmentIds::default();
        loop {
            match walk.step() {
                Ok((view, _)) => ids.fold(view),
                Err(Stop::End) => return Ok(ids),
                Err(stop) => return Err(self.stopped(stop, segment, &walk)),
            }
        }
    }

    pub(super) fn write_ids(&self, base: Position, ids: &SegmentIds) {
        let path = Segment::new(&self.dir, base).ids_path();
        let written = self.disk.create(&path);
        let written = written.and_then(|file| file.write_all_at(&ids.encode(base), 0));
        if let Err(error) = written {
            // It is made again from the segment when it is needed.
            tracing::warn!(path = %path.display(), %error, "no ids file written");
        }
    }
}
