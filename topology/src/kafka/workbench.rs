//! What benches and tests do to Kafka themselves: make and delete topics, produce, cut a log's
//! start, move a group's offset, and count what a bare consumer reads.
//!
//! They may not name the client library, so it stands here. What is *not* here: anything that the
//! process does when it serves.

use crate::writer::wall_clock;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::future::Future;
use std::time::{Duration, Instant};

/// How long the brokers may take for anything.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What a workbench could not do.
#[derive(Debug, thiserror::Error)]
#[error("{what} failed: {why}")]
pub struct Error {
    what: String,
    why: String,
}

fn failed<E: std::fmt::Display>(what: impl Into<String>) -> impl FnOnce(E) -> Error {
    let what = what.into();
    move |why| Error { what, why: why.to_string() }
}

/// Brokers to work on.
#[derive(Clone, Debug)]
pub struct Workbench {
    brokers: String,
}

/// A record to produce: partition, key, value.
pub type Record = (i32, Option<Vec<u8>>, Option<Vec<u8>>);

/// A record to produce, with headers.
#[derive(Clone, Debug)]
pub struct Message {
    /// To which partition.
    pub partition: i32,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Names and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its value; none is a tombstone.
    pub value: Option<Vec<u8>>,
}

impl From<Record> for Message {
    fn from((partition, key, value): Record) -> Self {
        Self { partition, key, headers: Vec::new(), value }
    }
}

