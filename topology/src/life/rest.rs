//! Between memory and rest: waking a life from its row, handing it over whole, and restoring a mind
//! that was spoilt.

use super::{Error, Life, NewestPage, Rare, Rest};
use crate::kinds::Kinds;
use crate::pending::{Pending, stored_key, stored_value};
use crate::record;
use actors::{Address, Effects, Mind, Position, Stop, Timestamp};
use state::row::{Row, Trail, key};

use state::store::Write;

type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// One of an entity's own records, read again.
#[derive(Clone, Debug)]
pub struct Again {
    /// Its position.
    pub position: Position,
    /// Its time.
    pub time: Timestamp,
    /// Its tag.
    pub tag: u8,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Life {
    /// Wakes the entity at `address` from its row, or begins a new one if it has none.
    pub fn wake(address: Address, kinds: &Kinds, rest: &dyn Rest) -> Result<Self, Error> {
        let stored = rest.get(&key::row(address.kind, &address.key))?;
        match stored {
            Some(bytes) => Self::from_row(address, kinds, &Row::decode(&bytes)?),
            None => Self::new(address, kinds),
        }
    }

    /// A new entity, to which nothing was told yet.
    pub fn new(address: Address, kinds: &Kinds) -> Result<Self, Error> {
        let kind = kind_of(&address, kinds)?;
        Ok(Self {
            kind_version: kind.version,
            mind: kind.wake(None)?,
            next: 0,
            created: 0,
            dirty: false,
            stored: false,
            trail: Trail::default(),
            trail_pages: 0,
            newest_page: NewestPage::None,
            rare: None,
            address,
        })
    }

    /// The entity that a row tells of.
    pub fn from_row(address: Address, kinds: &Kinds, row: &Row<'_>) -> Result<Self, Error> {
        let mind = kind_of(&address, kinds)?.wake(Some(row.head))?;
        Ok(Self {
            kind_version: row.kind_version,
            next: row.position,
            created: row.created,
            dirty: false,
            stored: true,
            trail: Trail::decode(row.trail)?,
            trail_pages: row.trail_pages,
            newest_page: match row.page {
                Some((number, bytes)) => NewestPage::AtRest(number, bytes.into()),
                None => NewestPage::None,
            },
            rare: match mind.tags() {
                none if none.is_empty() => None,
                stored_tags => Some(Box::new(Rare { stored_tags, ..Rare::default() })),
            },
            mind,
            address,
        })
    }

    /// Hands the entity over, whole, at its position: row, changed pages, answers, tags and pending
    /// entries. From now on it counts as stored.
    pub fn save(&mut self, pending: &Pending) -> Write {
        // The row comes first: its key stands for the entity.
        let mut writes = vec![(key::row(self.address.kind, &self.address.key), None)];
        self.save_pages(&mut writes);
        self.save_trail(&mut writes);
        let pages = writes.iter();
        let unsettled = pages.filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        self.rare().unsettled.extend(unsettled);
        self.save_changes(pending, &mut writes);
        self.save_tags(&mut writes);
        let (kind, name) = (self.address.kind, &self.address.key);
        if let Some(answers) = self.rare.as_mut().and_then(|rare| rare.answers.as_mut()) {
            for (number, bytes) in answers.take_changed() {
                writes.push((key::answers(kind, name, number), Some(bytes)));
            }
        }
        let row = self.row();
        let rare = self.rare();
        rare.unsettled.push((writes[0].0.clone(), row.clone()));
        rare.unfolded = Vec::new();
        writes[0].1 = Some(row);
        self.dirty = false;
        self.stored = true;
        Write { entries: writes }
    }

    fn save_trail(&mut self, writes: &mut Writes) {
        while let Some(full) = self.trail.split_off_full() {
            let (kind, name) = (self.address.kind, &self.address.key);
            writes.push((key::trail(kind, name, self.trail_pages), Some(full)));
            self.trail_pages += 1;
        }
    }

    fn row(&self) -> Vec<u8> {
        let mut head = Vec::new();
        self.mind.head(&mut head);
        let page = match &self.newest_page {
            NewestPage::None => None,
            NewestPage::AtRest(number, bytes) => Some((*number, bytes.to_vec())),
            NewestPage::InMind(number) => {
                let bytes = self.mind.page_bytes(*number);
                Some((*number, bytes.expect("a mind keeps its newest page")))
            }
        };
        let row = Row {
            kind_version: self.kind_version,
            position: self.next,
            created: self.created,
            head: &head,
            page: page.as_ref().map(|(number, bytes)| (*number, bytes.as_slice())),
            trail_pages: self.trail_pages,
            trail: self.trail.bytes(),
        };
        row.encode()
    }

    /// Pages that changed go under keys of their own, except the newest, which the row carries; and
    /// so does the one that was the newest until now.
    fn save_pages(&mut self, writes: &mut Writes) {
        let (kind, name) = (self.address.kind, &self.address.key);
        let mut changed = self.mind.take_changed_pages();
        let until_now = match &self.newest_page {
            NewestPage::None => None,
            NewestPage::AtRest(number, _) | NewestPage::InMind(number) => Some(*number),
        };
        let Some(newest) = changed.last().map(|(number, _)| *number).max(until_now) else { return };
        if let Some(old) = until_now.filter(|old| *old < newest) {
            let bytes = match std::mem::replace(&mut self.newest_page, NewestPage::InMind(newest)) {
                NewestPage::AtRest(_, bytes) => Some(bytes.into_vec()),
                NewestPage::None | NewestPage::InMind(_) => self.mind.page_bytes(old),
            };
            if !changed.iter().any(|(number, _)| *number == old) {
                changed.push((old, bytes.expect("a mind keeps its newest page")));
            }
        } else if until_now.is_none() {
            self.newest_page = NewestPage::InMind(newest);
        }
        for (number, bytes) in changed {
            if number != newest {
                writes.push((key::page(kind, name, number), Some(bytes)));
            }
        }
        self.mind.forget_pages_but(newest);
    }

    fn save_changes(&mut self, pending: &Pending, writes: &mut Writes) {
        for change in std::mem::take(&mut self.rare().changes) {
            let stored = stored_key(change.id, change.due, &self.address);
            let value = pending.get(change.id).map(|entry| stored_value(&entry.what));
            writes.push((stored, value));
        }
    }

    fn save_tags(&mut self, writes: &mut Writes) {
        let tags = self.mind.tags();
        let stored = std::mem::take(&mut self.rare().stored_tags);
        let (kind, name) = (self.address.kind, &self.address.key);
        for gone in stored.iter().filter(|tag| !tags.contains(tag)) {
            writes.push((key::tag(gone, kind, name), None));
        }
        for come in tags.iter().filter(|tag| !stored.contains(tag)) {
            writes.push((key::tag(come, kind, name), Some(Vec::new())));
        }
        self.rare().stored_tags = tags;
    }

    /// Restores the mind after a record has spoilt it: the row as it was handed over last, and the
    /// records since that were folded. Appends nothing and asks for nothing: what those records
    /// caused was taken down when they were applied.
    pub fn restore(
        &mut self,
        kinds: &Kinds,
        rest: &dyn Rest,
        again: &mut dyn FnMut(Position) -> Result<Again, Error>,
    ) -> Result<(), Error> {
        let stored = self.at_rest(rest, &key::row(self.address.kind, &self.address.key))?;
        let row = stored.as_deref().map(Row::decode).transpose()?;
        let from = row.as_ref().map_or(0, |row| row.position);
        let mut past = match &row {
            Some(row) => Self::from_row(self.address.clone(), kinds, row)?,
            None => Self::new(self.address.clone(), kinds)?,
        };
        let unfolded = self.rare.as_ref().map_or(&[][..], |rare| &rare.unfolded);
        let since = self.trail.iter().filter(|position| *position >= from);
        let folded: Vec<_> = since.filter(|position| !unfolded.contains(position)).collect();
        // What is on its way to the store is on its way for both.
        past.rare = self.rare.take();
        let mut fx = Effects::new(Timestamp(0), 0);
        for position in folded {
            past.fold_again(&again(position)?, rest, &mut fx)?;
        }
        self.rare = past.rare;
        self.mind = past.mind;
        self.newest_page = past.newest_page;
        Ok(())
    }

    fn fold_again(
        &mut self,
        record: &Again,
        rest: &dyn Rest,
        fx: &mut Effects,
    ) -> Result<(), Error> {
        let (_, event) = record::split(record.tag, &record.payload)
            .map_err(|error| Error::Record { position: record.position, why: error.to_string() })?;
        fx.reset(record.time, record.position);
        loop {
            match self.mind.apply(event, fx) {
                Ok(_) => return Ok(()),
                Err(Stop::NeedsPage(page)) => self.give_page(page, rest)?,
                Err(Stop::Undecodable(why)) => {
                    return Err(Error::Record { position: record.position, why });
                }
            }
        }
    }

    /// Gives the mind a page it asked for: the one that came with the row, or one at rest, or a new
    /// one.
    pub(super) fn give_page(&mut self, page: u32, rest: &dyn Rest) -> Result<(), Error> {
        if let NewestPage::AtRest(newest, bytes) = &mut self.newest_page
            && *newest == page
        {
            let bytes = std::mem::take(bytes);
            self.newest_page = NewestPage::InMind(page);
            return Ok(self.mind.give_page(page, Some(&bytes))?);
        }
        let at_rest = self.at_rest(rest, &key::page(self.address.kind, &self.address.key, page))?;
        Ok(self.mind.give_page(page, at_rest.as_deref())?)
    }
}

fn kind_of<'a>(address: &Address, kinds: &'a Kinds) -> Result<&'a actors::Kind, Error> {
    kinds
        .get(address.kind)
        .ok_or_else(|| Error::Rest(format!("no kind has the id {}", address.kind.0)))
}

/// A mind at rest, to be asked without waking anybody.
pub fn mind_at_rest(kind: &actors::Kind, row: &Row<'_>) -> Result<Box<dyn Mind>, Error> {
    Ok(kind.wake(Some(row.head))?)
}
