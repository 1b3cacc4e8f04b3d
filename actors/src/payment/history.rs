//! A payment's transitions, oldest first, in pages.
//!
//! The head keeps only where the next one goes. A record adds a handful at most, so a page may end
//! a little above [`PAGE_TRANSITIONS`], still far below 4 KiB. What is *not* here: when there is a
//! transition.

use super::gateway::Reason;
use super::status::Standing;
use super::{FactKind, Payment, Status, Turn};
use crate::pages::Pages;
use crate::words::{Position, Timestamp};
use serde::{Deserialize, Serialize};

/// A page that holds so many is closed.
const PAGE_TRANSITIONS: u32 = 80;

/// Why something changed. Stored: variants are only appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Why {
    Created,
    Confirm,
    Capture,
    Cancel,
    Refund,
    Authorized,
    Captured,
    Voided,
    Refunded,
    ActionRequired,
    Declined(Reason),
    Refused(Reason),
    OutcomeUnknown,
    GatewayProcessing,
    Expired,
    Compensation,
    Unfit,
    Fact(FactKind),
}

impl Why {
    fn text(self) -> String {
        match self {
            Self::Created => "created".into(),
            Self::Confirm => "confirm requested".into(),
            Self::Capture => "capture requested".into(),
            Self::Cancel => "cancel requested".into(),
            Self::Refund => "refund requested".into(),
            Self::Authorized => "authorized".into(),
            Self::Captured => "captured".into(),
            Self::Voided => "hold released".into(),
            Self::Refunded => "refunded".into(),
            Self::ActionRequired => "action required".into(),
            Self::Declined(reason) => format!("declined: {}", reason.as_str()),
            Self::Refused(reason) => format!("refused: {}", reason.as_str()),
            Self::OutcomeUnknown => "outcome unknown".into(),
            Self::GatewayProcessing => "gateway answers later".into(),
            Self::Expired => "expired".into(),
            Self::Compensation => "late money goes back".into(),
            Self::Unfit => "the gateway's answer does not fit".into(),
            Self::Fact(kind) => kind.as_str().into(),
        }
    }
}

/// One transition at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transition {
    from: Option<Status>,
    to: Status,
    why: Why,
    amount: Option<i64>,
    time: Timestamp,
    position: Position,
}

/// A page of transitions. The first one keeps the payment's description, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub(super) description: Option<String>,
    transitions: Vec<Transition>,
}

/// Where the next transition goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    page: u32,
    slot: u32,
}

/// One transition, as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransitionView {
    /// The status before; null for the first.
    pub from: Option<Status>,
    /// The status after; the same if only money moved.
    pub to: Status,
    /// What happened.
    pub why: String,
    /// The money it was about, in minor units.
    pub amount: Option<i64>,
    /// When: RFC 3339.
    pub time: String,
    /// The record that did it.
    pub position: Position,
}

/// A part of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// Oldest first.
    pub items: Vec<TransitionView>,
    /// Where to go on; none at the end.
    pub next: Option<u64>,
    /// What the payment is for, as given at its creation.
    pub description: Option<String>,
}

impl End {
    pub(super) fn page(self) -> u32 {
        self.page
    }

    fn cursor(self) -> u64 {
        u64::from(self.page) << 32 | u64::from(self.slot)
    }

    fn at(cursor: u64) -> Self {
        Self { page: (cursor >> 32) as u32, slot: cursor as u32 }
    }

    fn forward(&mut self) {
        self.slot += 1;
    }

    /// Opens the next page if this one is full. Only between records: one record touches one page.
    pub(super) fn turn_over(&mut self) {
        if self.slot >= PAGE_TRANSITIONS {
            *self = Self { page: self.page + 1, slot: 0 };
        }
    }

    pub(super) fn list(
        self,
        cursor: Option<u64>,
        limit: usize,
        pages: &mut Pages<'_, Page>,
    ) -> HistoryPage {
        let mut at = Self::at(cursor.unwrap_or(0));
        let mut list = HistoryPage {
            description: pages.with(0, |page| page.description.clone()),
            ..HistoryPage::default()
        };
        while at.cursor() < self.cursor() && list.items.len() < limit {
            let wanted = limit - list.items.len();
            let taken = pages.with(at.page, |page| {
                let rest = page.transitions.get(at.slot as usize..).unwrap_or_default();
                let before = list.items.len();
                list.items.extend(rest.iter().take(wanted).map(Transition::view));
                let taken = list.items.len() - before;
                (taken, taken == rest.len())
            });
            at = match taken {
                (_, true) if at.page < self.page => Self { page: at.page + 1, slot: 0 },
                (0, true) => break,
                (taken, _) => Self { page: at.page, slot: at.slot + taken as u32 },
            };
        }
        list.next = (at.cursor() < self.cursor()).then(|| at.cursor());
        list
    }
}

impl Transition {
    fn view(&self) -> TransitionView {
        TransitionView {
            from: self.from,
            to: self.to,
            why: self.why.text(),
            amount: self.amount,
            time: self.time.to_string(),
            position: self.position,
        }
    }
}

impl Payment {
    /// Writes down that the payment stood at `was` and stands where it stands now.
    pub(super) fn note(
        &mut self,
        turn: &mut Turn<'_>,
        was: Option<Standing>,
        why: Why,
        amount: Option<i64>,
    ) {
        turn.page.transitions.push(Transition {
            from: was.map(|standing| standing.status),
            to: self.status(),
            why,
            amount,
            time: turn.time,
            position: turn.fx.position(),
        });
        self.history.forward();
    }
}
