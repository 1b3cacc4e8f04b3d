//! The engine's core in a world that fails: one seed decides what clients want, in which order
//! everybody takes their steps, when the power goes, and what it leaves.
//!
//! Nothing here has a thread or a clock, so the same seed does the same. After the last step the
//! world heals, everything comes to rest, and then each promise is checked: what was acknowledged
//! is there, every entity is what a plain fold of the journal says, every effect was carried out,
//! money is conserved. What is *not* here: the shells around the core (threads, mailboxes,
//! sockets); tests of the whole process cover those.

pub mod chance;
mod check;
pub mod client;
pub mod fuse;
pub mod machine;
pub mod oracle;
pub mod process;
pub mod shrink;
mod world;

use chance::Chance;
use std::collections::BTreeMap;
use world::World;

/// What happens in a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Everything else follows from it.
    pub seed: u64,
    /// How much clients want.
    pub wants: usize,
    /// After how many changes to the disk the power goes; then after how many more, and so on.
    pub crashes: Vec<u64>,
    /// Whether the disk fails now and then, and the process dies of it or of nothing.
    pub faults: bool,
}

impl Script {
    /// What a seed stands for where nothing else is said: quiet worlds, power that goes a few times
    /// or again and again, disks that fail and processes that die.
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance(seed ^ 0x5EED);
        let crashes = match chance.below(4) {
            0 => 0,
            1 => 1,
            2 => chance.below(4),
            _ => 14,
        };
        let apart = 1 + 40 * (1 + chance.below(8));
        let crashes = (0..crashes).map(|_| chance.below(apart)).collect();
        Self { seed, wants: 60 + chance.below(240) as usize, crashes, faults: chance.one_in(2) }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many records the journal has.
    pub records: u64,
    /// How many frames.
    pub frames: usize,
    /// A hash of every byte of the journal: whatever went another way shows in it.
    pub journal: u64,
    /// How many changes were made to the disk, over all lives of the machine.
    pub changes: u64,
    /// How often the power went.
    pub crashes: usize,
    /// How often the process ended with the power on.
    pub deaths: usize,
    /// How often each thing happened.
    pub counts: BTreeMap<&'static str, u64>,
}

/// Plays it, and checks every promise in the end.
///
/// # Panics
/// A promise is broken; the message says which, and the script is printed.
pub fn play(script: &Script) -> Report {
    let mut world = World::new(script.clone());
    world.plan_crash();
    while !world.is_over() {
        world.step();
    }
    world.heal();
    world.check()
}
