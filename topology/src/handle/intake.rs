//! Domain events from outside, by way of the door: heard into one draft, durable when answered.
//!
//! What is too much is refused before anything is made of it. A large batch is heard on a thread
//! of its own, and only so many at once: the threads that answer everybody else have their own work
//! in between. What is *not* here: how a request becomes events (the door's).

use super::Handle;
use crate::api::{Fault, Intake, IntakeError, Producer, Taken};
use crate::hear::{Heard, Hearer, Said, event_hash, head};
use crate::record::tag;
use crate::writer::wall_clock;
use actors::{DomainEvent, Timestamp};
use state::frame::{Draft, Mark, Way, WayKind};
use state::journal::AppendError;
use std::panic::resume_unwind;
use tokio::sync::Semaphore;

/// What became of each event before the journal had its say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    Ignored,
    Own,
    Rejected,
}

/// Work on fewer bytes is done where it comes up: less than a millisecond.
const LARGE_BYTES: usize = 64 << 10;

/// Turns at large requests.
pub(crate) struct Turns(Semaphore);

impl Turns {
    /// One less than there are cores: the last one is everybody else's.
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Semaphore::new((cores - 1).max(1)))
    }
}

/// Events that were heard and are not journaled yet.
struct AllHeard {
    draft: Draft,
    /// What became of each event that has a group, in order of the groups.
    fates: Vec<Fate>,
    taken: Taken,
}

impl Handle {
    /// Whether anything may come in from outside now.
    pub fn admits(&self) -> Result<(), IntakeError> {
        if self.inner.is_stopping() {
            return Err(IntakeError::Stopping);
        }
        match self.inner.overload() {
            Some(why) => Err(IntakeError::Overloaded(why.into())),
            None => Ok(()),
        }
    }

    /// Works on so many bytes of a request: here, or if that takes long on another thread, when it
    /// is its turn.
    pub async fn aside<R: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> R {
        if bytes < LARGE_BYTES {
            return work();
        }
        let _turn = self.inner.turns.0.acquire().await.expect("nobody closes it");
        let worked = tokio::task::spawn_blocking(work).await;
        worked.unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }

    /// Takes in domain events; answers when they are durable.
    pub async fn intake(&self, intake: Intake) -> Result<Taken, IntakeError> {
        self.admits()?;
        let bytes = intake.events.iter().flatten().map(Vec::len).sum();
        let origin = if intake.producer.is_some() { "producer" } else { "http" };
        let events = intake.events.len() as u64;
        let this = self.clone();
        // It may have waited for its turn, and others have come in meanwhile.
        let heard = self.aside(bytes, move || this.admits().map(|()| this.hear_all(&intake)));
        let AllHeard { draft, fates, mut taken } = heard.await?;
        if draft.groups() == 0 {
            taken.position = self.durable_end();
            return Ok(taken);
        }
        let appended = self.inner.writer.append(draft).await;
        let receipt = match appended.map_err(|_| IntakeError::Stopping)? {
            Ok(receipt) => receipt,
            Err(error) => return Err(refused(error)),
        };
        crate::metrics::received(origin, events);
        count(&fates, &receipt.duplicates, &mut taken);
        taken.position = receipt.end.max(receipt.durable_before);
        Ok(taken)
    }

    /// Hears every event into one draft.
    fn hear_all(&self, intake: &Intake) -> AllHeard {
        let way = match &intake.producer {
            Some((name, _)) => Way::new(WayKind::Producer, name),
            None => Way::new(WayKind::Unnumbered, ""),
        };
        let mut draft = Draft::new(way);
        draft.contiguous = intake.producer.is_some();
        let mut taken = Taken::default();
        let mut hearer = Hearer::new(self.inner.kinds);
        let now = wall_clock();
        let mut fates = Vec::new();
        for (index, event) in intake.events.iter().enumerate() {
            let number = intake.producer.as_ref().map(|(_, first)| first + index as u64);
            let fate = match event {
                Ok(text) => self.hear_one(&mut hearer, &mut draft, (text, number), now),
                Err(fault) => Err(fault.clone()),
            };
            let fate = fate.unwrap_or_else(|fault| {
                taken.rejected.push((index, fault));
                Fate::Rejected
            });
            match (fate, number) {
                // What is not journaled consumes its number all the same.
                (Fate::Own | Fate::Rejected, Some(number)) => {
                    draft.begin_group(Mark::Number { number, index: 0 });
                    fates.push(fate);
                }
                (Fate::Own, None) => taken.own += 1,
                (Fate::Rejected, None) => {}
                (fate, _) => fates.push(fate),
            }
        }
        AllHeard { draft, fates, taken }
    }

