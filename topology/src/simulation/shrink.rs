//! A broken promise as an error, and the smallest script that still breaks one.
//!
//! What is *not* here: what a promise is (`check`). Shrinking keeps the seed, which decides
//! everything, and takes away what clients want and how often the power goes.

use super::{Report, Script, play};
use crate::hear::panic_text;
use std::panic::AssertUnwindSafe;

/// A script is played at most so often to make it smaller.
const TRIES_MAX: usize = 60;

/// Plays a script.
///
/// # Errors
/// A promise is broken: which.
pub fn try_play(script: &Script) -> Result<Report, String> {
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| play(script)));
    played.map_err(|panic| panic_text(&*panic))
}

/// A smaller script that breaks a promise too, if there is one; and what it breaks.
pub fn shrink(broken: &Script, why: String) -> (Script, String) {
    let (mut smallest, mut why, mut tries) = (broken.clone(), why, 0);
    'smaller: loop {
        for smaller in smaller(&smallest) {
            tries += 1;
            if tries > TRIES_MAX {
                return (smallest, why);
            }
            if let Err(still) = try_play(&smaller) {
                (smallest, why) = (smaller, still);
                continue 'smaller;
            }
        }
        return (smallest, why);
    }
}

/// Scripts that are a little smaller, the smallest first.
fn smaller(script: &Script) -> Vec<Script> {
    let mut all = Vec::new();
    for wants in [script.wants / 2, script.wants * 3 / 4, script.wants.saturating_sub(1)] {
        if wants < script.wants {
            all.push(Script { wants, ..script.clone() });
        }
    }
    for gone in 0..script.crashes.len() {
        let mut fewer = script.clone();
        fewer.crashes.remove(gone);
        all.push(fewer);
    }
    if script.faults {
        all.push(Script { faults: false, ..script.clone() });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_smaller_script_is_smaller() {
        let script = Script { seed: 3, wants: 10, crashes: vec![5, 6], faults: true };
        let size =
            |script: &Script| script.wants + script.crashes.len() + usize::from(script.faults);
        let all = smaller(&script);
        assert_eq!(all.len(), 6);
        assert!(all.iter().all(|smaller| size(smaller) < size(&script) && smaller.seed == 3));
        assert!(
            smaller(&Script { wants: 0, crashes: Vec::new(), faults: false, seed: 0 }).is_empty()
        );
    }

    #[test]
    fn the_same_seed_makes_the_same_journal_and_another_seed_another() {
        let play = |seed| try_play(&Script::of(seed)).expect("no promise is broken");
        let (first, again, other) = (play(11), play(11), play(12));
        assert_eq!(first, again);
        assert_ne!(first.journal, other.journal);
    }
}
