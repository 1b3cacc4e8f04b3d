//! Partition consumers: one actor per partition of a source. Each reads raw records on from what
//! the journal knows, decodes them, hears them, and appends them under the partition's own way, so
//! that a repeat of any of it changes nothing.
//!
//! A consumer is a blocking loop on a thread of its own. It keeps a few drafts under way, and waits
//! while too much is in flight: that is all there is of back-pressure.

use crate::handle::Handle;
use crate::hear::{Hearer, Said, head};
use crate::record::tag;
use crate::sources::{Partition, Progress, RawBatch, RawRecord, Reject};
use crate::writer::{Submission, wall_clock};
use actors::event::canonical;
use actors::{DomainEvent, NotAnEvent};
use state::frame::{Draft, Mark, WayKind};
use state::journal::{AppendError, Receipt};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// So many drafts of a consumer are under way at once: one is decoded while others are written.
const DRAFTS_MAX: usize = 4;

/// How many records a draft has at most, and how many bytes.
const BATCH_RECORDS_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 512 << 10;

/// How long a consumer waits after a draft was refused.
const REFUSED_WAIT: Duration = Duration::from_millis(500);

/// How long a consumer waits before it looks again whether it may go on.
const CREDIT_WAIT: Duration = Duration::from_millis(1);

/// What a consumer has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumed {
    /// Journaled now.
    pub accepted: u64,
    /// Journaled before.
    pub duplicates: u64,
    /// No events.
    pub rejected: u64,
    /// The next number to read.
    pub next: u64,
}

/// A partition consumer.
pub struct Consumer {
    handle: Handle,
    partition: Mutex<Partition>,
    /// What `events_received_total` calls where they come from.
    origin: &'static str,
    progress: Mutex<Consumed>,
    stopping: AtomicBool,
}

type Reply = (u64, Result<Receipt, AppendError>);
type Replies = (Sender<Reply>, Receiver<Reply>);

impl Consumer {
    /// A consumer of this partition.
    pub fn new(handle: Handle, partition: Partition, origin: &'static str) -> Arc<Self> {
        Arc::new(Self {
            handle,
            partition: Mutex::new(partition),
            origin,
            progress: Mutex::default(),
            stopping: AtomicBool::new(false),
        })
    }

    /// What it has done so far.
    pub fn progress(&self) -> Consumed {
        *self.progress.lock().expect("nobody panics while copying")
    }

    /// It reads nothing more from now on.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Reads until the source ends or it is told to stop; then everything it has read is durable.
    /// Blocks. Goes on from what the journal knows, at first and whenever a draft was refused.
    pub fn run(&self) -> Result<(), String> {
        // A consumer that has failed begins anew from what the journal knows; the lock only says
        // that there is one loop.
        let mut partition =
            self.partition.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        loop {
            match self.read_on(&mut partition) {
                Err(Stop::Refused(why)) if !self.stopping.load(Ordering::Acquire) => {
                    tracing::warn!(consumer = partition.name, why, "waits and reads again");
                    std::thread::sleep(REFUSED_WAIT);
                }
                Ok(()) | Err(Stop::Refused(_)) => return Ok(()),
                Err(Stop::Failed(why)) => return Err(why),
            }
        }
    }

    fn read_on(&self, partition: &mut Partition) -> Result<(), Stop> {
        let mut hearer = Hearer::new(self.handle.inner.kinds);
        let mut batch = RawBatch::new(BATCH_RECORDS_MAX, BATCH_BYTES_MAX);
        let replies: Replies = channel();
        let mut next = self.next_of(partition)?;
        let mut under_way = 0;
        while !self.stopping.load(Ordering::Acquire) {
            self.await_credit();
            batch.begin(next);
            let progress = partition.source.read(next, &mut batch);
            let progress = progress.map_err(|error| Stop::Failed(error.to_string()))?;
            next = batch.next().max(next);
            if !batch.is_empty() {
                let draft = self.hear(&mut hearer, partition, &batch);
                self.submit(draft, &replies)?;
                under_way += 1;
            }
            let ended = progress == Progress::End;
            while under_way >= DRAFTS_MAX || (under_way > 0 && ended) {
                self.take_reply(&replies)?;
                under_way -= 1;
            }
            match progress {
                Progress::More => {}
                Progress::Idle(pause) => std::thread::sleep(pause),
                Progress::End => break,
            }
        }
        for _ in 0..under_way {
            self.take_reply(&replies)?;
        }
        Ok(())
    }

    /// The first number of the partition that the journal does not have.
    fn next_of(&self, partition: &Partition) -> Result<u64, Stop> {
        let (sender, receiver) = channel();
        let way = partition.way.clone();
        let asked = self.handle.inner.writer.look(move |journal| {
            // Whoever asked may have gone.
            let _ = sender.send(journal.origins().next(&way));
        });
        asked.map_err(|error| Stop::Failed(error.to_string()))?;
        receiver.recv().map_err(|_| Stop::Failed("the journal's writer has stopped".to_owned()))
    }

