//! What the tests of the store share: a disk and a key-value store that can crash together, small
//! limits so that everything happens often, and chance with a seed.

mod crash;
mod model;
mod opening;
mod real;

use super::*;
use crate::disk::FaultyDisk;
use crate::row::key;
use actors::KindId;

const JOURNAL: [u8; 16] = *b"journal of tests";
const SHARDS: u16 = 2;

/// A disk and a key-value store that lose power together.
#[derive(Clone)]
struct Rig {
    disk: FaultyDisk,
    kv: MemKv,
}

impl Rig {
    fn new(seed: u64) -> Self {
        Self { disk: FaultyDisk::new(seed), kv: MemKv::new() }
    }

    fn crash(&self, seed: u64) -> Self {
        Self { disk: self.disk.crash(), kv: self.kv.crash(seed) }
    }

    fn open(&self) -> (Store, Opened) {
        self.try_open().expect("a store opens whatever a crash left")
    }

    fn try_open(&self) -> Result<(Store, Opened), Error> {
        let kv = self.kv.clone();
        let open_kv: OpenKv = Arc::new(move |_| Ok(Arc::new(kv.clone())));
        open_with(&self.disk, &open_kv)
    }
}

fn open_with(disk: &FaultyDisk, open_kv: &OpenKv) -> Result<(Store, Opened), Error> {
    Store::open(Arc::new(disk.clone()), Path::new("/data"), open_kv, small(), JOURNAL)
}

/// Limits that a handful of entities reach.
fn small() -> Options {
    Options {
        shards: SHARDS,
        open_seconds_max: 60,
        recent_bytes_max: 4_000,
        batch_entries_max: 8,
        batch_bytes_max: 2_000,
        dirty_percent_max: 60,
        image_entries_min: 20,
        overlay_bytes_max: 20_000,
        image_age_records_max: 2_000,
        block_cache_bytes: 100_000,
        ..Options::default()
    }
}

/// Chance that a seed decides.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn row_key(entity: u64) -> Vec<u8> {
    key::row(KindId(0), &format!("e{entity}"))
}

fn page_key(entity: u64, page: u32) -> Vec<u8> {
    key::page(KindId(0), &format!("e{entity}"), page)
}

fn put(entries: &[(&[u8], &[u8])]) -> Write {
    Write { entries: entries.iter().map(|(k, v)| (k.to_vec(), Some(v.to_vec()))).collect() }
}
