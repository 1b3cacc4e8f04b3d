//! Where what happens here goes out into the world.
//!
//! Two sorts: sinks that *tail* read published events from the journal by a durable cursor of their
//! own; sinks that *answer* carry deliveries for the dispatcher. What is *not* here: when to try
//! again (`dispatch`), and who drives them.

pub mod gateway;
pub mod outbox;
pub mod tail;

use crate::dispatch::{Came, Outgoing};
use crate::dispatcher::{Sink, Sinks};
use crate::options::Options;
use gateway::Gateway;
use state::disk::Disk;
use std::sync::{Arc, Mutex};

/// The mock gateway's book, in the data directory. It is the gateway's side of the world: the
/// engine never reads it.
pub const GATEWAY_BOOK: &str = "mock-gateway.ndjson";

/// The sinks that answer, as a process has them: the mock gateway.
///
/// # Errors
/// The gateway's book cannot be opened.
pub fn answering(
    disk: &Arc<dyn Disk>,
    options: &Options,
    journal_source: &str,
) -> Result<Sinks, String> {
    let path = options.data.join(GATEWAY_BOOK);
    let gateway = Gateway::open(disk.clone(), &path, journal_source);
    let gateway = gateway.map_err(|error| error.to_string())?;
    let gateway: Arc<Mutex<dyn Sink>> = Arc::new(Mutex::new(gateway));
    Ok([("gateway".to_owned(), gateway)].into())
}

impl Sink for Gateway {
    fn carry(&mut self, batch: &[Outgoing]) -> Vec<Came> {
        let requests: Vec<_> =
            batch.iter().map(|out| (out.id, out.delivery.body.as_slice())).collect();
        Gateway::carry(self, &requests)
    }
}
