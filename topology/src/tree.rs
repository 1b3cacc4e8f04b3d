//! The supervision tree: ractor actors, few and long-lived, watched by a root that starts each
//! again on its own.
//!
//! A child is a name, how to start it, and what its end means. A child that fails is started again
//! after a growing pause; one that fails too often, or whose end nobody can survive (the writer,
//! the keeper), ends the process with code 1: the supervisor above us starts it again, and nothing
//! is lost, because nothing but the journal counts.

mod child;
mod root;

pub use child::{Child, Run, Start, Work};
pub use root::{Limits, Root, Tree};
