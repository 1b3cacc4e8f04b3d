//! How values stand in answers: exact fractions, counted in millionths, rounded once, never a
//! float; and values as texts.
//!
//! What is *not* here: money, which has no fractions below its minor unit.

use serde::{Serialize, Serializer, ser};
use serde_json::value::RawValue;
use std::fmt;

/// Millionths in one.
pub(crate) const ONE: u128 = 1_000_000;

/// A number of millionths; in JSON a number with as many digits as it needs, six behind the point
/// at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millionths(pub u128);

impl Millionths {
    /// The quotient, rounded half away from zero; `None` if the divisor is 0.
    pub fn ratio(dividend: Self, divisor: u64) -> Option<Self> {
        let divisor = u128::from(divisor);
        (divisor > 0).then(|| Self((dividend.0 + divisor / 2) / divisor))
    }
}

impl fmt::Display for Millionths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 / ONE)?;
        let fraction = self.0 % ONE;
        if fraction == 0 {
            return Ok(());
        }
        let digits = format!("{fraction:06}");
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

impl Serialize for Millionths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.to_string()).map_err(ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// A value as the text it shows itself as.
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millionths_print_exactly_and_round_half_away_from_zero() {
        let cases = [
            (0, 1, Some("0")),
            (1, 0, None),
            (278 * ONE, 383, Some("0.725849")),
            (113_243 * ONE, 1_631, Some("69.431637")),
            (1, 2, Some("0.000001")),
            (1, 3, Some("0")),
            (78_500_000, 1, Some("78.5")),
            (10_000_000_000_000_000_000_000_001, 1, Some("10000000000000000000.000001")),
        ];
        for (dividend, divisor, text) in cases {
            let ratio = Millionths::ratio(Millionths(dividend), divisor);
            let json = serde_json::to_string(&ratio).expect("a number or null");
            assert_eq!(json, text.unwrap_or("null"), "{dividend} / {divisor}");
        }
    }
}
