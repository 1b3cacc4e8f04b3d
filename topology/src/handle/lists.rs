//! Lists over entities of a kind: what is at rest in every shard, merged with what the store does
//! not know yet.

use super::reads::internal;
use super::{Freshness, Handle, Inner};
use crate::api::{Keys, Listing, Read, ReadError};
use actors::{Key, KindId, Position};
use state::row::key;
use std::collections::BTreeMap;

impl Handle {
    /// Lists keys of a kind, in key order.
    pub async fn list(
        &self,
        kind: KindId,
        listing: Listing,
        fresh: Freshness,
    ) -> Result<Read<Keys>, ReadError> {
        let mut position = Position::MAX;
        let workers = &self.inner.workers;
        let generations: Vec<u64> =
            workers.iter().map(|link| link.generations().at_work()).collect();
        for link in workers {
            position = position.min(self.inner.wait(link, fresh).await?);
            if !link.is_open() {
                return Err(ReadError::NotYet("recovery has not caught up".into()));
            }
        }
        let mut all = Vec::new();
        for shard in 0..self.inner.marks.shards() {
            all.extend(self.inner.list_shard(shard, kind, &listing)?);
        }
        all.sort_unstable();
        let more = all.len() > listing.limit;
        all.truncate(listing.limit);
        for (link, generation) in workers.iter().zip(generations) {
            link.still(generation, ())?;
        }
        Ok(Read { value: Keys { keys: all, more }, position })
    }
}

impl Inner {
    /// The first keys of a listing in one shard, one more than its limit.
    pub(super) fn list_shard(
        &self,
        shard: u16,
        kind: KindId,
        listing: &Listing,
    ) -> Result<Vec<Key>, ReadError> {
        let wanted = listing.limit + 1;
        let prefix = listing.prefix.as_deref().unwrap_or("");
        let mut found: BTreeMap<Key, bool> = BTreeMap::new();
        let from = match &listing.after {
            Some(after) if &**after >= prefix => after.clone(),
            _ => Key::new(prefix),
        };
        let matches = |name: &str| {
            name.starts_with(prefix) && listing.after.as_ref().is_none_or(|after| name > &**after)
        };
        let mut removed = 0;
        {
            let mut fresh = self.fresh.shard(shard);
            if let Some(word) = &listing.tag {
                let tags = fresh.tags(word, kind, &from).filter(|(name, _)| matches(name));
                found.extend(tags.map(|(name, there)| (name.clone(), there)));
                removed = found.values().filter(|there| !**there).count();
            } else {
                let names = fresh.keys(kind, &from).filter(|name| matches(name));
                found.extend(names.map(|name| (name.clone(), true)));
            }
        }
        // The changes are looked at first: what is written in between is then found twice, not
        // missed.
        for name in self.stored_keys(shard, kind, (listing, &from), wanted + removed)? {
            if matches(&name) {
                found.entry(name).or_insert(true);
            }
        }
        Ok(found
            .into_iter()
            .filter(|(_, there)| *there)
            .map(|(name, _)| name)
            .take(wanted)
            .collect())
    }

    fn stored_keys(
        &self,
        shard: u16,
        kind: KindId,
        (listing, from): (&Listing, &Key),
        limit: usize,
    ) -> Result<Vec<Key>, ReadError> {
        let (start, prefix) = if let Some(word) = &listing.tag {
            (key::tag(word, kind, from), key::tag_prefix(word))
        } else {
            let prefix = listing.prefix.as_deref().unwrap_or("");
            (key::row_prefix(kind, from), key::row_prefix(kind, prefix))
        };
        let to = key::prefix_end(&prefix);
        let entries = self.store.scan(shard, &start, to.as_deref(), limit + 1).map_err(internal)?;
        let mut names = Vec::new();
        for (stored, _) in &entries {
            let (of, name) = match &listing.tag {
                Some(_) => key::parse_tag(stored).map(|(_, of, name)| (of, name)),
                None => key::parse_row(stored),
            }
            .map_err(internal)?;
            if of == kind {
                names.push(Key::new(name));
            }
        }
        Ok(names)
    }
}
