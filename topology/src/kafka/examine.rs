//! Asking: what the brokers say of a partition, and what the journal does.
//!
//! The answers are judged in `proof.rs`. A record is read again through a client of its own, which
//! is in no group, so that a look disturbs nobody's reading. Everything here has a time limit, and
//! fails with words for the operator: without brokers the partition waits, and asks again.

use super::client::{Client, base_config, log};
use super::place::{Known, Place, hash};
use super::proof::Log;
use super::{Kafka, ffi};
use crate::writer::Writer;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// How long the brokers may take for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long one poll of a look waits.
const POLL_WAIT: Duration = Duration::from_millis(100);

/// What was found about a partition.
pub(super) struct Exam {
    pub(super) log: Log,
    pub(super) known: Option<Known>,
    /// Whether the journal has read other partitions of the topic.
    pub(super) has_siblings: bool,
    pub(super) committed: Option<Committed>,
}

/// What the group has committed.
pub(super) struct Committed {
    pub(super) offset: u64,
    /// By whom, if the metadata say so.
    pub(super) by: Option<Metadata>,
}

/// What stands beside an offset of ours in the group.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Metadata {
    /// Which journal has the records below.
    pub(super) journal: String,
    /// Up to which position.
    pub(super) position: u64,
}

/// Asks the brokers and the journal about a partition.
pub(super) fn look(client: &Client, writer: &Writer, place: &Place) -> Result<Exam, String> {
    let Place { topic, partition } = place;
    let topic_id = topic_id(client, topic)?;
    let ends = client.fetch_watermarks(topic, *partition, ANSWER_MAX);
    let (start, end) =
        ends.map_err(|error| format!("asking for the log's ends failed: {error}"))?;
    let log = Log { topic_id, start: start.max(0) as u64, end: end.max(0) as u64 };
    let committed = committed(client, place)
        .map_err(|error| format!("asking for the group's offset failed: {error}"))?;
    let (known, has_siblings) = of_journal(writer, place, &log.topic_id)?;
    Ok(Exam { log, known, has_siblings, committed })
}

/// The topic's id, from the brokers.
pub(super) fn topic_id(client: &Client, topic: &str) -> Result<String, String> {
    let id = ffi::topic_id(client.client(), topic, ANSWER_MAX);
    id.map_err(|error| format!("asking for the id of topic {topic} failed: {error}"))
}

fn of_journal(
    writer: &Writer,
    place: &Place,
    topic_id: &str,
) -> Result<(Option<Known>, bool), String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let (place, topic_id) = (place.clone(), topic_id.to_owned());
    let asked = writer.look(move |journal| {
        let origins = journal.origins();
        // Whoever asked may have gone.
        let _ = sender.send((place.known(origins), Place::has_siblings(&topic_id, origins)));
    });
    asked.map_err(|error| error.to_string())?;
    receiver.recv().map_err(|_| "the journal's writer has stopped".to_owned())
}

fn committed(client: &Client, place: &Place) -> KafkaResult<Option<Committed>> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&place.topic, place.partition);
    let answer = client.committed_offsets(asked, ANSWER_MAX)?;
    let element = answer.find_partition(&place.topic, place.partition);
    let Some(element) = element else { return Ok(None) };
    element.error()?;
    let Offset::Offset(offset) = element.offset() else { return Ok(None) };
    let by = serde_json::from_str(element.metadata()).ok();
    Ok(Some(Committed { offset: offset.max(0) as u64, by }))
}

/// A client that only looks.
pub(super) type Looker = BaseConsumer<Silent>;

/// A context that passes the log on, and nothing else.
pub(super) struct Silent;

impl ClientContext for Silent {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, _: KafkaError, _: &str) {
        // The client that reads meets the same, and says so.
    }
}

impl ConsumerContext for Silent {}

/// The hash of the record at this offset; `None` if there is none.
pub(super) fn hash_at(kafka: &Kafka, place: &Place, offset: u64) -> Result<Option<u64>, String> {
    let found = look_at(kafka, place, offset)?.filter(|found| found.offset == offset);
    Ok(found.map(|found| found.hash))
}

/// The time of the first record from this offset on, in ms; `None` if there is none, or if it has
/// no time.
pub(super) fn time_from(kafka: &Kafka, place: &Place, offset: u64) -> Result<Option<i64>, String> {
    Ok(look_at(kafka, place, offset)?.and_then(|found| found.time_ms))
}

/// A record that was looked at.
struct Found {
    offset: u64,
    time_ms: Option<i64>,
    hash: u64,
}

/// The first record from this offset on.
fn look_at(kafka: &Kafka, place: &Place, offset: u64) -> Result<Option<Found>, String> {
    let mut looker = kafka.looker.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if looker.is_none() {
        let mut config = base_config(kafka);
        config.set("enable.partition.eof", "true").set("queued.min.messages", "1");
        let made = config.create_with_context(Silent);
        *looker = Some(made.map_err(|error| format!("making a client to look failed: {error}"))?);
    }
    let looker = looker.as_ref().expect("it was made just now");
    let read = read_one(looker, place, offset);
    if let Err(error) = looker.unassign() {
        tracing::debug!(%error, "a look could not be ended");
    }
    read.map_err(|error| format!("reading offset {offset} of {place} again failed: {error}"))
}

fn read_one(looker: &Looker, place: &Place, offset: u64) -> KafkaResult<Option<Found>> {
    let mut wanted = TopicPartitionList::new();
    let from = Offset::Offset(offset as i64);
    wanted.add_partition_offset(&place.topic, place.partition, from)?;
    looker.assign(&wanted)?;
    let deadline = Instant::now() + ANSWER_MAX;
    let mut failed = None;
    while Instant::now() < deadline {
        match looker.poll(POLL_WAIT) {
            None => {}
            Some(Ok(message)) => {
                let time_ms = message.timestamp().to_millis();
                let hash = hash(time_ms, message.key(), message.payload());
                return Ok(Some(Found { offset: message.offset() as u64, time_ms, hash }));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
            Some(Err(error)) => {
                let out_of_range = [
                    Some(RDKafkaErrorCode::AutoOffsetReset),
                    Some(RDKafkaErrorCode::OffsetOutOfRange),
                ];
                if out_of_range.contains(&error.rdkafka_error_code()) {
                    return Ok(None);
                }
                failed = Some(error);
            }
        }
    }
    let timed_out = KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
    Err(failed.unwrap_or(timed_out))
}
