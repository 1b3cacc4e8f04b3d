//! One fact from outside: what a domain event says about a payment.
//!
//! What is *not* here: how facts join (`facts.rs`). Invariant: a fact names its payment and its
//! payer, and its amount and currency are acceptable; an event that lacks any of that is a dead
//! letter.

use super::Moved;
use crate::currency::Currency;
use crate::event::{DomainEvent, EventType, Unfit};
use crate::words::{Key, Timestamp};
use serde::{Deserialize, Serialize};

/// Of a reason from outside, so much is kept, in bytes.
const REASON_BYTES_MAX: usize = 40;

/// What the outside can say about a payment. Stored: variants are only appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FactKind {
    /// `commerce.payment.created`
    Created,
    /// `commerce.payment.action_required`
    ActionRequired,
    /// `commerce.payment.processing`
    Processing,
    /// `commerce.payment.authorized`
    Authorized,
    /// `commerce.payment.captured`
    Captured,
    /// `commerce.payment.failed`
    Failed,
    /// `commerce.payment.canceled`
    Canceled,
    /// `commerce.payment.refunded`
    Refunded,
}

impl FactKind {
    fn parse(canonical: &str) -> Option<Self> {
        Some(match canonical.strip_prefix("commerce.payment.")? {
            "created" => Self::Created,
            "action_required" => Self::ActionRequired,
            "processing" => Self::Processing,
            "authorized" => Self::Authorized,
            "captured" => Self::Captured,
            "failed" => Self::Failed,
            "canceled" => Self::Canceled,
            "refunded" => Self::Refunded,
            _ => return None,
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "fact: created",
            Self::ActionRequired => "fact: action_required",
            Self::Processing => "fact: processing",
            Self::Authorized => "fact: authorized",
            Self::Captured => "fact: captured",
            Self::Failed => "fact: failed",
            Self::Canceled => "fact: canceled",
            Self::Refunded => "fact: refunded",
        }
    }
}

/// One fact from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What happened.
    pub kind: FactKind,
    /// To which payment: publications name it, and a head keeps no key of its own.
    pub payment_id: Key,
    /// When.
    pub time: Timestamp,
    /// Who pays.
    pub user_id: Key,
    /// For which order.
    pub order_id: Option<Key>,
    /// For which course.
    pub course_id: Option<Key>,
    /// In minor units: with a movement's id, of that movement alone; without one, the total so far.
    pub amount: i64,
    /// Of this currency.
    pub currency: Currency,
    /// `capture_id` or `refund_id`, whichever belongs to the kind.
    pub movement: Option<Key>,
    /// Why, as the outside put it.
    pub reason: Option<Key>,
}

impl Fact {
    /// The fact that a domain event states; none if it is not about a payment.
    ///
    /// # Errors
    /// It is about a payment, but lacks what every such fact needs.
    pub fn of(event: &DomainEvent<'_>) -> Result<Option<Self>, Unfit> {
        let EventType::Known(canonical) = event.event_type else { return Ok(None) };
        let Some(kind) = FactKind::parse(canonical) else { return Ok(None) };
        let data = &event.data;
        data.sound()?;
        let movement = match kind {
            FactKind::Captured => data.capture_if_any()?,
            FactKind::Refunded => data.refund_if_any()?,
            _ => None,
        };
        let money = data.money()?;
        Ok(Some(Self {
            kind,
            payment_id: Key::new(data.payment()?),
            time: event.time,
            user_id: Key::new(data.user()?),
            order_id: data.order_if_any()?.map(Key::new),
            course_id: data.course_if_any()?.map(Key::new),
            amount: money.amount,
            currency: money.currency,
            movement: movement.map(Key::new),
            reason: data.reason.as_deref().map(|text| Key::new(shortened(text))),
        }))
    }

    pub(super) fn moved(&self) -> Option<Moved> {
        let id = self.movement.clone()?;
        Some(match self.kind {
            FactKind::Refunded => Moved::Refunded(id, self.amount),
            _ => Moved::Captured(id, self.amount),
        })
    }
}

fn shortened(text: &str) -> &str {
    let end = (0..=text.len().min(REASON_BYTES_MAX)).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}
