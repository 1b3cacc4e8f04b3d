//! How far a long verb is: a bar on a terminal, a plain line every few seconds anywhere else.
//!
//! Both go to standard error, so that standard output stays the verb's own. What is *not* here:
//! logs.

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// How often a plain line is written.
const PLAIN_EVERY: Duration = Duration::from_secs(3);

/// What the total is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// The input's size is known.
    Bytes(u64),
    /// The number of events is known.
    Events(u64),
    /// Nobody knows.
    Unknown,
}

/// Shows how far something is.
pub(crate) struct Progress {
    unit: Unit,
    /// What is counted beside the bar.
    noun: &'static str,
    bar: Option<ProgressBar>,
    began: Instant,
    said: Instant,
    /// The first number heard of: what a run before had done does not count for the rate.
    from: Option<u64>,
    events: u64,
}

impl Progress {
    pub(crate) fn new(unit: Unit) -> Self {
        Self::counting(unit, "events")
    }

    /// Of something else than events.
    pub(crate) fn counting(unit: Unit, noun: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| bar(unit));
        let now = Instant::now();
        Self { unit, noun, bar, began: now, said: now, from: None, events: 0 }
    }

    /// So many bytes of input and so many events are done.
    pub(crate) fn at(&mut self, bytes: u64, events: u64) {
        self.events = events;
        let from = *self.from.get_or_insert(events);
        let done = match self.unit {
            Unit::Bytes(_) => bytes,
            Unit::Events(_) | Unit::Unknown => events,
        };
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(format!("{} {}", HumanCount(events), self.noun));
        } else if self.said.elapsed() >= PLAIN_EVERY {
            self.said = Instant::now();
            let rate = (events - from) as f64 / self.began.elapsed().as_secs_f64();
            let of = match self.unit {
                Unit::Bytes(total) | Unit::Events(total) if total > 0 => {
                    let share = done as f64 / total as f64;
                    let left = self.began.elapsed().mul_f64((1.0 / share.max(1e-6) - 1.0).max(0.0));
                    format!(", {:.0} %, about {} s left", share * 100.0, left.as_secs())
                }
                _ => String::new(),
            };
            let (done, rate) = (HumanCount(events), HumanCount(rate as u64));
            eprintln!("{done} {}{of}, {rate}/s", self.noun);
        }
    }

    pub(crate) fn finish(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(unit: Unit) -> ProgressBar {
    let (total, template) = match unit {
        Unit::Bytes(total) => {
            (Some(total), "{bar:30} {bytes}/{total_bytes} {msg} {bytes_per_sec} {eta} left")
        }
        Unit::Events(total) => {
            (Some(total), "{bar:30} {human_pos}/{human_len} {per_sec} {eta} left")
        }
        Unit::Unknown => (None, "{spinner} {msg} {per_sec}"),
    };
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(template).expect("the templates above are right"));
    bar
}
