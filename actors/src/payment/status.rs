//! What follows from the facts: amounts, status, substatus, and what may be done next. All derived,
//! nothing stored.
//!
//! The first that holds gives the status:
//! * the facts contradict each other: processing, conflicted;
//! * we gave it up and took nothing: canceled (compensating while late money goes back);
//! * an operation is in flight: processing;
//! * more was refunded than is known to be captured: processing, a fact is still on its way;
//! * money was captured: refunded, partially refunded, completed or captured, by what is left;
//! * our gateway declined, or the outside gave it up: failed, canceled;
//! * it is held by us, has failed outside, is held outside: authorized, failed, authorized;
//! * the outside is working on it: processing; else pending.

use super::facts::Contradiction;
use super::{End, Own, Payment, Phase};
use serde::Serialize;

/// A payment's status, as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing has been asked of the gateway yet, or it asks back.
    Pending,
    /// Something is under way.
    Processing,
    /// Money is held.
    Authorized,
    /// A part is captured, the rest is still held.
    Captured,
    /// Captured, nothing left to capture.
    Completed,
    /// A part has gone back.
    PartiallyRefunded,
    /// All has gone back.
    Refunded,
    /// It did not work.
    Failed,
    /// Given up or run out.
    Canceled,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Processing,
        Self::Authorized,
        Self::Captured,
        Self::Completed,
        Self::PartiallyRefunded,
        Self::Refunded,
        Self::Failed,
        Self::Canceled,
    ];

    /// The API's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Completed => "completed",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Reads a status in any spelling: `canceled`, `CANCELLED`, `PARTIALLY_REFUNDED`.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        if lower == "cancelled" {
            return Some(Self::Canceled);
        }
        Self::ALL.into_iter().find(|status| status.as_str() == lower)
    }
}

/// More about a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Substatus {
    /// Waits for `confirm`.
    New,
    /// Waits for `confirm` with a method.
    RequiresMethod,
    /// Waits for the payer.
    RequiresAction,
    /// The gateway has been asked.
    InFlight,
    /// The gateway will say later.
    GatewayPending,
    /// The gateway's answer was lost; it is asked again.
    OutcomeUnknown,
    /// The facts contradict each other: people have to look.
    Conflicted,
    /// Money that came too late goes back.
    Compensating,
}

impl Substatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::RequiresMethod => "requires_method",
            Self::RequiresAction => "requires_action",
            Self::InFlight => "in_flight",
            Self::GatewayPending => "gateway_pending",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Conflicted => "conflicted",
            Self::Compensating => "compensating",
        }
    }
}

/// What can be asked of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Go on.
    Confirm,
    /// Take of what is held.
    Capture,
    /// Give up what is not captured.
    Cancel,
    /// Give back.
    Refund,
}

impl Action {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Capture => "capture",
            Self::Cancel => "cancel",
            Self::Refund => "refund",
        }
    }
}

/// Status and substatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) status: Status,
    pub(super) substatus: Option<Substatus>,
}

const fn standing(status: Status, substatus: Option<Substatus>) -> Standing {
    Standing { status, substatus }
}

impl Phase {
    fn substatus(self) -> Substatus {
        match self {
            Self::InFlight => Substatus::InFlight,
            Self::Unknown => Substatus::OutcomeUnknown,
            Self::GatewayPending => Substatus::GatewayPending,
        }
    }
}

impl Payment {
    pub(super) fn captured(&self) -> i64 {
        self.facts.captures.sum()
    }

    pub(super) fn refunded(&self) -> i64 {
        self.facts.refunds.sum()
    }

    /// What is reserved for refunds that are under way.
    pub(super) fn refunding(&self) -> i64 {
        self.own.as_ref().map_or(0, |own| own.refunds.iter().map(|refund| refund.amount).sum())
    }

    /// The greatest amount that was ever held, by us or outside, without what captures imply.
    pub(super) fn hold(&self) -> i64 {
        let own = self.own.as_ref().and_then(|own| own.hold.as_ref()).map_or(0, |hold| hold.amount);
        own.max(self.facts.authorized)
    }

    pub(super) fn authorized(&self) -> i64 {
        self.hold().max(self.captured())
    }

    /// What is held and not captured.
    pub(super) fn capturable(&self) -> i64 {
        let released =
            self.own.as_ref().is_some_and(|own| own.released.is_some() || own.end.is_some());
        let failed = self.facts.failed.is_some() && self.own_hold() == 0 && self.captured() == 0;
        if released || failed || self.facts.canceled.is_some() {
            0
        } else {
            self.authorized() - self.captured()
        }
    }

