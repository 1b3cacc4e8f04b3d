//! The engine's core on a disk that loses power: after a crash at any single change, and after
//! crashes upon crashes, everything acknowledged is there and everything that follows from it has
//! happened once.
//!
//! Some crash points by default; with BELLWETHER_TEST_FULL=1 every single one of a history of 2,000
//! frames, which wants a release build and some minutes.

use topology::simulation::{Report, Script, chance::Chance, play};

fn is_full() -> bool {
    std::env::var_os("BELLWETHER_TEST_FULL").is_some_and(|value| value == "1")
}

/// The power does not go.
fn quiet(seed: u64, wants: usize) -> Report {
    play(&Script { seed, wants, crashes: Vec::new(), faults: false })
}

#[test]
fn without_a_crash_every_promise_holds_and_everything_has_happened() {
    let report = quiet(1, 700);
    for what in [
        "answered",
        "fired",
        "poison",
        "published",
        "refused",
        "repeated",
        "too deep",
        "too late",
        "unknown",
        "unpublishable",
    ] {
        assert!(report.counts.contains_key(what), "no {what} in {report:?}");
    }
}

/// The same seed with the power gone after each change in turn, in the start, the work, the
/// checkpoints.
#[test]
fn a_crash_after_any_single_change_breaks_no_promise() {
    let (wants, points) = if is_full() { (1_400, u64::MAX) } else { (160, 90) };
    let seed = 7;
    let whole = quiet(seed, wants);
    let mut chance = Chance(seed);
    let after: Vec<u64> = if points > whole.changes {
        (0..whole.changes).collect()
    } else {
        (0..points).map(|_| chance.below(whole.changes)).collect()
    };
    println!("{} crash points of {whole:?}", after.len());
    for changes in after {
        let report = play(&Script { seed, wants, crashes: vec![changes], faults: false });
        assert_eq!(report.crashes, 1, "after {changes} changes");
    }
}

/// Crashes follow on crashes, also while the machine starts.
#[test]
fn crashes_upon_crashes_break_no_promise() {
    let seeds = if is_full() { 2_000 } else { 24 };
    for seed in 0..seeds {
        let mut chance = Chance(seed);
        let crashes = (0..14).map(|_| chance.below(1 + 40 * (1 + seed % 5))).collect();
        play(&Script { seed, wants: 220, crashes, faults: false });
    }
}

/// The disk fails once in a while, the process dies of it or of nothing, and sometimes the power
/// goes too.
#[test]
fn faults_and_deaths_break_no_promise() {
    let seeds = if is_full() { 2_000 } else { 24 };
    let mut deaths = 0;
    for seed in 1_000..1_000 + seeds {
        let mut chance = Chance(seed);
        let crashes = (0..seed % 3).map(|_| chance.below(400)).collect();
        let report = play(&Script { seed, wants: 220, crashes, faults: true });
        deaths += report.deaths;
    }
    println!("{deaths} deaths");
    assert!(deaths > 3 * seeds as usize, "only {deaths} deaths");
}
