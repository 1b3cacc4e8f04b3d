//! Which of the planted bugs is at work: the one that the environment names.
//!
//! `scripts/planted` puts this into a copy of the sources, as `actors::planted`, beside the patches
//! of this folder. The product has no such switch.

use std::sync::OnceLock;

/// Whether this bug is at work.
pub fn is(name: &str) -> bool {
    static AT_WORK: OnceLock<Option<String>> = OnceLock::new();
    let at_work = AT_WORK.get_or_init(|| std::env::var("BELLWETHER_PLANTED").ok());
    at_work.as_deref() == Some(name)
}
