//! The journal at rest: looked at frame by frame, and never opened, so that nothing is cut, written
//! again or removed. For checks, and for whoever reads beside a process that writes.
//!
//! [`AtRest::check`] looks at everything: each frame's checksum, uuid, position and predecessor,
//! what stands behind the last one, and the files of the origin table and of ids.
//! [`AtRest::frames`] goes through the frames once more. What is *not* here: what a record means,
//! and repair.

use super::commit::ORIGIN_FILES;
use super::ids::SegmentIds;
use super::reader::Shared;
use super::segment::{Place, Segment};
use super::tail::{self, Voucher};
use super::walk::{Stop, Walk};
use super::{Error, Options};
use crate::disk::{Disk, read_file};
use crate::frame::Frame;
use crate::frame::header::Fault;
use crate::origin::{self, Origins, Saved};
use actors::Position;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A journal that nobody has open, or somebody else.
pub struct AtRest {
    pub(super) shared: Shared,
    segments: Vec<Arc<Segment>>,
    names: Vec<String>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}, offset {offset}, position {position}: {what}", path.display())]
pub struct Finding {
    /// In which file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// Which position should stand there.
    pub position: Position,
    /// What is wrong.
    pub what: String,
}

/// What a check has come across.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The first position.
    pub first: Position,
    /// The position behind the last one.
    pub end: Position,
    /// How many files.
    pub segments: u64,
    /// How many frames, seals included.
    pub frames: u64,
    /// How many records.
    pub records: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Whether there is a hole before the end, so that a fold of the journal says nothing.
    pub holed: bool,
}

/// A frame that was looked at, and how many bytes of the journal's files lie behind it.
pub struct Seen<'a> {
    /// The frame.
    pub frame: &'a Frame,
    /// How much of the journal was read, in bytes of its files.
    pub read_bytes: u64,
}

/// Whoever looks at frames.
pub type Look<'a> = dyn FnMut(&Seen<'_>) + 'a;

impl AtRest {
    /// Finds the files of the journal in `dir`.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, uuid: [u8; 16]) -> Result<Self, Error> {
        let names = disk.list(dir).map_err(Error::io("list", dir))?;
        let shared = Shared::new(disk, dir, &Options::new(uuid));
        let base = |name: &String| Some(Arc::new(Segment::new(dir, Segment::base_of(name)?)));
        let segments = names.iter().filter_map(base).collect();
        Ok(Self { shared, segments, names })
    }

    /// The first position there is.
    pub fn first(&self) -> Position {
        self.segments.first().map_or(0, |segment| segment.base)
    }

    /// Its files: the position each begins at, and how long it is.
    pub fn segments(&self) -> impl Iterator<Item = (Position, u64)> {
        self.segments.iter().map(|segment| (segment.base, self.len_of(segment)))
    }

    /// How long its files are together.
    pub fn size_bytes(&self) -> u64 {
        let len = |segment: &Arc<Segment>| self.shared.disk.open(&segment.path).ok()?.len().ok();
        self.segments.iter().filter_map(len).sum()
    }

    /// The segment that holds a position, or would.
    pub(super) fn segment_of(&self, position: Position) -> Option<&Arc<Segment>> {
        let behind = self.segments.partition_point(|segment| segment.base <= position);
        self.segments.get(behind.checked_sub(1)?)
    }

    pub(super) fn walk(&self, segment: &Segment, from: Place) -> Result<Walk, Error> {
        let path = &segment.path;
        let file = self.shared.disk.open(path).map_err(Error::io("open", path))?;
        Ok(self.shared.walk(file, from))
    }

    /// Shows every frame, up to the first one that is not as it should be.
    ///
    /// # Errors
    /// The disk fails.
    pub fn frames(&self, look: &mut Look<'_>) -> Result<(), Error> {
        let mut before = 0;
        let mut next = self.first();
        for segment in &self.segments {
            if segment.base != next {
                return Ok(());
            }
            let mut walk = self.walk(segment, segment.start())?;
            let stop = each_frame(&mut walk, before, look);
            next = walk.next.position;
            match stop {
                Stop::End => {}
                Stop::Fault(_) => return Ok(()),
                Stop::Io(source) => return Err(Error::io("read", &segment.path)(source)),
            }
            before += self.len_of(segment);
        }
        Ok(())
    }

    /// Looks at everything, and shows every frame that is as it should be. `vouched_to` says who
    /// else knows up to where the journal was durable.
    ///
    /// # Errors
    /// The disk fails. What is wrong with the journal is no error but a finding.
    pub fn check(
        &self,
        vouched_to: &[(String, Position)],
        look: &mut Look<'_>,
    ) -> Result<Checked, Error> {
        let mut check = Check::begin(self, vouched_to)?;
        let mut before = 0;
        for index in 0..self.segments.len() {
            check.segment(index, before, look)?;
            before += self.len_of(&self.segments[index]);
        }
        check.orphans()?;
        Ok(check.end())
    }

    fn len_of(&self, segment: &Segment) -> u64 {
        self.shared.disk.open(&segment.path).and_then(|file| file.len()).unwrap_or(0)
    }
}

