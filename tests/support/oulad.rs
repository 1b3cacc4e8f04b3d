//! The OULAD tables, counted straight from their rows: what any import must come to.
//!
//! It shares nothing with the importer but the files. What is *not* here: HTTP.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One row, by column.
pub(crate) type Row = BTreeMap<String, String>;
/// Counts by day (`2013-10-01`).
pub(crate) type Days = BTreeMap<String, i64>;

/// What a course must report.
#[derive(Default)]
pub(crate) struct Course {
    /// By metric of the series.
    pub(crate) days: BTreeMap<&'static str, Days>,
}

/// What everything must come to.
pub(crate) struct Expected {
    pub(crate) courses: BTreeMap<String, Course>,
    /// Inbox items by type, for each user.
    pub(crate) inboxes: BTreeMap<String, BTreeMap<&'static str, i64>>,
}

pub(crate) fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/oulad")
}

/// A table below `dir`, packed or plain.
pub(crate) fn rows(path: &Path) -> Vec<Row> {
    let bytes = std::fs::read(path).unwrap();
    let packed = path.extension() == Some("zst".as_ref());
    let bytes = if packed { zstd::decode_all(bytes.as_slice()).unwrap() } else { bytes };
    csv::Reader::from_reader(bytes.as_slice()).deserialize().map(Result::unwrap).collect()
}

/// A truth table.
pub(crate) fn truth(name: &str) -> Vec<Row> {
    rows(&samples().join("truth").join(name))
}

/// The course's id.
pub(crate) fn course(row: &Row) -> String {
    format!("{}-{}", row["code_module"], row["code_presentation"])
}

/// The date of a presentation's day.
pub(crate) fn date(presentation: &str, day: i64) -> jiff::civil::Date {
    let month = if presentation.ends_with('B') { 2 } else { 10 };
    let start = jiff::civil::date(presentation[..4].parse().unwrap(), month, 1);
    start.checked_add(jiff::Span::new().days(day)).unwrap()
}

/// The same counts by week: weeks begin on Monday.
pub(crate) fn weeks(days: &Days) -> Days {
    let mut weeks = Days::new();
    for (day, count) in days {
        let day: jiff::civil::Date = day.parse().unwrap();
        let since_monday = i64::from(day.weekday().to_monday_zero_offset());
        let monday = day.checked_sub(jiff::Span::new().days(since_monday)).unwrap();
        *weeks.entry(monday.to_string()).or_default() += count;
    }
    weeks
}

impl Expected {
    /// Counts the tables; of `module` only, if one is named.
    pub(crate) fn count(module: Option<&str>) -> Self {
        let table = |name: &str| {
            let mut rows = rows(&samples().join(format!("{name}.csv.zst")));
            rows.retain(|row| {
                let of = row.get("code_module");
                of.is_none_or(|of| module.is_none_or(|module| module == of))
            });
            rows
        };
        let mut expected = Self { courses: BTreeMap::new(), inboxes: BTreeMap::new() };
        let mut lengths = BTreeMap::new();
        for row in table("courses") {
            let days: i64 = row["module_presentation_length"].parse().unwrap();
            lengths.insert(course(&row), days);
            expected.courses.insert(course(&row), Course::default());
        }
        for row in table("studentRegistration") {
            let day = row["date_registration"].parse().unwrap_or(0);
            expected.add(&row, day, "enrollments", Some("learning.enrollment.created"));
            if let Ok(day) = row["date_unregistration"].parse() {
                expected.add(&row, day, "cancellations", Some("learning.enrollment.canceled"));
            }
        }
        for row in table("studentInfo") {
            let end = lengths[&course(&row)];
            match row["final_result"].as_str() {
                "Pass" | "Distinction" => {
                    expected.add(&row, end, "completions", Some("learning.course.completed"));
                }
                "Fail" => expected.add(&row, end, "", Some("learning.enrollment.failed")),
                _ => {}
            }
        }
        let assessments: BTreeMap<String, Row> = table("assessments")
            .into_iter()
            .map(|row| (row["id_assessment"].clone(), row))
            .collect();
        for row in table("studentAssessment") {
            if let Some(assessment) = assessments.get(&row["id_assessment"]) {
                let mut of = assessment.clone();
                of.insert("id_student".into(), row["id_student"].clone());
                expected.add(&of, row["date_submitted"].parse().unwrap(), "submissions", None);
            }
        }
        expected
    }

    fn add(&mut self, row: &Row, day: i64, metric: &'static str, item: Option<&'static str>) {
        let of = self.courses.get_mut(&course(row)).unwrap();
        if !metric.is_empty() {
            let date = date(&row["code_presentation"], day).to_string();
            *of.days.entry(metric).or_default().entry(date).or_default() += 1;
        }
        if let Some(item) = item {
            let inbox = self.inboxes.entry(row["id_student"].clone()).or_default();
            *inbox.entry(item).or_default() += 1;
        }
    }
}
