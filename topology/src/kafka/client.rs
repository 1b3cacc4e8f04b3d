//! The client: one librdkafka consumer in the group, polled on a thread of its own, and what
//! happens when the group hands partitions over.
//!
//! The thread polls for ever, whatever the partitions do: records of a partition come by a queue of
//! its own, which that partition's thread empties as it can, so that a slow journal never costs us
//! our place in the group. What is assigned to us is not read before it is proven (`part.rs`): the
//! group's word is acknowledged with nothing, and each partition is assigned later, at the offset
//! that the journal says. What is taken from us is given back only when what it had in flight is in
//! the journal, or withdrawn.
//!
//! Invariant: Kafka's committed offset never passes the journal.

use super::Kafka;
use super::part::Part;
use super::place::Place;
use crate::metrics::kafka as metrics;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// How long one poll waits.
const POLL_WAIT: Duration = Duration::from_millis(50);

/// How often offsets are committed, if they have moved.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// How long a partition that is taken from us may take to finish what it has in flight.
const HAND_OVER_MAX: Duration = Duration::from_secs(15);

/// How long the last commit may take when the process stops.
const LAST_COMMIT_MAX: Duration = Duration::from_secs(3);

/// How often the offsets of what is handed over are tried to commit, and how far apart.
const HANDED_TRIES: u32 = 5;
const HANDED_PAUSE: Duration = Duration::from_millis(100);

/// How long we wait before a client that could not be made is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The consumer, as we use it.
pub(super) type Client = BaseConsumer<Context>;

/// What librdkafka calls back.
pub(super) struct Context {
    kafka: Weak<Kafka>,
    /// Held while offsets are committed.
    commits: Mutex<()>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a log is no error, and its partition is told as well.
        let is_end = error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF);
        if let Some(kafka) = self.kafka.upgrade().filter(|_| !is_end) {
            kafka.failed(&error, reason);
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        client: &Client,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        metrics::rebalanced();
        let places = places(partitions);
        let kafka = self.kafka.upgrade();
        let answered = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            tracing::info!(partitions = ?names(&places), "partitions are given to us");
            let answered = client.incremental_assign(&TopicPartitionList::new());
            if let Some(kafka) = &kafka {
                kafka.give(places);
            }
            answered
        } else {
            let lost = client.assignment_lost();
            tracing::info!(partitions = ?names(&places), lost, "partitions are taken from us");
            let parts = kafka.map(|kafka| kafka.parts_at(&places)).unwrap_or_default();
            hand_over(client, &parts, lost)
        };
        if let Err(error) = answered {
            tracing::error!(%error, "the group's word could not be answered");
        }
    }
}

/// librdkafka's own lines: what is wrong reaches us as errors as well, with advice.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
}

/// Polls until the engine stops. Without brokers it waits for them, and says so.
pub(super) fn run(kafka: &Arc<Kafka>) {
    while !kafka.is_stopping() {
        match join(kafka) {
            Ok(client) => {
                poll(kafka, &client);
                kafka.forget_client();
                // Nobody reads any more: what was read is journaled, or withdrawn. The last one to
                // let go of the client closes it.
                let parts = kafka.all_parts();
                let ours: Vec<_> = parts.iter().filter(|part| part.is_owned()).cloned().collect();
                finish(&parts);
                commit_beside(&client, (Whose::Handed, ours), &Arc::default(), LAST_COMMIT_MAX);
                if let Err(error) = let_go(&client, &parts) {
                    tracing::debug!(%error, "partitions could not be given back");
                }
            }
            Err(error) => kafka.failed(&error, "a client could not be made"),
        }
        kafka.sleep(AGAIN);
    }
}

fn join(kafka: &Arc<Kafka>) -> KafkaResult<Arc<Client>> {
    let context = Context { kafka: Arc::downgrade(kafka), commits: Mutex::new(()) };
    let client: Client = kafka.config().create_with_context(context)?;
    let topics: Vec<&str> = kafka.options.topics.iter().map(String::as_str).collect();
    client.subscribe(&topics)?;
    let client = Arc::new(client);
    kafka.set_client(client.clone());
    Ok(client)
}

fn poll(kafka: &Arc<Kafka>, client: &Arc<Client>) {
    let mut committed = Instant::now();
    let under_way = Arc::default();
    while !kafka.is_stopping() {
        match client.poll(POLL_WAIT) {
            None => {}
            Some(Err(error)) => {
                // What is not fatal was said already, with its reason, to the context.
                if let KafkaError::MessageConsumptionFatal(_) = error {
                    kafka.failed(&error, "this client will never read again");
                    return;
                }
            }
            Some(Ok(message)) => {
                use rdkafka::Message as _;
                // Every partition has a queue of its own before it is assigned.
                let (topic, partition) = (message.topic(), message.partition());
                tracing::error!(topic, partition, "a record came by no partition's queue");
                metrics::failed("stray");
                kafka.read_anew(&Place { topic: topic.to_owned(), partition });
            }
        }
        if committed.elapsed() >= COMMIT_EVERY {
            let all = (Whose::Owned, kafka.all_parts());
            commit_beside(client, all, &under_way, Duration::ZERO);
            committed = Instant::now();
        }
    }
}

