//! Reads of what was: an entity as its records below a position have made it.
//!
//! Its trail says which records those are. They are read from the journal and folded by a life of
//! its own, on a thread that does nothing else: nobody is woken, no worker folds, and of a resident
//! nothing is asked but its trail. The work is bounded, in records, in bytes of journal, and in how
//! many do it at once. What is *not* here: any other beginning than the entity's first record; a
//! snapshot would give a later one ([`Past::begin`]).
//!
//! The invariant: the answer is what an answer was, or would have been, that reflected exactly the
//! records below the position.

use super::reads::{Question, in_own_words, internal};
use super::{Freshness, Handle, Inner};
use crate::api::{HistoryItem, Read, ReadError};
use crate::kinds::Kinds;
use crate::life::{self, Again, Around, Life, Rest};
use crate::pending::Pending;
use actors::{Address, Effects, Entity, KindId, Mind, PageLoader, Position, Timestamp};
use state::frame::Frame;
use state::journal;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Records that lie so near to each other are read together: so many of them within so many
/// positions.
const NEAR: (usize, u64) = (16, 4_096);

/// How much is read at once then, in bytes.
const READ_BYTES: usize = 1 << 20;

/// A moment of the past.
#[derive(Clone, Copy, Debug)]
pub struct AsOf {
    /// The answer reflects the records below it, and no others.
    pub position: Position,
    /// How long to wait until the worker has come so far, and until it is one's turn.
    pub wait_max: Duration,
}

impl AsOf {
    fn fresh(self) -> Freshness {
        Freshness { at_least: Some(self.position), wait_max: self.wait_max }
    }
}

impl Handle {
    /// Asks an entity as it was. `None` if nothing had been told to it.
    pub async fn ask_as_of<E: Entity>(
        &self,
        key: &str,
        query: E::Query,
        as_of: AsOf,
    ) -> Result<Read<Option<E::Answer>>, ReadError> {
        let kind = self.kind(E::KIND).expect("only kinds of this engine are asked");
        self.inner.past(Address::new(kind, key), in_own_words::<E>(query), as_of).await
    }

    /// An entity's view as it was, as JSON text. `None` if nothing had been told to it.
    pub async fn view_as_of(
        &self,
        kind: KindId,
        key: &str,
        as_of: AsOf,
    ) -> Result<Read<Option<Vec<u8>>>, ReadError> {
        let question = |mind: &dyn Mind, key: &str, _: &mut PageLoader<'_>| mind.view(key);
        self.inner.past(Address::new(kind, key), Box::new(question), as_of).await
    }

    /// An entity's own records as far as they went then, newest first, below `before` if given.
    pub async fn history_as_of(
        &self,
        address: Address,
        before: Option<Position>,
        limit: usize,
        as_of: AsOf,
    ) -> Result<Read<Option<Vec<HistoryItem>>>, ReadError> {
        let position = as_of.position;
        let Some(trail) = self.inner.trail_below(&address, as_of).await? else {
            return Ok(Read { value: None, position });
        };
        let wanted = trail.into_iter().rev().filter(|p| before.is_none_or(|b| *p < b));
        let items: Result<Vec<_>, _> =
            wanted.take(limit).map(|position| self.inner.history_item(position)).collect();
        Ok(Read { value: Some(items?), position })
    }
}

impl Inner {
    /// The positions of an entity's records below that moment; `None` if there are none.
    async fn trail_below(
        &self,
        address: &Address,
        as_of: AsOf,
    ) -> Result<Option<Vec<Position>>, ReadError> {
        let end = self.journal.durable();
        if as_of.position > end {
            return Err(ReadError::BeyondEnd { end });
        }
        let trail = self.trail(address, as_of.fresh()).await?.value.unwrap_or_default();
        let below = trail.partition_point(|position| *position < as_of.position);
        Ok((below > 0).then(|| trail[..below].to_vec()))
    }

