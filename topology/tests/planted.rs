//! The planted bugs still fit the sources: each patch of `tests/planted` applies, one upon the
//! other, and is told of in `docs/testing.md`.
//!
//! That the simulation catches them is `scripts/planted`'s to show: it takes a build of its own.
//! What is *not* here: that build, and the plays.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// At least so many bugs are planted.
const BUGS_MIN: usize = 12;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Name and text of each patch, by name.
fn patches() -> BTreeMap<String, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planted");
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let patches = all.filter(|path| path.extension().is_some_and(|end| end == "patch"));
    let named = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    patches.map(named).collect()
}

/// What a hunk finds and what it leaves.
struct Hunk {
    file: String,
    old: String,
    new: String,
}

fn hunks(patch: &str) -> Vec<Hunk> {
    let (mut all, mut file) = (Vec::<Hunk>::new(), String::new());
    for line in patch.lines() {
        if let Some(path) = line.strip_prefix("+++ b/") {
            path.clone_into(&mut file);
        } else if line.starts_with("@@ ") {
            all.push(Hunk { file: file.clone(), old: String::new(), new: String::new() });
        } else if let (Some(hunk), false) = (all.last_mut(), line.starts_with("---")) {
            let (sign, text) = line.split_at(line.len().min(1));
            if sign != "+" {
                hunk.old.push_str(&format!("{text}\n"));
            }
            if sign != "-" {
                hunk.new.push_str(&format!("{text}\n"));
            }
        }
    }
    all
}

#[test]
fn every_planted_bug_fits_the_sources_and_is_told_of() {
    let patches = patches();
    assert!(patches.len() >= BUGS_MIN, "only {} bugs", patches.len());
    let told = fs::read_to_string(root().join("docs/testing.md")).unwrap();
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    for (name, patch) in &patches {
        assert!(told.contains(&format!("`{name}`")), "docs/testing.md does not tell of {name}");
        let switch = format!("actors::planted::is(\"{name}\")");
        assert!(patch.contains(&switch), "{name}.patch has no {switch}");
        for Hunk { file, old, new } in hunks(patch) {
            let read = || fs::read_to_string(root().join(&file)).unwrap();
            let text = sources.entry(file.clone()).or_insert_with(read);
            let places = text.matches(&old).count();
            assert_eq!(places, 1, "{name}.patch does not fit {file}: make it anew\n{old}");
            *text = text.replace(&old, &new);
        }
    }
}
