//! What the store knows about itself, in a tree of its own: the journal it belongs to, the ceiling,
//! and of each shard the image, the overlay's tree and from where to replay. One batch changes all
//! of it at once. What is *not* here: rows.

use super::kv::{Batch, Kv};
use super::{Error, kv_error};
use crate::image;
use actors::Position;

/// The tree's name. No overlay's has letters.
pub(super) const TREE: &str = "meta";

const VERSION: u8 = 1;
const JOURNAL: &[u8] = b"journal";
const CEILING: &[u8] = b"ceiling";

/// One shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) replay_from: Position,
    /// The engine's words; none before the first checkpoint.
    pub(super) note: Option<Vec<u8>>,
    /// The image's generation, 0 for none.
    pub(super) image: u64,
    /// The number of the overlay's tree.
    pub(super) overlay: u64,
    pub(super) rows: u64,
    pub(super) overlay_entries: u64,
    pub(super) overlay_bytes: u64,
}

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) journal: [u8; 16],
    pub(super) ceiling: Position,
    pub(super) shards: Vec<Shard>,
}

/// What a key-value store turned out to be.
pub(super) enum Found {
    /// Nobody's yet.
    New,
    /// Of another journal, or not readable: why.
    Unfit(String),
    /// Ours.
    Ours(Meta),
}

impl Shard {
    fn numbers(&self) -> [u64; 6] {
        let Self { replay_from, image, overlay, rows, overlay_entries, overlay_bytes, .. } = self;
        [*replay_from, *image, *overlay, *rows, *overlay_entries, *overlay_bytes]
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(self.note.is_some())];
        self.numbers().iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        out.extend_from_slice(self.note.as_deref().unwrap_or_default());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<50>()?;
        let (numbers, _) = head[2..].as_chunks::<8>();
        let number = |i: usize| u64::from_le_bytes(numbers[i]);
        (head[0] == VERSION && head[1] <= 1).then(|| Self {
            replay_from: number(0),
            note: (head[1] == 1).then(|| rest.to_vec()),
            image: number(1),
            overlay: number(2),
            rows: number(3),
            overlay_entries: number(4),
            overlay_bytes: number(5),
        })
    }

    /// The name of the overlay's tree.
    pub(super) fn tree(&self, shard: u16) -> String {
        tree_name(shard, self.overlay)
    }
}

pub(super) fn tree_name(shard: u16, number: u64) -> String {
    format!("{shard:03}-{number:010}")
}

pub(super) fn shard_entry(number: u16, shard: &Shard) -> (Vec<u8>, Option<Vec<u8>>) {
    (shard_key(number), Some(shard.encode()))
}

pub(super) fn ceiling_entry(ceiling: Position) -> (Vec<u8>, Option<Vec<u8>>) {
    (CEILING.to_vec(), Some(ceiling.to_le_bytes().to_vec()))
}

fn shard_key(number: u16) -> Vec<u8> {
    let mut key = b"shard".to_vec();
    key.extend_from_slice(&number.to_be_bytes());
    key
}

impl Meta {
    /// All of it, as one batch for a store that nobody has yet.
    pub(super) fn batch(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let mut identity = vec![VERSION];
        identity.extend_from_slice(&self.journal);
        let mut batch = vec![(JOURNAL.to_vec(), Some(identity)), ceiling_entry(self.ceiling)];
        let shards = self.shards.iter().enumerate();
        batch.extend(shards.map(|(number, shard)| shard_entry(number as u16, shard)));
        batch
    }
}

/// Looks whose store this is, and reads it if it is ours.
pub(super) fn load(kv: &dyn Kv, journal: [u8; 16], shards: u16) -> Result<Found, Error> {
    let get = |key: &[u8]| kv.get(TREE, key).map_err(kv_error("read from"));
    let unfit = |why: &str| Ok(Found::Unfit(why.to_owned()));
    let Some(identity) = get(JOURNAL)? else { return Ok(Found::New) };
    match identity.split_first() {
        Some((&VERSION, found)) if *found == journal => {}
        Some((&VERSION, _)) => return unfit("it belongs to another journal"),
        _ => return unfit("its format is unknown"),
    }
    let Some(Ok(ceiling)) = get(CEILING)?.map(<[u8; 8]>::try_from) else {
        return unfit("its ceiling is damaged");
    };
    let mut meta = Meta { journal, ceiling: u64::from_le_bytes(ceiling), shards: Vec::new() };
    for number in 0..shards {
        match get(&shard_key(number))?.as_deref().and_then(Shard::decode) {
            Some(shard) => meta.shards.push(shard),
            None => return unfit("what it knows of a shard is damaged"),
        }
    }
    Ok(Found::Ours(meta))
}

/// Writes a batch to the tree and makes it durable.
pub(super) fn write(kv: &dyn Kv, batch: &Batch) -> Result<(), Error> {
    kv.apply(TREE, batch).map_err(kv_error("write to"))?;
    kv.sync().map_err(kv_error("sync"))
}

/// What an image says of its shard: enough to begin with it alone.
pub(super) fn of_image(header: &image::Header, rows: u64) -> Shard {
    Shard {
        replay_from: header.replay_from,
        note: Some(header.note.clone()),
        image: header.generation,
        rows,
        ..Shard::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_shards_entry_never_change() {
        let shard = Shard {
            replay_from: 1,
            note: Some(b"note".to_vec()),
            image: 2,
            overlay: 3,
            rows: 4,
            overlay_entries: 5,
            overlay_bytes: 6,
        };
        let bytes = shard.encode();
        let mut expected = vec![1, 1];
        (1..=6_u64).for_each(|number| expected.extend_from_slice(&number.to_le_bytes()));
        expected.extend_from_slice(b"note");
        assert_eq!(bytes, expected);
        assert_eq!(Shard::decode(&bytes), Some(shard));
        let bare = Shard::default();
        assert_eq!(Shard::decode(&bare.encode()), Some(bare));
        (0..50).for_each(|cut| assert_eq!(Shard::decode(&bytes[..cut]), None));
        assert_eq!(shard_entry(258, &Shard::default()).0, b"shard\x01\x02");
    }
}
