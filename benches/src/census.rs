//! Who there is and what they know, as one number: whether two sides have come to the same.
//!
//! The order in which two partitions' events meet is chance, so positions and the order of items
//! may differ between two runs that are both right. Views do not: they are counts, sums and facts
//! that join. The census is a sum over all entities' (kind, key, view), so it costs no memory and
//! does not depend on an order.

use actors::{Kind, KindId, Mind};
use state::directory::Identity;
use state::disk::{Disk, RealDisk};
use state::row::{Row, key};
use state::store::{self, Kv, SledKv, Store};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_128;

use crate::Error;

/// How long an engine that has stopped may take to let go of its files.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(60);

/// So many rows are read at once.
const ROWS_AT_ONCE: usize = 1_000;

/// Who there is and what they know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// How many entities there are.
    pub entities: u64,
    sum: u128,
}

impl Census {
    /// Counts one entity in.
    pub fn add(&mut self, kind: KindId, key: &str, mind: &dyn Mind) {
        let mut bytes = vec![kind.0];
        bytes.extend_from_slice(key.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&mind.view(key));
        self.sum = self.sum.wrapping_add(xxh3_128(&bytes));
        self.entities += 1;
    }

    /// Of what is at rest in a data directory that nobody holds: every row in its store.
    ///
    /// # Errors
    /// The store cannot be opened, or a row cannot be read.
    pub fn at_rest(data: &Path, kinds: &[Kind]) -> Result<Self, Error> {
        let mut census = Self::default();
        let add = |stored: &[u8], value: &[u8]| census.add_row(kinds, stored, value);
        each(&open(data)?, key::space::ROW, add)?;
        Ok(census)
    }

    fn add_row(&mut self, kinds: &[Kind], stored: &[u8], value: &[u8]) -> Result<(), Error> {
        let (id, key) = key::parse_row(stored).map_err(Error::engine)?;
        let Some(kind) = kinds.get(usize::from(id.0)) else {
            return Err(Error::Differ(format!("the engine has {key}, of no kind of the ledger's")));
        };
        let row = Row::decode(value).map_err(Error::engine)?;
        let mind = kind.wake(Some(row.head)).map_err(Error::engine)?;
        self.add(id, key, &*mind);
        Ok(())
    }

    /// Whether both have come to the same.
    ///
    /// # Errors
    /// They have not.
    pub fn compare(ledger: &Self, engine: &Self) -> Result<(), Error> {
        if ledger == engine {
            return Ok(());
        }
        Err(Error::Differ(format!(
            "the ledger has {} entities (sum {:032x}), the engine {} (sum {:032x})",
            ledger.entities, ledger.sum, engine.entities, engine.sum
        )))
    }
}

/// How many entities are at rest in a data directory that nobody holds, and how many bytes they
/// know: heads and pages, without what the store keeps beside them.
///
/// # Errors
/// The store cannot be opened, or a row cannot be read.
pub fn payload_at_rest(data: &Path, kinds: &[Kind]) -> Result<(u64, u64), Error> {
    let entities = Census::at_rest(data, kinds)?.entities;
    let store = open(data)?;
    let mut bytes = 0;
    for space in [key::space::ROW, key::space::PAGE] {
        each(&store, space, |_, value| {
            bytes += if space == key::space::ROW {
                let row = Row::decode(value).map_err(Error::engine)?;
                row.head.len() + row.page.map_or(0, |(_, page)| page.len())
            } else {
                value.len()
            };
            Ok(())
        })?;
    }
    Ok((entities, bytes as u64))
}

/// Every key and value of a space, over all shards.
fn each(
    store: &Store,
    space: u8,
    mut see: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let reader = store.reader();
    for shard in 0..store.shards() {
        let mut from = vec![space];
        let to = key::prefix_end(&from);
        loop {
            let found = reader.scan(shard, &from, to.as_deref(), ROWS_AT_ONCE);
            let found = found.map_err(Error::engine)?;
            for (stored, value) in &found {
                see(stored, value)?;
            }
            let Some((last, _)) = found.last().filter(|_| found.len() == ROWS_AT_ONCE) else {
                break;
            };
            from.clone_from(last);
            from.push(0);
        }
    }
    Ok(())
}

/// Waits until nobody has a file of the store locked: a drained engine's threads let go of it a
/// moment after they have said that they are done.
fn await_release(data: &Path) -> Result<(), Error> {
    let dir = data.join("store");
    let deadline = Instant::now() + RELEASE_WAIT_MAX;
    let files = || -> io::Result<bool> {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_file() && File::open(path)?.try_lock().is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    };
    while !files().map_err(Error::io("look into", &dir))? {
        if Instant::now() > deadline {
            return Err(Error::Engine("it has not let go of its store".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn open(data: &Path) -> Result<Store, Error> {
    await_release(data)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let identity = Identity::read(&*disk, data).map_err(Error::engine)?;
    let identity = identity.ok_or_else(|| Error::Engine("it left no data".to_owned()))?;
    let shards = u16::try_from(identity.shards).map_err(Error::engine)?;
    let open_kv: store::OpenKv =
        Arc::new(|path: &Path| Ok(Arc::new(SledKv::open(path, 64 << 20)?) as Arc<dyn Kv>));
    let options = store::Options { shards, ..store::Options::default() };
    let opened = Store::open(disk, data, &open_kv, options, identity.journal.0);
    let (store, opened) = opened.map_err(Error::engine)?;
    if let Some((why, _)) = opened.aside {
        return Err(Error::Engine(format!("its store is not usable: {why}")));
    }
    Ok(store)
}
