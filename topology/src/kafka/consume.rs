//! Reading: from a partition's queue into the journal, in drafts.
//!
//! A record costs no allocation of its own: its text is written into one buffer, parsed in place
//! and heard into the draft. What is no event becomes a dead letter where it stands, with its
//! bytes; a tombstone is counted. A few drafts are under way at once; each says which group comes
//! before it, so that none lands behind one that was refused.
//!
//! Invariant: whatever this reads is journaled under its offset, in order, or not at all.

use super::Kafka;
use super::advice::describe;
use super::begin::Begin;
use super::client::{Client, Context};
use super::examine;
use super::format::{self, Form, Raw, TopicDefaults};
use super::part::Part;
use super::place::{RECORD, hash};
use crate::handle::Handle;
use crate::hear::{Hearer, Said, head};
use crate::metrics::kafka as metrics;
use crate::record::tag;
use crate::writer::{Submission, wall_clock};
use actors::{DomainEvent, KindId, Timestamp, codec, deadletter};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use smallvec::SmallVec;
use state::frame::{Draft, Mark, RecordHead, Way};
use state::journal::{AppendError, Receipt};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// So many drafts are under way at once: one is read while others are written.
const DRAFTS_MAX: usize = 4;

/// How much a draft has at most.
const BATCH_RECORDS_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 512 << 10;

/// The longest record that can be an event, in bytes, and how much of a longer one is kept.
const RECORD_BYTES_MAX: usize = 1 << 20;
const KEPT_BYTES_MAX: usize = 64 << 10;

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
    pub(super) queue: PartitionQueue<Context>,
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
    hearer: Hearer,
    defaults: TopicDefaults,
    text: Vec<u8>,
    replies: (Sender<Reply>, Receiver<Reply>),
    under_way: usize,
    proven: Instant,
}

