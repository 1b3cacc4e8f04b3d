//! `ingest`: a file of CloudEvents, one JSON object per line, into a server or a data directory,
//! exactly once.

use super::{Ended, Error};
use crate::cli::{Feeding, Ingest};
use crate::feed::http::Server;
use crate::feed::lines::Lines;
use crate::feed::local::Local;
use crate::feed::{self, Item, Progress, Reject, Rejects, Unit};
use crate::process;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use topology::Options;

/// How much of a file's beginning makes its producer's name.
const NAMED_AFTER_BYTES: u64 = 4_096;

pub(super) fn run(arguments: &Ingest) -> Result<Ended, Error> {
    let file = &arguments.file;
    let feeding = &arguments.feeding;
    if file.as_os_str() == "-" {
        let Some(producer) = feeding.producer.clone() else {
            return Err(Error::Usage(
                "standard input has no name to number its lines under: give one with --producer"
                    .into(),
            ));
        };
        let lines = Lines::new(std::io::stdin(), "standard input".into());
        let path = Path::new("stdin");
        return send(
            Input { items: lines, rejects: &[], path, unit: Unit::Unknown },
            feeding,
            producer,
        );
    }
    let unreadable = |source| feed::Error::Input { input: file.display().to_string(), source };
    let mut opened = File::open(file).map_err(unreadable)?;
    let metadata = opened.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Error::Failed(format!(
            "{} is a folder: name a file of CloudEvents, one JSON object per line",
            file.display()
        )));
    }
    let mut beginning = Vec::new();
    (&mut opened).take(NAMED_AFTER_BYTES).read_to_end(&mut beginning).map_err(unreadable)?;
    let producer = feeding.producer.clone().unwrap_or_else(|| name_of(file, &beginning));
    // What was read for the name is read again: a pipe can't be sought back in.
    let whole = std::io::Cursor::new(beginning).chain(opened);
    let lines = Lines::new(whole, file.display().to_string());
    let unit = if metadata.is_file() { Unit::Bytes(metadata.len()) } else { Unit::Unknown };
    send(Input { items: lines, rejects: &[], path: file, unit }, feeding, producer)
}

/// The producer's name of a file that was given none: its own name, and a hash of how it begins.
fn name_of(file: &Path, beginning: &[u8]) -> String {
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let visible = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    let name: String = name.chars().map(visible).take(200).collect();
    format!("{name}-{:016x}", xxhash_rust::xxh3::xxh3_64(beginning))
}

/// What is to be fed.
pub(super) struct Input<'a, I> {
    pub(super) items: I,
    /// What was rejected before the first item: parts of the input that never became one.
    pub(super) rejects: &'a [Reject],
    /// Where the input is, to put its rejects beside it.
    pub(super) path: &'a Path,
    pub(super) unit: Unit,
}

/// Feeds an input to where the arguments say, and says what became of it.
pub(super) fn send(
    input: Input<'_, impl Iterator<Item = Result<Item, feed::Error>>>,
    arguments: &Feeding,
    producer: String,
) -> Result<Ended, Error> {
    let mut rejects = Rejects::new(arguments.rejects.clone().unwrap_or_else(|| beside(input.path)));
    for reject in input.rejects {
        rejects.write(reject)?;
    }
    let options = feed::Options { producer, batch: arguments.batch as usize };
    let mut progress = Progress::new(input.unit);
    let items = input.items;
    let fed = if let Some(data) = &arguments.target.data {
        process::with_engine(Options::new(data), |engine, runtime| {
            let mut local = Local { engine: engine.handle(), runtime: runtime.clone() };
            Ok(feed::feed(items, &mut local, &options, &mut rejects, &mut progress)?)
        })
    } else {
        let mut server = Server::at(arguments.target.url());
        feed::feed(items, &mut server, &options, &mut rejects, &mut progress).map_err(Error::from)
    };
    // What was rejected up to a failure is worth keeping too.
    let (rejected, path) = rejects.finish()?;
    let summary = fed?;
    println!(
        "accepted {}, duplicates {}, ignored {}, rejected {rejected}, there before {}",
        summary.accepted, summary.duplicates, summary.ignored, summary.skipped
    );
    if rejected == 0 {
        return Ok(Ended::Done);
    }
    eprintln!("{rejected} lines were rejected: see {}", path.display());
    Ok(Ended::SomeRejected)
}

/// Where rejects go if nobody says: beside the input, whatever it is.
fn beside(input: &Path) -> PathBuf {
    let mut name = input.as_os_str().to_owned();
    while name.len() > 1 && name.as_encoded_bytes().ends_with(b"/") {
        name = name.to_string_lossy().trim_end_matches('/').into();
    }
    name.push(".rejects.ndjson");
    name.into()
}
