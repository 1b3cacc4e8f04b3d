//! One connection through which messages go out, idempotently or in transactions, until anything
//! about it is in doubt.
//!
//! Without transactions librdkafka sends again for as long as it takes, in order, while the brokers
//! are away. With them, whatever fails ends the connection: the next one under the same
//! transactional id fences this one, and what it left open is aborted before anything is read. What
//! is *not* here: what is sent, and what is known to have been sent.
//!
//! Invariant: after an error nothing goes through this connection any more; its owner drops it.

use super::message::Message;
use super::status::Status;
use super::{Error, Patience};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, util::Timeout};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a poll waits for reports of deliveries.
const POLL_WAIT: Duration = Duration::from_millis(1);

/// How long one request about transactions, or about topics, may take.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(8);

/// How long brokers keep a transaction open that nobody ends.
const TRANSACTION_MS: &str = "60000";

/// What has become of the messages under way, as librdkafka reports it.
#[derive(Default)]
struct Reports {
    settled: usize,
    delivered: Vec<usize>,
    failed: Option<KafkaError>,
}

/// What librdkafka calls back.
pub(super) struct Context {
    reports: Mutex<Reports>,
    status: Arc<Status>,
}

impl Context {
    fn with<T>(&self, look: impl FnOnce(&mut Reports) -> T) -> T {
        look(&mut self.reports.lock().expect("nobody panics while counting"))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.status.troubled(&format!("{error}: {reason}"));
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        self.with(|reports| {
            reports.settled += 1;
            match result {
                Ok(_) => reports.delivered.push(index),
                Err((error, _)) => reports.failed = Some(error.clone()),
            }
        });
    }
}

/// The connection.
pub(super) struct Outlet {
    producer: BaseProducer<Context>,
    transactional: bool,
}

impl Outlet {
    /// Connects; under a transactional id, what others have left open under it is ended first.
    ///
    /// # Errors
    /// The configuration is refused, or the brokers do not answer.
    pub(super) fn connect(
        mut config: ClientConfig,
        transactional_id: Option<&str>,
        status: &Arc<Status>,
    ) -> Result<Self, Error> {
        config.set("enable.idempotence", "true");
        // As Kafka's own clients spread keys, so that topics of theirs and ours go together.
        if config.get("partitioner").is_none() {
            config.set("partitioner", "murmur2_random");
        }
        match transactional_id {
            Some(id) => {
                config.set("transactional.id", id).set("transaction.timeout.ms", TRANSACTION_MS)
            }
            None => config.set("message.timeout.ms", "0"),
        };
        let context = Context { reports: Mutex::default(), status: status.clone() };
        let producer: BaseProducer<Context> =
            config.create_with_context(context).map_err(Error::kafka("making a producer"))?;
        if transactional_id.is_some() {
            let begun = producer.init_transactions(ANSWER_MAX);
            begun.map_err(Error::kafka("taking up the transactional id"))?;
        }
        Ok(Self { producer, transactional: transactional_id.is_some() })
    }

    /// Asks for this topic, so that one that is missing is noticed before anything is sent.
    ///
    /// # Errors
    /// It is not there, or the brokers do not answer.
    pub(super) fn ask_for(&self, topic: &str) -> Result<(), Error> {
        let metadata = self.producer.client().fetch_metadata(Some(topic), ANSWER_MAX);
        let metadata = metadata.map_err(Error::kafka("asking for topics"))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.map(MetadataTopic::error) {
            Some(None) => Ok(()),
            Some(Some(error)) => Err(Error::Topic {
                topic: topic.to_owned(),
                source: KafkaError::MetadataFetch(error.into()),
            }),
            None => Err(Error::Topic {
                topic: topic.to_owned(),
                source: KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic),
            }),
        }
    }

    /// Sends these messages, all in one transaction if that is how it is connected. Gives the
    /// indices of those that are delivered for certain: with an error too, if there are no
    /// transactions.
    pub(super) fn send<'m>(
        &self,
        messages: impl Iterator<Item = &'m Message>,
        patience: &mut Patience<'_>,
    ) -> (Vec<usize>, Result<(), Error>) {
        let sent = if self.transactional {
            self.transact(messages, patience)
        } else {
            self.deliver(messages, patience)
        };
        let context = self.producer.context();
        let mut delivered = context.with(|reports| std::mem::take(&mut reports.delivered));
        if self.transactional && sent.is_err() {
            delivered.clear();
        }
        (delivered, sent)
    }

    fn transact<'m>(
        &self,
        messages: impl Iterator<Item = &'m Message>,
        patience: &mut Patience<'_>,
    ) -> Result<(), Error> {
        self.producer.begin_transaction().map_err(Error::kafka("beginning a transaction"))?;
        self.deliver(messages, patience)?;
        let committed = self.producer.commit_transaction(ANSWER_MAX);
        // Whatever this says, it is not certain what the brokers have done: the next connection
        // will know.
        committed.map_err(Error::kafka("committing a transaction"))
    }

    /// Hands all messages over, and waits until there is a report of each.
    fn deliver<'m>(
        &self,
        messages: impl Iterator<Item = &'m Message>,
        patience: &mut Patience<'_>,
    ) -> Result<(), Error> {
        let context = self.producer.context();
        context.with(|reports| *reports = Reports::default());
        let mut handed = 0;
        for (index, message) in messages.enumerate() {
            self.hand_over(index, message, patience)?;
            handed += 1;
        }
        let mut settled = 0;
        while settled < handed {
            self.producer.poll(POLL_WAIT);
            let before = std::mem::replace(&mut settled, context.with(|reports| reports.settled));
            self.alive()?;
            patience.wait(settled > before)?;
        }
        match context.with(|reports| reports.failed.take()) {
            None => Ok(()),
            Some(source) => Err(Error::Kafka { tried: "delivering", source }),
        }
    }

    fn hand_over(
        &self,
        index: usize,
        message: &Message,
        patience: &mut Patience<'_>,
    ) -> Result<(), Error> {
        let mut record = record(index, message);
        loop {
            let Err((error, back)) = self.producer.send(record) else { return Ok(()) };
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(Error::Kafka { tried: "sending", source: error });
            }
            record = back;
            let before = self.producer.in_flight_count();
            self.producer.poll(POLL_WAIT);
            self.alive()?;
            patience.wait(self.producer.in_flight_count() < before)?;
        }
    }

    /// Lets librdkafka say what it has to say.
    ///
    /// # Errors
    /// The producer is beyond repair.
    pub(super) fn serve(&self) -> Result<(), Error> {
        self.producer.poll(Timeout::After(Duration::ZERO));
        self.alive()
    }

    fn alive(&self) -> Result<(), Error> {
        match self.producer.client().fatal_error() {
            None => Ok(()),
            Some((code, _)) => {
                Err(Error::Kafka { tried: "going on", source: KafkaError::Global(code) })
            }
        }
    }
}

fn record(index: usize, message: &Message) -> BaseRecord<'_, Vec<u8>, Vec<u8>, usize> {
    let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
    for (name, value) in &message.headers {
        headers = headers.insert(Header { key: name, value: Some(value) });
    }
    let mut record = BaseRecord::with_opaque_to(&message.topic, index).headers(headers);
    record.key = message.key.as_ref();
    record.payload = message.value.as_ref();
    record
}
