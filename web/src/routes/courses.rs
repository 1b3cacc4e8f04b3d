//! `/courses`: what a course's events add up to, as totals and over time.
//!
//! What is *not* here: any counting. The kind answers whole reports and whole series; here is only
//! which are asked for.

use super::lists::Views;
use crate::call::Call;
use crate::error::{Error, Fault};
use crate::query::fault;
use crate::reply::Reply;
use actors::course::{Bucket, Course, Metric, Query};
use actors::currency::Currency;
use actors::{Entity, KindId};

fn kind(call: &Call) -> Result<KindId, Error> {
    let kind = call.handle.kind(Course::KIND);
    kind.ok_or_else(|| Error::Internal("the table of kinds has no courses".to_owned()))
}

fn not_found(call: &Call) -> Error {
    Error::NotFound(format!("there is no course {}", call.id(0)))
}

/// `GET /courses`: the reports, by course.
pub(super) async fn list(call: Call) -> Result<Reply, Error> {
    Views { kind: kind(&call)?, tag: None, filters: &[], keep: &|_| true }.answer(&call).await
}

/// `GET /courses/{course}/report`
pub(super) async fn report(call: Call) -> Result<Reply, Error> {
    let read = call.view(kind(&call)?, call.id(0)).await?;
    match read.value {
        Some(report) => Ok(Reply::text(&report, read.position)),
        None => Err(not_found(&call)),
    }
}

/// `GET /courses/{course}/report/series`
pub(super) async fn series(call: Call) -> Result<Reply, Error> {
    let query = query(&call)?;
    let read = call.ask::<Course>(call.id(0), query).await?;
    match read.value {
        Some(Ok(points)) => Ok(Reply::data(&points, read.position)),
        Some(Err(too_many)) => {
            Err(Error::Validation(vec![Fault::new("query:from", too_many.to_string())]))
        }
        None => Err(not_found(&call)),
    }
}

fn query(call: &Call) -> Result<Query, Error> {
    let required = |name| match call.query.get(name) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(fault(name, "is required")),
        Err(error) => Err(error),
    };
    let (metric, bucket) = (required("metric")?, required("bucket")?);
    let currency = match call.query.get("currency")? {
        Some(code) => Some(
            Currency::parse(code)
                .ok_or_else(|| fault("currency", "must be an ISO 4217 code in upper case"))?,
        ),
        None => None,
    };
    if metric == "revenue" && currency.is_none() {
        return Err(fault("currency", "is required for revenue"));
    }
    let metric = Metric::parse(metric, currency).ok_or_else(|| {
        let known = "enrollments, cancellations, completions, submissions, revenue";
        fault("metric", &format!("must be one of {known}"))
    })?;
    let bucket =
        Bucket::parse(bucket).ok_or_else(|| fault("bucket", "must be one of day, week, month"))?;
    Ok(Query { metric, bucket, from: call.query.time("from")?, to: call.query.time("to")? })
}
