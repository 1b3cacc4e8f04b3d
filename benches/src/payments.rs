//! `bench payments`: durable commands over HTTP, beside bare fdatasyncs on the same disk.
//!
//! A command is the creation of a payment that the mock gateway charges at once. It is answered
//! when its own record is durable and applied; what follows from it (the charge and its book, the
//! facts told to inbox and course) goes on behind the answer and competes with the next command for
//! the disk. The bound is what group commit can do at best: with as many clients as there are, each
//! fdatasync carries one command of each.

use crate::client;
use crate::helper::Helper;
use crate::scratch::Scratch;
use crate::served::Served;
use crate::usage::Usage;
use crate::{Error, report};
use serde::Serialize;
use state::disk::{Disk, RealDisk};
use std::path::Path;
use std::time::Instant;

/// What a command's frame takes up, about: its header, its event and its key. Disks write whole
/// blocks, so a few bytes more or less make no difference.
const FRAME_BYTES: usize = 512;

/// So many fdatasyncs are timed, right before and right after the commands of one client.
const SYNCS: u64 = 200;

/// The clients of the second part.
const CLIENTS: u64 = 64;

/// Measured commands of one client, and of all the clients.
const ALONE: u64 = 1_000;
const TOGETHER: u64 = 100_000;

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// One client: half of its commands were answered within this.
    pub p50_ms: f64,
    /// One client: 99 of 100.
    pub p99_ms: f64,
    /// A bare write and fdatasync of as many bytes, in a file that has its length already.
    pub fdatasync_p50_ms: f64,
    /// A command of one client by a bare fdatasync.
    pub p50_by_fdatasync: f64,
    /// 64 clients.
    pub commands_per_second: f64,
    /// 64 clients: half of their commands were answered within this.
    pub together_p50_ms: f64,
    /// 64 clients: the CPU time of server and gateway a command, in µs, with all that follows from
    /// it; the clients' is not in it.
    pub cpu_us_per_command: f64,
    /// What 64 clients could have at best from this disk: 64 commands an fdatasync.
    pub bound_commands_per_second: f64,
}

/// Measures once.
///
/// # Errors
/// The engine or the client fails, or a command is not accepted.
pub fn run(data: Option<&Path>, helper: &Helper) -> Result<Figures, Error> {
    let scratch = Scratch::new(data)?;
    let dir = scratch.path().join("data");
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("start threads in", &dir))?;
    let served = runtime.block_on(Box::pin(Served::open(&dir)))?;
    let ask = |name: &str, connections: u64, requests: u64| {
        let words = ["bench", "client", "--load", "payments"].map(str::to_owned);
        let mut arguments = Vec::from(words);
        for (flag, value) in [
            ("--address", served.address.to_string()),
            ("--connections", connections.to_string()),
            ("--requests", requests.to_string()),
            ("--name", name.to_owned()),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
        helper.run::<client::Figures>(&arguments)
    };
    report::progress("one client");
    ask("warm", 1, ALONE / 10)?;
    let mut syncs_us = syncs(scratch.path())?;
    let alone = ask("alone", 1, ALONE)?;
    syncs_us.extend(syncs(scratch.path())?);
    report::progress("64 clients");
    ask("warm-together", CLIENTS, TOGETHER / 10)?;
    let before = Usage::now();
    let together = ask("together", CLIENTS, TOGETHER)?;
    let cpu_us = Usage::now().since(&before).cpu_us;
    runtime.block_on(Box::pin(served.close()))?;
    syncs_us.sort_unstable();
    let fdatasync_p50_ms = syncs_us[syncs_us.len() / 2] as f64 / 1_000.0;
    Ok(Figures {
        p50_ms: alone.p50_ms,
        p99_ms: alone.p99_ms,
        fdatasync_p50_ms,
        p50_by_fdatasync: alone.p50_ms / fdatasync_p50_ms,
        commands_per_second: together.per_second,
        together_p50_ms: together.p50_ms,
        cpu_us_per_command: cpu_us as f64 / TOGETHER as f64,
        bound_commands_per_second: CLIENTS as f64 * 1_000.0 / fdatasync_p50_ms,
    })
}

/// Times bare fdatasyncs, one frame each, in a file filled with zeros ahead, as segments are.
fn syncs(dir: &Path) -> Result<Vec<u64>, Error> {
    let path = dir.join("syncs");
    let failed = Error::io("write", &path);
    let times = || {
        let file = RealDisk.create(&path)?;
        file.write_all_at(&vec![0; FRAME_BYTES * SYNCS as usize], 0)?;
        file.sync_data()?;
        let frame = [0x5A; FRAME_BYTES];
        let mut times_us = Vec::new();
        for number in 0..SYNCS {
            let began = Instant::now();
            file.write_all_at(&frame, number * FRAME_BYTES as u64)?;
            file.sync_data()?;
            times_us.push(began.elapsed().as_micros() as u64);
        }
        RealDisk.remove_file(&path)?;
        Ok(times_us)
    };
    times().map_err(failed)
}
