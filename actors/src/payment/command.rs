//! What people ask of a payment. Every command looks first and changes afterwards, so a refused one
//! changes nothing.
//!
//! Money is reserved here, before the gateway is asked: one operation at a time, and each refund
//! counts from the moment it is asked for. What is *not* here: what the gateway's answers do
//! (`settle.rs`).

use super::facts::{CAPTURES_MAX, Identity, REFUNDS_MAX};
use super::gateway::{Ask, PayerAction, Request, SINK, Token};
use super::history::Why;
use super::{
    AUTHORIZATION_MS, Action, CaptureMode, Confirm, Create, Event, Hold, Op, OpKind, Own, Payment,
    PendingRefund, Phase, Refusal, Substatus, Turn, UNFINISHED_MS,
};
use crate::effects::Delivery;
use crate::words::Timestamp;
use std::fmt::Write as _;

/// So many refunds can wait for the gateway at once.
const REFUNDS_PENDING_MAX: usize = 4;

impl Payment {
    pub(super) fn create(&mut self, create: Create, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        if self.own.is_some() {
            return Err("this payment exists already".into());
        }
        if self.facts.any() {
            return Err("a payment with this id is run by another system".into());
        }
        if let Some(fault) = create.check().first() {
            return Err(format!("{}: {}", fault.pointer, fault.detail).into());
        }
        let now = turn.time;
        self.created_at = now;
        self.facts.identify(&Identity {
            user_id: &create.user_id,
            order_id: create.order_id.as_ref(),
            course_id: create.course_id.as_ref(),
            currency: create.currency,
        });
        self.facts.request(create.amount);
        let begin = create.confirm && create.method.is_some();
        turn.page.description.clone_from(&create.description);
        self.own = Some(Box::new(Own::new(create, now)));
        self.note(turn, None, Why::Created, self.facts.requested);
        self.announce(None, None, turn);
        let due = now.plus_ms(UNFINISHED_MS);
        turn.fx.at::<Self>(due, &Event::Lapse { due });
        if begin {
            self.begin_confirm(None, turn);
        }
        Ok(())
    }

    pub(super) fn confirm(&mut self, confirm: Confirm, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        self.allow(Action::Confirm, turn)?;
        let own = self.own()?;
        let waits = self.standing().substatus == Some(Substatus::RequiresAction);
        match (waits, confirm.action, confirm.method) {
            (true, None, None) => {
                return Err(
                    "the payer has to act: confirm with an action, or with another method".into()
                );
            }
            (false, Some(_), _) => return Err("no action is required of the payer".into()),
            (_, Some(_), Some(_)) => {
                return Err("an action belongs to the method it was required for".into());
            }
            _ => {}
        }
        if confirm.method.is_none() && own.method.is_none() {
            return Err("a method is required".into());
        }
        let own = self.own_mut();
        own.method = confirm.method.or(own.method);
        self.begin_confirm(confirm.action, turn);
        Ok(())
    }

    fn begin_confirm(&mut self, action: Option<PayerAction>, turn: &mut Turn<'_>) {
        let was = self.standing_now();
        let amount = self.facts.requested.expect("a payment of ours has a requested amount");
        let own = self.own_mut();
        own.action_required = false;
        let token: Token = own.method.expect("a method was given before confirming");
        let ask = match own.capture {
            CaptureMode::Automatic => Ask::Charge { token, action },
            CaptureMode::Manual => Ask::Authorize { token, action },
        };
        self.begin(OpKind::Confirm, ask, amount, turn);
        self.note(turn, was, Why::Confirm, Some(amount));
    }

    pub(super) fn capture(
        &mut self,
        amount: Option<i64>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        self.allow(Action::Capture, turn)?;
        let left = self.capturable();
        let amount = within(amount, left, "captured")?;
        if self.facts.captures.len() >= CAPTURES_MAX {
            return Err(format!("a payment has at most {CAPTURES_MAX} captures").into());
        }
        let was = self.standing_now();
        let authorization = self.hold_of()?.reference.clone();
        self.own_mut().error = None;
        self.begin(OpKind::Capture(amount), Ask::Capture { authorization }, amount, turn);
        self.note(turn, was, Why::Capture, Some(amount));
        Ok(())
    }

    pub(super) fn cancel(&mut self, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        self.allow(Action::Cancel, turn)?;
        let was = self.standing_now();
        let Some(hold) = &self.own()?.hold else {
            self.own_mut().end = Some(super::End::Canceled(super::Reason::Canceled));
            self.note(turn, was, Why::Cancel, None);
            self.announce(was, None, turn);
            return Ok(());
        };
        let authorization = hold.reference.clone();
        let left = self.capturable();
        self.begin(OpKind::Cancel, Ask::Cancel { authorization }, left, turn);
        self.note(turn, was, Why::Cancel, Some(left));
        Ok(())
    }

