//! What comes back: the gateway's answers, timers, and money that arrives too late.
//!
//! An answer counts only if its request is the operation in flight or a refund under way, so a
//! repeat changes nothing. A lost answer leaves the reservation where it is: the request is asked
//! again under the same id. What is *not* here: who is told about it (`tell.rs`).

use super::fact::FactKind;
use super::facts::Contradiction;
use super::gateway::{Answer, Reason};
use super::history::Why;
use super::{End, Event, Moved, Op, OpKind, Payment, Phase, Status, Turn};
use crate::entity::Outcome;
use crate::words::Timestamp;

impl Payment {
    /// Takes the gateway's answer to the request `seq`; none means that it was lost.
    pub(super) fn settle(
        &mut self,
        seq: u32,
        answer: Option<Answer>,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        let Some(own) = self.own.as_deref() else { return Outcome::Ignored };
        let was = self.standing_now();
        let op = own.op.filter(|op| op.seq == seq);
        let refund = own.refunds.iter().position(|refund| refund.seq == seq);
        let settled = match (op, refund) {
            (Some(op), _) => self.settle_op(op, answer, turn),
            (None, Some(at)) => self.settle_refund(at, answer, turn),
            (None, None) => None,
        };
        let Some((why, amount)) = settled else { return Outcome::Ignored };
        self.note(turn, was, why, amount);
        self.announce(was, None, turn);
        self.lapse(turn.time, turn);
        self.compensate(turn);
        Outcome::Applied
    }

    /// None if the answer is no news.
    fn settle_op(
        &mut self,
        op: Op,
        answer: Option<Answer>,
        turn: &mut Turn<'_>,
    ) -> Option<(Why, Option<i64>)> {
        let Some(phase) = waiting(answer.as_ref()) else {
            self.own_mut().op = None;
            return Some(self.op_ended(op, answer?, turn));
        };
        self.own_mut().op = Some(Op { phase, ..op });
        (op.phase != phase).then_some((phase.why(), None))
    }

    fn settle_refund(
        &mut self,
        at: usize,
        answer: Option<Answer>,
        turn: &mut Turn<'_>,
    ) -> Option<(Why, Option<i64>)> {
        let Some(phase) = waiting(answer.as_ref()) else {
            return Some(self.refund_ended(at, answer?, turn));
        };
        let refund = &mut self.own_mut().refunds[at];
        let news = refund.phase != phase;
        refund.phase = phase;
        news.then_some((phase.why(), Some(refund.amount)))
    }

    fn op_ended(&mut self, op: Op, answer: Answer, turn: &mut Turn<'_>) -> (Why, Option<i64>) {
        match (op.kind, answer) {
            (OpKind::Confirm | OpKind::Capture(_), Answer::Captured { id, amount }) => {
                if matches!(op.kind, OpKind::Capture(asked) if asked != amount) {
                    self.facts.contradict(Contradiction::Answer);
                }
                self.facts.captured(&id, amount);
                turn.moved = Some(Moved::Captured(id, amount));
                (Why::Captured, Some(amount))
            }
            (OpKind::Confirm, Answer::Authorized { reference, amount }) => {
                let due = self.own_mut().held(reference, amount, turn.time);
                turn.fx.at::<Self>(due, &Event::Lapse { due });
                (Why::Authorized, Some(amount))
            }
            (OpKind::Confirm, Answer::ActionRequired) => {
                self.own_mut().action_required = true;
                (Why::ActionRequired, None)
            }
            (kind, Answer::AlreadyCaptured { total }) => {
                self.facts.captures.at_least(total);
                if kind == OpKind::Cancel {
                    self.release(Reason::Canceled);
                }
                (Why::Captured, Some(total))
            }
            (OpKind::Cancel, Answer::Voided) => {
                let released = self.capturable();
                self.release(Reason::Canceled);
                (Why::Voided, Some(released))
            }
            (kind, Answer::Declined(reason)) => {
                self.refused(kind, reason);
                (Why::Declined(reason), None)
            }
            (kind, Answer::Refused(reason)) => {
                self.refused(kind, reason);
                (Why::Refused(reason), None)
            }
            _ => {
                self.facts.contradict(Contradiction::Answer);
                (Why::Unfit, None)
            }
        }
    }

