//! The synthetic campus: made-up people who register, buy, learn, hand in and finish, for ever.
//!
//! An event is a pure function of (seed, partition, number), so the campus reads on from any number
//! without remembering anything. A partition's people act in rounds: in each round everybody acts
//! once, in another order, and what somebody does in a round follows from a script ([`script`])
//! that lasts [`ROUNDS`] rounds. What is *not* here: the clock. The campus has its own time, which
//! goes on by [`STEP_MS`] from event to event.
//!
//! Invariant: the same (seed, people, courses, partition, number) give the same bytes, and a person
//! stays in one partition.

mod script;

use super::{Error, Progress, RawBatch, RawRecord, Source};
use actors::Timestamp;
use script::{ROUNDS, Step};
use std::io::Write;

/// 2026-01-05T08:00:00Z, a Monday: the campus opens.
const OPENS_AT: Timestamp = Timestamp(1_767_600_000_000);

/// The time between two events of a partition, on average, in ms of the campus.
const STEP_MS: u64 = 15_000;

/// One partition of the campus.
#[derive(Clone, Debug)]
pub struct Campus {
    seed: u64,
    courses: u64,
    partition: u64,
    partitions: u64,
    /// How many people are in this partition.
    people: u64,
    round: Round,
    line: Vec<u8>,
}

/// The order in which people act in one round: `offset + factor × place`, modulo their number.
#[derive(Clone, Debug)]
struct Round {
    number: u64,
    factor: u64,
    offset: u64,
}

/// What somebody does: everything that an event is made from.
struct Act {
    user: u64,
    cycle: u64,
    /// Which step of the script, from 0.
    round: u64,
    course: u64,
    time: Timestamp,
    /// Chance, for whatever else is to be decided.
    chance: u64,
}

impl Campus {
    /// The share of one partition, from 0, in a campus of so many people and courses.
    ///
    /// # Panics
    /// There are no courses, no such partition, or fewer people than partitions.
    pub fn new(seed: u64, users: u64, courses: u64, partition: u64, partitions: u64) -> Self {
        assert!(courses > 0, "a campus has courses");
        assert!(partition < partitions, "partition {partition} of {partitions}");
        assert!(users >= partitions, "{users} people in {partitions} partitions");
        let people = (users - partition).div_ceil(partitions);
        let round = Round::new(seed, people, 0);
        Self { seed, courses, partition, partitions, people, round, line: Vec::new() }
    }

