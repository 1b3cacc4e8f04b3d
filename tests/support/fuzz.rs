//! Sound samples made unsound: whatever comes in from outside is tried with bytes flipped, cut out,
//! put in and mixed up, as long as there is time.
//!
//! Samples lie in `tests/corpus`; one that was found to break something is added there. bolero
//! makes up the edits: a moment in a plain `cargo test`, `BOLERO_RANDOM_TEST_TIME_MS` otherwise. It
//! prints the seed of what breaks. What is *not* here: what must hold.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::panic::RefUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For so long where nothing else is said.
const USUAL: Duration = Duration::from_millis(400);

/// The workspace's samples of this sort.
pub(crate) fn corpus(name: &str) -> Vec<Vec<u8>> {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dirs = crate_dir.ancestors().map(|dir| dir.join("tests/corpus").join(name));
    let dir: PathBuf = dirs.into_iter().find(|dir| dir.is_dir()).expect("a corpus of that name");
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let samples: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("a file")).collect();
    assert!(!samples.is_empty(), "no sample of {name}");
    samples
}

/// Tries each sample as it is, and then as many edited ones as there is time for.
pub(crate) fn fuzz(samples: &[Vec<u8>], check: impl Fn(&[u8]) + RefUnwindSafe) {
    for sample in samples {
        check(sample);
    }
    bolero::check!()
        .with_type::<(u8, Vec<(u8, u16, u16, Vec<u8>)>)>()
        .with_test_time(USUAL)
        .for_each(|(sample, edits)| {
            let mut bytes = samples[usize::from(*sample) % samples.len()].clone();
            for edit in edits.iter().take(8) {
                apply(&mut bytes, edit, samples);
            }
            check(&bytes);
        });
}

fn apply(bytes: &mut Vec<u8>, edit: &(u8, u16, u16, Vec<u8>), samples: &[Vec<u8>]) {
    let (what, at, len, new) = edit;
    let at = usize::from(*at) % (bytes.len() + 1);
    let end = (at + usize::from(*len) % 40).min(bytes.len());
    match what % 6 {
        0 if at < bytes.len() => bytes[at] ^= 1 << (len % 8),
        1 if at < bytes.len() => bytes[at] = *len as u8,
        2 => drop(bytes.drain(at..end)),
        3 => drop(bytes.splice(at..at, new.iter().copied())),
        // The same once more: keys that come twice, brackets that nest.
        4 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        // The end of another sample.
        _ => {
            let other = &samples[usize::from(*len) % samples.len()];
            bytes.truncate(at);
            bytes.extend_from_slice(&other[at.min(other.len())..]);
        }
    }
}
