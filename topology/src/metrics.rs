//! The engine's metrics: every name once, with its help text and its unit, and one function a thing
//! that happens.
//!
//! Nothing here has a label that grows with users. Counters stand at zero from the start; gauges
//! that need a look at the engine are set by [`crate::handle`] when somebody scrapes.

pub(crate) mod kafka;
pub(crate) mod sink;

use crate::floor::{Counts, OUTCOMES};
use crate::kinds::Kinds;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use std::time::Duration;

const EVENTS_RECEIVED: &str = "bellwether_events_received_total";
const RECORDS_APPENDED: &str = "bellwether_records_appended_total";
const RECORDS_APPLIED: &str = "bellwether_records_applied_total";
const JOURNAL_APPEND: &str = "bellwether_journal_append_seconds";
const JOURNAL_FSYNC: &str = "bellwether_journal_fsync_seconds";
const EVENT_TO_APPLIED: &str = "bellwether_event_to_applied_seconds";
const PASSIVATIONS: &str = "bellwether_passivations_total";
const CHECKPOINT: &str = "bellwether_checkpoint_seconds";
const SNAPSHOT: &str = "bellwether_snapshot_seconds";
const SNAPSHOT_FAILURES: &str = "bellwether_snapshot_failures_total";
const EFFECTS: &str = "bellwether_effects_total";
const TIMER_LATENESS: &str = "bellwether_timer_lateness_seconds";
const CLOCK_JUMPS: &str = "bellwether_clock_jumps_total";
const RESTARTS: &str = "bellwether_actor_restarts_total";
const STORE_ASIDE: &str = "bellwether_store_moved_aside_total";
const HTTP_REQUESTS: &str = "bellwether_http_requests_total";
const HTTP_SECONDS: &str = "bellwether_http_request_seconds";

/// What ways in are called in `events_received_total{origin}`.
pub const ORIGINS: [&str; 5] = ["http", "producer", "file", "demo", "kafka"];

const COUNTERS: [(&str, &str); 10] = [
    (EVENTS_RECEIVED, "Domain events taken in, by origin"),
    (RECORDS_APPENDED, "Records appended to the journal"),
    (RECORDS_APPLIED, "Records applied, by kind and outcome"),
    (PASSIVATIONS, "Idle entities put to rest"),
    (EFFECTS, "Deliveries carried out, by sink and outcome"),
    (CLOCK_JUMPS, "Jumps of the machine's clock by more than two seconds"),
    (RESTARTS, "Restarts of actors, by actor"),
    (STORE_ASIDE, "Stores found damaged, slow or of another journal, and moved aside"),
    (SNAPSHOT_FAILURES, "Snapshots that could not be taken or did not check"),
    (HTTP_REQUESTS, "HTTP requests, by route, method and status"),
];

const HISTOGRAMS: [(&str, &str); 7] = [
    (JOURNAL_APPEND, "From taking a commit's first draft to writing it"),
    (JOURNAL_FSYNC, "Commits of the journal: write and fsync"),
    (EVENT_TO_APPLIED, "From journaling a record to applying it, of the newest record of a batch"),
    (CHECKPOINT, "Checkpoints of one shard"),
    (SNAPSHOT, "Snapshots, read back and checked"),
    (TIMER_LATENESS, "How late timers fire"),
    (HTTP_SECONDS, "HTTP requests, by route"),
];

const GAUGES: [(&str, Unit, &str); 16] = [
    ("bellwether_build_info", Unit::Count, "Always 1; the version is a label"),
    ("bellwether_journal_bytes", Unit::Bytes, "Size of the journal's files"),
    ("bellwether_apply_lag_records", Unit::Count, "Records not applied yet, of the worst shard"),
    ("bellwether_apply_lag_seconds", Unit::Seconds, "Age of the oldest record not applied yet"),
    ("bellwether_residents", Unit::Count, "Live entities, by kind"),
    ("bellwether_entities", Unit::Count, "Entities live and at rest, by kind"),
    ("bellwether_checkpoint_age_seconds", Unit::Seconds, "Age of the oldest shard's checkpoint"),
    (
        "bellwether_snapshot_age_seconds",
        Unit::Seconds,
        "Age of the newest good snapshot, or of the process as long as there is none",
    ),
    ("bellwether_store_bytes", Unit::Bytes, "Size of the store: overlay and images"),
    ("bellwether_effects_pending", Unit::Count, "Deliveries not ended yet"),
    ("bellwether_timers_pending", Unit::Count, "Timers not fired yet"),
    ("bellwether_dead_letters", Unit::Count, "Dead letters that wait for an operator"),
    ("bellwether_disk_free_bytes", Unit::Bytes, "Free space where the data directory is"),
    ("process_resident_memory_bytes", Unit::Bytes, "Resident memory size"),
    ("process_open_fds", Unit::Count, "Open file descriptors"),
    ("process_start_time_seconds", Unit::Seconds, "Start time of the process since the epoch"),
];

