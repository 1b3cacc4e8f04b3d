//! Where actors live and who looks after them.

pub mod api;
pub mod dispatch;
pub mod handle;
pub mod sinks;
pub mod sources;

pub use handle::{Freshness, Handle};
