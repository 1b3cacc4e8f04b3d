//! Appending: which groups of a draft are new, where the frame goes, and its bytes. Nothing here
//! touches the disk, except that a spare segment is made in passing if nobody has made one ahead.

use super::{AppendError, Error, Journal, Part, Receipt, Segment};
use crate::frame::draft::DraftGroup;
use crate::frame::header::{FLAG_SEAL, FLAG_VERDICT, HEADER_BYTES, Header};
use crate::frame::view::{RECORD_HEAD_BYTES, group_bytes};
use crate::frame::{Draft, Mark, TAG_BLANK, TAG_VERDICT, Way, WayKind};
use crate::origin::Last;
use actors::{Position, Timestamp};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A frame must leave this much of its segment free, so that a segment never holds seals alone.
const SEALS_BYTES: u64 = 1_024;
const CLOCK_JUMP_MS: i64 = 1_000;
/// The record that a frame without any gets.
const BLANK: [u8; RECORD_HEAD_BYTES] = [TAG_BLANK, 0, 0, 0, 0, 0, 0, 0, 0];

/// What is left of a draft without its duplicates.
#[derive(Default)]
struct Sifted {
    duplicates: Vec<u32>,
    durable_before: Position,
    groups: u32,
    records: u32,
    bytes: usize,
    verdict: bool,
    last: Option<(Mark, u64)>,
}

impl Sifted {
    fn keep(&mut self, group: &DraftGroup) {
        self.groups += 1;
        self.records += group.records;
        self.bytes += group.to - group.from;
        self.verdict |= group.verdict;
        self.last = Some((group.mark, group.hash));
    }

    /// How many positions the frame takes up.
    fn positions(&self) -> u64 {
        if self.groups == 0 { 0 } else { u64::from(self.records.max(1)) }
    }
}

impl Journal {
    /// Makes one frame of the groups of a draft that did not come before. It is neither durable nor
    /// visible before [`Journal::commit`].
    pub fn append(&mut self, draft: &Draft, now: Timestamp) -> Result<Receipt, AppendError> {
        if self.failed {
            return Err(Error::Failed.into());
        }
        if draft.withdrawn.as_ref().is_some_and(|withdrawn| withdrawn.load(Ordering::Acquire)) {
            return Err(AppendError::Withdrawn);
        }
        let name_bytes = draft.way.name.len();
        let frame_bytes = |groups: usize, bytes: usize| {
            HEADER_BYTES
                + name_bytes
                + groups * group_bytes(draft.way.kind)
                + bytes.max(BLANK.len())
        };
        let whole = frame_bytes(draft.groups.len(), draft.bytes.len());
        self.check_size(draft, whole)?;
        let time = self.tick(now);
        let sifted = match draft.way.kind {
            WayKind::Engine => sift_nothing(draft),
            WayKind::Unnumbered => {
                // The window takes ids down as it looks at them, so nothing may fail behind it.
                self.make_room(whole, draft.urgent)?;
                self.sift_ids(draft, time)
            }
            WayKind::Producer | WayKind::Shard | WayKind::Kafka => self.sift_numbers(draft)?,
        };
        let base = self.next;
        if sifted.groups > 0 {
            let bytes = frame_bytes(sifted.groups as usize, sifted.bytes);
            self.make_room(bytes, draft.urgent)?;
            self.push_frame(draft, &sifted, bytes);
            self.note(draft, &sifted);
        }
        let Sifted { duplicates, durable_before, .. } = sifted;
        Ok(Receipt { base, end: self.next, duplicates, durable_before })
    }

    fn check_size(&self, draft: &Draft, bytes: usize) -> Result<(), AppendError> {
        let bytes_max = self.spares.segment_bytes().saturating_sub(SEALS_BYTES);
        let bytes_max = bytes_max.min(u64::from(u32::MAX)) as usize;
        // A group's count of records is a u16 in the frame.
        let crowded = draft.groups.iter().any(|group| group.records > u32::from(u16::MAX));
        if bytes > bytes_max || crowded {
            return Err(AppendError::TooLarge { bytes, bytes_max });
        }
        Ok(())
    }

    /// The time of the next frame: the clock's, or the last frame's if the clock is behind it.
    fn tick(&mut self, now: Timestamp) -> Timestamp {
        if now.plus_ms(CLOCK_JUMP_MS) < self.last_time {
            self.clock_jumps += 1;
        }
        self.last_time = self.last_time.max(now);
        self.last_time
    }

