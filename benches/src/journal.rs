//! `bench journal`: the journal alone, beside a bare write and fdatasync of the same bytes.
//!
//! Frames as a partition consumer makes them, one a commit. The bare side writes as many bytes to a
//! file that has its length already, through the same room's disk. What is *not* here: whoever
//! makes the frames, and group commit.

use crate::counts::{draft, open_journal};
use crate::scratch::Scratch;
use crate::{Error, report};
use actors::Timestamp;
use serde::Serialize;
use state::disk::{Disk, RealDisk};
use std::path::Path;
use std::time::{Duration, Instant};

/// Groups of a frame, and frames of a run.
const GROUPS: u64 = 512;
const FRAMES: u64 = 400;

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// The journal's bytes per second by the bare ones.
    pub ratio: f64,
    /// What frames hold, in bytes per second.
    pub journal_bytes_per_second: f64,
    /// The same bytes, written and synced.
    pub bare_bytes_per_second: f64,
    /// Half of all commits took at most so long.
    pub commit_p50_ms: f64,
    /// And of all bare syncs.
    pub bare_p50_ms: f64,
    /// What a frame holds.
    pub frame_bytes: f64,
}

/// Measures once.
///
/// # Errors
/// The disk fails.
pub fn run(data: Option<&Path>) -> Result<Figures, Error> {
    let scratch = Scratch::new(data)?;
    let draft = draft(GROUPS);
    let frame_bytes = draft.bytes();
    report::progress("the journal appends");
    let mut journal = open_journal(&scratch.path().join("journal"))?;
    let (mut commits, began) = (Vec::new(), Instant::now());
    for _ in 0..FRAMES {
        let each = Instant::now();
        journal.append(&draft, Timestamp(1_767_600_000_000)).map_err(Error::engine)?;
        journal.commit().map_err(Error::engine)?;
        commits.push(each.elapsed());
    }
    let journal_took = began.elapsed();
    report::progress("bare writes");
    let path = scratch.path().join("bare");
    let (syncs, bare_took) = bare(&path, frame_bytes).map_err(Error::io("write", &path))?;
    let per_second = |took: Duration| (frame_bytes as u64 * FRAMES) as f64 / took.as_secs_f64();
    Ok(Figures {
        ratio: bare_took.as_secs_f64() / journal_took.as_secs_f64(),
        journal_bytes_per_second: per_second(journal_took),
        bare_bytes_per_second: per_second(bare_took),
        commit_p50_ms: middle_ms(commits),
        bare_p50_ms: middle_ms(syncs),
        frame_bytes: frame_bytes as f64,
    })
}

fn middle_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1_000.0
}

fn bare(path: &Path, frame_bytes: usize) -> std::io::Result<(Vec<Duration>, Duration)> {
    let file = RealDisk.create(path)?;
    let frame = vec![0x5A; frame_bytes];
    for number in 0..FRAMES {
        file.write_all_at(&vec![0; frame_bytes], number * frame_bytes as u64)?;
    }
    file.sync_data()?;
    let (mut syncs, began) = (Vec::new(), Instant::now());
    for number in 0..FRAMES {
        let each = Instant::now();
        file.write_all_at(&frame, number * frame_bytes as u64)?;
        file.sync_data()?;
        syncs.push(each.elapsed());
    }
    Ok((syncs, began.elapsed()))
}