/// Shows the frames of a walk, and says why it does not go on.
fn each_frame(walk: &mut Walk, before: u64, look: &mut Look<'_>) -> Stop {
    loop {
        match walk.step() {
            Ok((view, place)) => {
                let header = view.header;
                let frame = Frame::new(Bytes::copy_from_slice(view.bytes()), header);
                let read_bytes = before + place.offset + header.frame_bytes() as u64;
                look(&Seen { frame: &frame, read_bytes });
            }
            Err(stop) => return stop,
        }
    }
}

/// A check under way.
struct Check<'a> {
    journal: &'a AtRest,
    checked: Checked,
    voucher: Voucher,
    /// The files of the origin table that are good, by their cuts, until those are reached.
    saved: BTreeMap<Position, Vec<(PathBuf, Saved)>>,
    /// The origin table as the journal itself says; none if its beginning is gone.
    origins: Option<Origins>,
    /// Where the last segment ended, and the checksum of its last frame if that is known.
    next: Position,
    predecessor: Option<u32>,
    /// The file and offset of the end.
    last: (PathBuf, u64),
}

impl<'a> Check<'a> {
    fn begin(journal: &'a AtRest, vouched_to: &[(String, Position)]) -> Result<Self, Error> {
        let first = journal.first();
        let whole = first == 0;
        let mut check = Self {
            journal,
            checked: Checked { first, end: first, ..Checked::default() },
            voucher: Voucher::default(),
            saved: BTreeMap::new(),
            origins: whole.then(Origins::default),
            next: first,
            predecessor: whole.then_some(0),
            last: (journal.shared.dir.clone(), 0),
        };
        let mut vouchers = vouched_to.to_vec();
        for name in ORIGIN_FILES {
            if journal.names.iter().any(|there| there == name) {
                check.origin_file(name, &mut vouchers)?;
            }
        }
        check.voucher = tail::highest(&vouchers);
        Ok(check)
    }

    fn found(&mut self, path: &Path, (offset, position): (u64, Position), what: String) {
        let path = path.to_owned();
        self.checked.findings.push(Finding { path, offset, position, what });
    }

    fn origin_file(
        &mut self,
        name: &str,
        vouchers: &mut Vec<(String, Position)>,
    ) -> Result<(), Error> {
        let path = self.journal.shared.dir.join(name);
        let bytes = read_file(&*self.journal.shared.disk, &path);
        let bytes = bytes.map_err(Error::io("read", &path))?;
        match origin::decode(&bytes) {
            Some(saved) if saved.uuid == self.journal.shared.uuid() => {
                vouchers.push((format!("the origin table in {name}"), saved.cut));
                self.saved.entry(saved.cut).or_default().push((path, saved));
            }
            Some(_) => self.found(&path, (0, 0), "it belongs to another journal".to_owned()),
            // A process that was killed between making and writing it; the other one counts.
            None if bytes.is_empty() => {}
            None => self.found(&path, (0, 0), "the origin table does not decode".to_owned()),
        }
        Ok(())
    }

    /// The origin table's files that were cut at or before `position` say what the journal says.
    fn compare_origins(&mut self, position: Position) {
        while let Some(entry) = self.saved.first_entry().filter(|entry| *entry.key() <= position) {
            let (cut, files) = entry.remove_entry();
            let Some(origins) = &self.origins else { continue };
            let differ = |(_, saved): &(PathBuf, Saved)| {
                let encode = |table| origin::encode(table, saved.generation, cut, saved.uuid);
                encode(origins) != encode(&saved.origins)
            };
            let wrong: Vec<PathBuf> =
                files.into_iter().filter(differ).map(|(path, _)| path).collect();
            for path in wrong {
                let what = "the origin table is not what the journal says up to here".to_owned();
                self.found(&path, (0, cut), what);
            }
        }
    }

