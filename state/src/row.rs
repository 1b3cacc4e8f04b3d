//! What an entity looks like at rest: the row, its trail, and the keys of all that is stored.
//!
//! The encoding is written by hand, because it is read on every wake and every miss: varints and
//! slices, borrowed from the stored bytes. The head and the page are the kind's own bytes and mean
//! nothing here. What is *not* here: where rows are kept (`store`, `image`), which of them are
//! dirty, and checksums (what keeps rows has its own).
//!
//! A row knows the position below which it has applied everything, and replay skips what it knows.
//! Golden bytes hold the format; a changed one is a new version byte, and old ones stay readable.

pub mod key;
mod trail;
mod wire;

use actors::Position;
pub use trail::{PAGE_BYTES as TRAIL_PAGE_BYTES, Trail};
use wire::{Wire, put_bytes, put_varint};

/// The version of the row's own format.
const VERSION: u8 = 1;

/// Stored bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// They do not hang together.
    #[error("stored bytes are damaged: cannot read the {what}")]
    Damaged {
        /// What could not be read.
        what: &'static str,
    },
    /// A newer program wrote them.
    #[error("row has format version {found}, this program reads up to {known}")]
    Newer {
        /// The version that stands there.
        found: u8,
        /// The newest version that is known here.
        known: u8,
    },
}

/// One entity at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row<'a> {
    /// The version of the kind's stored forms, for head and pages.
    pub kind_version: u8,
    /// Every record of this entity below this position is in here.
    pub position: Position,
    /// The position of its first record.
    pub created: Position,
    /// The head, in the kind's form.
    pub head: &'a [u8],
    /// The newest page, with its number; it moves to a key of its own when a newer one begins.
    pub page: Option<(u32, &'a [u8])>,
    /// How many full trail pages stand under keys of their own.
    pub trail_pages: u32,
    /// The young end of the trail, see [`Trail::decode`].
    pub trail: &'a [u8],
}

impl<'a> Row<'a> {
    /// Appends the stored form.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.reserve(self.head.len() + self.page.map_or(0, |page| page.1.len()) + 32);
        out.push(VERSION);
        out.push(self.kind_version);
        put_varint(out, self.position);
        put_varint(out, self.created);
        put_bytes(out, self.head);
        put_varint(out, self.page.map_or(0, |(number, _)| u64::from(number) + 1));
        if let Some((_, bytes)) = self.page {
            put_bytes(out, bytes);
        }
        put_varint(out, u64::from(self.trail_pages));
        out.extend_from_slice(self.trail);
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Reads a row, borrowing from its bytes. The trail is not looked into.
    ///
    /// # Errors
    /// The bytes are damaged, or of a newer version.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut wire = Wire(bytes);
        match wire.byte("row's version")? {
            VERSION => {}
            0 => return Err(Error::Damaged { what: "row's version" }),
            found => return Err(Error::Newer { found, known: VERSION }),
        }
        let kind_version = wire.byte("kind's version")?;
        let position = wire.varint("row's position")?;
        let created = wire.varint("row's first position")?;
        let head = wire.bytes("head")?;
        let page = match wire.varint("page number")? {
            0 => None,
            number => Some((narrow(number - 1, "page number")?, wire.bytes("page")?)),
        };
        let trail_pages = narrow(wire.varint("count of trail pages")?, "count of trail pages")?;
        Ok(Self { kind_version, position, created, head, page, trail_pages, trail: wire.0 })
    }
}

fn narrow(value: u64, what: &'static str) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| Error::Damaged { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Row<'static> {
        Row {
            kind_version: 3,
            position: 300,
            created: 7,
            head: b"head",
            page: Some((0, b"page")),
            trail_pages: 2,
            trail: &[0xac, 2],
        }
    }

    #[test]
    fn the_bytes_of_a_row_never_change() {
        assert_eq!(sample().encode(), b"\x01\x03\xac\x02\x07\x04head\x01\x04page\x02\xac\x02");
        let bare = Row { page: None, trail: b"", ..sample() };
        assert_eq!(bare.encode(), b"\x01\x03\xac\x02\x07\x04head\x00\x02");
    }

    #[test]
    fn rows_come_back_and_damage_is_named() {
        for row in [sample(), Row::default(), Row { page: Some((u32::MAX, b"")), ..sample() }] {
            assert_eq!(Row::decode(&row.encode()).unwrap(), row);
        }
        let bytes = sample().encode();
        let trail_at = bytes.len() - sample().trail.len();
        for cut in 0..trail_at {
            let error = Row::decode(&bytes[..cut]).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "cut at {cut}: {error}");
        }
        let newer = Row::decode(&[2, 1, 0]).unwrap_err();
        assert_eq!(newer.to_string(), "row has format version 2, this program reads up to 1");
    }
}
