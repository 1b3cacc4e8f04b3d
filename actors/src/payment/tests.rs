//! A bench for one payment: what it is told, what it answers, what it asks for, step by step.
//!
//! Every step checks what holds always: a refused or ignored event leaves the bytes as they were,
//! head and page keep their limits, and money is never captured or refunded beyond what is there.

mod bodies;
mod commands;
mod golden;
mod outside;
mod random;

use super::gateway::{Answer, Ask, Request};
use super::*;
use crate::course;
use crate::currency::Currency;
use crate::effects::Effect;
use crate::inbox;
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(super) const START: Timestamp = Timestamp(1_795_000_000_000);

/// One step of a table.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Tell(Event),
    /// Time passes.
    Pass(i64),
}

#[derive(Default)]
pub(super) struct Bench {
    pub(super) payment: Payment,
    pub(super) pages: BTreeMap<u32, Page>,
    pub(super) passed_ms: i64,
    pub(super) position: u64,
    pub(super) effects: Vec<Effect>,
}

impl Bench {
    pub(super) fn tell(&mut self, event: Event) -> Outcome {
        let before = crate::codec::encode(&self.payment);
        let number = self.payment.page(&event).expect("every event touches a page");
        let page = self.pages.entry(number).or_default();
        let page_before = page.clone();
        let mut fx = Effects::new(START.plus_ms(self.passed_ms), self.position);
        self.position += 1;
        let outcome = self.payment.apply(Some(page), event, &mut fx);
        let after = crate::codec::encode(&self.payment);
        if outcome == Outcome::Applied {
            self.effects = fx.take();
        } else {
            assert_eq!(
                (before, &page_before),
                (after.clone(), &*page),
                "unchanged when {outcome:?}"
            );
            self.effects.clear();
        }
        self.payment = crate::codec::decode(&after).expect("a head");
        assert!(after.len() <= 2_048, "a head of {} bytes", after.len());
        let page_len = crate::codec::encode(page).len();
        assert!(page_len <= 4_096, "a page of {page_len} bytes");
        self.hold_limits();
        outcome
    }

    fn hold_limits(&self) {
        let payment = &self.payment;
        if payment.contradiction().is_none() {
            assert!(payment.captured() <= payment.authorized());
            assert!(payment.capturable() >= 0);
            assert!(payment.refundable() >= 0);
        }
    }

    fn line(&self, outcome: &Outcome) -> String {
        let payment = &self.payment;
        let mut line = match outcome {
            Outcome::Applied => String::new(),
            Outcome::Ignored => "ignored; ".into(),
            Outcome::Rejected(reason) => format!("REJECTED {reason}; "),
        };
        if !payment.exists() {
            return line + "nothing";
        }
        let view = payment.view("pay_1").expect("it exists");
        let _ = write!(line, "{}", view.status.as_str());
        if let Some(substatus) = view.substatus {
            let _ = write!(line, "/{}", substatus.as_str());
        }
        let amounts = (view.authorized, view.captured, view.refunded);
        let _ = write!(line, " a/c/r {}/{}/{}", amounts.0, amounts.1, amounts.2);
        let _ = write!(line, " left {}/{}", view.capturable, view.refundable);
        if let Some(failure) = view.failure {
            let _ = write!(line, " ({})", failure.reason);
        }
        for effect in &self.effects {
            let _ = write!(line, "\n      > {}", shown(effect));
        }
        line
    }
}

fn shown(effect: &Effect) -> String {
    match effect {
        Effect::Send { kind: "inbox", key, payload } => {
            let event: inbox::Event = crate::codec::decode(payload).expect("an inbox event");
            let inbox::Event::Notify(note) = event else { panic!("{event:?}") };
            match note.topic {
                inbox::Topic::PaymentCaptured(p) => format!("inbox/{key} captured {}", p.amount),
                inbox::Topic::PaymentRefunded(p) => format!("inbox/{key} refunded {}", p.amount),
                inbox::Topic::PaymentFailed(p) => format!("inbox/{key} failed {}", p.amount),
                inbox::Topic::PaymentActionRequired(p) => {
                    format!("inbox/{key} action required {}", p.amount)
                }
                other => panic!("{other:?}"),
            }
        }
        Effect::Send { key, payload, .. } => {
            match crate::codec::decode(payload).expect("a course event") {
                course::Event::Captured(m) => format!("course/{key} captured {}", m.amount),
                course::Event::Refunded(m) => format!("course/{key} refunded {}", m.amount),
                other => panic!("{other:?}"),
            }
        }
        Effect::At { due, .. } => format!("at +{} h", (due.0 - START.0) / 3_600_000),
        Effect::Deliver(delivery) => {
            let request = Request::decode(&delivery.body).expect("a request");
            let what = match request.ask {
                Ask::Charge { action, .. } => format!("charge {action:?}"),
                Ask::Authorize { action, .. } => format!("authorize {action:?}"),
                Ask::Capture { authorization } => format!("capture of {authorization}"),
                Ask::Cancel { authorization } => format!("cancel of {authorization}"),
                Ask::Refund => "refund".into(),
            };
            format!("gateway #{} {what} {}", request.seq, request.amount)
        }
        Effect::Publish(publication) => {
            let data: serde_json::Value =
                serde_json::from_str(&publication.data).expect("data are JSON");
            let kind = publication.event_type.rsplit('.').nth(1).expect("a type has an action");
            let mut line = format!("publish {kind} {}", data["amount"]);
            for detail in ["capture_id", "refund_id", "reason"] {
                if let Some(text) = data[detail].as_str() {
                    let _ = write!(line, ", {detail} {text}");
                }
            }
            line + if publication.outward { "" } else { ", inward" }
        }
    }
}

