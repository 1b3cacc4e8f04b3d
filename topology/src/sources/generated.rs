//! A source without an outside: an endless, deterministic stream of events that is made as it is
//! read.
//!
//! The nth event is the same in every run, so a number means the same record for ever, although
//! nothing is stored. What is *not* here: what is generated, and how fast ([`super::paced`]).

use super::{Error, Progress, RawBatch, RawRecord, Source};

/// An endless stream of events, the same from every new one.
pub trait Generator: Send {
    /// Appends the next event, as JSON text.
    fn generate(&mut self, out: &mut Vec<u8>);

    /// Leaves out so many.
    fn skip(&mut self, events: u64) {
        let mut out = Vec::new();
        for _ in 0..events {
            out.clear();
            self.generate(&mut out);
        }
    }
}

/// A generator as a source.
pub struct Generated<G> {
    begin: Box<dyn Fn() -> G + Send>,
    generator: G,
    /// The number of the generator's next event.
    number: u64,
    text: Vec<u8>,
}

impl<G: Generator> Generated<G> {
    /// `begin` gives the generator at its beginning; it must give the same one every time.
    pub fn new(begin: impl Fn() -> G + Send + 'static) -> Self {
        let generator = begin();
        Self { begin: Box::new(begin), generator, number: 0, text: Vec::new() }
    }
}

impl<G: Generator> Source for Generated<G> {
    fn read(&mut self, next: u64, batch: &mut RawBatch) -> Result<Progress, Error> {
        if next < self.number {
            self.generator = (self.begin)();
            self.number = 0;
        }
        self.generator.skip(next - self.number);
        self.number = next;
        while !batch.is_full() {
            let number = self.number;
            self.text.clear();
            self.generator.generate(&mut self.text);
            batch.push(RawRecord { number, place: number, time: None, bytes: &self.text });
            self.number += 1;
        }
        Ok(Progress::More)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Squares(u64);

    impl Generator for Squares {
        fn generate(&mut self, out: &mut Vec<u8>) {
            out.extend_from_slice((self.0 * self.0).to_string().as_bytes());
            self.0 += 1;
        }
    }

    #[test]
    fn the_nth_event_is_the_same_wherever_one_begins() {
        let mut source = Generated::new(|| Squares(0));
        let mut batch = RawBatch::new(4, 1 << 20);
        for next in [0, 4, 100, 104, 3, 0] {
            batch.begin(next);
            assert_eq!(source.read(next, &mut batch).unwrap(), Progress::More);
            let read: Vec<_> = batch
                .records()
                .map(|record| (record.number, String::from_utf8(record.bytes.to_vec()).unwrap()))
                .collect();
            let want: Vec<_> = (next..next + 4).map(|n| (n, (n * n).to_string())).collect();
            assert_eq!(read, want);
        }
    }
}
