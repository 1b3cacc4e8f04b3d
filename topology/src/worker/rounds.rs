//! When to hand which shard to the store: rounds over all shards of a worker, one shard at a time,
//! by bytes of journal and by time. And what comes with time: timers that are due, deliveries that
//! wait.

use super::{Error, Spec, Worker};
use crate::dispatcher::Offer;
use crate::pending::{Pending, What, put_fired};
use crate::writer::{Reply, Submission};
use actors::{Position, Timestamp};
use state::frame::{Draft, Way};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// At most so many timers of a shard are fired, or deliveries offered, at once.
const AT_ONCE_MAX: usize = 1_000;

/// Rounds of checkpoints.
pub(super) struct Rounds {
    bytes_max: u64,
    interval: Duration,
    idle: Duration,
    bytes: u64,
    started: Instant,
    queue: VecDeque<u16>,
    in_flight: Option<u16>,
    done: Vec<oneshot::Sender<()>>,
    draining: bool,
    drained: bool,
    shards: Vec<u16>,
    batches: u32,
    /// When which batch was at hand, to tell how many batches make the idle time.
    samples: VecDeque<(Instant, u32)>,
}

impl Rounds {
    pub(super) fn new(spec: &Spec) -> Self {
        Self {
            bytes_max: spec.options.checkpoint_journal_bytes,
            interval: Duration::from_secs(spec.options.checkpoint_interval_s),
            idle: Duration::from_secs(spec.options.resident_idle_s),
            bytes: 0,
            started: Instant::now(),
            queue: VecDeque::new(),
            in_flight: None,
            done: Vec::new(),
            draining: false,
            drained: false,
            shards: spec.shards.clone(),
            batches: 0,
            samples: VecDeque::new(),
        }
    }

    /// A batch of so many bytes of journal was applied.
    pub(super) fn read(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.batches = self.batches.wrapping_add(1);
    }

    /// Whether a replay is so long that it should checkpoint under way.
    pub(super) fn replay_is_long(&self) -> bool {
        self.bytes >= 2 * self.bytes_max
    }

    pub(super) fn start_if_due(&mut self) {
        if self.is_running() {
            return;
        }
        let by_time = self.bytes > 0 && self.started.elapsed() >= self.interval;
        if by_time || self.bytes >= self.bytes_max || (self.draining && !self.drained) {
            self.start(None);
        }
    }

    /// Begins a round, or adds to the one that runs.
    pub(super) fn start(&mut self, done: Option<oneshot::Sender<()>>) {
        self.done.extend(done);
        self.queue = self.shards.iter().copied().collect();
        self.bytes = 0;
        self.started = Instant::now();
        self.samples.push_back((self.started, self.batches));
    }

    pub(super) fn is_running(&self) -> bool {
        self.in_flight.is_some() || !self.queue.is_empty()
    }

    /// The shard to hand over now, if any. Shards in which nothing changed are handed over too:
    /// their replay begins later.
    pub(super) fn next_shard(&mut self) -> Option<u16> {
        if self.in_flight.is_some() {
            return None;
        }
        self.in_flight = self.queue.pop_front();
        self.in_flight
    }

    /// Whether the shard given last is the last of its round.
    pub(super) fn is_last(&self) -> bool {
        self.queue.is_empty()
    }

    /// A shard is written. True if it was the last of its round.
    pub(super) fn written(&mut self, shard: u16) -> bool {
        assert_eq!(self.in_flight, Some(shard), "one shard at a time");
        self.in_flight = None;
        if self.queue.is_empty() {
            for done in self.done.drain(..) {
                // Whoever asked may have gone.
                let _ = done.send(());
            }
            self.drained = self.draining;
        }
        self.queue.is_empty()
    }

    /// Checkpoint everything once more, then end. Saying so again changes nothing.
    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    pub(super) fn is_drained(&self) -> bool {
        self.drained && !self.is_running()
    }

    /// How many batches without a record make an entity idle.
    pub(super) fn idle_batches(&mut self) -> u32 {
        let now = Instant::now();
        while self.samples.len() > 1 && now.duration_since(self.samples[1].0) > self.idle {
            self.samples.pop_front();
        }
        match self.samples.front() {
            Some((at, batch)) if now.duration_since(*at) > self.idle => {
                self.batches.wrapping_sub(*batch)
            }
            _ => u32::MAX,
        }
    }
}

/// The timers that were fired last: no more are until they were applied.
#[derive(Debug, Default)]
pub(super) struct Firing {
    /// Drafts that are not in the journal yet.
    submitted: AtomicU64,
    /// Where the last of them ends.
    end: AtomicU64,
}

impl Firing {
    fn is_over(&self, applied: Position) -> bool {
        self.submitted.load(Ordering::Acquire) == 0 && applied >= self.end.load(Ordering::Acquire)
    }

    /// A draft is handed in; the writer says where it ends.
    fn begin(self: &Arc<Self>) -> Reply {
        self.submitted.fetch_add(1, Ordering::AcqRel);
        let firing = self.clone();
        Box::new(move |result| {
            // A failed writer ends the process.
            let end = result.map_or(0, |receipt| receipt.end);
            firing.end.fetch_max(end, Ordering::AcqRel);
            firing.submitted.fetch_sub(1, Ordering::AcqRel);
        })
    }
}

impl Worker {
    /// Journals that timers are due. They fire when their records are applied.
    pub(super) fn fire_due(&mut self, now: Timestamp) -> Result<(), Error> {
        if !self.firing.is_over(self.cursor) {
            return Ok(());
        }
        for shard in &self.spec.shards {
            let due = self.floor.with_pending(*shard, |p| p.take_due(now, AT_ONCE_MAX));
            let due = due.unwrap_or_default();
            if due.is_empty() {
                continue;
            }
            let mut draft = Draft::new(Way::engine());
            draft.urgent = true;
            for (id, entry) in &due {
                crate::metrics::timer_fired(now.0 - entry.due.0);
                put_fired(&mut draft, *id, entry);
            }
            let reply = Some(self.firing.begin());
            let submitted = self.spec.writer.submit(Submission { draft, waiter: None, reply });
            submitted.map_err(|_| Error::Gone("the journal's writer has stopped"))?;
        }
        let next = self.next_due();
        self.spec.link.set_next_due(next);
        Ok(())
    }

    fn next_due(&self) -> Option<Timestamp> {
        let floor = &self.floor;
        let due = |shard: &u16| floor.with_pending(*shard, |pending| pending.next_due()).flatten();
        self.spec.shards.iter().filter_map(due).min()
    }

    /// The dispatcher has begun anew: it is offered everything that is pending.
    pub(super) fn offer_again(&mut self) -> Result<(), Error> {
        for shard in &self.spec.shards {
            self.floor.with_pending(*shard, Pending::offer_again);
        }
        if self.open { self.hand_out_deliveries() } else { Ok(()) }
    }

    /// Offers the dispatcher what it has not seen. Only once caught up: before that, an answer may
    /// be on its way.
    pub(super) fn hand_out_deliveries(&mut self) -> Result<(), Error> {
        self.spec.link.set_next_due(self.next_due());
        for shard in &self.spec.shards {
            let waiting = self.floor.with_pending(*shard, |p| p.take_deliveries(AT_ONCE_MAX));
            for (id, entry) in waiting.unwrap_or_default() {
                let What::Delivery(delivery) = entry.what else { continue };
                let offer = Offer { id, address: entry.address, delivery };
                let offered = self.spec.deliveries.send(offer);
                offered.map_err(|_| Error::Gone("the dispatcher has stopped"))?;
            }
        }
        Ok(())
    }
}
