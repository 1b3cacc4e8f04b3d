//! Where actors live and who looks after them.

pub mod api;
pub mod handle;

pub use handle::{Freshness, Handle};