/// Reads until the partition is taken from us, or has to be looked at again: then the error says
/// why. Nothing is under way any more when it returns.
pub(super) fn consume(job: Job<'_>) -> Result<(), String> {
    let mut reader = Reader {
        way: job.part.place.way(&job.begin.log),
        next: job.begin.next,
        after: job.begin.after,
        hearer: Hearer::new(job.handle.inner.kinds),
        defaults: TopicDefaults::new(&job.part.place.topic),
        text: Vec::new(),
        replies: channel(),
        under_way: 0,
        proven: Instant::now(),
        job,
    };
    let read = reader.read();
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
    fn read(&mut self) -> Result<(), String> {
        while self.job.part.is_owned() {
            self.await_credit();
            let mut draft = Draft::new(self.way.clone());
            draft.after = Some(self.after);
            draft.withdrawn = Some(self.job.withdrawn.clone());
            let filled = self.fill(&mut draft);
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

    fn await_credit(&self) {
        let part = self.job.part;
        while self.job.handle.inner.overload().is_some() && part.is_owned() {
            part.paused.store(true, Ordering::Relaxed);
            std::thread::sleep(CREDIT_WAIT);
        }
        part.paused.store(false, Ordering::Relaxed);
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
    fn fill(&mut self, draft: &mut Draft) -> Result<(), String> {
        let mut wait = POLL_WAIT;
        let mut read = 0;
        let mut last_ms = None;
        let mut outcome = Ok(());
        while draft.groups() < BATCH_RECORDS_MAX && draft.bytes() < BATCH_BYTES_MAX {
            // The message borrows the queue, which stands beside what is filled.
            let message = match self.job.queue.poll(wait) {
                None => break,
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    let (kind, advice) = describe(&error);
                    metrics::failed(kind);
                    outcome =
                        Err(format!("reading offset {} failed: {error}; {advice}", self.next));
                    break;
                }
            };
            let offset = message.offset() as u64;
            // Never again what we have.
            if offset >= self.next {
                last_ms = message.timestamp().to_millis().or(last_ms);
                let scribe = Scribe {
                    handle: &self.job.handle,
                    hearer: &mut self.hearer,
                    defaults: &self.defaults,
                    text: &mut self.text,
                };
                scribe.take(draft, &message);
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
        if let Some(ms) = last_ms {
            self.job.part.read_to_ms.store(ms.max(0) as u64, Ordering::Relaxed);
        }
        outcome
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

/// Writes records into a draft.
struct Scribe<'a> {
    handle: &'a Handle,
    hearer: &'a mut Hearer,
    defaults: &'a TopicDefaults,
    text: &'a mut Vec<u8>,
}

impl Scribe<'_> {
    fn take(self, draft: &mut Draft, message: &BorrowedMessage<'_>) {
        let offset = message.offset() as u64;
        let time = message.timestamp().to_millis();
        let mark = Mark::Number { number: offset, index: RECORD };
        let print = hash(time, message.key(), message.payload());
        self.text.clear();
        let written = if message.payload_len() > RECORD_BYTES_MAX {
            let reason = format!("longer than {RECORD_BYTES_MAX} bytes");
            Err(("too-large", reason))
        } else {
            write(message, self.defaults, self.text)
        };
        let heard = match written {
            Ok(Form::Tombstone) => {
                metrics::tombstone();
                draft.begin_hashed_group(mark, print);
                return;
            }
            Ok(Form::Event) => {
                let now = time.map_or_else(wall_clock, Timestamp);
                DomainEvent::parse(self.text, now).map_err(|error| ("bad-event", error.to_string()))
            }
            Err(bad) => Err(bad),
        };
        match heard {
            Ok(event) if event.source == self.handle.inner.source => {
                draft.begin_hashed_group(mark, print);
            }
            Ok(event) => {
                draft.begin_hashed_group(mark, print);
                let said = Said { text: self.text, event: &event };
                self.hearer.hear_into_group(draft, said, head(tag::EVENT, 0));
            }
            Err((code, reason)) => {
                draft.begin_hashed_group(mark, print);
                refuse(draft, message, (code, reason));
            }
        }
    }
}

/// Opens a dead letter about a record that is no event, in the group that was begun for it.
fn refuse(draft: &mut Draft, message: &BorrowedMessage<'_>, (code, reason): (&str, String)) {
    metrics::refused(code);
    let bytes = message.payload().unwrap_or_default();
    let kept = &bytes[..bytes.len().min(KEPT_BYTES_MAX)];
    draft.push(RecordHead { tag: tag::REFUSED, kind: KindId(0), depth: 0 }, "", kept);
    let (topic, partition, offset) =
        (message.topic().to_owned(), message.partition(), message.offset() as u64);
    let id = {
        let place = format!("{} {offset}", draft.way());
        format!("k-{:032x}", xxhash_rust::xxh3::xxh3_128(place.as_bytes()))
    };
    let code = code.to_owned();
    let event = deadletter::Event::Refused { topic, partition, offset, code, reason };
    let head = RecordHead { tag: tag::HEARD, kind: KindId::DEAD_LETTER, depth: 0 };
    draft.push(head, &id, &codec::encode(&event));
}

/// Writes a record's event as text.
fn write(
    message: &BorrowedMessage<'_>,
    defaults: &TopicDefaults,
    text: &mut Vec<u8>,
) -> Result<Form, (&'static str, String)> {
    let headers = headers(message)?;
    let raw = Raw {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        headers: &headers,
        value: message.payload(),
        time: message.timestamp().to_millis().map(Timestamp),
    };
    format::structured(&raw, defaults, text).map_err(|bad| (bad.code, bad.reason))
}

type Borrowed<'a> = SmallVec<[(&'a str, &'a [u8]); 12]>;

fn headers<'a>(message: &'a BorrowedMessage<'_>) -> Result<Borrowed<'a>, (&'static str, String)> {
    let Some(all) = message.headers() else { return Ok(Borrowed::new()) };
    // The library panics over a name that is not UTF-8.
    let collect = AssertUnwindSafe(|| {
        all.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect()
    });
    std::panic::catch_unwind(collect)
        .map_err(|_| ("bad-header", "the name of a header is not UTF-8".to_owned()))
}
