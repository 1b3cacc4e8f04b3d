//! Copies of dead letters that came from Kafka, for `dlq.<topic>`: the record's key, value and
//! headers, and in headers of ours where it stood and what was wrong with it.
//!
//! | header | |
//! |---|---|
//! | `bellwether_id` | the dead letter's id: a repeat has the same |
//! | `bellwether_topic`, `bellwether_partition`, `bellwether_offset` | where the record stood |
//! | `bellwether_code`, `bellwether_reason` | what is wrong with it |
//! | `bellwether_time` | when that was found |
//!
//! What is *not* here: who finds it (the source does), and whether it is sent.

use super::message::Message;
use crate::kafka::original::Original;
use crate::record::tag;
use actors::{KindId, Position, codec, deadletter::Event};
use state::frame::{Frame, Mark};
use std::borrow::Cow;

/// What the names of topics of dead letters begin with.
const PREFIX: &str = "dlq.";

/// Whether this is a topic of dead letters.
pub(super) fn is_topic(topic: &str) -> bool {
    topic.starts_with(PREFIX)
}

/// Appends a message for each dead letter that a frame of Kafka's opened, from this position on.
pub(super) fn collect(frame: &Frame, from: Position, out: &mut Vec<(Position, Message)>) {
    let Some((topic, partition)) = place(frame.way_name()) else { return };
    for group in frame.groups() {
        let Mark::Number { number: offset, .. } = group.mark else { continue };
        let mut records = frame.slice(group.records).peekable();
        let mut before: Option<&[u8]> = None;
        while let Some(record) = records.next() {
            let is_letter = record.tag == tag::HEARD && record.kind == KindId::DEAD_LETTER;
            if !is_letter {
                before = Some(record.payload);
                continue;
            }
            if record.position < from {
                continue;
            }
            let original = records.peek().filter(|next| next.tag == tag::ORIGINAL);
            let original = original.map(|next| Original::decode(next.payload)).unwrap_or_default();
            let (code, reason) = what_is_wrong(record.payload);
            let ours = [
                ("bellwether_id", record.key.to_owned()),
                ("bellwether_topic", topic.to_owned()),
                ("bellwether_partition", partition.to_owned()),
                ("bellwether_offset", offset.to_string()),
                ("bellwether_code", code),
                ("bellwether_reason", reason),
                ("bellwether_time", frame.time().to_string()),
            ];
            let message = Message {
                topic: format!("{PREFIX}{topic}"),
                key: original.key,
                headers: headers(original.headers, ours),
                value: before.map(<[u8]>::to_vec),
            };
            out.push((record.position, message));
        }
    }
}