    pub(super) fn refundable(&self) -> i64 {
        (self.captured() - self.refunded() - self.refunding()).max(0)
    }

    fn own_hold(&self) -> i64 {
        let hold = self.own.as_ref().and_then(|own| own.hold.as_ref());
        hold.map_or(0, |hold| hold.amount)
    }

    /// What contradicts what, if anything does. Once there, it stays: every part of it only grows.
    pub(super) fn contradiction(&self) -> Option<Contradiction> {
        if self.own.as_ref().is_some_and(|own| own.stuck) {
            return Some(Contradiction::MoneyNotReturned);
        }
        let beyond = |amount| self.facts.requested.is_some_and(|requested| amount > requested);
        let by_amount = if beyond(self.hold()) {
            Some(Contradiction::AuthorizedTooMuch)
        } else if beyond(self.captured()) {
            Some(Contradiction::CapturedTooMuch)
        } else if beyond(self.refunded()) {
            Some(Contradiction::RefundedTooMuch)
        } else {
            None
        };
        self.facts.contradiction.or(by_amount)
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.standing().status
    }

    /// The standing; none if nothing has happened yet.
    pub(super) fn standing_now(&self) -> Option<Standing> {
        self.exists().then(|| self.standing())
    }

    pub(super) fn standing(&self) -> Standing {
        if self.contradiction().is_some() {
            return standing(Status::Processing, Some(Substatus::Conflicted));
        }
        let own = self.own.as_deref();
        if let Some(End::Canceled(_)) = own.and_then(|own| own.end) {
            let owed = self.captured() > self.refunded();
            return standing(Status::Canceled, owed.then_some(Substatus::Compensating));
        }
        if let Some(op) = own.and_then(|own| own.op) {
            return standing(Status::Processing, Some(op.phase.substatus()));
        }
        self.standing_by_money().unwrap_or_else(|| self.standing_without_money(own))
    }

    fn standing_by_money(&self) -> Option<Standing> {
        let (captured, refunded) = (self.captured(), self.refunded());
        if refunded > captured {
            return Some(standing(Status::Processing, Some(Substatus::GatewayPending)));
        }
        if captured == 0 {
            return None;
        }
        let rest = self.capturable();
        let status = if refunded == captured && rest == 0 {
            Status::Refunded
        } else if refunded > 0 {
            Status::PartiallyRefunded
        } else if rest == 0 {
            Status::Completed
        } else {
            Status::Captured
        };
        Some(standing(status, None))
    }

    fn standing_without_money(&self, own: Option<&Own>) -> Standing {
        let facts = &self.facts;
        if let Some(End::Failed(_)) = own.and_then(|own| own.end) {
            standing(Status::Failed, None)
        } else if facts.canceled.is_some() {
            standing(Status::Canceled, None)
        } else if self.own_hold() > 0 {
            standing(Status::Authorized, None)
        } else if facts.failed.is_some() {
            standing(Status::Failed, None)
        } else if facts.authorized > 0 {
            standing(Status::Authorized, None)
        } else if facts.processing {
            standing(Status::Processing, Some(Substatus::GatewayPending))
        } else {
            standing(Status::Pending, Some(self.waits_for(own)))
        }
    }

    fn waits_for(&self, own: Option<&Own>) -> Substatus {
        if self.facts.action_required || own.is_some_and(|own| own.action_required) {
            Substatus::RequiresAction
        } else if own.is_some_and(|own| own.method.is_none()) {
            Substatus::RequiresMethod
        } else {
            Substatus::New
        }
    }

    /// What may be asked of it now. Nothing, if another system runs it.
    pub fn allowed_actions(&self) -> Vec<Action> {
        let Some(own) = self.own.as_deref() else { return Vec::new() };
        let held = own.hold.is_some() && self.capturable() > 0;
        let mut actions = Vec::new();
        match self.status() {
            Status::Pending => actions.extend([Action::Confirm, Action::Cancel]),
            Status::Authorized
            | Status::Captured
            | Status::Completed
            | Status::PartiallyRefunded => {
                if held {
                    actions.extend([Action::Capture, Action::Cancel]);
                }
                if self.refundable() > 0 {
                    actions.push(Action::Refund);
                }
            }
            Status::Processing | Status::Refunded | Status::Failed | Status::Canceled => {}
        }
        actions
    }
}