    async fn past<R: Send + 'static>(
        &self,
        address: Address,
        question: Question<R>,
        as_of: AsOf,
    ) -> Result<Read<Option<R>>, ReadError> {
        let position = as_of.position;
        let Some(trail) = self.trail_below(&address, as_of).await? else {
            return Ok(Read { value: None, position });
        };
        let records_max = self.options.as_of_records_max;
        if trail.len() > records_max {
            let why = format!("it had {} records then, and at most {records_max} are", trail.len());
            return Err(ReadError::TooMuch(format!("{why} folded for a read of the past").into()));
        }
        let turn = self.past_turns.clone().acquire_owned();
        let Ok(turn) = tokio::time::timeout(as_of.wait_max, turn).await else {
            let why = "as many reads of the past as there may be are under way";
            return Err(ReadError::TooMuch(why.into()));
        };
        let turn = turn.expect("nobody closes it");
        let past = Past {
            kinds: self.kinds,
            journal: self.journal.clone(),
            judged: self.judged.clone(),
            bytes_max: self.options.as_of_journal_bytes_max,
        };
        let folded = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let life = past.fold(address, &trail)?;
            let mut loader = |page: u32| life.page(page, &Nothing).ok().flatten();
            Ok(question(life.mind(), &life.address().key, &mut loader))
        });
        let value = folded.await.map_err(internal)??;
        Ok(Read { value: Some(value), position })
    }
}

/// Nothing is at rest of a life that begins at the beginning.
pub(super) struct Nothing;

impl Rest for Nothing {
    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, life::Error> {
        Ok(None)
    }
}

/// What a fold of the past needs.
struct Past {
    kinds: Kinds,
    journal: journal::Reader,
    judged: Arc<BTreeSet<Position>>,
    /// How much of the journal may be read, in bytes.
    bytes_max: u64,
}

impl Past {
    /// The entity before the first of these records.
    fn begin(&self, address: Address) -> Result<Life, ReadError> {
        Life::new(address, &self.kinds).map_err(internal)
    }

    /// The entity as these records make it.
    fn fold(&self, address: Address, trail: &[Position]) -> Result<Life, ReadError> {
        let mut life = self.begin(address)?;
        let (mut pending, mut caused) = (Pending::default(), Vec::new());
        let mut fx = Effects::new(Timestamp(0), 0);
        let mut frames = Frames { past: self, read: Vec::new().into_iter(), at: None, bytes: 0 };
        let mut again = |position| self.again(position);
        for index in 0..trail.len() {
            let frame = frames.of(&trail[index..])?;
            let record = frame.at(trail[index]).expect("the frame that holds it");
            let mut around = Around {
                kinds: &self.kinds,
                judged: &self.judged,
                rest: &Nothing,
                pending: &mut pending,
                fx: &mut fx,
                caused: &mut caused,
            };
            life.apply(&record, &mut around, &mut again).map_err(internal)?;
            // It was carried out then.
            caused.clear();
        }
        Ok(life)
    }

    fn again(&self, position: Position) -> Result<Again, life::Error> {
        let unreadable = |why: String| life::Error::Record { position, why };
        let found = self.journal.record(position).map_err(|error| unreadable(error.to_string()))?;
        let (frame, index) = found.ok_or_else(|| unreadable("it is not there".to_owned()))?;
        let record = frame.record(index);
        let payload = record.payload.to_vec();
        Ok(Again { position, time: record.time, tag: record.tag, payload })
    }
}

/// The frames that a trail goes through.
struct Frames<'a> {
    past: &'a Past,
    read: std::vec::IntoIter<Arc<Frame>>,
    at: Option<Arc<Frame>>,
    bytes: u64,
}

impl Frames<'_> {
    /// The frame that holds the first position of this trail.
    fn of(&mut self, trail: &[Position]) -> Result<Arc<Frame>, ReadError> {
        let wanted = trail[0];
        let mut at = self.at.take();
        while let Some(frame) = at {
            if wanted < frame.end() {
                self.at = Some(frame.clone());
                return Ok(frame);
            }
            at = self.read.next();
        }
        let is_near = trail.get(NEAR.0).is_some_and(|later| later - wanted <= NEAR.1);
        let read = self.past.journal.read(wanted, if is_near { READ_BYTES } else { 0 });
        let frames = match read {
            Err(journal::Error::BelowFloor { position, floor }) => {
                let why = format!(
                    "the journal no longer has its record {position}: it begins at {floor}"
                );
                return Err(ReadError::TooMuch(why.into()));
            }
            read => read.map_err(internal)?,
        };
        self.bytes += frames.iter().map(|frame| frame.bytes().len() as u64).sum::<u64>();
        if self.bytes > self.past.bytes_max {
            let bytes_max = self.past.bytes_max;
            let why = format!("its records lie in more than {bytes_max} bytes of the journal");
            return Err(ReadError::TooMuch(why.into()));
        }
        self.read = frames.into_iter();
        self.at = self.read.next();
        self.at.clone().ok_or_else(|| internal(format!("record {wanted} is not there")))
    }
}
