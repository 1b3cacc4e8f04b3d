//! The trait that a kind of entity implements. Everything else, from the mailbox to the checkpoint,
//! is the engine's.

use crate::codec;
use crate::effects::{Answer, Delivery, Effects};
use crate::event::{DomainEvent, Unfit};
use crate::kind::Listener;
use crate::pages::Pages;
use crate::words::{Key, KindId};
use serde::{Serialize, de::DeserializeOwned};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::marker::PhantomData;

/// What came of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It changed something.
    Applied,
    /// It changed nothing, and that is as it should be: a repeat, a stale timer.
    Ignored,
    /// It is refused, with the reason as the caller gets it in a 409. The state is as it was; its
    /// effects are dropped.
    Rejected(Cow<'static, str>),
}

/// At most four look-up words of an entity, such as `user:u-42`.
pub type Tags = SmallVec<[Key; 4]>;

/// A kind of entity: a pure fold over the records addressed to one key.
///
/// # Limits
/// The head, encoded, should stay below 2 KiB and a page below 4 KiB, whatever happens: what is
/// long belongs in pages.
pub trait Entity: Default + Serialize + DeserializeOwned + Send + 'static {
    /// The kind's name in URLs, metrics and rows. Never renamed.
    const KIND: &'static str;
    /// The version of the stored form of head, pages and events.
    const VERSION: u8 = 1;
    /// What an entity of this kind is told.
    type Event: Serialize + DeserializeOwned + Send + 'static;
    /// What is long, in numbered parts. `()` for kinds without pages.
    type Page: Default + Serialize + DeserializeOwned + Send + 'static;
    /// What a reader of the whole entity sees.
    type View: Serialize;
    /// What else can be asked of it; `()` for kinds that only have a view.
    type Query: Send + 'static;
    /// The answer to a query.
    type Answer: Send + 'static;

    /// Whom a domain event concerns, and what it tells them.
    ///
    /// # Errors
    /// [`Unfit`] if the event is of a known type but lacks what it needs: it becomes a dead letter,
    /// heard by nobody.
    fn hear(event: &DomainEvent<'_>, tell: &mut Tell<'_, Self>) -> Result<(), Unfit>;

    /// The one page this event touches, if any. The engine has it in memory before `apply`; a page
    /// that was never written is `Page::default()`.
    fn page(&self, _event: &Self::Event) -> Option<u32> {
        None
    }

    /// Folds one event in. `page` is the page that [`Self::page`] named.
    fn apply(
        &mut self,
        page: Option<&mut Self::Page>,
        event: Self::Event,
        fx: &mut Effects,
    ) -> Outcome;

    /// What an answer to a delivery tells the entity that asked for it.
    fn answered(_delivery: &Delivery, _answer: &Answer) -> Option<Self::Event> {
        None
    }

    /// What a reader of the whole entity sees.
    fn view(&self, key: &str) -> Self::View;

    /// Answers a query from the head and whatever pages it needs.
    fn ask(&self, key: &str, query: Self::Query, pages: &mut Pages<'_, Self::Page>)
    -> Self::Answer;

    /// At most four look-up words: lists by them read their own writes.
    fn tags(&self) -> Tags {
        Tags::new()
    }
}

/// How [`Entity::hear`] tells entities of its kind something.
pub struct Tell<'a, E: Entity> {
    kind: KindId,
    listener: &'a mut dyn Listener,
    scratch: &'a mut Vec<u8>,
    of: PhantomData<E>,
}

impl<'a, E: Entity> Tell<'a, E> {
    /// Tells go to `listener`; `scratch` spares an allocation per tell.
    pub fn new(kind: KindId, listener: &'a mut dyn Listener, scratch: &'a mut Vec<u8>) -> Self {
        Self { kind, listener, scratch, of: PhantomData }
    }

    /// Tells the entity at `key` this.
    pub fn tell(&mut self, key: &str, event: &E::Event) {
        self.scratch.clear();
        codec::encode_into(event, self.scratch);
        self.listener.told(self.kind, key, self.scratch);
    }
}
