//! The store on sled and on files.

use super::*;
use crate::disk::RealDisk;

fn open_kv() -> OpenKv {
    Arc::new(|path| Ok(Arc::new(SledKv::open(path, 8 << 20)?)))
}

fn open(dir: &Path) -> (Store, Opened) {
    Store::open(Arc::new(RealDisk), dir, &open_kv(), small(), JOURNAL).unwrap()
}

fn fill(store: &mut Store, round: u64, entities: std::ops::Range<u64>) {
    for shard in 0..SHARDS {
        let value = round.to_be_bytes();
        let write = |entity| put(&[(&row_key(entity), &value), (&page_key(entity, 1), &value)]);
        let writes = entities.clone().map(write).collect();
        let note = value.to_vec();
        let c = Checkpoint { shard, writes, replay_from: round, note, ceiling: round };
        store.stage(c).unwrap();
    }
    store.commit().unwrap();
}

fn assert_round(store: &Store, round: u64, entities: std::ops::Range<u64>) {
    for shard in 0..SHARDS {
        assert_eq!(store.replay_from(shard), round);
        for entity in entities.clone() {
            for key in [row_key(entity), page_key(entity, 1)] {
                let value = store.reader().get(shard, &key).unwrap();
                assert_eq!(value.as_deref(), Some(&round.to_be_bytes()[..]), "{entity}");
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn sled_comes_back_after_it_was_closed_and_after_a_crude_kill() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let (mut store, opened) = open(&data);
    assert!(opened.fresh);
    let mut rounds = 0;
    for entities in [0..100, 0..5, 0..3, 0..100, 0..2] {
        rounds += 1;
        fill(&mut store, rounds, entities.clone());
        let killed = dir.path().join(format!("killed-{rounds}"));
        // What is handed over after the checkpoint may or may not be there.
        store.write(0, (500..600).map(|e| put(&[(&row_key(e), b"later")])).collect()).unwrap();
        copy(&data, &killed);
        let (copied, opened) = open(&killed);
        assert_eq!((opened.aside, opened.rebuilt), (None, vec![]));
        assert_round(&copied, rounds, entities.clone());
        drop(store);
        store = open(&data).0;
        assert_round(&store, rounds, entities);
    }
    assert!(store.reader().size_bytes() > 0);
}

#[test]
fn a_sled_directory_full_of_garbage_is_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).0;
    fill(&mut store, 1, 0..100);
    fill(&mut store, 2, 0..2);
    drop(store);
    for file in ["db", "conf"] {
        let path = dir.path().join("store").join(file);
        let len = std::fs::metadata(&path).unwrap().len() as usize;
        std::fs::write(path, vec![0x5a; len]).unwrap();
    }
    let (store, opened) = open(dir.path());
    let (why, aside) = opened.aside.expect("garbage is noticed");
    assert!(aside.is_dir(), "{why}");
    assert_round(&store, 1, 0..100);
}

#[test]
fn large_values_make_no_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).0;
    for round in 0..3 {
        let value = vec![round; image::VALUE_BYTES_MAX];
        let writes = (0..18).map(|entity| put(&[(&row_key(entity), &value)])).collect();
        store.checkpoint(Checkpoint { writes, ..Checkpoint::default() }).unwrap();
    }
    let blobs = std::fs::read_dir(dir.path().join("store/blobs")).unwrap().count();
    assert_eq!(blobs, 0);
}
