//! The partitions that domain events come from, for operators: how they are, and what is to become
//! of one that waits.

use super::Handle;
use crate::kafka::{Decision, SourceState};

/// Why a partition was not told what was decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// There is no such partition, or it was never ours.
    #[error("there is no such partition here")]
    Unknown,
    /// It waits for nobody.
    #[error("the partition does not wait for a decision")]
    NotWaiting,
}

impl Handle {
    /// Every partition that was ever assigned to this process.
    pub fn sources(&self) -> Vec<SourceState> {
        self.inner.kafka.get().map(|kafka| kafka.sources()).unwrap_or_default()
    }

    /// Tells a partition that waits how it goes on; answers when that is a record.
    pub async fn decide_source(
        &self,
        topic: &str,
        partition: i32,
        decision: Decision,
    ) -> Result<SourceState, DecideError> {
        let kafka = self.inner.kafka.get().ok_or(DecideError::Unknown)?;
        match kafka.decide((topic, partition), decision).await {
            None => Err(DecideError::Unknown),
            Some(false) => Err(DecideError::NotWaiting),
            Some(true) => kafka.source(topic, partition).ok_or(DecideError::Unknown),
        }
    }
}
