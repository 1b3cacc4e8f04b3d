//! The resident: an actix actor with a mailbox, around a [`Life`]. All it does is call into it.
//!
//! Residents of a worker live on the worker's thread and share its floor. Two sorts of message
//! reach them: a turn in the batch at hand, from the worker; and a look from a reader, from any
//! thread.

use crate::floor::{Floor, Place};
use crate::hear::panic_text;
use crate::life::{Error, Life};
use actix::{Actor, Addr, Context, Handler, Message, WeakAddr};
use actors::Address;
use dashmap::DashMap;
use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use tokio::sync::Notify;

/// A floor whose lives are residents.
pub type ResidentFloor = Floor<Addr<Resident>>;

/// A resident's place on it.
pub type Home = Place<Addr<Resident>>;

/// What the residents of one worker report to.
#[derive(Default)]
pub struct Batch {
    /// Turns given out and not taken yet.
    outstanding: Cell<usize>,
    failed: RefCell<Option<Error>>,
    done: Notify,
}

impl Batch {
    /// So many turns are about to be given out.
    pub fn begin(&self, turns: usize) {
        assert_eq!(self.outstanding.get(), 0, "one batch at a time");
        self.outstanding.set(turns);
    }

    /// Waits until every turn was taken.
    pub async fn finished(&self) -> Result<(), Error> {
        while self.outstanding.get() > 0 {
            self.done.notified().await;
        }
        self.failed.take().map_or(Ok(()), Err)
    }

    fn one_done(&self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.failed.borrow_mut().get_or_insert(error);
        }
        self.outstanding.set(self.outstanding.get() - 1);
        if self.outstanding.get() == 0 {
            self.done.notify_one();
        }
    }
}

/// A live entity.
pub struct Resident {
    place: Rc<Home>,
    /// Its worker's floor and batch.
    home: Rc<(ResidentFloor, Batch)>,
    /// Whether an answer of it may be remembered.
    listens: bool,
}

impl Resident {
    /// Moves in. To be called on the worker's thread.
    pub fn start(place: &Rc<Home>, home: &Rc<(ResidentFloor, Batch)>) -> Addr<Self> {
        Actor::start(Self { place: place.clone(), home: home.clone(), listens: false })
    }
}

impl Actor for Resident {
    type Context = Context<Self>;
}

/// Its turn in the batch at hand, beginning with this item.
pub struct Turn(pub u32);

impl Message for Turn {
    type Result = ();
}

impl Handler<Turn> for Resident {
    type Result = ();

    fn handle(&mut self, Turn(first): Turn, _: &mut Context<Self>) {
        let (floor, batch) = &*self.home;
        if std::mem::take(&mut self.listens) {
            floor.remembered().forget(self.place.life.borrow().address());
        }
        // actix tells nobody of a panic: it is caught here, and fails the worker's batch.
        let turn = AssertUnwindSafe(|| floor.turn(&self.place, first));
        let result = std::panic::catch_unwind(turn).unwrap_or_else(|panic| {
            Err(Error::Rest(format!("a turn panicked: {}", panic_text(&*panic))))
        });
        batch.one_done(result);
    }
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
        self.listens |= remembers;
        let life = self.place.life.borrow();
        let look = AssertUnwindSafe(|| look(&life, &self.home.0));
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
pub struct Directory(DashMap<Address, WeakAddr<Resident>>);

/// Who is found at an address.
pub enum Found {
    /// Nobody: what is at rest is all there is.
    Nobody,
    /// A resident that is about to be gone: put to rest, or with its worker. What is at rest may be
    /// older than what it knew.
    Leaving,
    /// A resident.
    Live(Addr<Resident>),
}

impl Directory {
    /// Who lives at an address.
    pub fn find(&self, address: &Address) -> Found {
        let Some(found) = self.0.get(address) else { return Found::Nobody };
        found.upgrade().map_or(Found::Leaving, Found::Live)
    }

    /// A resident has moved in.
    pub fn enter(&self, address: Address, seat: &Addr<Resident>) {
        self.0.insert(address, seat.downgrade());
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
