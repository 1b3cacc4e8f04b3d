//! How the sink is, for operators: metrics, and what `/ops/sinks` shows.

use crate::metrics::sink as metrics;
use actors::Position;
use serde::Serialize;
use std::sync::Mutex;

/// A sink that tails the journal, for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SinkState {
    /// What it is called.
    pub sink: &'static str,
    /// `sending`, `waiting` (for the world to come back) or `stopped`.
    pub state: &'static str,
    /// Everything published below this position has gone out.
    pub position: Position,
    /// How many records of the journal it has not looked at yet.
    pub lag_records: u64,
    /// Messages that have gone out since the process began.
    pub sent: u64,
    /// What went wrong last, and is not mended.
    pub last_error: Option<String>,
}

/// The same, as it changes.
#[derive(Default)]
pub(super) struct Status {
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    state: State,
    position: Position,
    sent: u64,
    last_error: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Waiting,
    Sending,
    Stopped,
}

impl Status {
    /// What operators see, at this end of the journal.
    pub(super) fn show(&self, end: Position) -> SinkState {
        self.with(|now| SinkState {
            sink: "kafka",
            state: match now.state {
                State::Waiting => "waiting",
                State::Sending => "sending",
                State::Stopped => "stopped",
            },
            position: now.position,
            lag_records: end.saturating_sub(now.position),
            sent: now.sent,
            last_error: now.last_error.clone(),
        })
    }

    /// It goes well: so many messages more, and all below this position.
    pub(super) fn sent(&self, messages: u64, position: Position, end: Position) {
        metrics::sent(messages);
        metrics::lag(end.saturating_sub(position));
        let mended = self.with(|now| {
            now.position = position;
            now.sent += messages;
            let mended = now.state != State::Sending || now.last_error.is_some();
            now.state = State::Sending;
            now.last_error = None;
            mended
        });
        if mended {
            tracing::info!(position, "published events go out to Kafka");
        }
    }

    /// Something goes wrong that librdkafka goes on with by itself.
    pub(super) fn troubled(&self, why: &str) {
        metrics::failed();
        // One trouble comes in many words, one after the other.
        let is_first = self.with(|now| now.last_error.replace(why.to_owned()).is_none());
        if is_first {
            tracing::warn!(why, "the Kafka sink has trouble");
        }
    }

    /// It can't go on, and tries again later.
    pub(super) fn waits(&self, why: &str, end: Position) {
        metrics::failed();
        let is_new = self.with(|now| {
            metrics::lag(end.saturating_sub(now.position));
            let is_new = now.last_error.as_deref() != Some(why);
            now.last_error = Some(why.to_owned());
            now.state = State::Waiting;
            is_new
        });
        if is_new {
            tracing::warn!(why, "the Kafka sink waits and tries again");
        }
    }

    pub(super) fn stopped(&self) {
        self.with(|now| now.state = State::Stopped);
    }

    fn with<T>(&self, look: impl FnOnce(&mut Now) -> T) -> T {
        look(&mut self.now.lock().expect("nobody panics while looking"))
    }
}
