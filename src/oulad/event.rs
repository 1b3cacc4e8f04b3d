//! One mapped event, small enough that a quarter of a million stand in memory, and its one line of
//! CloudEvents JSON.
//!
//! What is *not* here: where it came from (`mapping`). Invariant: an event's id is unique among all
//! events of a folder and says which row it is, so that a person who finds it in a journal finds
//! the row.

use super::mapping::Terms;
use actors::Timestamp;
use serde::Serialize;

/// Where the events say they come from.
const SOURCE: &str = "/oulad";

/// What a row says happened. The order is that of events at the same time: nobody submits before
/// registering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Registered,
    Submitted {
        assessment: u32,
    },
    Unregistered,
    /// Pass and Distinction.
    Completed,
    Failed,
}

/// One event. The fields stand in the order the events do.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Event {
    pub(super) time: Timestamp,
    pub(super) what: What,
    /// Its place in [`Terms`], whose order is that of the courses' names.
    pub(super) term: u16,
    pub(super) student: u32,
    pub(super) banked: bool,
    pub(super) score: Option<f64>,
    pub(super) due: Option<Timestamp>,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'static str,
    #[serde(rename = "type")]
    type_text: &'static str,
    subject: &'a str,
    time: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    user_id: String,
    course_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    assignment_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<serde_json::Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    banked: bool,
}

impl Event {
    /// The event as one line of CloudEvents JSON.
    pub(super) fn line(&self, terms: &Terms) -> String {
        let course = terms.name(self.term);
        let student = self.student;
        let (type_text, id) = match self.what {
            What::Registered => {
                ("com.bellwether.learning.enrollment.created.v1", format!("reg-{course}-{student}"))
            }
            What::Unregistered => (
                "com.bellwether.learning.enrollment.canceled.v1",
                format!("unreg-{course}-{student}"),
            ),
            What::Completed => {
                ("com.bellwether.learning.course.completed.v1", format!("done-{course}-{student}"))
            }
            What::Failed => {
                ("com.bellwether.learning.enrollment.failed.v1", format!("fail-{course}-{student}"))
            }
            What::Submitted { assessment } => (
                "com.bellwether.learning.assignment.submitted.v1",
                format!("sub-{assessment}-{student}"),
            ),
        };
        let assignment_id = match self.what {
            What::Submitted { assessment } => Some(assessment.to_string()),
            _ => None,
        };
        let data = Data {
            user_id: student.to_string(),
            course_id: course,
            assignment_id,
            score: self.score.map(number),
            due: self.due.map(|due| due.to_string()),
            banked: self.banked,
        };
        let event = CloudEvent {
            specversion: "1.0",
            id,
            source: SOURCE,
            type_text,
            subject: course,
            time: self.time.to_string(),
            data,
        };
        serde_json::to_string(&event).expect("strings, numbers and booleans always serialize")
    }
}

/// A score as it stood in the table: whole ones without a fraction.
fn number(score: f64) -> serde_json::Number {
    if score.fract() == 0.0 {
        serde_json::Number::from(score as i64)
    } else {
        serde_json::Number::from_f64(score).expect("the mapping refuses scores that are not finite")
    }
}
