//! What Kafka does to us, in metrics. Labels are topics, partitions and words of ours, never keys.

use crate::kafka::{Finding, SourceState};
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use std::time::Duration;

const REBALANCES: &str = "bellwether_kafka_rebalances_total";
const ERRORS: &str = "bellwether_kafka_errors_total";
const FINDINGS: &str = "bellwether_kafka_findings_total";
const TOMBSTONES: &str = "bellwether_kafka_tombstones_total";
const REFUSED: &str = "bellwether_kafka_refused_total";
const COMMIT: &str = "bellwether_kafka_commit_seconds";
const LAG_RECORDS: &str = "bellwether_kafka_lag_records";
const LAG_SECONDS: &str = "bellwether_kafka_lag_seconds";
const WAITING: &str = "bellwether_kafka_partitions_waiting";

/// What errors may be called.
const KINDS: [&str; 12] = [
    "unreachable",
    "authentication",
    "permission",
    "unknown-topic",
    "unreadable",
    "too-large",
    "fenced",
    "offset",
    "configuration",
    "commit",
    "stray",
    "other",
];

/// Every name with its help text; counters and histograms at zero.
pub(super) fn describe() {
    describe_counter!(REBALANCES, "Partitions of Kafka given to us, or taken from us");
    describe_counter!(ERRORS, "Errors of Kafka, by kind");
    describe_counter!(FINDINGS, "Logs that are not the ones that were read, by finding");
    describe_counter!(TOMBSTONES, "Records of Kafka without a value");
    describe_counter!(REFUSED, "Records of Kafka that are no event, by code");
    describe_histogram!(COMMIT, Unit::Seconds, "Commits of offsets to the group");
    describe_gauge!(LAG_RECORDS, Unit::Count, "Records of a partition that are not journaled yet");
    describe_gauge!(LAG_SECONDS, Unit::Seconds, "Age of the oldest record not journaled yet");
    describe_gauge!(WAITING, Unit::Count, "Partitions that wait for an operator");
    counter!(REBALANCES).increment(0);
    counter!(TOMBSTONES).increment(0);
    for kind in KINDS {
        counter!(ERRORS, "kind" => kind).increment(0);
    }
    for finding in Finding::ALL {
        counter!(FINDINGS, "finding" => finding).increment(0);
    }
    gauge!(WAITING).set(0.0);
    let _ = histogram!(COMMIT);
}

pub(crate) fn rebalanced() {
    counter!(REBALANCES).increment(1);
}

pub(crate) fn failed(kind: &'static str) {
    counter!(ERRORS, "kind" => kind).increment(1);
}

pub(crate) fn found(finding: &'static str) {
    counter!(FINDINGS, "finding" => finding).increment(1);
}

pub(crate) fn tombstone() {
    counter!(TOMBSTONES).increment(1);
}

pub(crate) fn refused(code: &str) {
    counter!(REFUSED, "code" => code.to_owned()).increment(1);
}

pub(crate) fn committed(took: Duration) {
    histogram!(COMMIT).record(took);
}

/// Sets the gauges of every partition; of those that are not ours, to zero.
pub(crate) fn set_sources(sources: &[SourceState]) {
    let mut waiting = 0;
    for source in sources {
        let labels = [("topic", source.topic.clone()), ("partition", source.partition.to_string())];
        gauge!(LAG_RECORDS, &labels).set(source.lag_records.unwrap_or(0) as f64);
        gauge!(LAG_SECONDS, &labels).set(source.lag_seconds.unwrap_or(0.0));
        waiting += usize::from(source.waits_for_operator());
    }
    gauge!(WAITING).set(waiting as f64);
}
