//! What an entity asks for while it applies a record. Asking is pure: effects are only collected
//! here; the engine carries them out once the record is durable, in order of (cause, index), and
//! drops what a replay asks for again.

use crate::codec;
use crate::entity::Entity;
use crate::words::{Key, Position, Timestamp};
use serde::{Deserialize, Serialize};

/// More effects than this from one record make it poison.
pub const EFFECTS_PER_RECORD_MAX: usize = 1_000;

/// The name of a timer or a delivery: the record that asked for it, and its place among that
/// record's effects. The same after every replay; a delivery's is the receiver's idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectId {
    /// The position of the record that caused it.
    pub cause: Position,
    /// Which of that record's effects, from 0.
    pub index: u16,
}

impl std::fmt::Display for EffectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.cause, self.index)
    }
}

/// One thing asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell another entity, through the journal.
    Send {
        /// The other's kind, by name.
        kind: &'static str,
        /// The other's key.
        key: Key,
        /// The encoded event.
        payload: Vec<u8>,
    },
    /// Tell me this at that time.
    At {
        /// When it is due, by the record clock, in ms.
        due: Timestamp,
        /// The encoded event, of the asking kind.
        payload: Vec<u8>,
    },
    /// Carry this out in the world, and tell me the answer.
    Deliver(Delivery),
    /// A domain event of ours.
    Publish(Publication),
}

/// Something a sink that answers has to carry out. Its answer comes back as a record, by way of
/// [`Entity::answered`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The sink's name, such as `gateway`.
    pub sink: String,
    /// What to do, in the sink's own form.
    pub body: Vec<u8>,
}

/// What came of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The sink has answered, in its own form. The delivery has ended.
    Definite(Vec<u8>),
    /// Nobody knows whether it happened. Told once; the dispatcher asks again under the same id.
    Unknown,
    /// It will never happen: the sink does not understand it, or it was given up. The delivery has
    /// ended.
    Refused(String),
}

/// A domain event to be published. The engine adds `specversion`, `source` (`/bellwether/<journal
/// id>`) and the id (`<partition_key>.<position>.<index>`), so that a replay publishes the same
/// event again.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// The full type, such as `com.bellwether.commerce.payment.captured.v1`.
    pub event_type: &'static str,
    /// The entity it is about; also its partition key.
    pub subject: Key,
    /// When it happened.
    pub time: Timestamp,
    /// `data`, as JSON text.
    pub data: String,
    /// Whether the sinks send it out. False for what an outside fact caused: the outside knows it
    /// already.
    pub outward: bool,
}

/// Where effects are collected while one record is applied.
#[derive(Debug)]
pub struct Effects {
    now: Timestamp,
    position: Position,
    list: Vec<Effect>,
}

impl Effects {
    /// For the record at `position`, journaled at `now`.
    pub fn new(now: Timestamp, position: Position) -> Self {
        Self { now, position, list: Vec::new() }
    }

    /// The record's time. Not the clock's: a fold that is run again sees the same.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The record's position.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Tells the entity of kind `E` at `key` something, through the journal.
    pub fn send<E: Entity>(&mut self, key: &str, event: &E::Event) {
        self.list.push(Effect::Send {
            kind: E::KIND,
            key: Key::new(key),
            payload: codec::encode(event),
        });
    }

    /// Tells me `event` at `due` or soon after. There is no cancel: a stale one is for `apply` to
    /// ignore.
    pub fn at<E: Entity>(&mut self, due: Timestamp, event: &E::Event) {
        self.list.push(Effect::At { due, payload: codec::encode(event) });
    }

    /// Has a sink carry something out.
    pub fn deliver(&mut self, delivery: Delivery) {
        self.list.push(Effect::Deliver(delivery));
    }

    /// Publishes a domain event.
    pub fn publish(&mut self, publication: Publication) {
        self.list.push(Effect::Publish(publication));
    }

    /// What has been asked for so far, in order.
    pub fn list(&self) -> &[Effect] {
        &self.list
    }

    /// Hands over what was asked for.
    pub fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.list)
    }

    /// Begins anew for another record, and forgets what was asked for.
    pub fn reset(&mut self, now: Timestamp, position: Position) {
        self.now = now;
        self.position = position;
        self.list.clear();
    }
}