    fn hear_one(
        &self,
        hearer: &mut Hearer,
        draft: &mut Draft,
        (text, number): (&[u8], Option<u64>),
        now: Timestamp,
    ) -> Result<Fate, Fault> {
        let event = DomainEvent::parse(text, now)
            .map_err(|error| Fault { code: "bad-request", detail: error.to_string() })?;
        if event.source == self.inner.source {
            return Ok(Fate::Own);
        }
        let mark = match number {
            Some(number) => Mark::Number { number, index: 0 },
            None => Mark::Id(event_hash(&event.source, &event.id)),
        };
        Ok(match hearer.hear(draft, mark, Said { text, event: &event }, head(tag::EVENT, 0)) {
            Heard::Taken | Heard::DeadLetter => Fate::Taken,
            Heard::Ignored => Fate::Ignored,
        })
    }

    /// A producer's next number; 0 for one that was never heard of.
    pub async fn producer(&self, name: &str) -> Result<Producer, IntakeError> {
        let wanted = name.to_owned();
        let found = self.inner.writer.with(move |journal| {
            let last = journal.origins().last(&Way::new(WayKind::Producer, &wanted));
            last.map(|last| (last.number + 1, last.time))
        });
        let found = found.await.map_err(|_| IntakeError::Stopping)?;
        let (next_sequence, last_at) = found.map_or((0, None), |(next, at)| (next, Some(at)));
        Ok(Producer { name: name.to_owned(), next_sequence, last_at })
    }

    /// The producers after `after`, in order of their names.
    pub async fn producers(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Producer>, IntakeError> {
        let after = after.map(str::to_owned);
        let found = self.inner.writer.with(move |journal| {
            let all = journal.origins().producers().into_iter();
            let later = all.filter(|(name, _)| after.as_deref().is_none_or(|after| *name > after));
            let producers = later.take(limit).map(|(name, last)| Producer {
                name: name.to_owned(),
                next_sequence: last.number + 1,
                last_at: Some(last.time),
            });
            producers.collect()
        });
        found.await.map_err(|_| IntakeError::Stopping)
    }
}

/// Counts what became of the events, now that the journal has said which it knew.
fn count(fates: &[Fate], duplicates: &[u32], taken: &mut Taken) {
    let mut known = duplicates.iter().peekable();
    for (group, fate) in fates.iter().enumerate() {
        let is_known = known.next_if(|known| **known as usize == group).is_some();
        match fate {
            Fate::Rejected => {}
            Fate::Own => taken.own += 1,
            Fate::Taken | Fate::Ignored if is_known => taken.duplicates += 1,
            Fate::Taken => taken.accepted += 1,
            Fate::Ignored => taken.ignored += 1,
        }
    }
}

fn refused(error: AppendError) -> IntakeError {
    match error {
        AppendError::SequenceGap { next } => IntakeError::SequenceGap { next },
        AppendError::SequenceMismatch { number } => IntakeError::SequenceMismatch { number },
        AppendError::TooManyProducers { .. } => IntakeError::TooManyProducers,
        AppendError::DiskFull(why) => IntakeError::Overloaded(why.into()),
        error @ AppendError::TooLarge { .. } => IntakeError::TooLarge(error.to_string()),
        AppendError::Withdrawn => IntakeError::Stopping,
        AppendError::Failed(error) => IntakeError::Internal(error.to_string()),
    }
}
