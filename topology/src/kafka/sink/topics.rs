//! Topics that the process makes itself: of its cursors, and of dead letters.
//!
//! What is *not* here: topics of published events. How many partitions those have is nothing that a
//! sink should decide.

use super::outlet::ANSWER_MAX;
use super::{Error, Silent};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;

/// As many replicas, or partitions, as the brokers are set to.
const AS_BROKERS_SAY: i32 = -1;

/// A topic of so many partitions; as many as the brokers are set to, if nobody says.
pub(super) fn new(topic: &str, partitions: Option<i32>) -> NewTopic<'_> {
    let partitions = partitions.unwrap_or(AS_BROKERS_SAY);
    NewTopic::new(topic, partitions, TopicReplication::Fixed(AS_BROKERS_SAY))
}

/// Makes a topic. False if it is there already.
///
/// # Errors
/// The brokers refuse, or do not answer.
pub(super) fn make(
    config: &ClientConfig,
    new: &NewTopic<'_>,
    runtime: &Handle,
) -> Result<bool, Error> {
    let tried = Error::kafka("making a topic");
    let admin: AdminClient<Silent> = config.create_with_context(Silent).map_err(&tried)?;
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_MAX));
    let made = runtime.block_on(admin.create_topics([new], &options)).map_err(&tried)?;
    match made.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
        Some(Err((topic, code))) => Err(Error::Topic { topic, source: KafkaError::AdminOp(code) }),
        _ => Ok(true),
    }
}
