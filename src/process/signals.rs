//! Ctrl-C and SIGTERM: the first one asks for a drain, the second ends the process at once.
//!
//! What is *not* here: what a drain is.

use crate::verbs::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals, heard from the moment this exists.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to listen: from now on a signal no longer ends the process by itself.
    pub(crate) fn listen() -> Result<Self, Error> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Error::Failed(format!("listening for signals failed: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// The next of either. Says which.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "an interrupt",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
