//! Where what happens here goes out into the world.
//!
//! Two sorts: sinks that *tail* read published events from the journal by a durable cursor of their
//! own; sinks that *answer* carry deliveries for the dispatcher. What is *not* here: when to try
//! again (`dispatch`), and who drives them.

pub mod gateway;
pub mod outbox;
pub mod tail;
