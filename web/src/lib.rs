//! The door: HTTP in, HTTP out. Commands, queries, operations, health and metrics, all of
//! `/api/v1`.
//!
//! Reading order: `door.rs` (a request's way through), `routes.rs` (the table of paths; one file
//! per resource behind it), `router.rs`, `call.rs`, then the leaves: `reply.rs`, `error.rs` (the
//! one place that turns errors into HTTP), `query.rs`, `cursor.rs`, `idempotency.rs`, `body.rs`.
//! `server.rs` is the accept loop.
//!
//! What is *not* here: state. The door asks the engine's handle and holds nothing between two
//! requests, and a slow client holds nothing but its own connection. The only room that names warp.

pub mod bare;
mod body;
mod call;
mod cursor;
mod door;
mod error;
mod idempotency;
mod metrics;
mod query;
mod reply;
mod router;
mod routes;
mod server;
mod text;

pub use door::{Door, OpenError, Options};
pub use server::{Arriving, Drained, Limits, Server};
