//! A data directory as the target of a feed: the engine runs in this process for as long as it
//! takes.
//!
//! The same intake as behind the door, with the same numbers, so a file may go in partly one way
//! and partly the other. What is *not* here: starting and draining the engine.

use super::{Answer, Error, Item, Refused, Target};
use std::time::Duration;
use tokio::runtime::Handle as Runtime;
use topology::Handle;
use topology::api::{Fault, Intake, IntakeError};

/// How long to wait when the engine has enough to do.
const PAUSE: Duration = Duration::from_millis(5);

/// A running engine.
pub(crate) struct Local {
    pub(crate) engine: Handle,
    pub(crate) runtime: Runtime,
}

impl Target for Local {
    fn next_sequence(&mut self, producer: &str) -> Result<u64, Error> {
        let known = self.runtime.block_on(self.engine.producer(producer));
        known.map(|known| known.next_sequence).map_err(|error| Error::Target(error.to_string()))
    }

    fn send(&mut self, producer: &str, first: u64, batch: &[Item]) -> Result<Answer, Error> {
        let event = |item: &Item| match &item.event {
            Ok(text) => Ok(text.clone().into_bytes()),
            Err(reject) => Err(Fault { code: "bad-request", detail: reject.reason.clone() }),
        };
        let events: Vec<_> = batch.iter().map(event).collect();
        loop {
            let intake =
                Intake { producer: Some((producer.to_owned(), first)), events: events.clone() };
            match self.runtime.block_on(self.engine.intake(intake)) {
                Ok(taken) => {
                    let refused = |(index, fault): (usize, Fault)| Refused {
                        index,
                        code: fault.code.to_owned(),
                        detail: fault.detail,
                    };
                    return Ok(Answer {
                        accepted: taken.accepted,
                        duplicates: taken.duplicates,
                        ignored: taken.ignored,
                        rejected: taken.rejected.into_iter().map(refused).collect(),
                    });
                }
                // The disk may be full; then only a person can help.
                Err(IntakeError::Overloaded(why)) if why.contains("disk") => {
                    return Err(Error::Target(why.into_owned()));
                }
                Err(IntakeError::Overloaded(_)) => std::thread::sleep(PAUSE),
                Err(IntakeError::SequenceMismatch { number }) => {
                    return Err(Error::Changed { producer: producer.to_owned(), number });
                }
                Err(error) => return Err(Error::Target(error.to_string())),
            }
        }
    }
}
