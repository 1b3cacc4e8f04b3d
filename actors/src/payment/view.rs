//! What a client sees of a payment, field by field as the API promises. Derived; nothing here is
//! stored.

use super::{Action, End, Payment, Status, Substatus};
use serde::Serialize;
use serde_json::value::RawValue;

/// `GET /payments/{id}`.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// The payment's key.
    pub id: String,
    /// Derived from the money facts.
    pub status: Status,
    /// More about it, if there is more.
    pub substatus: Option<Substatus>,
    /// What was asked for; if that is not known, the most that is known of it.
    pub amount: i64,
    /// What was ever held, captures included.
    pub authorized: i64,
    /// What was taken.
    pub captured: i64,
    /// What went back.
    pub refunded: i64,
    /// What is held and can still be taken.
    pub capturable: i64,
    /// What can still go back; refunds under way count as gone.
    pub refundable: i64,
    /// Of all these amounts.
    pub currency: Option<String>,
    /// Who pays.
    pub user_id: Option<String>,
    /// For which order.
    pub order_id: Option<String>,
    /// For which course.
    pub course_id: Option<String>,
    /// Who moves the money; null if another system runs the payment.
    pub gateway: Option<&'static str>,
    /// What went wrong, if anything did.
    pub failure: Option<Failure>,
    /// What may be asked of it now.
    pub allowed_actions: Vec<Action>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// As given at its creation.
    pub metadata: Box<RawValue>,
}

/// Why a payment is not what was hoped for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// For machines: such as `expired`, `charge_declined`, `captured_more_than_requested`.
    pub reason: String,
}

impl View {
    pub(super) fn of(payment: &Payment, key: &str) -> Self {
        let facts = &payment.facts;
        let standing = payment.standing();
        let own = payment.own.as_deref();
        let metadata = own.map_or("{}", |own| &own.metadata);
        Self {
            id: key.into(),
            status: standing.status,
            substatus: standing.substatus,
            amount: facts.requested.unwrap_or_else(|| payment.authorized()),
            authorized: payment.authorized(),
            captured: payment.captured(),
            refunded: payment.refunded(),
            capturable: payment.capturable(),
            refundable: payment.refundable(),
            currency: facts.currency.map(|currency| currency.as_str().into()),
            user_id: facts.user_id.as_ref().map(ToString::to_string),
            order_id: facts.order_id.as_ref().map(ToString::to_string),
            course_id: facts.course_id.as_ref().map(ToString::to_string),
            gateway: own.map(|_| "mock"),
            failure: payment.failure().map(|reason| Failure { reason }),
            allowed_actions: payment.allowed_actions(),
            created_at: payment.created_at.to_string(),
            updated_at: payment.updated_at.to_string(),
            metadata: RawValue::from_string(metadata.into())
                .expect("metadata were checked to be JSON when the payment was created"),
        }
    }
}

impl Payment {
    /// Why it failed, was given up or is in conflict; else why the last capture or refund was
    /// refused.
    pub(super) fn failure(&self) -> Option<String> {
        if let Some(contradiction) = self.contradiction() {
            return Some(contradiction.as_str().into());
        }
        let own = self.own.as_deref();
        let outside = |reason: &Option<crate::words::Key>, otherwise: &str| {
            let said = reason.as_deref().filter(|reason| !reason.is_empty());
            Some(said.unwrap_or(otherwise).to_owned())
        };
        match (self.status(), own.and_then(|own| own.end)) {
            (Status::Failed, Some(End::Failed(reason)))
            | (Status::Canceled, Some(End::Canceled(reason))) => Some(reason.as_str().into()),
            (Status::Failed, _) => outside(&self.facts.failed, "failed"),
            (Status::Canceled, _) => outside(&self.facts.canceled, "canceled"),
            _ => own.and_then(|own| own.error).map(|reason| reason.as_str().into()),
        }
    }
}
