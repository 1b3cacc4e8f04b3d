//! The journal's writer: one OS thread that takes drafts from everybody, appends what has queued
//! while the last fsync ran, commits it, and then tells each of them.
//!
//! It waits for nobody but the disk. A failed commit is fatal: the thread ends, the tree notices,
//! the process exits and starts again from what is durable. The shell is here, the journal itself
//! is `state`'s.

use crate::waiters::{Waiter, Waiters};
use actors::{Position, Timestamp};
use state::frame::Draft;
use state::journal::{AppendError, Error, Journal, Receipt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{oneshot, watch};

/// What a commit takes in at most, so that the first of it does not wait long.
const COMMIT_BYTES_MAX: usize = 4 << 20;

/// So long a commit that nobody waits for may be put off, so that it shares its fsync with one that
/// somebody waits for. What entities cause follows a command at once, and would else be what the
/// next command finds the disk busy with.
const PATIENCE: Duration = Duration::from_micros(700);

/// An idle journal is sealed after this, so that its last frame is vouched for.
const SEAL_AFTER: Duration = Duration::from_millis(200);

/// A clock that jumps further than this against the steady one is counted and logged.
const CLOCK_JUMP_MS_MAX: i64 = 2_000;

/// Whom to tell what became of a draft, once it is durable. Runs on the writer's thread: it must
/// not wait.
pub type Reply = Box<dyn FnOnce(Result<Receipt, AppendError>) + Send>;

/// A draft on its way to the writer.
pub struct Submission {
    /// What to append.
    pub draft: Draft,
    /// Who waits for what becomes of its first record: told by the worker that applies it, or by
    /// the writer that it cannot be appended.
    pub waiter: Option<Waiter>,
    /// Whom to tell that it is durable, or why it cannot be. Nobody needs both.
    pub reply: Option<Reply>,
}

enum Message {
    Append(Submission),
    SaveOrigins,
    DropBelow(Position, oneshot::Sender<Result<Position, Error>>),
    With(Box<dyn FnOnce(&Journal) + Send>),
    Stop,
}

/// What everybody may know of the writer.
#[derive(Debug)]
pub struct Gauge {
    /// Bytes handed in and not durable yet.
    pub unwritten_bytes: AtomicU64,
    /// Whether intake was turned away for want of disk space at the last try.
    pub disk_full: AtomicBool,
    durable: watch::Sender<Position>,
}

/// A way to hand drafts to the writer. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    sender: Sender<Message>,
    gauge: Arc<Gauge>,
}

/// The writer is gone: the process is stopping.
#[derive(Debug, thiserror::Error)]
#[error("the journal's writer has stopped")]
pub struct Gone;

impl Writer {
    /// Hands a draft in.
    pub fn submit(&self, submission: Submission) -> Result<(), Gone> {
        let bytes = submission.draft.bytes() as u64;
        self.gauge.unwritten_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.sender.send(Message::Append(submission)).map_err(|_| Gone)
    }

    /// Hands a draft in, to be told when it is durable.
    pub async fn append(&self, draft: Draft) -> Result<Result<Receipt, AppendError>, Gone> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let reply: Reply = Box::new(move |result| {
            // Whoever asked may have gone; the draft is journaled all the same.
            let _ = sender.send(result);
        });
        self.submit(Submission { draft, waiter: None, reply: Some(reply) })?;
        receiver.await.map_err(|_| Gone)
    }

    /// Looks at the journal, between two commits.
    pub async fn with<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Journal) -> R + Send + 'static,
    ) -> Result<R, Gone> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.look(move |journal| {
            // Whoever asked may have gone.
            let _ = sender.send(look(journal));
        })?;
        receiver.await.map_err(|_| Gone)
    }

    /// Looks at the journal, between two commits, without being told.
    pub fn look(&self, look: impl FnOnce(&Journal) + Send + 'static) -> Result<(), Gone> {
        self.sender.send(Message::With(Box::new(look))).map_err(|_| Gone)
    }

    /// Has the origin table saved.
    pub fn save_origins(&self) -> Result<(), Gone> {
        self.sender.send(Message::SaveOrigins).map_err(|_| Gone)
    }

    /// Removes the journal's files below a position, as far as nobody needs them. Answers the first
    /// position that is still there.
    pub async fn drop_below(&self, floor: Position) -> Result<Result<Position, Error>, Gone> {
        let (sender, receiver) = oneshot::channel();
        self.sender.send(Message::DropBelow(floor, sender)).map_err(|_| Gone)?;
        receiver.await.map_err(|_| Gone)
    }

    /// Seals the journal and ends the thread once everything handed in so far is durable.
    pub fn stop(&self) {
        // An ended writer has stopped already.
        let _ = self.sender.send(Message::Stop);
    }

    /// What everybody may know.
    pub fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// The journal's durable end, as it moves.
    pub fn durable(&self) -> watch::Receiver<Position> {
        self.gauge.durable.subscribe()
    }
}

