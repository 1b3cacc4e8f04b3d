//! The rules of the house that no lint knows: lengths, first lines, who may import whom, and words
//! that must not stay.
//!
//! It reads the sources as text, so it is quick and needs no build of its own. What is *not* here:
//! what clippy and rustfmt check, and what the dependencies are (`dependencies.rs`).
//!
//! Invariant: every rule sees every Rust file of the workspace; a rule that sees none fails.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

use std::fs;
use std::path::{Path, PathBuf};

const LINE_COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
/// A test may hold its table of cases beside its code.
const TEST_LINES_MAX: usize = 120;

/// The crates, leftmost first: each may import those before it.
const LINE: [&str; 4] = ["actors", "state", "topology", "web"];

struct Source {
    /// Relative to the workspace, with forward slashes.
    name: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `dir` whose name ends so, in order.
fn files(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "bellwether-data" {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

fn sources(extension: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    files(root(), extension, &mut paths);
    let read = |path: PathBuf| Source {
        name: path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"),
        text: fs::read_to_string(&path).unwrap(),
    };
    paths.into_iter().map(read).collect()
}

/// Runs a rule over every Rust file; says all that it found.
fn check(rule: impl Fn(&Source, &mut Vec<String>)) {
    let sources = sources("rs");
    assert!(sources.len() > 20, "only {} files were found", sources.len());
    let mut faults = Vec::new();
    for source in &sources {
        rule(source, &mut faults);
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn lines_are_at_most_100_columns() {
    check(|source, faults| {
        let mut expected = false;
        for (number, line) in source.text.lines().enumerate() {
            // What a test expects stands as it is said, and a table's row or a link can't be
            // broken.
            expected |= line.contains("expect![[") || line.contains("r#\"");
            let text = line.trim_start();
            let whole = ["//! |", "/// |", "// |"].iter().any(|row| text.starts_with(row))
                || text.contains("://");
            if line.chars().count() > LINE_COLUMNS_MAX && !expected && !whole {
                faults.push(format!("{}:{} is longer", source.name, number + 1));
            }
            expected &= !(line.contains("]]") || line.contains("\"#"));
        }
    });
}

#[test]
fn files_are_at_most_500_lines_and_begin_by_saying_what_they_are_for() {
    check(|source, faults| {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{} has {lines} lines", source.name));
        }
        if !source.text.starts_with("//! ") {
            faults.push(format!("{} does not begin with //!", source.name));
        }
        if source.name.ends_with("/mod.rs") {
            faults.push(format!("{}: foo.rs and foo/, no mod.rs", source.name));
        }
    });
}

/// The name of the function that a line begins, if it begins one.
fn function(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let qualifier = |word: &str| {
        matches!(word, "const" | "async" | "unsafe" | "extern") || word.starts_with("pub")
    };
    let mut words = before.split_whitespace();
    // `pub(in a::b) fn` and the like are one word or two, but never anything else.
    words.all(|word| qualifier(word) || word.ends_with(')')).then(|| {
        let end = after.find(|c: char| !c.is_alphanumeric() && c != '_');
        &after[..end.unwrap_or(after.len())]
    })
}

/// Each function with its first and last line, from 0. Relies on rustfmt: a body ends where its
/// first line began.
fn functions(text: &str) -> Vec<(&str, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let head = |line: &&str| line.ends_with(['{', ';', '}']);
        let Some(head_lines) = lines[first..].iter().position(head) else { continue };
        let head_end = first + head_lines;
        if !lines[head_end].ends_with('{') {
            found.push((name, first, head_end));
            continue;
        }
        let end = format!("{indent}}}");
        let body = lines[head_end..].iter().position(|line| *line == end);
        found.push((name, first, head_end + body.expect("a body that begins ends")));
    }
    found
}

/// The line from which on everything is a test.
fn tests_begin(source: &Source) -> usize {
    if source.name.ends_with("tests.rs") || source.name.starts_with("tests/") {
        return 0;
    }
    let begins = |line: &str| line.trim() == "#[cfg(test)]";
    source.text.lines().position(begins).unwrap_or(usize::MAX)
}

#[test]
fn functions_are_at_most_70_lines() {
    let text =
        "fn a(\n) -> u8 {\n    1\n}\n\n    pub(crate) async fn b();\npub fn c() {}\n// fn d() {\n";
    assert_eq!(functions(text), [("a", 0, 3), ("b", 5, 5), ("c", 6, 6)]);
    let mut seen = 0;
    for source in sources("rs") {
        seen += functions(&source.text).len();
    }
    assert!(seen > 100, "only {seen} functions were found");
    check(|source, faults| {
        let tests = tests_begin(source);
        for (name, first, last) in functions(&source.text) {
            let lines = last - first + 1;
            let max = if first >= tests { TEST_LINES_MAX } else { FUNCTION_LINES_MAX };
            if lines > max {
                faults.push(format!("{}:{} {name} has {lines}", source.name, first + 1));
            }
        }
    });
}

#[test]
fn unfinished_work_and_places_of_one_machine_are_not_committed() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("db", "g!("),
        concat!("#[ig", "nore"),
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/w", "t/"),
        concat!("/tm", "p/"),
    ];
    let mut all = Vec::new();
    for extension in ["rs", "toml", "md", "sh", "yml"] {
        all.extend(sources(extension));
    }
    let mut faults = Vec::new();
    for source in all {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{}:{} has {word:?}", source.name, number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Each of these libraries is named in one room only.
const ROOMS: [(&str, &[&str]); 6] = [
    ("sled", &["state/src/store"]),
    ("bincode", &["actors/src/codec.rs"]),
    ("warp", &["web/"]),
    ("ractor", &["topology/"]),
    ("actix", &["topology/"]),
    ("rdkafka", &["topology/src/kafka"]),
];

/// Whether a line of code names a crate: `name::` not as the end of a longer word.
fn names_crate(line: &str, name: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let inside = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '.'));
        let after = &code[at + name.len()..];
        let used = code.contains("use ") && after.starts_with(';');
        !inside && (after.starts_with("::") || used)
    })
}

