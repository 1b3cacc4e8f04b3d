//! The gateway's book: a file with a line per charge, capture and refund, and what is known from
//! it.
//!
//! Lines gather in memory and are written and fsynced together. At the start the book is read
//! whole; a torn last batch, which nobody has been answered for, is cut. What is *not* here: who
//! may move money.
//!
//! Invariant: after [`Book::commit`] every line entered is durable. If it fails, the book is of no
//! use any more and has to be read again.

use serde::{Deserialize, Serialize};
use state::disk::{Disk, DiskFile, read_file};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// A batch is smaller than this; so if more than this is unreadable at the end, it is not torn but
/// damaged.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Why there is no book.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk does not play along.
    #[error("reading the gateway's book {path}: {source}")]
    Disk {
        /// The book.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// There is a line that is none, and more behind it than can have been torn.
    #[error("the gateway's book {path} is damaged at byte {offset}: {behind} bytes do not read")]
    Damaged {
        /// The book.
        path: PathBuf,
        /// Where the first bad line begins.
        offset: u64,
        /// How much there is from there on.
        behind: usize,
    },
    /// Two lines have one idempotency key: money has moved twice.
    #[error("the gateway's book {path} has a second line of one idempotency key at byte {offset}")]
    Twice {
        /// The book.
        path: PathBuf,
        /// Where the second line begins.
        offset: u64,
    },
}

/// How money moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Movement {
    Charge,
    Capture,
    Refund,
}

/// One line of the book, as the promise to users has it.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    idempotency_key: Cow<'a, str>,
    kind: Movement,
    amount: i64,
    #[serde(borrow)]
    payment_id: Cow<'a, str>,
}

/// A movement of money under its idempotency key.
pub(super) struct Entry<'a> {
    pub(super) key: &'a str,
    pub(super) movement: Movement,
    pub(super) amount: i64,
    pub(super) payment_id: &'a str,
}

impl Entry<'_> {
    /// The gateway's name for it: a function of the key, so that no two books ever disagree.
    pub(super) fn id(&self) -> String {
        let prefix = match self.movement {
            Movement::Charge => "ch",
            Movement::Capture => "cap",
            Movement::Refund => "re",
        };
        format!("{prefix}_{:016x}", xxh3_64(self.key.as_bytes()))
    }

    /// Tells a repeat from another request under the same key.
    fn fingerprint(&self) -> u64 {
        let mut bytes = vec![self.movement as u8];
        bytes.extend_from_slice(&self.amount.to_le_bytes());
        bytes.extend_from_slice(self.payment_id.as_bytes());
        xxh3_64(&bytes)
    }
}

/// What has moved for one payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) captured: i64,
    pub(super) refunded: i64,
}

/// The book. Ids are kept as 128-bit hashes: about 100 bytes of memory per charge.
pub(super) struct Book {
    file: Arc<dyn DiskFile>,
    len: u64,
    /// By idempotency key: the fingerprint of what was done under it.
    done: HashMap<u128, u64>,
    /// By payment.
    accounts: HashMap<u128, Account>,
    unwritten: Vec<u8>,
}

impl Book {
    /// Reads the book. `durable_len` is how much of it counts, if that is known.
    pub(super) fn open(
        disk: &dyn Disk,
        path: &Path,
        durable_len: Option<u64>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Disk { path: path.to_owned(), source };
        let (file, mut bytes) = Self::read(disk, path).map_err(failed)?;
        let found = bytes.len();
        bytes.truncate(durable_len.map_or(found, |len| len as usize));
        let mut book = Self {
            file,
            len: 0,
            done: HashMap::new(),
            accounts: HashMap::new(),
            unwritten: Vec::new(),
        };
        let twice = |offset| Error::Twice { path: path.to_owned(), offset };
        book.take_lines(&bytes).map_err(twice)?;
        let behind = bytes.len() - book.len as usize;
        if behind > BATCH_BYTES_MAX {
            return Err(Error::Damaged { path: path.to_owned(), offset: book.len, behind });
        }
        let cut = found - book.len as usize;
        if cut > 0 {
            tracing::warn!(path = %path.display(), bytes = cut, "cut the gateway's last batch");
        }
        book.settle(&bytes, cut > 0).map_err(failed)?;
        Ok(book)
    }

