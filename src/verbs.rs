//! The verbs of the command line, one file each, and how they end.
//!
//! A verb returns how it ended or an [`Error`]; both have an exit code here and nowhere else: 0
//! done, 1 failed, 2 wrong usage or configuration, 3 done but some input was rejected.

mod backfill;
mod bench;
mod completions;
mod doctor;
mod import;
mod ingest;
mod inspect;
mod journal;
mod replay;
mod restore;
mod serve;
mod simulate;
mod snapshot;
mod verify;

use crate::cli::{Cli, Verb};
use crate::{config, feed, oulad};
use std::io;
use std::process::ExitCode;

/// How a verb ended that did what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything was done.
    Done,
    /// Everything was done but for some input that was rejected.
    SomeRejected,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Done => ExitCode::SUCCESS,
            Ended::SomeRejected => ExitCode::from(3),
        }
    }
}

/// Why a verb failed: one sentence that says what was tried, on what, why it failed and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Config(#[from] config::Fault),
    #[error(transparent)]
    Feed(#[from] feed::Error),
    #[error(transparent)]
    Oulad(#[from] oulad::Error),
    #[error("writing to standard output failed: {0}")]
    Output(#[from] io::Error),
    #[error(transparent)]
    Bench(#[from] benches::Error),
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// 1, or 2 if the caller said something wrong.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Error::Usage(_) | Error::Config(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Runs what the command line says.
pub(crate) fn run(cli: Cli) -> Result<Ended, Error> {
    match cli.verb.unwrap_or(Verb::Serve(cli.serve)) {
        Verb::Serve(arguments) => serve::run(&arguments),
        Verb::Ingest(arguments) => ingest::run(&arguments),
        Verb::Import(arguments) => import::run(&arguments),
        Verb::Inspect(arguments) => inspect::run(&arguments),
        Verb::Completions { shell } => completions::run(shell),
        Verb::Journal(arguments) => journal::run(&arguments),
        Verb::Verify(arguments) => verify::run(&arguments),
        Verb::Backfill(arguments) => backfill::run(&arguments),
        Verb::Replay(arguments) => replay::run(&arguments),
        Verb::Snapshot(arguments) => snapshot::run(&arguments),
        Verb::Restore(arguments) => restore::run(&arguments),
        Verb::Simulate(arguments) => simulate::run(&arguments),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Bench(which) => bench::run(&which),
    }
}
