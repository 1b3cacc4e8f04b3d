//! One aggregate per course.

use crate::currency::Currency;
use crate::words::Timestamp;
use serde::{Deserialize, Serialize};

/// What a course is told. Stored: variants are only appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A learner has enrolled.
    Enrolled {
        /// When.
        time: Timestamp,
    },
    /// An enrollment was canceled.
    Canceled {
        /// When.
        time: Timestamp,
    },
    /// A learner has completed the course.
    Completed {
        /// When.
        time: Timestamp,
    },
    /// A learner has failed the course.
    Failed {
        /// When.
        time: Timestamp,
    },
    /// A learner has completed a lesson.
    LessonCompleted {
        /// When.
        time: Timestamp,
    },
    /// An assignment was submitted.
    Submitted {
        /// When.
        time: Timestamp,
        /// The score, in millionths, if it came with one.
        score: Option<u64>,
        /// Whether that was after it was due.
        late: bool,
    },
    /// An assignment was graded.
    Graded {
        /// When.
        time: Timestamp,
        /// In millionths.
        score: u64,
    },
    /// Money came in.
    Captured(Movement),
    /// Money went back.
    Refunded(Movement),
}

/// A movement of money, as the payment that moved it tells the course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// When.
    pub time: Timestamp,
    /// In minor units, 1 to 10^12: of this capture or refund alone.
    pub amount: u64,
    /// Of this currency.
    pub currency: Currency,
}
