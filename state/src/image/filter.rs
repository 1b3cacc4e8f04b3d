//! A filter that says of most absent keys that they are surely absent: a split-block Bloom filter,
//! one cache line half a key, eight bits of it set. At 12 bits a key about one absent key in 300 is
//! taken for a present one. What is *not* here: any certainty that a key is present.

use xxhash_rust::xxh3::xxh3_64;

const BITS_PER_KEY: usize = 12;
const BLOCK_BYTES: usize = 32;
/// Odd multipliers that spread one hash over the eight words of a block (those of Parquet).
const SALTS: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// The hash of a key, for filters. Part of the image format.
pub(crate) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// Which keys may be there.
#[derive(Debug)]
pub(super) struct Filter {
    blocks: Vec<[u32; 8]>,
}

impl Filter {
    /// A filter of the keys with these hashes.
    pub(super) fn build(hashes: &[u64]) -> Self {
        let count = (hashes.len() * BITS_PER_KEY).div_ceil(BLOCK_BYTES * 8);
        let mut filter = Self { blocks: vec![[0; 8]; count] };
        for hash in hashes {
            let block = filter.block_of(*hash);
            for (word, bit) in filter.blocks[block].iter_mut().zip(mask(*hash)) {
                *word |= bit;
            }
        }
        filter
    }

    /// False if no key with this hash is there.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        !self.blocks.is_empty() && {
            let block = &self.blocks[self.block_of(hash)];
            block.iter().zip(mask(hash)).all(|(word, bit)| word & bit != 0)
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        self.blocks.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// `None` if the length is not that of a filter.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        rest.is_empty().then(|| Self { blocks: blocks.iter().map(decode_block).collect() })
    }

    fn block_of(&self, hash: u64) -> usize {
        (((hash >> 32) * self.blocks.len() as u64) >> 32) as usize
    }
}

fn decode_block(bytes: &[u8; BLOCK_BYTES]) -> [u32; 8] {
    let (words, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|i| u32::from_le_bytes(words[i]))
}

fn mask(hash: u64) -> impl Iterator<Item = u32> {
    SALTS.into_iter().map(move |salt| 1 << ((hash as u32).wrapping_mul(salt) >> 27))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_and_few_others() {
        let hash_of = |n: u32| hash(&n.to_be_bytes());
        let present: Vec<u64> = (0..10_000).map(hash_of).collect();
        let filter = Filter::decode(&Filter::build(&present).encode()).unwrap();
        assert!(present.iter().all(|hash| filter.may_contain(*hash)));
        let wrong = (10_000..110_000).filter(|n| filter.may_contain(hash_of(*n))).count();
        assert!(wrong < 1_000, "{wrong} of 100,000 absent keys seem present");
        assert!(!Filter::build(&[]).may_contain(hash_of(1)));
        assert!(Filter::decode(&[0; 33]).is_none());
    }
}
