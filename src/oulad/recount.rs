//! The mapped events of the sample, counted again from their JSON lines and compared with the truth
//! tables that came with it.
//!
//! No engine takes part: what differs here is the mapping's fault, what differs only over HTTP is
//! not.

use super::Import;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

type Counts = BTreeMap<&'static str, i64>;

/// What one presentation's events add up to.
#[derive(Default)]
struct Course {
    counts: Counts,
    per_day: BTreeMap<String, (i64, i64)>,
}

struct Recount {
    lines: usize,
    ids: BTreeSet<String>,
    courses: BTreeMap<String, Course>,
    students: BTreeMap<String, Counts>,
    last_time: BTreeMap<String, String>,
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/oulad")
}

/// A truth table's rows, by column.
fn truth(table: &str) -> Vec<BTreeMap<String, String>> {
    let path = samples().join("truth").join(table);
    let bytes = std::fs::read(&path).unwrap();
    let bytes = if path.extension() == Some("zst".as_ref()) {
        zstd::decode_all(bytes.as_slice()).unwrap()
    } else {
        bytes
    };
    csv::Reader::from_reader(bytes.as_slice()).deserialize().map(Result::unwrap).collect()
}

fn course_of(row: &BTreeMap<String, String>) -> String {
    format!("{}-{}", row["code_module"], row["code_presentation"])
}

impl Recount {
    /// The sample's, counted once for all tests: it is a quarter of a million lines of JSON.
    fn of_samples() -> &'static Self {
        static RECOUNT: OnceLock<Recount> = OnceLock::new();
        RECOUNT.get_or_init(|| {
            let import = Import::open(&samples()).unwrap();
            assert!(import.rejects.is_empty());
            let recount = Self::of(&import);
            assert_eq!(recount.lines, import.len());
            recount
        })
    }

    fn of(import: &Import) -> Self {
        let mut recount = Self {
            lines: 0,
            ids: BTreeSet::new(),
            courses: BTreeMap::new(),
            students: BTreeMap::new(),
            last_time: BTreeMap::new(),
        };
        import.lines().for_each(|line| recount.add(&line));
        recount
    }

    fn add(&mut self, line: &str) {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        let (course, time) = (text(&event["data"]["course_id"]), text(&event["time"]));
        assert_eq!((&event["specversion"], &event["source"]), (&"1.0".into(), &"/oulad".into()));
        assert_eq!(text(&event["subject"]), course);
        assert!(self.ids.insert(text(&event["id"])), "the id {} stands there twice", event["id"]);
        let last = self.last_time.insert(course.clone(), time.clone()).unwrap_or_default();
        assert!(last <= time, "{course}: {time} comes after {last}");
        self.lines += 1;
        let of_course = self.courses.entry(course).or_default();
        let of_student = self.students.entry(text(&event["data"]["user_id"])).or_default();
        let mut count = |what, n| {
            *of_course.counts.entry(what).or_default() += n;
            *of_student.entry(what).or_default() += n;
        };
        let day = time.strip_suffix("T00:00:00.000Z").unwrap().to_owned();
        match text(&event["type"]).as_str() {
            "com.bellwether.learning.enrollment.created.v1" => {
                count("created", 1);
                of_course.per_day.entry(day).or_default().0 += 1;
            }
            "com.bellwether.learning.enrollment.canceled.v1" => {
                count("canceled", 1);
                of_course.per_day.entry(day).or_default().1 += 1;
            }
            "com.bellwether.learning.course.completed.v1" => count("completed", 1),
            "com.bellwether.learning.enrollment.failed.v1" => count("failed", 1),
            "com.bellwether.learning.assignment.submitted.v1" => {
                let data = &event["data"];
                count("submissions", 1);
                count("banked", i64::from(data["banked"] == Value::Bool(true)));
                count("scored", i64::from(!data["score"].is_null()));
                count("score_sum", data["score"].as_i64().unwrap_or(0));
                count("late", i64::from(data["due"].as_str().is_some_and(|due| *time > *due)));
            }
            other => panic!("no row makes {other}"),
        }
    }

    fn total(&self, what: &'static str) -> i64 {
        self.courses.values().filter_map(|course| course.counts.get(what)).sum()
    }
}

