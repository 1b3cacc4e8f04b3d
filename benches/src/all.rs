//! `bench all`: every comparison, one after another, into one file.
//!
//! Each is run by a process of its own, as if it had been typed, so that what one leaves in memory
//! is not the next one's. What is *not* here: any measuring.

use crate::helper::Helper;
use crate::{Error, report};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How often each; medians are kept.
    pub runs: u32,
    /// Ten million entities too.
    pub huge: bool,
    /// Only to try it out: little of everything, and none of it worth a figure.
    pub quick: bool,
    /// Where data are written: into directories of their own there, removed at the end.
    pub data: Option<PathBuf>,
    /// Where the figures go.
    pub json: PathBuf,
}

/// Measures everything. What takes no arguments that would make it quick is left out of a quick
/// run.
///
/// # Errors
/// A bench fails, or the file cannot be written.
pub fn run(plan: &Plan, helper: &Helper) -> Result<(), Error> {
    let mut figures = Map::new();
    figures.insert("machine".to_owned(), machine());
    figures.insert("quick".to_owned(), plan.quick.into());
    figures.insert("runs".to_owned(), plan.runs.into());
    let bench = |name: &str, arguments: &[(&str, u64)], residents: bool| {
        report::progress(&format!("{name} {arguments:?}"));
        let mut words = vec!["bench".to_owned(), name.to_owned(), "--json".to_owned()];
        words.extend(["--runs".to_owned(), plan.runs.to_string()]);
        if let Some(data) = &plan.data {
            words.extend(["--data".to_owned(), data.display().to_string()]);
        }
        if !residents {
            words.push("--no-residents".to_owned());
        }
        for (flag, value) in arguments {
            words.extend([format!("--{flag}"), value.to_string()]);
        }
        helper.run::<Map<String, Value>>(&words)
    };
    let mut sizes = Vec::new();
    for (users, events) in plan.sizes() {
        sizes.push(bench("engine", &[("users", users), ("events", events)], false)?);
    }
    figures.insert("engine".to_owned(), json!(sizes));
    let mut workers = Vec::new();
    for count in [1, 2] {
        let (users, events) = plan.middle();
        let arguments = [("users", users), ("events", events), ("workers", count)];
        let mut figures = bench("engine", &arguments, false)?;
        figures.insert("workers".to_owned(), count.into());
        workers.push(figures);
    }
    figures.insert("workers".to_owned(), json!(workers));
    let mut restarts = Vec::new();
    for (users, events) in plan.large() {
        restarts.push(bench("restart", &[("users", users), ("events", events)], true)?);
    }
    figures.insert("restart".to_owned(), json!(restarts));
    let (users, events) = plan.middle();
    let rest = bench("rest", &[("users", users), ("events", events)], true)?;
    figures.insert("rest".to_owned(), json!(rest));
    figures.insert("journal".to_owned(), json!(bench("journal", &[], true)?));
    if !plan.quick {
        for name in ["payments", "reads", "beside", "residents"] {
            figures.insert(name.to_owned(), json!(bench(name, &[], true)?));
        }
    }
    let text = serde_json::to_string_pretty(&figures).expect("figures are finite numbers");
    std::fs::write(&plan.json, text + "\n").map_err(Error::io("write", &plan.json))
}

impl Plan {
    /// People and events of the engine's runs.
    fn sizes(&self) -> Vec<(u64, u64)> {
        if self.quick {
            return vec![(500, 5_000), (2_000, 5_000)];
        }
        let mut sizes = vec![(10_000, 2_000_000), (100_000, 2_000_000), (1_000_000, 4_000_000)];
        sizes.extend(self.huge.then_some((10_000_000, 20_000_000)));
        sizes
    }

    fn middle(&self) -> (u64, u64) {
        if self.quick { (2_000, 5_000) } else { (100_000, 2_000_000) }
    }

    /// Of restarts.
    fn large(&self) -> Vec<(u64, u64)> {
        if self.quick {
            return vec![(2_000, 5_000)];
        }
        let mut sizes = vec![(1_000_000, 4_000_000)];
        sizes.extend(self.huge.then_some((10_000_000, 20_000_000)));
        sizes
    }
}

/// What figures depend on.
fn machine() -> Value {
    let first = |file: &str, name: &str| {
        let text = std::fs::read_to_string(Path::new("/proc").join(file)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'))?;
        Some(line.1.trim().to_owned())
    };
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    json!({
        "processor": first("cpuinfo", "model name"),
        "cores": crate::cores(),
        "memory": first("meminfo", "MemTotal"),
        "kernel": kernel.ok().map(|text| text.trim().to_owned()),
        "version": env!("CARGO_PKG_VERSION"),
    })
}