    fn await_credit(&self) {
        while self.handle.inner.overload().is_some() && !self.stopping.load(Ordering::Acquire) {
            std::thread::sleep(CREDIT_WAIT);
        }
    }

    fn hear(&self, hearer: &mut Hearer, partition: &mut Partition, batch: &RawBatch) -> Draft {
        let mut draft = Draft::new(partition.way.clone());
        // Several drafts are under way: when one is refused, those behind it must be too, or its
        // events would count as read.
        draft.contiguous = partition.way.kind == WayKind::Producer;
        let mut rejects: Vec<Reject> = batch.rejects().to_vec();
        let mut already = batch.rejects().iter().map(|reject| reject.number).peekable();
        for record in batch.records() {
            // What is no event consumes its number all the same, in order.
            while let Some(number) = already.next_if(|number| *number < record.number) {
                draft.begin_group(Mark::Number { number, index: 0 });
            }
            if let Err(error) = self.hear_one(hearer, &mut draft, &record) {
                draft.begin_group(Mark::Number { number: record.number, index: 0 });
                rejects.push(Reject {
                    number: record.number,
                    place: record.place,
                    code: "bad-request",
                    reason: error.to_string(),
                });
            }
        }
        for number in already {
            draft.begin_group(Mark::Number { number, index: 0 });
        }
        crate::metrics::received(self.origin, batch.len() as u64);
        let mut progress = self.progress.lock().expect("nobody panics while counting");
        // What is read again after a refusal was told before.
        rejects.retain(|reject| reject.number >= progress.next);
        progress.rejected += rejects.len() as u64;
        progress.next = progress.next.max(batch.next());
        drop(progress);
        rejects.sort_unstable_by_key(|reject| reject.number);
        for reject in &rejects {
            (partition.on_reject)(reject);
        }
        draft
    }

    fn hear_one(
        &self,
        hearer: &mut Hearer,
        draft: &mut Draft,
        record: &RawRecord<'_>,
    ) -> Result<(), NotAnEvent> {
        let now = record.time.unwrap_or_else(wall_clock);
        let text = structured(record.bytes)?;
        let event = DomainEvent::parse(&text, now)?;
        let mark = Mark::Number { number: record.number, index: 0 };
        if event.source == self.handle.inner.source {
            draft.begin_group(mark);
            return Ok(());
        }
        hearer.hear(draft, mark, Said { text: &text, event: &event }, head(tag::EVENT, 0));
        Ok(())
    }

    fn submit(&self, draft: Draft, replies: &Replies) -> Result<(), Stop> {
        let reply = replies.0.clone();
        let groups = draft.groups() as u64;
        let submission = Submission {
            draft,
            waiter: None,
            reply: Some(Box::new(move |result| {
                // A consumer that has failed waits for nothing.
                let _ = reply.send((groups, result));
            })),
        };
        let submitted = self.handle.inner.writer.submit(submission);
        submitted.map_err(|error| Stop::Failed(error.to_string()))
    }

    fn take_reply(&self, replies: &Replies) -> Result<(), Stop> {
        let stopped = |_| Stop::Failed("the journal's writer has stopped".to_owned());
        let (groups, result) = replies.1.recv().map_err(stopped)?;
        let receipt = result.map_err(|error| match error {
            AppendError::DiskFull(_) | AppendError::SequenceGap { .. } => {
                Stop::Refused(error.to_string())
            }
            _ => Stop::Failed(error.to_string()),
        })?;
        let duplicates = receipt.duplicates.len() as u64;
        let mut done = self.progress.lock().expect("nobody panics while counting");
        done.accepted += groups - duplicates;
        done.duplicates += duplicates;
        Ok(())
    }
}

/// Why a consumer does not read on.
enum Stop {
    /// The journal has no room now, or had none for the draft before: to be read again.
    Refused(String),
    /// It has to be started anew.
    Failed(String),
}

/// A line as structured CloudEvents JSON: it is that already, or the plain envelope.
fn structured(bytes: &[u8]) -> Result<Cow<'_, [u8]>, NotAnEvent> {
    if looks_like_envelope(bytes) {
        return canonical::envelope(bytes).map(Cow::Owned);
    }
    Ok(Cow::Borrowed(bytes))
}

/// The plain envelope has no `specversion`, but an `eventType`.
fn looks_like_envelope(bytes: &[u8]) -> bool {
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    !bytes.starts_with(b"{\"specversion\"") && !has(b"\"specversion\"") && has(b"\"eventType\"")
}
