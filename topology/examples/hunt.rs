//! Plays seeds until one breaks a promise: how long does it take the simulation to catch a bug that
//! was planted (`scripts/planted`)?
//!
//! Takes how many seeds to play at most. Says which one caught it and what was broken, and ends
//! with 0; with 1 if every promise was kept. What is *not* here: the bugs.

use topology::simulation::Script;
use topology::simulation::shrink::try_play;

fn main() -> std::process::ExitCode {
    let seeds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2_000);
    std::panic::set_hook(Box::new(|_| ()));
    for seed in 0..seeds {
        if let Err(why) = try_play(&Script::of(seed)) {
            let why: String = why.lines().next().unwrap_or_default().chars().take(120).collect();
            println!("seed {seed}: {why}");
            return std::process::ExitCode::SUCCESS;
        }
    }
    println!("no promise was broken in {seeds} seeds");
    std::process::ExitCode::FAILURE
}
