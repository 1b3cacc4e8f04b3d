//! What is published, as messages: CloudEvents in binary mode, each to the topic of its type, under
//! the key `partitionkey`.
//!
//! Attributes become `ce_` headers, `data` is the value byte by byte, and the event's position in
//! the journal goes with it as the attribute `sequence` (20 digits). What is *not* here: sending.

use crate::kafka::format::{ATTRIBUTE, CONTENT_TYPE};
use crate::kafka::members::Members;
use actors::{EventType, Position};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What an event without `datacontenttype` has as data.
const JSON: &str = "application/json";

/// How an event is sent whose data are not JSON: whole.
const STRUCTURED: &str = "application/cloudevents+json";

/// Which topic an event of which type goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    otherwise: String,
    exact: BTreeMap<String, String>,
    /// Longest first.
    prefixes: Vec<(String, String)>,
}

impl Routes {
    /// Topics by type: as it is written in events, or the canonical name without reverse DNS and
    /// version; either may end in an asterisk. What has none goes `otherwise`; an empty topic is
    /// none.
    pub fn new(otherwise: &str, table: &BTreeMap<String, String>) -> Self {
        let (prefixes, exact): (Vec<_>, Vec<_>) =
            table.clone().into_iter().partition(|(of, _)| of.ends_with('*'));
        let mut prefixes: Vec<(String, String)> = prefixes
            .into_iter()
            .map(|(of, topic)| (of.trim_end_matches('*').to_owned(), topic))
            .collect();
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self { otherwise: otherwise.to_owned(), exact: exact.into_iter().collect(), prefixes }
    }

    /// Every topic that anything may go to.
    pub fn topics(&self) -> Vec<&str> {
        let routed = self.exact.values().chain(self.prefixes.iter().map(|(_, topic)| topic));
        let mut topics: Vec<&str> = routed.map(String::as_str).collect();
        topics.push(&self.otherwise);
        topics.retain(|topic| !topic.is_empty());
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Where an event of this type goes; none: nowhere.
    pub(super) fn topic(&self, type_text: &str) -> Option<&str> {
        let canonical = match EventType::of(type_text) {
            EventType::Known(name) => name,
            EventType::UnknownMajor | EventType::Unknown => type_text,
        };
        let exact = self.exact.get(type_text).or_else(|| self.exact.get(canonical));
        let topic = exact.or_else(|| {
            let fits = |(prefix, _): &&(String, String)| {
                type_text.starts_with(prefix) || canonical.starts_with(prefix)
            };
            self.prefixes.iter().find(fits).map(|(_, topic)| topic)
        });
        Some(topic.unwrap_or(&self.otherwise).as_str()).filter(|topic| !topic.is_empty())
    }
}

/// A message for Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) key: Option<Vec<u8>>,
    pub(super) headers: Vec<(Cow<'static, str>, Vec<u8>)>,
    pub(super) value: Option<Vec<u8>>,
}

/// The message of a published event, if it goes anywhere.
///
/// # Panics
/// The text is no event: it is our own.
pub(super) fn of_event(position: Position, text: &[u8], routes: &Routes) -> Option<Message> {
    let event: Members<'_> = serde_json::from_slice(text)
        .unwrap_or_else(|error| panic!("the published event {position} is no JSON: {error}"));
    let type_text =
        event.text("type").unwrap_or_else(|| panic!("the published event {position} has no type"));
    let topic = routes.topic(&type_text)?.to_owned();
    let key = event.text("partitionkey").map(String::into_bytes);
    let mut message = Message { topic, key, headers: Vec::new(), value: None };
    if event.get("data_base64").is_some() {
        message.headers.push((CONTENT_TYPE.into(), STRUCTURED.into()));
        message.value = Some(text.to_vec());
        return Some(message);
    }
    let mut content_type = JSON.to_owned();
    for (name, value) in event.iter().filter(|(_, value)| value.get() != "null") {
        // What is no string is a number or a switch: its text is as good.
        let as_text =
            || serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned());
        match name {
            "data" => message.value = Some(value.get().into()),
            "datacontenttype" => content_type = as_text(),
            _ => message.headers.push((format!("{ATTRIBUTE}{name}").into(), as_text().into())),
        }
    }
    message.headers.push(("ce_sequence".into(), format!("{position:020}").into()));
    message.headers.push((CONTENT_TYPE.into(), content_type.into()));
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::fmt::Write;

