//! One inbox per user.

pub mod note;

pub use note::{Note, Payment, Topic};

use serde::{Deserialize, Serialize};

/// Which item: its page and its place there. As text `17-3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ItemId {
    /// The page, from 0.
    pub page: u32,
    /// The place in the page, from 0.
    pub slot: u16,
}

/// What an inbox is told. Stored: variants are only appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Something happened that concerns the user.
    Notify(Note),
    /// The user has read it.
    Read(ItemId),
    /// It is to count as unread again.
    Unread(ItemId),
    /// Out of the default list.
    Archive(ItemId),
    /// Back into it.
    Unarchive(ItemId),
    /// Everything that is there now has been read.
    ReadAll,
}
