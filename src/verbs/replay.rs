//! `replay`: a data directory built from another's journal, with nothing carried out, and compared
//! with the other's own store (`topology::replay`).

use super::{Ended, Error};
use crate::cli::Replay;
use crate::feed::{Progress, Unit};
use crate::process;
use std::io::Write as _;
use topology::replay::{Request, Watch, replay};

/// So many entities are named, and the rest counted.
const NAMED_MAX: u64 = 1_000;

pub(super) fn run(arguments: &Replay) -> Result<Ended, Error> {
    let Replay { from, into, until } = arguments;
    process::existing(from)?;
    let mut said = Said { progress: None, differing: 0 };
    let request = Request { from, into, until: *until, scratch: &std::env::temp_dir() };
    let report = replay(actors::KINDS, &request, &mut said);
    if let Some(progress) = &mut said.progress {
        progress.finish();
    }
    let (from, into) = (from.display(), into.display());
    let report = report
        .map_err(|error| Error::Failed(format!("replaying {from} into {into} failed: {error}")))?;
    let mut out = std::io::stdout().lock();
    if report.differing > NAMED_MAX {
        writeln!(out, "and {} more", report.differing - NAMED_MAX)?;
    }
    write!(out, "{into}: {from} up to position {}; ", report.end)?;
    if let Some(why) = &report.store_unreadable {
        writeln!(out, "nothing was compared: {why}")?;
        return Ok(Ended::Done);
    }
    writeln!(
        out,
        "{} entities compared with its store, {} differ ({} not compared: they stand at other \
         positions there)",
        report.compared, report.differing, report.not_compared
    )?;
    if report.differing == 0 {
        return Ok(Ended::Done);
    }
    Err(Error::Failed(format!(
        "{} entities of {into} are not what the store of {from} has: this program folds their \
         records differently",
        report.differing
    )))
}

struct Said {
    progress: Option<Progress>,
    differing: u64,
}

impl Watch for Said {
    fn differs(&mut self, address: &str) {
        self.differing += 1;
        if self.differing <= NAMED_MAX {
            // Whoever reads this may have gone; the exit code says it all the same.
            let _ = writeln!(std::io::stdout(), "{address}");
        }
    }

    fn at(&mut self, done_bytes: u64, all_bytes: u64, records: u64) {
        let begin = || Progress::counting(Unit::Bytes(all_bytes), "records");
        self.progress.get_or_insert_with(begin).at(done_bytes, records);
    }
}
