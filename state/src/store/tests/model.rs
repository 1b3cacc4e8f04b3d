//! The store answers like a map, whatever was handed over, staged, committed and opened again.

use super::*;
use std::collections::BTreeMap;

type Model = Vec<BTreeMap<Vec<u8>, Vec<u8>>>;

fn some_write(chance: &mut Chance, removes_rows: bool) -> Write {
    let entity = chance.below(60);
    let mut entries = vec![row_key(entity)];
    entries.extend((0..chance.below(4)).map(|_| page_key(entity, chance.below(5) as u32)));
    entries.dedup();
    let value = |key: &[u8], chance: &mut Chance| {
        let len = chance.below(400) as usize;
        let removed = chance.one_in(5) && (removes_rows || key[0] != key::space::ROW);
        (!removed).then(|| vec![chance.below(256) as u8; len])
    };
    let entry = |key: Vec<u8>| {
        let value = value(&key, chance);
        (key, value)
    };
    Write { entries: entries.into_iter().map(entry).collect() }
}

fn fold(model: &mut BTreeMap<Vec<u8>, Vec<u8>>, write: &Write) {
    for (key, value) in &write.entries {
        match value {
            Some(value) => model.insert(key.clone(), value.clone()),
            None => model.remove(key),
        };
    }
}

fn compare(reader: &Reader, model: &Model, chance: &mut Chance) {
    let shard = chance.below(SHARDS.into()) as u16;
    let map = &model[usize::from(shard)];
    for _ in 0..10 {
        let entity = chance.below(60);
        for key in [row_key(entity), page_key(entity, chance.below(5) as u32)] {
            assert_eq!(reader.get(shard, &key).unwrap().as_ref(), map.get(&key));
            assert!(reader.may_contain(shard, &key) || !map.contains_key(&key));
        }
    }
    let from = if chance.one_in(3) { Vec::new() } else { row_key(chance.below(60)) };
    let to = (!chance.one_in(3)).then(|| row_key(chance.below(60)));
    let limit = [1, 3, 50, 10_000][chance.below(4) as usize];
    let expected: Vec<_> = map
        .iter()
        .filter(|(key, _)| **key >= from && to.as_ref().is_none_or(|to| *key < to))
        .take(limit)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    assert_eq!(reader.scan(shard, &from, to.as_deref(), limit).unwrap(), expected);
}

#[test]
fn the_store_answers_like_a_map() {
    let mut images = 0;
    for seed in 0..40 {
        println!("seed {seed}");
        let (mut chance, rig) = (Chance(seed), Rig::new(seed));
        let mut model: Model = vec![BTreeMap::new(); SHARDS.into()];
        let mut store = rig.open().0;
        for step in 1..200 {
            let shard = chance.below(SHARDS.into()) as u16;
            let writes: Vec<_> =
                (0..chance.below(12)).map(|_| some_write(&mut chance, seed % 2 == 0)).collect();
            for write in &writes {
                fold(&mut model[usize::from(shard)], write);
            }
            let note = vec![step as u8];
            let checkpoint =
                |writes| Checkpoint { shard, writes, replay_from: step, note, ceiling: step };
            match chance.below(4) {
                0 => store.stage(checkpoint(writes)).unwrap(),
                1 => {
                    let report = store.checkpoint(checkpoint(writes)).unwrap();
                    images += u32::from(report.form == Form::Image);
                    assert_eq!(store.replay_from(shard), step);
                }
                _ => store.write(shard, writes).unwrap(),
            }
            compare(&store.reader(), &model, &mut chance);
            if chance.one_in(20) {
                for shard in 0..SHARDS {
                    let replay_from = store.replay_from(shard);
                    store
                        .stage(Checkpoint { shard, replay_from, ..Checkpoint::default() })
                        .unwrap();
                }
                store.commit().unwrap();
                drop(store);
                store = rig.open().0;
                compare(&store.reader(), &model, &mut chance);
            }
        }
        for (shard, map) in (0..).zip(&model) {
            let rows = map.keys().filter(|key| key[0] == key::space::ROW).count() as u64;
            let counted = store.reader().rows(shard);
            // Rows that are removed and come back are not told from those that were never gone.
            assert!(seed % 2 == 0 || counted.abs_diff(rows) <= 2, "{rows} rows, not {counted}");
        }
    }
    assert!(images > 100, "only {images} images: the limits do not fit the test");
}

#[test]
fn readers_on_other_threads_never_see_a_value_go_back_or_away() {
    let rig = Rig::new(7);
    let mut store = rig.open().0;
    let write = |round: u64, entity: u64| put(&[(&row_key(entity), &round.to_be_bytes())]);
    store.write(0, (0..30).map(|entity| write(0, entity)).collect()).unwrap();
    let (reader, done) = (store.reader(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let watch = std::thread::spawn({
        let done = Arc::clone(&done);
        move || {
            let mut seen = [0; 30];
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for entity in 0..30 {
                    let value = reader.get(0, &row_key(entity)).unwrap().expect("never away");
                    let round = u64::from_be_bytes(value.try_into().unwrap());
                    assert!(round >= seen[entity as usize], "{round} after {seen:?}");
                    seen[entity as usize] = round;
                }
                assert_eq!(reader.scan(0, b"", None, 100).unwrap().len(), 30);
            }
        }
    });
    for round in 1..300 {
        let entities = if round % 3 == 0 { 0..30 } else { 10..12 };
        store.write(0, entities.map(|entity| write(round, entity)).collect()).unwrap();
        let checkpoint = Checkpoint { replay_from: round, ceiling: round, ..Checkpoint::default() };
        store.checkpoint(checkpoint).unwrap();
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    watch.join().unwrap();
    drop(store);
    let trees = rig.kv.trees().unwrap();
    let images = rig.disk.list(Path::new("/data/images")).unwrap();
    assert!(images.len() <= 2 && trees.len() <= 4, "left behind: {images:?} {trees:?}");
}

#[test]
fn a_reader_in_the_middle_of_something_keeps_what_it_reads() {
    let rig = Rig::new(8);
    let mut store = rig.open().0;
    let write = |value: &[u8], entity| put(&[(&row_key(entity), value)]);
    let checkpoint = |value: &[u8], entities: std::ops::Range<u64>| {
        let writes = entities.map(|entity| write(value, entity)).collect();
        Checkpoint { writes, ..Checkpoint::default() }
    };
    store.checkpoint(checkpoint(b"image", 0..40)).unwrap();
    store.checkpoint(checkpoint(b"overlay", 30..32)).unwrap();
    let held = store.shared.view(0);
    let (reader, kv) = (store.reader(), rig.kv.clone());
    let cache = Cache::new(0);
    let get = |entity| held.get(&kv, &cache, &row_key(entity)).unwrap().unwrap();
    let before = (b"overlay".to_vec(), b"image".to_vec());
    assert_eq!((get(30), get(35)), before);
    let report = store.checkpoint(checkpoint(b"new image", 0..30)).unwrap();
    assert_eq!(report.form, Form::Image);
    assert_eq!((get(30), get(35)), before);
    assert_eq!(reader.get(0, &row_key(0)).unwrap().unwrap(), b"new image");
    drop(held);
    store.checkpoint(checkpoint(b"x", 0..1)).unwrap();
    assert_eq!(rig.disk.list(Path::new("/data/images")).unwrap().len(), 1);
}
