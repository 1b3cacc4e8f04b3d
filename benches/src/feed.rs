//! The events both sides of a comparison get: the synthetic campus, written to files beforehand.
//!
//! Making events up costs as much as decoding them, so it is done before the clock starts, and each
//! side then reads the same files through the same [`Feed`]. Files rather than memory, so that what
//! a side holds in memory is its own. A file is a run of blocks: how many events (u32), the end of
//! each (u32), then their bytes; all little endian.
//!
//! Invariant: a feed gives the event of a number at most once, in order, from 0.

use crate::Error;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use topology::sources::campus::Campus;
use topology::sources::{self, Progress, RawBatch, RawRecord, Source};

/// Events of a block: what a partition consumer takes at once.
pub(crate) const BLOCK_EVENTS: u64 = 512;

/// Every campus of the benches is this one.
const SEED: u64 = 0x0BE1_1BE7;

/// One course for so many people, as on a real campus.
const PEOPLE_PER_COURSE: u64 = 200;

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many events in all.
    pub events: u64,
    /// How many people they are about. With at least as many events, everybody is touched.
    pub users: u64,
    /// In how many files.
    pub partitions: u64,
}

/// Files of events.
#[derive(Debug)]
pub struct Files {
    /// One a partition.
    pub paths: Vec<PathBuf>,
    /// How many events each holds.
    pub events: Vec<u64>,
    /// All their bytes.
    pub bytes: u64,
}

impl Files {
    /// Writes the campus to `dir`, and waits until it is on the disk: writing it out later would be
    /// part of the measurement.
    pub fn write(dir: &Path, plan: Plan) -> Result<Self, Error> {
        let mut files = Self { paths: Vec::new(), events: Vec::new(), bytes: 0 };
        for partition in 0..plan.partitions {
            let path = dir.join(format!("feed-{partition}"));
            let events = plan.events / plan.partitions
                + u64::from(partition < plan.events % plan.partitions);
            let campus = campus(plan.users, partition, plan.partitions);
            files.bytes += write(&path, campus, events).map_err(Error::io("write", &path))?;
            files.paths.push(path);
            files.events.push(events);
        }
        Ok(files)
    }
}

/// One partition of the campus that all benches are about.
pub(crate) fn campus(users: u64, partition: u64, partitions: u64) -> Campus {
    let courses = (users / PEOPLE_PER_COURSE).max(1);
    Campus::new(SEED, users, courses, partition, partitions)
}

/// Writes the campus as NDJSON, an event a line: the same arguments write the same bytes.
///
/// # Errors
/// The file cannot be written.
pub fn generate(events: u64, users: u64, out: &Path) -> Result<(), Error> {
    let mut campus = campus(users, 0, 1);
    let mut write = || {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(out)?);
        let mut line = Vec::new();
        for number in 0..events {
            campus.write(number, &mut line);
            line.push(b'\n');
            file.write_all(&line)?;
            line.clear();
        }
        file.into_inner()?.sync_all()
    };
    write().map_err(Error::io("write", out))
}

fn write(path: &Path, mut campus: Campus, events: u64) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut block, mut ends, mut bytes) = (Vec::new(), Vec::new(), 0);
    for number in 0..events {
        campus.write(number, &mut block);
        ends.extend_from_slice(&(block.len() as u32).to_le_bytes());
        if (number + 1) % BLOCK_EVENTS == 0 || number + 1 == events {
            out.write_all(&((ends.len() / 4) as u32).to_le_bytes())?;
            out.write_all(&ends)?;
            out.write_all(&block)?;
            bytes += block.len() as u64;
            ends.clear();
            block.clear();
        }
    }
    out.into_inner()?.sync_all()?;
    Ok(bytes)
}

/// One of the files, as a source.
#[derive(Debug)]
pub struct Feed {
    path: PathBuf,
    file: File,
    next: u64,
    left: u64,
    ends: Vec<u8>,
    block: Vec<u8>,
    read_last: Option<Instant>,
    stall_us_max: Arc<AtomicU64>,
}

impl Feed {
    /// Opens the file of one partition.
    pub fn open(files: &Files, partition: usize) -> Result<Self, Error> {
        let path = files.paths[partition].clone();
        Ok(Self {
            file: File::open(&path).map_err(Error::io("open", &path))?,
            path,
            next: 0,
            left: files.events[partition],
            ends: Vec::new(),
            block: Vec::new(),
            read_last: None,
            stall_us_max: Arc::default(),
        })
    }

    /// The longest time between two reads so far, in µs. A consumer reads again as soon as it may
    /// take more in, so this is how long intake stood still.
    pub fn stall_us_max(&self) -> Arc<AtomicU64> {
        self.stall_us_max.clone()
    }

    fn read_block(&mut self) -> io::Result<()> {
        let mut count = [0; 4];
        self.file.read_exact(&mut count)?;
        self.ends.resize(u32::from_le_bytes(count) as usize * 4, 0);
        self.file.read_exact(&mut self.ends)?;
        let end = self.ends.last_chunk::<4>().map_or(0, |end| u32::from_le_bytes(*end));
        self.block.resize(end as usize, 0);
        self.file.read_exact(&mut self.block)
    }
}

impl Source for Feed {
    fn read(&mut self, next: u64, batch: &mut RawBatch) -> Result<Progress, sources::Error> {
        let input = || self.path.display().to_string();
        if next != self.next {
            return Err(sources::Error::Gone { input: input(), wanted: next, first: self.next });
        }
        let now = Instant::now();
        if let Some(last) = self.read_last.replace(now) {
            let stall_us = now.duration_since(last).as_micros() as u64;
            self.stall_us_max.fetch_max(stall_us, Ordering::Relaxed);
        }
        if self.left == 0 {
            return Ok(Progress::End);
        }
        let read = self.read_block();
        let input = self.path.display().to_string();
        read.map_err(|source| sources::Error::Read { input, source })?;
        let mut from = 0;
        for end in self.ends.as_chunks::<4>().0 {
            let end = u32::from_le_bytes(*end) as usize;
            let bytes = &self.block[from..end];
            batch.push(RawRecord { number: self.next, place: self.next, time: None, bytes });
            self.next += 1;
            self.left -= 1;
            from = end;
        }
        Ok(if self.left == 0 { Progress::End } else { Progress::More })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_gives_what_the_campus_writes() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan { events: 1_301, users: 70, partitions: 2 };
        let files = Files::write(dir.path(), plan).unwrap();
        assert_eq!(files.events, [651, 650]);
        let mut bytes = 0;
        for partition in 0..2 {
            let mut feed = Feed::open(&files, partition as usize).unwrap();
            let mut campus = Campus::new(SEED, 70, 1, partition, 2);
            let mut batch = RawBatch::new(BLOCK_EVENTS as usize, 1 << 20);
            loop {
                batch.begin(batch.next());
                let progress = feed.read(batch.next(), &mut batch).unwrap();
                for record in batch.records() {
                    let mut expected = Vec::new();
                    campus.write(record.number, &mut expected);
                    assert_eq!(record.bytes, expected);
                    bytes += expected.len() as u64;
                }
                if progress == Progress::End {
                    break;
                }
            }
            assert_eq!(batch.next(), files.events[partition as usize]);
        }
        assert_eq!(bytes, files.bytes);
    }
}