    pub(super) fn refund(
        &mut self,
        amount: Option<i64>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        self.allow(Action::Refund, turn)?;
        let amount = within(amount, self.refundable(), "refunded")?;
        let pending = self.own()?.refunds.len();
        if pending >= REFUNDS_PENDING_MAX {
            return Err(format!("{pending} refunds are under way, the most at once").into());
        }
        if self.facts.refunds.len() + pending >= REFUNDS_MAX {
            return Err(format!("a payment has at most {REFUNDS_MAX} refunds").into());
        }
        self.own_mut().error = None;
        self.begin_refund(amount, Why::Refund, turn);
        Ok(())
    }

    /// Reserves the amount and asks the gateway to give it back.
    pub(super) fn begin_refund(&mut self, amount: i64, why: Why, turn: &mut Turn<'_>) {
        let was = self.standing_now();
        let seq = self.ask(Ask::Refund, amount, turn);
        self.own_mut().refunds.push(PendingRefund { seq, amount, phase: Phase::InFlight });
        self.note(turn, was, why, Some(amount));
    }

    fn begin(&mut self, kind: OpKind, ask: Ask, amount: i64, turn: &mut Turn<'_>) {
        let seq = self.ask(ask, amount, turn);
        self.own_mut().op = Some(Op { seq, kind, phase: Phase::InFlight });
    }

    fn ask(&mut self, ask: Ask, amount: i64, turn: &mut Turn<'_>) -> u32 {
        let currency = self.facts.currency.expect("a payment of ours has a currency");
        let own = self.own_mut();
        own.seq_last += 1;
        let request =
            Request { seq: own.seq_last, payment_id: own.id.clone(), amount, currency, ask };
        turn.fx.deliver(Delivery { sink: SINK.into(), body: request.encode() });
        request.seq
    }

    /// Whether this action may be asked for now.
    fn allow(&self, action: Action, turn: &Turn<'_>) -> Result<(), Refusal> {
        if !self.exists() {
            return Err("there is no such payment".into());
        }
        let own = self.own()?;
        let allowed = self.allowed_actions();
        if !allowed.contains(&action) {
            return Err(self.refuse(action, &allowed).into());
        }
        let refundable = action == Action::Refund;
        if !refundable && own.lapsed(turn.time) {
            return Err(format!("{} is not possible: its time has run out", action.as_str()).into());
        }
        Ok(())
    }

    fn refuse(&self, action: Action, allowed: &[Action]) -> String {
        let standing = self.standing();
        let mut text = format!(
            "{} is not possible while the payment is {}",
            action.as_str(),
            standing.status.as_str()
        );
        if let Some(substatus) = standing.substatus {
            let _ = write!(text, " ({})", substatus.as_str());
        }
        match allowed.split_first() {
            None => text.push_str("; nothing is possible now"),
            Some((first, rest)) => {
                let _ = write!(text, "; possible: {}", first.as_str());
                for action in rest {
                    let _ = write!(text, ", {}", action.as_str());
                }
            }
        }
        text
    }

    pub(super) fn own(&self) -> Result<&Own, Refusal> {
        self.own.as_deref().ok_or(Refusal::Borrowed("this payment is run by another system"))
    }

    /// For where it is clear that the payment is ours.
    pub(super) fn own_mut(&mut self) -> &mut Own {
        self.own.as_mut().expect("only payments of ours have operations")
    }

    fn hold_of(&self) -> Result<&Hold, Refusal> {
        self.own()?.hold.as_ref().ok_or(Refusal::Borrowed("nothing is held"))
    }
}

impl Own {
    fn new(create: Create, now: Timestamp) -> Self {
        Self {
            id: create.id,
            capture: create.capture,
            method: create.method,
            metadata: create.metadata,
            created_at: now,
            hold: None,
            action_required: false,
            released: None,
            end: None,
            op: None,
            refunds: Vec::new(),
            seq_last: 0,
            error: None,
            stuck: false,
        }
    }

    /// Whether the hold, or without one the time to finish, has run out at `now`.
    pub(super) fn lapsed(&self, now: Timestamp) -> bool {
        match &self.hold {
            Some(hold) => now >= hold.until,
            None => now >= self.created_at.plus_ms(UNFINISHED_MS),
        }
    }

    pub(super) fn held(
        &mut self,
        reference: crate::words::Key,
        amount: i64,
        now: Timestamp,
    ) -> Timestamp {
        let until = now.plus_ms(AUTHORIZATION_MS);
        self.hold = Some(Hold { amount, reference, until });
        until
    }
}

/// The amount asked for, or all that is left; never more, never nothing.
fn within(amount: Option<i64>, left: i64, done: &str) -> Result<i64, Refusal> {
    let amount = amount.unwrap_or(left);
    if amount <= 0 {
        Err(format!("{amount} cannot be {done}: an amount is at least 1").into())
    } else if amount > left {
        Err(format!("{amount} is more than the {left} that can be {done}").into())
    } else {
        Ok(amount)
    }
}
