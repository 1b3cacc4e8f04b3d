//! `/ops/sources`: the partitions that domain events come from, and what is to become of one whose
//! log is not the one that was read.

use crate::call::Call;
use crate::error::Error;
use crate::reply::Reply;
use topology::handle::DecideError;
use topology::kafka::Decision;

/// `GET /ops/sources`
pub(super) fn list(call: &Call) -> Reply {
    Reply::data(&call.handle.sources(), call.handle.readiness().applied)
}

/// `POST /ops/sources/{topic}/{partition}/continue`
pub(super) async fn go_on(call: Call) -> Result<Reply, Error> {
    decide(call, Decision::Continue).await
}

/// `POST /ops/sources/{topic}/{partition}/restart`
pub(super) async fn restart(call: Call) -> Result<Reply, Error> {
    decide(call, Decision::Restart).await
}

async fn decide(call: Call, decision: Decision) -> Result<Reply, Error> {
    let topic = call.id(0);
    let partition: i32 =
        call.id(1).parse().map_err(|_| Error::bad("path:partition", "must be a number"))?;
    match call.handle.decide_source(topic, partition, decision).await {
        Ok(source) => Ok(Reply::data(&source, call.handle.readiness().applied)),
        Err(DecideError::Unknown) => {
            Err(Error::NotFound(format!("there is no source {topic}/{partition}")))
        }
        Err(error @ DecideError::NotWaiting) => {
            Err(Error::Conflict { reason: error.to_string(), replayed: false })
        }
    }
}
