//! What commands have in common: from the engine's verdict to an answer.
//!
//! A refusal is a 409 with its reason, the same key with another request a 422; whatever else
//! happened is done, now or by the first of its repeats.

use crate::call::Call;
use crate::error::Error;
use crate::reply::Reply;
use actors::Entity;
use serde_json::Value;
use topology::api::{Commanded, Verdict};

/// A command that is done.
pub(super) struct Done {
    /// The first answer's status.
    pub status: u16,
    /// The answer reflects every record below.
    pub position: u64,
    /// The entity's view, as JSON text.
    pub view: Vec<u8>,
    replayed: bool,
}

impl Done {
    /// The answer with the entity's view in it.
    pub(super) fn reply(&self) -> Reply {
        self.mark(Reply::text(&self.view, self.position).status(self.status))
    }

    /// Says on an answer whether it is the first one again.
    pub(super) fn mark(&self, reply: Reply) -> Reply {
        if self.replayed { reply.header("idempotent-replayed", "true") } else { reply }
    }
}

/// Tells the entity at `key` something on behalf of `call`, whose body is `body`; a success has
/// `status`.
pub(super) async fn tell<E: Entity>(
    call: &Call,
    key: &str,
    event: &E::Event,
    body: &Value,
    status: u16,
) -> Result<Done, Error> {
    // A command changes what is, not what was.
    call.fresh()?;
    let idempotency = call.idempotency(body, status)?;
    done(call.handle.command::<E>(key, event, idempotency).await?, status)
}

/// The verdict as a result.
pub(super) fn done(commanded: Commanded, status: u16) -> Result<Done, Error> {
    let Commanded { verdict, position, view, replayed } = commanded;
    match verdict {
        Verdict::Done { status: first } => {
            let status = if replayed { first } else { status };
            Ok(Done { status, position, view, replayed })
        }
        Verdict::Rejected { reason } => Err(Error::Conflict { reason, replayed }),
        Verdict::Mismatch => Err(Error::IdempotencyMismatch),
    }
}
