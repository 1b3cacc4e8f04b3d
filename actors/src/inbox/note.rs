//! What an inbox is told: one note, which becomes one item.
//!
//! What is *not* here: whether the item was read, and where it is kept.

use crate::currency::Currency;
use crate::words::{Key, Timestamp};
use serde::{Deserialize, Serialize};

/// One thing a user is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub topic: Topic,
}

/// What a user is told about, with what the item's `data` carries. Stored: variants are only appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Topic {
    /// `learning.enrollment.created`
    EnrollmentCreated(Key),
    /// `learning.enrollment.canceled`
    EnrollmentCanceled(Key),
    /// `learning.enrollment.completed`
    EnrollmentCompleted(Key),
    /// `learning.enrollment.failed`
    EnrollmentFailed(Key),
    /// `learning.course.completed`
    CourseCompleted(Key),
    /// `learning.lesson.completed`
    LessonCompleted {
        /// The course.
        course_id: Key,
        /// The lesson.
        lesson_id: Key,
    },
    /// `learning.assignment.graded`
    AssignmentGraded {
        /// The course.
        course_id: Key,
        /// The assignment.
        assignment_id: Key,
        /// In millionths.
        score: u64,
    },
    /// `commerce.order.placed`
    OrderPlaced(Key),
    /// `commerce.order.shipped`
    OrderShipped(Key),
    /// `commerce.order.canceled`
    OrderCanceled(Key),
    /// `commerce.payment.captured`
    PaymentCaptured(Payment),
    /// `commerce.payment.failed`
    PaymentFailed(Payment),
    /// `commerce.payment.refunded`
    PaymentRefunded(Payment),
    /// `commerce.payment.action_required`
    PaymentActionRequired(Payment),
    /// `identity.user.registered`
    UserRegistered,
}

/// What an item about a payment carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The payment.
    pub payment_id: Key,
    /// What this note is about, in minor units: of this capture or refund alone.
    pub amount: i64,
    /// Its currency.
    pub currency: Currency,
}
