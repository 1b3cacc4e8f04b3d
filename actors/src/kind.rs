//! Type erasure: generics end here. The engine knows a [`Kind`] and a [`Mind`], and nothing of what
//! they think.

use crate::codec;
use crate::effects::{Answer, Delivery, Effects};
use crate::entity::{Entity, Outcome, Tags, Tell};
use crate::event::{DomainEvent, Unfit};
use crate::pages::{LivePages, Pages, Touched};
use crate::words::KindId;
use std::any::Any;

/// Who takes down what `hear` tells.
pub trait Listener {
    /// The entity at (`kind`, `key`) is told `payload`.
    fn told(&mut self, kind: KindId, key: &str, payload: &[u8]);
}

/// Fetches a page from rest; `None` if it was never written.
pub type PageLoader<'a> = dyn FnMut(u32) -> Option<Vec<u8>> + 'a;

/// Why a mind could not apply an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// It needs this page first: give it, then try again.
    NeedsPage(u32),
    /// The payload is no event of this kind: poison.
    Undecodable(String),
}

/// One entity in memory, its kind erased.
pub trait Mind: Send {
    /// Folds one encoded event in.
    fn apply(&mut self, payload: &[u8], fx: &mut Effects) -> Result<Outcome, Stop>;
    /// Looks at what `apply` will touch, for the sake of the processor's caches; what it says is of
    /// no use.
    fn prefetch(&self) -> usize;
    /// Gives the page that `apply` asked for; `None` if it was never written.
    fn give_page(&mut self, page: u32, bytes: Option<&[u8]>) -> Result<(), codec::Error>;
    /// Appends the head's bytes.
    fn head(&self, out: &mut Vec<u8>);
    /// The pages changed since the last call, with their bytes, in order. They count as clean from
    /// now on.
    fn take_changed_pages(&mut self) -> Vec<(u32, Vec<u8>)>;
    /// Forgets the clean pages except this one: they are given again when they are needed.
    fn forget_pages_but(&mut self, page: u32);
    /// The bytes of a page in memory; `None` if it is not there.
    fn page_bytes(&self, page: u32) -> Option<Vec<u8>>;
    /// The look-up words.
    fn tags(&self) -> Tags;
    /// The view, as JSON text.
    fn view(&self, key: &str) -> Vec<u8>;
    /// Answers a query of the kind's own type. `None` if the query is of another type.
    fn ask(
        &self,
        key: &str,
        query: Box<dyn Any + Send>,
        loader: &mut PageLoader<'_>,
    ) -> Option<Box<dyn Any + Send>>;
}

/// A kind of entity, as the engine sees it.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name in URLs, metrics and rows.
    pub name: &'static str,
    /// The version of its stored forms.
    pub version: u8,
    hear: fn(KindId, &DomainEvent<'_>, &mut dyn Listener, &mut Vec<u8>) -> Result<(), Unfit>,
    wake: fn(Option<&[u8]>) -> Result<Box<dyn Mind>, codec::Error>,
    answered: fn(&Delivery, &Answer) -> Option<Vec<u8>>,
}

impl Kind {
    /// The kind that `E` implements.
    pub const fn of<E: Entity>() -> Self {
        Self {
            name: E::KIND,
            version: E::VERSION,
            hear: |kind, event, listener, scratch| {
                E::hear(event, &mut Tell::new(kind, listener, scratch))
            },
            wake: |head| Ok(Box::new(Body::<E>::wake(head)?)),
            answered: |delivery, answer| E::answered(delivery, answer).map(|e| codec::encode(&e)),
        }
    }

    /// Whom of this kind a domain event concerns. `scratch` is any buffer.
    ///
    /// # Errors
    /// The event is of a known type but does not have what it needs.
    pub fn hear(
        &self,
        id: KindId,
        event: &DomainEvent<'_>,
        listener: &mut dyn Listener,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        (self.hear)(id, event, listener, scratch)
    }

    /// An entity from its stored head, or a new one.
    ///
    /// # Errors
    /// The head does not decode.
    pub fn wake(&self, head: Option<&[u8]>) -> Result<Box<dyn Mind>, codec::Error> {
        (self.wake)(head)
    }

    /// The encoded event by which an entity is told a delivery's answer. `None` if the kind never
    /// asked for any.
    pub fn answered(&self, delivery: &Delivery, answer: &Answer) -> Option<Vec<u8>> {
        (self.answered)(delivery, answer)
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kind({})", self.name)
    }
}

/// A [`Mind`] of type `E`: the head, and the pages in memory.
struct Body<E: Entity> {
    head: E,
    pages: LivePages<E::Page>,
}

impl<E: Entity> Body<E> {
    fn wake(head: Option<&[u8]>) -> Result<Self, codec::Error> {
        let head = head.map_or_else(|| Ok(E::default()), codec::decode)?;
        Ok(Self { head, pages: LivePages::default() })
    }
}

impl<E: Entity> Mind for Body<E> {
    fn apply(&mut self, payload: &[u8], fx: &mut Effects) -> Result<Outcome, Stop> {
        let event: E::Event =
            codec::decode(payload).map_err(|error| Stop::Undecodable(error.to_string()))?;
        let Some(number) = self.head.page(&event) else {
            return Ok(self.head.apply(None, event, fx));
        };
        let Some(Touched { page, changed }) = self.pages.touch(number) else {
            return Err(Stop::NeedsPage(number));
        };
        let outcome = self.head.apply(Some(page), event, fx);
        *changed |= outcome == Outcome::Applied;
        Ok(outcome)
    }

    fn prefetch(&self) -> usize {
        self.pages.newest()
    }

    fn give_page(&mut self, page: u32, bytes: Option<&[u8]>) -> Result<(), codec::Error> {
        let page_value = bytes.map_or_else(|| Ok(E::Page::default()), codec::decode)?;
        self.pages.put(page, page_value);
        Ok(())
    }

    fn head(&self, out: &mut Vec<u8>) {
        codec::encode_into(&self.head, out);
    }

    fn take_changed_pages(&mut self) -> Vec<(u32, Vec<u8>)> {
        self.pages.take_changed().map(|(number, page)| (number, codec::encode(page))).collect()
    }

    fn forget_pages_but(&mut self, page: u32) {
        self.pages.forget_but(page);
    }

    fn page_bytes(&self, page: u32) -> Option<Vec<u8>> {
        self.pages.get(page).map(codec::encode)
    }

    fn tags(&self) -> Tags {
        self.head.tags()
    }

    fn view(&self, key: &str) -> Vec<u8> {
        serde_json::to_vec(&self.head.view(key)).expect("a view has string keys and finite numbers")
    }

    fn ask(
        &self,
        key: &str,
        query: Box<dyn Any + Send>,
        loader: &mut PageLoader<'_>,
    ) -> Option<Box<dyn Any + Send>> {
        let query = query.downcast::<E::Query>().ok()?;
        let mut pages = Pages::new(&self.pages, loader);
        Some(Box::new(self.head.ask(key, *query, &mut pages)))
    }
}
