//! What a dead letter's record had besides its value, as the journal keeps it for the copy: key and
//! headers.
//!
//! It stands in the same group, just behind the letter, and only where there is anything to keep.
//! What is *not* here: the value, which stands just before the letter.

use actors::codec;
use serde::{Deserialize, Serialize};

/// How much is kept, in bytes: a record may have headers without end.
const BYTES_MAX: usize = 64 << 10;

/// Key and headers of a record. Stored: fields are appended, never reordered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Original {
    /// The record's key.
    pub(super) key: Option<Vec<u8>>,
    /// In the order they had. One without a value has an empty one.
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

impl Original {
    /// With this key; one that is too long is none.
    pub(super) fn new(key: Option<&[u8]>) -> Self {
        let key = key.filter(|key| key.len() <= BYTES_MAX).map(<[u8]>::to_vec);
        Self { key, headers: Vec::new() }
    }

    /// Adds a header, if there is room for it.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        let held = self.key.as_ref().map_or(0, Vec::len) + headers.sum::<usize>();
        if held + name.len() + value.len() <= BYTES_MAX {
            self.headers.push((name.to_owned(), value.to_vec()));
        }
    }

    /// The bytes to keep; none if there is nothing.
    pub(super) fn encoded(&self) -> Option<Vec<u8>> {
        let is_empty = self.key.is_none() && self.headers.is_empty();
        (!is_empty).then(|| codec::encode(self))
    }

    /// What these bytes keep. Bytes that do not decode keep nothing: the copy goes out without.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        codec::decode(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_stored_form_does_not_change() {
        let mut original = Original::new(Some(b"k-1"));
        original.add("trace", b"7f");
        original.add("raw", &[0xff, 0]);
        let bytes = original.encoded().unwrap();
        expect![[r#"\x01\x03k-1\x02\x05trace\x027f\x03raw\x02\xff\x00"#]]
            .assert_eq(&bytes.escape_ascii().to_string());
        assert_eq!(Original::decode(&bytes), original);
        assert_eq!(Original::decode(&bytes[1..]), Original::default());
    }

    #[test]
    fn what_is_nothing_is_not_kept_and_what_is_too_much_is_cut() {
        assert_eq!(Original::new(None).encoded(), None);
        assert!(Original::new(Some(b"")).encoded().is_some(), "an empty key is a key");
        assert_eq!(Original::new(Some(&vec![1; BYTES_MAX + 1])).encoded(), None);
        let mut original = Original::new(Some(&vec![1; BYTES_MAX - 10]));
        original.add("a", &[0; 20]);
        original.add("b", &[0; 9]);
        original.add("c", b"");
        let names: Vec<&str> = original.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b"]);
    }
}
