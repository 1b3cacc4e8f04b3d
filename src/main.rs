//! The binary: reads the command line, runs a verb, and ends with its exit code.
//!
//! What is *not* here: anything else. Verbs are in `verbs`, their flags in `cli`, configuration in
//! `config`.

mod cli;
mod config;
mod feed;
mod oulad;
mod process;
mod verbs;

use clap::Parser as _;
use std::process::ExitCode;

/// Memory is allocated on one thread and freed on another all the time; this allocator is made for
/// that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match verbs::run(cli::Cli::parse()) {
        Ok(ended) => ended.into(),
        Err(error) => {
            eprintln!("bellwether: {error}");
            error.exit_code()
        }
    }
}
