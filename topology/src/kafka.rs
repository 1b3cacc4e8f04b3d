//! Kafka: what its records say, and what goes out to it. The only room that names the client
//! library.
//!
//! What is *not* here: what an event means (`actors`), and the journal, which is the truth about
//! what came in and what goes out; Kafka is told, and told again.

mod advice;
pub mod doctor;
#[allow(dead_code, reason = "the source that reads by it is not here yet")]
mod format;
mod members;
pub mod sink;
