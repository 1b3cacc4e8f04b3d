//! Logs that lie, on real brokers: made again under the same name, emptied by retention, offsets of
//! the group moved by hand. Each is noticed before any record is applied, and named; what becomes
//! of it is decided, and a record.
//!
//! Runs where `BELLWETHER_TEST_KAFKA` names brokers, and says so where not. Logs that were cut are
//! judged in the unit tests of `topology/src/kafka/proof.rs`: no broker cuts its log when asked.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/source.rs"]
mod source;

use source::{Bench, Running, campus, offsets, scratch};
use std::collections::BTreeMap;
use std::path::Path;
use topology::kafka::{Decision, Policy, SourceState};

/// The offsets of each way, without what names the topic.
fn read(data: &Path) -> Vec<BTreeMap<u64, u32>> {
    offsets(data).into_values().collect()
}

fn each_once(range: std::ops::Range<u64>) -> BTreeMap<u64, u32> {
    range.map(|offset| (offset, 1)).collect()
}

/// How often this was found so far, by any test of this process.
async fn found(running: &Running, finding: &str) -> u64 {
    let metrics = running.engine.handle().metrics().await;
    let name = format!("bellwether_kafka_findings_total{{finding=\"{finding}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

/// Waits until the only partition waits for an operator, and says why.
async fn until_waiting(running: &Running) -> String {
    running.until("it waits", |sources| sources.iter().any(SourceState::waits_for_operator)).await;
    let readiness = running.engine.handle().readiness();
    assert!(!readiness.ready);
    let why = readiness.reasons.join("; ");
    assert!(why.starts_with("partition 0 of topic "), "{why}");
    running.engine.handle().sources()[0].paused.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_again_is_noticed_whatever_its_length() {
    for (test, length) in [("shorter", 30), ("longer", 300), ("same-length", 100)] {
        let Some(bench) = Bench::new(test) else { return };
        bench.make_topic(1);
        bench.produce(1, 0, 100);
        let (_dir, data) = scratch();
        let running = Running::start(&data, bench.options()).await;
        running.until_at(&[100]).await;
        running.stop().await;

        bench.kafka.delete_topic(&bench.topic).unwrap();
        bench.make_topic(1);
        // The very same records, so that only the topic's id differs.
        bench.produce(1, 0, length);
        let running = Running::start(&data, bench.options()).await;
        let why = until_waiting(&running).await;
        assert!(why.starts_with("the topic was deleted and made again"), "{test}: {why}");
        assert_eq!(read(&data), [each_once(0..100)], "{test}: nothing is applied");
        assert_eq!(running.engine.handle().sources()[0].position, Some(100));
        let handle = running.engine.handle();
        let refused = handle.decide_source(&bench.topic, 1, Decision::Restart).await;
        assert_eq!(refused.unwrap_err().to_string(), "there is no such partition here");
        handle.decide_source(&bench.topic, 0, Decision::Restart).await.unwrap();
        running.until_at(&[length]).await;
        assert!(handle.readiness().ready);
        let refused = handle.decide_source(&bench.topic, 0, Decision::Restart).await;
        assert_eq!(refused.unwrap_err().to_string(), "the partition does not wait for a decision");
        running.stop().await;
        assert_eq!(read(&data), [each_once(0..100), each_once(0..length)], "{test}");

        // What was decided holds after the next start.
        let running = Running::start(&data, bench.options()).await;
        running.until_at(&[length]).await;
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_again_while_it_is_read_is_noticed() {
    let Some(bench) = Bench::new("live") else { return };
    bench.make_topic(1);
    bench.produce(1, 0, 100);
    let (_dir, data) = scratch();
    let mut options = bench.options();
    options.on_recreated = Policy::Go(Decision::Restart);
    options.client.insert("topic.metadata.refresh.interval.ms".to_owned(), "1000".to_owned());
    let running = Running::start(&data, options).await;
    running.until_at(&[100]).await;
    let before = found(&running, "recreated").await;
    bench.kafka.delete_topic(&bench.topic).unwrap();
    bench.make_topic(1);
    bench.produce(1, 0, 70);
    running.until_at(&[70]).await;
    assert!(found(&running, "recreated").await > before);
    running.stop().await;
    assert_eq!(read(&data), [each_once(0..100), each_once(0..70)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_took_is_noticed_and_named() {
    let Some(bench) = Bench::new("gap") else { return };
    bench.make_topic(1);
    bench.produce(1, 0, 100);
    let (_dir, data) = scratch();
    let running = Running::start(&data, bench.options()).await;
    running.until_at(&[100]).await;
    running.stop().await;

    bench.produce(1, 100, 50);
    bench.kafka.remove_below(&bench.topic, 0, 120).unwrap();
    let running = Running::start(&data, bench.options()).await;
    let why = until_waiting(&running).await;
    assert_eq!(why, "offsets 100 to 119 were removed from the log before they were read");
    running.engine.handle().decide_source(&bench.topic, 0, Decision::Continue).await.unwrap();
    running.until_at(&[150]).await;
    running.stop().await;
    let mut expected = each_once(0..100);
    expected.extend(each_once(120..150));
    assert_eq!(read(&data), [expected]);

    // What was read before it was removed is no loss.
    bench.kafka.remove_below(&bench.topic, 0, 150).unwrap();
    bench.produce(1, 150, 5);
    let running = Running::start(&data, bench.options()).await;
    running.until_at(&[155]).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_s_offsets_moved_by_hand_move_nothing() {
    let Some(bench) = Bench::new("moved") else { return };
    bench.make_topic(1);
    bench.produce(1, 0, 100);
    let (_dir, data) = scratch();
    let mut options = bench.options();
    // Only of a group without members can offsets be moved by hand.
    options.client.insert("group.instance.id".to_owned(), String::new());
    let running = Running::start(&data, options.clone()).await;
    running.until_at(&[100]).await;
    running.stop().await;
    let mut end = 100;
    // Back, forth, and beyond what there is.
    for moved in [10, 140, 1_000] {
        bench.kafka.move_group(&bench.group, (&bench.topic, 0), moved).unwrap();
        bench.produce(1, end, 50);
        end += 50;
        let running = Running::start(&data, options.clone()).await;
        let before = found(&running, "moved").await;
        running.until_at(&[end]).await;
        assert!(found(&running, "moved").await >= before.max(1), "{moved}");
        running.stop().await;
        assert_eq!(read(&data), [each_once(0..end)], "{moved}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_reading_begins_is_configured_and_remembered() {
    let Some(bench) = Bench::new("latest") else { return };
    bench.make_topic(1);
    bench.produce(1, 0, 100);
    let (_dir, data) = scratch();
    let mut options = bench.options();
    options.start = topology::kafka::Start::Latest;
    let running = Running::start(&data, options.clone()).await;
    running.until_at(&[100]).await;
    running.stop().await;
    // What came while it was away is not lost: it had begun.
    bench.kafka.produce(&bench.topic, campus(0, 1, 100, 20)).unwrap();
    let running = Running::start(&data, options).await;
    running.until_at(&[120]).await;
    running.stop().await;
    assert_eq!(read(&data), [each_once(100..120)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_directory_has_read_is_decided_about_where_that_is_configured() {
    for (test, decision) in [("others", Decision::Continue), ("anew", Decision::Restart)] {
        let Some(bench) = Bench::new(test) else { return };
        bench.make_topic(1);
        bench.produce(1, 0, 100);
        let mut options = bench.options();
        options.on_foreign = Policy::Stop;
        // Who leaves the group leaves at once.
        options.client.insert("group.instance.id".to_owned(), String::new());
        let (_other_dir, other_data) = scratch();
        let running = Running::start(&other_data, options.clone()).await;
        running.until_at(&[100]).await;
        running.stop().await;
        bench.produce(1, 100, 50);

        let (_dir, data) = scratch();
        let running = Running::start(&data, options.clone()).await;
        let why = until_waiting(&running).await;
        let begins = "offsets 0 to 99 were read by another process of the group, into journal ";
        assert!(why.starts_with(begins), "{why}");
        let source = running.engine.handle().sources().remove(0);
        assert_eq!((source.position, source.lag_records), (Some(100), Some(50)));
        // Its records are of now, but older than nothing.
        assert!(source.lag_seconds.is_some_and(|age| age > 0.0 && age < 600.0), "{source:?}");
        running.engine.handle().decide_source(&bench.topic, 0, decision).await.unwrap();
        running.until_at(&[150]).await;
        running.stop().await;
        let from = if decision == Decision::Continue { 100 } else { 0 };
        assert_eq!(read(&data), [each_once(from..150)], "{test}");

        // It is ours from now on.
        bench.produce(1, 150, 5);
        let running = Running::start(&data, options).await;
        running.until_at(&[155]).await;
        running.stop().await;
    }
}
