//! `simulate`: the engine's core in worlds that fail, a seed each. Ends with the command that plays
//! a broken promise again, as small as it could be made.
//!
//! What is *not* here: the simulation itself, which is the engine's.

use super::{Ended, Error};
use crate::cli::Simulate;
use std::io::Write as _;
use topology::simulation::shrink::{shrink, try_play};
use topology::simulation::{Report, Script};
use xxhash_rust::xxh3::Xxh3;

pub(super) fn run(arguments: &Simulate) -> Result<Ended, Error> {
    // A broken promise is an answer here, not a crash: it is told once, at the end.
    std::panic::set_hook(Box::new(|_| ()));
    let (mut trace, mut all) = (Xxh3::new(), Totals::default());
    let mut out = std::io::stdout().lock();
    for seed in arguments.from..arguments.from.saturating_add(arguments.seeds) {
        let script = arguments.script(seed);
        match try_play(&script) {
            Ok(report) => {
                trace.update(&report.journal.to_le_bytes());
                all.add(&report);
                if arguments.trace {
                    writeln!(out, "{seed} {:016x} {report:?}", report.journal)?;
                }
            }
            Err(why) => return Err(broken(&script, why)),
        }
    }
    writeln!(
        out,
        "{} seeds from {}: no promise was broken in {} records, {} crashes, {} deaths",
        arguments.seeds, arguments.from, all.records, all.crashes, all.deaths
    )?;
    writeln!(out, "trace {:016x}", trace.digest())?;
    Ok(Ended::Done)
}

#[derive(Default)]
struct Totals {
    records: u64,
    crashes: usize,
    deaths: usize,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.records += report.records;
        self.crashes += report.crashes;
        self.deaths += report.deaths;
    }
}

fn broken(script: &Script, why: String) -> Error {
    let (smallest, why) = shrink(script, why);
    Error::Failed(format!("seed {}: {why}; play it again with `{}`", script.seed, again(&smallest)))
}

/// The command that plays a script.
fn again(script: &Script) -> String {
    let Script { seed, wants, crashes, faults } = script;
    let crashes: Vec<String> = crashes.iter().map(u64::to_string).collect();
    let crashes = crashes.join(",");
    format!(
        "bellwether simulate --from {seed} --seeds 1 --wants {wants} --crashes={crashes} \
         --faults={faults}"
    )
}

impl Simulate {
    /// What a seed stands for, but for what the flags say.
    fn script(&self, seed: u64) -> Script {
        let of_seed = Script::of(seed);
        let given = |text: &String| text.split(',').filter_map(|part| part.parse().ok()).collect();
        Script {
            seed,
            wants: self.wants.unwrap_or(of_seed.wants),
            crashes: self.crashes.as_ref().map_or(of_seed.crashes, given),
            faults: self.faults.unwrap_or(of_seed.faults),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser as _;

    #[test]
    fn the_command_that_plays_a_script_again_means_that_script() {
        for crashes in [vec![], vec![7], vec![3, 0, 41]] {
            let script = Script { seed: 5, wants: 17, crashes, faults: true };
            let command = again(&script);
            let Some(Verb::Simulate(read)) = Cli::parse_from(command.split(' ')).verb else {
                panic!("{command} is another verb");
            };
            assert_eq!((read.script(5), read.from, read.seeds), (script, 5, 1));
        }
    }
}
