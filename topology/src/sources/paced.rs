//! Another source, but no faster than so many records a second: the synthetic campus, and anything
//! that is to be played back slowly.
//!
//! What was not used of one second is gone after it: after a pause there is no flood. What is *not*
//! here: the clock, which is passed in.
//!
//! Invariant: in any stretch of time at most `rate` × (its length + one second) records pass.

use super::{Error, Progress, RawBatch, Source};
use std::time::Duration;

const SECOND_US: u128 = 1_000_000;
/// The shortest rest, so that a high rate comes in batches, not one by one.
const IDLE_US_MIN: u128 = 5_000;

/// Time since any fixed moment, by a clock that does not go backwards.
pub type Clock = Box<dyn FnMut() -> Duration + Send>;

/// A source with a speed limit.
pub struct Paced<S> {
    source: S,
    records_per_second: u64,
    clock: Clock,
    last: Duration,
    /// What may pass now, in millionths of a record.
    credit: u128,
}

impl<S: Source> Paced<S> {
    /// `source`, at this rate.
    pub fn new(source: S, records_per_second: u64, mut clock: Clock) -> Self {
        assert!(records_per_second > 0, "records_per_second must be at least 1");
        let last = clock();
        Self { source, records_per_second, clock, last, credit: 0 }
    }

    /// How many may pass now.
    fn earn(&mut self) -> u128 {
        let now = (self.clock)();
        let elapsed_us = now.saturating_sub(self.last).as_micros();
        self.last = self.last.max(now);
        let rate = u128::from(self.records_per_second);
        self.credit = (self.credit + elapsed_us * rate).min(rate * SECOND_US);
        self.credit / SECOND_US
    }

    /// How long until the next one may.
    fn rest(&self) -> Duration {
        let lacking = SECOND_US.saturating_sub(self.credit);
        let us = lacking.div_ceil(u128::from(self.records_per_second)).max(IDLE_US_MIN);
        Duration::from_micros(us as u64)
    }
}

impl<S: Source> Source for Paced<S> {
    fn read(&mut self, next: u64, batch: &mut RawBatch) -> Result<Progress, Error> {
        let allowed = self.earn();
        if allowed == 0 {
            return Ok(Progress::Idle(self.rest()));
        }
        batch.allow(usize::try_from(allowed).unwrap_or(usize::MAX));
        let progress = self.source.read(next, batch);
        self.credit = self.credit.saturating_sub(batch.len() as u128 * SECOND_US);
        match progress? {
            Progress::More if self.credit < SECOND_US => Ok(Progress::Idle(self.rest())),
            progress => Ok(progress),
        }
    }

    fn durable(&mut self, next: u64) {
        self.source.durable(next);
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::Lines;
    use super::*;
    use std::io::Cursor;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn paced(lines: usize, rate: u64) -> (Paced<Lines>, Arc<AtomicU64>) {
        let text = Cursor::new("{}\n".repeat(lines));
        let now_us = Arc::new(AtomicU64::new(77));
        let shared = Arc::clone(&now_us);
        let clock = Box::new(move || Duration::from_micros(shared.load(Ordering::Relaxed)));
        (Paced::new(Lines::stream("lines".to_owned(), Box::new(text)), rate, clock), now_us)
    }

    #[test]
    fn it_keeps_the_rate_and_ends_with_its_source() {
        for rate in [1, 3, 200, 1_000_000] {
            let total = rate.min(100_000) * 3;
            let (mut source, now_us) = paced(total as usize, rate);
            let began_us = now_us.load(Ordering::Relaxed);
            let mut batch = RawBatch::new(1 << 20, 1 << 30);
            let mut next = 0;
            loop {
                batch.begin(next);
                let progress = source.read(next, &mut batch).unwrap();
                next = batch.next();
                let elapsed_us = now_us.load(Ordering::Relaxed) - began_us;
                assert!(next * 1_000_000 <= elapsed_us * rate, "{next} after {elapsed_us} us");
                match progress {
                    Progress::More => {}
                    Progress::Idle(wait) => {
                        now_us.fetch_add(wait.as_micros() as u64, Ordering::Relaxed);
                    }
                    Progress::End => break,
                }
            }
            let elapsed_us = now_us.load(Ordering::Relaxed) - began_us;
            assert_eq!(next, total, "rate {rate}");
            let due_us = total * 1_000_000 / rate;
            assert!(elapsed_us <= due_us + 1_100_000 / rate.min(100), "{elapsed_us} us");
        }
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let (mut source, now_us) = paced(10_000, 100);
        now_us.fetch_add(60_000_000, Ordering::Relaxed);
        let mut batch = RawBatch::new(1 << 20, 1 << 30);
        batch.begin(0);
        let progress = source.read(0, &mut batch).unwrap();
        assert_eq!((batch.len(), progress), (100, Progress::Idle(Duration::from_millis(10))));
    }
}
