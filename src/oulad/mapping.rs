//! Rows → events: dates, references between the tables, and the order of it all.
//!
//! | in the tables | event | its time |
//! |---|---|---|
//! | a registration | `learning.enrollment.created` | its day, or the presentation's first if it has none |
//! | a day of unregistration | `learning.enrollment.canceled` | that day |
//! | Pass, Distinction | `learning.course.completed` | start + length of the presentation |
//! | Fail | `learning.enrollment.failed` | start + length of the presentation |
//! | Withdrawn | none: the unregistration says it, where there is one | |
//! | a submission | `learning.assignment.submitted` | its day |
//!
//! Days count from the start of a presentation, whose date is not published: by convention 1
//! February for `B` and 1 October for `J`. What is *not* here: reading files, and JSON. Invariant:
//! a row makes its events or one reject, never neither or both.

use super::event::{Event, What};
use super::tables::{Assessment, FinalResult, Info, Registration, Row, Submission, Table, Tables};
use crate::feed::Reject;
use actors::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Days that make sense: about five years to either side of a presentation's start.
const DAYS: std::ops::RangeInclusive<i32> = -2_000..=2_000;
const DAY_MS: i64 = 86_400_000;

/// The presentations, by name.
#[derive(Default)]
pub(super) struct Terms {
    names: Vec<String>,
    starts: Vec<Timestamp>,
    lengths_days: Vec<i32>,
}

impl Terms {
    /// The course's id, such as `AAA-2013J`.
    pub(super) fn name(&self, term: u16) -> &str {
        &self.names[usize::from(term)]
    }

    fn find(&self, module: &str, presentation: &str) -> Result<u16, String> {
        let name = format!("{module}-{presentation}");
        self.names
            .binary_search(&name)
            .map(|term| term as u16)
            .map_err(|_| format!("the course {name} is not in the table courses"))
    }

    fn day(&self, term: u16, day: i32) -> Result<Timestamp, String> {
        if !DAYS.contains(&day) {
            return Err(format!(
                "the day {day} is not between {} and {}",
                DAYS.start(),
                DAYS.end()
            ));
        }
        Ok(self.starts[usize::from(term)].plus_ms(i64::from(day) * DAY_MS))
    }
}

/// Maps all rows; those that don't fit go to `rejects`.
pub(super) fn map(tables: Tables, rejects: &mut Vec<Reject>) -> (Terms, Vec<Event>) {
    let terms = terms(&tables, rejects);
    let mut mapping = Mapping { terms, assessments: BTreeMap::new(), events: Vec::new() };
    mapping.each(tables.assessments, rejects, |m, row| m.assessment(&row));
    let mut seen = BTreeSet::new();
    mapping.each(tables.registrations, rejects, |m, row| m.registration(&row, &mut seen));
    let mut seen = BTreeSet::new();
    mapping.each(tables.infos, rejects, |m, row| m.result(&row, &mut seen));
    let mut seen = BTreeSet::new();
    mapping.each(tables.submissions, rejects, |m, row| m.submission(&row, &mut seen));
    let Mapping { terms, mut events, .. } = mapping;
    events.sort_by(|a, b| a.partial_cmp(b).expect("scores are finite"));
    (terms, events)
}

/// The presentations, sorted by name: a term's number must not depend on the order of the table.
fn terms(tables: &Tables, rejects: &mut Vec<Reject>) -> Terms {
    let mut sorted = BTreeMap::new();
    for Row { line, row } in &tables.courses.rows {
        let name = format!("{}-{}", row.code_module, row.code_presentation);
        let length_days = row.module_presentation_length;
        let fault = match start_of(&row.code_presentation) {
            None => Some(format!(
                "code_presentation: {:?} is not a year and B or J",
                row.code_presentation
            )),
            Some(_) if actors::id_fault(&name).is_some() => {
                Some("code_module: not acceptable as an id".into())
            }
            Some(_) if !(1..=*DAYS.end()).contains(&length_days) => {
                Some(format!("module_presentation_length: {length_days} days is not a length"))
            }
            Some(_) if sorted.len() > usize::from(u16::MAX) => Some("too many courses".into()),
            Some(_) if sorted.contains_key(&name) => Some("a second row for this course".into()),
            Some(start) => {
                sorted.insert(name, (start, length_days));
                None
            }
        };
        if let Some(reason) = fault {
            rejects.push(reject(&tables.courses.file, *line, reason));
        }
    }
    let mut terms = Terms::default();
    for (name, (start, length_days)) in sorted {
        terms.names.push(name);
        terms.starts.push(start);
        terms.lengths_days.push(length_days);
    }
    terms
}

