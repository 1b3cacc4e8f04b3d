//! The trail: the positions of an entity's own records, so that `as_of`, "why is this so" and
//! poison recovery read just those. Delta-coded varints: about two bytes a record for a busy
//! entity. The young end lives in the row; full pages are split off under keys of their own.
//!
//! Every page begins with an absolute position, so each can be read alone. Positions strictly
//! rise; what does not is damage.

use super::Error;
use super::wire::{Wire, put_varint, varint_bytes};
use actors::Position;

/// A trail this long is split off as a full page, in bytes.
pub const PAGE_BYTES: usize = 1_024;

/// A run of rising positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    bytes: Vec<u8>,
    last: Option<Position>,
    count: u32,
}

impl Trail {
    /// Reads a trail back.
    ///
    /// # Errors
    /// The bytes are no trail: cut short, or positions that do not rise.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut trail = Self { bytes: bytes.to_vec(), last: None, count: 0 };
        let mut wire = Wire(bytes);
        while !wire.is_empty() {
            trail.last = Some(step(trail.last, wire.varint("trail")?)?);
            trail.count += 1;
        }
        Ok(trail)
    }

    /// Adds a position.
    ///
    /// # Panics
    /// It is not above the last one: an entity applies its records in order.
    pub fn push(&mut self, position: Position) {
        assert!(
            self.last.is_none_or(|last| position > last),
            "a trail rises: {position} after {:?}",
            self.last
        );
        put_varint(&mut self.bytes, position - self.last.unwrap_or(0));
        self.last = Some(position);
        self.count += 1;
    }

    /// Once it is long enough, hands over its older end as a page to be stored. However much has
    /// come since the last time, a page is never much longer than [`PAGE_BYTES`]: call it until
    /// nothing is left to split off.
    pub fn split_off_full(&mut self) -> Option<Vec<u8>> {
        if self.bytes.len() < PAGE_BYTES {
            return None;
        }
        let mut wire = Wire(&self.bytes);
        let mut step = || wire.varint("trail").expect("written by push, or checked when read");
        let (mut split, mut taken) = (0, 0);
        let mut last = 0;
        while split < PAGE_BYTES {
            let delta = step();
            last += delta;
            split += varint_bytes(delta);
            taken += 1;
        }
        let mut rest = Self::default();
        if split < self.bytes.len() {
            // What is left begins with an absolute position, like every page.
            let delta = step();
            put_varint(&mut rest.bytes, last + delta);
            rest.bytes.extend_from_slice(&self.bytes[split + varint_bytes(delta)..]);
            rest.last = self.last;
            rest.count = self.count - taken;
        }
        let mut page = std::mem::replace(self, rest).bytes;
        page.truncate(split);
        Some(page)
    }

    /// The stored form.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The newest position, unless it was just split off or nothing happened yet.
    pub fn last(&self) -> Option<Position> {
        self.last
    }

    /// How many positions it holds.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The positions, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Position> + '_ {
        let mut wire = Wire(&self.bytes);
        let mut last = None;
        std::iter::from_fn(move || {
            let delta = (!wire.is_empty()).then(|| wire.varint("trail"))?;
            let delta = delta.expect("checked when it was read, or written by push");
            last = Some(last.unwrap_or(0) + delta);
            last
        })
    }
}

fn step(last: Option<Position>, delta: u64) -> Result<Position, Error> {
    match last {
        None => Ok(delta),
        Some(_) if delta == 0 => Err(Error::Damaged { what: "trail" }),
        Some(last) => last.checked_add(delta).ok_or(Error::Damaged { what: "trail" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_back_and_full_pages_stand_alone() {
        let mut trail = Trail::default();
        let (mut position, mut written, mut read) = (0, Vec::new(), Vec::new());
        for i in 0..5_000_u64 {
            position += 1 + (i * i) % 900;
            written.push(position);
            trail.push(position);
            if let Some(page) = trail.split_off_full() {
                assert!(page.len() < PAGE_BYTES + 10);
                read.extend(Trail::decode(&page).unwrap().iter());
                assert_eq!(trail, Trail::default());
            }
        }
        let rest = Trail::decode(trail.bytes()).unwrap();
        assert_eq!(rest, trail);
        assert_eq!(rest.last(), Some(position));
        assert_eq!(rest.count() as usize, written.len() - read.len());
        read.extend(rest.iter());
        assert_eq!(read, written);
    }

    #[test]
    fn a_trail_that_was_left_to_grow_is_split_into_pages_of_the_usual_length() {
        for records in [600_u64, 1_024, 1_025, 100_000] {
            let mut trail = Trail::default();
            let written: Vec<_> = (0..records).map(|i| i * (1 + i % 3 * 90)).collect();
            let written: std::collections::BTreeSet<_> = written.into_iter().collect();
            for position in &written {
                trail.push(*position);
            }
            let mut read = Vec::new();
            while let Some(page) = trail.split_off_full() {
                assert!((PAGE_BYTES..PAGE_BYTES + 10).contains(&page.len()), "{}", page.len());
                read.extend(Trail::decode(&page).unwrap().iter());
            }
            assert_eq!(Trail::decode(trail.bytes()).unwrap(), trail, "{records} records");
            read.extend(trail.iter());
            assert!(read.iter().eq(&written), "{records} records");
        }
    }

    #[test]
    fn position_0_may_begin_a_trail_and_standing_still_is_damage() {
        let mut trail = Trail::default();
        trail.push(0);
        trail.push(300);
        assert_eq!(trail.bytes(), [0, 0xac, 2]);
        assert_eq!(trail.iter().collect::<Vec<_>>(), [0, 300]);
        assert!(Trail::decode(&[5, 0]).is_err());
        assert!(Trail::decode(&[0xac]).is_err());
    }
}
