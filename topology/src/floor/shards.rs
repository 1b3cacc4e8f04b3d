//! The shards of a floor, by number: a plain table, because every record looks its shard up.

use super::Shard;

/// A place for every shard there is; those of other floors are empty.
pub(super) struct Shards<S>(Vec<Option<Shard<S>>>);

impl<S> Shards<S> {
    /// Places for so many shards, all empty.
    pub(super) fn new(total: u16) -> Self {
        Self((0..total).map(|_| None).collect())
    }

    pub(super) fn insert(&mut self, number: u16, shard: Shard<S>) {
        self.0[usize::from(number)] = Some(shard);
    }

    /// A shard, if it is on this floor.
    pub(super) fn get_mut(&mut self, number: u16) -> Option<&mut Shard<S>> {
        self.0[usize::from(number)].as_mut()
    }

    /// The shards of this floor, with their numbers, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &Shard<S>)> {
        let all = self.0.iter().enumerate();
        all.filter_map(|(number, shard)| Some((number as u16, shard.as_ref()?)))
    }

    /// The shards of this floor, with their numbers, in order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u16, &mut Shard<S>)> {
        let all = self.0.iter_mut().enumerate();
        all.filter_map(|(number, shard)| Some((number as u16, shard.as_mut()?)))
    }
}
