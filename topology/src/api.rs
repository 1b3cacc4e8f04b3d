//! What the door may ask of the engine, and what it gets: plain values, no channels, no framework.
//!
//! What is *not* here: HTTP (it is `web`'s) and how any of it is done (`handle.rs` and behind it).

use actors::{Key, Position, Timestamp};
use serde::Serialize;
use std::borrow::Cow;

/// What a read gives: the value, and the position it reflects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// What was asked for.
    pub value: T,
    /// The answer reflects every record below this position.
    pub position: Position,
}

/// Why a read has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The position asked for was not reached in time, or the entity may still turn up while
    /// recovery goes on.
    #[error("not yet: {0}")]
    NotYet(Cow<'static, str>),
    /// The journal does not reach to the moment asked for.
    #[error("that is beyond the journal's end, {end}")]
    BeyondEnd {
        /// Where it ends.
        end: Position,
    },
    /// An answer of that moment would take more than may be spent on it; why.
    #[error("{0}")]
    TooMuch(Cow<'static, str>),
    /// The part that would answer has just been restarted, or is overloaded.
    #[error("the read was cut short, ask again")]
    Interrupted,
    /// The store or the journal could not be read; the log says more.
    #[error("internal: {0}")]
    Internal(String),
}

/// The key that makes a repeat of a command return the first answer. Its scope is the entity
/// addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// 1 to 255 visible ASCII characters.
    pub key: String,
    /// A hash of what was asked for (route, body): the same key with another fingerprint is
    /// refused.
    pub fingerprint: u64,
    /// The HTTP status that a success has, remembered with the answer.
    pub status: u16,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commanded {
    /// The verdict.
    pub verdict: Verdict,
    /// The position the answer reflects (exclusive: every record of the command's frame is below
    /// it).
    pub position: Position,
    /// The entity's view after it, as JSON text.
    pub view: Vec<u8>,
    /// Whether this is the first answer again.
    pub replayed: bool,
}

/// Yes or no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done, or nothing to do. With the status to answer with if the command had an idempotency
    /// key.
    Done {
        /// The first answer's HTTP status.
        status: u16,
    },
    /// Refused, for this reason; nothing has changed.
    Rejected {
        /// For the client.
        reason: String,
    },
    /// The idempotency key was used before with another fingerprint.
    Mismatch,
}

/// Why a command has no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Too much is in flight or the disk is full: nothing was journaled, try later.
    #[error("overloaded: {0}")]
    Overloaded(Cow<'static, str>),
    /// It cannot be done, whatever the state: nothing was journaled.
    #[error("{0}")]
    Impossible(Cow<'static, str>),
    /// The outcome is not known (a worker was restarted while it was under way): repeat with the
    /// same key.
    #[error("the answer was lost, repeat with the same key")]
    Interrupted,
    /// The process is stopping.
    #[error("stopping")]
    Stopping,
    /// Something of ours failed; the log says more.
    #[error("internal: {0}")]
    Internal(String),
}

/// Domain events handed in together.
#[derive(Clone, Debug, Default)]
pub struct Intake {
    /// The producer's name and the number of the first event, if the producer numbers its events.
    pub producer: Option<(String, u64)>,
    /// Each event: canonical CloudEvents JSON text, or what is wrong with it (it still consumes its
    /// number).
    pub events: Vec<Result<Vec<u8>, Fault>>,
}

/// One event that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// A code of the API, such as `bad-request`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: String,
}

/// What became of an intake, once it is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Journaled now. Includes what became a dead letter.
    pub accepted: u64,
    /// Journaled before.
    pub duplicates: u64,
    /// Of unknown type: journaled, heard by nobody.
    pub ignored: u64,
    /// With our own source: not journaled again.
    pub own: u64,
    /// Not taken, by index in the intake.
    pub rejected: Vec<(usize, Fault)>,
    /// Every record of the intake is below this position.
    pub position: Position,
}

/// Why an intake was not taken. Nothing of it was journaled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// The first number is beyond the producer's next one.
    #[error("sequence gap: the next number is {next}")]
    SequenceGap {
        /// The number that would be right.
        next: u64,
    },
    /// The last number was used before, for another event.
    #[error("sequence mismatch: number {number} was another event")]
    SequenceMismatch {
        /// The number in question.
        number: u64,
    },
    /// There are `producers_max` producers already.
    #[error("too many producers")]
    TooManyProducers,
    /// Too much is in flight, or the disk is full.
    #[error("overloaded: {0}")]
    Overloaded(Cow<'static, str>),
    /// One event is larger than a journal frame may be.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The process is stopping.
    #[error("stopping")]
    Stopping,
    /// Something of ours failed; the log says more.
    #[error("internal: {0}")]
    Internal(String),
}

/// A producer that numbers its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Producer {
    /// Its name.
    pub name: String,
    /// The next number it should send.
    pub next_sequence: u64,
    /// When its last frame was journaled; null if it is unknown.
    pub last_at: Option<Timestamp>,
}

/// Which entities of a kind to list: all, by key prefix, or by look-up word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only those with this look-up word, such as `user:u-42`.
    pub tag: Option<Key>,
    /// Only keys that begin so.
    pub prefix: Option<String>,
    /// Only keys after this one: where the page before ended.
    pub after: Option<Key>,
    /// At most so many.
    pub limit: usize,
}

/// A page of keys, in key order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The keys.
    pub keys: Vec<Key>,
    /// Whether there are more after the last.
    pub more: bool,
}

/// One record of an entity's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryItem {
    /// Its position.
    pub position: Position,
    /// When it was journaled.
    pub time: Timestamp,
    /// How it came: `heard`, `sent`, `command`, `fired`, `answered`, …
    pub tag: &'static str,
    /// The position of the domain event, command or record it came from, if it has one.
    pub cause: Option<Position>,
    /// The id and type of the domain event it came from.
    pub event: Option<EventRef>,
    /// Size of its payload in bytes.
    pub payload_bytes: usize,
}

/// A domain event, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventRef {
    /// CloudEvents `id`.
    pub id: String,
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `type`.
    #[serde(rename = "type")]
    pub event_type: String,
}

/// Whether the process may be sent traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Recovery has caught up, and nothing is waiting for an operator.
    pub ready: bool,
    /// Why not, each reason a sentence; empty if ready.
    pub reasons: Vec<String>,
    /// Where each worker has read to, and where the journal ends.
    pub applied: Position,
    /// The journal's durable end.
    pub end: Position,
}

/// One actor of the supervision tree, as it lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// `root`, `journal`, `store`, `worker-0`, …
    pub actor: String,
    /// `running`, `restarting`, `stopped`, `failed`.
    pub state: &'static str,
    /// How often it was restarted since the process began.
    pub restarts: u64,
    /// Residents by kind; of workers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residents: Option<std::collections::BTreeMap<String, u64>>,
    /// Its children.
    pub children: Vec<Node>,
}

/// One shard, for operators.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShardState {
    /// Its number.
    pub shard: u16,
    /// The worker that hosts it.
    pub worker: String,
    /// It has applied every record below.
    pub applied: Position,
    /// A replay after a crash would begin here.
    pub checkpointed: Position,
    /// Records between the journal's end and `applied`.
    pub lag_records: u64,
    /// How long ago the oldest record it has not applied was journaled, in seconds.
    pub lag_seconds: f64,
    /// Entities, live and at rest.
    pub entities: u64,
    /// Live ones.
    pub residents: u64,
    /// Deliveries not ended yet.
    pub pending_effects: u64,
    /// Timers not fired yet.
    pub timers: u64,
}
