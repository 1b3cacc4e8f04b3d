//! Kafka as a source, against real brokers: everything on the topic is in the journal once, over
//! stops, and in the order it had.
//!
//! Runs where `BELLWETHER_TEST_KAFKA` names brokers, and says so where not.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/source.rs"]
mod source;

use source::{Bench, Running, offsets, scratch};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_the_topic_is_in_the_journal_once_over_stops() {
    let Some(bench) = Bench::new("source") else { return };
    bench.make_topic(4);
    bench.produce(4, 0, 5_000);
    let (_dir, data) = scratch();
    let running = Running::start(&data, bench.options()).await;
    running.until_at(&[5_000; 4]).await;
    running.stop().await;

    bench.produce(4, 5_000, 1_000);
    let running = Running::start(&data, bench.options()).await;
    running.until_at(&[6_000; 4]).await;
    bench.produce(4, 6_000, 7);
    running.until_at(&[6_007; 4]).await;
    running.stop().await;

    let all = offsets(&data);
    assert_eq!(all.len(), 4);
    for (way, of_way) in all {
        assert!(way.starts_with(&bench.topic), "{way}");
        let expected = (0..6_007).map(|offset| (offset, 1)).collect();
        assert_eq!(of_way, expected, "{way}");
    }
    let (committed, metadata) =
        bench.kafka.committed(&bench.group, (&bench.topic, 3)).unwrap().unwrap();
    assert_eq!(committed, 6_007, "{metadata}");
    assert!(metadata.contains("\"journal\":"), "{metadata}");
}