    /// The gateway will not: a confirmation has failed; a capture leaves the hold as it was, unless
    /// that is gone.
    fn refused(&mut self, kind: OpKind, reason: Reason) {
        match kind {
            OpKind::Confirm => self.own_mut().end = Some(End::Failed(reason)),
            OpKind::Capture(_) if reason == Reason::HoldGone => {
                self.release(Reason::ExpiredOnCapture);
            }
            OpKind::Cancel if reason == Reason::HoldGone => self.release(Reason::Canceled),
            OpKind::Capture(_) | OpKind::Cancel => self.own_mut().error = Some(reason),
        }
    }

    /// What is held and not captured is no longer held. Without money, that is the end.
    fn release(&mut self, reason: Reason) {
        let nothing = self.captured() == 0;
        let own = self.own_mut();
        if nothing {
            own.end = Some(End::Canceled(reason));
        } else {
            own.released = Some(reason);
        }
    }

    fn refund_ended(
        &mut self,
        at: usize,
        answer: Answer,
        turn: &mut Turn<'_>,
    ) -> (Why, Option<i64>) {
        let asked = self.own_mut().refunds.remove(at).amount;
        match answer {
            Answer::Refunded { id, amount } => {
                if amount != asked {
                    self.facts.contradict(Contradiction::Answer);
                }
                self.facts.refunded(&id, amount);
                turn.moved = Some(Moved::Refunded(id, amount));
                (Why::Refunded, Some(amount))
            }
            Answer::Declined(reason) | Answer::Refused(reason) => {
                let owed = self.owed() > 0;
                let own = self.own_mut();
                own.error = Some(reason);
                own.stuck |= owed;
                (Why::Refused(reason), Some(asked))
            }
            _ => {
                self.facts.contradict(Contradiction::Answer);
                (Why::Unfit, Some(asked))
            }
        }
    }

    /// A timer has fired.
    pub(super) fn lapsed(&mut self, due: Timestamp, turn: &mut Turn<'_>) -> Outcome {
        if self.lapse(turn.time.max(due), turn) { Outcome::Applied } else { Outcome::Ignored }
    }

    /// Ends what has run out by `now`: the hold, or the time to finish. Waits for an operation in
    /// flight.
    pub(super) fn lapse(&mut self, now: Timestamp, turn: &mut Turn<'_>) -> bool {
        let Some(own) = self.own.as_deref() else { return false };
        let over = own.end.is_some() || own.released.is_some();
        if over || own.op.is_some() || !own.lapsed(now) {
            return false;
        }
        let was = self.standing_now();
        if own.hold.is_some() && self.capturable() > 0 {
            self.release(Reason::Expired);
        } else if own.hold.is_none() && self.status() == Status::Pending {
            self.own_mut().end = Some(End::Canceled(Reason::Expired));
        } else {
            return false;
        }
        self.note(turn, was, Why::Expired, None);
        self.announce(was, None, turn);
        true
    }

    /// A fact from outside may be the answer that the gateway said it would give later.
    pub(super) fn settle_pending_by(&mut self, kind: FactKind) {
        let Some(own) = self.own.as_deref_mut() else { return };
        let Some(op) = own.op.filter(|op| op.phase == Phase::GatewayPending) else { return };
        let answered = match op.kind {
            OpKind::Confirm => {
                !matches!(kind, FactKind::Created | FactKind::Processing | FactKind::Refunded)
            }
            OpKind::Capture(_) => matches!(kind, FactKind::Captured | FactKind::Canceled),
            OpKind::Cancel => matches!(kind, FactKind::Canceled),
        };
        if answered {
            own.op = None;
        }
    }

    /// Sends money back that came after the payment was given up.
    pub(super) fn compensate(&mut self, turn: &mut Turn<'_>) {
        let owed = self.owed();
        if owed > 0 && self.refunding() == 0 && self.contradiction().is_none() {
            self.begin_refund(owed, Why::Compensation, turn);
        }
    }

    /// What was captured and not given back although the payment was given up.
    fn owed(&self) -> i64 {
        match self.own.as_ref().and_then(|own| own.end) {
            Some(End::Canceled(_)) => (self.captured() - self.refunded()).max(0),
            _ => 0,
        }
    }
}

/// How the request goes on waiting, if this is no definite answer.
fn waiting(answer: Option<&Answer>) -> Option<Phase> {
    match answer {
        None => Some(Phase::Unknown),
        Some(Answer::Processing) => Some(Phase::GatewayPending),
        Some(_) => None,
    }
}

impl Phase {
    fn why(self) -> Why {
        match self {
            Self::InFlight => Why::Confirm,
            Self::Unknown => Why::OutcomeUnknown,
            Self::GatewayPending => Why::GatewayProcessing,
        }
    }
}
