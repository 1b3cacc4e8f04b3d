//! How much of the journal is kept: the rule. What is *not* here: what bounds it from the other
//! side, and removing.

use actors::{Position, Timestamp};

/// How much of the journal is kept beyond what a start could need. What every limit lets go of may
/// go; with no limit, all of it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retain {
    /// At least so many bytes.
    pub bytes: Option<u64>,
    /// At least what was appended in so many milliseconds.
    pub ms: Option<i64>,
}

/// A file of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The position it begins at.
    pub(super) base: Position,
    /// How long it is.
    pub(super) bytes: u64,
    /// When its first frame was appended.
    pub(super) time: Timestamp,
}

impl Retain {
    /// Whether anything may ever go.
    pub fn is_all(&self) -> bool {
        self.bytes.is_none() && self.ms.is_none()
    }

    /// The position below which the rule lets go: of `segments`, in order, where the first one to
    /// be kept begins.
    pub(super) fn floor(&self, segments: &[Segment], now: Timestamp) -> Position {
        let oldest = now.0.saturating_sub(self.ms.unwrap_or(0));
        let mut kept = 0;
        let mut floor = 0;
        if self.is_all() {
            return floor;
        }
        for segment in segments.iter().rev() {
            kept += segment.bytes;
            floor = segment.base;
            let enough = self.bytes.is_none_or(|bytes| kept >= bytes);
            if enough && (self.ms.is_none() || segment.time.0 <= oldest) {
                break;
            }
        }
        floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_limit_lets_go_of_may_go() {
        let segment =
            |nth: u64| Segment { base: nth * 100, bytes: 10, time: Timestamp(nth as i64 * 1_000) };
        let segments: Vec<_> = (0..10).map(segment).collect();
        let cases = [
            (None, None, 0),
            (Some(0), None, 900),
            (Some(10), None, 900),
            (Some(11), None, 800),
            (Some(95), None, 0),
            (Some(1_000), None, 0),
            (None, Some(0), 900),
            (None, Some(500), 900),
            (None, Some(1_500), 800),
            (None, Some(100_000), 0),
            (Some(25), Some(500), 700),
            (Some(25), Some(5_500), 400),
        ];
        for (bytes, ms, floor) in cases {
            let found = Retain { bytes, ms }.floor(&segments, Timestamp(9_500));
            assert_eq!(found, floor, "{bytes:?} bytes, {ms:?} ms");
        }
        assert_eq!(Retain { bytes: Some(1), ms: None }.floor(&[], Timestamp(0)), 0);
    }
}