    fn sift_numbers(&self, draft: &Draft) -> Result<Sifted, AppendError> {
        let mut sifted = Sifted::default();
        let known = self.origins.last(&draft.way);
        let is_new = known.is_none() && draft.way.kind == WayKind::Producer;
        if is_new && self.origins.producer_count() >= self.options.producers_max {
            return Err(AppendError::TooManyProducers { max: self.options.producers_max });
        }
        let mut last = known.map(|last| (last.key(), last.hash));
        if draft.after.is_some_and(|after| known.is_none_or(|known| known.key() < after)) {
            let next = known.map_or(0, |known| known.number + 1);
            return Err(AppendError::SequenceGap { next });
        }
        let mut twice = false;
        for (index, group) in draft.groups.iter().enumerate() {
            let Mark::Number { number, index: sub } = group.mark else {
                unreachable!("a draft's marks fit its way");
            };
            let key = (number, sub);
            match last {
                Some((known, hash)) if key <= known => {
                    if key == known && hash != group.hash && hash != 0 && group.hash != 0 {
                        return Err(AppendError::SequenceMismatch { number });
                    }
                    sifted.duplicates.push(index as u32);
                    twice |= sifted.groups > 0;
                }
                _ => {
                    let next = last.map_or(0, |((number, _), _)| number + 1);
                    if draft.contiguous && number != next {
                        return Err(AppendError::SequenceGap { next });
                    }
                    last = Some((key, group.hash));
                    sifted.keep(group);
                }
            }
        }
        if !sifted.duplicates.is_empty() {
            // The originals stand in frames up to the way's last one, or, of numbers given twice,
            // in this very frame.
            let before = known.map_or(0, |last| last.end);
            let here = if twice { self.next + sifted.positions() } else { 0 };
            sifted.durable_before = before.max(here);
        }
        Ok(sifted)
    }

    fn sift_ids(&mut self, draft: &Draft, time: Timestamp) -> Sifted {
        let mut sifted = Sifted::default();
        let mut undurable = false;
        self.window.expire(time.0);
        for (index, group) in draft.groups.iter().enumerate() {
            let Mark::Id(id) = group.mark else {
                unreachable!("a draft's marks fit its way");
            };
            match self.window.insert(id, time.0) {
                Ok(()) => {
                    self.ids.push(id, time);
                    sifted.keep(group);
                }
                Err(came_as) => {
                    sifted.duplicates.push(index as u32);
                    undurable |= came_as >= self.ids_durable;
                }
            }
        }
        if undurable {
            // The original is among what was appended last, at worst in this very frame.
            sifted.durable_before = self.next + sifted.positions();
        }
        sifted
    }

    /// Sees to it that the next frame fits where the tail is.
    fn make_room(&mut self, bytes: usize, urgent: bool) -> Result<(), AppendError> {
        if self.tail.offset + bytes as u64 <= self.tail.capacity {
            return Ok(());
        }
        let spare = self.spares.take(urgent).map_err(AppendError::DiskFull)?;
        let segment = Arc::new(Segment::new(&self.shared.dir, self.next));
        let before = self.tail.segment.replace(segment.clone());
        if let Some(before) = &before {
            assert!(before.base < self.next, "segment {} would hold no record", before.base);
        }
        let closes = before.map(|before| (before, std::mem::take(&mut self.ids)));
        self.tail.offset = 0;
        self.tail.capacity = self.spares.segment_bytes();
        let (bytes, frames) = (self.buffers.take(), Vec::new());
        let spare = Some(spare);
        self.parts.push(Part { segment, spare, closes, offset: 0, bytes, frames });
        Ok(())
    }

    /// The part that the next frame goes into.
    fn part(&mut self) -> &mut Part {
        if self.parts.is_empty() {
            let segment = self.tail.segment.clone().expect("room was made");
            let offset = self.tail.offset;
            let (bytes, frames) = (self.buffers.take(), Vec::new());
            self.parts.push(Part { segment, spare: None, closes: None, offset, bytes, frames });
        }
        self.parts.last_mut().expect("there is one now")
    }

