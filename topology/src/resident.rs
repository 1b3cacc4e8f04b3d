//! The resident: a live entity. Its [`Life`] stands at a place on its worker's floor; around it, as
//! soon as anybody wants to talk to it, is an actix actor with a mailbox.
//!
//! Records don't come by mail: they are the worker's own, on the same thread, and a mailbox
//! between the two would cost more than most folds (a message, a waker, a task's turn; and of each
//! live entity some 700 bytes that most of them never need). So the worker gives a life its turn by
//! a call, and a resident gets its seat, actor and mailbox, with the first look that a reader takes
//! at it. Looks come from any thread, one at a time, never in the middle of a batch.

use crate::floor::{Floor, Place};
use crate::hear::panic_text;
use crate::life::Life;
use actix::{Actor, Addr, Context, Handler, Message, WeakAddr};
use actors::Address;
use dashmap::DashMap;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

/// A floor whose lives are residents.
pub type ResidentFloor = Floor<Addr<Resident>>;

/// A resident's place on it.
pub type Home = Place<Addr<Resident>>;

/// The actor around a live entity.
pub struct Resident {
    place: Rc<Home>,
    /// Its worker's floor.
    floor: Rc<ResidentFloor>,
}

impl Resident {
    /// The seat of the life at this place, taken now if it has none. To be called on the worker's
    /// thread.
    pub fn seat(place: &Rc<Home>, floor: &Rc<ResidentFloor>) -> Addr<Self> {
        let mut seat = place.seat.borrow_mut();
        let take = || Actor::start(Self { place: place.clone(), floor: floor.clone() });
        seat.get_or_insert_with(take).clone()
    }
}

impl Actor for Resident {
    type Context = Context<Self>;
}

/// Somebody wants to look at it.
pub struct Look {
    /// What they see.
    pub look: Box<dyn FnOnce(&Life, &ResidentFloor) + Send>,
    /// Whether they may remember it until it changes.
    pub remembers: bool,
}

impl Message for Look {
    type Result = ();
}

impl Handler<Look> for Resident {
    type Result = ();

    fn handle(&mut self, Look { look, remembers }: Look, _: &mut Context<Self>) {
        if remembers {
            self.place.listens.set(true);
        }
        let life = self.place.life.borrow();
        // actix tells nobody of a panic, and would end the actor.
        let look = AssertUnwindSafe(|| look(&life, &self.floor));
        if let Err(panic) = std::panic::catch_unwind(look) {
            tracing::error!(panic = panic_text(&*panic), "a look at a resident panicked");
        }
    }
}

/// Who is live, and where: for readers. Only a resident's own worker puts it here or takes it away.
///
/// Weak addresses: every strong one is two allocations, and an address that is here for a million
/// residents is used for few of them. It can be used as long as the resident lives, because its
/// place on the floor holds a strong one.
#[derive(Default)]
pub struct Directory(DashMap<Address, Option<WeakAddr<Resident>>>);

/// Who is found at an address.
pub enum Found {
    /// Nobody: what is at rest is all there is.
    Nobody,
    /// A resident that is about to be gone: put to rest, or with its worker. What is at rest may be
    /// older than what it knew.
    Leaving,
    /// A resident that nobody has talked to yet: its worker gives it a seat.
    Unseated,
    /// A resident.
    Seated(Addr<Resident>),
}

impl Directory {
    /// Who lives at an address.
    pub fn find(&self, address: &Address) -> Found {
        let Some(found) = self.0.get(address) else { return Found::Nobody };
        match &*found {
            None => Found::Unseated,
            Some(seat) => seat.upgrade().map_or(Found::Leaving, Found::Seated),
        }
    }

    /// An entity is live.
    pub fn enter(&self, address: Address) {
        self.0.insert(address, None);
    }

    /// A live entity has taken its seat.
    pub fn seated(&self, address: Address, seat: &Addr<Resident>) {
        self.0.insert(address, Some(seat.downgrade()));
    }

    /// A resident has moved out.
    pub fn leave(&self, address: &Address) {
        self.0.remove(address);
    }

    /// The residents of these addresses are gone.
    pub fn purge(&self, gone: impl Fn(&Address) -> bool) {
        self.0.retain(|address, _| !gone(address));
    }
}
