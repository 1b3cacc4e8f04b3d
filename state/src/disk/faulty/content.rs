//! What the faulty disk holds: bytes and names, durable and not, and what a crash leaves of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SECTOR_BYTES: u64 = 512;

#[derive(Default, Clone)]
pub(super) struct Content {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<Change>,
}

#[derive(Clone)]
pub(super) enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

#[derive(Clone)]
pub(super) enum NameChange {
    Link { path: PathBuf, file: u64 },
    Rename { from: PathBuf, to: PathBuf, file: u64 },
    Unlink { path: PathBuf },
}

impl Content {
    pub(super) fn left_by_crash(&self, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let mut pending: Vec<&Change> = self.pending.iter().collect();
        for last in (1..pending.len()).rev() {
            pending.swap(last, chance.below(last as u64 + 1) as usize);
        }
        // One crash in four keeps everything and one nothing: the edges are worth meeting often.
        let kept_of_8 = [0, 4, 6, 8][chance.below(4) as usize];
        for change in pending {
            if chance.below(8) < kept_of_8 {
                apply(&mut bytes, &torn(change, chance));
            }
        }
        bytes
    }
}

/// The change, or, of a longer write, sometimes only what lies before or behind a sector's
/// boundary.
pub(super) fn torn(change: &Change, chance: &mut Chance) -> Change {
    let Change::Write { offset, bytes } = change else { return change.clone() };
    // Of nothing, and of what ends with the sector it begins in, there is no part.
    let last = offset + (bytes.len() as u64).saturating_sub(1);
    let boundaries = last / SECTOR_BYTES - offset / SECTOR_BYTES;
    if boundaries == 0 || chance.half() {
        return change.clone();
    }
    let boundary = (offset / SECTOR_BYTES + 1 + chance.below(boundaries)) * SECTOR_BYTES;
    let (before, behind) = bytes.split_at((boundary - offset) as usize);
    if chance.half() {
        Change::Write { offset: *offset, bytes: before.to_vec() }
    } else {
        Change::Write { offset: boundary, bytes: behind.to_vec() }
    }
}

pub(super) fn apply(to: &mut Vec<u8>, change: &Change) {
    match change {
        Change::SetLen(len) => to.resize(*len as usize, 0),
        Change::Write { bytes, .. } if bytes.is_empty() => {}
        Change::Write { offset, bytes } => {
            let (from, end) = (*offset as usize, *offset as usize + bytes.len());
            if to.len() < end {
                to.resize(end, 0);
            }
            to[from..end].copy_from_slice(bytes);
        }
    }
}

pub(super) fn rename(names: &mut BTreeMap<PathBuf, u64>, change: &NameChange) {
    match change {
        NameChange::Link { path, file } => {
            names.insert(path.clone(), *file);
        }
        NameChange::Rename { from, to, file } => {
            names.remove(from);
            names.insert(to.clone(), *file);
        }
        NameChange::Unlink { path } => {
            names.remove(path);
        }
    }
}

impl NameChange {
    pub(super) fn dir(&self) -> Option<&Path> {
        let (NameChange::Link { path, .. }
        | NameChange::Rename { to: path, .. }
        | NameChange::Unlink { path }) = self;
        path.parent()
    }
}

/// Splitmix64: small, seeded, good enough to choose which writes survive.
#[derive(Default)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn half(&mut self) -> bool {
        self.next() & 1 == 0
    }

    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing, written at a sector's boundary, was torn into what it never had.
    #[test]
    fn what_is_torn_is_a_part_of_what_was_written() {
        for (offset, len) in
            [(0, 0), (512, 0), (512, 1), (511, 1), (0, 512), (511, 2), (700, 3_000)]
        {
            for seed in 0..50 {
                let write = Change::Write { offset, bytes: vec![7; len] };
                let Change::Write { offset: at, bytes } = torn(&write, &mut Chance(seed)) else {
                    panic!("a write stays a write")
                };
                let end = at + bytes.len() as u64;
                assert!(at >= offset && end <= offset + len as u64, "{offset}, {len}, seed {seed}");
            }
        }
    }
}
