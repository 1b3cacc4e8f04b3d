//! The binary: reads the command line, runs a verb, and ends with its exit code.
//!
//! What is *not* here: anything else. Verbs are in `verbs`, their flags in `cli`, configuration in
//! `config`.

mod allocator;
mod cli;
mod config;
mod feed;
mod oulad;
mod process;
mod verbs;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    match verbs::run(cli::Cli::parse()) {
        Ok(ended) => ended.into(),
        Err(error) => {
            eprintln!("bellwether: {error}");
            error.exit_code()
        }
    }
}
