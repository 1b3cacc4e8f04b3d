//! `serve`: the process itself, from its configuration to its last checkpoint.

use super::{Ended, Error};
use crate::cli::Serve;
use crate::config::Config;
use std::io::Write as _;

pub(super) fn run(arguments: &Serve) -> Result<Ended, Error> {
    let (_config, effective) = Config::load(arguments.config.clone(), arguments.flags())?;
    if arguments.print_config {
        std::io::stdout().write_all(effective.as_bytes())?;
        return Ok(Ended::Done);
    }
    Err(Error::Failed("serving is not built in yet".into()))
}
