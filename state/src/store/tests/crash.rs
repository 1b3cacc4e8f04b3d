//! A crash at every single operation of a history. The engine is played by a list of records: the
//! record at position p changes one entity, whose row, page and odd-or-even page say p + 1 ever
//! after.

use super::*;
use std::collections::BTreeMap;

const ENTITIES: u64 = 40;
const RECORDS: u64 = 400;

/// Which entity a record changes.
fn entity_of(seed: u64, position: Position) -> u64 {
    Chance(seed ^ (position << 8)).below(ENTITIES)
}

fn shard_of(entity: u64) -> u16 {
    (entity % u64::from(SHARDS)) as u16
}

/// All of an entity that has applied everything below `position`.
fn handed_over(entity: u64, position: Position) -> Write {
    let value = position.to_be_bytes();
    let mut write = put(&[(&row_key(entity), &value), (&page_key(entity, 0), &value)]);
    let odd = (position % 2 == 1).then(|| value.to_vec());
    write.entries.push((page_key(entity, 1), odd));
    write
}

/// The engine: plays records on, hands entities over, makes checkpoints. What it was told is
/// durable stands in `promised`.
struct Engine {
    seed: u64,
    chance: Chance,
    /// What entities know that differ from what was handed over.
    dirty: BTreeMap<u64, Position>,
    position: Position,
    promised: [Position; SHARDS as usize],
}

impl Engine {
    fn new(seed: u64) -> Self {
        let (chance, promised) = (Chance(seed), [0; SHARDS as usize]);
        Self { seed, chance, dirty: BTreeMap::new(), position: 0, promised }
    }

    fn run(&mut self, store: &mut Store) -> Result<(), Error> {
        while self.position < RECORDS {
            let entity = entity_of(self.seed, self.position);
            self.position += 1;
            self.dirty.insert(entity, self.position);
            if self.chance.one_in(5) {
                self.passivate(store, entity)?;
            }
            if self.chance.one_in(12) {
                self.checkpoint(store)?;
            }
        }
        self.checkpoint(store)
    }

    fn passivate(&mut self, store: &mut Store, entity: u64) -> Result<(), Error> {
        let Some(position) = self.dirty.remove(&entity) else { return Ok(()) };
        store.raise_ceiling(position)?;
        store.write(shard_of(entity), vec![handed_over(entity, position)])
    }

    fn checkpoint(&mut self, store: &mut Store) -> Result<(), Error> {
        let only = self.chance.one_in(2).then(|| self.chance.below(SHARDS.into()) as u16);
        let mut staged = Vec::new();
        for shard in (0..SHARDS).filter(|shard| only.is_none_or(|only| only == *shard)) {
            let dirty: Vec<_> =
                self.dirty.iter().filter(|(entity, _)| shard_of(**entity) == shard).collect();
            let writes = dirty.iter().map(|(entity, position)| handed_over(**entity, **position));
            let (replay_from, writes) = (self.position, writes.collect());
            let note = replay_from.to_be_bytes().to_vec();
            let ceiling = self.position;
            store.stage(Checkpoint { shard, writes, replay_from, note, ceiling })?;
            self.dirty.retain(|entity, _| shard_of(*entity) != shard);
            staged.push(shard);
        }
        store.commit()?;
        for shard in staged {
            self.promised[usize::from(shard)] = self.position;
        }
        Ok(())
    }
}

