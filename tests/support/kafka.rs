//! Real brokers for tests, by way of `scripts/kafka`: topics are made, and read back, with Kafka's
//! own tools, so that what the process has sent is judged by somebody else's client.
//!
//! The brokers are those that `BELLWETHER_TEST_KAFKA` names; `BELLWETHER_TEST_KAFKA_DIR` is where
//! the script keeps them, for tests that kill one. What was published, as the outbox and as a topic
//! has it, is read here too. What is *not* here: what any test expects.

#![allow(dead_code, reason = "each test takes what it needs")]

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// How long the reader waits for one more record before it says that it has all: the first comes
/// only when Java, on a machine with much else to do, has found its brokers.
const QUIET_MS: &str = "15000";

/// A record as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) partition: i32,
    pub(crate) offset: u64,
    pub(crate) key: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) value: String,
}

/// Real brokers.
pub(crate) struct Brokers {
    pub(crate) addresses: String,
}

/// The brokers that were named; none, and a word about it, if none were.
pub(crate) fn brokers() -> Option<Brokers> {
    let addresses = std::env::var("BELLWETHER_TEST_KAFKA").ok();
    if addresses.is_none() {
        println!("skipped: BELLWETHER_TEST_KAFKA names no brokers");
    }
    addresses.map(|addresses| Brokers { addresses })
}

/// A name that no other test has, nor this one before.
pub(crate) fn fresh(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{name}-{}", now.as_millis())
}

/// Runs `scripts/kafka`.
pub(crate) fn script(arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
    Command::new(script).args(arguments).output().unwrap()
}

impl Brokers {
    fn tool(&self, class: &str, arguments: &[&str]) -> Output {
        let class = format!("org.apache.kafka.tools.{class}");
        let mut all = vec!["tool", &class, "--bootstrap-server", &self.addresses];
        all.extend(arguments);
        script(&all)
    }

    pub(crate) fn make_topic(&self, topic: &str, partitions: u32) {
        let partitions = partitions.to_string();
        let made =
            self.tool("TopicCommand", &["--create", "--topic", topic, "--partitions", &partitions]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Writes these values to a topic, with Kafka's own producer.
    pub(crate) fn write(&self, topic: &str, values: &[String]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
        let mut writer = Command::new(script)
            .args(["tool", "org.apache.kafka.tools.ConsoleProducer"])
            .args(["--bootstrap-server", &self.addresses, "--topic", topic])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let text = values.join("\n") + "\n";
        writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
    }

    /// Everything on a topic that was committed, in the order of each partition.
    pub(crate) fn read(&self, topic: &str) -> Vec<Received> {
        let mut arguments = vec!["--topic", topic, "--from-beginning", "--timeout-ms", QUIET_MS];
        arguments.extend(["--isolation-level", "read_committed"]);
        for print in ["partition", "offset", "key", "headers"] {
            arguments.push("--property");
            arguments.push(match print {
                "partition" => "print.partition=true",
                "offset" => "print.offset=true",
                "key" => "print.key=true",
                _ => "print.headers=true",
            });
        }
        let read = self.tool("consumer.ConsoleConsumer", &arguments);
        let text = String::from_utf8(read.stdout).unwrap();
        text.lines().filter(|line| line.starts_with("Partition:")).map(parse).collect()
    }
}

/// Of partition, offset, headers (`a:1,b:2`; the values here have no commas), key and value, with
/// tabs between them.
fn parse(line: &str) -> Received {
    let mut fields = line.splitn(5, '\t');
    let mut field = || fields.next().expect(line);
    let number = |text: &str| text.rsplit(':').next().unwrap().to_owned();
    let partition = number(field()).parse().expect(line);
    let offset = number(field()).parse().expect(line);
    let header = |pair: &str| {
        let (name, value) = pair.split_once(':')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let headers = field().split(',').filter_map(header).collect();
    Received { partition, offset, headers, key: field().to_owned(), value: field().to_owned() }
}

/// The ids of what was published about each payment, in order, as the outbox has them.
pub(crate) fn published(data: &Path) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(data.join("outbox.ndjson")).unwrap();
    let mut all = BTreeMap::<String, Vec<String>>::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let word = |name: &str| event[name].as_str().unwrap().to_owned();
        all.entry(word("partitionkey")).or_default().push(word("id"));
    }
    all
}

/// The same, as the topic has them: each must be whole, and under its payment's key.
pub(crate) fn received(records: &[Received]) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::<String, Vec<String>>::new();
    let mut partitions = BTreeMap::new();
    for record in records {
        let header = |name: &str| record.headers.get(name).unwrap_or_else(|| panic!("{record:?}"));
        assert_eq!(header("ce_specversion"), "1.0");
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("ce_partitionkey"), &record.key);
        assert_eq!(header("ce_sequence").len(), 20);
        let data: Value = serde_json::from_str(&record.value).unwrap();
        assert_eq!(data["payment_id"], *record.key, "{record:?}");
        assert_eq!(*partitions.entry(&record.key).or_insert(record.partition), record.partition);
        all.entry(record.key.clone()).or_default().push(header("ce_id").clone());
    }
    all
}