/// Compares columns of a truth table with counts; says each difference.
fn differences(
    counts: &Counts,
    row: &BTreeMap<String, String>,
    pairs: &[(&'static str, &str)],
) -> Vec<String> {
    let got = |what| counts.get(what).copied().unwrap_or(0);
    pairs
        .iter()
        .filter(|(what, column)| row[*column] != got(*what).to_string())
        .map(|(what, column)| format!("{row:?}: {column}, counted {}", got(*what)))
        .collect()
}

#[test]
fn the_sample_maps_to_exactly_what_the_truth_tables_say() {
    let recount = Recount::of_samples();
    let mut wrong = Vec::new();
    for row in truth("presentation_summary.csv") {
        let counts = &recount.courses[&course_of(&row)].counts;
        let pairs = [
            ("created", "enrolments"),
            ("canceled", "unregistrations"),
            ("completed", "completions"),
            ("failed", "fail"),
        ];
        wrong.extend(differences(counts, &row, &pairs));
    }
    for row in truth("presentation_scores.csv") {
        let counts = &recount.courses[&course_of(&row)].counts;
        let pairs = ["submissions", "scored", "score_sum", "late"].map(|name| (name, name));
        wrong.extend(differences(counts, &row, &pairs));
    }
    let students = truth("per_student.csv.zst");
    assert_eq!(students.len(), recount.students.len());
    for row in students {
        let counts = &recount.students[&row["id_student"]];
        let pairs = [
            ("created", "enrolments"),
            ("completed", "completions"),
            ("canceled", "unregistrations"),
            ("submissions", "submissions"),
            ("score_sum", "score_sum"),
            ("scored", "scored"),
        ];
        wrong.extend(differences(counts, &row, &pairs));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_days_equal_the_truth_table_and_the_dateless_stand_on_the_first() {
    let recount = Recount::of_samples();
    let missing: BTreeMap<String, i64> = truth("presentation_summary.csv")
        .iter()
        .map(|row| (course_of(row), row["registration_date_missing"].parse().unwrap()))
        .collect();
    let mut expected: BTreeMap<(String, String), (i64, i64)> = BTreeMap::new();
    for row in truth("enrolments_per_day.csv") {
        let (course, day) = (course_of(&row), date(&row["code_presentation"], &row["day"]));
        let counts = (row["enrolments"].parse().unwrap(), row["unregistrations"].parse().unwrap());
        expected.insert((course, day), counts);
    }
    for (course, n) in missing {
        let first = date(course.split_once('-').unwrap().1, "0");
        expected.entry((course, first)).or_default().0 += n;
    }
    expected.retain(|_, counts| *counts != (0, 0));
    let mut got = BTreeMap::new();
    for (course, counted) in &recount.courses {
        let days = counted.per_day.iter();
        got.extend(days.map(|(day, n)| ((course.clone(), day.clone()), *n)));
    }
    assert_eq!(got, expected);
}

/// The calendar date of a presentation's day, by way of jiff: the mapping adds milliseconds.
fn date(presentation: &str, day: &str) -> String {
    let month = if presentation.ends_with('B') { 2 } else { 10 };
    let start = jiff::civil::date(presentation[..4].parse().unwrap(), month, 1);
    let days: i64 = day.parse().unwrap();
    start.checked_add(jiff::Span::new().days(days)).unwrap().to_string()
}

#[test]
fn the_totals_are_those_of_the_publication() {
    let recount = Recount::of_samples();
    let totals: BTreeMap<String, String> = truth("totals.csv")
        .into_iter()
        .map(|mut row| (row.remove("metric").unwrap(), row.remove("value").unwrap()))
        .collect();
    let number = |metric: &str| totals[metric].parse::<i64>().unwrap();
    assert_eq!(recount.students.len() as i64, number("students"));
    assert_eq!(recount.total("created"), number("enrolments"));
    assert_eq!(recount.total("completed"), number("Pass") + number("Distinction"));
    assert_eq!(recount.total("failed"), number("Fail"));
    assert_eq!(recount.total("canceled"), number("unregistrations"));
    assert_eq!(recount.total("submissions"), number("submissions"));
    assert_eq!(recount.total("banked"), number("banked"));
    assert_eq!(recount.total("scored"), number("submissions") - number("score_missing"));
    assert_eq!(recount.total("score_sum"), number("score_sum"));
}

#[test]
fn the_lines_do_not_depend_on_the_order_of_the_tables_rows() {
    let dir = tempfile::tempdir().unwrap();
    let tables =
        ["courses", "assessments", "studentRegistration", "studentInfo", "studentAssessment"];
    for table in tables {
        let packed = std::fs::read(samples().join(format!("{table}.csv.zst"))).unwrap();
        let text = String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
        let (header, rows) = text.split_once('\n').unwrap();
        let mut turned: Vec<&str> = rows.lines().collect();
        turned.reverse();
        let text = format!("{header}\n{}\n", turned.join("\n"));
        std::fs::write(dir.path().join(format!("{table}.csv")), text).unwrap();
    }
    let [packed, turned] = [samples().as_path(), dir.path()].map(|dir| Import::open(dir).unwrap());
    assert!(packed.lines().eq(turned.lines()));
}

#[test]
fn a_row_that_fits_no_other_table_is_rejected_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let tables = [
        ("courses", "code_module,code_presentation,module_presentation_length\nAAA,2013J,268\n"),
        ("assessments", "code_module,code_presentation,id_assessment,date\nAAA,2013J,1,19\n"),
        (
            "studentRegistration",
            "code_module,code_presentation,id_student,date_registration,date_unregistration\n\
             AAA,2013J,1,-159,\nBBB,2013J,1,-53,\nAAA,2013J,1,3,\nAAA,2013J,2,3,99999\n",
        ),
        (
            "studentInfo",
            "code_module,code_presentation,id_student,final_result\nAAA,2013J,1,Pass\n",
        ),
        (
            "studentAssessment",
            "id_assessment,id_student,date_submitted,is_banked,score\n\
             1,1,18,0,78\n2,1,18,0,78\n1,2,18,0,101\n1,3,18,2,\n1,4,18,1,\n",
        ),
    ];
    for (table, text) in tables {
        std::fs::write(dir.path().join(format!("{table}.csv")), text).unwrap();
    }
    let import = Import::open(dir.path()).unwrap();
    assert_eq!(import.len(), 4);
    let said: Vec<_> = import
        .rejects
        .iter()
        .map(|r| format!("{}:{} {}", r.file.as_deref().unwrap(), r.line, r.reason))
        .collect();
    expect_test::expect![[r"
        studentRegistration.csv:3 the course BBB-2013J is not in the table courses
        studentRegistration.csv:4 a second row for student 1 here
        studentRegistration.csv:5 the day 99999 is not between -2000 and 2000
        studentAssessment.csv:3 the assessment 2 is not in the table assessments
        studentAssessment.csv:4 score: 101 is not between 0 and 100
        studentAssessment.csv:5 is_banked: 2 is neither 0 nor 1"]]
    .assert_eq(&said.join("\n"));
}