    fn segment(&mut self, index: usize, before: u64, look: &mut Look<'_>) -> Result<(), Error> {
        let journal = self.journal;
        let segment = &journal.segments[index];
        let (path, base) = (&segment.path, segment.base);
        if base != self.next {
            let what = format!("positions {} to {base} are missing before it", self.next);
            self.found(path, (0, base), what);
            (self.checked.holed, self.origins, self.predecessor) = (true, None, None);
        }
        let mut walk = journal.walk(segment, segment.start())?;
        walk.predecessor = self.predecessor;
        let mut ids = SegmentIds::default();
        let stop = each_frame(&mut walk, before, &mut |seen| {
            self.frame(seen.frame, &mut ids);
            look(seen);
        });
        self.checked.segments += 1;
        (self.next, self.predecessor) = (walk.next.position, walk.predecessor);
        self.checked.end = self.checked.end.max(self.next);
        self.last = (path.clone(), walk.next.offset);
        match stop {
            Stop::Io(source) => return Err(Error::io("read", path)(source)),
            Stop::End => self.behind(index, walk.next, Fault::Zeros)?,
            Stop::Fault(fault) => self.behind(index, walk.next, fault)?,
        }
        if index + 1 < journal.segments.len() {
            self.ids_file(segment, &ids)?;
        }
        Ok(())
    }

    fn frame(&mut self, frame: &Frame, ids: &mut SegmentIds) {
        let view = frame.view();
        self.compare_origins(frame.base());
        ids.fold(view);
        if let Some(origins) = &mut self.origins {
            origins.fold(view);
        }
        self.checked.frames += 1;
        self.checked.records += frame.end() - frame.base();
    }

    /// What stands behind a segment's last good frame.
    fn behind(&mut self, index: usize, place: Place, fault: Fault) -> Result<(), Error> {
        let journal = self.journal;
        let segment = &journal.segments[index];
        let failed = |source| Error::io("read", &segment.path)(source);
        let file = journal.shared.disk.open(&segment.path).map_err(failed)?;
        let bytes = tail::rest(&*file, place.offset).map_err(failed)?;
        if bytes.is_empty() {
            return Ok(());
        }
        tail::vouched_within(&journal.shared, segment, &bytes, &mut self.voucher);
        let is_last = index + 1 == journal.segments.len();
        let what = if is_last && self.voucher.position <= place.position {
            format!("a torn tail of {} bytes: {fault}; a start cuts it", bytes.len())
        } else {
            // What comes next is looked at as if nothing were missing: this says it.
            self.next = journal.segments.get(index + 1).map_or(place.position, |next| next.base);
            (self.checked.holed, self.origins, self.predecessor) = (true, None, None);
            format!("damaged: {fault}")
        };
        self.found(&segment.path, (place.offset, place.position), what);
        Ok(())
    }

    /// The ids beside a closed segment. One that does not decode is made again by who needs it.
    fn ids_file(&mut self, segment: &Segment, ids: &SegmentIds) -> Result<(), Error> {
        let path = segment.ids_path();
        let shared = &self.journal.shared;
        if self.checked.holed || !shared.disk.exists(&path) {
            return Ok(());
        }
        let bytes = read_file(&*shared.disk, &path).map_err(Error::io("read", &path))?;
        if SegmentIds::decode(&bytes, segment.base).is_some_and(|stored| stored != *ids) {
            let what = "its ids are not those of the segment".to_owned();
            self.found(&path, (0, segment.base), what);
        }
        Ok(())
    }

    /// The ids files whose segments are gone: nothing can make them again.
    fn orphans(&mut self) -> Result<(), Error> {
        let journal = self.journal;
        for name in &journal.names {
            let base = name.strip_suffix(".ids").and_then(|base| base.parse::<Position>().ok());
            let Some(base) = base.filter(|base| *base < self.checked.first) else { continue };
            let path = journal.shared.dir.join(name);
            let bytes =
                read_file(&*journal.shared.disk, &path).map_err(Error::io("read", &path))?;
            if SegmentIds::decode(&bytes, base).is_none() {
                self.found(&path, (0, base), "the ids do not decode".to_owned());
            }
        }
        Ok(())
    }

    fn end(mut self) -> Checked {
        self.compare_origins(self.next);
        if self.voucher.position > self.checked.end && !self.checked.holed {
            let (path, offset) = self.last.clone();
            let Voucher { name, position } = self.voucher.clone();
            let end = self.checked.end;
            let what = format!("the journal ends here, but {name} vouches for it up to {position}");
            self.found(&path, (offset, end), what);
            self.checked.holed = true;
        }
        self.checked
    }
}
