//! What goes out to Kafka, in metrics.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const SENT: &str = "bellwether_kafka_sent_total";
const FAILED: &str = "bellwether_kafka_send_errors_total";
const LAG: &str = "bellwether_kafka_sink_lag_records";

/// Every name with its help text, at zero.
pub(super) fn describe() {
    describe_counter!(SENT, "Messages that Kafka has confirmed");
    describe_counter!(FAILED, "Troubles of sending to Kafka");
    describe_gauge!(LAG, Unit::Count, "Records of the journal not yet seen by the Kafka sink");
    counter!(SENT).increment(0);
    counter!(FAILED).increment(0);
    gauge!(LAG).set(0.0);
}

pub(crate) fn sent(messages: u64) {
    counter!(SENT).increment(messages);
}

pub(crate) fn failed() {
    counter!(FAILED).increment(1);
}

pub(crate) fn lag(records: u64) {
    gauge!(LAG).set(records as f64);
}