    fn table(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(of, topic)| ((*of).to_owned(), (*topic).to_owned())).collect()
    }

    #[test]
    fn the_closest_route_counts() {
        let routes = Routes::new(
            "payment.events",
            &table(&[
                ("commerce.payment.*", "all"),
                ("commerce.payment.re*", "re"),
                ("commerce.payment.captured", "captured"),
                ("com.bellwether.commerce.payment.failed.v1", "failed"),
                ("commerce.payment.created", ""),
            ]),
        );
        let cases = [
            ("com.bellwether.commerce.payment.captured.v1", Some("captured")),
            ("com.bellwether.commerce.payment.refunded.v1", Some("re")),
            ("com.bellwether.commerce.payment.authorized.v1", Some("all")),
            ("com.bellwether.commerce.payment.failed.v1", Some("failed")),
            ("com.example.commerce.payment.failed.v1", Some("all")),
            ("com.bellwether.commerce.payment.created.v1", None),
            ("com.bellwether.something.else.happened.v1", Some("payment.events")),
        ];
        for (type_text, topic) in cases {
            assert_eq!(routes.topic(type_text), topic, "{type_text}");
        }
        assert_eq!(routes.topics(), ["all", "captured", "failed", "payment.events", "re"]);
        let nowhere = Routes::new("", &table(&[("commerce.payment.captured", "captured")]));
        assert_eq!(nowhere.topic("com.bellwether.commerce.payment.failed.v1"), None);
        assert_eq!(nowhere.topics(), ["captured"]);
    }

    #[test]
    fn an_event_goes_out_in_binary_mode() {
        let rows = [
            r#"{"specversion":"1.0","id":"p-1.7.0","source":"/bellwether/j","type":"com.bellwether.commerce.payment.captured.v1","subject":"p-\u0031","partitionkey":"p-1","time":"2026-11-20T16:00:00.000Z","data":{"amount": 4999,"note":"\u00fc"}}"#,
            r#"{"specversion":"1.0","type":"t","id":"1","retries":3,"urgent":true,"dataschema":null,"datacontenttype":"application/vnd.shop+json","data":[]}"#,
            r#"{"specversion":"1.0","type":"t","id":"1"}"#,
            r#"{"specversion":"1.0","type":"t","id":"1","partitionkey":"k","data_base64":"AA=="}"#,
        ];
        let routes = Routes::new("payment.events", &BTreeMap::new());
        let mut found = String::new();
        for row in rows {
            let message = of_event(42, row.as_bytes(), &routes).unwrap();
            let key = message.key.map(|key| String::from_utf8(key).unwrap());
            writeln!(found, "{} {key:?}", message.topic).unwrap();
            for (name, value) in &message.headers {
                writeln!(found, "  {name}: {}", std::str::from_utf8(value).unwrap()).unwrap();
            }
            let value = message.value.map(|value| String::from_utf8(value).unwrap());
            writeln!(found, "  {value:?}").unwrap();
        }
        expect![[r#"
            payment.events Some("p-1")
              ce_specversion: 1.0
              ce_id: p-1.7.0
              ce_source: /bellwether/j
              ce_type: com.bellwether.commerce.payment.captured.v1
              ce_subject: p-1
              ce_partitionkey: p-1
              ce_time: 2026-11-20T16:00:00.000Z
              ce_sequence: 00000000000000000042
              content-type: application/json
              Some("{\"amount\": 4999,\"note\":\"\\u00fc\"}")
            payment.events None
              ce_specversion: 1.0
              ce_type: t
              ce_id: 1
              ce_retries: 3
              ce_urgent: true
              ce_sequence: 00000000000000000042
              content-type: application/vnd.shop+json
              Some("[]")
            payment.events None
              ce_specversion: 1.0
              ce_type: t
              ce_id: 1
              ce_sequence: 00000000000000000042
              content-type: application/json
              None
            payment.events Some("k")
              content-type: application/cloudevents+json
              Some("{\"specversion\":\"1.0\",\"type\":\"t\",\"id\":\"1\",\"partitionkey\":\"k\",\"data_base64\":\"AA==\"}")
        "#]].assert_eq(&found);
    }
}
