//! `completions`: what a shell needs to complete our verbs and flags.

use super::{Ended, Error};
use crate::cli::Cli;
use clap::CommandFactory as _;
use std::io::Write as _;

pub(super) fn run(shell: clap_complete::Shell) -> Result<Ended, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bellwether", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Ended::Done)
}
