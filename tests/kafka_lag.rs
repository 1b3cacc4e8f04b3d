//! How far behind a partition is said to be: the age of the oldest record that is not read, not of
//! the last that was; and nothing where there is nothing to read.
//!
//! Runs where `BELLWETHER_TEST_KAFKA` names brokers, and says so where not.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/source.rs"]
mod source;

use source::{Bench, Running, campus, scratch};
use topology::kafka::{Decision, SourceState};

const HOUR_S: u64 = 3_600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_transaction_is_nothing_to_read() {
    let Some(bench) = Bench::new("lag") else { return };
    bench.make_topic(1);
    bench.kafka.transact(&bench.topic, campus(0, 1, 0, 10)).unwrap();
    let (_dir, data) = scratch();
    let running = Running::start(&data, bench.options()).await;
    // The log ends behind the mark that ends the transaction.
    let is_read = |sources: &[SourceState]| match sources {
        [source] => {
            (source.position, source.log_end, source.lag_records) == (Some(10), Some(11), Some(0))
                && source.lag_seconds == Some(0.0)
        }
        _ => false,
    };
    running.until("all is read", is_read).await;
    let metrics = running.engine.handle().metrics().await;
    let gauge =
        format!("bellwether_kafka_lag_seconds{{topic=\"{}\",partition=\"0\"}} 0", bench.topic);
    assert!(metrics.contains(&gauge), "{gauge} is not in {metrics}");
    bench.kafka.transact(&bench.topic, campus(0, 1, 10, 5)).unwrap();
    running.until_at(&[16]).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_waits_is_as_late_as_its_oldest_unread_record() {
    let Some(bench) = Bench::new("late") else { return };
    bench.make_topic(1);
    // Records of two hours ago, then of one: what was removed is not what is late.
    let produce = |from, events, age_s| {
        bench.kafka.produce_aged(&bench.topic, campus(0, 1, from, events), age_s).unwrap();
    };
    produce(0, 100, 3 * HOUR_S);
    let (_dir, data) = scratch();
    let running = Running::start(&data, bench.options()).await;
    running.until_at(&[100]).await;
    running.stop().await;
    produce(100, 20, 2 * HOUR_S);
    produce(120, 30, HOUR_S);
    bench.kafka.remove_below(&bench.topic, 0, 120).unwrap();
    let running = Running::start(&data, bench.options()).await;
    let is_late = |sources: &[SourceState]| match sources {
        [source] => source
            .lag_seconds
            .is_some_and(|age| source.waits_for_operator() && (age - HOUR_S as f64).abs() < 600.0),
        _ => false,
    };
    running.until("it is an hour late", is_late).await;
    running.engine.handle().decide_source(&bench.topic, 0, Decision::Continue).await.unwrap();
    running.until("it is late no more", |s| s[0].lag_seconds == Some(0.0)).await;
    running.stop().await;
}