/// Gives partitions back: once they have finished, their offsets are committed, and no sooner.
fn hand_over(client: &Client, parts: &[Arc<Part>], lost: bool) -> KafkaResult<()> {
    finish(parts);
    if !lost {
        commit(client, Whose::Handed, parts);
    }
    let_go(client, parts)
}

/// Waits until what partitions have in flight is in the journal, or withdraws it.
fn finish(parts: &[Arc<Part>]) {
    for part in parts {
        part.release();
    }
    let deadline = Instant::now() + HAND_OVER_MAX;
    for part in parts {
        if !part.finished(deadline) {
            tracing::error!(
                partition = %part.place,
                "what it had in flight was withdrawn: it did not finish in time"
            );
        }
    }
}

fn let_go(client: &Client, parts: &[Arc<Part>]) -> KafkaResult<()> {
    let mut assigned = TopicPartitionList::new();
    for part in parts.iter().filter(|part| part.let_go()) {
        assigned.add_partition(&part.place.topic, part.place.partition);
    }
    client.incremental_unassign(&assigned)
}

/// Commits on a thread of its own, unless another such commit is `under_way`, and waits for it no
/// longer than this: brokers that are away must not keep us from polling, or from stopping.
fn commit_beside(
    client: &Arc<Client>,
    (whose, parts): (Whose, Vec<Arc<Part>>),
    under_way: &Arc<AtomicBool>,
    wait_max: Duration,
) {
    if under_way.swap(true, Ordering::AcqRel) {
        return;
    }
    let (client, under_way) = (client.clone(), under_way.clone());
    let (sender, done) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name("kafka-commit".to_owned());
    let spawned = thread.spawn(move || {
        commit(&client, whose, &parts);
        // The last one to let go of a client closes it, which is not for this thread to do.
        drop(client);
        under_way.store(false, Ordering::Release);
        // Nobody may wait any more.
        let _ = sender.send(());
    });
    match spawned {
        // A commit that takes longer is logged when it ends.
        Ok(_) => drop(done.recv_timeout(wait_max)),
        Err(error) => tracing::error!(%error, "a commit has no thread"),
    }
}

/// Which of some partitions are to be committed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Those that are still ours. The brokers take an offset from any member of the group: one of a
    /// partition that others read by now would set them back.
    Owned,
    /// All of them: they were ours until now, and nobody else has them before this is done.
    Handed,
}

/// Commits what has become durable since the last time, and waits for the brokers' answer. One
/// commit at a time: of two under way, the older offsets could be the last to arrive.
fn commit(client: &Client, whose: Whose, parts: &[Arc<Part>]) {
    let one = client.context().commits.lock();
    let _one = one.unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut offsets = TopicPartitionList::new();
    for part in parts.iter().filter(|part| whose == Whose::Handed || part.is_owned()) {
        let Some((next, metadata)) = part.to_commit() else { continue };
        let Place { topic, partition } = &part.place;
        let mut element = offsets.add_partition(topic, *partition);
        element.set_metadata(metadata);
        if let Err(error) = element.set_offset(Offset::Offset(next as i64)) {
            tracing::error!(%error, next, "not an offset");
        }
    }
    if offsets.count() == 0 {
        return;
    }
    let started = Instant::now();
    match commit_offsets(client, whose, &offsets) {
        Ok(()) => metrics::committed(started.elapsed()),
        Err(error) => {
            metrics::failed("commit");
            tracing::warn!(%error, "offsets could not be committed: they follow later");
            for part in parts {
                part.was_not_committed();
            }
        }
    }
}

/// What is handed over is tried again: a group that is about to share out anew refuses offsets for
/// a moment, and whoever comes next reads on from them.
fn commit_offsets(client: &Client, whose: Whose, offsets: &TopicPartitionList) -> KafkaResult<()> {
    let mut left = if whose == Whose::Handed { HANDED_TRIES } else { 1 };
    loop {
        let committed = client.commit(offsets, CommitMode::Sync);
        left -= 1;
        match committed {
            Err(error) if left > 0 => {
                tracing::debug!(%error, left, "offsets are committed again");
                std::thread::sleep(HANDED_PAUSE);
            }
            done => return done,
        }
    }
}

fn places(partitions: &TopicPartitionList) -> Vec<Place> {
    let elements = partitions.elements();
    let place = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| Place {
        topic: element.topic().to_owned(),
        partition: element.partition(),
    };
    elements.iter().map(place).collect()
}

fn names(places: &[Place]) -> Vec<String> {
    places.iter().map(ToString::to_string).collect()
}

/// What every client of ours is made with.
pub(super) fn base_config(kafka: &Kafka) -> ClientConfig {
    let options = &kafka.options;
    let mut config = ClientConfig::new();
    // One that is empty stands there to take a default of ours away.
    for (key, value) in options.client.iter().filter(|(_, value)| !value.is_empty()) {
        config.set(key, value);
    }
    config
        .set("bootstrap.servers", &options.brokers)
        .set("group.id", &options.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false");
    config
}