/// The record's own headers, then ours. A copy of a copy says of the latter only what is new.
fn headers(
    original: Vec<(String, Vec<u8>)>,
    ours: [(&'static str, String); 7],
) -> Vec<(Cow<'static, str>, Vec<u8>)> {
    let is_ours = |name: &str| ours.iter().any(|(of, _)| *of == name);
    let theirs = original.into_iter().filter(|(name, _)| !is_ours(name));
    let mut all: Vec<_> = theirs.map(|(name, value)| (name.into(), value)).collect();
    all.extend(ours.map(|(name, value)| (name.into(), value.into_bytes())));
    all
}

/// Topic and partition, of a way's name: they stand in front, as `TOPIC/PARTITION#`.
fn place(way: &str) -> Option<(&str, &str)> {
    way.split_once('#')?.0.rsplit_once('/')
}

fn what_is_wrong(payload: &[u8]) -> (String, String) {
    match codec::decode(payload) {
        Ok(Event::Opened { code, reason, .. } | Event::Refused { code, reason, .. }) => {
            (code, reason)
        }
        Ok(Event::Retried | Event::Discarded) => ("unknown".to_owned(), String::new()),
        Err(error) => ("unknown".to_owned(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::Timestamp;
    use expect_test::expect;
    use state::disk::FaultyDisk;
    use state::frame::{Draft, RecordHead, Way, WayKind};
    use state::journal::{Journal, Options};
    use std::fmt::Write;
    use std::path::Path;
    use std::sync::Arc;

    fn head(tag: u8, kind: KindId) -> RecordHead {
        RecordHead { tag, kind, depth: 0 }
    }

    /// A frame with a good event, one that is a dead letter, a record that is none, and nothing.
    fn frame(way: &str) -> Arc<Frame> {
        let options = Options { disk_reserve_bytes: 0, ..Options::new([7; 16]) };
        let disk = Arc::new(FaultyDisk::new(1));
        let (mut journal, _) = Journal::open(disk, Path::new("/journal"), options, &[]).unwrap();
        let mut draft = Draft::new(Way::new(WayKind::Kafka, way));
        draft.begin_group(Mark::Number { number: 40, index: 1 });
        draft.push(head(tag::EVENT, KindId(0)), "", b"good");
        draft.push(head(tag::HEARD, KindId(1)), "u-1", b"heard");
        draft.begin_group(Mark::Number { number: 41, index: 1 });
        draft.push(head(tag::EVENT, KindId(0)), "", b"{\"bad\":1}");
        let (code, reason) = ("unfit".to_owned(), "data.user_id: is missing".to_owned());
        let letter = Event::Opened { position: None, code, reason, address: None };
        draft.push(head(tag::HEARD, KindId::DEAD_LETTER), "e-77", &codec::encode(&letter));
        draft.begin_group(Mark::Number { number: 43, index: 1 });
        draft.push(head(tag::REFUSED, KindId(0)), "", b"not JSON");
        let (topic, code) = ("campus.events".to_owned(), "not-json".to_owned());
        let reason = "expected value".to_owned();
        let letter = Event::Refused { topic, partition: 3, offset: 43, code, reason };
        draft.push(head(tag::HEARD, KindId::DEAD_LETTER), "k-78", &codec::encode(&letter));
        let mut original = Original::new(Some(b"u-7"));
        original.add("trace", b"7f");
        original.add("bellwether_code", b"of another copy");
        draft.push(head(tag::ORIGINAL, KindId(0)), "", &original.encoded().unwrap());
        draft.begin_group(Mark::Number { number: 44, index: 1 });
        journal.append(&draft, Timestamp(1_795_190_400_123)).unwrap();
        journal.commit().unwrap();
        journal.reader().read(0, 1 << 20).unwrap().remove(0)
    }

    #[test]
    fn a_dead_letter_is_copied_with_where_it_stood_and_why() {
        let frame = frame("campus.events/3#0@u5-_MxiCSnuCk0s1DVUxmA");
        let mut found = String::new();
        let mut messages = Vec::new();
        collect(&frame, 0, &mut messages);
        for (position, message) in &messages {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let value = message.value.as_deref().map(text);
            let key = message.key.as_deref().map(text);
            writeln!(found, "{position} {} {key:?} {value:?}", message.topic).unwrap();
            for (name, value) in &message.headers {
                writeln!(found, "  {name}: {}", text(value)).unwrap();
            }
        }
        expect![[r#"
            3 dlq.campus.events None Some("{\"bad\":1}")
              bellwether_id: e-77
              bellwether_topic: campus.events
              bellwether_partition: 3
              bellwether_offset: 41
              bellwether_code: unfit
              bellwether_reason: data.user_id: is missing
              bellwether_time: 2026-11-20T16:00:00.123Z
            5 dlq.campus.events Some("u-7") Some("not JSON")
              trace: 7f
              bellwether_id: k-78
              bellwether_topic: campus.events
              bellwether_partition: 3
              bellwether_offset: 43
              bellwether_code: not-json
              bellwether_reason: expected value
              bellwether_time: 2026-11-20T16:00:00.123Z
        "#]]
        .assert_eq(&found);
        // What lies below the cursor has been sent.
        messages.clear();
        collect(&frame, frame.end(), &mut messages);
        assert!(messages.is_empty());
    }
}