/// Runs the steps and compares what is seen after each.
pub(super) fn check(steps: &[Step], expected: &expect_test::Expect) {
    check_after(&[], steps, expected);
}

/// Runs `first` unseen, then the steps, and compares what is seen after each.
pub(super) fn check_after(first: &[Step], steps: &[Step], expected: &expect_test::Expect) {
    let mut bench = Bench::default();
    let mut text = String::new();
    for (at, step) in first.iter().chain(steps).enumerate() {
        match step {
            Step::Pass(ms) => bench.passed_ms += ms,
            Step::Tell(event) => {
                let outcome = bench.tell(event.clone());
                let line = bench.line(&outcome);
                if at >= first.len() {
                    let _ = writeln!(text, "{}: {line}", told(event));
                }
            }
        }
    }
    expected.assert_eq(&text);
}

fn told(event: &Event) -> String {
    match event {
        Event::Create(_) => "create".into(),
        Event::Confirm(_) => "confirm".into(),
        Event::Capture(amount) => format!("capture {amount:?}"),
        Event::Cancel => "cancel".into(),
        Event::Refund(amount) => format!("refund {amount:?}"),
        Event::Fact(fact) => format!("{} {} {:?}", fact.kind.as_str(), fact.amount, fact.movement),
        Event::Gateway { seq, answer: Some(answer) } => format!("#{seq} {answer:?}"),
        Event::Gateway { seq, answer: None } => format!("#{seq} lost"),
        Event::Lapse { .. } => "timer".into(),
    }
}

pub(super) fn euro() -> Currency {
    Currency::parse("EUR").expect("EUR")
}

pub(super) fn new_payment(capture: CaptureMode, method: Option<Token>) -> Create {
    Create {
        id: "pay_1".into(),
        user_id: "u-1".into(),
        order_id: Some("o-1".into()),
        course_id: Some("c-1".into()),
        amount: 1_000,
        currency: euro(),
        method,
        capture,
        confirm: true,
        description: None,
        metadata: "{}".into(),
    }
}

pub(super) fn create(capture: CaptureMode) -> Step {
    Step::Tell(Event::Create(Box::new(new_payment(capture, Some(Token::Visa)))))
}

pub(super) fn confirm(method: Option<Token>, action: Option<gateway::PayerAction>) -> Step {
    Step::Tell(Event::Confirm(Confirm { method, action }))
}

pub(super) fn capture(amount: i64) -> Step {
    Step::Tell(Event::Capture(Some(amount)))
}

pub(super) fn refund(amount: i64) -> Step {
    Step::Tell(Event::Refund(Some(amount)))
}

pub(super) fn cancel() -> Step {
    Step::Tell(Event::Cancel)
}

pub(super) fn answer(seq: u32, answer: Answer) -> Step {
    Step::Tell(Event::Gateway { seq, answer: Some(answer) })
}

pub(super) fn lost(seq: u32) -> Step {
    Step::Tell(Event::Gateway { seq, answer: None })
}

pub(super) fn timer() -> Step {
    Step::Tell(Event::Lapse { due: START })
}

pub(super) fn captured(id: &str, amount: i64) -> Answer {
    Answer::Captured { id: id.into(), amount }
}

pub(super) fn refunded(id: &str, amount: i64) -> Answer {
    Answer::Refunded { id: id.into(), amount }
}

pub(super) fn authorized(amount: i64) -> Answer {
    Answer::Authorized { reference: "auth_1".into(), amount }
}

pub(super) fn a_fact(kind: FactKind, amount: i64, movement: Option<&str>) -> Fact {
    Fact {
        kind,
        payment_id: "pay_1".into(),
        time: START,
        user_id: "u-1".into(),
        order_id: Some("o-1".into()),
        course_id: Some("c-1".into()),
        amount,
        currency: euro(),
        movement: movement.map(Key::new),
        reason: None,
    }
}

pub(super) fn fact(kind: FactKind, amount: i64, movement: Option<&str>) -> Step {
    Step::Tell(Event::Fact(Box::new(a_fact(kind, amount, movement))))
}
