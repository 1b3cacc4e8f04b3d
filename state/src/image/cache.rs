//! Blocks of images that were read lately: a table in which a block has one place, so that looking
//! is one lock and forgetting needs no list. Blocks are checked before they come here, and images
//! never change, so what is here is right. What is *not* here: reading blocks.

use super::BLOCK_BYTES;
use std::sync::{Arc, Mutex, PoisonError};

/// Which block: generation of the image, number in it.
type Name = (u64, usize);
type Place = Mutex<Option<(Name, Arc<Vec<u8>>)>>;

/// Recently read blocks.
pub struct Cache {
    places: Box<[Place]>,
}

impl Cache {
    /// Room for about so many bytes of blocks: they are of nearly equal length.
    pub fn new(bytes_max: usize) -> Self {
        let count = (bytes_max / BLOCK_BYTES).max(1);
        Self { places: (0..count).map(|_| Mutex::new(None)).collect() }
    }

    /// The block, from here or by `read`.
    pub(super) fn block<E>(
        &self,
        name: Name,
        read: impl FnOnce() -> Result<Arc<Vec<u8>>, E>,
    ) -> Result<Arc<Vec<u8>>, E> {
        // A panic while a place is locked leaves it as it was: an old block or none.
        let place = || self.place(name).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((found, block)) = &*place()
            && *found == name
        {
            return Ok(Arc::clone(block));
        }
        let block = read()?;
        *place() = Some((name, Arc::clone(&block)));
        Ok(block)
    }

    fn place(&self, (generation, block): Name) -> &Place {
        let mixed = generation.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(block as u64);
        &self.places[(mixed.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 32) as usize % self.places.len()]
    }
}