/// The thread's own side.
pub struct Loop {
    journal: Journal,
    receiver: Receiver<Message>,
    gauge: Arc<Gauge>,
    waiters: Arc<Waiters>,
    clock: Clock,
    sealed: bool,
    /// What is urgent and found the disk full.
    deferred: VecDeque<Submission>,
}

type Replies = Vec<(Reply, Result<Receipt, AppendError>)>;

/// A writer for this journal, and its thread's side, to be [`Loop::run`].
pub fn writer(journal: Journal, waiters: Arc<Waiters>) -> (Writer, Loop) {
    let (sender, receiver) = channel();
    let (durable, _) = watch::channel(journal.reader().durable());
    let gauge = Arc::new(Gauge {
        unwritten_bytes: AtomicU64::new(0),
        disk_full: AtomicBool::new(false),
        durable,
    });
    let writer = Writer { sender, gauge: gauge.clone() };
    let clock = Clock::new();
    let deferred = VecDeque::new();
    (writer, Loop { journal, receiver, gauge, waiters, clock, sealed: false, deferred })
}

impl Loop {
    /// Appends and commits until it is told to stop or the disk fails. Then nobody is kept waiting.
    pub fn run(mut self) -> Result<(), Error> {
        let ended = self.work();
        if ended.is_err() {
            self.waiters.strand_all();
        }
        ended
    }

    fn work(&mut self) -> Result<(), Error> {
        loop {
            let go_on = match self.receiver.recv_timeout(SEAL_AFTER) {
                Ok(message) => self.round(message)?,
                Err(RecvTimeoutError::Timeout) => {
                    self.rest()?;
                    true
                }
                Err(RecvTimeoutError::Disconnected) => false,
            };
            if !go_on {
                return self.end();
            }
            self.look_for_room();
        }
    }

    /// Nothing to do: the last frame is vouched for, and the next segment is made ready.
    fn rest(&mut self) -> Result<(), Error> {
        if !self.deferred.is_empty() {
            let mut replies = Vec::new();
            self.append_deferred(&mut replies);
            return self.commit(replies, Instant::now(), Duration::ZERO);
        }
        if !self.sealed {
            self.seal()?;
            self.sealed = true;
        }
        Ok(())
    }

