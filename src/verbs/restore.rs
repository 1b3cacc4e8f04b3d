//! `restore`: makes a data directory of a snapshot, or leaves none.
//!
//! What is *not* here: what is checked and in which order (`state::snapshot`).

use super::{Ended, Error};
use crate::cli::Restore;
use crate::feed::{Progress, Unit};
use crate::process;
use std::io::Write as _;

pub(super) fn run(arguments: &Restore) -> Result<Ended, Error> {
    process::log("warn");
    let Restore { file, data } = arguments;
    let bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    // Read once to be checked, and once to be copied.
    let mut progress = Progress::counting(Unit::Bytes(2 * bytes), "bytes");
    let restored = topology::snapshots::restore(actors::KINDS, file, data, &mut |done| {
        progress.at(done, done);
    });
    progress.finish();
    let (file, data) = (file.display(), data.display());
    let taken = restored
        .map_err(|error| Error::Failed(format!("restoring {file} to {data} failed: {error}")))?;
    let position = taken.header.position;
    writeln!(std::io::stdout(), "{data} is restored up to position {position}")?;
    Ok(Ended::Done)
}
