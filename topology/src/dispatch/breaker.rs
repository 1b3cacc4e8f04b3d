//! A circuit breaker: a sink that fails time and again is left alone for a while, then tried with
//! one delivery.
//!
//! | state | may send | leaves it |
//! |---|---|---|
//! | closed | everything | to open, after `breaker_failures` failed flights in a row |
//! | open | nothing before `until` | to half-open, with the next flight after it |
//! | half-open | nothing but the probe | to closed or open, as the probe comes back |

use super::Options;
use actors::Timestamp;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Breaker {
    Closed { failures: u32 },
    Open { until: Timestamp },
    HalfOpen { probe: u64 },
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self::Closed { failures: 0 }
    }

    /// From when on something may be sent; `None` while the probe is on its way.
    pub(super) fn opens_at(&self) -> Option<Timestamp> {
        match self {
            Self::Closed { .. } => Some(Timestamp(i64::MIN)),
            Self::Open { until } => Some(*until),
            Self::HalfOpen { .. } => None,
        }
    }

    /// A flight is about to go. Says whether it is the probe.
    pub(super) fn probe(&mut self, flight: u64) -> bool {
        let probe = matches!(self, Self::Open { .. });
        if probe {
            *self = Self::HalfOpen { probe: flight };
        }
        probe
    }

    /// A flight was answered. While open or half-open only the probe counts: the others left
    /// before.
    pub(super) fn worked(&mut self, flight: u64) {
        if matches!(self, Self::Closed { .. }) || *self == (Self::HalfOpen { probe: flight }) {
            *self = Self::new();
        }
    }

    /// A flight came back without a single answer.
    pub(super) fn failed(&mut self, flight: u64, now: Timestamp, options: &Options) {
        let trips = match self {
            Self::Closed { failures } => {
                *failures += 1;
                *failures >= options.breaker_failures
            }
            Self::Open { .. } => false,
            Self::HalfOpen { probe } => *probe == flight,
        };
        if trips {
            let open_ms = i64::try_from(options.breaker_open_ms).unwrap_or(i64::MAX);
            *self = Self::Open { until: now.plus_ms(open_ms) };
        }
    }
}
