//! A Kafka configuration, looked at step by step: what is well, what is wrong, and what to do.
//!
//! Each step asks one thing that the process will rely on, in the order in which it does. Nothing
//! is written: no record, no offset, no topic. What is *not* here: how it is printed.

mod handshake;

use super::advice::describe;
use handshake::Peer;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long brokers may take for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

const POLL_WAIT: Duration = Duration::from_millis(100);

/// The request that knows topic ids, and its version that does.
const METADATA: (i16, i16) = (3, 10);
/// The request that begins transactions.
const INIT_PRODUCER_ID: i16 = 22;

/// What is to be looked at.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// `HOST:PORT`, separated by commas.
    pub brokers: String,
    /// Properties of librdkafka.
    pub client: BTreeMap<String, String>,
    /// Topics that are read; a pattern begins with `^`.
    pub topics: Vec<String>,
    /// The group they are read in.
    pub group: String,
    /// Topics that published events go to.
    pub sink_topics: Vec<String>,
    /// Whether they are sent in transactions.
    pub exactly_once: bool,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What: `broker 127.0.0.1:9092`, `topic campus`.
    pub what: String,
    /// What was found; if it is wrong, why, and what to do.
    pub found: Result<String, Wrong>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What was found instead.
    pub why: String,
    /// What to do about it.
    pub advice: String,
}

impl Wrong {
    fn new(why: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { why: why.into(), advice: advice.into() }
    }
}

/// What librdkafka says on its own.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl ClientContext for Heard {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That all brokers are down says less than what came before.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.0.lock().expect("nobody panics while adding").push(reason.to_owned());
        }
    }
}

impl ConsumerContext for Heard {}

type Client = BaseConsumer<Heard>;

/// Looks at everything, and says each step as it is done. True if all is well.
pub fn examine(plan: &Plan, say: &mut dyn FnMut(&Step)) -> bool {
    let mut well = true;
    let mut tell = |what: String, found: Result<String, Wrong>| {
        let is_well = found.is_ok();
        well &= is_well;
        say(&Step { what, found });
        is_well
    };
    let mut reached = false;
    for address in plan.brokers.split(',').map(str::trim) {
        reached |= tell(format!("broker {address}"), broker(address, plan));
    }
    // Without a broker nothing else can be asked.
    if !reached {
        return false;
    }
    let client = match connect(plan) {
        Ok((client, found)) => {
            tell("connection".to_owned(), Ok(found));
            client
        }
        Err(wrong) => return tell("connection".to_owned(), Err(wrong)),
    };
    for topic in &plan.topics {
        tell(format!("topic {topic}"), readable(&client, topic));
    }
    if let Some(topic) = plan.topics.first() {
        tell(format!("group {}", plan.group), group(&client, topic));
    }
    for topic in &plan.sink_topics {
        tell(format!("sink topic {topic}"), exists(&client, topic).map(partitions));
    }
    if plan.exactly_once {
        tell("transactions".to_owned(), transactions(plan));
    }
    well
}

/// Whether a broker of Kafka is at this address.
fn broker(address: &str, plan: &Plan) -> Result<String, Wrong> {
    let resolved = address.to_socket_addrs().map_err(|error| {
        Wrong::new(
            format!("the address can't be resolved: {error}"),
            "write HOST:PORT, with a host that this machine knows",
        )
    })?;
    let wants_tls = plan.client.get("security.protocol").is_some_and(|protocol| {
        protocol.eq_ignore_ascii_case("ssl") || protocol.eq_ignore_ascii_case("sasl_ssl")
    });
    let mut found = Err(Wrong::new("the host has no address", "check its name"));
    for at in resolved {
        found = match handshake::ask(at) {
            Ok(peer) => judge(peer, wants_tls).map(|said| format!("{at} {said}")),
            Err(error) => Err(Wrong::new(
                format!("nobody answers at {at}: {error}"),
                "check host and port, and whether a broker listens there",
            )),
        };
        if found.is_ok() {
            break;
        }
    }
    found
}

fn judge(peer: Peer, wants_tls: bool) -> Result<String, Wrong> {
    match peer {
        Peer::Kafka(_) if wants_tls => Err(Wrong::new(
            "this listener speaks without TLS, but security.protocol asks for it",
            "name the listener for TLS, or change security.protocol under [kafka.client]",
        )),
        Peer::Kafka(known) => {
            let newest = |request: i16| known.iter().find(|(of, _)| *of == request);
            if newest(METADATA.0).is_none_or(|(_, version)| *version < METADATA.1) {
                let why = "this broker knows no topic ids: it is older than Kafka 2.8";
                return Err(Wrong::new(why, "use brokers of Kafka 2.8 or later"));
            }
            let transactions =
                if newest(INIT_PRODUCER_ID).is_some() { "" } else { ", but no transactions" };
            Ok(format!("is a broker of Kafka, {} requests{transactions}", known.len()))
        }
        Peer::Tls if wants_tls => Ok("speaks TLS".to_owned()),
        Peer::Tls => Err(Wrong::new(
            "this listener speaks TLS",
            "set security.protocol under [kafka.client], in a build with TLS",
        )),
        // A listener for TLS hangs up on whoever does not begin so.
        Peer::Unknown(why) if wants_tls => Ok(format!("listens ({why})")),
        Peer::Http => Err(Wrong::new(
            "this is no Kafka: it speaks HTTP",
            "name a broker's own port, not that of a proxy or a console",
        )),
        Peer::Unknown(why) => {
            Err(Wrong::new(format!("this is no Kafka: {why}"), "check host and port"))
        }
    }
}

