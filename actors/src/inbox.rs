//! One inbox per user: what happened that concerns them, newest first, read or not.
//!
//! The head has the counts, always exact, and knows the page that is open; the items are in pages
//! ([`page`]), so that the 100,001st item costs what the first one does. To read everything is to
//! raise a watermark, and touches no page. What is *not* here: sending anything to anybody, and
//! payments' items, of which the payments themselves tell.
//!
//! Invariant: `total`, `archived`, `unread` and `unread_archived` equal a recount of the pages at
//! any time.

mod item;
mod list;
pub mod note;
mod page;
mod text;

pub use item::{ItemId, ItemView};
pub use list::{Archived, List, Listed};
pub use note::{Note, Payment, Topic};
pub use page::Page;

use crate::effects::Effects;
use crate::entity::{Entity, Outcome, Tell};
use crate::event::{DomainEvent, Unfit};
use crate::pages::Pages;
use page::{ITEM_BYTES_MAX, Item, PAGE_BYTES_MAX};
use serde::{Deserialize, Serialize};

/// The inbox of one user: the head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    /// The page that takes the next item, unless that would make it too long.
    open_page: u32,
    /// How many bytes the open page may take, at most.
    open_bytes: u16,
    /// How many items it has.
    open_items: u16,
    total: u32,
    archived: u32,
    /// Of the items that are not archived.
    unread: u32,
    /// Of the archived ones.
    unread_archived: u32,
    /// How often everything has been read. What was last marked in an earlier epoch is read.
    epoch: u32,
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
    /// Everything that is there now has been read, archived items too.
    ReadAll,
}

/// What can be asked of an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Some of its items, newest first.
    List(List),
    /// One item.
    Item(ItemId),
}

/// The answer, of the query's own variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Query::List`].
    List(Listed),
    /// To [`Query::Item`]; none if there is no such item.
    Item(Option<ItemView>),
}

/// The counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// Items not read, without archived ones.
    pub unread: u32,
    /// All items.
    pub total: u32,
    /// The archived ones among them.
    pub archived: u32,
}

impl Entity for Inbox {
    const KIND: &'static str = "inbox";
    type Event = Event;
    type Page = Page;
    type View = View;
    type Query = Query;
    type Answer = Answer;

    fn hear(event: &DomainEvent<'_>, tell: &mut Tell<'_, Self>) -> Result<(), Unfit> {
        if let Some(topic) = Topic::of(event)? {
            let note = Note { time: event.time, topic };
            tell.tell(event.data.user()?, &Event::Notify(note));
        }
        Ok(())
    }

    fn page(&self, event: &Event) -> Option<u32> {
        match event {
            Event::Notify(note) => Some(self.page_for(&note.topic)),
            Event::Read(id) | Event::Unread(id) | Event::Archive(id) | Event::Unarchive(id) => {
                (id.page <= self.open_page).then_some(id.page)
            }
            Event::ReadAll => None,
        }
    }

    fn apply(&mut self, page: Option<&mut Page>, event: Event, fx: &mut Effects) -> Outcome {
        match (event, page) {
            (Event::Notify(note), Some(page)) => self.notify(page, note, fx),
            (Event::Read(id), Some(page)) => self.mark(page, id, |marks| marks.read = true),
            (Event::Unread(id), Some(page)) => self.mark(page, id, |marks| marks.read = false),
            (Event::Archive(id), Some(page)) => self.mark(page, id, |marks| marks.archived = true),
            (Event::Unarchive(id), Some(page)) => {
                self.mark(page, id, |marks| marks.archived = false)
            }
            (Event::ReadAll, _) => self.read_all(),
            (_, None) => no_such_item(),
        }
    }

    fn view(&self, _key: &str) -> View {
        View { unread: self.unread, total: self.total, archived: self.archived }
    }

    fn ask(&self, _key: &str, query: Query, pages: &mut Pages<'_, Page>) -> Answer {
        match query {
            Query::List(list) => Answer::List(list::list(self, &list, pages)),
            Query::Item(id) if id.page <= self.open_page => Answer::Item(
                pages.with(id.page, |page| Some(ItemView::new(id, page.get(id.slot)?, self.epoch))),
            ),
            Query::Item(_) => Answer::Item(None),
        }
    }
}

/// What a user may mark an item with.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Marks {
    read: bool,
    archived: bool,
}

impl Inbox {
    /// The page that an item on this topic goes to.
    fn page_for(&self, topic: &Topic) -> u32 {
        let is_full = usize::from(self.open_bytes) + item_bytes(topic) > PAGE_BYTES_MAX;
        self.open_page + u32::from(is_full)
    }

    fn notify(&mut self, page: &mut Page, note: Note, fx: &Effects) -> Outcome {
        let number = self.page_for(&note.topic);
        if number > self.open_page {
            self.open_page = number;
            self.open_bytes = 0;
            self.open_items = 0;
        }
        assert_eq!(page.len(), usize::from(self.open_items), "items of page {number}");
        self.open_bytes += item_bytes(&note.topic) as u16;
        self.open_items += 1;
        self.total += 1;
        self.unread += 1;
        page.push(&Item {
            topic: note.topic,
            time: note.time,
            position: fx.position(),
            epoch: self.epoch,
            read: false,
            archived: false,
        });
        Outcome::Applied
    }

    fn mark(&mut self, page: &mut Page, id: ItemId, how: impl FnOnce(&mut Marks)) -> Outcome {
        let Some(mut item) = page.get(id.slot) else { return no_such_item() };
        let before = Marks { read: item.is_read(self.epoch), archived: item.archived };
        let mut after = before;
        how(&mut after);
        if after == before {
            return Outcome::Ignored;
        }
        *self.unread_among(before.archived) -= u32::from(!before.read);
        *self.unread_among(after.archived) += u32::from(!after.read);
        self.archived -= u32::from(before.archived);
        self.archived += u32::from(after.archived);
        item.read = after.read;
        item.archived = after.archived;
        item.epoch = self.epoch;
        page.replace(id.slot, &item);
        Outcome::Applied
    }

    fn unread_among(&mut self, archived: bool) -> &mut u32 {
        if archived { &mut self.unread_archived } else { &mut self.unread }
    }

    fn read_all(&mut self) -> Outcome {
        if self.unread == 0 && self.unread_archived == 0 {
            return Outcome::Ignored;
        }
        self.unread = 0;
        self.unread_archived = 0;
        self.epoch += 1;
        Outcome::Applied
    }
}

fn item_bytes(topic: &Topic) -> usize {
    ITEM_BYTES_MAX + topic.bytes_max()
}

fn no_such_item() -> Outcome {
    Outcome::Rejected("there is no such item".into())
}

#[cfg(test)]
mod tests;
