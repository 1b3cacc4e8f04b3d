//! Reading: from a partition's queue into the journal, in drafts.
//!
//! A few drafts are under way at once; each says which group comes before it, so that none lands
//! behind one that was refused. While there is no room for more, nothing is polled but the one
//! record at which reading stands still: how long it has waited is how far we are behind. What is
//! *not* here: what a record says (`scribe.rs`).
//!
//! Invariant: whatever this reads is journaled under its offset, in order, or not at all.

use super::Kafka;
use super::advice::describe;
use super::begin::Begin;
use super::client::{Client, Context};
use super::examine;
use super::ffi;
use super::part::Part;
use super::place::RECORD;
use super::scribe::Scribe;
use crate::handle::Handle;
use crate::metrics::kafka as metrics;
use crate::writer::Submission;
use rdkafka::consumer::Consumer;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use state::frame::{Draft, Way};
use state::journal::{AppendError, Receipt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// So many drafts are under way at once: one is read while others are written.
const DRAFTS_MAX: usize = 4;

/// How much a draft has at most.
const BATCH_RECORDS_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 512 << 10;

/// How long a poll of an empty queue waits.
const POLL_WAIT: Duration = Duration::from_millis(50);

/// How long reading waits before it looks again whether the journal has room.
const CREDIT_WAIT: Duration = Duration::from_millis(1);

/// How often the topic is asked whether it is still the same.
const PROVE_EVERY: Duration = Duration::from_secs(5);

/// What is to be read.
pub(super) struct Job<'a> {
    pub(super) kafka: &'a Kafka,
    pub(super) part: &'a Part,
    pub(super) client: &'a Client,
    pub(super) handle: Handle,
    pub(super) begin: Begin,
    pub(super) withdrawn: Arc<AtomicBool>,
}

/// A draft's next offset, how many records it had, and what became of it.
type Reply = (u64, u64, Result<Receipt, AppendError>);

struct Reader<'a> {
    job: Job<'a>,
    way: Way,
    next: u64,
    after: (u64, u16),
    scribe: Scribe,
    replies: (Sender<Reply>, Receiver<Reply>),
    under_way: usize,
    proven: Instant,
}

/// What comes by a partition's queue.
type Next<'q> = Result<BorrowedMessage<'q>, KafkaError>;

/// Reads until the partition is taken from us, or has to be looked at again: then the error says
/// why. Nothing is under way any more when it returns.
pub(super) fn consume(job: Job<'_>, queue: &PartitionQueue<Context>) -> Result<(), String> {
    job.part.lag.begin(job.begin.next);
    let mut reader = Reader {
        way: job.part.place.way(&job.begin.log),
        next: job.begin.next,
        after: job.begin.after,
        scribe: Scribe::new(&job.handle.inner, job.kafka.defaults(&job.part.place.topic)),
        replies: channel(),
        under_way: 0,
        proven: Instant::now(),
        job,
    };
    let read = reader.read(queue);
    // What was refused is refused with all behind it: one word about it is enough.
    let mut settled = Ok(());
    while reader.under_way > 0 {
        let reply = reader.take_reply();
        settled = settled.and(reply);
    }
    reader.job.part.paused.store(false, Ordering::Relaxed);
    read.and(settled)
}