/// What must hold of a store that was just opened, whatever happened before.
fn check(store: &Store, seed: u64, promised: &[Position]) {
    let reader = store.reader();
    for shard in 0..SHARDS {
        let replay_from = store.replay_from(shard);
        assert!(replay_from >= promised[usize::from(shard)], "a promise was broken");
        let note = store.shard_note(shard).map_or(0, |n| u64::from_be_bytes(n.try_into().unwrap()));
        assert_eq!(note, replay_from, "the note belongs to another checkpoint");
        let last = |entity| (0..replay_from).rev().find(|p| entity_of(seed, *p) == entity);
        for entity in (0..ENTITIES).filter(|entity| shard_of(*entity) == shard) {
            let get = |key: Vec<u8>| {
                let value = reader.get(shard, &key).unwrap();
                value.map(|value| u64::from_be_bytes(value.try_into().unwrap()))
            };
            let row = get(row_key(entity));
            assert_eq!(get(page_key(entity, 0)), row, "half an entity");
            assert_eq!(get(page_key(entity, 1)), row.filter(|p| p % 2 == 1), "half an entity");
            let known = row.unwrap_or(0);
            assert!(known <= store.ceiling(), "a row above the ceiling");
            assert!(known == 0 || entity_of(seed, known - 1) == entity, "a row from nowhere");
            let needed = last(entity).map_or(0, |position| position + 1);
            assert!(known >= needed, "entity {entity}: {known}, but replay begins behind {needed}");
        }
    }
}

/// After a restart the engine replays, goes on to the end, and everything is as it should be.
fn finish(rig: &Rig, seed: u64, promised: &[Position]) {
    let (mut store, _) = rig.open();
    check(&store, seed, promised);
    let mut engine = Engine::new(seed ^ 1);
    engine.seed = seed;
    for position in 0..RECORDS {
        let entity = entity_of(seed, position);
        if position >= store.replay_from(shard_of(entity)) {
            engine.dirty.insert(entity, position + 1);
        }
    }
    engine.position = RECORDS;
    engine.chance = Chance(seed);
    (0..3).for_each(|_| engine.checkpoint(&mut store).unwrap());
    drop(store);
    check(&rig.open().0, seed, &engine.promised);
}

fn crash_everywhere(seed: u64, crash_after: impl Fn(&Rig, u64), mutations: impl Fn(&Rig) -> u64) {
    let whole = Rig::new(seed);
    let mut store = whole.open().0;
    let before = mutations(&whole);
    let mut engine = Engine::new(seed);
    engine.run(&mut store).unwrap();
    let operations = mutations(&whole) - before;
    drop(store);
    finish(&whole, seed, &engine.promised);
    assert!(operations > 60, "only {operations} operations");
    for n in 0..operations {
        println!("seed {seed}, crash at operation {n} of {operations}");
        let rig = Rig::new(seed);
        let mut store = rig.open().0;
        crash_after(&rig, n);
        let mut engine = Engine::new(seed);
        let failed = engine.run(&mut store).is_err();
        assert!(failed || n + 60 > operations, "nothing crashed");
        drop(store);
        let left = rig.crash(seed + n);
        let bare = Rig { disk: left.disk.copy(), kv: MemKv::new() };
        finish(&left, seed, &engine.promised);
        finish(&bare, seed, &[0; SHARDS as usize]);
    }
}

#[test]
fn a_crash_at_any_operation_of_the_disk_breaks_no_promise() {
    for seed in 0..6 {
        crash_everywhere(seed, |rig, n| rig.disk.crash_after(n), |rig| rig.disk.mutations());
    }
}

#[test]
fn a_crash_at_any_operation_of_the_overlay_breaks_no_promise() {
    for seed in 10..13 {
        crash_everywhere(seed, |rig, n| rig.kv.crash_after(n), |rig| rig.kv.mutations());
    }
}

#[test]
fn a_disk_that_fails_once_only_delays_a_checkpoint() {
    for seed in 20..40 {
        let rig = Rig::new(seed);
        let (mut store, mut engine) = (rig.open().0, Engine::new(seed));
        let mut failures = 0;
        loop {
            match seed % 3 {
                0 => rig.disk.fail_write(Chance(seed + failures).below(9)),
                1 => rig.disk.fail_sync(Chance(seed + failures).below(9)),
                _ => rig.disk.budget_bytes(Some(rig.disk.used_bytes() + 3_000)),
            }
            match engine.run(&mut store) {
                Ok(()) => break,
                Err(Error::Image(image::Error::Disk { .. })) => failures += 1,
                Err(other) => panic!("seed {seed}: {other}"),
            }
            rig.disk.budget_bytes(None);
        }
        assert!(failures > 0, "seed {seed}: nothing failed");
        drop(store);
        check(&rig.open().0, seed, &engine.promised);
    }
}