    /// While the disk is full, intake is turned away before it comes here: only who looks finds out
    /// that there is room again.
    fn look_for_room(&self) {
        if self.gauge.disk_full.load(Ordering::Relaxed) && self.journal.spares().are_ready() {
            self.gauge.disk_full.store(false, Ordering::Relaxed);
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        self.seal()?;
        self.save_origins();
        Ok(())
    }

    /// A journal that has no room for a seal goes on without one.
    fn seal(&mut self) -> Result<(), Error> {
        match self.journal.seal(self.clock.now()) {
            Ok(()) => Ok(()),
            Err(AppendError::Failed(error)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the journal is not sealed");
                Ok(())
            }
        }
    }

    /// A table that cannot be saved makes the next start longer, and no more.
    fn save_origins(&mut self) {
        if let Err(error) = self.journal.save_origins() {
            tracing::warn!(%error, "the origin table is not saved");
        }
    }

    /// Takes in what has queued, commits it, tells everybody. False if it is to stop.
    fn round(&mut self, first: Message) -> Result<bool, Error> {
        let started = Instant::now();
        let mut replies = Replies::new();
        self.append_deferred(&mut replies);
        let mut taken = 0;
        let mut go_on = true;
        // Whether nobody outside waits for this commit.
        let mut patient = true;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Append(submission) => {
                    patient &= submission.draft.urgent;
                    taken += submission.draft.bytes();
                    self.append(submission, &mut replies);
                }
                Message::SaveOrigins => {
                    self.journal.commit()?;
                    self.save_origins();
                }
                Message::DropBelow(floor, done) => {
                    // Whoever asked may have gone.
                    let _ = done.send(self.journal.drop_below(floor));
                }
                Message::With(look) => {
                    patient = false;
                    look(&self.journal);
                }
                Message::Stop => {
                    go_on = false;
                    break;
                }
            }
            let wait_max = if patient { PATIENCE } else { Duration::ZERO };
            next = self.company(taken, wait_max.saturating_sub(started.elapsed()));
        }
        if taken > 0 || !replies.is_empty() {
            self.commit(replies, started, started.elapsed())?;
        }
        self.gauge.unwritten_bytes.fetch_sub(taken as u64, Ordering::Relaxed);
        Ok(go_on)
    }

    /// What else goes into a commit that has taken in so many bytes.
    fn company(&self, taken: usize, wait_max: Duration) -> Option<Message> {
        if taken >= COMMIT_BYTES_MAX {
            return None;
        }
        let queued = self.receiver.try_recv().ok();
        if queued.is_some() || wait_max.is_zero() {
            return queued;
        }
        self.receiver.recv_timeout(wait_max).ok()
    }

    fn commit(&mut self, replies: Replies, from: Instant, appended: Duration) -> Result<(), Error> {
        let durable = self.journal.commit()?;
        self.sealed = false;
        self.gauge.durable.send_replace(durable);
        crate::metrics::committed(appended, from.elapsed());
        for (reply, result) in replies {
            reply(result);
        }
        Ok(())
    }

    /// Effects, timers and answers for which there was no room are tried again, in their order,
    /// before anything new.
    fn append_deferred(&mut self, replies: &mut Replies) {
        while let Some(submission) = self.deferred.pop_front() {
            if let Some(again) = self.try_append(submission, replies) {
                self.deferred.push_front(again);
                return;
            }
        }
    }

    fn append(&mut self, submission: Submission, replies: &mut Replies) {
        if submission.draft.urgent && !self.deferred.is_empty() {
            self.deferred.push_back(submission);
        } else if let Some(later) = self.try_append(submission, replies) {
            self.deferred.push_back(later);
        }
    }

    /// Appends a draft. Gives back one that must wait until the disk has room: what is urgent is
    /// never refused.
    fn try_append(
        &mut self,
        mut submission: Submission,
        replies: &mut Replies,
    ) -> Option<Submission> {
        let now = self.clock.now();
        match self.journal.append(&submission.draft, now) {
            Ok(receipt) => {
                self.gauge.disk_full.store(false, Ordering::Relaxed);
                crate::metrics::appended(receipt.end - receipt.base);
                if let Some(waiter) = submission.waiter.take() {
                    self.waiters.register(waiter, receipt.base, receipt.end);
                }
                replies.extend(submission.reply.map(|reply| (reply, Ok(receipt))));
            }
            Err(error) => {
                if matches!(error, AppendError::DiskFull(_)) {
                    self.gauge.disk_full.store(true, Ordering::Relaxed);
                    if submission.draft.urgent {
                        return Some(submission);
                    }
                }
                match submission.waiter {
                    // Whoever asked may have gone.
                    Some(waiter) => drop(waiter.send(Err(error))),
                    None => replies.extend(submission.reply.map(|reply| (reply, Err(error)))),
                }
            }
        }
        None
    }
}

/// The writer's clock: the machine's, but never backwards.
struct Clock {
    last: Timestamp,
    steady: Instant,
    steady_at: i64,
}

impl Clock {
    fn new() -> Self {
        let now = wall_clock();
        Self { last: now, steady: Instant::now(), steady_at: now.0 }
    }

    fn now(&mut self) -> Timestamp {
        let now = wall_clock();
        let elapsed = i64::try_from(self.steady.elapsed().as_millis()).unwrap_or(i64::MAX);
        let jump = now.0 - self.steady_at.saturating_add(elapsed);
        if jump.abs() > CLOCK_JUMP_MS_MAX {
            tracing::warn!(jump_ms = jump, "the machine's clock has jumped");
            crate::metrics::clock_jumped();
            self.steady = Instant::now();
            self.steady_at = now.0;
        }
        self.last = self.last.max(now);
        self.last
    }
}

/// The machine's time.
pub fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
