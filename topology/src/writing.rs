//! Which shards are being written to the store, for the one reader that must wait for it: a life that has to be restored.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex};

/// The shards on their way to the store.
#[derive(Debug, Default)]
pub struct Writing {
    shards: Mutex<BTreeSet<u16>>,
    changed: Condvar,
}

impl Writing {
    /// A shard was handed over.
    pub fn begin(&self, shard: u16) {
        self.shards.lock().expect("nobody panics while changing a set").insert(shard);
    }

    /// It can be read from the store.
    pub fn end(&self, shard: u16) {
        self.shards.lock().expect("nobody panics while changing a set").remove(&shard);
        self.changed.notify_all();
    }

    /// Waits until a shard is not on its way.
    pub fn wait(&self, shard: u16) {
        let shards = self.shards.lock().expect("nobody panics while changing a set");
        let _guard = self
            .changed
            .wait_while(shards, |shards| shards.contains(&shard))
            .expect("nobody panics while changing a set");
    }
}