    /// Appends the event of this number to `out`, as CloudEvents JSON without a line's end.
    pub fn write(&mut self, number: u64, out: &mut Vec<u8>) {
        let (act, step) = self.act(number);
        text(out, r#"{"specversion":"1.0","id":""#);
        digits(out, self.partition, 2);
        text(out, "-");
        digits(out, number, 12);
        text(out, r#"","source":"/campus/"#);
        digits(out, self.partition, 1);
        text(out, r#"","type":"edu.example."#);
        text(out, step.event_type());
        text(out, r#".v1","subject":"u-"#);
        digits(out, act.user, 6);
        text(out, r#"","time":""#);
        time(out, act.time);
        text(out, r#"","datacontenttype":"application/json","data":{"user_id":"u-"#);
        digits(out, act.user, 6);
        out.push(b'"');
        act.fields(step, out);
        text(out, "}}");
    }

    fn act(&mut self, number: u64) -> (Act, Step) {
        let round = number / self.people;
        if round != self.round.number {
            self.round = Round::new(self.seed, self.people, round);
        }
        let user = self.round.person(number % self.people, self.people) * self.partitions;
        let user = user + self.partition;
        let (cycle, round) = (round / ROUNDS, round % ROUNDS);
        let of_cycle = mix(self.seed ^ mix(user.wrapping_mul(1 << 20) ^ cycle));
        let (step, ordinal) = script::step(of_cycle, cycle, round as usize);
        let chance = mix(of_cycle ^ round);
        let jitter_ms = (chance >> 20) & 0x3FFF;
        let time = OPENS_AT.plus_ms((number * STEP_MS + jitter_ms.min(STEP_MS - 1)) as i64);
        let course = popular(mix(of_cycle ^ (ordinal << 32)), self.courses);
        (Act { user, cycle, round, course, time, chance }, step)
    }
}

impl Source for Campus {
    fn read(&mut self, next: u64, batch: &mut RawBatch) -> Result<Progress, Error> {
        let mut line = std::mem::take(&mut self.line);
        let mut number = next;
        while !batch.is_full() {
            line.clear();
            self.write(number, &mut line);
            batch.push(RawRecord { number, place: number, time: None, bytes: &line });
            number += 1;
        }
        self.line = line;
        Ok(Progress::More)
    }
}

impl Round {
    fn new(seed: u64, people: u64, number: u64) -> Self {
        let chance = mix(seed ^ mix(number));
        // Any factor without a common divisor makes a permutation.
        let mut factor = (chance % people) | 1;
        while greatest_common_divisor(factor, people) > 1 {
            factor += 2;
        }
        Self { number, factor, offset: mix(chance) % people }
    }

    fn person(&self, place: u64, people: u64) -> u64 {
        (self.offset + place * self.factor) % people
    }
}

impl Act {
    /// The fields of `data` that come after the user.
    fn fields(&self, step: Step, out: &mut Vec<u8>) {
        match step {
            Step::Registered => {}
            Step::Ordered | Step::Shipped | Step::OrderCanceled => self.order(out),
            Step::Created | Step::Captured | Step::PaymentFailed | Step::Refunded => {
                self.payment(step, out);
            }
            Step::Enrolled | Step::Completed | Step::Canceled | Step::Failed => self.course(out),
            Step::Lesson => {
                self.course(out);
                text(out, r#","lesson_id":"lesson-"#);
                digits(out, self.round + 1, 2);
                out.push(b'"');
            }
            Step::Submitted => {
                self.course(out);
                assignment(self.round, out);
                self.due(out);
            }
            Step::Scored => {
                self.course(out);
                assignment(self.round, out);
                self.due(out);
                self.score(out);
            }
            Step::Graded => {
                self.course(out);
                assignment(self.round - 1, out);
                self.score(out);
            }
        }
    }

    fn course(&self, out: &mut Vec<u8>) {
        text(out, r#","course_id":"course-"#);
        digits(out, self.course, 3);
        out.push(b'"');
    }

    /// One in seven hands in late.
    fn due(&self, out: &mut Vec<u8>) {
        const HOUR_MS: i64 = 3_600_000;
        let hours = (self.chance % 49) as i64 - 7;
        let due = self.time.plus_ms(hours * HOUR_MS);
        text(out, r#","due":""#);
        time(out, Timestamp(due.0 - due.0.rem_euclid(HOUR_MS)));
        out.push(b'"');
    }

    fn score(&self, out: &mut Vec<u8>) {
        let half_points = 80 + self.chance % 121;
        text(out, r#","score":"#);
        digits(out, half_points / 2, 1);
        if half_points % 2 == 1 {
            text(out, ".5");
        }
    }

    fn order(&self, out: &mut Vec<u8>) {
        self.name(r#","order_id":"o-"#, out);
    }

    fn payment(&self, step: Step, out: &mut Vec<u8>) {
        const CURRENCIES: [&str; 4] = ["EUR", "EUR", "USD", "GBP"];
        self.course(out);
        self.order(out);
        self.name(r#","payment_id":"p-"#, out);
        match step {
            Step::Captured => self.name(r#","capture_id":"c-"#, out),
            Step::Refunded => self.name(r#","refund_id":"r-"#, out),
            _ => {}
        }
        text(out, r#","amount":"#);
        digits(out, 1_900 + mix(self.course) % 281 * 100, 1);
        text(out, r#","currency":""#);
        text(out, CURRENCIES[(mix(self.course) >> 32) as usize % CURRENCIES.len()]);
        out.push(b'"');
    }

    /// Something there is once in a person's cycle.
    fn name(&self, prefix: &str, out: &mut Vec<u8>) {
        text(out, prefix);
        digits(out, self.user, 6);
        out.push(b'-');
        digits(out, self.cycle, 1);
        out.push(b'"');
    }
}

fn assignment(handed_in: u64, out: &mut Vec<u8>) {
    text(out, r#","assignment_id":"essay-"#);
    digits(out, handed_in, 2);
    out.push(b'"');
}

/// Few courses have many learners: one in ten people is in the first thousandth of them.
fn popular(chance: u64, courses: u64) -> u64 {
    let uniform = u128::from(chance >> 32);
    let skewed = uniform * uniform * uniform;
    ((skewed * u128::from(courses)) >> 96) as u64
}

/// A number's digits, with zeros in front up to a width.
fn digits(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut text = [b'0'; 20];
    let mut begin = text.len();
    while number > 0 {
        begin -= 1;
        text[begin] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&text[begin.min(text.len() - width)..]);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn time(out: &mut Vec<u8>, time: Timestamp) {
    write!(out, "{time}").expect("a buffer takes everything");
}

/// The finalizer of splitmix64: every bit of the input changes half of the output's.
fn mix(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests;
