//! The items of an inbox, a page of them at a time, in the order in which they came.
//!
//! What is *not* here: the counts and which page is open; the head has them. Invariant: a page,
//! encoded, is at most 4 KiB, and far less: it is written whole whenever one of its items changes.

use super::note::Topic;
use crate::words::{Position, Timestamp};
use serde::{Deserialize, Serialize};

/// A page takes no further item that could make it longer than this, encoded.
pub(super) const PAGE_BYTES_MAX: usize = 2_000;

/// What an item takes beside its topic, encoded, at most: time, position, epoch, two marks.
pub(super) const ITEM_BYTES_MAX: usize = 9 + 9 + 5 + 2;

/// Some of an inbox's items.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub(super) items: Vec<Item>,
}

/// One item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) topic: Topic,
    /// When it happened.
    pub(super) time: Timestamp,
    /// Of the record that brought it.
    pub(super) position: Position,
    /// The inbox's epoch when the item was last marked.
    pub(super) epoch: u32,
    /// Whether it was read then.
    pub(super) read: bool,
    pub(super) archived: bool,
}

impl Item {
    /// Whether it counts as read in this epoch of its inbox.
    pub(super) fn is_read(&self, epoch: u32) -> bool {
        self.read || self.epoch < epoch
    }
}
