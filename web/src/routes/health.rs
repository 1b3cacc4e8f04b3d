//! `/health/live` and `/health/ready`: for whoever decides whether to restart us, and whether to
//! send us traffic.
//!
//! Alive means that we answer at all. Ready means that recovery has caught up; if not, a 503
//! problem says why.

use crate::call::Call;
use crate::reply::Reply;
use serde_json::json;

/// `GET /health/live`
pub(super) fn live() -> Reply {
    Reply::json(200, &json!({"status": "live"}))
}

/// `GET /health/ready`
pub(super) fn ready(call: &Call) -> Reply {
    let readiness = call.handle.readiness();
    if readiness.ready {
        let (applied, end) = (readiness.applied, readiness.end);
        return Reply::json(200, &json!({"status": "ready", "applied": applied, "end": end}));
    }
    let problem = json!({
        "type": "urn:bellwether:problem:not-yet",
        "title": "Not ready",
        "status": 503,
        "detail": readiness.reasons.join("; "),
        "code": "not-yet",
        "retry": "later",
        "reasons": readiness.reasons,
        "applied": readiness.applied,
        "end": readiness.end,
    });
    Reply::problem(503, &problem).header("retry-after", "1")
}
