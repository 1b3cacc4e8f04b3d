//! The sink's cursor in Kafka: one record a transaction, in a compacted topic of the journal's own,
//! in the same transaction as the messages it is about.
//!
//! It is read back when a connection begins, after the transactional id was taken up: then no
//! transaction of ours is open, and what is committed is what counts. What is *not* here: sending.

use super::message::Message;
use super::outlet::ANSWER_MAX;
use super::{Error, Silent, topics};
use actors::Position;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// The key of the sink's cursor.
const KEY: &str = "sink";

/// How many offsets before its end the topic is read from at first.
const LOOK_BACK: i64 = 64;

const POLL_WAIT: Duration = Duration::from_millis(100);

/// What the topic holds.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    journal: String,
    /// Every published event below this position has been sent.
    next: Position,
}

/// The topic of this journal's cursors.
fn topic(journal: &str) -> String {
    format!("bellwether.cursors.{journal}")
}

/// The cursor as a message.
pub(super) fn message(journal: &str, next: Position) -> Message {
    let mark = Mark { journal: journal.to_owned(), next };
    let value = serde_json::to_vec(&mark).expect("plain values have a JSON form");
    Message {
        topic: topic(journal),
        key: Some(KEY.into()),
        headers: Vec::new(),
        value: Some(value),
    }
}

/// The cursor that was committed last; `None` if there is none. Makes the topic if it is not there.
///
/// # Errors
/// The brokers refuse, or do not answer.
pub(super) fn read(
    config: &ClientConfig,
    journal: &str,
    runtime: &tokio::runtime::Handle,
) -> Result<Option<Position>, Error> {
    let topic = topic(journal);
    let tried = Error::kafka("reading the topic of cursors");
    let mut config = config.clone();
    config
        // Nothing is ever committed to it; librdkafka wants one all the same.
        .set("group.id", &topic)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true");
    let consumer: BaseConsumer<Silent> = config.create_with_context(Silent).map_err(&tried)?;
    let metadata = consumer.fetch_metadata(Some(&topic), ANSWER_MAX).map_err(&tried)?;
    if metadata.topics().iter().all(|found| found.partitions().is_empty()) {
        let new = topics::new(&topic, Some(1))
            .set("cleanup.policy", "compact")
            .set("segment.bytes", "1048576");
        if topics::make(&config, &new, runtime)? {
            return Ok(None);
        }
        // It was only not seen, as after a broker's start, and may hold a cursor.
        return Err(tried(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic)));
    }
    let (low, high) = consumer.fetch_watermarks(&topic, 0, ANSWER_MAX).map_err(&tried)?;
    let mut from = high;
    let mut step = LOOK_BACK;
    while from > low {
        from = (from - step).max(low);
        let last = last_from(&consumer, &topic, from)?;
        if let Some(mark) = last.filter(|mark| mark.journal == journal) {
            return Ok(Some(mark.next));
        }
        step *= 16;
    }
    Ok(None)
}

/// The last cursor from this offset on.
fn last_from(
    consumer: &BaseConsumer<Silent>,
    topic: &str,
    from: i64,
) -> Result<Option<Mark>, Error> {
    let tried = Error::kafka("reading the topic of cursors");
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_offset(topic, 0, Offset::Offset(from)).map_err(&tried)?;
    consumer.assign(&wanted).map_err(&tried)?;
    let mut last = None;
    let mut heard = Instant::now();
    loop {
        match consumer.poll(POLL_WAIT) {
            Some(Ok(record)) => {
                heard = Instant::now();
                let mark = record.payload().and_then(|text| serde_json::from_slice(text).ok());
                last = mark.or(last);
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(last),
            Some(Err(error)) => return Err(tried(error)),
            None if heard.elapsed() > ANSWER_MAX => {
                let source = KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
                return Err(tried(source));
            }
            None => {}
        }
    }
}
