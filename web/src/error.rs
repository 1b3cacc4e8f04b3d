//! What can go wrong with a request, and the ONE place that turns it into an answer.
//!
//! Every error of every room ends as an [`Error`] here, and [`Error::facts`] is a total match:
//! code, status, whether a retry makes sense, and when. Bodies are RFC 9457 problems. What is *not*
//! here: prose of our inside. An internal error says nothing to the client; the log has it beside
//! the request id.

use crate::reply::{Reply, RequestId};
use serde::Serialize;
use serde_json::{Map, Value, json};
use topology::api::{CommandError, IntakeError, ReadError};
use topology::snapshots::SnapshotError;

/// One value that is not acceptable, and where it stands: a JSON pointer into the body, or
/// `query:limit`, `header:…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// Where.
    pub pointer: String,
    /// What is wrong, for people.
    pub detail: String,
}

impl Fault {
    pub(crate) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Why a request has no answer but this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// Unreadable JSON, header, query or path.
    BadRequest(Vec<Fault>),
    /// A well-formed body with values that are not acceptable.
    Validation(Vec<Fault>),
    /// There is no such thing.
    NotFound(String),
    /// There is no such path.
    NoRoute,
    /// The path is there, the method is not.
    MethodNotAllowed {
        /// The methods that are, as in `Allow`.
        allow: String,
    },
    /// A command was refused; nothing has changed.
    Conflict {
        /// Why, for people.
        reason: String,
        /// Whether this is the first answer again.
        replayed: bool,
    },
    /// The idempotency key was used before, for something else.
    IdempotencyMismatch,
    /// The first number is beyond the producer's next one.
    SequenceGap {
        /// The number that would be right.
        next: u64,
    },
    /// The number was used before, for another event.
    SequenceMismatch {
        /// The number in question.
        number: u64,
    },
    /// The body, or one event in it, is too large.
    TooLarge(String),
    /// The body is of a type that this path does not read.
    UnsupportedMediaType(String),
    /// Too much is in flight, or a limit is reached.
    Overloaded(Overload),
    /// The answer is not there yet.
    NotYet(String),
    /// The part that would answer has just been restarted: the same request again is right.
    Interrupted(&'static str),
    /// Something of ours failed. For the log, not for the client.
    Internal(String),
}

/// Which limit it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Overload {
    /// One that an operator has set on how many there may be.
    Count(&'static str),
    /// Work in flight, or the disk.
    Engine(String),
    /// The process is on its way out.
    Stopping,
}

/// What stands in a problem's fixed members.
struct Facts {
    code: &'static str,
    status: u16,
    title: &'static str,
    retry: &'static str,
    retry_after_s: Option<u32>,
}

impl Facts {
    const fn never(code: &'static str, status: u16, title: &'static str) -> Self {
        Self { code, status, title, retry: "never", retry_after_s: None }
    }

    const fn again(code: &'static str, retry: &'static str, title: &'static str) -> Self {
        Self { code, status: 503, title, retry, retry_after_s: Some(1) }
    }
}

impl Error {
    /// A request that cannot be read, with the one place where.
    pub(crate) fn bad(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::BadRequest(vec![Fault::new(pointer, detail)])
    }

    /// What HTTP says of it.
    fn facts(&self) -> Facts {
        match self {
            Self::BadRequest(_) => Facts::never("bad-request", 400, "The request cannot be read"),
            Self::Validation(_) => Facts::never("validation", 422, "A value is not acceptable"),
            Self::NotFound(_) | Self::NoRoute => Facts::never("not-found", 404, "Not found"),
            Self::MethodNotAllowed { .. } => {
                Facts::never("method-not-allowed", 405, "The method is not allowed here")
            }
            Self::Conflict { .. } => Facts::never("conflict", 409, "The command was refused"),
            Self::IdempotencyMismatch => Facts::never(
                "idempotency-mismatch",
                422,
                "The idempotency key was used for another request",
            ),
            Self::SequenceGap { .. } => {
                Facts::never("sequence-gap", 409, "Events are missing before this one")
            }
            Self::SequenceMismatch { .. } => {
                Facts::never("sequence-mismatch", 409, "The number belongs to another event")
            }
            Self::TooLarge(_) => Facts::never("too-large", 413, "Too large"),
            Self::UnsupportedMediaType(_) => {
                Facts::never("unsupported-media-type", 415, "The media type is not supported")
            }
            Self::Overloaded(Overload::Count(_)) => {
                Facts { status: 429, ..Facts::again("overloaded", "later", "A limit is reached") }
            }
            Self::Overloaded(_) => Facts::again("overloaded", "later", "Overloaded"),
            Self::NotYet(_) => Facts::again("not-yet", "later", "Not yet"),
            Self::Interrupted(_) => {
                Facts::again("overloaded", "same", "The answer was lost, ask again")
            }
            Self::Internal(_) => Facts {
                retry: "later",
                ..Facts::never("internal", 500, "Something of ours failed; the log has it")
            },
        }
    }

