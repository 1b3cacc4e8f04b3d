//! The dispatcher's shell: takes offers from workers, carries batches to sinks, and journals the
//! answers. What to send when, and whom to tell, is the core's (`dispatch`).

use crate::dispatch::{Came, Dispatch, Options, Outgoing, Sending, Told, Word};
use crate::hear::panic_text;
use crate::kinds::Kinds;
use crate::record::{put_effect_id, tag};
use crate::writer::{Reply, Submission, Writer, wall_clock};
use actors::{Answer, EffectId, KindId, codec, deadletter};
use state::frame::{Draft, Mark, RecordHead, Way};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// What is offered within this is carried together: a sink that syncs a book does so once for all.
/// Nobody waits for a delivery's answer, and commands wait for the same disk.
const GATHER: Duration = Duration::from_millis(1);

/// A delivery, as a worker offers it.
pub type Offer = Outgoing;

/// A sink that answers: carries a batch, and says of each what came of it, in the same order. May
/// block.
pub trait Sink: Send {
    /// Carries these out.
    fn carry(&mut self, batch: &[Outgoing]) -> Vec<Came>;
}

/// The sinks that answer, by name.
pub type Sinks = BTreeMap<String, Arc<Mutex<dyn Sink>>>;

/// What the dispatcher's task is made from.
pub struct Dispatcher {
    /// The kinds, to put answers into their words.
    pub kinds: Kinds,
    /// Where to.
    pub sinks: Sinks,
    /// Where answers are journaled.
    pub writer: Writer,
    /// What workers offer.
    pub offers: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Offer>>>,
    /// Has the workers offer everything that is pending once more.
    pub offer_again: Box<dyn Fn() + Send + Sync>,
}

type Carried = Vec<(EffectId, String, Came)>;

impl Dispatcher {
    /// Carries deliveries until the workers are gone.
    pub async fn run(&self) -> Result<(), String> {
        let mut offers = self.offers.lock().await;
        let mut core = Dispatch::new(Options { batch_max: 4_096, ..Options::default() }, 1);
        // What an earlier run of this task was offered is forgotten.
        (self.offer_again)();
        let (carried_sender, mut carried) = mpsc::unbounded_channel::<Carried>();
        let (durable_sender, mut durable) = mpsc::unbounded_channel::<Vec<EffectId>>();
        loop {
            while let Some(sending) = core.next(wall_clock()) {
                self.carry(sending, carried_sender.clone());
            }
            let now = wall_clock();
            let wait_ms = core.wake_at().map_or(60_000, |at| (at.0 - now.0).clamp(1, 60_000));
            tokio::select! {
                offer = offers.recv() => match offer {
                    Some(offer) => {
                        core.offer(offer);
                        tokio::time::sleep(GATHER).await;
                        while let Ok(offer) = offers.try_recv() {
                            core.offer(offer);
                        }
                    }
                    None => return Ok(()),
                },
                Some(came) = carried.recv() => {
                    self.take_answers(&mut core, came, durable_sender.clone())?;
                }
                Some(ids) = durable.recv() => ids.into_iter().for_each(|id| core.withdraw(id)),
                () = tokio::time::sleep(Duration::from_millis(wait_ms as u64)) => {}
            }
        }
    }

    fn carry(&self, sending: Sending, answers: mpsc::UnboundedSender<Carried>) {
        let Some(sink) = self.sinks.get(&sending.sink).cloned() else {
            let refused = |out: Outgoing| {
                let why = format!("there is no sink named {}", out.delivery.sink);
                (out.id, out.delivery.sink, Came::Refused(why))
            };
            // The receiver lives as long as the task.
            let _ = answers.send(sending.batch.into_iter().map(refused).collect());
            return;
        };
        tokio::task::spawn_blocking(move || {
            let mut came = carry_out(&sink, &sending.batch);
            // Of what a sink says nothing, nobody knows whether it happened.
            came.resize(sending.batch.len(), Came::Lost);
            let carried = sending.batch.into_iter().zip(came);
            let carried = carried.map(|(out, came)| (out.id, out.delivery.sink, came));
            let _ = answers.send(carried.collect());
        });
    }

