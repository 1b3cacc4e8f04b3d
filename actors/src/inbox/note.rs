//! What an inbox is told: one note, which becomes one item.
//!
//! [`Topic`] is the list of what people are told about; from which domain events, says
//! [`Topic::of`]. What is *not* here: the words a person reads for it (`text`), whether the item
//! was read, and where it is kept.

use crate::currency::Currency;
use crate::event::{DomainEvent, EventType, Unfit};
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

/// What a user is told about, with what the item's `data` carries. Stored: variants are only
/// appended.
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

impl Topic {
    /// The type of the item: canonical, without reverse DNS and version.
    pub fn name(&self) -> &'static str {
        match self {
            Self::EnrollmentCreated(_) => "learning.enrollment.created",
            Self::EnrollmentCanceled(_) => "learning.enrollment.canceled",
            Self::EnrollmentCompleted(_) => "learning.enrollment.completed",
            Self::EnrollmentFailed(_) => "learning.enrollment.failed",
            Self::CourseCompleted(_) => "learning.course.completed",
            Self::LessonCompleted { .. } => "learning.lesson.completed",
            Self::AssignmentGraded { .. } => "learning.assignment.graded",
            Self::OrderPlaced(_) => "commerce.order.placed",
            Self::OrderShipped(_) => "commerce.order.shipped",
            Self::OrderCanceled(_) => "commerce.order.canceled",
            Self::PaymentCaptured(_) => "commerce.payment.captured",
            Self::PaymentFailed(_) => "commerce.payment.failed",
            Self::PaymentRefunded(_) => "commerce.payment.refunded",
            Self::PaymentActionRequired(_) => "commerce.payment.action_required",
            Self::UserRegistered => "identity.user.registered",
        }
    }

    /// What the event tells the user it concerns. `None` if it tells nobody's inbox: payments tell
    /// theirs themselves.
    ///
    /// # Errors
    /// The event is one of ours, but lacks what its item needs.
    pub fn of(event: &DomainEvent<'_>) -> Result<Option<Self>, Unfit> {
        let EventType::Known(name) = event.event_type else { return Ok(None) };
        let data = &event.data;
        data.sound()?;
        Ok(Some(match name {
            "learning.enrollment.created" => Self::EnrollmentCreated(data.course()?.into()),
            "learning.enrollment.canceled" => Self::EnrollmentCanceled(data.course()?.into()),
            "learning.enrollment.completed" => Self::EnrollmentCompleted(data.course()?.into()),
            "learning.enrollment.failed" => Self::EnrollmentFailed(data.course()?.into()),
            "learning.course.completed" => Self::CourseCompleted(data.course()?.into()),
            "learning.lesson.completed" => Self::LessonCompleted {
                course_id: data.course()?.into(),
                lesson_id: data.lesson()?.into(),
            },
            "learning.assignment.graded" => Self::AssignmentGraded {
                course_id: data.course()?.into(),
                assignment_id: data.assignment()?.into(),
                score: data.score()?,
            },
            "commerce.order.placed" => Self::OrderPlaced(data.order()?.into()),
            "commerce.order.shipped" => Self::OrderShipped(data.order()?.into()),
            "commerce.order.canceled" => Self::OrderCanceled(data.order()?.into()),
            "identity.user.registered" => Self::UserRegistered,
            _ => return Ok(None),
        }))
    }

    /// At most so many bytes are needed to store it: a tag, and each id with its length in front.
    pub(super) fn bytes_max(&self) -> usize {
        let id = |key: &Key| key.len() + 3;
        1 + match self {
            Self::EnrollmentCreated(key)
            | Self::EnrollmentCanceled(key)
            | Self::EnrollmentCompleted(key)
            | Self::EnrollmentFailed(key)
            | Self::CourseCompleted(key)
            | Self::OrderPlaced(key)
            | Self::OrderShipped(key)
            | Self::OrderCanceled(key) => id(key),
            Self::LessonCompleted { course_id, lesson_id } => id(course_id) + id(lesson_id),
            Self::AssignmentGraded { course_id, assignment_id, score: _ } => {
                id(course_id) + id(assignment_id) + 9
            }
            Self::PaymentCaptured(payment)
            | Self::PaymentFailed(payment)
            | Self::PaymentRefunded(payment)
            | Self::PaymentActionRequired(payment) => id(&payment.payment_id) + 9 + 4,
            Self::UserRegistered => 0,
        }
    }
}
