//! A seeded history of a journal: drafts of every way, commits of varying size, seals, origin
//! tables saved, segments filled. And what must hold of whatever a crash leaves of it.

use super::*;
use crate::frame::WayKind;
use crate::origin::Origins;

/// Xorshift: small and seeded.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// What the history's writer was told.
#[derive(Default)]
pub(super) struct Told {
    /// The bytes of every frame appended, seals left out, and the position behind it.
    pub(super) frames: Vec<(Position, Vec<u8>)>,
    /// Everything below this was committed.
    pub(super) committed: Position,
    /// The cut of the last origin table saved.
    pub(super) cut: Position,
}

pub(super) struct History {
    chance: Chance,
    numbers: [u64; 6],
    now: i64,
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed), numbers: [0; 6], now: 1_000 }
    }

    fn draft(&mut self) -> Draft {
        let which = self.chance.below(6) as usize;
        let way = match which {
            0 => Way::new(WayKind::Producer, "shop"),
            1 => Way::new(WayKind::Producer, "campus"),
            2 => Way::new(WayKind::Shard, "7"),
            3 => Way::new(WayKind::Kafka, "topic/3"),
            4 => Way::new(WayKind::Unnumbered, ""),
            _ => Way::engine(),
        };
        let kind = way.kind;
        let mut draft = Draft::new(way);
        for _ in 0..=self.chance.below(4) {
            let number = self.numbers[which];
            self.numbers[which] += 1;
            match kind {
                WayKind::Engine => draft.begin_group(Mark::None),
                WayKind::Unnumbered => draft.begin_group(Mark::Id(u128::from(number) << 60)),
                _ => draft.begin_hashed_group(Mark::Number { number, index: 0 }, number * 31 + 1),
            }
            for _ in 0..self.chance.below(4) {
                let tag = self.chance.below(7) as u8;
                let payload = vec![b'a' + tag; self.chance.below(400) as usize];
                draft.push(RecordHead { tag, kind: KindId(1), depth: 0 }, "u-1", &payload);
            }
        }
        draft.urgent = true;
        draft
    }

    /// Runs another history on a journal that has one, which knows its own numbers best.
    pub(super) fn run_again(&mut self, journal: &mut Journal, frames: usize, told: &mut Told) {
        self.numbers = [1 << 40; 6];
        self.run(journal, frames, told);
    }

    /// Runs on until `frames` frames were appended, or the disk is gone. What was told before stays
    /// told.
    pub(super) fn run(&mut self, journal: &mut Journal, frames: usize, told: &mut Told) {
        while told.frames.len() < frames {
            let at_once = 1 + self.chance.below(12);
            for _ in 0..at_once {
                let draft = self.draft();
                self.now += self.chance.below(20_000) as i64;
                let Ok(receipt) = journal.append(&draft, Timestamp(self.now)) else { return };
                assert!(receipt.duplicates.is_empty(), "every draft is new");
                let part = journal.parts.last().unwrap();
                let header = part.frames.last().unwrap();
                let start = part.bytes.len() - header.frame_bytes();
                told.frames.push((receipt.end, part.bytes[start..].to_vec()));
            }
            let done = match self.chance.below(12) {
                0 => journal.seal(Timestamp(self.now)).is_ok(),
                1 => journal.save_origins().map(|cut| told.cut = cut).is_ok(),
                _ => journal.commit().is_ok(),
            };
            told.committed = told.committed.max(journal.durable());
            if !done {
                return;
            }
        }
    }
}

/// The frames that the journal holds are the first so many of those appended, and all that were
/// committed.
pub(super) fn assert_holds(journal: &Journal, told: &Told, case: &str) {
    let frames = read_all(&journal.reader(), 0, 20_000);
    let end = journal.next();
    assert!(end >= told.committed, "{case}: ends at {end}, committed {}", told.committed);
    assert_eq!(frames.last().map_or(0, |frame| frame.end()), end, "{case}");
    let mut position = 0;
    for (frame, (behind, bytes)) in frames.iter().zip(&told.frames) {
        assert_eq!((frame.base(), frame.end()), (position, *behind), "{case}: a gap");
        assert_eq!(frame.bytes(), bytes, "{case}: frame of position {position}");
        position = *behind;
    }
    assert!(frames.len() <= told.frames.len(), "{case}: more frames than were appended");
    assert_eq!(journal.origins(), &recount(&frames, journal.origins()), "{case}: origins");
}

/// The origin table as the frames give it. Where a way's last frame ends is known only since the
/// last start: taken over.
fn recount(frames: &[Arc<Frame>], found: &Origins) -> Origins {
    let mut origins = Origins::default();
    for frame in frames {
        origins.fold(frame.view());
    }
    origins.take_ends_of(found);
    origins
}