    /// What happened, for people. Nothing of our inside.
    fn detail(&self) -> String {
        match self {
            Self::BadRequest(faults) | Self::Validation(faults) => match faults.as_slice() {
                [one] => format!("{}: {}", one.pointer, one.detail),
                many => format!("{} values are not acceptable", many.len()),
            },
            Self::NotFound(detail)
            | Self::TooLarge(detail)
            | Self::UnsupportedMediaType(detail)
            | Self::NotYet(detail)
            | Self::Overloaded(Overload::Engine(detail)) => detail.clone(),
            Self::NoRoute => "there is nothing at this path".to_owned(),
            Self::MethodNotAllowed { allow } => format!("this path answers to {allow}"),
            Self::Conflict { reason, .. } => reason.clone(),
            Self::IdempotencyMismatch => {
                "this key came before with another method, path or body: use a new key".to_owned()
            }
            Self::SequenceGap { next } => format!("the producer's next number is {next}"),
            Self::SequenceMismatch { number } => {
                format!("number {number} was taken by an event with other content")
            }
            Self::Overloaded(Overload::Count(limit)) => (*limit).to_owned(),
            Self::Overloaded(Overload::Stopping) => "the process is stopping".to_owned(),
            Self::Interrupted(detail) => (*detail).to_owned(),
            Self::Internal(_) => "an internal error, see the log by the request id".to_owned(),
        }
    }

    /// The answer. What must stay inside goes to the log, with the id that the client sees.
    pub(crate) fn into_reply(self, id: &RequestId) -> Reply {
        if let Self::Internal(inside) = &self {
            tracing::error!(request_id = id.as_str(), error = inside.as_str(), "request failed");
        }
        let facts = self.facts();
        let mut body = Map::new();
        body.insert("type".into(), format!("urn:bellwether:problem:{}", facts.code).into());
        body.insert("title".into(), facts.title.into());
        body.insert("status".into(), facts.status.into());
        body.insert("detail".into(), self.detail().into());
        body.insert("code".into(), facts.code.into());
        body.insert("retry".into(), facts.retry.into());
        self.members(&mut body);
        let mut reply = Reply::problem(facts.status, &Value::Object(body));
        if let Some(seconds) = facts.retry_after_s {
            reply = reply.header("retry-after", &seconds.to_string());
        }
        match &self {
            Self::MethodNotAllowed { allow } => reply.header("allow", allow),
            Self::Conflict { replayed: true, .. } => reply.header("idempotent-replayed", "true"),
            // The rest of the body may still be on its way: the connection is of no further use.
            Self::TooLarge(_) => reply.header("connection", "close"),
            _ => reply,
        }
    }

    /// What only this code has.
    fn members(&self, body: &mut Map<String, Value>) {
        match self {
            Self::BadRequest(faults) | Self::Validation(faults) => {
                body.insert("errors".into(), json!(faults));
            }
            Self::Conflict { reason, .. } => {
                body.insert("reason".into(), reason.as_str().into());
            }
            Self::SequenceGap { next } => {
                body.insert("next_sequence".into(), (*next).into());
            }
            Self::SequenceMismatch { number } => {
                body.insert("sequence".into(), (*number).into());
            }
            _ => {}
        }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotYet(why) => Self::NotYet(why.into_owned()),
            ReadError::BeyondEnd { end } => {
                let detail = format!("is beyond the journal's end, which is {end} now");
                Self::bad("query:as_of", detail)
            }
            ReadError::TooMuch(why) => Self::Overloaded(Overload::Engine(why.into_owned())),
            ReadError::Interrupted => Self::Interrupted("the read was cut short"),
            ReadError::Internal(inside) => Self::Internal(inside),
        }
    }
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Overloaded(why) => Self::Overloaded(Overload::Engine(why.into_owned())),
            CommandError::Impossible(why) => {
                Self::Conflict { reason: why.into_owned(), replayed: false }
            }
            CommandError::Interrupted => {
                Self::Interrupted("the outcome is not known: repeat with the same Idempotency-Key")
            }
            CommandError::Stopping => Self::Overloaded(Overload::Stopping),
            CommandError::Internal(inside) => Self::Internal(inside),
        }
    }
}

impl From<SnapshotError> for Error {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Stopping => Self::Overloaded(Overload::Stopping),
            // Whoever may ask for one may know why there is none: most likely the disk is full.
            SnapshotError::Busy | SnapshotError::Failed(_) => {
                Self::Overloaded(Overload::Engine(format!("no snapshot was taken: {error}")))
            }
        }
    }
}

impl From<IntakeError> for Error {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::SequenceGap { next } => Self::SequenceGap { next },
            IntakeError::SequenceMismatch { number } => Self::SequenceMismatch { number },
            IntakeError::TooManyProducers => {
                Self::Overloaded(Overload::Count("there are as many producers as there may be"))
            }
            IntakeError::Overloaded(why) => Self::Overloaded(Overload::Engine(why.into_owned())),
            IntakeError::TooLarge(why) => Self::TooLarge(why),
            IntakeError::Stopping => Self::Overloaded(Overload::Stopping),
            IntakeError::Internal(inside) => Self::Internal(inside),
        }
    }
}

#[cfg(test)]
mod tests;
