//! One aggregate per course: how many enrolled, finished and handed in, with which scores, and what
//! it earned.
//!
//! The head has the totals of the report; the days of the series are in pages ([`page`]). All of it
//! is counts and sums, exact, in whole millionths and minor units. The course keeps no memory per
//! learner: an event that says the same of the same learner again counts again, and a score counts
//! where it stands, in `submitted` or in `graded`. What is *not* here: whether money moved, which
//! the payment decides, and tells once.
//!
//! Invariant: the sum of a metric's days equals its total.

mod page;
mod report;
mod series;

pub use page::Page;
pub use report::Report;
pub use series::{BUCKETS_MAX, Bucket, Metric, Point, Query, TooManyBuckets};

use crate::currency::Currency;
use crate::effects::Effects;
use crate::entity::{Entity, Outcome, Tell};
use crate::event::{DomainEvent, EventType, Unfit};
use crate::pages::Pages;
use crate::words::Timestamp;
use page::{Column, page_number};
use serde::{Deserialize, Serialize};

/// A course's head knows at most so many currencies, which keeps it below 2 KiB. Movements in a
/// further one are rejected.
pub const CURRENCIES_MAX: usize = 64;

/// One course: the head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    created: u64,
    canceled: u64,
    completed: u64,
    failed: u64,
    lessons_completed: u64,
    submissions: u64,
    late: u64,
    scores: Scores,
    /// The earliest and the latest time of an event.
    span: Option<(Timestamp, Timestamp)>,
    /// In the order in which the currencies came: a currency's place is part of its pages' numbers.
    revenue: Vec<Revenue>,
}

/// Scores, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Scores {
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

/// What came in and went back in one currency, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Revenue {
    currency: Currency,
    gross: u64,
    refunded: u64,
    /// How many captures.
    payments: u64,
}

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

impl Event {
    fn time(&self) -> Timestamp {
        match *self {
            Self::Enrolled { time }
            | Self::Canceled { time }
            | Self::Completed { time }
            | Self::Failed { time }
            | Self::LessonCompleted { time }
            | Self::Submitted { time, .. }
            | Self::Graded { time, .. }
            | Self::Captured(Movement { time, .. })
            | Self::Refunded(Movement { time, .. }) => time,
        }
    }

    /// What it adds to its column.
    fn amount(&self) -> u64 {
        match self {
            Self::Captured(movement) => movement.amount,
            _ => 1,
        }
    }

    /// What a domain event tells the course it concerns, if anything.
    fn of(event: &DomainEvent<'_>) -> Result<Option<Self>, Unfit> {
        let EventType::Known(name) = event.event_type else { return Ok(None) };
        let (data, time) = (&event.data, event.time);
        Ok(Some(match name {
            "learning.enrollment.created" => Self::Enrolled { time },
            "learning.enrollment.canceled" => Self::Canceled { time },
            "learning.enrollment.completed" | "learning.course.completed" => {
                Self::Completed { time }
            }
            "learning.enrollment.failed" => Self::Failed { time },
            "learning.lesson.completed" => Self::LessonCompleted { time },
            "learning.assignment.submitted" => {
                data.assignment()?;
                let late = data.due.is_some_and(|due| time > due);
                Self::Submitted { time, score: data.score_if_any()?, late }
            }
            "learning.assignment.graded" => Self::Graded { time, score: data.score()? },
            _ => return Ok(None),
        }))
    }
}

impl Entity for Course {
    const KIND: &'static str = "course";
    type Event = Event;
    type Page = Page;
    type View = Report;
    type Query = Query;
    type Answer = Result<Vec<Point>, TooManyBuckets>;

    fn hear(event: &DomainEvent<'_>, tell: &mut Tell<'_, Self>) -> Result<(), Unfit> {
        if let Some(told) = Event::of(event)? {
            event.data.sound()?;
            event.data.user()?;
            tell.tell(event.data.course()?, &told);
        }
        Ok(())
    }

    fn page(&self, event: &Event) -> Option<u32> {
        let chain = match event {
            Event::Captured(movement) => self.chain_of(movement.currency)?,
            other => {
                Column::of(other)?;
                0
            }
        };
        Some(page_number(chain, event.time().day()))
    }

    fn apply(&mut self, page: Option<&mut Page>, event: Event, _fx: &mut Effects) -> Outcome {
        if let Event::Captured(movement) | Event::Refunded(movement) = &event
            && let Err(why) = self.book(movement, matches!(event, Event::Captured(_)))
        {
            return Outcome::Rejected(why.into());
        }
        self.count(&event);
        let (time, amount) = (event.time(), event.amount());
        self.span = Some(match self.span {
            None => (time, time),
            Some((first, last)) => (first.min(time), last.max(time)),
        });
        if let (Some(page), Some(column)) = (page, Column::of(&event)) {
            page.add(time.day(), column, amount);
        }
        Outcome::Applied
    }

    fn view(&self, key: &str) -> Report {
        Report::new(self, key)
    }

    fn ask(&self, _key: &str, query: Query, pages: &mut Pages<'_, Page>) -> Self::Answer {
        series::series(self, &query, pages)
    }
}

impl Course {
    /// The chain of pages that a currency's days are in, from 1; `None` if there is no room for it.
    fn chain_of(&self, currency: Currency) -> Option<u32> {
        let place = self.revenue.iter().position(|revenue| revenue.currency == currency);
        let place = place.unwrap_or(self.revenue.len());
        (place < CURRENCIES_MAX).then_some(place as u32 + 1)
    }

    /// Books a movement of money, or says why that cannot be and leaves all as it was.
    fn book(&mut self, movement: &Movement, captured: bool) -> Result<(), &'static str> {
        let chain = self.chain_of(movement.currency).ok_or("the course has too many currencies")?;
        let place = chain as usize - 1;
        let currency = movement.currency;
        let none = Revenue { currency, gross: 0, refunded: 0, payments: 0 };
        let mut revenue = self.revenue.get(place).copied().unwrap_or(none);
        let side = if captured { &mut revenue.gross } else { &mut revenue.refunded };
        let sum = side.checked_add(movement.amount);
        *side = sum.ok_or("the sum would pass what a course can count")?;
        revenue.payments += u64::from(captured);
        match self.revenue.get_mut(place) {
            Some(known) => *known = revenue,
            None => self.revenue.push(revenue),
        }
        Ok(())
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::Enrolled { .. } => self.created += 1,
            Event::Canceled { .. } => self.canceled += 1,
            Event::Completed { .. } => self.completed += 1,
            Event::Failed { .. } => self.failed += 1,
            Event::LessonCompleted { .. } => self.lessons_completed += 1,
            Event::Submitted { score, late, .. } => {
                self.submissions += 1;
                self.late += u64::from(*late);
                if let Some(score) = score {
                    self.scores.add(*score);
                }
            }
            Event::Graded { score, .. } => self.scores.add(*score),
            Event::Captured(_) | Event::Refunded(_) => {}
        }
    }
}

impl Scores {
    fn add(&mut self, score: u64) {
        let is_first = self.count == 0;
        self.min = if is_first { score } else { self.min.min(score) };
        self.max = if is_first { score } else { self.max.max(score) };
        self.count += 1;
        self.sum += u128::from(score);
    }
}

#[cfg(test)]
mod tests;
