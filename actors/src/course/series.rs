//! A course over time: one metric, in days, weeks or months of UTC.
//!
//! A bucket belongs to the answer if its start is within `from` (inclusive) and `to` (exclusive),
//! and then it is whole. What is *not* here: dates as text. Invariant: an answer looks at no more
//! days than the course has lived, and at no more than [`BUCKETS_MAX`] buckets.

use super::Course;
use super::page::{Column, PAGE_DAYS, Page, page_number};
use crate::answer::Shown;
use crate::civil::{DAY_MS, date_of, days_of};
use crate::currency::Currency;
use crate::pages::Pages;
use crate::words::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeStruct};

/// The most buckets between `from` and `to`.
pub const BUCKETS_MAX: u64 = 4_000;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Of what.
    pub metric: Metric,
    /// In which steps.
    pub bucket: Bucket,
    /// The first time at which a bucket may start; from the course's first event if none.
    pub from: Option<Timestamp>,
    /// The first time at which none may start any more; to the course's last event if none.
    pub to: Option<Timestamp>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Enrollments created.
    Enrollments,
    /// Enrollments canceled.
    Cancellations,
    /// Enrollments and courses completed.
    Completions,
    /// Enrollments failed.
    Failures,
    /// Assignments submitted.
    Submissions,
    /// Money captured in this currency, in minor units; refunds are not taken off.
    Revenue(Currency),
}

impl Metric {
    /// A metric by its name; revenue needs a currency.
    pub fn parse(name: &str, currency: Option<Currency>) -> Option<Self> {
        match name {
            "enrollments" => Some(Self::Enrollments),
            "cancellations" => Some(Self::Cancellations),
            "completions" => Some(Self::Completions),
            "failures" => Some(Self::Failures),
            "submissions" => Some(Self::Submissions),
            "revenue" => currency.map(Self::Revenue),
            _ => None,
        }
    }

    fn column(self) -> Column {
        match self {
            Self::Enrollments => Column::Enrollments,
            Self::Cancellations => Column::Cancellations,
            Self::Completions => Column::Completions,
            Self::Failures => Column::Failures,
            Self::Submissions => Column::Submissions,
            Self::Revenue(_) => Column::Revenue,
        }
    }
}

/// A step in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// From midnight to midnight.
    Day,
    /// From Monday on.
    Week,
    /// From the first on.
    Month,
}

impl Bucket {
    /// A bucket by its name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            "month" => Some(Self::Month),
            _ => None,
        }
    }

    /// The number of the bucket that a day is in; they are numbered without gaps.
    fn of(self, day: i64) -> i64 {
        match self {
            Self::Day => day,
            // 1970-01-01 was a Thursday: the Monday of its week was day -3.
            Self::Week => (day + 3).div_euclid(7),
            Self::Month => {
                let (year, month, _) = date_of(day);
                year * 12 + month - 1
            }
        }
    }

    /// The first day of a bucket.
    fn first_day(self, number: i64) -> i64 {
        match self {
            Self::Day => number,
            Self::Week => number * 7 - 3,
            Self::Month => days_of(number.div_euclid(12), number.rem_euclid(12) + 1, 1),
        }
    }

    /// The number of the first bucket that starts at this time or later.
    fn from(self, time: Timestamp) -> i64 {
        let number = self.of(time.day());
        let start = self.first_day(number) * DAY_MS;
        number + i64::from(start < time.0)
    }
}

/// One bucket that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When it starts.
    pub start: Timestamp,
    /// What is counted in it.
    pub value: u64,
}

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("point", 2)?;
        out.serialize_field("start", &Shown(self.start))?;
        out.serialize_field("value", &self.value)?;
        out.end()
    }
}

/// More buckets were asked for than one answer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there are {buckets} buckets between from and to, at most {BUCKETS_MAX} are answered at once"
)]
pub struct TooManyBuckets {
    /// So many are between `from` and `to`.
    pub buckets: u64,
}

pub(super) fn series(
    course: &Course,
    query: &Query,
    pages: &mut Pages<'_, Page>,
) -> Result<Vec<Point>, TooManyBuckets> {
    let bucket = query.bucket;
    let lived = course.span.map(|(first, last)| (first.day(), last.day()));
    let default = lived.map_or((0, 0), |(first, last)| (bucket.of(first), bucket.of(last) + 1));
    let from = query.from.map_or(default.0, |from| bucket.from(from));
    let to = query.to.map_or(default.1, |to| bucket.from(to));
    let buckets = (to - from).max(0) as u64;
    if buckets > BUCKETS_MAX {
        return Err(TooManyBuckets { buckets });
    }
    let (Some(chain), Some((first, last))) = (chain(course, query.metric), lived) else {
        return Ok(Vec::new());
    };
    let mut points = Vec::new();
    let mut day = first.max(bucket.first_day(from));
    let end = (last + 1).min(bucket.first_day(to));
    while day < end {
        let page_end = end.min((day.div_euclid(PAGE_DAYS) + 1) * PAGE_DAYS);
        pages.with(page_number(chain, day), |page| {
            for day in day..page_end {
                let start = Timestamp(bucket.first_day(bucket.of(day)) * DAY_MS);
                add(&mut points, start, page.get(day, query.metric.column()));
            }
        });
        day = page_end;
    }
    Ok(points)
}

/// Days come in order: a bucket is either the last one or new.
fn add(points: &mut Vec<Point>, start: Timestamp, value: u64) {
    match points.last_mut() {
        _ if value == 0 => {}
        Some(last) if last.start == start => last.value += value,
        _ => points.push(Point { start, value }),
    }
}

/// The chain of pages that a metric is in; `None` if nothing of it was ever counted.
fn chain(course: &Course, metric: Metric) -> Option<u32> {
    let Metric::Revenue(currency) = metric else { return Some(0) };
    let place = course.revenue.iter().position(|revenue| revenue.currency == currency)?;
    Some(place as u32 + 1)
}
