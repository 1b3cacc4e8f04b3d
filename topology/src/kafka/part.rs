//! One partition, on a thread of its own: prove the log, begin, read; and wait where somebody has
//! to decide.
//!
//! The thread lives as long as the process and works while the partition is ours. Whatever goes
//! wrong (no brokers, a refused draft, an offset that is not there) ends in the same place: the
//! partition is unassigned, looked at again, and read on from what the journal knows.
//!
//! Invariant: nothing is assigned that is not ours and not proven; nothing is appended after the
//! partition was handed over.

use super::Kafka;
use super::client::{Client, Context};
use super::consume::{Job, consume};
use super::examine::{self, Metadata};
use super::lag::Lag;
use super::place::Place;
use super::proof::Decision;
use rdkafka::consumer::Consumer;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::{Offset, TopicPartitionList};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long a partition waits before it is looked at again, after a failure or for a decision.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// A partition that waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) code: &'static str,
    pub(crate) why: String,
}

/// Whom to tell that a decision is journaled.
pub(super) type Told = tokio::sync::oneshot::Sender<()>;

#[derive(Default)]
pub(super) struct State {
    /// The group has given it to us.
    owned: bool,
    /// Its thread is at work on it.
    working: bool,
    /// librdkafka fetches it.
    assigned: bool,
    /// Set when it is taken from us before it has finished.
    pub(super) withdrawn: Arc<AtomicBool>,
    pub(super) waiting: Option<Waiting>,
    /// The offset that would be next, while it waits.
    pub(super) would_be_next: Option<u64>,
    pub(super) decision: Option<(Decision, Option<Told>)>,
    pub(super) last_error: Option<String>,
}

/// What is durable of a partition: the next offset, and up to which position that is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Durable {
    next: Option<u64>,
    position: u64,
    committed: Option<u64>,
}

/// A partition.
pub(crate) struct Part {
    pub(super) place: Place,
    /// The journal's id.
    journal: String,
    state: Mutex<State>,
    changed: Condvar,
    durable: Mutex<Durable>,
    /// The log as it was last looked at.
    pub(super) log_start: AtomicU64,
    pub(super) log_end: AtomicU64,
    /// What is not durable of it.
    pub(super) lag: Lag,
    /// It waits for the journal.
    pub(super) paused: AtomicBool,
    /// It is to be looked at again.
    pub(super) anew: AtomicBool,
}

