//! Whom a payment tells: the user's inbox, the course, and the world.
//!
//! Money is told by difference: what is known now, less what was told before. So each movement is
//! told once, whatever caused it and in whatever order its facts came; and a course that becomes
//! known later hears then what it has missed. While the facts contradict each other nobody is told
//! anything, and what was told before stays told. What is *not* here: who sends publications out
//! (sinks do, unless an outside fact caused them: `outward` is false then).

use super::status::Standing;
use super::{Fact, Moved, Payment, Status, Substatus, Turn};
use crate::course::{self, Course};
use crate::currency::Currency;
use crate::effects::{Effects, Publication};
use crate::inbox::{self, Inbox, Note, Topic};
use crate::words::{Key, Timestamp};
use serde::Serialize;

const CREATED: &str = "com.bellwether.commerce.payment.created.v1";
const AUTHORIZED: &str = "com.bellwether.commerce.payment.authorized.v1";
const CAPTURED: &str = "com.bellwether.commerce.payment.captured.v1";
const FAILED: &str = "com.bellwether.commerce.payment.failed.v1";
const CANCELED: &str = "com.bellwether.commerce.payment.canceled.v1";
const REFUNDED: &str = "com.bellwether.commerce.payment.refunded.v1";

/// `data` of a publication.
#[derive(Serialize)]
struct Data<'a> {
    payment_id: &'a str,
    user_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    course_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<&'a str>,
    amount: i64,
    currency: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// What only some publications carry.
#[derive(Clone, Copy, Default)]
struct Detail<'a> {
    capture_id: Option<&'a str>,
    refund_id: Option<&'a str>,
    reason: Option<&'a str>,
}

/// Who is told about what happens now.
struct Herald<'a> {
    payment_id: Key,
    user_id: Key,
    course_id: Option<Key>,
    order_id: Option<Key>,
    currency: Currency,
    time: Timestamp,
    /// Whether sinks send publications out.
    outward: bool,
    fx: &'a mut Effects,
}

impl Herald<'_> {
    fn publish(&mut self, event_type: &'static str, amount: i64, detail: Detail<'_>) {
        let data = Data {
            payment_id: &self.payment_id,
            user_id: &self.user_id,
            course_id: self.course_id.as_deref(),
            order_id: self.order_id.as_deref(),
            amount,
            currency: self.currency.as_str(),
            capture_id: detail.capture_id,
            refund_id: detail.refund_id,
            reason: detail.reason,
        };
        let data = serde_json::to_string(&data).expect("plain data always serialise");
        self.fx.publish(Publication {
            event_type,
            subject: self.payment_id.clone(),
            time: self.time,
            data,
            outward: self.outward,
        });
    }

    fn notify(&mut self, topic: fn(inbox::Payment) -> Topic, amount: i64) {
        let payment =
            inbox::Payment { payment_id: self.payment_id.clone(), amount, currency: self.currency };
        let note = Note { time: self.time, topic: topic(payment) };
        self.fx.send::<Inbox>(&self.user_id, &inbox::Event::Notify(note));
    }

    /// Tells the course how much has moved since it was told last, if anything has.
    fn revenue(&mut self, event: fn(course::Movement) -> course::Event, told: &mut i64, now: i64) {
        let Some(course_id) = self.course_id.clone() else { return };
        if now > *told {
            let amount = (now - *told).unsigned_abs();
            let movement = course::Movement { time: self.time, amount, currency: self.currency };
            self.fx.send::<Course>(&course_id, &event(movement));
            *told = now;
        }
    }
}

impl Payment {
    /// Tells what has become of the payment since it stood at `was`; `fact` is the outside's word
    /// that caused it, if one did.
    pub(super) fn announce(
        &mut self,
        was: Option<Standing>,
        fact: Option<&Fact>,
        turn: &mut Turn<'_>,
    ) {
        if self.contradiction().is_some() {
            return;
        }
        let moved = turn.moved.take();
        let Some(mut herald) = self.herald(fact, turn) else { return };
        self.announce_money(moved.as_ref(), &mut herald);
        let now = self.standing();
        let before = was.map(|was| was.status);
        let amount = self
            .facts
            .requested
            .unwrap_or_else(|| self.authorized().max(fact.map_or(0, |fact| fact.amount)));
        let reason = self.failure();
        let detail = Detail { reason: reason.as_deref(), ..Detail::default() };
        if now.status == Status::Failed && before != Some(Status::Failed) {
            herald.publish(FAILED, amount, detail);
            herald.notify(Topic::PaymentFailed, amount);
        }
        if now.status == Status::Canceled && before != Some(Status::Canceled) {
            herald.publish(CANCELED, amount, detail);
        }
        let acts = Some(Substatus::RequiresAction);
        if now.substatus == acts && was.and_then(|was| was.substatus) != acts {
            herald.notify(Topic::PaymentActionRequired, amount);
        }
    }

    fn herald<'a>(&self, fact: Option<&Fact>, turn: &'a mut Turn<'_>) -> Option<Herald<'a>> {
        let id =
            self.own.as_ref().map(|own| &own.id).or_else(|| fact.map(|fact| &fact.payment_id))?;
        Some(Herald {
            payment_id: id.clone(),
            user_id: self.facts.user_id.clone()?,
            course_id: self.facts.course_id.clone(),
            order_id: self.facts.order_id.clone(),
            currency: self.facts.currency?,
            time: turn.time,
            outward: fact.is_none(),
            fx: turn.fx,
        })
    }

    /// A movement is published with its id if it is all that is new; else without one, as the total
    /// so far.
    fn announce_money(&mut self, moved: Option<&Moved>, herald: &mut Herald<'_>) {
        if let Some(requested) = self.facts.requested.filter(|_| !self.told.created) {
            self.told.created = true;
            herald.publish(CREATED, requested, Detail::default());
        }
        let (hold, captured, refunded) = (self.hold(), self.captured(), self.refunded());
        let told = &mut self.told;
        if hold > told.authorized {
            told.authorized = hold;
            herald.publish(AUTHORIZED, hold, Detail::default());
        }
        if captured > told.captured {
            let now = captured - told.captured;
            told.captured = captured;
            let capture_id = match moved {
                Some(Moved::Captured(id, amount)) if *amount == now => Some(id.as_str()),
                _ => None,
            };
            let amount = if capture_id.is_some() { now } else { captured };
            herald.publish(CAPTURED, amount, Detail { capture_id, ..Detail::default() });
            herald.notify(Topic::PaymentCaptured, now);
        }
        herald.revenue(course::Event::Captured, &mut told.course_captured, captured);
        if refunded > captured {
            // The capture is still on its way; both are told when it is here.
            return;
        }
        if refunded > told.refunded {
            let now = refunded - told.refunded;
            told.refunded = refunded;
            let refund_id = match moved {
                Some(Moved::Refunded(id, amount)) if *amount == now => Some(id.as_str()),
                _ => None,
            };
            let amount = if refund_id.is_some() { now } else { refunded };
            herald.publish(REFUNDED, amount, Detail { refund_id, ..Detail::default() });
            herald.notify(Topic::PaymentRefunded, now);
        }
        herald.revenue(course::Event::Refunded, &mut told.course_refunded, refunded);
    }
}
