//! Reads of one entity. A live one is asked by mail (the first time by way of its worker, which
//! gives it a mailbox), one at rest is read from the store; nobody is woken.

use super::past::Nothing;
use super::{Freshness, Handle, Inner};
use crate::api::{EventRef, HistoryItem, Read, ReadError};
use crate::floor::ShardAtRest;
use crate::life::{self, Life, mind_at_rest};
use crate::record::{Prefix, split, tag, tag_name};
use crate::remembered::{Rendered, Ticket};
use crate::resident::{Found, Look, Resident, ResidentFloor};
use crate::worker::{Control, Link};
use actix::Addr;
use actors::{Address, DomainEvent, Entity, KindId, Mind, PageLoader, Position, Timestamp};
use state::row::{Row, Trail, key};
use std::any::Any;

/// A read gives up after so many looks at residents that had just gone: their worker has ended.
const LOOKS_MAX: u32 = 1_000;

/// What is asked of an entity, live or at rest: its mind, its key, and a way to its pages.
pub(super) type Question<R> = Box<dyn FnOnce(&dyn Mind, &str, &mut PageLoader<'_>) -> R + Send>;

impl Handle {
    /// Asks an entity something of its kind's own. `None` if nothing was ever told to it.
    pub async fn ask<E: Entity>(
        &self,
        key: &str,
        query: E::Query,
        fresh: Freshness,
    ) -> Result<Read<Option<E::Answer>>, ReadError> {
        let address = Address::new(self.kind_of::<E>(), key);
        self.inner.question(address, in_own_words::<E>(query), fresh).await
    }

    /// The same, rendered. What a resident has answered is remembered under `asked`, and the next
    /// reader is given that unless the entity has changed.
    pub async fn render<E: Entity>(
        &self,
        key: &str,
        (asked, query): (&'static str, E::Query),
        fresh: Freshness,
        render: impl FnOnce(Option<E::Answer>) -> Rendered,
    ) -> Result<Read<Rendered>, ReadError> {
        let address = Address::new(self.kind_of::<E>(), key);
        let link = self.inner.worker_of(self.inner.shard_of(&address));
        let generation = link.generations().at_work();
        let position = self.inner.wait(link, fresh).await?;
        if let Some(value) = self.inner.remembered.get(&address, asked) {
            return link.still(generation, Read { value, position });
        }
        let asking = Asking { question: in_own_words::<E>(query), remembers: true };
        let read = self.inner.asked(&address, asking, fresh).await?;
        let (answer, ticket) = read.value;
        let value = render(answer);
        if let Some(ticket) = ticket {
            self.inner.remembered.keep(address, asked, ticket, &value);
        }
        Ok(Read { value, position: read.position })
    }

    fn kind_of<E: Entity>(&self) -> KindId {
        self.kind(E::KIND).expect("only kinds of this engine are asked")
    }

    /// An entity's view as JSON text. `None` if nothing was ever told to it.
    pub async fn view(
        &self,
        kind: KindId,
        key: &str,
        fresh: Freshness,
    ) -> Result<Read<Option<Vec<u8>>>, ReadError> {
        let question = |mind: &dyn Mind, key: &str, _: &mut PageLoader<'_>| mind.view(key);
        self.inner.question(Address::new(kind, key), Box::new(question), fresh).await
    }

    /// The positions and causes of an entity's own records, newest first, below `before` if given.
    pub async fn history(
        &self,
        address: Address,
        before: Option<Position>,
        limit: usize,
        fresh: Freshness,
    ) -> Result<Read<Option<Vec<HistoryItem>>>, ReadError> {
        let trail = self.inner.trail(&address, fresh).await?;
        let Some(positions) = trail.value else {
            return Ok(Read { value: None, position: trail.position });
        };
        // What lies below the journal's floor is not there any more.
        let first = self.inner.journal.first();
        let kept = positions.into_iter().rev().take_while(|position| *position >= first);
        let wanted = kept.filter(|p| before.is_none_or(|b| *p < b));
        let items: Result<Vec<_>, _> =
            wanted.take(limit).map(|position| self.inner.history_item(position)).collect();
        Ok(Read { value: Some(items?), position: trail.position })
    }
}

impl Inner {
    /// Waits until a worker has applied everything below what is asked for; then where it stands.
    pub(crate) async fn wait(&self, link: &Link, fresh: Freshness) -> Result<Position, ReadError> {
        if let Some(wanted) = fresh.at_least
            && link.position() < wanted
        {
            let mut watermark = link.watermark();
            let reached = watermark.wait_for(|position| *position >= wanted);
            match tokio::time::timeout(fresh.wait_max, reached).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Err(ReadError::Interrupted),
                Err(_) => {
                    let why = "that position has not been reached yet";
                    return Err(ReadError::NotYet(why.into()));
                }
            }
        }
        if link.is_current() { Ok(link.position()) } else { Err(ReadError::Interrupted) }
    }

    async fn question<R: Send + 'static>(
        &self,
        address: Address,
        question: Question<R>,
        fresh: Freshness,
    ) -> Result<Read<Option<R>>, ReadError> {
        let asking = Asking { question, remembers: false };
        let Read { value: (value, _), position } = self.asked(&address, asking, fresh).await?;
        Ok(Read { value, position })
    }

    /// Asks, and says from when the answer is, if it is a resident's and may be remembered.
    async fn asked<R: Send + 'static>(
        &self,
        address: &Address,
        asking: Asking<R>,
        fresh: Freshness,
    ) -> Result<Read<(Option<R>, Option<Ticket>)>, ReadError> {
        let shard = self.shard_of(address);
        let link = self.worker_of(shard);
        let generation = link.generations().at_work();
        let position = self.wait(link, fresh).await?;
        // Looked at first: what recovery wakes between the looks below would else be "not found".
        let caught_up = link.is_open();
        let mut asking = Some(asking);
        let mut looks = 0;
        // A resident that is put to rest between the look-up and the look gives the question back.
        while let Some(resident) = self.resident(address).await? {
            let asked = asking.take().expect("a question that was given back");
            let remembers = asked.remembers;
            let (answer_sender, answer) = tokio::sync::oneshot::channel();
            let (back_sender, back) = tokio::sync::oneshot::channel();
            let mut returned = Returned { asking: Some(asked), back: Some(back_sender) };
            let look = Box::new(move |life: &Life, floor: &ResidentFloor| {
                let asked = returned.asking.take().expect("asked once");
                // Whoever asked may have gone.
                let _ = answer_sender.send(ask_live(life, floor, asked));
            });
            mail(link, (address, resident), Look { look, remembers });
            match answer.await {
                // It may have entered the directory, and not have been told anything yet.
                Ok((None, _)) if !caught_up => return Err(not_caught_up()),
                Ok(value) => return link.still(generation, Read { value, position }),
                Err(_) => asking = back.await.ok(),
            }
            looks += 1;
            if asking.is_none() || looks > LOOKS_MAX {
                return Err(ReadError::Interrupted);
            }
            tokio::task::yield_now().await;
        }
        let asked = asking.expect("asked nobody yet");
        let value = self.ask_at_rest(shard, address, asked.question)?;
        if value.is_none() && !caught_up {
            return Err(not_caught_up());
        }
        link.still(generation, Read { value: (value, None), position })
    }

    /// The resident at an address, if anybody lives there, and its seat, if it has one.
    async fn resident(&self, address: &Address) -> Result<Option<Seat>, ReadError> {
        for _ in 0..=LOOKS_MAX {
            match self.directory.find(address) {
                Found::Seated(resident) => return Ok(Some(Some(resident))),
                Found::Unseated => return Ok(Some(None)),
                Found::Nobody => return Ok(None),
                Found::Leaving => tokio::task::yield_now().await,
            }
        }
        Err(ReadError::Interrupted)
    }

    fn ask_at_rest<R>(
        &self,
        shard: u16,
        address: &Address,
        question: Question<R>,
    ) -> Result<Option<R>, ReadError> {
        let stored = key::row(address.kind, &address.key);
        if !self.store.may_contain(shard, &stored) {
            return Ok(None);
        }
        let Some(bytes) = self.store.get(shard, &stored).map_err(internal)? else {
            return Ok(None);
        };
        let row = Row::decode(&bytes).map_err(internal)?;
        let kind = self.kinds.get(address.kind).expect("an address of a known kind");
        let mind = mind_at_rest(kind, &row).map_err(internal)?;
        let mut loaded = false;
        let mut loader = |page: u32| match row.page {
            Some((number, inline)) if number == page => Some(inline.to_vec()),
            _ => {
                loaded = true;
                self.store.get(shard, &key::page(address.kind, &address.key, page)).ok()?
            }
        };
        let value = question(&*mind, &address.key, &mut loader);
        if loaded && self.store.get(shard, &stored).map_err(internal)?.as_ref() != Some(&bytes) {
            // It was woken and handed over meanwhile: row and pages may be of two times.
            return Err(ReadError::Interrupted);
        }
        Ok(Some(value))
    }

    /// The positions of all of an entity's records, oldest first.
    pub(super) async fn trail(
        &self,
        address: &Address,
        fresh: Freshness,
    ) -> Result<Read<Option<Vec<Position>>>, ReadError> {
        let shard = self.shard_of(address);
        let link = self.worker_of(shard);
        let generation = link.generations().at_work();
        let position = self.wait(link, fresh).await?;
        let caught_up = link.is_open();
        if let Some(resident) = self.resident(address).await? {
            let (sender, answer) = tokio::sync::oneshot::channel();
            let look = Box::new(move |life: &Life, _: &ResidentFloor| {
                let _ = sender.send(LiveTrail::of(life));
            });
            mail(link, (address, resident), Look { look, remembers: false });
            if let Ok(trail) = answer.await {
                let value = Some(self.trail_of(shard, address, trail.map_err(internal)?)?);
                return link.still(generation, Read { value, position });
            }
        }
        let value = self.trail_at_rest(shard, address)?;
        if value.is_none() && !caught_up {
            return Err(not_caught_up());
        }
        link.still(generation, Read { value, position })
    }

    /// The whole trail of a resident, whose full pages are at rest.
    fn trail_of(
        &self,
        shard: u16,
        address: &Address,
        live: LiveTrail,
    ) -> Result<Vec<Position>, ReadError> {
        let mut positions = Vec::new();
        for (number, unsettled) in (0..).zip(live.pages) {
            let stored = key::trail(address.kind, &address.key, number);
            let page = match unsettled {
                Some(page) => page,
                None => self.store.get(shard, &stored).map_err(internal)?.unwrap_or_default(),
            };
            positions.extend(Trail::decode(&page).map_err(internal)?.iter());
        }
        positions.extend(live.young);
        Ok(positions)
    }

    fn trail_at_rest(
        &self,
        shard: u16,
        address: &Address,
    ) -> Result<Option<Vec<Position>>, ReadError> {
        let stored = self.store.get(shard, &key::row(address.kind, &address.key));
        let Some(bytes) = stored.map_err(internal)? else { return Ok(None) };
        let row = Row::decode(&bytes).map_err(internal)?;
        let mut positions = Vec::new();
        for page in 0..row.trail_pages {
            let stored = key::trail(address.kind, &address.key, page);
            let page = self.store.get(shard, &stored).map_err(internal)?.unwrap_or_default();
            positions.extend(Trail::decode(&page).map_err(internal)?.iter());
        }
        positions.extend(Trail::decode(row.trail).map_err(internal)?.iter());
        Ok(Some(positions))
    }

    pub(super) fn history_item(&self, position: Position) -> Result<HistoryItem, ReadError> {
        let found = self.journal.record(position).map_err(internal)?;
        let (frame, index) =
            found.ok_or_else(|| internal(format!("record {position} is not there")))?;
        let record = frame.record(index);
        let (cause, event) = match split(record.tag, record.payload) {
            Ok((Prefix::Cause(id) | Prefix::Fired(id) | Prefix::Answered(id, _), _)) => {
                (Some(id.cause), None)
            }
            _ if record.tag == tag::HEARD => heard_from(&frame, index),
            _ => (None, None),
        };
        Ok(HistoryItem {
            position,
            time: record.time,
            tag: tag_name(record.tag),
            cause,
            event,
            payload_bytes: record.payload.len(),
        })
    }
}