#[test]
fn each_library_is_named_in_one_room() {
    assert!(names_crate("let db = sled::open(path)?;", "sled"));
    assert!(names_crate("pub use warp;", "warp"));
    assert!(
        !names_crate("use crate::store::sled::Db;", "sled") && !names_crate("// warp::x", "warp")
    );
    check(|source, faults| {
        for (name, rooms) in ROOMS {
            let at_home = source.name == "tests/tidy.rs"
                || rooms.iter().any(|room| source.name.starts_with(room));
            for (number, line) in source.text.lines().enumerate() {
                if !at_home && names_crate(line, name) {
                    faults.push(format!("{}:{} names {name}", source.name, number + 1));
                }
            }
        }
    });
}

/// The files that may hold unsafe code: the compiler denies it everywhere, and these say otherwise.
/// One sets up the allocator, the other asks librdkafka what its wrapper does not.
const UNSAFE: [&str; 2] = ["src/allocator.rs", "topology/src/kafka/ffi.rs"];

#[test]
fn unsafe_code_stands_where_it_is_named() {
    let allows = concat!("allow(unsafe", "_code)");
    let allowing = |source: &Source| source.text.contains(allows);
    let mut all: Vec<_> = sources("rs").into_iter().filter(allowing).map(|s| s.name).collect();
    all.sort_unstable();
    assert_eq!(all, UNSAFE);
    for member in LINE.into_iter().chain(["benches", "."]) {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{member} has lints of its own");
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

/// The names in a manifest's sections of dependencies.
fn dependencies(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let table: toml::Table = text.parse().unwrap();
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| table.get(*section)?.as_table())
        .flat_map(|section| section.keys().cloned())
        .collect()
}

#[test]
fn a_crate_imports_only_what_stands_to_its_left() {
    for (place, name) in LINE.iter().enumerate() {
        let depends = dependencies(&root().join(name).join("Cargo.toml"));
        assert!(!depends.is_empty(), "{name} depends on nothing?");
        for other in &LINE[place..] {
            assert!(!depends.iter().any(|d| d == other), "{name} imports {other}");
        }
        assert!(!depends.iter().any(|d| d == "benches"), "{name} imports benches");
    }
}

#[test]
fn each_library_is_declared_in_its_crate() {
    let homes = ROOMS.map(|(name, rooms)| (name, rooms[0].split('/').next().unwrap()));
    for name in LINE.into_iter().chain(["benches", "."]) {
        let depends = dependencies(&root().join(name).join("Cargo.toml"));
        for (library, home) in homes {
            let here = depends.iter().any(|d| d == library);
            assert!(!here || home == name, "{name}/Cargo.toml has {library}, whose home is {home}");
        }
    }
}
