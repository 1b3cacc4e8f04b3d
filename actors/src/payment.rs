//! One state machine per payment: a pure fold over commands, gateway answers, timers and facts from
//! outside.
//!
//! What is kept are the money facts and the one operation in flight (with refunds as its children);
//! what a reader calls the status is derived from them and never stored. Facts join (`facts.rs`),
//! so they may come in any order and any number of times. Money is reserved before the gateway is
//! asked, so no order of commands and answers captures or refunds too much. What is *not* here: who
//! repeats a request whose answer was lost (the dispatcher), idempotency keys (the engine), and
//! what the gateway does with a request (the mock stands among the sinks).
//!
//! A payment has at most [`CAPTURES_MAX`] captures and [`REFUNDS_MAX`] refunds with an id; its head
//! stays below 2 KiB.

mod command;
mod fact;
mod facts;
pub mod gateway;
mod history;
pub mod input;
mod settle;
mod status;
mod tell;
#[cfg(test)]
mod tests;
mod view;

pub use fact::{Fact, FactKind};
pub use facts::{CAPTURES_MAX, REFUNDS_MAX};
pub use gateway::Token;
pub use history::{HistoryPage, Page, TransitionView};
pub use input::{CaptureMode, Confirm, Create, Fault};
pub use status::{Action, Status, Substatus};
pub use view::View;

use crate::effects::{Answer, Delivery, Effects};
use crate::entity::{Entity, Outcome, Tags, Tell};
use crate::event::{DomainEvent, Unfit};
use crate::pages::Pages;
use crate::words::{Key, Timestamp};
use facts::Facts;
use gateway::Reason;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How long a hold lasts, from its authorization.
pub const AUTHORIZATION_MS: i64 = 7 * 24 * 3_600_000;
/// How long a payment may stay unfinished, from its creation.
pub const UNFINISHED_MS: i64 = 24 * 3_600_000;

/// What a payment is told. Stored: variants are only appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A command: begin.
    Create(Box<Create>),
    /// A command: go on with the method or action given.
    Confirm(Confirm),
    /// A command: take this much of the hold; none means all that is left.
    Capture(Option<i64>),
    /// A command: give up what is not captured.
    Cancel,
    /// A command: give back this much; none means all that is left.
    Refund(Option<i64>),
    /// The outside says so.
    Fact(Box<Fact>),
    /// The gateway's answer to the request with this number; none means that nobody knows whether
    /// it happened.
    Gateway {
        /// Which request.
        seq: u32,
        /// What it said.
        answer: Option<gateway::Answer>,
    },
    /// A timer: something may have run out by now.
    Lapse {
        /// When it was due.
        due: Timestamp,
    },
}

/// What else can be asked of a payment.
#[derive(Clone, Copy, Debug)]
pub enum Query {
    /// The transitions, oldest first.
    History {
        /// Where the last answer ended; none means from the start.
        cursor: Option<u64>,
        /// How many at most.
        limit: usize,
    },
}

/// A payment's head. Empty until its first command or fact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    facts: Facts,
    /// None for a payment that another system runs and we only hear of.
    own: Option<Box<Own>>,
    told: Told,
    history: history::End,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What we keep of a payment that we run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Own {
    /// The payment's own key: requests, timers and publications name it.
    id: Key,
    capture: CaptureMode,
    method: Option<Token>,
    /// A JSON object, as text.
    metadata: String,
    created_at: Timestamp,
    hold: Option<Hold>,
    action_required: bool,
    /// Why what was held and not captured is no longer held.
    released: Option<Reason>,
    end: Option<End>,
    op: Option<Op>,
    /// Refunds that the gateway has not answered: their amounts are reserved.
    refunds: Vec<PendingRefund>,
    seq_last: u32,
    /// Why the last capture or refund was refused.
    error: Option<Reason>,
    /// Money that should have gone back could not: only people can help.
    stuck: bool,
}

/// An authorization of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hold {
    amount: i64,
    /// The gateway's name for it.
    reference: Key,
    until: Timestamp,
}

/// How a payment of ours ended without money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum End {
    Failed(Reason),
    Canceled(Reason),
}

/// The one operation in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Op {
    seq: u32,
    kind: OpKind,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum OpKind {
    Confirm,
    Capture(i64),
    Cancel,
}

/// How much is known about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    InFlight,
    /// It may have happened; it is asked for again under the same id.
    Unknown,
    /// The gateway has taken it and will say later.
    GatewayPending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PendingRefund {
    seq: u32,
    amount: i64,
    phase: Phase,
}