impl Part {
    pub(super) fn new(place: Place, journal: String) -> Self {
        Self {
            place,
            journal,
            anew: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
            durable: Mutex::default(),
            log_start: AtomicU64::new(0),
            log_end: AtomicU64::new(0),
            lag: Lag::default(),
            paused: AtomicBool::new(false),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The group has given it to us.
    pub(super) fn give(&self) {
        // What was durable when it was ours before says nothing: others may have read since.
        *self.durable.lock().expect("nobody panics while copying") = Durable::default();
        self.state().owned = true;
        self.changed.notify_all();
    }

    /// It is not ours any more: its thread finishes what it has in flight.
    pub(super) fn release(&self) {
        self.state().owned = false;
        self.changed.notify_all();
    }

    /// Waits until its thread has finished. False if it took too long: then what it had in flight
    /// is withdrawn.
    pub(super) fn finished(&self, deadline: Instant) -> bool {
        let mut state = self.state();
        while state.working {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.withdrawn.store(true, Ordering::Release);
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        true
    }

    /// Whether it has to be unassigned; from now on it is not assigned.
    pub(super) fn let_go(&self) -> bool {
        std::mem::take(&mut self.state().assigned)
    }

    /// The offset to commit, and what is to stand beside it, if it has moved since the last time.
    pub(super) fn to_commit(&self) -> Option<(u64, String)> {
        let mut durable = self.durable.lock().expect("nobody panics while copying");
        let next = durable.next.filter(|next| durable.committed != Some(*next))?;
        durable.committed = Some(next);
        let metadata = Metadata { journal: self.journal.clone(), position: durable.position };
        Some((next, serde_json::to_string(&metadata).expect("it has string keys")))
    }

    /// The last offset to commit did not reach the brokers.
    pub(super) fn was_not_committed(&self) {
        self.durable.lock().expect("nobody panics while copying").committed = None;
    }

    /// Everything below this offset is durable, and below this position of the journal.
    pub(super) fn is_durable(&self, next: u64, position: u64) {
        let mut durable = self.durable.lock().expect("nobody panics while copying");
        (durable.next, durable.position) = (Some(next), position);
        self.lag.durable(next);
    }

    /// The first offset that is not durable. Only what was proven is ever committed, so one that
    /// waits has another place for it.
    pub(super) fn position(&self) -> Option<u64> {
        let durable = self.durable.lock().expect("nobody panics while copying").next;
        durable.or_else(|| self.state().would_be_next)
    }

    /// Whether it is ours, and what it waits for, and what went wrong last.
    pub(super) fn standing(&self) -> (bool, Option<Waiting>, Option<String>) {
        let state = self.state();
        (state.owned, state.waiting.clone(), state.last_error.clone())
    }

    pub(super) fn is_owned(&self) -> bool {
        self.state().owned
    }

    /// Tells it what somebody has decided. False if it waits for nothing.
    pub(super) fn decide(&self, decision: Decision, told: Option<Told>) -> bool {
        let mut state = self.state();
        if state.waiting.is_none() {
            return false;
        }
        state.decision = Some((decision, told));
        self.changed.notify_all();
        true
    }

    /// Its thread: works while it is ours, until the engine stops.
    pub(super) fn run(&self, kafka: &Kafka) {
        loop {
            let mut state = self.state();
            state.working = false;
            self.changed.notify_all();
            while !state.owned && !kafka.is_stopping() {
                let waited = self.changed.wait_timeout(state, AGAIN);
                state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
            }
            if kafka.is_stopping() {
                return;
            }
            state.working = true;
            state.withdrawn = Arc::default();
            drop(state);
            while self.is_owned() {
                if let Err(why) = self.once(kafka) {
                    self.failed(why);
                    self.sleep(AGAIN);
                }
            }
            self.state().waiting = None;
        }
    }

    fn failed(&self, why: String) {
        let mut state = self.state();
        if state.last_error.as_ref() != Some(&why) {
            tracing::warn!(partition = %self.place, why, "it is looked at again");
            state.last_error = Some(why);
        }
    }

    /// Waits, but not longer than it is ours and nobody has decided anything.
    pub(super) fn sleep(&self, pause: Duration) {
        let state = self.state();
        let idle = |state: &mut State| state.owned && state.decision.is_none();
        drop(self.changed.wait_timeout_while(state, pause, idle));
    }

    /// From the proof to the end of reading.
    fn once(&self, kafka: &Kafka) -> Result<(), String> {
        let client = kafka.client().ok_or("the client is not there yet")?;
        self.unassign(&client)?;
        let handle = kafka.handle().ok_or("the engine has stopped")?;
        let exam = examine::look(&client, &handle.inner.writer, &self.place)?;
        kafka.mended();
        self.log_start.store(exam.log.start, Ordering::Relaxed);
        self.log_end.store(exam.log.end, Ordering::Relaxed);
        let Some(begin) = self.begin(kafka, &handle.inner.writer, &exam)? else { return Ok(()) };
        self.anew.store(false, Ordering::Release);
        let Some(queue) = self.assign(&client, begin.next)? else { return Ok(()) };
        self.state().last_error = None;
        let withdrawn = self.state().withdrawn.clone();
        let job = Job { kafka, part: self, client: &client, handle, begin, withdrawn };
        consume(job, &queue)
    }

    fn list(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.place.topic, self.place.partition);
        list
    }

    fn unassign(&self, client: &Client) -> Result<(), String> {
        let mut state = self.state();
        if !std::mem::take(&mut state.assigned) {
            return Ok(());
        }
        let done = client.incremental_unassign(&self.list());
        done.map_err(|error| format!("unassigning it failed: {error}"))
    }

    /// Has librdkafka fetch it from this offset on, into a queue of its own. `None` if it is not
    /// ours any more.
    fn assign(
        &self,
        client: &Arc<Client>,
        next: u64,
    ) -> Result<Option<PartitionQueue<Context>>, String> {
        let mut state = self.state();
        if !state.owned {
            return Ok(None);
        }
        let Place { topic, partition } = &self.place;
        // Before it is assigned: so that no record ever comes by the common queue.
        let queue = client.split_partition_queue(topic, *partition);
        let queue = queue.ok_or("it has no queue of its own")?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, *partition, Offset::Offset(next as i64))
            .and_then(|()| client.incremental_assign(&list))
            .map_err(|error| format!("assigning it at offset {next} failed: {error}"))?;
        state.assigned = true;
        Ok(Some(queue))
    }
}
