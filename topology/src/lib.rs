//! Where actors live and who looks after them: the supervision tree, workers and residents, the
//! ways in, timers, deliveries.
//!
//! ractor supervises, actix populates. Everything that decides is a synchronous structure without a
//! runtime (`floor`, `life`, `pending`, `dispatch`, the journal and the store of `state`); the
//! threads and actors around them are thin.

pub mod answers;
pub mod api;
pub mod backfill;
pub mod consumer;
pub mod dispatch;
pub mod dispatcher;
pub mod engine;
pub mod floor;
pub mod fresh;
pub mod handle;
pub mod hear;
pub mod kafka;
pub mod keeper;
pub mod kinds;
pub mod life;
pub mod metrics;
pub mod options;
pub mod pending;
pub mod record;
pub mod remembered;
pub mod replay;
pub mod resident;
pub mod simulation;
pub mod sinks;
pub mod snapshots;
pub mod sources;
pub mod tree;
pub mod verify;
pub mod waiters;
pub mod worker;
pub mod writer;

pub use consumer::{Consumed, Consumer};
pub use engine::{Engine, Error, Opened};
pub use handle::{AsOf, Freshness, Handle};
pub use hear::Hearer;
pub use options::Options;
