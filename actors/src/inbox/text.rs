//! The words people read: a title and a text for each topic, in US English. One small table, twice.
//!
//! What is *not* here: other languages and templates of the operator's own. Invariant: nothing but
//! ids, scores and amounts from the event appears in a text.

use super::note::{Payment, Topic};
use crate::answer::Millionths;
use crate::currency::Money;
use std::fmt;

/// The title of an item.
pub(super) struct Title<'a>(pub(super) &'a Topic);

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Topic::EnrollmentCreated(course) => write!(f, "You are enrolled in {course}"),
            Topic::EnrollmentCanceled(course) => write!(f, "You have left {course}"),
            Topic::EnrollmentCompleted(course) => write!(f, "You have finished {course}"),
            Topic::EnrollmentFailed(course) => write!(f, "{course} did not work out this time"),
            Topic::CourseCompleted(course) => write!(f, "Congratulations, you completed {course}!"),
            Topic::LessonCompleted { lesson_id, .. } => write!(f, "Well done: {lesson_id}"),
            Topic::AssignmentGraded { assignment_id, .. } => {
                write!(f, "{assignment_id} has been graded")
            }
            Topic::OrderPlaced(order) => write!(f, "Thank you for your order {order}"),
            Topic::OrderShipped(order) => write!(f, "Order {order} is on its way"),
            Topic::OrderCanceled(order) => write!(f, "Order {order} was canceled"),
            Topic::PaymentCaptured(payment) => write!(f, "We received {}", money(payment)),
            Topic::PaymentFailed(payment) => {
                write!(f, "Your payment of {} failed", money(payment))
            }
            Topic::PaymentRefunded(payment) => write!(f, "We refunded {}", money(payment)),
            Topic::PaymentActionRequired(payment) => {
                write!(f, "Please confirm your payment of {}", money(payment))
            }
            Topic::UserRegistered => f.write_str("Welcome!"),
        }
    }
}

/// The text of an item.
pub(super) struct Body<'a>(pub(super) &'a Topic);

impl fmt::Display for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Topic::EnrollmentCreated(course) => {
                write!(f, "Your place in {course} is booked. You can start with the first lesson.")
            }
            Topic::EnrollmentCanceled(course) => {
                write!(f, "Your enrollment in {course} has been canceled. You are welcome back.")
            }
            Topic::EnrollmentCompleted(course) => {
                write!(f, "Your enrollment in {course} is complete. We hope you enjoyed it.")
            }
            Topic::EnrollmentFailed(course) => {
                write!(f, "You did not pass {course}. You can enroll again whenever you like.")
            }
            Topic::CourseCompleted(course) => {
                write!(f, "You have completed {course}. Take a moment to be proud of that.")
            }
            Topic::LessonCompleted { course_id, lesson_id } => {
                write!(f, "You have completed {lesson_id} of {course_id}. Keep going!")
            }
            Topic::AssignmentGraded { course_id, assignment_id, score } => {
                let score = Millionths(u128::from(*score));
                write!(f, "Your {assignment_id} in {course_id} was graded. Your score: {score}.")
            }
            Topic::OrderPlaced(order) => {
                write!(f, "We have received your order {order} and tell you as soon as it ships.")
            }
            Topic::OrderShipped(order) => {
                write!(f, "Your order {order} has left our warehouse and will be with you soon.")
            }
            Topic::OrderCanceled(order) => {
                write!(f, "Your order {order} was canceled. Nothing more will be sent.")
            }
            Topic::PaymentCaptured(payment) => write!(
                f,
                "Your payment {} of {} went through. Thank you!",
                payment.payment_id,
                money(payment)
            ),
            Topic::PaymentFailed(payment) => write!(
                f,
                "Your payment {} of {} did not go through. Please try another way to pay.",
                payment.payment_id,
                money(payment)
            ),
            Topic::PaymentRefunded(payment) => write!(
                f,
                "{} of your payment {} is on its way back to you.",
                money(payment),
                payment.payment_id
            ),
            Topic::PaymentActionRequired(payment) => write!(
                f,
                "Your bank asks you to confirm payment {} of {}.",
                payment.payment_id,
                money(payment)
            ),
            Topic::UserRegistered => {
                f.write_str("Your account is ready. Everything that concerns you will be here.")
            }
        }
    }
}

fn money(payment: &Payment) -> Money {
    Money { amount: payment.amount, currency: payment.currency }
}
