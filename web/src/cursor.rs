//! Cursors: where the page before ended, in a form that only we can read.
//!
//! A cursor carries a checksum over itself, the path and the filters, so that one from elsewhere,
//! an edited one and one used with other filters are told apart from a right one, and are 400. It
//! is no secret: it says nothing that the page before did not say. What is *not* here: what a place
//! looks like, which is each list's own.

use crate::error::Error;
use crate::query::{Query, fault};
use crate::text;
use xxhash_rust::xxh3::Xxh3;

/// What a cursor belongs to: a path, and the filters in force.
#[derive(Clone)]
pub(crate) struct Scope(Xxh3);

impl Scope {
    /// The list at `path`, filtered by those of `filters` that are in the query.
    pub(crate) fn new(path: &str, query: &Query, filters: &[&str]) -> Result<Self, Error> {
        let mut hash = Xxh3::with_seed(1);
        let mut add = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        add(path);
        for name in filters {
            if let Some(value) = query.get(name)? {
                add(name);
                add(value);
            }
        }
        Ok(Self(hash))
    }

    /// The list at `path`, whole.
    pub(crate) fn plain(path: &str) -> Self {
        Self::new(path, &Query::default(), &[]).expect("nothing is malformed where nothing is")
    }

    fn checksum(&self, place: &[u8]) -> [u8; 4] {
        let mut hash = self.0.clone();
        hash.update(place);
        (hash.digest() as u32).to_le_bytes()
    }

    /// The cursor for a place.
    pub(crate) fn seal(&self, place: &[u8]) -> String {
        let mut bytes = self.checksum(place).to_vec();
        bytes.extend_from_slice(place);
        text::base32(&bytes)
    }

    /// The place in the query's `cursor`, if there is one.
    pub(crate) fn open(&self, query: &Query) -> Result<Option<Vec<u8>>, Error> {
        let Some(cursor) = query.get("cursor")? else { return Ok(None) };
        let place = text::base32_decode(cursor).filter(|bytes| bytes.len() > 4).and_then(|bytes| {
            let (checksum, place) = bytes.split_at(4);
            (checksum == self.checksum(place)).then(|| place.to_vec())
        });
        place.map(Some).ok_or_else(refused)
    }

    /// The same, for places that are text.
    pub(crate) fn open_text(&self, query: &Query) -> Result<Option<String>, Error> {
        let place = self.open(query)?.map(String::from_utf8).transpose();
        place.map_err(|_| refused())
    }

    /// The same, for places that are positions.
    pub(crate) fn open_position(&self, query: &Query) -> Result<Option<u64>, Error> {
        let place = self.open(query)?.map(<[u8; 8]>::try_from).transpose();
        place.map(|place| place.map(u64::from_le_bytes)).map_err(|_| refused())
    }
}

/// The answer to any other cursor.
pub(crate) fn refused() -> Error {
    fault("cursor", "is not one of this list's: take page.next of the page before, same filters")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(path: &str, raw: &str) -> (Scope, Query) {
        let query = Query::parse(raw).expect("a query");
        (Scope::new(path, &query, &["unread", "archived"]).expect("a scope"), query)
    }

    #[test]
    fn a_cursor_opens_only_in_its_own_list() {
        let (inbox, _) = scope("/a", "unread=true");
        let cursor = inbox.seal(b"17-3");
        let reopened = |path: &str, filters: &str, cursor: &str| {
            let (scope, query) = scope(path, &format!("{filters}&cursor={cursor}"));
            scope.open(&query)
        };
        assert_eq!(reopened("/a", "unread=true", &cursor), Ok(Some(b"17-3".to_vec())));
        assert_eq!(reopened("/a", "limit=3&unread=true", &cursor), Ok(Some(b"17-3".to_vec())));
        assert!(reopened("/b", "unread=true", &cursor).is_err());
        assert!(reopened("/a", "unread=false", &cursor).is_err());
        assert!(reopened("/a", "", &cursor).is_err());
        assert!(reopened("/a", "unread=true&archived=only", &cursor).is_err());
        for bad in ["", "0", "zzzzzzz", "%00", "99999999999999999999"] {
            assert!(reopened("/a", "unread=true", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_edited_cursor_is_refused_wherever_the_edit_is() {
        let (scope, _) = scope("/a", "");
        let cursor = scope.seal(&42_u64.to_le_bytes());
        for at in 0..cursor.len() {
            let mut edited = cursor.clone().into_bytes();
            edited[at] = if edited[at] == b'7' { b'8' } else { b'7' };
            let edited = String::from_utf8(edited).expect("ASCII");
            let query = Query::parse(&format!("cursor={edited}")).expect("a query");
            assert!(scope.open(&query).is_err(), "{edited}");
        }
    }
}
