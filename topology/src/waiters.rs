//! Callers who wait for what becomes of a record, by its position.
//!
//! The writer registers them when it gives the record its position, before anyone can read it; the
//! worker that applies the record answers, and nobody else does: a caller is woken once. One whose
//! record cannot be appended is told so by the writer. Whoever is still here when a worker begins
//! anew, or when the writer ends, is told that the answer is lost.

use crate::api::Verdict;
use actors::Position;
use dashmap::DashMap;
use state::journal::AppendError;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::oneshot;

/// What a waiting caller gets.
#[derive(Debug)]
pub struct Told {
    /// What became of the record.
    pub verdict: Verdict,
    /// Whether that is the first answer again.
    pub replayed: bool,
    /// The answer reflects every record below: the end of the record's frame.
    pub position: Position,
    /// The entity's view, as JSON text.
    pub view: Vec<u8>,
}

/// Where a caller waits.
pub type Waiter = oneshot::Sender<Result<Told, AppendError>>;

/// The callers who wait.
#[derive(Debug, Default)]
pub struct Waiters {
    /// By the record's position; with the end of its frame.
    waiting: DashMap<Position, (Waiter, Position)>,
    count: AtomicUsize,
}

impl Waiters {
    /// Registers who waits for the record at `position`, in a frame that ends at `end`.
    pub fn register(&self, waiter: Waiter, position: Position, end: Position) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.waiting.insert(position, (waiter, end));
    }

    /// Who waits for this record, if anyone, and where its frame ends. They are no longer
    /// registered.
    pub fn take(&self, position: Position) -> Option<(Waiter, Position)> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let (_, waiter) = self.waiting.remove(&position)?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(waiter)
    }

    /// Lets go of everybody: their answers are lost.
    pub fn strand_all(&self) {
        let positions: Vec<Position> = self.waiting.iter().map(|entry| *entry.key()).collect();
        for position in positions {
            drop(self.take(position));
        }
    }
}
