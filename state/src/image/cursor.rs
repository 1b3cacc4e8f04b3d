//! Walking through an image in key order, one block in memory at a time. What is *not* here: what
//! lies over the image. The entries of a block are laid end to end, so a block that passed its
//! checksum ends where its last entry does.

use super::cache::Cache;
use super::read::Image;
use super::{ENTRY_HEAD_BYTES, Error, array};
use std::ops::Range;
use std::sync::Arc;

/// Where in a block one entry's key and value are.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// The entry that begins at `at`, or none at the block's end.
pub(super) fn entry_at(block: &[u8], at: usize) -> Option<Entry> {
    let head = block.get(at..at + ENTRY_HEAD_BYTES)?;
    let key_bytes = u16::from_le_bytes(array(&head[..2])) as usize;
    let value_bytes = u32::from_le_bytes(array(&head[2..])) as usize;
    let key_start = at + ENTRY_HEAD_BYTES;
    let value_start = key_start + key_bytes;
    let end = value_start + value_bytes;
    assert!(end <= block.len(), "a block that checks is whole: entry at {at} ends at {end}");
    Some(Entry { key: key_start..value_start, value: value_start..end })
}

/// A place in an image.
pub struct Cursor<'a> {
    image: &'a Image,
    cache: Option<&'a Cache>,
    /// The number of the block after `block`.
    next_block: usize,
    block: Arc<Vec<u8>>,
    entry: Option<Entry>,
}

impl<'a> Cursor<'a> {
    pub(super) fn seek(
        image: &'a Image,
        from: &[u8],
        cache: Option<&'a Cache>,
    ) -> Result<Self, Error> {
        let next_block = image.block_of(from).unwrap_or(0);
        let mut cursor = Self { image, cache, next_block, block: Arc::default(), entry: None };
        cursor.enter_block()?;
        while cursor.peek().is_some_and(|(key, _)| key < from) {
            cursor.advance()?;
        }
        Ok(cursor)
    }

    /// The entry here: key and value. None behind the last.
    pub fn peek(&self) -> Option<(&[u8], &[u8])> {
        let entry = self.entry.as_ref()?;
        Some((&self.block[entry.key.clone()], &self.block[entry.value.clone()]))
    }

    /// Goes to the next entry.
    ///
    /// # Errors
    /// The disk refuses, or the next block is damaged.
    pub fn advance(&mut self) -> Result<(), Error> {
        let Some(entry) = &self.entry else { return Ok(()) };
        self.entry = entry_at(&self.block, entry.value.end);
        if self.entry.is_none() { self.enter_block() } else { Ok(()) }
    }

    fn enter_block(&mut self) -> Result<(), Error> {
        if self.next_block < self.image.blocks() {
            match (self.cache, Arc::get_mut(&mut self.block)) {
                (None, Some(block)) => self.image.read_block(self.next_block, block)?,
                (cache, _) => self.block = self.image.block(self.next_block, cache)?,
            }
            self.next_block += 1;
            self.entry = entry_at(&self.block, 0);
        }
        Ok(())
    }
}