    fn push_frame(&mut self, draft: &Draft, sifted: &Sifted, frame_bytes: usize) {
        let mut header = self.header(draft.way.kind);
        header.flags = if sifted.verdict { FLAG_VERDICT } else { 0 };
        header.body_bytes = (frame_bytes - HEADER_BYTES) as u32;
        header.groups = sifted.groups;
        header.records = sifted.positions() as u32;
        header.name_bytes = draft.way.name.len() as u16;
        header.hash = sifted.last.map_or(0, |(_, hash)| hash);
        let out = &mut self.part().bytes;
        let start = out.len();
        out.reserve(frame_bytes);
        out.resize(start + HEADER_BYTES, 0);
        out.extend_from_slice(draft.way.name.as_bytes());
        push_groups(draft, sifted, out);
        push_records(draft, sifted, out);
        header.seal_bytes(&mut out[start..]);
        self.took(header);
    }

    /// A header of the next frame, of which the draft's part is missing.
    fn header(&self, way_kind: WayKind) -> Header {
        Header {
            crc: 0,
            flags: 0,
            way_kind,
            body_bytes: 0,
            groups: 0,
            records: 0,
            name_bytes: 0,
            predecessor: self.predecessor,
            base: self.next,
            time: self.last_time,
            durable_to: self.durable(),
            hash: 0,
            uuid: self.options.uuid,
        }
    }

    fn took(&mut self, header: Header) {
        self.part().frames.push(header);
        self.next = header.end();
        self.predecessor = header.crc;
        self.tail.offset += header.frame_bytes() as u64;
        self.unwritten_bytes += header.frame_bytes();
        self.sealed = header.is_seal();
    }

    fn note(&mut self, draft: &Draft, sifted: &Sifted) {
        if let Some((Mark::Number { number, index }, hash)) = sifted.last {
            let (time, end) = (self.last_time, self.next);
            self.origins.note(&draft.way, Last { number, index, hash, time, end });
        }
        if sifted.verdict {
            for group in kept(draft, sifted).filter(|group| group.verdict) {
                if let Mark::Number { number, .. } = group.mark {
                    self.origins.judge(number);
                }
            }
        }
    }

    /// Commits, and appends and commits a frame without records, which vouches for everything
    /// before it. To be called when nothing has come for a while, and at a clean stop; a journal
    /// that ends with a seal gets no other.
    pub fn seal(&mut self, now: Timestamp) -> Result<(), AppendError> {
        self.commit()?;
        if self.sealed {
            return Ok(());
        }
        self.tick(now);
        self.make_room(HEADER_BYTES, true)?;
        let mut header = self.header(Way::engine().kind);
        header.flags = FLAG_SEAL;
        let out = &mut self.part().bytes;
        let start = out.len();
        out.resize(start + HEADER_BYTES, 0);
        header.seal_bytes(&mut out[start..]);
        self.took(header);
        self.commit()?;
        Ok(())
    }
}

fn sift_nothing(draft: &Draft) -> Sifted {
    let mut sifted = Sifted::default();
    for group in &draft.groups {
        sifted.keep(group);
    }
    sifted
}

/// The groups of a draft that are not duplicates.
fn kept<'a>(draft: &'a Draft, sifted: &'a Sifted) -> impl Iterator<Item = &'a DraftGroup> {
    let mut dropped = sifted.duplicates.iter().peekable();
    let all = draft.groups.iter().enumerate();
    all.filter(move |(index, _)| dropped.next_if(|next| **next as usize == *index).is_none())
        .map(|(_, group)| group)
}

fn push_groups(draft: &Draft, sifted: &Sifted, out: &mut Vec<u8>) {
    let blank = sifted.records == 0;
    for (index, group) in kept(draft, sifted).enumerate() {
        let (records, bytes) = if blank && index + 1 == sifted.groups as usize {
            (1, BLANK.len())
        } else {
            (group.records, group.to - group.from)
        };
        out.extend_from_slice(&(records as u16).to_le_bytes());
        out.extend_from_slice(&(bytes as u32).to_le_bytes());
        match group.mark {
            Mark::None => {}
            Mark::Id(id) => out.extend_from_slice(&id.to_le_bytes()),
            Mark::Number { number, index } => {
                out.extend_from_slice(&number.to_le_bytes());
                out.extend_from_slice(&index.to_le_bytes());
            }
        }
    }
}

fn push_records(draft: &Draft, sifted: &Sifted, out: &mut Vec<u8>) {
    if sifted.records == 0 {
        out.extend_from_slice(&BLANK);
    } else if sifted.duplicates.is_empty() {
        out.extend_from_slice(&draft.bytes);
    } else {
        for group in kept(draft, sifted) {
            out.extend_from_slice(&draft.bytes[group.from..group.to]);
        }
    }
}

const _: () = assert!(TAG_BLANK != TAG_VERDICT);
