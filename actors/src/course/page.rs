//! The days of a course, 32 of them a page, in chains: the counts are chain 0, and each currency
//! has one of its own.
//!
//! What is *not* here: weeks and months, which are sums over days. Invariant: a page, encoded, is
//! at most 4 KiB: 32 days times 8 columns of 12 bytes.

use super::Event;
use crate::civil::DAY_MS;
use crate::words::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Days in a page.
pub(super) const PAGE_DAYS: i64 = 32;

/// Columns of a day.
const COLUMNS: u16 = 8;

/// Blocks of days per chain: enough for the years 1 to 9999.
const CHAIN_BLOCKS: u32 = 1 << 17;

/// The block of days that 1970-01-01 is in.
const EPOCH_BLOCK: i64 = 30_000;

/// What is counted per day. Stored: never renumbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Enrollments = 0,
    Cancellations = 1,
    Completions = 2,
    Failures = 3,
    Submissions = 4,
    /// In a chain of its own per currency, in minor units.
    Revenue = 5,
}

impl Column {
    /// The column that counts such events.
    pub(super) fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Enrolled { .. } => Some(Self::Enrollments),
            Event::Canceled { .. } => Some(Self::Cancellations),
            Event::Completed { .. } => Some(Self::Completions),
            Event::Failed { .. } => Some(Self::Failures),
            Event::Submitted { .. } => Some(Self::Submissions),
            Event::Captured(_) => Some(Self::Revenue),
            Event::LessonCompleted { .. } | Event::Graded { .. } | Event::Refunded(_) => None,
        }
    }
}

impl Timestamp {
    /// The day it is in, UTC, since 1970-01-01.
    pub(super) fn day(self) -> i64 {
        self.0.clamp(*Self::RANGE.start(), *Self::RANGE.end()).div_euclid(DAY_MS)
    }
}

/// The number of the page that a day is in.
pub(super) fn page_number(chain: u32, day: i64) -> u32 {
    let block = day.div_euclid(PAGE_DAYS) + EPOCH_BLOCK;
    let block = u32::try_from(block).expect("days are those of the years 1 to 9999");
    assert!(block < CHAIN_BLOCKS, "block {block} of {CHAIN_BLOCKS}");
    chain * CHAIN_BLOCKS + block
}

/// Some days of one chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// By day of the page and column.
    cells: BTreeMap<u16, u64>,
}

impl Page {
    pub(super) fn add(&mut self, day: i64, column: Column, amount: u64) {
        let cell = self.cells.entry(cell(day, column)).or_default();
        *cell = cell.saturating_add(amount);
    }

    /// What is counted on a day.
    pub(super) fn get(&self, day: i64, column: Column) -> u64 {
        self.cells.get(&cell(day, column)).copied().unwrap_or_default()
    }
}

fn cell(day: i64, column: Column) -> u16 {
    day.rem_euclid(PAGE_DAYS) as u16 * COLUMNS + column as u16
}