    fn take_answers(
        &self,
        core: &mut Dispatch,
        carried: Carried,
        durable: mpsc::UnboundedSender<Vec<EffectId>>,
    ) -> Result<(), String> {
        let mut draft = Draft::new(Way::engine());
        draft.urgent = true;
        let mut ended = Vec::new();
        for (id, sink, came) in carried {
            crate::metrics::carried(&sink, outcome(&came));
            if let Some(told) = core.came(wall_clock(), id, came) {
                ended.extend(told.last().then_some(id));
                put_answer(self.kinds, &mut draft, &told);
            }
        }
        if draft.records() == 0 {
            return Ok(());
        }
        let reply: Reply = Box::new(move |_| {
            // A task that has ended has forgotten them.
            let _ = durable.send(ended);
        });
        let submitted = self.writer.submit(Submission { draft, waiter: None, reply: Some(reply) });
        submitted.map_err(|error| error.to_string())
    }
}

/// A sink that panics has perhaps done some of it; it is asked again, under the same ids.
fn carry_out(sink: &Mutex<dyn Sink>, batch: &[Outgoing]) -> Vec<Came> {
    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    let carried = std::panic::catch_unwind(AssertUnwindSafe(|| sink.carry(batch)));
    carried.unwrap_or_else(|panic| {
        tracing::error!(panic = panic_text(&*panic), "a sink panicked");
        Vec::new()
    })
}

/// Adds to a draft what tells an entity what came of its delivery.
pub fn put_answer(kinds: Kinds, draft: &mut Draft, told: &Told) {
    let answer = match &told.word {
        Word::Definite(bytes) => Answer::Definite(bytes.clone()),
        Word::Unknown => Answer::Unknown,
        Word::Refused(reason) => {
            put_letter(draft, told, reason);
            Answer::Refused(reason.clone())
        }
    };
    let event = match in_its_words(kinds, told, &answer) {
        Some(event) => event,
        None if !told.last() => return,
        None => {
            // The entry must end: a record that says nothing is judged, and there is a letter to
            // look at.
            tracing::error!(id = %told.id, "a kind has no words for an answer it asked for");
            Vec::new()
        }
    };
    let mut prefix = Vec::new();
    put_effect_id(told.id, &mut prefix);
    prefix.push(u8::from(told.last()));
    draft.begin_group(Mark::None);
    let head = RecordHead { tag: tag::ANSWERED, kind: told.address.kind, depth: 0 };
    draft.push_parts(head, &told.address.key, &[&prefix, &event]);
}

/// The event by which the entity is told; none if its kind has no word for it, or panics looking
/// for one.
fn in_its_words(kinds: Kinds, told: &Told, answer: &Answer) -> Option<Vec<u8>> {
    let kind = kinds.get(told.address.kind)?;
    let asked = AssertUnwindSafe(|| kind.answered(&told.delivery, answer));
    std::panic::catch_unwind(asked).ok()?
}

/// A delivery that will never happen is a dead letter beside what its entity is told.
fn put_letter(draft: &mut Draft, told: &Told, reason: &str) {
    let opened = deadletter::Event::Opened {
        position: Some(told.id.cause),
        code: "refused".to_owned(),
        reason: reason.to_owned(),
        address: None,
    };
    draft.begin_group(Mark::None);
    let head = RecordHead { tag: tag::HEARD, kind: KindId::DEAD_LETTER, depth: 0 };
    draft.push(head, &format!("d-{}", told.id), &codec::encode(&opened));
}

fn outcome(came: &Came) -> &'static str {
    match came {
        Came::Answer(_) => "answered",
        Came::Lost => "unknown",
        Came::Failed(_) => "failed",
        Came::Refused(_) => "refused",
    }
}