    /// Makes what was read durable. It may be in the operating system's memory only, and after a
    /// failed fsync even look written, so what can be of the last batch is written once more.
    fn settle(&self, bytes: &[u8], cut: bool) -> io::Result<()> {
        if cut {
            self.file.set_len(self.len)?;
        }
        let tail = self.len.saturating_sub(BATCH_BYTES_MAX as u64);
        let again = &bytes[tail as usize..self.len as usize];
        if !again.is_empty() {
            self.file.write_all_at(again, tail)?;
        }
        self.file.sync_data()
    }

    /// How much of the file is durable and counts, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    fn read(disk: &dyn Disk, path: &Path) -> io::Result<(Arc<dyn DiskFile>, Vec<u8>)> {
        if disk.exists(path) {
            let bytes = read_file(disk, path)?;
            return Ok((disk.open(path)?, bytes));
        }
        let file = disk.create(path)?;
        disk.sync_dir(path.parent().expect("the book lies in a directory"))?;
        Ok((file, Vec::new()))
    }

    /// Takes whole lines, up to the first that is none. The error is where a key comes again.
    fn take_lines(&mut self, bytes: &[u8]) -> Result<(), u64> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(text) = line.strip_suffix(b"\n") else { break };
            let Ok(read) = serde_json::from_slice::<Line<'_>>(text) else { break };
            let entry = Entry {
                key: &read.idempotency_key,
                movement: read.kind,
                amount: read.amount,
                payment_id: &read.payment_id,
            };
            if self.knows(&entry).is_some() {
                return Err(self.len);
            }
            self.count(&entry);
            self.len += line.len() as u64;
        }
        Ok(())
    }

    fn count(&mut self, entry: &Entry<'_>) {
        let before = self.done.insert(xxh3_128(entry.key.as_bytes()), entry.fingerprint());
        assert!(before.is_none(), "key {} would stand in the gateway's book twice", entry.key);
        let account = self.accounts.entry(xxh3_128(entry.payment_id.as_bytes())).or_default();
        match entry.movement {
            Movement::Charge | Movement::Capture => account.captured += entry.amount,
            Movement::Refund => account.refunded += entry.amount,
        }
    }

    /// Whether this was done before; `Some(false)` if something else was, under the same key.
    pub(super) fn knows(&self, entry: &Entry<'_>) -> Option<bool> {
        let done = self.done.get(&xxh3_128(entry.key.as_bytes()))?;
        Some(*done == entry.fingerprint())
    }

    pub(super) fn account(&self, payment_id: &str) -> Account {
        self.accounts.get(&xxh3_128(payment_id.as_bytes())).copied().unwrap_or_default()
    }

    /// Enters a line; durable after [`Book::commit`].
    pub(super) fn enter(&mut self, entry: &Entry<'_>) {
        self.count(entry);
        let line = Line {
            id: entry.id().into(),
            idempotency_key: entry.key.into(),
            kind: entry.movement,
            amount: entry.amount,
            payment_id: entry.payment_id.into(),
        };
        serde_json::to_writer(&mut self.unwritten, &line).expect("a line of plain values");
        self.unwritten.push(b'\n');
    }

    /// Writes and fsyncs what was entered, if anything was.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        assert!(self.unwritten.len() < BATCH_BYTES_MAX, "a batch of {}", self.unwritten.len());
        self.file.write_all_at(&self.unwritten, self.len)?;
        self.file.sync_data()?;
        self.len += self.unwritten.len() as u64;
        self.unwritten.clear();
        Ok(())
    }
}
