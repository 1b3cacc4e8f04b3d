//! A stand to try a kind on, in tests: one entity, its pages at rest, and what hears events for it.
//!
//! It does what the engine does with one record, no more: it finds the page, applies, and stores.
//! Whatever is stored is encoded and decoded again, so that a kind that forgets something on the
//! way is found out.

use crate::codec;
use crate::effects::Effects;
use crate::entity::{Entity, Outcome, Tell};
use crate::event::{DomainEvent, Unfit};
use crate::kind::Listener;
use crate::pages::{LivePages, Pages};
use crate::words::{KindId, Timestamp};
use std::collections::BTreeMap;

/// One entity of kind `E`.
pub(crate) struct Stand<E: Entity> {
    pub(crate) head: E,
    pub(crate) pages: BTreeMap<u32, Vec<u8>>,
    pub(crate) position: u64,
    /// How many pages queries have loaded.
    pub(crate) loads: usize,
}

impl<E: Entity> Stand<E> {
    pub(crate) fn new() -> Self {
        Self { head: E::default(), pages: BTreeMap::new(), position: 0, loads: 0 }
    }

    /// Applies one record, and stores what it changed.
    pub(crate) fn apply(&mut self, event: &E::Event) -> Outcome {
        let event: E::Event = codec::decode(&codec::encode(event)).expect("an event of the kind");
        let mut fx = Effects::new(Timestamp(0), self.position);
        self.position += 1;
        let before = codec::encode(&self.head);
        let number = self.head.page(&event);
        let stored = number.and_then(|number| self.pages.get(&number));
        let mut page: E::Page =
            stored.map_or_else(E::Page::default, |bytes| codec::decode(bytes).expect("a page"));
        let outcome = self.head.apply(number.is_some().then_some(&mut page), event, &mut fx);
        let head = codec::encode(&self.head);
        assert!(head.len() <= 2_048, "a head of {} bytes", head.len());
        if outcome == Outcome::Applied {
            self.head = codec::decode(&head).expect("a head");
            if let Some(number) = number {
                let bytes = codec::encode(&page);
                assert!(bytes.len() <= 4_096, "a page of {} bytes", bytes.len());
                self.pages.insert(number, bytes);
            }
        } else {
            assert_eq!(before, head, "{outcome:?} changed the head");
        }
        outcome
    }

    /// Asks it something.
    pub(crate) fn ask(&mut self, query: E::Query) -> E::Answer {
        let live = LivePages::default();
        let mut loads = 0;
        let answer = {
            let mut load = |number: u32| {
                loads += 1;
                self.pages.get(&number).cloned()
            };
            self.head.ask("key", query, &mut Pages::new(&live, &mut load))
        };
        self.loads += loads;
        answer
    }
}

/// What a kind tells whom on hearing this event, decoded.
pub(crate) fn hear<E: Entity>(event: &DomainEvent<'_>) -> Result<Vec<(String, E::Event)>, Unfit> {
    struct Told<E: Entity>(Vec<(String, E::Event)>);
    impl<E: Entity> Listener for Told<E> {
        fn told(&mut self, _: KindId, key: &str, payload: &[u8]) {
            let event = codec::decode(payload).expect("an event of the kind");
            self.0.push((key.to_owned(), event));
        }
    }
    let mut told = Told::<E>(Vec::new());
    E::hear(event, &mut Tell::new(KindId(0), &mut told, &mut Vec::new()))?;
    Ok(told.0)
}
