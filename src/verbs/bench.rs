//! `bench`: runs a comparison as often as wanted, and shows the medians.
//!
//! What is measured by another process is measured by this binary, started again with a hidden verb:
//! so both sides have the same allocator, and there is nothing to install.

use super::{Ended, Error};
use crate::cli::bench::{Bench, Common, Engine};
use benches::{engine, report, residents};
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

pub(super) fn run(which: &Bench) -> Result<Ended, Error> {
    match which {
        Bench::Engine(arguments) => run_engine(arguments),
        Bench::Residents(common) => {
            let figures = residents::run(common.data.as_deref())?;
            let text = serde_json::to_string(&figures).expect("figures are finite numbers");
            writeln!(std::io::stdout(), "{text}")?;
            Ok(Ended::Done)
        }
    }
}

fn run_engine(arguments: &Engine) -> Result<Ended, Error> {
    let common = &arguments.common;
    let plan = engine::Plan {
        events: arguments.events,
        users: arguments.users,
        workers: usize::from(arguments.workers),
        partitions: arguments.partitions,
        data: common.data.clone(),
    };
    let resident_bytes = if arguments.no_residents {
        None
    } else {
        Some(measure_residents(common.data.as_deref())?.resident_bytes)
    };
    let mut once = || Ok(engine::Figures { resident_bytes, ..engine::run(&plan)? });
    let figures = repeat(common, &mut once)?;
    show(common, &report::engine_title(&plan, common.runs as usize), &figures)
}

fn repeat<F: Serialize>(
    common: &Common,
    once: &mut dyn FnMut() -> Result<F, benches::Error>,
) -> Result<Map<String, Value>, Error> {
    let runs: Vec<F> = (0..common.runs).map(|_| once()).collect::<Result<_, _>>()?;
    Ok(report::medians(&runs))
}

fn show(common: &Common, title: &str, figures: &Map<String, Value>) -> Result<Ended, Error> {
    let text = if common.json {
        serde_json::to_string(figures).expect("figures are finite numbers") + "\n"
    } else {
        report::table(title, figures)
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Ended::Done)
}

/// A process that has held nothing else says best what a resident takes.
fn measure_residents(data: Option<&Path>) -> Result<residents::Figures, Error> {
    let mut again = ourselves(&["bench", "residents"])?;
    if let Some(data) = data {
        again.arg("--data").arg(data);
    }
    let output = again.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| helper(&error.to_string()))?;
    if !output.status.success() {
        return Err(helper(&output.status.to_string()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| helper(&error.to_string()))
}

/// This binary, to be started again.
fn ourselves(arguments: &[&str]) -> Result<Command, Error> {
    let binary = std::env::current_exe().map_err(|error| helper(&error.to_string()))?;
    let mut command = Command::new(binary);
    command.args(arguments);
    Ok(command)
}

fn helper(why: &str) -> Error {
    benches::Error::Helper(why.to_owned()).into()
}