/// `2013J` began on 1 October 2013, `2013B` on 1 February.
fn start_of(presentation: &str) -> Option<Timestamp> {
    let (year, letter) = presentation.split_at_checked(4)?;
    let year: u16 = year.bytes().all(|b| b.is_ascii_digit()).then(|| year.parse().ok())??;
    let month = match letter {
        "B" => "02",
        "J" => "10",
        _ => return None,
    };
    Timestamp::parse(&format!("{year:04}-{month}-01T00:00:00Z"))
}

fn reject(file: &str, line: u64, reason: String) -> Reject {
    Reject { file: Some(file.to_owned()), line, code: "validation".into(), reason }
}

struct Mapping {
    terms: Terms,
    /// Term and due day by assessment.
    assessments: BTreeMap<u32, (u16, Option<Timestamp>)>,
    events: Vec<Event>,
}

/// (term or assessment, student) pairs that have had their row.
type Seen = BTreeSet<(u32, u32)>;

impl Mapping {
    /// Runs `map` over each row; what it refuses is rejected, and leaves no event behind.
    fn each<T>(
        &mut self,
        table: Table<T>,
        rejects: &mut Vec<Reject>,
        mut map: impl FnMut(&mut Self, T) -> Result<(), String>,
    ) {
        for Row { line, row } in table.rows {
            let kept = self.events.len();
            if let Err(reason) = map(self, row) {
                self.events.truncate(kept);
                rejects.push(reject(&table.file, line, reason));
            }
        }
    }

    fn assessment(&mut self, row: &Assessment) -> Result<(), String> {
        let term = self.terms.find(&row.code_module, &row.code_presentation)?;
        let due = row.date.map(|day| self.terms.day(term, day)).transpose()?;
        match self.assessments.insert(row.id_assessment, (term, due)) {
            None => Ok(()),
            Some(first) => {
                self.assessments.insert(row.id_assessment, first);
                Err(format!("a second row for assessment {}", row.id_assessment))
            }
        }
    }

    fn registration(&mut self, row: &Registration, seen: &mut Seen) -> Result<(), String> {
        let term = self.terms.find(&row.code_module, &row.code_presentation)?;
        once(seen, u32::from(term), row.id_student)?;
        let time = self.terms.day(term, row.date_registration.unwrap_or(0))?;
        self.push(time, What::Registered, term, row.id_student);
        if let Some(day) = row.date_unregistration {
            let time = self.terms.day(term, day)?;
            self.push(time, What::Unregistered, term, row.id_student);
        }
        Ok(())
    }

    fn result(&mut self, row: &Info, seen: &mut Seen) -> Result<(), String> {
        let term = self.terms.find(&row.code_module, &row.code_presentation)?;
        once(seen, u32::from(term), row.id_student)?;
        let what = match row.final_result {
            FinalResult::Pass | FinalResult::Distinction => What::Completed,
            FinalResult::Fail => What::Failed,
            FinalResult::Withdrawn => return Ok(()),
        };
        let time = self.terms.day(term, self.terms.lengths_days[usize::from(term)])?;
        self.push(time, what, term, row.id_student);
        Ok(())
    }

    fn submission(&mut self, row: &Submission, seen: &mut Seen) -> Result<(), String> {
        let assessment = row.id_assessment;
        let Some(&(term, due)) = self.assessments.get(&assessment) else {
            return Err(format!("the assessment {assessment} is not in the table assessments"));
        };
        once(seen, assessment, row.id_student)?;
        if let Some(score) = row.score
            && !(0.0..=100.0).contains(&score)
        {
            return Err(format!("score: {score} is not between 0 and 100"));
        }
        if row.is_banked > 1 {
            return Err(format!("is_banked: {} is neither 0 nor 1", row.is_banked));
        }
        let time = self.terms.day(term, row.date_submitted)?;
        self.events.push(Event {
            banked: row.is_banked == 1,
            score: row.score,
            due,
            ..Event::plain(time, What::Submitted { assessment }, term, row.id_student)
        });
        Ok(())
    }

    fn push(&mut self, time: Timestamp, what: What, term: u16, student: u32) {
        self.events.push(Event::plain(time, what, term, student));
    }
}

impl Event {
    fn plain(time: Timestamp, what: What, term: u16, student: u32) -> Self {
        Self { time, what, term, student, banked: false, score: None, due: None }
    }
}

fn once(seen: &mut Seen, of: u32, student: u32) -> Result<(), String> {
    if seen.insert((of, student)) {
        Ok(())
    } else {
        Err(format!("a second row for student {student} here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presentations_start_in_february_or_october() {
        let cases = [
            ("2013J", Some("2013-10-01T00:00:00.000Z")),
            ("2014B", Some("2014-02-01T00:00:00.000Z")),
            ("2014X", None),
            ("14B", None),
            ("+014B", None),
            ("2014", None),
            ("", None),
            ("éé4J", None),
        ];
        for (code, start) in cases {
            assert_eq!(start_of(code).map(|t| t.to_string()).as_deref(), start, "{code}");
        }
    }
}
