//! Dead letters: events and records that could not be applied, each an entity of the engine's own
//! kind.
//!
//! The engine tells a letter that it was opened; operators tell it that it was retried or
//! discarded. Its payload stays where it is, in the journal, at `position`. The key is the letter's
//! id.

use crate::effects::Effects;
use crate::entity::{Entity, Outcome, Tags, Tell};
use crate::event::{DomainEvent, Unfit};
use crate::pages::Pages;
use crate::words::{Key, Position, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest reason that is kept, in bytes.
const REASON_BYTES_MAX: usize = 500;

/// What has become of a letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for an operator.
    #[default]
    Open,
    /// It was tried again, as a new record.
    Retried,
    /// An operator has given it up.
    Discarded,
}

/// A dead letter.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DeadLetter {
    state: State,
    /// Where its event or record stands in the journal.
    position: Position,
    at: Timestamp,
    code: String,
    reason: String,
    /// `kind/key` of the entity that could not apply it; none if the event was heard by nobody. Of
    /// what was no event at all: [`KAFKA`] and where it stands there.
    address: Option<String>,
    times: u32,
}

/// What stands in place of a kind when the letter is about a record of Kafka that is no event:
/// `kafka/TOPIC/PARTITION/OFFSET`. No kind is called so.
const KAFKA: &str = "kafka/";

/// What a letter is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// An event or record could not be applied.
    Opened {
        /// Where it stands; none means: in the record just before this one.
        position: Option<Position>,
        /// A code for machines, such as `unfit`, `unknown-major`, `panicked`.
        code: String,
        /// What went wrong, for people.
        reason: String,
        /// `kind/key` of the entity that could not apply it.
        address: Option<String>,
    },
    /// It was tried again.
    Retried,
    /// It was given up.
    Discarded,
    /// A record of Kafka is no event. Its bytes are in the record just before this one.
    Refused {
        /// Its topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: u64,
        /// A code for machines.
        code: String,
        /// What is wrong with it, for people.
        reason: String,
    },
}

/// What a reader sees.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// The letter's id.
    pub id: String,
    /// What has become of it.
    pub state: State,
    /// Where its event or record stands in the journal.
    pub position: Position,
    /// A code for machines.
    pub code: String,
    /// What went wrong.
    pub reason: String,
    /// The entity that could not apply it.
    pub address: Option<String>,
    /// The topic it came from, if it is a record of Kafka that is no event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Its offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// When it was opened, RFC 3339.
    pub time: String,
    /// How often it has failed.
    pub times: u32,
}

impl Entity for DeadLetter {
    const KIND: &'static str = "dead-letter";
    type Event = Event;
    type Page = ();
    type View = View;
    type Query = ();
    type Answer = Position;

    fn hear(_event: &DomainEvent<'_>, _tell: &mut Tell<'_, Self>) -> Result<(), Unfit> {
        Ok(())
    }

    fn apply(&mut self, _page: Option<&mut ()>, event: Event, fx: &mut Effects) -> Outcome {
        match event {
            Event::Opened { position, code, reason, address } => {
                self.position = position.unwrap_or_else(|| fx.position().saturating_sub(1));
                self.open(fx.now(), code, &reason, address)
            }
            Event::Refused { topic, partition, offset, code, reason } => {
                self.position = fx.position().saturating_sub(1);
                let place = format!("{KAFKA}{topic}/{partition}/{offset}");
                self.open(fx.now(), code, &reason, Some(place))
            }
            Event::Retried => self.end(State::Retried),
            Event::Discarded => self.end(State::Discarded),
        }
    }

    fn view(&self, key: &str) -> View {
        let place = self.place();
        View {
            topic: place.map(|(topic, ..)| topic.to_owned()),
            partition: place.map(|(_, partition, _)| partition),
            offset: place.map(|(.., offset)| offset),
            id: key.to_owned(),
            state: self.state,
            position: self.position,
            code: self.code.clone(),
            reason: self.reason.clone(),
            address: if place.is_some() { None } else { self.address.clone() },
            time: self.at.to_string(),
            times: self.times,
        }
    }

    fn ask(&self, _key: &str, _query: (), _pages: &mut Pages<'_, ()>) -> Position {
        self.position
    }

    fn tags(&self) -> Tags {
        let state = match self.state {
            State::Open => "state:open",
            State::Retried => "state:retried",
            State::Discarded => "state:discarded",
        };
        std::iter::once(Key::new(state)).collect()
    }
}

impl DeadLetter {
    fn open(
        &mut self,
        at: Timestamp,
        code: String,
        reason: &str,
        address: Option<String>,
    ) -> Outcome {
        let end = reason.floor_char_boundary(REASON_BYTES_MAX);
        self.state = State::Open;
        self.at = at;
        self.code = code;
        reason[..end].clone_into(&mut self.reason);
        self.address = address;
        self.times += 1;
        Outcome::Applied
    }

    /// Where in Kafka its record stands, if it is one that is no event.
    fn place(&self) -> Option<(&str, i32, u64)> {
        let place = self.address.as_deref()?.strip_prefix(KAFKA)?;
        let (rest, offset) = place.rsplit_once('/')?;
        let (topic, partition) = rest.rsplit_once('/')?;
        Some((topic, partition.parse().ok()?, offset.parse().ok()?))
    }

    fn end(&mut self, state: State) -> Outcome {
        if self.state == State::Open {
            self.state = state;
            Outcome::Applied
        } else {
            Outcome::Rejected("the letter is not open".into())
        }
    }
}
