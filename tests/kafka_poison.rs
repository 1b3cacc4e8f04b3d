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

/// Every sort of record that is no event, and a word of the reason.
fn poisons() -> Vec<Vec<u8>> {
    let mut event = Vec::new();
    topology::sources::campus::Campus::new(1, 10, 1, 0, 1).write(0, &mut event);
    let without = |name: &str| {
        let mut value: Value = serde_json::from_slice(&event).unwrap();
        value.as_object_mut().unwrap().remove(name);
        value.to_string().into_bytes()
    };
    vec![
        b"".to_vec(),
        b"not JSON at all".to_vec(),
        b"{\"specversion\":\"1.0\"".to_vec(),
        b"[1, 2, 3]".to_vec(),
        b"42".to_vec(),
        b"null".to_vec(),
        vec![0xC3, 0x28, 0xA0, 0xA1],
        vec![0; 512],
        without("id"),
        without("source"),
        without("type"),
        vec![b'x'; (1 << 20) + 1_000],
    ]
}

const RECORDS: u64 = 12_000;
const EVERY: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_event_becomes_a_dead_letter_in_its_place() {
    let Some(bench) = Bench::new("poison") else { return };
    let settings = [("max.message.bytes", "4000000")];
    bench.kafka.make_topic(&bench.topic, 1, 1, &settings).unwrap();
    let poisons = poisons();
    let records = campus(0, 1, 0, RECORDS).enumerate().map(|(offset, mut record)| {
        match offset as u64 % EVERY {
            7 => record.2 = Some(poisons[offset / EVERY as usize % poisons.len()].clone()),
            8 => record.2 = None,
            _ => {}
        }
        record
    });
    bench.kafka.produce(&bench.topic, records).unwrap();
    let (_dir, data) = scratch();
    let running = Running::start(&data, bench.options()).await;
    running.until_at(&[RECORDS]).await;
    let letters = letters(&running).await;
    running.stop().await;

    let all = offsets(&data).into_values().next().unwrap();
    assert_eq!(all, (0..RECORDS).map(|offset| (offset, 1)).collect::<BTreeMap<_, _>>());
    assert_eq!(letters.len() as u64, RECORDS / EVERY);
    // Offsets rise with positions: the letters stand where their records do.
    let mut offset = 7;
    for (position, letter) in letters {
        assert_eq!(letter["offset"], offset, "at {position}: {letter}");
        assert_eq!(
            (&letter["topic"], &letter["partition"]),
            (&bench.topic.as_str().into(), &0.into())
        );
        assert!(letter["code"].as_str().is_some_and(|code| !code.is_empty()), "{letter}");
        assert!(letter["reason"].as_str().is_some_and(|reason| reason.len() > 5), "{letter}");
        assert_eq!(letter["address"], Value::Null);
        offset += EVERY;
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
