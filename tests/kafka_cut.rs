//! A log that was cut behind the broker's back, as an unclean election or a restored disk does it,
//! and one that has grown again since: both are noticed before any record of it is applied.
//!
//! Runs where `BELLWETHER_TEST_KAFKA_DIR` says of a broker that may be killed, and says so where
//! not.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/source.rs"]
mod source;

use kafka::script;
use source::{Bench, Running, offsets, scratch};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use topology::kafka::{Decision, SourceState};

/// The broker dies, and its disk comes back without the end of the log.
fn cut(bench: &Bench, dir: &str) {
    assert!(script(&["kill", "1"]).status.success());
    let log = Path::new(dir).join(format!("1/data/{}-0/00000000000000000000.log", bench.topic));
    let file = File::options().write(true).open(log).unwrap();
    // In the middle of the last batch: the broker keeps what stands before it.
    file.set_len(file.metadata().unwrap().len() - 100).unwrap();
    let revived = script(&["revive", "1"]);
    assert!(revived.status.success(), "{}", String::from_utf8_lossy(&revived.stderr));
}

async fn why_it_waits(running: &Running) -> String {
    let waits = |sources: &[SourceState]| sources.iter().any(SourceState::waits_for_operator);
    running.until("it waits", waits).await;
    running.engine.handle().sources()[0].paused.clone().unwrap()
}

fn each_once(range: std::ops::Range<u64>) -> BTreeMap<u64, u32> {
    range.map(|offset| (offset, 1)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_cut_is_noticed_and_one_that_has_grown_again_too() {
    let Some(bench) = Bench::new("cut") else { return };
    let Ok(dir) = std::env::var("BELLWETHER_TEST_KAFKA_DIR") else {
        println!("skipped: BELLWETHER_TEST_KAFKA_DIR says of no broker that may be killed");
        return;
    };
    bench.make_topic(1);
    bench.produce(1, 0, 100);
    bench.produce(1, 100, 10);
    let (_dir, data) = scratch();
    let running = Running::start(&data, bench.options()).await;
    running.until_at(&[110]).await;
    running.stop().await;

    cut(&bench, &dir);
    let running = Running::start(&data, bench.options()).await;
    let why = why_it_waits(&running).await;
    let wanted =
        "the log ends at offset 100, but everything below 110 was read from it: it was cut";
    assert_eq!(why, wanted);
    running.stop().await;

    // Other records where the lost ones were, and more.
    bench.produce(1, 500, 30);
    let running = Running::start(&data, bench.options()).await;
    let why = why_it_waits(&running).await;
    assert!(why.starts_with("the record at offset 109 is not the one that was read"), "{why}");
    assert_eq!(offsets(&data).into_values().collect::<Vec<_>>(), [each_once(0..110)]);
    let handle = running.engine.handle();
    handle.decide_source(&bench.topic, 0, Decision::Continue).await.unwrap();
    running.until_at(&[130]).await;
    running.stop().await;
    assert_eq!(offsets(&data).into_values().collect::<Vec<_>>(), [each_once(0..130)]);
}
