//! The table `[kafka]`: what it means, and which of its values don't go together.
//!
//! Whether a value is right by itself is `keys`' to say; what the process does with any of it is
//! `topology`'s.

use super::Read;
use super::layers::Fault;
use std::collections::BTreeMap;
use topology::kafka::{Decision, Policy, Start, TopicDefaults, owned, sink};

/// The table `[kafka]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kafka {
    pub(crate) brokers: String,
    pub(crate) group: String,
    /// Empty: nothing is read.
    pub(crate) topics: Vec<String>,
    pub(crate) start: Start,
    pub(crate) on_gap: Policy,
    pub(crate) on_recreated: Policy,
    pub(crate) on_foreign: Policy,
    /// By topic.
    pub(crate) defaults: BTreeMap<String, TopicDefaults>,
    pub(crate) client: BTreeMap<String, String>,
    /// Empty: published events go to no topic.
    pub(crate) sink_topic: String,
    pub(crate) routes: BTreeMap<String, String>,
    pub(crate) exactly_once: bool,
    pub(crate) dlq: bool,
}

/// What can be said of a topic.
const OF_TOPIC: &str = "source, type_header and type_field of a topic, none of them empty";

impl Read<'_> {
    pub(super) fn kafka(&self) -> Option<Kafka> {
        let brokers = self.text("kafka.brokers");
        (!brokers.is_empty()).then(|| Kafka {
            brokers: brokers.to_owned(),
            group: self.text("kafka.group").to_owned(),
            topics: self.list("kafka.topics"),
            start: match self.text("kafka.start") {
                "latest" => Start::Latest,
                _ => Start::Earliest,
            },
            on_gap: self.policy("kafka.on_gap", Decision::Continue),
            on_recreated: self.policy("kafka.on_recreated", Decision::Restart),
            on_foreign: self.policy("kafka.on_foreign", Decision::Continue),
            // What is wrong with them is said by `check_kafka`.
            defaults: defaults(&self.table("kafka.topic")).unwrap_or_default(),
            client: self.table("kafka.client"),
            sink_topic: self.text("kafka.sink_topic").to_owned(),
            routes: self.table("kafka.routes"),
            exactly_once: self.switch("kafka.exactly_once"),
            dlq: self.switch("kafka.dlq"),
        })
    }

    /// Refuses properties of librdkafka that the process sets itself, and what nobody knows of a
    /// topic.
    pub(super) fn check_kafka(&self, kafka: &Kafka) -> Result<(), Fault> {
        for property in kafka.client.keys() {
            if let Some(why) = sink::owned(property).or_else(|| owned(property)) {
                let takes = format!("properties that the process does not set itself: {why}");
                return Err(self.unfit("kafka.client", property, takes));
            }
        }
        let defaults = defaults(&self.table("kafka.topic"));
        let defaults =
            defaults.map_err(|name| self.unfit("kafka.topic", &name, OF_TOPIC.to_owned()))?;
        // A pattern may fit any topic.
        let has_pattern = kafka.topics.iter().any(|topic| topic.starts_with('^'));
        let is_read = |topic: &&String| has_pattern || kafka.topics.contains(topic);
        match defaults.keys().find(|topic| !is_read(topic)) {
            None => Ok(()),
            Some(topic) => {
                Err(self.unfit("kafka.topic", topic, "topics of kafka.topics".to_owned()))
            }
        }
    }

    fn unfit(&self, key: &'static str, value: &str, takes: String) -> Fault {
        Fault::Value { place: self.0.get(key).1.clone(), key, value: value.to_owned(), takes }
    }

    fn policy(&self, name: &str, otherwise: Decision) -> Policy {
        if self.text(name) == "stop" { Policy::Stop } else { Policy::Go(otherwise) }
    }
}

/// What is said of topics, by `TOPIC.source` and the like; the name that says nothing, if there is
/// one.
fn defaults(table: &BTreeMap<String, String>) -> Result<BTreeMap<String, TopicDefaults>, String> {
    let mut all = BTreeMap::<String, TopicDefaults>::new();
    for (name, text) in table {
        let (topic, property) = name.rsplit_once('.').ok_or(name)?;
        let of = all.entry(topic.to_owned()).or_insert_with(|| TopicDefaults::new(topic));
        match property {
            _ if text.is_empty() => return Err(name.clone()),
            "source" => of.source.clone_from(text),
            "type_header" => of.type_header.clone_from(text),
            "type_field" => of.type_field.clone_from(text),
            _ => return Err(name.clone()),
        }
    }
    Ok(all)
}
