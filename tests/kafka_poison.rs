//! Records that are no events, on real brokers: each becomes a dead letter with its place and its
//! reason, in order, and costs the others nothing.
//!
//! Runs where `BELLWETHER_TEST_KAFKA` names brokers, and says so where not.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/source.rs"]
mod source;

use actors::KindId;
use serde_json::Value;
use source::{Bench, PATIENCE, Running, campus, offsets, scratch};
use std::collections::BTreeMap;
use topology::Freshness;
use topology::api::Listing;
use topology::kafka::workbench::Message;

/// A sort of record that is no event: headers, value, and the code of its dead letter.
type Poison = (Vec<(String, Vec<u8>)>, Vec<u8>, &'static str);

/// Every sort there is.
fn poisons() -> Vec<Poison> {
    let mut event = Vec::new();
    topology::sources::campus::Campus::new(1, 10, 1, 0, 1).write(0, &mut event);
    let without = |name: &str| {
        let mut value: Value = serde_json::from_slice(&event).unwrap();
        value.as_object_mut().unwrap().remove(name);
        value.to_string().into_bytes()
    };
    let bare = |value: &[u8], code| (Vec::new(), value.to_vec(), code);
    let said = |name: &str, value: &[u8], code| {
        (vec![(name.to_owned(), value.to_vec())], event.clone(), code)
    };
    vec![
        bare(b"", "not-json"),
        bare(b"not JSON at all", "not-json"),
        bare(b"{\"specversion\":\"1.0\"", "not-json"),
        bare(b"[1, 2, 3]", "not-json"),
        bare(b"null", "not-json"),
        bare(&[0xC3, 0x28, 0xA0, 0xA1], "not-json"),
        bare(b"{\"user_id\":\"u-1\"}", "no-type"),
        bare(&without("id"), "bad-event"),
        bare(&without("source"), "bad-event"),
        bare(&vec![b'x'; (1 << 20) + 1_000], "too-large"),
        said("ce_id", &[0xFF, 0xFE], "bad-header"),
        said("content-type", b"text/plain", "unsupported-media-type"),
    ]
}

/// So many records, one of so many bad.
fn plan() -> (u64, u64) {
    let records =
        if std::env::var_os("BELLWETHER_LONG_TESTS").is_some() { 100_000 } else { 12_000 };
    (records, 100)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_event_becomes_a_dead_letter_in_its_place() {
    let Some(bench) = Bench::new("poison") else { return };
    let settings = [("max.message.bytes", "4000000")];
    bench.kafka.make_topic(&bench.topic, 1, 1, &settings).unwrap();
    let poisons = poisons();
    let (count, every) = plan();
    let poison = |offset: u64| &poisons[(offset / every) as usize % poisons.len()];
    let records = campus(0, 1, 0, count).enumerate().map(|(offset, record)| {
        let mut message = Message::from(record);
        match offset as u64 % every {
            7 => {
                let (headers, value, _) = poison(offset as u64).clone();
                (message.headers, message.value) = (headers, Some(value));
            }
            8 => message.value = None,
            _ => {}
        }
        message
    });
    bench.kafka.produce(&bench.topic, records).unwrap();
    let (_dir, data) = scratch();
    let running = Running::start(&data, bench.options()).await;
    running.until_at(&[count]).await;
    let letters = letters(&running).await;
    running.stop().await;

    let all = offsets(&data).into_values().next().unwrap();
    assert_eq!(all, (0..count).map(|offset| (offset, 1)).collect::<BTreeMap<_, _>>());
    assert_eq!(letters.len() as u64, count / every);
    // Offsets rise with positions: the letters stand where their records do.
    let mut offset = 7_u64;
    for (position, letter) in letters {
        assert_eq!(letter["offset"], offset, "at {position}: {letter}");
        assert_eq!(
            (&letter["topic"], &letter["partition"]),
            (&bench.topic.as_str().into(), &0.into())
        );
        assert_eq!(letter["code"], poison(offset).2, "{letter}");
        assert!(letter["reason"].as_str().is_some_and(|reason| reason.len() > 5), "{letter}");
        assert_eq!(letter["address"], Value::Null);
        offset += every;
    }
}

/// All dead letters, by position.
async fn letters(running: &Running) -> BTreeMap<u64, Value> {
    let handle = running.engine.handle();
    let fresh = Freshness { at_least: Some(handle.durable_end()), wait_max: PATIENCE };
    let listing = Listing { limit: 100_000, ..Listing::default() };
    let keys = handle.list(KindId::DEAD_LETTER, listing, fresh).await.unwrap().value.keys;
    let mut letters = BTreeMap::new();
    for key in keys {
        let view = handle.view(KindId::DEAD_LETTER, &key, fresh).await.unwrap().value.unwrap();
        let view: Value = serde_json::from_slice(&view).unwrap();
        letters.insert(view["position"].as_u64().unwrap(), view);
    }
    letters
}
