//! Commands: one record to one entity, answered when it is durable and applied.

use super::Handle;
use crate::api::{CommandError, Commanded, Idempotency};
use crate::record::{put_command, tag};
use crate::waiters::Told;
use crate::writer::Submission;
use actors::{Address, Entity, codec};
use state::frame::{Draft, Mark, RecordHead, Way};
use state::journal::AppendError;
use tokio::sync::oneshot;

impl Handle {
    /// Tells an entity something and waits until it has applied it.
    pub async fn command<E: Entity>(
        &self,
        key: &str,
        event: &E::Event,
        idempotency: Option<Idempotency>,
    ) -> Result<Commanded, CommandError> {
        let kind = self.kind(E::KIND).expect("only kinds of this engine are told something");
        let mut draft = Draft::new(Way::engine());
        let mut payload = Vec::new();
        put_command(idempotency.as_ref(), &mut payload);
        codec::encode_into(event, &mut payload);
        draft.begin_group(Mark::None);
        draft.push(RecordHead { tag: tag::COMMAND, kind, depth: 0 }, key, &payload);
        self.commit_command(draft, &Address::new(kind, key)).await
    }

    /// Journals a command's draft, whose first record is the command, and waits for its answer.
    pub(super) async fn commit_command(
        &self,
        draft: Draft,
        address: &Address,
    ) -> Result<Commanded, CommandError> {
        if self.inner.is_stopping() {
            return Err(CommandError::Stopping);
        }
        if let Some(why) = self.inner.overload() {
            return Err(CommandError::Overloaded(why.into()));
        }
        let (waiter, answer) = oneshot::channel();
        let submission = Submission { draft, waiter: Some(waiter), reply: None };
        self.inner.writer.submit(submission).map_err(|_| CommandError::Stopping)?;
        let told = answer.await.map_err(|_| {
            tracing::warn!(key = %address.key, "the answer to a command was lost");
            CommandError::Interrupted
        })?;
        let Told { verdict, replayed, position, view } = told.map_err(refused)?;
        Ok(Commanded { verdict, position, view, replayed })
    }
}

fn refused(error: AppendError) -> CommandError {
    match error {
        AppendError::DiskFull(why) => CommandError::Overloaded(why.into()),
        other => CommandError::Internal(other.to_string()),
    }
}
