//! The report on a course, as its reader sees it.
//!
//! What is *not* here: the counting. Invariant: everything is exact but rates and means, which are
//! rounded once, half away from zero, to 6 decimals, and null where they mean nothing.

use super::{Course, Revenue};
use crate::answer::{Millionths, ONE, Shown};
use crate::currency::Currency;
use crate::words::Timestamp;
use serde::Serialize;

/// All totals of a course.
#[derive(Serialize)]
pub struct Report {
    course: String,
    enrollments: Enrollments,
    completion_rate: Option<Millionths>,
    lessons_completed: u64,
    submissions: Submissions,
    revenue: Vec<Money>,
    first_at: Option<Shown<Timestamp>>,
    last_at: Option<Shown<Timestamp>>,
}

#[derive(Serialize)]
struct Enrollments {
    created: u64,
    canceled: u64,
    completed: u64,
    failed: u64,
    active: u64,
}

#[derive(Serialize)]
struct Submissions {
    count: u64,
    scored: u64,
    score_sum: Millionths,
    score_min: Option<Millionths>,
    score_max: Option<Millionths>,
    score_mean: Option<Millionths>,
    late: u64,
}

#[derive(Serialize)]
struct Money {
    currency: Currency,
    gross: u64,
    refunded: u64,
    /// Below zero where more went back than came in.
    net: i128,
    payments: u64,
}

impl Report {
    pub(super) fn new(course: &Course, key: &str) -> Self {
        let mut revenue: Vec<_> = course.revenue.iter().map(Money::new).collect();
        revenue.sort_by_key(|money| money.currency);
        let ended = course.canceled + course.completed + course.failed;
        let completed = Millionths(u128::from(course.completed) * ONE);
        Self {
            course: key.to_owned(),
            enrollments: Enrollments {
                created: course.created,
                canceled: course.canceled,
                completed: course.completed,
                failed: course.failed,
                active: course.created.saturating_sub(ended),
            },
            completion_rate: Millionths::ratio(completed, course.created),
            lessons_completed: course.lessons_completed,
            submissions: Submissions::new(course),
            revenue,
            first_at: course.span.map(|(first, _)| Shown(first)),
            last_at: course.span.map(|(_, last)| Shown(last)),
        }
    }
}

impl Submissions {
    fn new(course: &Course) -> Self {
        let scores = &course.scores;
        let of_any = |score: u64| (scores.count > 0).then_some(Millionths(score.into()));
        Self {
            count: course.submissions,
            scored: scores.count,
            score_sum: Millionths(scores.sum),
            score_min: of_any(scores.min),
            score_max: of_any(scores.max),
            score_mean: Millionths::ratio(Millionths(scores.sum), scores.count),
            late: course.late,
        }
    }
}

impl Money {
    fn new(revenue: &Revenue) -> Self {
        Self {
            currency: revenue.currency,
            gross: revenue.gross,
            refunded: revenue.refunded,
            net: i128::from(revenue.gross) - i128::from(revenue.refunded),
            payments: revenue.payments,
        }
    }
}
