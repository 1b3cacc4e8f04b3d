//! Measured comparisons, each in one run against a named baseline on the same machine.
//!
//! | bench | measured | beside |
//! |---|---|---|
//! | [`engine`] | the whole way of an event: consumer, journal with fsync, resident, checkpoint | the [`ledger`]: the same decode and folds in a plain hash table |
//! | [`payments`] | durable commands over HTTP | bare fdatasyncs of the same bytes on the same disk |
//! | [`kafka`] | the same way, from a topic of four partitions | a bare consumer that only counts |
//! | [`reads`] | reads of inboxes over HTTP | a route that only answers the same bytes |
//! | [`beside`] | paced reads of inboxes beside intake at 80 % | the same with nothing else to do |
//! | [`journal`] | frames appended and committed | bare writes and fdatasyncs of the same bytes |
//! | [`rest`] | disk and memory of entities at rest | what they themselves know |
//!
//! What is *not* here: command lines (the binary's), and the small benches of single functions,
//! which are criterion's and stand in this crate's own `benches` folder.
//!
//! Invariant: both sides of a comparison get the same input by the same code, and what they made of
//! it is compared before a figure is shown.

pub mod all;
pub mod beside;
pub mod census;
pub mod client;
pub mod counts;
pub mod engine;
mod error;
pub mod feed;
pub mod helper;
pub mod journal;
pub mod kafka;
pub mod ledger;
pub mod payments;
pub mod reads;
pub mod report;
pub mod residents;
pub mod rest;
pub mod restart;
pub mod scratch;
mod served;
mod tells;
pub mod usage;

pub use error::Error;

/// Threads that host shards, as it is served: one per core.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(64))
}