impl Reader<'_> {
    fn read(&mut self, queue: &PartitionQueue<Context>) -> Result<(), String> {
        let mut ahead = None;
        while self.job.part.is_owned() {
            self.await_credit(queue, &mut ahead);
            let mut draft = Draft::new(self.way.clone());
            draft.after = Some(self.after);
            draft.withdrawn = Some(self.job.withdrawn.clone());
            let filled = self.fill(&mut draft, queue, &mut ahead);
            // A draft whose last record could not be had counts up to that.
            if draft.groups() > 0 {
                self.submit(draft)?;
            }
            filled?;
            while self.under_way >= DRAFTS_MAX {
                self.take_reply()?;
            }
            while let Ok(reply) = self.replies.1.try_recv() {
                self.settle(reply)?;
            }
            if self.job.part.anew.load(Ordering::Acquire) {
                return Err("a record came by no queue of its own".to_owned());
            }
            self.prove()?;
        }
        Ok(())
    }

    fn await_credit<'q>(&self, queue: &'q PartitionQueue<Context>, ahead: &mut Option<Next<'q>>) {
        let part = self.job.part;
        while self.job.handle.inner.overload().is_some() && part.is_owned() {
            part.paused.store(true, Ordering::Relaxed);
            if ahead.is_none() {
                *ahead = self.poll(queue, Duration::ZERO);
                if let Some(Ok(message)) = ahead {
                    self.met(message);
                }
            }
            std::thread::sleep(CREDIT_WAIT);
        }
        part.paused.store(false, Ordering::Relaxed);
    }

    /// The next record, or what is wrong; none too where the log ends.
    fn poll<'q>(&self, queue: &'q PartitionQueue<Context>, wait: Duration) -> Option<Next<'q>> {
        let next = queue.poll(wait)?;
        let Err(KafkaError::PartitionEOF(_)) = next else { return Some(next) };
        let Job { part, client, .. } = &self.job;
        let ends = ffi::seen_ends(client.client(), &part.place.topic, part.place.partition);
        if let Some((_, end)) = ends {
            part.lag.met_end(end);
        }
        None
    }

    /// A record is there that is not durable.
    fn met(&self, message: &BorrowedMessage<'_>) {
        let offset = message.offset() as u64;
        if let Some(time_ms) = message.timestamp().to_millis()
            && offset >= self.next
        {
            self.job.part.lag.met(offset, time_ms);
        }
    }

    /// A topic that is deleted and made again while it is read is noticed by its id.
    fn prove(&mut self) -> Result<(), String> {
        if self.proven.elapsed() < PROVE_EVERY {
            return Ok(());
        }
        self.proven = Instant::now();
        let id = examine::topic_id(self.job.client, &self.job.part.place.topic);
        match id {
            Ok(id) if id != self.job.begin.log.topic_id => Err(format!("its topic is now {id}")),
            // Brokers that are away are no other topic.
            _ => Ok(()),
        }
    }

    /// Fills a draft with what is there, and waits a little if nothing is.
    fn fill<'q>(
        &mut self,
        draft: &mut Draft,
        queue: &'q PartitionQueue<Context>,
        ahead: &mut Option<Next<'q>>,
    ) -> Result<(), String> {
        let mut wait = POLL_WAIT;
        let mut read = 0;
        let mut outcome = Ok(());
        while draft.groups() < BATCH_RECORDS_MAX && draft.bytes() < BATCH_BYTES_MAX {
            let Some(next) = ahead.take().or_else(|| self.poll(queue, wait)) else { break };
            let message = match next {
                Ok(message) => message,
                Err(error) => {
                    outcome = Err(self.failed(&error));
                    break;
                }
            };
            let offset = message.offset() as u64;
            // Never again what we have.
            if offset >= self.next {
                if read == 0 {
                    self.met(&message);
                }
                self.scribe.take(draft, &message);
                self.next = offset + 1;
                self.after = (offset, RECORD);
                read += 1;
            }
            wait = Duration::ZERO;
        }
        if read > 0 {
            crate::metrics::received("kafka", read);
            self.job.kafka.mended();
        }
        outcome
    }

    fn failed(&self, error: &KafkaError) -> String {
        let (kind, advice) = describe(error);
        metrics::failed(kind);
        format!("reading offset {} failed: {error}; {advice}", self.next)
    }

    fn submit(&mut self, draft: Draft) -> Result<(), String> {
        let (next, sender) = (self.next, self.replies.0.clone());
        let records = draft.groups() as u64;
        let reply = Box::new(move |result| {
            // A reader that has gone waits for nothing.
            let _ = sender.send((next, records, result));
        });
        let submission = Submission { draft, waiter: None, reply: Some(reply) };
        let submitted = self.job.handle.inner.writer.submit(submission);
        submitted.map_err(|error| error.to_string())?;
        self.under_way += 1;
        Ok(())
    }

    fn take_reply(&mut self) -> Result<(), String> {
        let reply = self.replies.1.recv().expect("we hold a sender");
        self.settle(reply)
    }

    fn settle(&mut self, (next, records, result): Reply) -> Result<(), String> {
        self.under_way -= 1;
        match result {
            Ok(receipt) => {
                let known = receipt.duplicates.len() as u64;
                if known > 0 {
                    tracing::debug!(partition = %self.job.part.place, known, records, "read again");
                }
                self.job.part.is_durable(next, receipt.end.max(receipt.durable_before));
                Ok(())
            }
            Err(error) => Err(format!("what was read is not journaled: {error}")),
        }
    }
}
