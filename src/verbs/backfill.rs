//! `backfill`: the whole history, told to a kind that was added later (`topology::backfill`).

use super::{Ended, Error};
use crate::cli::Backfill;
use crate::feed::{Progress, Unit};
use crate::process;
use std::io::Write as _;
use topology::Options;
use topology::backfill::backfill;

pub(super) fn run(arguments: &Backfill) -> Result<Ended, Error> {
    let Backfill { kind, at } = arguments;
    let data = &at.data;
    process::existing(data)?;
    let mut progress: Option<Progress> = None;
    let told = backfill(actors::KINDS, (kind, data), &std::env::temp_dir(), &mut |done, all| {
        let begin = || Progress::counting(Unit::Events(all), "records");
        progress.get_or_insert_with(begin).at(0, done);
    });
    if let Some(progress) = &mut progress {
        progress.finish();
    }
    let place = data.display();
    let report = told.map_err(|error| {
        Error::Failed(format!("telling {kind} the history of {place} failed: {error}"))
    })?;
    // Folds what was appended, and leaves it checkpointed. Nothing is carried out meanwhile.
    let options = Options { sinks: false, ..Options::new(data) };
    process::with_engine(options, |_, _| Ok(()))?;
    writeln!(
        std::io::stdout(),
        "{place}: {kind} was told {} things, by the history up to position {}",
        report.told,
        report.end
    )?;
    Ok(Ended::Done)
}
