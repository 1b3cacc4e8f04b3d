//! What an error of Kafka is called, and what an operator can do about it.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// A word for metrics, and advice.
pub(super) fn describe(error: &KafkaError) -> (&'static str, &'static str) {
    match error.rdkafka_error_code() {
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve) => {
            ("unreachable", "are these Kafka brokers, and can they be reached from here?")
        }
        Some(
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::SSL,
        ) => ("authentication", "check user, password and mechanism under [kafka.client]"),
        Some(Code::TopicAuthorizationFailed) => {
            ("permission", "let this user describe the topic, and read or write it")
        }
        Some(Code::GroupAuthorizationFailed) => ("permission", "let this user read the group"),
        Some(Code::TransactionalIdAuthorizationFailed) => (
            "permission",
            "let this user write under transactional ids that begin with bellwether.",
        ),
        Some(Code::ClusterAuthorizationFailed) => {
            ("permission", "let this user write idempotently, and make topics")
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
            ("unknown-topic", "make the topic, or mend its name under [kafka]")
        }
        Some(Code::ProducerFenced | Code::InvalidProducerEpoch | Code::Fenced) => {
            ("fenced", "another process uses a copy of this data directory: stop one of them")
        }
        Some(Code::FencedInstanceId) => {
            ("fenced", "another process has the same group.instance.id: each needs its own")
        }
        Some(Code::BadMessage) => (
            "unreadable",
            "what answers does not speak Kafka's protocol, or a batch of the topic is damaged",
        ),
        Some(Code::BadCompression | Code::NotImplemented) => {
            ("unreadable", "a batch is compressed in a way that this program lacks")
        }
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => {
            ("too-large", "raise receive.message.max.bytes under [kafka.client]")
        }
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
            ("offset", "the log is looked at again before anything is read from it")
        }
        _ if matches!(error, KafkaError::ClientConfig(..) | KafkaError::ClientCreation(..)) => {
            ("configuration", "check [kafka] and [kafka.client]")
        }
        _ => ("other", "look at the brokers' logs, and try again"),
    }
}
