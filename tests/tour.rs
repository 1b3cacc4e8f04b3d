//! The tour of the README, word by word: every shell block runs, in one shell, against a real
//! process, and the JSON block below it is what it must answer.
//!
//! A JSON block is a pattern: it names what must be there, in lists from the first item on, and `…`
//! is anything. What is *not* here: anything the README does not say.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/process.rs"]
mod process;

use process::Process;
use serde_json::Value;
use std::process::Command;

/// How the README runs the binary, and where it expects it.
const CARGO_RUN: &str = "cargo run --release -- ";
const URL: &str = "http://127.0.0.1:8080";
/// Stands between the outputs of two blocks.
const MARK: &str = "=====next=====";

struct Block {
    script: String,
    /// What it must answer.
    pattern: Option<Value>,
}

/// The blocks of the tour, in order.
fn blocks(readme: &str) -> Vec<Block> {
    let (_, tour) = readme.split_once("\n## A tour of five minutes\n").expect("the tour is there");
    let (tour, _) = tour.split_once("\n## ").expect("something follows the tour");
    let mut blocks: Vec<Block> = Vec::new();
    let mut fences = tour.split("```").skip(1).step_by(2);
    for fence in &mut fences {
        let (language, text) = fence.split_once('\n').unwrap();
        match language {
            "sh" => blocks.push(Block { script: text.to_owned(), pattern: None }),
            "json" => {
                let pattern = serde_json::from_str(text).expect(text);
                let before = blocks.last_mut().expect("an answer stands below its question");
                assert!(before.pattern.replace(pattern).is_none(), "two answers in a row");
            }
            other => panic!("the tour has a block of {other:?}"),
        }
    }
    blocks
}

/// What of a pattern is not in a value, by path.
fn missing(pattern: &Value, value: &Value, path: &str) -> Vec<String> {
    match (pattern, value) {
        (Value::String(any), _) if any == "…" && !value.is_null() => Vec::new(),
        (Value::Object(pattern), Value::Object(value)) => pattern
            .iter()
            .flat_map(|(name, pattern)| {
                let value = value.get(name).unwrap_or(&Value::Null);
                missing(pattern, value, &format!("{path}/{name}"))
            })
            .collect(),
        (Value::Array(pattern), Value::Array(value)) if !pattern.is_empty() => pattern
            .iter()
            .enumerate()
            .flat_map(|(i, pattern)| {
                let value = value.get(i).unwrap_or(&Value::Null);
                missing(pattern, value, &format!("{path}/{i}"))
            })
            .collect(),
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => Vec::new(),
        _ if pattern == value => Vec::new(),
        _ => vec![format!("{path} should be {pattern}, not {value}")],
    }
}

#[test]
fn patterns_name_what_must_be_there() {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let cases = [
        (r#"{"a": 1, "b": "…"}"#, r#"{"a": 1.0, "b": [2], "c": 3}"#, 0),
        (r#"{"a": [{"b": 1}]}"#, r#"{"a": [{"b": 1}, {"b": 2}]}"#, 0),
        (r#"{"a": [{"b": 1}]}"#, r#"{"a": []}"#, 1),
        (r#"{"a": []}"#, r#"{"a": [1]}"#, 1),
        (r#"{"a": "…", "b": null}"#, r#"{"b": null}"#, 1),
        (r#"{"a": 1, "b": 2}"#, r#"{"a": 2, "b": 1}"#, 2),
    ];
    for (pattern, value, faults) in cases {
        let found = missing(&json(pattern), &json(value), "");
        assert_eq!(found.len(), faults, "{pattern} in {value}: {found:?}");
    }
}

#[test]
fn every_block_of_the_tour_does_what_the_readme_says() {
    let readme = include_str!("../README.md");
    let blocks = blocks(readme);
    let (first, rest) = blocks.split_first().unwrap();
    let serve = first.script.trim().strip_prefix(CARGO_RUN).expect("the tour begins with serve");
    let mut arguments = serve.split_whitespace();
    assert_eq!(arguments.next(), Some("serve"));
    let mut process = Process::start(&arguments.collect::<Vec<_>>());
    process.wait_ready();
    let binary = format!("{} ", process::binary());
    let mut script = String::from("set -euo pipefail\n");
    for block in rest {
        let here = block.script.replace(URL, &process.url).replace(CARGO_RUN, &binary);
        script.push_str(&here);
        script.push_str(&format!("\necho; echo {MARK}\n"));
    }
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "the tour failed: {errors}\nafter: {said}");
    let answers: Vec<&str> = said.split(MARK).collect();
    assert_eq!(answers.len(), rest.len() + 1);
    let mut faults = Vec::new();
    for (block, answer) in rest.iter().zip(answers) {
        assert!(!answer.trim().is_empty(), "no answer to {}", block.script);
        if let Some(pattern) = &block.pattern {
            let value: Value = serde_json::from_str(answer).expect(answer);
            let found = missing(pattern, &value, "");
            if !found.is_empty() {
                faults.push(format!("{}answered {answer}: {found:#?}", block.script));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(process.terminate().success());
}