fn config(plan: &Plan) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in &plan.client {
        config.set(name, value);
    }
    config.set("bootstrap.servers", &plan.brokers).set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// Logs in, and asks who is there.
fn connect(plan: &Plan) -> Result<(Client, String), Wrong> {
    let group = if plan.group.is_empty() { "bellwether" } else { &plan.group };
    let client: Client = config(plan)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create_with_context(Heard::default())
        .map_err(|error| {
            let advice = "check [kafka.client]; TLS needs a build that has it";
            Wrong::new(error.to_string(), advice)
        })?;
    match client.fetch_metadata(None, ANSWER_MAX) {
        Ok(metadata) => {
            let (brokers, topics) = (metadata.brokers().len(), metadata.topics().len());
            Ok((client, format!("{brokers} brokers, {topics} topics that this user may see")))
        }
        Err(error) => {
            // What really went wrong is said on the side.
            let until = Instant::now() + POLL_WAIT * 5;
            while Instant::now() < until {
                client.poll(POLL_WAIT);
            }
            let heard = client.context().0.lock().expect("nobody panics while adding").clone();
            let why = heard.first().cloned().unwrap_or_else(|| error.to_string());
            Err(Wrong::new(why, connection_advice(plan, &heard)))
        }
    }
}

fn connection_advice(plan: &Plan, heard: &[String]) -> &'static str {
    let said = |word: &str| heard.iter().any(|line| line.to_lowercase().contains(word));
    if said("authentication") || said("sasl") {
        "check sasl.mechanism, sasl.username and sasl.password under [kafka.client]"
    } else if plan.client.contains_key("security.protocol") {
        "check that the listener speaks this security.protocol"
    } else {
        "the listener may want SASL or TLS: set security.protocol under [kafka.client]; and the \
         addresses that brokers advertise must be reachable from here"
    }
}

fn partitions(count: usize) -> String {
    if count == 1 { "1 partition".to_owned() } else { format!("{count} partitions") }
}

/// How many partitions a topic has, all with a leader.
fn exists(client: &Client, topic: &str) -> Result<usize, Wrong> {
    let asked = client.fetch_metadata(Some(topic), ANSWER_MAX);
    let metadata = asked.map_err(|error| Wrong::new(error.to_string(), "ask again"))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    if let Some(error) = found.and_then(MetadataTopic::error) {
        return Err(wrong(&KafkaError::MetadataFetch(error.into())));
    }
    let Some(found) = found.filter(|found| !found.partitions().is_empty()) else {
        return Err(wrong(&KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic)));
    };
    let without = found.partitions().iter().filter(|partition| partition.leader() < 0).count();
    if without > 0 {
        let why = format!("{without} of its partitions have no leader");
        return Err(Wrong::new(why, "look after its brokers"));
    }
    Ok(found.partitions().len())
}

/// Whether a topic is there and may be read.
fn readable(client: &Client, topic: &str) -> Result<String, Wrong> {
    if topic.starts_with('^') {
        return Ok("a pattern: what fits it is read".to_owned());
    }
    let count = exists(client, topic)?;
    let tried = |error: KafkaError| wrong(&error);
    let (low, high) = client.fetch_watermarks(topic, 0, ANSWER_MAX).map_err(tried)?;
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_offset(topic, 0, Offset::Offset(high)).map_err(tried)?;
    client.assign(&wanted).map_err(tried)?;
    let until = Instant::now() + ANSWER_MAX;
    let mut found = Err(Wrong::new("reading it takes too long", "look after its brokers"));
    while Instant::now() < until {
        match client.poll(POLL_WAIT) {
            None => continue,
            Some(Err(KafkaError::PartitionEOF(_)) | Ok(_)) => {
                found =
                    Ok(format!("{}, the first with offsets {low} to {high}", partitions(count)));
            }
            Some(Err(error)) => found = Err(wrong(&error)),
        }
        break;
    }
    client.unassign().map_err(tried)?;
    found
}

/// Whether this user may be in the group.
fn group(client: &Client, topic: &str) -> Result<String, Wrong> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let answer = client.committed_offsets(asked, ANSWER_MAX).map_err(|error| wrong(&error))?;
    for element in answer.elements() {
        element.error().map_err(|error| wrong(&error))?;
    }
    Ok("may be read and joined".to_owned())
}

/// Whether this user may send in transactions: under an id of the doctor's own, so that no process
/// is disturbed.
fn transactions(plan: &Plan) -> Result<String, Wrong> {
    let tried = |error: KafkaError| wrong(&error);
    let producer: BaseProducer =
        config(plan).set("transactional.id", "bellwether.doctor").create().map_err(tried)?;
    producer.init_transactions(ANSWER_MAX).map_err(tried)?;
    Ok("may be begun under ids that begin with bellwether.".to_owned())
}

fn wrong(error: &KafkaError) -> Wrong {
    let (_, advice) = describe(error);
    Wrong::new(error.to_string(), advice)
}
