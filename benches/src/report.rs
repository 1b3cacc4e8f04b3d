//! How figures are shown: a table for people, an object for machines; of several runs the medians.

use crate::engine;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Says on standard error what is being done: figures go to standard output.
pub(crate) fn progress(what: &str) {
    eprintln!("bench: {what}");
}

/// The median of each figure over several runs. A figure that a run does not have is not counted.
///
/// # Panics
/// There are no runs.
pub fn medians<F: Serialize>(runs: &[F]) -> Map<String, Value> {
    let objects: Vec<Map<String, Value>> = runs.iter().map(object).collect();
    let first = objects.first().expect("a bench runs at least once");
    let median = |key: &String| {
        let mut values: Vec<f64> = objects.iter().filter_map(|run| run[key].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        let value = values.get(values.len() / 2).map_or(Value::Null, |value| rounded(*value));
        (key.clone(), value)
    };
    first.keys().map(median).collect()
}

fn object<F: Serialize>(figures: &F) -> Map<String, Value> {
    match serde_json::to_value(figures) {
        Ok(Value::Object(map)) => map,
        other => panic!("figures are an object of numbers, not {other:?}"),
    }
}

/// Four digits behind the point, or none for what is large: more would only be noise.
fn rounded(value: f64) -> Value {
    if value.abs() >= 1_000.0 {
        return Value::from(value.round() as i64);
    }
    Value::from((value * 10_000.0).round() / 10_000.0)
}

/// The figures as a table: a line each, its name and its value.
pub fn table(title: &str, figures: &Map<String, Value>) -> String {
    let mut text = format!("{title}\n");
    let width = figures.keys().map(String::len).max().unwrap_or(0);
    for (name, value) in figures {
        let value = match value {
            Value::Null => "not measured".to_owned(),
            Value::Number(number) => readable(number.as_f64().unwrap_or(f64::NAN)),
            other => other.to_string(),
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name:width$}  {value:>16}");
    }
    text
}

/// Whole numbers in groups of three digits, others as they are.
fn readable(value: f64) -> String {
    if value.fract() != 0.0 {
        return format!("{value}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut out = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push('_');
        }
        out.push(digit);
    }
    out
}

/// What the plan of `bench engine` was, as a title.
pub fn engine_title(plan: &engine::Plan, runs: usize) -> String {
    let engine::Plan { events, users, workers, partitions, .. } = plan;
    format!(
        "engine beside ledger: {events} events, {users} users, {partitions} partitions, \
         {workers} workers, medians of {runs}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Two {
        a: f64,
        b: Option<f64>,
    }

    #[test]
    fn medians_are_of_each_figure_by_itself() {
        let runs =
            [Two { a: 3.0, b: None }, Two { a: 1.0, b: Some(0.123_456) }, Two { a: 2.0, b: None }];
        let medians = medians(&runs);
        assert_eq!(medians["a"], Value::from(2.0));
        assert_eq!(medians["b"], Value::from(0.1235));
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(readable(1_234_567.0), "1_234_567");
        assert_eq!(readable(-12.0), "-12");
        assert_eq!(readable(0.5), "0.5");
    }
}