impl Workbench {
    /// On these brokers.
    pub fn new(brokers: &str) -> Self {
        Self { brokers: brokers.to_owned() }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>, Error> {
        self.config().create().map_err(failed("making an admin client"))
    }

    /// Makes a topic, with settings of its own.
    pub fn make_topic(
        &self,
        topic: &str,
        partitions: i32,
        replicas: i32,
        settings: &[(&str, &str)],
    ) -> Result<(), Error> {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
        for (key, value) in settings {
            new = new.set(key, value);
        }
        let admin = self.admin()?;
        let deadline = Instant::now() + ANSWER_MAX;
        loop {
            let made = wait(admin.create_topics([&new], &options()));
            let made = made.map_err(failed(format!("making topic {topic}")))?;
            match made.into_iter().next() {
                Some(Ok(_)) => return Ok(()),
                // One that was deleted just now is not quite gone.
                Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists)))
                    if Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Some(Err((_, code))) => return Err(failed(format!("making {topic}"))(code)),
                None => return Err(failed(format!("making {topic}"))("no answer")),
            }
        }
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, topic: &str) -> Result<(), Error> {
        let admin = self.admin()?;
        let deleted = wait(admin.delete_topics(&[topic], &options()));
        let deleted = deleted.map_err(failed(format!("deleting topic {topic}")))?;
        match deleted.into_iter().next() {
            Some(Err((_, code))) => Err(failed(format!("deleting {topic}"))(code)),
            _ => Ok(()),
        }
    }

    /// Removes the records of a partition below this offset.
    pub fn remove_below(&self, topic: &str, partition: i32, offset: u64) -> Result<(), Error> {
        let what = || failed(format!("removing records of {topic}"));
        let mut list = TopicPartitionList::new();
        let to = Offset::Offset(offset as i64);
        list.add_partition_offset(topic, partition, to).map_err(what())?;
        wait(self.admin()?.delete_records(&list, &options())).map_err(what())?;
        Ok(())
    }

    /// Commits an offset for a group, by hand.
    pub fn move_group(
        &self,
        group: &str,
        (topic, partition): (&str, i32),
        offset: u64,
    ) -> Result<(), Error> {
        let what = || failed(format!("moving group {group}"));
        let client: BaseConsumer = self.config().set("group.id", group).create().map_err(what())?;
        let mut list = TopicPartitionList::new();
        let to = Offset::Offset(offset as i64);
        list.add_partition_offset(topic, partition, to).map_err(what())?;
        client.commit(&list, CommitMode::Sync).map_err(what())
    }

    /// What a group has committed for a partition, and the metadata beside it.
    pub fn committed(
        &self,
        group: &str,
        (topic, partition): (&str, i32),
    ) -> Result<Option<(u64, String)>, Error> {
        let what = || failed(format!("asking group {group}"));
        let client: BaseConsumer = self.config().set("group.id", group).create().map_err(what())?;
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let answer = client.committed_offsets(list, ANSWER_MAX).map_err(what())?;
        let element = answer.find_partition(topic, partition);
        Ok(element.and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some((offset as u64, element.metadata().to_owned())),
            _ => None,
        }))
    }

    /// How many replicas are in sync, of the partition that has fewest, of all topics there are.
    pub fn in_sync_min(&self) -> Result<usize, Error> {
        let what = || failed("asking for replicas");
        let client: BaseConsumer = self.config().create().map_err(what())?;
        let metadata = client.fetch_metadata(None, ANSWER_MAX).map_err(what())?;
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
        Ok(partitions.map(|partition| partition.isr().len()).min().unwrap_or(0))
    }

    /// The group's state, and its members' ids.
    pub fn group(&self, group: &str) -> Result<(String, Vec<String>), Error> {
        let what = format!("asking for group {group}");
        let client: BaseConsumer = self.config().create().map_err(failed(&*what))?;
        let list = client.fetch_group_list(Some(group), ANSWER_MAX).map_err(failed(&*what))?;
        let found = list.groups().iter().find(|found| found.name() == group);
        let found = found.ok_or_else(|| failed(what)("there is no such group"))?;
        let members = found.members().iter().map(|member| member.id().to_owned());
        Ok((found.state().to_owned(), members.collect()))
    }

    /// Produces records, and waits until all are on the brokers.
    pub fn produce(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = impl Into<Message>>,
    ) -> Result<u64, Error> {
        let producer = self.producer(&[])?;
        let produced = send(&producer, topic, records, None)?;
        producer.flush(ANSWER_MAX * 4).map_err(failed(format!("producing to {topic}")))?;
        Ok(produced)
    }

    /// The same, with records that were made so many seconds ago.
    pub fn produce_aged(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = impl Into<Message>>,
        age_s: u64,
    ) -> Result<u64, Error> {
        let producer = self.producer(&[])?;
        let produced = send(&producer, topic, records, Some(age_s))?;
        producer.flush(ANSWER_MAX * 4).map_err(failed(format!("producing to {topic}")))?;
        Ok(produced)
    }

    /// The same, in one transaction.
    pub fn transact(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = impl Into<Message>>,
    ) -> Result<u64, Error> {
        let what = || failed(format!("a transaction on {topic}"));
        let producer = self.producer(&[("transactional.id", "bellwether-workbench")])?;
        producer.init_transactions(ANSWER_MAX).map_err(what())?;
        producer.begin_transaction().map_err(what())?;
        let produced = send(&producer, topic, records, None)?;
        producer.commit_transaction(ANSWER_MAX).map_err(what())?;
        Ok(produced)
    }

    fn producer(&self, more: &[(&str, &str)]) -> Result<Workhorse, Error> {
        let mut config = self.config();
        config
            .set("linger.ms", "20")
            .set("batch.size", "1000000")
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "8000000")
            .set("queue.buffering.max.messages", "500000");
        for (key, value) in more {
            config.set(*key, *value);
        }
        config.create().map_err(failed("making a producer"))
    }

    /// Counts so many records of a topic's partitions, as bare as it can be done.
    pub fn drain(&self, topic: &str, partitions: i32, records: u64) -> Result<Duration, Error> {
        let what = || failed(format!("draining {topic}"));
        let client: BaseConsumer = self
            .config()
            .set("group.id", "bellwether-bench-drain")
            .set("enable.auto.commit", "false")
            .create()
            .map_err(what())?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning).map_err(what())?;
        }
        let began = Instant::now();
        client.assign(&list).map_err(what())?;
        let (mut count, mut bytes) = (0, 0);
        while count < records {
            match client.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    count += 1;
                    bytes += message.payload_len();
                }
                Some(Err(error)) if transient(&error) => {}
                Some(Err(error)) => return Err(what()(error)),
                None => {}
            }
        }
        tracing::debug!(bytes, "drained");
        Ok(began.elapsed())
    }
}

type Workhorse = ThreadedProducer<DefaultProducerContext>;

/// Hands records over to a producer, and says how many.
fn send(
    producer: &Workhorse,
    topic: &str,
    records: impl IntoIterator<Item = impl Into<Message>>,
    age_s: Option<u64>,
) -> Result<u64, Error> {
    let made_ms = age_s.map(|age_s| wall_clock().0 - age_s as i64 * 1_000);
    let mut produced = 0;
    for message in records {
        let Message { partition, key, headers, value } = message.into();
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
        record.key = key.as_deref();
        record.payload = value.as_deref();
        record.timestamp = made_ms;
        let headers = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header { key, value: Some(value) })
        });
        record = record.headers(headers);
        while let Err((error, again)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(failed(format!("producing to {topic}"))(error));
            }
            record = again;
            std::thread::sleep(Duration::from_millis(5));
        }
        produced += 1;
    }
    Ok(produced)
}

fn transient(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::BrokerTransportFailure)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_MAX)).operation_timeout(Some(ANSWER_MAX))
}

/// Waits for an answer, on a thread of its own: the caller may be on a runtime.
fn wait<T: Send>(answer: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.build().expect("a runtime without IO needs nothing");
            runtime.block_on(answer)
        });
        waiting.join().expect("waiting does not panic")
    })
}
