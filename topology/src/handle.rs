//! The engine, as the door sees it: ask, command, take in, look.

use crate::api::{
    CommandError, Commanded, HistoryItem, Idempotency, Intake, IntakeError, Keys, Listing, Node,
    Producer, Read, ReadError, Readiness, ShardState, Taken,
};
use actors::{Entity, Key, Kind, KindId, Position};
use std::time::Duration;

/// A handle on the running engine. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    kinds: &'static [Kind],
}

/// How long a read may wait, and for what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Freshness {
    /// The answer must reflect every record below this position.
    pub at_least: Option<Position>,
    /// How long to wait for that.
    pub wait_max: Duration,
}

impl Handle {
    /// The table of kinds.
    pub fn kinds(&self) -> &'static [Kind] {
        self.kinds
    }

    /// The kind of this name.
    pub fn kind(&self, name: &str) -> Option<KindId> {
        let index = self.kinds.iter().position(|kind| kind.name == name)?;
        Some(KindId(u8::try_from(index).expect("a table of kinds has at most 256 lines")))
    }

    /// Asks an entity something of its kind's own. `None` if nothing was ever told to it.
    pub async fn ask<E: Entity>(
        &self,
        _key: &str,
        _query: E::Query,
        _fresh: Freshness,
    ) -> Result<Read<Option<E::Answer>>, ReadError> {
        Err(ReadError::Interrupted)
    }

    /// An entity's view as JSON text. `None` if nothing was ever told to it.
    pub async fn view(
        &self,
        _kind: KindId,
        _key: &str,
        _fresh: Freshness,
    ) -> Result<Read<Option<Vec<u8>>>, ReadError> {
        Err(ReadError::Interrupted)
    }

    /// The positions and causes of an entity's own records, newest first, below `before` if given.
    pub async fn history(
        &self,
        _kind: KindId,
        _key: &str,
        _before: Option<Position>,
        _limit: usize,
        _fresh: Freshness,
    ) -> Result<Read<Option<Vec<HistoryItem>>>, ReadError> {
        Err(ReadError::Interrupted)
    }

    /// Lists keys of a kind, in key order.
    pub async fn list(
        &self,
        _kind: KindId,
        _listing: Listing,
        _fresh: Freshness,
    ) -> Result<Read<Keys>, ReadError> {
        Err(ReadError::Interrupted)
    }

    /// Tells an entity something and waits until it has applied it.
    pub async fn command<E: Entity>(
        &self,
        _key: &str,
        _event: &E::Event,
        _idempotency: Option<Idempotency>,
    ) -> Result<Commanded, CommandError> {
        Err(CommandError::Interrupted)
    }

    /// Takes in domain events; answers when they are durable.
    pub async fn intake(&self, _intake: Intake) -> Result<Taken, IntakeError> {
        Err(IntakeError::Stopping)
    }

    /// A producer's next number; 0 for one that was never heard of.
    pub fn producer(&self, name: &str) -> Producer {
        Producer { name: name.to_owned(), next_sequence: 0, last_at: None }
    }

    /// The producers after `after`, in order of their names.
    pub fn producers(&self, _after: Option<&str>, _limit: usize) -> Vec<Producer> {
        Vec::new()
    }

    /// A dead letter's payload: the domain event's text, if it still exists.
    pub async fn dead_letter_payload(&self, _id: &Key) -> Result<Option<String>, ReadError> {
        Err(ReadError::Interrupted)
    }

    /// Tries a dead letter again, as a new record.
    pub async fn retry_dead_letter(&self, _id: &Key) -> Result<Commanded, CommandError> {
        Err(CommandError::Interrupted)
    }

    /// The supervision tree as it lives.
    pub async fn tree(&self) -> Node {
        Node {
            actor: "root".to_owned(),
            state: "running",
            restarts: 0,
            residents: None,
            children: Vec::new(),
        }
    }

    /// Every shard.
    pub async fn shards(&self) -> Vec<ShardState> {
        Vec::new()
    }

    /// Whether the process may be sent traffic.
    pub fn readiness(&self) -> Readiness {
        Readiness { ready: false, reasons: vec!["starting".to_owned()], applied: 0, end: 0 }
    }

    /// The metrics, as Prometheus text.
    pub fn metrics(&self) -> String {
        String::new()
    }
}
