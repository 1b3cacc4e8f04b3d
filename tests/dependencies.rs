//! What the workspace is built from: pins, versions that must not come in, and licences.
//!
//! `deny.toml` says the same to `cargo deny`, with its advisories; this test needs neither a tool
//! nor the network, so that the rules hold in every `cargo test`. What is *not* here: who may
//! import what (`tidy.rs`).

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The versions of each package in `Cargo.lock`.
fn locked() -> BTreeMap<String, Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        versions.entry(text("name")).or_default().push(text("version"));
        if let Some(source) = package.get("source") {
            let source = source.as_str().unwrap();
            assert!(source.starts_with("registry+"), "{} comes from {source}", text("name"));
        }
    }
    assert!(versions.len() > 100, "only {} packages were found", versions.len());
    versions
}

#[test]
fn stored_formats_and_frameworks_are_pinned() {
    let locked = locked();
    let pins = [
        // sled's files are sled's; 1.0 has never left alpha.
        ("sled", "0.34.7"),
        // 3.0 is an empty tombstone, and what we stored must stay readable.
        ("bincode", "2.0.1"),
        ("warp", "0.4."),
        ("ractor", "0.16."),
        ("actix", "0.13."),
        // One server, one client, one version of the protocol.
        ("hyper", "1."),
        ("tokio", "1.53."),
    ];
    for (name, version) in pins {
        let found = locked.get(name).map(Vec::as_slice).unwrap_or_default();
        assert!(
            matches!(found, [only] if only.starts_with(version)),
            "{name} should be {version} alone, not {found:?}"
        );
    }
}

#[test]
fn nothing_brings_a_second_cryptography_or_a_system_library() {
    let locked = locked();
    for name in ["openssl", "openssl-sys", "ring", "native-tls", "aws-lc-sys", "async-std"] {
        assert!(!locked.contains_key(name), "{name} came in");
    }
}

/// Licences we may ship under; each licence of a package is one of them, or offers one as a choice.
const LICENCES: [&str; 9] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether an SPDX expression can be kept. `/` is an old spelling of OR; AND binds tighter, and
/// only stands outside brackets.
fn acceptable(expression: &str) -> bool {
    let and = |all: &str| {
        all.split(" AND ").all(|part| LICENCES.contains(&part.trim().trim_matches(['(', ')'])))
    };
    let either = |any: &str| any.replace('/', " OR ").split(" OR ").any(and);
    match expression.strip_prefix('(').and_then(|rest| rest.split_once(") AND ")) {
        Some((first, second)) => either(first) && either(second),
        None => either(expression),
    }
}

#[test]
fn every_licence_is_one_we_may_ship_under() {
    assert!(acceptable("(MIT OR GPL-3.0) AND Unicode-3.0") && acceptable("MIT/GPL-3.0"));
    assert!(!acceptable("MIT AND GPL-3.0") && !acceptable("GPL-3.0") && !acceptable(""));
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let used: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    assert!(used.len() > 100, "only {} packages are used", used.len());
    for package in metadata["packages"].as_array().unwrap() {
        if used.contains(package["id"].as_str().unwrap()) {
            let licence = package["license"].as_str().unwrap_or_default();
            assert!(acceptable(licence), "{} is under {licence:?}", package["name"]);
        }
    }
}
