//! Lists of items, newest first, page by page of the reader's.
//!
//! The search goes from the newest item towards the oldest, and stops when it has what was asked
//! for, when the head says that there can be no more, or after [`SCAN_PAGES_MAX`] pages: then the
//! answer is short and its `next` says where to go on. What is *not* here: the cursor's text, which
//! is the door's.

use super::Inbox;
use super::item::{ItemId, ItemView};
use super::page::{Item, Page};
use crate::pages::Pages;

/// A list looks through at most so many pages at once.
pub(super) const SCAN_PAGES_MAX: u32 = 256;

/// Which archived items a list has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Archived {
    /// None.
    #[default]
    Exclude,
    /// All, among the others.
    Include,
    /// Them alone.
    Only,
}

/// Which items are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Those alone that are unread.
    pub unread: bool,
    /// What of the archived ones.
    pub archived: Archived,
    /// At most so many.
    pub limit: usize,
    /// Only older ones than this.
    pub before: Option<ItemId>,
}

/// Some of an inbox's items, and its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The items, newest first.
    pub items: Vec<ItemView>,
    /// The `before` that continues the list; none if this was its end.
    pub next: Option<ItemId>,
    /// Items not read, without archived ones.
    pub unread: u32,
    /// All items.
    pub total: u32,
}

impl List {
    fn wants(&self, item: &Item, epoch: u32) -> bool {
        let archived = match self.archived {
            Archived::Exclude => !item.archived,
            Archived::Include => true,
            Archived::Only => item.archived,
        };
        archived && !(self.unread && item.is_read(epoch))
    }

    /// How many items of this inbox it wants, wherever they are.
    fn count(&self, inbox: &Inbox) -> u32 {
        let (rest, archived) = if self.unread {
            (inbox.unread, inbox.unread_archived)
        } else {
            (inbox.total - inbox.archived, inbox.archived)
        };
        match self.archived {
            Archived::Exclude => rest,
            Archived::Include => rest + archived,
            Archived::Only => archived,
        }
    }
}

pub(super) fn list(inbox: &Inbox, list: &List, pages: &mut Pages<'_, Page>) -> Listed {
    let mut listed =
        Listed { items: Vec::new(), next: None, unread: inbox.unread, total: inbox.total };
    let count = list.count(inbox) as usize;
    let newest = ItemId { page: inbox.open_page, slot: inbox.open_items };
    let start = list.before.map_or(newest, |before| before.min(newest));
    let mut end = usize::from(start.slot);
    for page in (0..=start.page).rev() {
        if listed.items.len() == count {
            return listed;
        }
        if start.page - page == SCAN_PAGES_MAX {
            listed.next = Some(ItemId { page: page + 1, slot: 0 });
            return listed;
        }
        let is_full = pages.with(page, |stored| {
            let items: Vec<Item> = stored.items().take(end).collect();
            take(inbox.epoch, list, (page, items), &mut listed)
        });
        if is_full {
            return listed;
        }
        end = usize::MAX;
    }
    listed
}

/// Takes what is wanted from one page. True if there is at least one more than may be taken.
fn take(epoch: u32, list: &List, (page, items): (u32, Vec<Item>), listed: &mut Listed) -> bool {
    for (slot, item) in items.into_iter().enumerate().rev() {
        if !list.wants(&item, epoch) {
            continue;
        }
        if listed.items.len() == list.limit {
            listed.next = listed.items.last().map(|last| last.id);
            return true;
        }
        let id = ItemId { page, slot: slot as u16 };
        listed.items.push(ItemView::new(id, item, epoch));
    }
    false
}
