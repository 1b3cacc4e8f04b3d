//! Writing a record of Kafka down: the event it is and what that tells whom, or a dead letter.
//!
//! A record costs no allocation of its own: its text is written into one buffer, parsed in place
//! and heard into the draft. What is no event becomes a dead letter where it stands, with its
//! bytes; so does an event that nobody could hear. Beside either stand key and headers of the
//! record, for its copy. A tombstone is counted. What is *not* here: where records come from.
//!
//! Invariant: each record is one group, marked with its offset and hashed, whatever it is.

use super::format::{self, Bad, Form, Raw, TopicDefaults};
use super::original::Original;
use super::place::{RECORD, hash};
use crate::handle::Inner;
use crate::hear::{Heard, Hearer, Said, head};
use crate::metrics::kafka as metrics;
use crate::record::tag;
use crate::writer::wall_clock;
use actors::{DomainEvent, KindId, Timestamp, codec, deadletter};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use smallvec::SmallVec;
use state::frame::{Draft, Mark, RecordHead};
use std::panic::AssertUnwindSafe;

/// The longest record that can be an event, in bytes, and how much of a longer one is kept.
const RECORD_BYTES_MAX: usize = 1 << 20;
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Writes records into drafts.
pub(super) struct Scribe {
    /// Our own `source` in events.
    own: String,
    hearer: Hearer,
    defaults: TopicDefaults,
    text: Vec<u8>,
}

impl Scribe {
    /// For a topic whose records mean this where they do not say it.
    pub(super) fn new(inner: &Inner, defaults: TopicDefaults) -> Self {
        let (own, hearer) = (inner.source.clone(), Hearer::new(inner.kinds));
        Self { own, hearer, defaults, text: Vec::new() }
    }

    /// Adds a record's group.
    pub(super) fn take(&mut self, draft: &mut Draft, message: &BorrowedMessage<'_>) {
        let time = message.timestamp().to_millis();
        let mark = Mark::Number { number: message.offset() as u64, index: RECORD };
        draft.begin_hashed_group(mark, hash(time, message.key(), message.payload()));
        self.text.clear();
        let written = if message.payload_len() > RECORD_BYTES_MAX {
            let reason = format!("longer than {RECORD_BYTES_MAX} bytes");
            Err(("too-large", reason))
        } else {
            write(message, &self.defaults, &mut self.text)
        };
        let event = match written {
            Ok(Form::Tombstone) => return metrics::tombstone(),
            Ok(Form::Event) => {
                let now = time.map_or_else(wall_clock, Timestamp);
                DomainEvent::parse(&self.text, now).map_err(|fault| Bad::from(fault).parts())
            }
            Err(bad) => Err(bad),
        };
        match event {
            Ok(event) if event.source == self.own => {}
            Ok(event) => {
                let said = Said { text: &self.text, event: &event };
                let heard = self.hearer.hear_into_group(draft, said, head(tag::EVENT, 0));
                if heard == Heard::DeadLetter {
                    keep_original(draft, message);
                }
            }
            Err((code, reason)) => {
                refuse(draft, message, (code, reason));
                keep_original(draft, message);
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

/// Keeps what a dead letter's copy needs besides the value.
fn keep_original(draft: &mut Draft, message: &BorrowedMessage<'_>) {
    let mut original = Original::new(message.key());
    if let Some(all) = message.headers() {
        for index in 0..all.count() {
            // The library panics over a name that is not UTF-8; that one header is lost.
            let header = std::panic::catch_unwind(AssertUnwindSafe(|| all.get(index)));
            if let Ok(header) = header {
                original.add(header.key, header.value.unwrap_or_default());
            }
        }
    }
    if let Some(bytes) = original.encoded() {
        draft.push(RecordHead { tag: tag::ORIGINAL, kind: KindId(0), depth: 0 }, "", &bytes);
    }
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
    format::structured(&raw, defaults, text).map_err(Bad::parts)
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
