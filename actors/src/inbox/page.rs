//! The items of an inbox, a page of them at a time, in the order in which they came.
//!
//! What is *not* here: the counts and which page is open; the head has them. Invariant: a page,
//! encoded, is at most 4 KiB, and far less: it is written whole whenever one of its items changes.

use super::note::Topic;
use crate::codec::{self, Packed};
use crate::words::{Position, Timestamp};
use serde::{Deserialize, Serialize};

/// A page takes no further item that could make it longer than this, encoded.
pub(super) const PAGE_BYTES_MAX: usize = 2_000;

/// What an item takes beside its topic, encoded, at most: time, position, epoch, two marks.
pub(super) const ITEM_BYTES_MAX: usize = 9 + 9 + 5 + 2;

/// Some of an inbox's items. They stay encoded, back to back, as they are stored: an inbox that is
/// told something appends a few dozen bytes, and one that wakes or is handed to the store copies
/// them, whatever it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u16, Packed)")]
pub struct Page {
    items: u16,
    packed: Packed,
}

impl Page {
    /// How many items it has.
    pub(super) fn len(&self) -> usize {
        usize::from(self.items)
    }

    /// Adds an item behind the others.
    pub(super) fn push(&mut self, item: &Item) {
        codec::encode_into(item, &mut self.packed.0);
        self.items += 1;
    }

    /// Its items, in the order in which they came.
    pub(super) fn items(&self) -> impl Iterator<Item = Item> {
        let mut rest = self.packed.0.as_slice();
        (0..self.items).map(move |_| codec::decode_next(&mut rest).expect(CHECKED))
    }

    /// The item at this place, if there is one.
    pub(super) fn get(&self, slot: u16) -> Option<Item> {
        self.items().nth(usize::from(slot))
    }

    /// Puts another item in the place of one that is there.
    pub(super) fn replace(&mut self, slot: u16, item: &Item) {
        let place = self.offset(slot)..self.offset(slot + 1);
        self.packed.0.splice(place, codec::encode(item));
    }

    /// Where the item at this place begins.
    fn offset(&self, slot: u16) -> usize {
        let mut rest = self.packed.0.as_slice();
        for _ in 0..slot {
            codec::decode_next::<Item>(&mut rest).expect(CHECKED);
        }
        self.packed.0.len() - rest.len()
    }
}

const CHECKED: &str = "the items of a page are our own, or were checked when it was read";

impl TryFrom<(u16, Packed)> for Page {
    type Error = codec::Error;

    fn try_from((items, packed): (u16, Packed)) -> Result<Self, codec::Error> {
        let mut rest = packed.0.as_slice();
        for _ in 0..items {
            codec::decode_next::<Item>(&mut rest)?;
        }
        codec::ended(rest)?;
        Ok(Self { items, packed })
    }
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
