//! `verify`: checks a data directory at rest, and changes nothing in it but the lock's text.
//!
//! Every finding is a line on standard output, and so are the counts at the end. What is *not*
//! here: what is checked, and how (`topology::verify`).

use super::{Ended, Error};
use crate::cli::Verify;
use crate::feed::{Progress, Unit};
use crate::process;
use state::snapshot::Header;
use std::io::Write as _;
use std::path::Path;
use topology::verify::{Report, Watch, verify};

/// So many findings are written, and the rest counted: one lost file can be the end of a million
/// rows.
const FINDINGS_MAX: u64 = 1_000;

pub(super) fn run(arguments: &Verify) -> Result<Ended, Error> {
    match &arguments.snapshot {
        Some(file) => snapshot(file),
        None => directory(&arguments.at.data),
    }
}

fn snapshot(file: &Path) -> Result<Ended, Error> {
    let checked = topology::snapshots::check(file);
    let taken = checked.map_err(|error| Error::Failed(error.to_string()))?;
    let (file, bytes) = (file.display(), taken.bytes);
    let Header { first, position, time, .. } = taken.header;
    let what = format!("{bytes} bytes, journal from position {first} to {position}, of {time}");
    writeln!(std::io::stdout(), "{file}: {what}; 0 findings")?;
    Ok(Ended::Done)
}

fn directory(data: &Path) -> Result<Ended, Error> {
    process::existing(data)?;
    let mut said = Said { progress: None, findings: 0 };
    let report = verify(actors::KINDS, data, &std::env::temp_dir(), &mut said);
    if let Some(progress) = &mut said.progress {
        progress.finish();
    }
    let place = data.display();
    let report =
        report.map_err(|error| Error::Failed(format!("verifying {place} failed: {error}")))?;
    let mut out = std::io::stdout().lock();
    if report.findings > FINDINGS_MAX {
        writeln!(out, "and {} more", report.findings - FINDINGS_MAX)?;
    }
    writeln!(out, "{place}: {}", counts(&report))?;
    if report.findings == 0 {
        return Ok(Ended::Done);
    }
    let restored = "restore what is damaged from a copy; the store and its images can be removed, \
                    and are rebuilt from the journal as far as that reaches back";
    Err(Error::Failed(format!("{place} is not as it should be: {restored}")))
}

fn counts(report: &Report) -> String {
    let Report { segments, frames, records, end, images, entities, .. } = report;
    let Report { entries, not_compared, snapshots, findings, .. } = report;
    let not_compared = match not_compared {
        0 => String::new(),
        some => format!(" ({some} not compared: their beginning is gone, or of an older version)"),
    };
    format!(
        "{segments} segments, {frames} frames, {records} records up to position {end}; {images} \
         images, {entities} entities with {entries} entries beside their rows{not_compared}; \
         {snapshots} snapshots; {findings} findings"
    )
}

struct Said {
    progress: Option<Progress>,
    findings: u64,
}

impl Watch for Said {
    fn found(&mut self, what: &str) {
        self.findings += 1;
        if self.findings <= FINDINGS_MAX {
            // Whoever reads this may have gone; the exit code says it all the same.
            let _ = writeln!(std::io::stdout(), "{what}");
        }
    }

    fn at(&mut self, done_bytes: u64, all_bytes: u64, records: u64) {
        let begin = || Progress::counting(Unit::Bytes(all_bytes), "records");
        self.progress.get_or_insert_with(begin).at(done_bytes, records);
    }
}
