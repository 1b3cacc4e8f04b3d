//! What the identity file says, and what is refused.

use super::*;
use crate::disk::FaultyDisk;
use expect_test::expect;

const DIR: &str = "/data";
const FRESH: JournalId = JournalId(*b"\x01\x23\x45\x67\x89\xab\x4d\xef\x81\x23456789");

fn open(disk: &FaultyDisk, shards: u32, kinds: &[&str]) -> Result<Identity, Error> {
    Identity::open(disk, Path::new(DIR), &Layout { shards, kinds }, FRESH)
}

#[test]
fn the_file_says_what_the_directory_is() {
    let disk = FaultyDisk::new(1);
    assert_eq!(Identity::read(&disk, Path::new(DIR)).unwrap(), None);
    let identity = open(&disk, 64, &["inbox", "payment"]).unwrap();
    let text = read_file(&disk, &Path::new(DIR).join(IDENTITY_FILE)).unwrap();
    expect![[r#"
        {
          "format_version": 1,
          "journal": "01234567-89ab-4def-8123-343536373839",
          "shards": 64,
          "kinds": [
            "inbox",
            "payment"
          ]
        }
    "#]]
    .assert_eq(std::str::from_utf8(&text).unwrap());
    let other = JournalId([3; 16]);
    let layout = Layout { shards: 64, kinds: &["inbox", "payment", "course"] };
    let again = Identity::open(&disk, Path::new(DIR), &layout, other).unwrap();
    assert_eq!(again, identity);
    assert_eq!(Identity::read(&disk, Path::new(DIR)).unwrap(), Some(identity));
    assert!(open(&disk, 64, &["inbox", "payment"]).is_err(), "the third kind stays");
    let replay = Path::new("/replay");
    again.write_replay(&disk, replay, &layout).unwrap();
    let text = read_file(&disk, &replay.join(IDENTITY_FILE)).unwrap();
    assert!(std::str::from_utf8(&text).unwrap().contains(",\n  \"replay\": true\n}"));
    let marked = Identity::open(&disk, replay, &layout, other).unwrap();
    assert_eq!((marked.journal, marked.is_replay), (FRESH, true));
}

#[test]
fn what_does_not_fit_is_refused_with_a_reason() {
    let cases: [(u32, &[&str], &str); 4] = [
        (
            32,
            &["inbox"],
            "the data directory /data has 64 shards, not 32: that number never changes",
        ),
        (
            64,
            &["course"],
            "the data directory /data knows the kinds inbox, this program course: \
                           kinds are only ever added, at the end",
        ),
        (
            64,
            &[],
            "the data directory /data knows the kinds inbox, this program : \
                   kinds are only ever added, at the end",
        ),
        (
            64,
            &["course", "inbox"],
            "the data directory /data knows the kinds inbox, this program \
                                    course, inbox: kinds are only ever added, at the end",
        ),
    ];
    let disk = FaultyDisk::new(1);
    open(&disk, 64, &["inbox"]).unwrap();
    for (shards, kinds, message) in cases {
        assert_eq!(open(&disk, shards, kinds).unwrap_err().to_string(), message);
    }
    let path = Path::new(DIR).join(IDENTITY_FILE);
    for (text, message) in [
        (r#"{"format_version":2}"#, "has format version 2, this program knows up to 1"),
        (r#"{"format_version":1,"journal":"x"}"#, "does not describe a data directory: journal"),
        ("", "does not describe a data directory: EOF"),
    ] {
        replace_file(&disk, &path, text.as_bytes()).unwrap();
        let refused = open(&disk, 64, &["inbox"]).unwrap_err().to_string();
        assert!(refused.contains(message), "{refused}");
    }
}

#[test]
fn a_directory_is_new_or_whole_after_a_crash() {
    for seed in 0..20 {
        for writes in 0..6 {
            let disk = FaultyDisk::new(seed);
            disk.crash_after(writes);
            let _ = open(&disk, 64, &["inbox"]);
            assert!(open(&disk.crash(), 64, &["inbox"]).is_ok(), "seed {seed}, {writes}");
        }
    }
}

#[test]
fn one_process_holds_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::take(dir.path()).unwrap();
    let refused = Lock::take(dir.path()).unwrap_err();
    let holder = format!("process {}", std::process::id());
    assert!(matches!(&refused, Error::Held { holder: named, .. } if *named == holder));
    drop(lock);
    assert!(Lock::take(dir.path()).is_ok());
}

#[test]
fn journal_ids_are_uuids() {
    let id = JournalId::fresh().unwrap();
    assert_ne!(id, JournalId::fresh().unwrap());
    assert_eq!(JournalId::parse(&id.to_string()), Some(id));
    assert_eq!(JournalId::parse("0123"), None);
}