/// The domain event that told the record at `index`: the last one before it in its frame.
fn heard_from(frame: &state::frame::Frame, index: usize) -> (Option<Position>, Option<EventRef>) {
    let before = (0..index).rev().map(|at| frame.record(at));
    let event = before.into_iter().find(|r| matches!(r.tag, tag::EVENT | tag::PUBLISHED));
    let Some(record) = event else { return (None, None) };
    let named = DomainEvent::parse(record.payload, Timestamp(0)).ok().map(|event| EventRef {
        id: event.id.into_owned(),
        source: event.source.into_owned(),
        event_type: event.type_text.into_owned(),
    });
    (Some(record.position), named)
}

/// Where a resident takes mail, if it has got so far.
type Seat = Option<Addr<Resident>>;

/// Sends a look to a resident: to its seat, or else to its worker, which gives it one.
fn mail(link: &Link, (address, seat): (&Address, Seat), look: Look) {
    match seat {
        Some(resident) => resident.do_send(look),
        None => link.send(Control::Look(address.clone(), look)),
    }
}

/// A question to a resident.
struct Asking<R> {
    question: Question<R>,
    /// Whether the answer is to be remembered.
    remembers: bool,
}

/// A question on its way to a resident; if nobody takes it, it goes back.
struct Returned<R> {
    asking: Option<Asking<R>>,
    back: Option<tokio::sync::oneshot::Sender<Asking<R>>>,
}