/// How much of the money has been told to others, so that each movement is told once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    created: bool,
    authorized: i64,
    captured: i64,
    refunded: i64,
    course_captured: i64,
    course_refunded: i64,
}

/// Why a command is refused.
type Refusal = Cow<'static, str>;

/// What one record brings along while it is applied.
struct Turn<'a> {
    page: &'a mut Page,
    fx: &'a mut Effects,
    /// When it happened: the fact's own time, else the record's.
    time: Timestamp,
    /// The capture or refund it is about, if that has an id.
    moved: Option<Moved>,
}

/// A movement of money: the gateway's or the outside's id of it, and its amount.
enum Moved {
    Captured(Key, i64),
    Refunded(Key, i64),
}

impl Entity for Payment {
    const KIND: &'static str = "payment";
    type Event = Event;
    type Page = Page;
    /// None while there has been neither a command nor a fact that was accepted.
    type View = Option<View>;
    type Query = Query;
    type Answer = HistoryPage;

    fn hear(event: &DomainEvent<'_>, tell: &mut Tell<'_, Self>) -> Result<(), Unfit> {
        if event.own {
            return Ok(());
        }
        let Some(fact) = Fact::of(event)? else { return Ok(()) };
        let key = fact.payment_id.clone();
        tell.tell(&key, &Event::Fact(Box::new(fact)));
        Ok(())
    }

    fn page(&self, _event: &Event) -> Option<u32> {
        Some(self.history.page())
    }

    fn apply(&mut self, page: Option<&mut Page>, event: Event, fx: &mut Effects) -> Outcome {
        let page = page.expect("`page` names one for every event");
        let time = match &event {
            Event::Fact(fact) => fact.time,
            _ => fx.now(),
        };
        let mut turn = Turn { page, fx, time, moved: None };
        let outcome = self.fold(event, &mut turn);
        if outcome == Outcome::Applied {
            self.updated_at = self.updated_at.max(time);
            self.history.turn_over();
        }
        outcome
    }

    fn answered(delivery: &Delivery, answer: &Answer) -> Option<Event> {
        let request = gateway::Request::decode(&delivery.body)?;
        let answer = match answer {
            Answer::Unknown => None,
            Answer::Definite(bytes) => Some(gateway::Answer::decode(bytes)?),
            Answer::Refused(_) => Some(gateway::Answer::Refused(gateway::Reason::NotUnderstood)),
        };
        Some(Event::Gateway { seq: request.seq, answer })
    }

    fn view(&self, key: &str) -> Option<View> {
        self.exists().then(|| View::of(self, key))
    }

    fn ask(&self, _key: &str, query: Query, pages: &mut Pages<'_, Page>) -> HistoryPage {
        let Query::History { cursor, limit } = query;
        self.history.list(cursor, limit, pages)
    }

    fn tags(&self) -> Tags {
        let mut tags = Tags::new();
        if self.exists() {
            tags.push(status_tag(self.status()));
            tags.extend(self.facts.user_id.as_ref().map(|id| tag("user", id)));
            tags.extend(self.facts.order_id.as_ref().map(|id| tag("order", id)));
        }
        tags
    }
}

impl Payment {
    /// Whether there has been a command or a fact that was accepted.
    pub fn exists(&self) -> bool {
        self.own.is_some() || self.facts.any()
    }

    fn fold(&mut self, event: Event, turn: &mut Turn<'_>) -> Outcome {
        let done = match event {
            Event::Fact(fact) => return self.hear_fact(&fact, turn),
            Event::Gateway { seq, answer } => return self.settle(seq, answer, turn),
            Event::Lapse { due } => return self.lapsed(due, turn),
            Event::Create(create) => self.create(*create, turn),
            Event::Confirm(confirm) => self.confirm(confirm, turn),
            Event::Capture(amount) => self.capture(amount, turn),
            Event::Cancel => self.cancel(turn),
            Event::Refund(amount) => self.refund(amount, turn),
        };
        match done {
            Ok(()) => Outcome::Applied,
            Err(reason) => Outcome::Rejected(reason),
        }
    }
}

/// The look-up word of all payments with this status.
pub fn status_tag(status: Status) -> Key {
    tag("status", status.as_str())
}

/// A look-up word: what it is about, and its value.
fn tag(word: &str, value: &str) -> Key {
    compact_str::format_compact!("{word}:{value}")
}
