//! What each actor thinks: pure folds, their words and their stored forms.
//!
//! Nothing in this crate has a clock, chance, threads, files or sockets; the crate-local
//! `clippy.toml` forbids them. An actor is a fold of its records, and the same records give the
//! same bytes on any machine.

pub mod answer;
mod civil;
pub mod codec;
pub mod course;
pub mod currency;
pub mod deadletter;
pub mod effects;
pub mod entity;
pub mod event;
pub mod inbox;
pub mod kind;
pub mod pages;
pub mod payment;
#[cfg(test)]
mod stand;
pub mod words;

pub use effects::{Answer, Delivery, Effect, EffectId, Effects, Publication};
pub use entity::{Entity, Outcome, Tags, Tell};
pub use event::{Data, DomainEvent, EventType, NotAnEvent, Unfit};
pub use kind::{Kind, Listener, Mind, PageLoader, Stop};
pub use pages::{LivePages, Pages};
pub use words::{Address, Key, KindId, Position, Timestamp, address_hash, id_fault};

/// Every kind of entity, in the order in which records and rows name them. It only ever grows at
/// its end.
pub static KINDS: &[Kind] =
    &[Kind::of::<inbox::Inbox>(), Kind::of::<payment::Payment>(), Kind::of::<course::Course>()];
