//! `verify`: checks a data directory at rest, and says what is wrong, where.

use super::{Ended, Error};
use crate::cli::AtRest;
use crate::process;
use state::disk::RealDisk;
use std::sync::Arc;
use topology::Options;
use topology::engine::verify;

pub(super) fn run(arguments: &AtRest) -> Result<Ended, Error> {
    process::existing(&arguments.data)?;
    process::log("warn");
    let data = arguments.data.display();
    let report = verify(actors::KINDS, Options::new(&arguments.data), Arc::new(RealDisk))
        .map_err(|error| Error::Failed(format!("opening {data} failed: {error}")))?;
    for fault in &report.faults {
        eprintln!("{fault}");
    }
    println!(
        "{data}: {} records in {} frames, positions {} to {}; {} rows equal the fold of their \
         records, {} begin before the journal's floor",
        report.records,
        report.frames,
        report.first,
        report.end,
        report.rows,
        report.rows_below_floor
    );
    if report.fault_count > 0 {
        return Err(Error::Failed(format!(
            "{data} has {} faults: move its folder store away to have it rebuilt from images and \
             journal, or restore the directory from a copy",
            report.fault_count
        )));
    }
    Ok(Ended::Done)
}
