//! What a process must say over HTTP once it has a university's whole history, however that came
//! in: every report, series and inbox, compared with the truth tables.
//!
//! What is *not* here: counting the tables (`oulad.rs`), and how the history comes in.

use crate::oulad::{self, Days, Expected, Row};
use crate::process::{self, Process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The module that stands for all, where the whole would take too long.
fn module() -> Option<&'static str> {
    (!process::long_tests()).then_some("AAA")
}

/// The folder to import: the sample, or a part of it.
pub(crate) fn tables(scratch: &Path) -> PathBuf {
    let Some(module) = module() else { return oulad::samples() };
    let dir = scratch.join("tables");
    std::fs::create_dir(&dir).unwrap();
    let read = |name: &str| {
        let packed = std::fs::read(oulad::samples().join(format!("{name}.csv.zst"))).unwrap();
        String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap()
    };
    let is_ours = |line: &str| line.starts_with(&format!("{module},"));
    let assessments = read("assessments");
    let ours: Vec<&str> =
        assessments.lines().filter(|l| is_ours(l)).map(|l| l.split(',').nth(2).unwrap()).collect();
    for name in ["courses", "assessments", "studentRegistration", "studentInfo"] {
        let text = read(name);
        let kept = text.lines().enumerate().filter(|(n, line)| *n == 0 || is_ours(line));
        let kept: Vec<&str> = kept.map(|(_, line)| line).collect();
        std::fs::write(dir.join(format!("{name}.csv")), kept.join("\n")).unwrap();
    }
    let text = read("studentAssessment");
    let kept = text
        .lines()
        .enumerate()
        .filter(|(n, line)| *n == 0 || line.split(',').next().is_some_and(|id| ours.contains(&id)));
    let kept: Vec<&str> = kept.map(|(_, line)| line).collect();
    std::fs::write(dir.join("studentAssessment.csv"), kept.join("\n")).unwrap();
    dir
}

/// Everything that is not as it should be.
fn differences(process: &Process) -> Vec<String> {
    let expected = Expected::count(module());
    let ours = |row: &Row| module().is_none_or(|module| row["code_module"] == module);
    let mut wrong = Vec::new();
    for row in oulad::truth("presentation_summary.csv").iter().filter(|row| ours(row)) {
        wrong.extend(report_against_summary(process, row));
    }
    for row in oulad::truth("presentation_scores.csv").iter().filter(|row| ours(row)) {
        wrong.extend(report_against_scores(process, row));
    }
    for (course, expected) in &expected.courses {
        for (metric, days) in &expected.days {
            wrong.extend(series(process, course, metric, "day", days));
            wrong.extend(series(process, course, metric, "week", &oulad::weeks(days)));
        }
    }
    assert!(module().is_some() || expected.inboxes.len() == 28_785);
    for (user, items) in &expected.inboxes {
        let got = inbox(process, user);
        let expected: BTreeMap<String, i64> =
            items.iter().map(|(item, n)| ((*item).to_owned(), *n)).collect();
        if got != expected {
            wrong.push(format!("the inbox of {user} has {got:?}, not {expected:?}"));
        }
    }
    wrong
}

/// Compares numbers of a report with columns of a truth table, to 6 decimals.
fn compare(report: &Value, row: &Row, pairs: &[(&str, &str)]) -> Vec<String> {
    let differs = |(pointer, column): &&(&str, &str)| {
        let got = report.pointer(pointer).and_then(Value::as_f64);
        let expected: f64 = row[*column].parse().unwrap();
        got.is_none_or(|got| (got - expected).abs() > 1.5e-6)
    };
    let say = |(pointer, column): &(&str, &str)| {
        let got = report.pointer(pointer);
        format!("{}: {pointer} is {got:?}, {column} is {}", oulad::course(row), row[*column])
    };
    pairs.iter().filter(differs).map(say).collect()
}

fn report_against_summary(process: &Process, row: &Row) -> Vec<String> {
    let report = process.get(&format!("/api/v1/courses/{}/report", oulad::course(row)));
    let pairs = [
        ("/data/enrollments/created", "enrolments"),
        ("/data/enrollments/canceled", "unregistrations"),
        ("/data/enrollments/completed", "completions"),
        ("/data/enrollments/failed", "fail"),
        ("/data/completion_rate", "completion_rate"),
    ];
    compare(&report, row, &pairs)
}

fn report_against_scores(process: &Process, row: &Row) -> Vec<String> {
    let report = process.get(&format!("/api/v1/courses/{}/report", oulad::course(row)));
    let pairs = [
        ("/data/submissions/count", "submissions"),
        ("/data/submissions/scored", "scored"),
        ("/data/submissions/score_sum", "score_sum"),
        ("/data/submissions/score_mean", "score_mean"),
        ("/data/submissions/late", "late"),
    ];
    compare(&report, row, &pairs)
}

fn series(
    process: &Process,
    course: &str,
    metric: &str,
    bucket: &str,
    expected: &Days,
) -> Option<String> {
    let path = format!("/api/v1/courses/{course}/report/series?metric={metric}&bucket={bucket}");
    let answer = process.get(&path);
    let point = |point: &Value| {
        let start = point["start"].as_str().unwrap();
        (start[..10].to_owned(), point["value"].as_i64().unwrap())
    };
    let got: Days = answer["data"].as_array().unwrap().iter().map(point).collect();
    (got != *expected).then(|| format!("{path} has {got:?}, not {expected:?}"))
}

/// Counts an inbox's items by type, page by page.
fn inbox(process: &Process, user: &str) -> BTreeMap<String, i64> {
    let mut items = BTreeMap::new();
    let mut path = format!("/api/v1/users/{user}/inbox?limit=100");
    loop {
        let page = process.get(&path);
        let data = page["data"].as_array().unwrap();
        for item in data {
            *items.entry(item["type"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        let Some(next) = page["page"]["next"].as_str() else {
            assert_eq!(page["meta"]["total"], items.values().sum::<i64>(), "{user}");
            return items;
        };
        path = format!("/api/v1/users/{user}/inbox?limit=100&cursor={next}");
    }
}

pub(crate) fn assert_equal_to_the_truth(process: &Process) {
    let wrong = differences(process);
    let some: Vec<&String> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{} differences, such as {some:#?}", wrong.len());
}
