//! `snapshot`: one file that a data directory can be made of again, of a running process or of a
//! directory at rest. Its path is printed.
//!
//! What is *not* here: what stands in it (`state::snapshot`).

use super::{Ended, Error};
use crate::cli::{self, SERVER};
use crate::feed::http::Server;
use crate::process;
use serde_json::Value;
use state::disk::RealDisk;
use state::snapshot;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use topology::Options;
use topology::snapshots::at_rest;

pub(super) fn run(arguments: &cli::Snapshot) -> Result<Ended, Error> {
    let path = match &arguments.target.data {
        Some(data) => of_directory(data, arguments.out.as_deref())?,
        None => of_server(arguments)?,
    };
    writeln!(std::io::stdout(), "{}", path.display())?;
    Ok(Ended::Done)
}

fn of_directory(data: &Path, out: Option<&Path>) -> Result<PathBuf, Error> {
    process::existing(data)?;
    process::log("warn");
    let options = Options::new(data);
    let place = out.map_or_else(|| Ok((options.snapshots_dir(), None)), split)?;
    let taken = at_rest(actors::KINDS, options, (&place.0, place.1.as_deref()));
    let data = data.display();
    let taken = taken
        .map_err(|error| Error::Failed(format!("no snapshot of {data} was taken: {error}")))?;
    Ok(taken.path)
}

/// The folder and the name of a file.
fn split(file: &Path) -> Result<(PathBuf, Option<String>), Error> {
    let unusable = || Error::Usage(format!("--out {} names no file", file.display()));
    let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(unusable)?;
    let dir =
        file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    Ok((dir.to_owned(), Some(name.to_owned())))
}

/// The server takes it where it is; another file is a copy of that, from the same machine.
fn of_server(arguments: &cli::Snapshot) -> Result<PathBuf, Error> {
    let url = arguments.target.to.as_deref().unwrap_or(SERVER);
    let answer: Value = Server::at(url).post("/api/v1/ops/snapshots")?;
    let path = answer["data"]["path"].as_str().map(PathBuf::from);
    let path = path.ok_or_else(|| Error::Failed(format!("{url} did not say where it is")))?;
    let Some(out) = &arguments.out else { return Ok(path) };
    let disk: Arc<dyn state::disk::Disk> = Arc::new(RealDisk);
    let copied = snapshot::Snapshot::open(&disk, &path)
        .and_then(|snapshot| snapshot::copy(&*disk, &snapshot, out));
    copied.map_err(|error| {
        let (path, out) = (path.display(), out.display());
        let what = format!("the snapshot is {path} where {url} runs, but copying it to {out}");
        Error::Failed(format!("{what} failed: {error}; copy it from there"))
    })?;
    Ok(out.clone())
}