impl<R> Drop for Returned<R> {
    fn drop(&mut self) {
        if let (Some(asking), Some(back)) = (self.asking.take(), self.back.take()) {
            // Whoever asked may have gone.
            let _ = back.send(asking);
        }
    }
}

pub(super) fn in_own_words<E: Entity>(query: E::Query) -> Question<E::Answer> {
    Box::new(move |mind: &dyn Mind, key: &str, pages: &mut PageLoader<'_>| {
        let answer: Box<dyn Any + Send> =
            mind.ask(key, Box::new(query), pages).expect("a query of the kind's own type");
        *answer.downcast::<E::Answer>().expect("an answer of the kind's own type")
    })
}

fn ask_live<R>(
    life: &Life,
    floor: &ResidentFloor,
    asked: Asking<R>,
) -> (Option<R>, Option<Ticket>) {
    if life.is_unborn() {
        return (None, None);
    }
    let ticket = asked.remembers.then(|| floor.remembered().ticket(life.address()));
    let shard = floor.shard_of(life.address());
    let rest = ShardAtRest { store: floor.store(), shard };
    let mut loader = |page: u32| life.page(page, &rest).ok().flatten();
    let answer = (asked.question)(life.mind(), &life.address().key, &mut loader);
    (Some(answer), ticket)
}

/// What a resident alone knows of its trail: the young end, and which full pages may not be
/// readable at rest yet. The others are read by whoever asks, not by the worker.
struct LiveTrail {
    young: Vec<Position>,
    /// A place for each full page.
    pages: Vec<Option<Vec<u8>>>,
}

impl LiveTrail {
    fn of(life: &Life) -> Result<Self, life::Error> {
        let (young, count) = life.trail();
        let Address { kind, key } = life.address();
        let pages = (0..count).map(|page| life.at_rest(&Nothing, &key::trail(*kind, key, page)));
        Ok(Self { young, pages: pages.collect::<Result<_, _>>()? })
    }
}

fn not_caught_up() -> ReadError {
    ReadError::NotYet("recovery has not caught up".into())
}

/// Something of ours failed: the log says what, the caller only that.
pub(super) fn internal(error: impl std::fmt::Display) -> ReadError {
    tracing::error!(%error, "a read failed");
    ReadError::Internal(error.to_string())
}
