//! A worker: one OS thread that hosts shards. It reads the journal by cursor, lets those whom a
//! batch concerns apply their records, hands what they caused to the writer, moves its watermark,
//! and hands shards over to the store now and then.
//!
//! This is the loop; what a batch does is the floor's, and how the thread is started and watched is
//! the tree's.

mod rounds;
mod status;

pub use status::{Control, Generations, Link, Marks, WorkerState};

use crate::floor::{Floor, Ground, Publisher};
use crate::hear::panic_text;
use crate::keeper::{EffectsDurable, Keeper};
use crate::life;
use crate::options::Options;
use crate::resident::{Directory, Resident, ResidentFloor};
use crate::writer::{Submission, Writer};
use actors::{Address, Position};
use rounds::{Firing, Rounds};
use state::frame::Frame;
use state::journal;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// A worker begins no batch while more than so much of what it caused is unwritten, in bytes.
const EFFECT_BYTES_MAX: u64 = 64 << 20;

/// Why a worker ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A life could not go on.
    #[error(transparent)]
    Life(#[from] life::Error),
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The writer, the keeper or the engine is gone: the process is stopping.
    #[error("{0}")]
    Gone(&'static str),
}

/// What a worker is made from; kept, so that it can be made again.
pub struct Spec {
    /// Its number.
    pub index: usize,
    /// Its shards.
    pub shards: Vec<u16>,
    /// The engine's options.
    pub options: Arc<Options>,
    /// The writer.
    pub writer: Writer,
    /// The keeper.
    pub keeper: Keeper,
    /// What the store says of each shard now.
    pub marks: Arc<Marks>,
    /// Who is live.
    pub directory: Arc<Directory>,
    /// The journal, to read.
    pub journal: journal::Reader,
    /// Our own `source` in events.
    pub source: String,
    /// How everybody else sees and reaches it.
    pub link: Arc<Link>,
    /// Where deliveries go.
    pub deliveries: mpsc::UnboundedSender<crate::dispatcher::Offer>,
    /// What its floor stands on; made anew for each generation.
    pub ground: Box<dyn Fn() -> Ground + Send + Sync>,
}

/// A worker at work.
pub struct Worker {
    spec: Arc<Spec>,
    floor: Rc<ResidentFloor>,
    publisher: Publisher,
    rounds: Rounds,
    firing: Arc<Firing>,
    cursor: Position,
    durable: watch::Receiver<Position>,
    control: mpsc::UnboundedReceiver<Control>,
    effects: Arc<EffectsDurable>,
    effects_submitted: u64,
    generation: u64,
    /// Where the journal ended when this generation began; behind it, pending entries are opened.
    recovery_end: Position,
    open: bool,
}

impl Worker {
    /// A new generation of this worker, as the store and the journal have it. To be called on its
    /// thread.
    pub fn open(spec: Arc<Spec>) -> Result<Self, Error> {
        let generation = spec.link.next_generation();
        spec.directory.purge(|address| {
            let shard = crate::floor::shard_of(address.hash(), spec.marks.shards());
            spec.shards.contains(&shard)
        });
        let ground = (spec.ground)();
        ground.waiters.strand_all();
        ground.remembered.forget_all();
        let kinds = ground.kinds;
        let marks = spec.marks.of(&spec.shards);
        let floor = Floor::open(ground, &marks)?;
        let cursor = floor.replay_from();
        // What the store covers counts as applied: there may be nothing to replay.
        spec.link.applied(cursor, &floor);
        let (sender, control) = mpsc::unbounded_channel();
        spec.link.reconnect(sender);
        let durable = spec.writer.durable();
        let recovery_end = *durable.borrow();
        Ok(Self {
            publisher: Publisher::new(kinds, spec.source.clone()),
            rounds: Rounds::new(&spec),
            firing: Arc::default(),
            floor: Rc::new(floor),
            cursor,
            durable,
            control,
            effects: Arc::default(),
            effects_submitted: 0,
            generation,
            recovery_end,
            open: false,
            spec,
        })
    }

    /// Works until it is told to drain.
    pub async fn run(mut self) -> Result<(), Error> {
        loop {
            while let Ok(control) = self.control.try_recv() {
                self.control(control)?;
            }
            if self.effects.has_failed() {
                return Err(Error::Gone("what a batch caused could not be journaled"));
            }
            if self.effects.unwritten_bytes() > EFFECT_BYTES_MAX {
                self.wait_for_writer().await?;
                continue;
            }
            let frames = self.spec.journal.read(self.cursor, self.spec.options.batch_bytes_max)?;
            if !frames.is_empty() {
                self.batch(frames)?;
                self.open_if_caught_up()?;
                self.checkpoint_if_due()?;
                // Readers' looks at residents have a turn between two batches.
                tokio::task::yield_now().await;
                continue;
            }
            self.open_if_caught_up()?;
            self.checkpoint_if_due()?;
            if self.rounds.is_drained() {
                return Ok(());
            }
            tokio::select! {
                changed = self.durable.changed() => {
                    changed.map_err(|_| Error::Gone("the journal's writer has stopped"))?;
                }
                control = self.control.recv() => {
                    let control = control.ok_or(Error::Gone("the engine has stopped"))?;
                    self.control(control)?;
                }
            }
        }
    }

    /// The writer waits for no worker, so this ends.
    async fn wait_for_writer(&mut self) -> Result<(), Error> {
        tokio::select! {
            () = self.effects.written() => Ok(()),
            control = self.control.recv() => {
                self.control(control.ok_or(Error::Gone("the engine has stopped"))?)
            }
        }
    }

    fn batch(&mut self, frames: Vec<Arc<Frame>>) -> Result<(), Error> {
        let end = frames.last().expect("a batch has frames").end();
        let bytes: usize = frames.iter().map(|frame| frame.bytes().len()).sum();
        apply(&self.floor, &frames, &self.spec.directory)?;
        // Nothing holds their memory while the effects are made.
        drop(frames);
        self.hand_out_effects()?;
        self.cursor = end;
        self.rounds.read(bytes);
        self.spec.link.applied(end, &self.floor);
        self.floor.answer();
        Ok(())
    }

    /// Hands what the batch caused to the writer, in order; the writer drops what it knows.
    fn hand_out_effects(&mut self) -> Result<(), Error> {
        for draft in self.floor.finish(&mut self.publisher) {
            let (effects, bytes) = (self.effects.clone(), draft.bytes());
            effects.submitted(bytes);
            let reply = Box::new(move |result: Result<_, journal::AppendError>| match result {
                Ok(_) => effects.add_one(bytes),
                Err(error) => {
                    tracing::error!(%error, "effects were not journaled");
                    effects.fail();
                }
            });
            self.effects_submitted += 1;
            self.spec
                .writer
                .submit(Submission { draft, waiter: None, reply: Some(reply) })
                .map_err(|_| Error::Gone("the journal's writer has stopped"))?;
        }
        Ok(())
    }

    fn open_if_caught_up(&mut self) -> Result<(), Error> {
        if self.cursor < self.recovery_end {
            return Ok(());
        }
        if !self.open {
            self.open = true;
            self.spec.link.opened();
            tracing::info!(worker = self.spec.index, position = self.cursor, "caught up");
        }
        self.hand_out_deliveries()
    }

    fn control(&mut self, control: Control) -> Result<(), Error> {
        let floor = &self.floor;
        match control {
            Control::Tick(now) if self.open => self.fire_due(now)?,
            Control::Tick(_) => {}
            Control::Written { shard, replay_from, generation } => {
                if generation == self.generation {
                    floor.settle(shard, replay_from);
                    self.put_to_rest(shard);
                    if self.rounds.written(shard) {
                        let saved = self.spec.writer.save_origins();
                        saved.map_err(|_| Error::Gone("the journal's writer has stopped"))?;
                    }
                }
            }
            Control::States(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(status::WorkerState {
                    shards: floor.shard_states(),
                    residents: floor.residents_by_kind(),
                    entities: floor.entities(),
                });
            }
            Control::Checkpoint(done) => self.rounds.start(Some(done)),
            Control::OfferAgain => self.offer_again()?,
            Control::Look(address, look) => {
                // If nobody lives there any more, whoever sent the look gets it back.
                if let Some(place) = self.floor.live(&address) {
                    let seat = Resident::seat(&place, &self.floor);
                    self.spec.directory.seated(address, &seat);
                    seat.do_send(look);
                }
            }
            Control::Drain => self.rounds.drain(),
        }
        Ok(())
    }

    fn put_to_rest(&mut self, shard: u16) {
        let floor = &self.floor;
        let residents_max = self.spec.options.residents_max / self.spec.options.workers.max(1);
        let over = floor.residents().saturating_sub(residents_max);
        let shards = self.spec.shards.len().max(1);
        let mut gone = floor.evict(shard, self.rounds.idle_batches(), usize::MAX);
        if over > gone.len() {
            gone.extend(floor.evict(shard, 1, over / shards + 64));
        }
        for evicted in &gone {
            self.spec.directory.leave(&evicted.address);
            floor.remembered().forget(&evicted.address);
        }
        crate::metrics::passivated(gone.len() as u64);
    }

    fn checkpoint_if_due(&mut self) -> Result<(), Error> {
        let floor = &self.floor;
        // A short replay is not interrupted; a round that was begun goes on.
        let begin = self.cursor >= self.recovery_end || self.rounds.replay_is_long();
        if begin {
            self.rounds.start_if_due();
        } else if !self.rounds.is_running() {
            return Ok(());
        }
        let Some(shard) = self.rounds.next_shard() else { return Ok(()) };
        let captured = floor.capture(shard, self.cursor);
        let (link, generation) = (self.spec.link.clone(), self.generation);
        let hand_over = crate::keeper::HandOver {
            captured,
            generation: (link.generations().clone(), generation),
            ceiling: self.cursor,
            after: (self.effects.clone(), self.effects_submitted),
            last: self.rounds.is_last(),
            done: Box::new(move |shard, replay_from| {
                link.send(Control::Written { shard, replay_from, generation });
            }),
        };
        let handed = self.spec.keeper.hand_over(hand_over);
        handed.map_err(|_| Error::Gone("the store's keeper has stopped"))
    }
}

/// Everybody whom the batch concerns applies their records. What panics here is ours, not a mind's,
/// and fails the worker.
fn apply(
    floor: &ResidentFloor,
    frames: &[Arc<Frame>],
    directory: &Directory,
) -> Result<(), life::Error> {
    let woken = |address: &Address| directory.enter(address.clone());
    let all = AssertUnwindSafe(|| floor.apply(frames, woken));
    std::panic::catch_unwind(all).unwrap_or_else(|panic| {
        Err(life::Error::Rest(format!("a turn panicked: {}", panic_text(&*panic))))
    })
}

impl Drop for Worker {
    /// Residents hold the floor, and the floor holds them: without this none would ever go.
    fn drop(&mut self) {
        self.floor.clear();
    }
}
