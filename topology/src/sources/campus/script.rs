//! What people do on the campus, step by step.
//!
//! A script is a table of [`ROUNDS`] steps; which one somebody follows in a cycle, chance decides.
//! Enrolling begins a course, and completing, canceling or failing ends it; an order and a payment
//! are for the course that comes next. What is *not* here: names and numbers.

/// Steps of a script.
pub(super) const ROUNDS: u64 = 16;

/// Something that somebody does, or that happens to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Registered,
    Ordered,
    Shipped,
    OrderCanceled,
    Created,
    Captured,
    PaymentFailed,
    Refunded,
    Enrolled,
    Lesson,
    /// Handed in, to be graded next.
    Submitted,
    /// Handed in with a score.
    Scored,
    Graded,
    Completed,
    Canceled,
    Failed,
}

use Step::{
    Canceled, Captured, Completed, Created, Enrolled, Failed, Graded, Lesson, OrderCanceled,
    Ordered, PaymentFailed, Refunded, Registered, Scored, Shipped, Submitted,
};

type Script = [Step; ROUNDS as usize];

/// Somebody new.
const NEWCOMER: Script = [
    Registered, Enrolled, Lesson, Scored, Completed, Ordered, Created, Captured, Enrolled, Lesson,
    Submitted, Graded, Lesson, Scored, Lesson, Completed,
];

/// Two free courses.
const LEARNER: Script = [
    Enrolled, Lesson, Scored, Completed, Enrolled, Lesson, Lesson, Submitted, Graded, Lesson,
    Scored, Lesson, Lesson, Submitted, Graded, Completed,
];

/// A course that is paid for, and a free one.
const BUYER: Script = [
    Ordered, Created, Captured, Enrolled, Shipped, Lesson, Submitted, Graded, Lesson, Completed,
    Enrolled, Lesson, Scored, Lesson, Lesson, Completed,
];

/// Somebody who wants their money back.
const LEAVER: Script = [
    Ordered,
    Created,
    Captured,
    Enrolled,
    Lesson,
    Refunded,
    OrderCanceled,
    Canceled,
    Enrolled,
    Lesson,
    Scored,
    Lesson,
    Submitted,
    Graded,
    Lesson,
    Completed,
];

/// Somebody whose card was declined.
const DECLINED: Script = [
    Ordered,
    Created,
    PaymentFailed,
    OrderCanceled,
    Enrolled,
    Lesson,
    Lesson,
    Scored,
    Lesson,
    Failed,
    Enrolled,
    Lesson,
    Scored,
    Lesson,
    Scored,
    Completed,
];

/// The step of a round, and the how-manieth course of the cycle it belongs to, from 0.
pub(super) fn step(chance: u64, cycle: u64, round: usize) -> (Step, u64) {
    let script = match chance >> 60 {
        0..=3 if cycle == 0 => &NEWCOMER,
        0..=9 => &LEARNER,
        10..=12 => &BUYER,
        13..=14 => &LEAVER,
        _ => &DECLINED,
    };
    let ended = script[..round].iter().filter(|step| matches!(step, Completed | Canceled | Failed));
    (script[round], ended.count() as u64)
}

impl Step {
    /// The type of its event, without reverse DNS and version.
    pub(super) fn event_type(self) -> &'static str {
        match self {
            Registered => "identity.user.registered",
            Ordered => "commerce.order.placed",
            Shipped => "commerce.order.shipped",
            OrderCanceled => "commerce.order.canceled",
            Created => "commerce.payment.created",
            Captured => "commerce.payment.captured",
            PaymentFailed => "commerce.payment.failed",
            Refunded => "commerce.payment.refunded",
            Enrolled => "learning.enrollment.created",
            Lesson => "learning.lesson.completed",
            Submitted | Scored => "learning.assignment.submitted",
            Graded => "learning.assignment.graded",
            Completed => "learning.course.completed",
            Canceled => "learning.enrollment.canceled",
            Failed => "learning.enrollment.failed",
        }
    }
}
