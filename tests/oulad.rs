//! A university's whole history through the door: imported once, twice, and with the process killed
//! in between, everything that can be read over HTTP equals the truth tables.
//!
//! `.ci/run` imports all of it; a plain `cargo test` one module, which goes the same way. What is
//! *not* here: the mapping alone (`src/oulad/recount.rs`).

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/oulad.rs"]
mod oulad;
#[path = "support/process.rs"]
mod process;
#[path = "support/truth.rs"]
mod truth;

use process::{Process, bellwether};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use truth::{assert_equal_to_the_truth, tables};

fn import(process: &Process, tables: &Path) -> Command {
    let mut command = bellwether();
    command.args(["import", "oulad"]).arg(tables).args(["--to", &process.url]);
    command.arg("--rejects").arg(process.scratch().join("rejects.ndjson"));
    command.stdout(Stdio::piped());
    command
}

/// Imports, and returns the last line it says.
fn import_whole(process: &Process, tables: &Path) -> String {
    let output = import(process, tables).output().unwrap();
    assert!(output.status.success(), "the import ended with {}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned()
}

/// How many events the server has of the import.
fn known(process: &Process) -> u64 {
    if process.status("/api/v1/producers") != 200 {
        return 0;
    }
    let producers = process.get("/api/v1/producers");
    producers.pointer("/data/0/next_sequence").and_then(Value::as_u64).unwrap_or(0)
}

#[test]
fn imported_once_and_twice_it_equals_the_truth() {
    let mut process = Process::start(&[]);
    process.wait_ready();
    let tables = tables(process.scratch());
    let first = import_whole(&process, &tables);
    assert!(first.contains("duplicates 0, ignored 0, rejected 0"), "{first}");
    let events = known(&process);
    assert!(first.starts_with(&format!("accepted {events},")), "{first}");
    assert_equal_to_the_truth(&process);
    let second = import_whole(&process, &tables);
    assert_eq!(
        second,
        format!("accepted 0, duplicates 0, ignored 0, rejected 0, there before {events}")
    );
    assert_equal_to_the_truth(&process);
    assert!(process.terminate().success());
    process.restart();
    process.wait_ready();
    assert_equal_to_the_truth(&process);
}

#[test]
fn killed_five_times_in_between_it_equals_the_truth() {
    let mut process = Process::start(&[]);
    process.wait_ready();
    let tables = tables(process.scratch());
    // Small batches where there is little to import, so that there is an in-between.
    let batch = if process::long_tests() { "1000" } else { "20" };
    let mut importing = import(&process, &tables).args(["--batch", batch]).spawn().unwrap();
    let total = if process::long_tests() { 239_000 } else { 4_800 };
    for kill in 1..=5 {
        while known(&process) < kill * total / 6 {
            assert!(importing.try_wait().unwrap().is_none(), "it was imported before kill {kill}");
            std::thread::yield_now();
        }
        process.kill();
        process.restart();
    }
    let status = importing.wait().unwrap();
    assert!(status.success(), "the import ended with {status}");
    process.wait_ready();
    assert_equal_to_the_truth(&process);
}