/// Upper bounds of every histogram's buckets, in seconds.
const BUCKETS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 10.0,
];

/// Installs the process's one recorder, with everything described and at zero. Later calls give the
/// same one.
pub fn install(kinds: &Kinds) -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = RECORDER.get_or_init(|| {
        PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            .expect("there are buckets")
            .install_recorder()
            .expect("nobody else in this process installs a recorder")
    });
    describe();
    sink::describe();
    kafka::describe();
    begin_at_zero(kinds);
    handle.clone()
}

fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(name, help);
    }
    for (name, help) in HISTOGRAMS {
        describe_histogram!(name, Unit::Seconds, help);
    }
    for (name, unit, help) in GAUGES {
        describe_gauge!(name, unit, help);
    }
}

fn begin_at_zero(kinds: &Kinds) {
    for name in [RECORDS_APPENDED, PASSIVATIONS, CLOCK_JUMPS, STORE_ASIDE, SNAPSHOT_FAILURES] {
        counter!(name).increment(0);
    }
    for origin in ORIGINS {
        counter!(EVENTS_RECEIVED, "origin" => origin).increment(0);
    }
    for (_, kind) in kinds.all() {
        for outcome in OUTCOMES {
            counter!(RECORDS_APPLIED, "kind" => kind.name, "outcome" => outcome).increment(0);
        }
    }
    for outcome in ["answered", "unknown", "failed", "refused"] {
        counter!(EFFECTS, "sink" => "gateway", "outcome" => outcome).increment(0);
    }
    for (name, _, _) in GAUGES.into_iter().filter(|(name, ..)| !has_labels(name)) {
        gauge!(name).set(0.0);
    }
    gauge!("bellwether_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    // A histogram stands there once it was made.
    let made = [JOURNAL_APPEND, JOURNAL_FSYNC, EVENT_TO_APPLIED, CHECKPOINT, SNAPSHOT];
    for name in made.into_iter().chain([TIMER_LATENESS]) {
        let _ = histogram!(name);
    }
}

fn has_labels(gauge: &str) -> bool {
    ["bellwether_build_info", "bellwether_residents", "bellwether_entities"].contains(&gauge)
}

/// Events came in.
pub fn received(origin: &'static str, events: u64) {
    counter!(EVENTS_RECEIVED, "origin" => origin).increment(events);
}

pub(crate) fn appended(records: u64) {
    counter!(RECORDS_APPENDED).increment(records);
}

pub(crate) fn committed(appended: Duration, whole: Duration) {
    histogram!(JOURNAL_APPEND).record(appended);
    histogram!(JOURNAL_FSYNC).record(whole.saturating_sub(appended));
}

pub(crate) fn applied(kinds: &Kinds, counts: &Counts) {
    for (kind, by_outcome) in &counts.applied {
        let Some(kind) = kinds.get(*kind) else { continue };
        for (outcome, count) in OUTCOMES.into_iter().zip(by_outcome).filter(|(_, n)| **n > 0) {
            counter!(RECORDS_APPLIED, "kind" => kind.name, "outcome" => outcome).increment(*count);
        }
    }
    if !counts.applied.is_empty() {
        let age_ms = crate::writer::wall_clock().0 - counts.newest.0;
        histogram!(EVENT_TO_APPLIED).record(seconds(age_ms));
    }
}

pub(crate) fn passivated(entities: u64) {
    counter!(PASSIVATIONS).increment(entities);
}

pub(crate) fn checkpointed(took: Duration) {
    histogram!(CHECKPOINT).record(took);
}

pub(crate) fn snapshot(took: Duration, is_good: bool) {
    if is_good {
        histogram!(SNAPSHOT).record(took);
    } else {
        counter!(SNAPSHOT_FAILURES).increment(1);
    }
}

pub(crate) fn timer_fired(late_ms: i64) {
    histogram!(TIMER_LATENESS).record(seconds(late_ms));
}

pub(crate) fn clock_jumped() {
    counter!(CLOCK_JUMPS).increment(1);
}

pub(crate) fn carried(sink: &str, outcome: &'static str) {
    counter!(EFFECTS, "sink" => sink.to_owned(), "outcome" => outcome).increment(1);
}

pub(crate) fn restarted(actor: &str) {
    counter!(RESTARTS, "actor" => actor.to_owned()).increment(1);
}

pub(crate) fn actor_known(actor: &str) {
    counter!(RESTARTS, "actor" => actor.to_owned()).increment(0);
}

pub(crate) fn store_moved_aside() {
    counter!(STORE_ASIDE).increment(1);
}

/// Sets a gauge without labels.
pub(crate) fn set(name: &'static str, value: f64) {
    gauge!(name).set(value);
}

/// Sets a gauge that has a value per kind.
pub(crate) fn set_of_kind(name: &'static str, kind: &'static str, value: f64) {
    gauge!(name, "kind" => kind).set(value);
}

fn seconds(ms: i64) -> f64 {
    ms.max(0) as f64 / 1_000.0
}
