//! One sink's share of the dispatcher: who waits for it until when, which batches are on their way,
//! and its breaker.
//!
//! Invariant: never more than `batches_in_flight_max` batches of one sink are on their way.

use super::breaker::Breaker;
use super::{Counts, Options};
use actors::{EffectId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Lane {
    pub(super) options: Options,
    pub(super) counts: Counts,
    /// By the time they are due; those offered together go out in order of their ids.
    waiting: BTreeSet<(Timestamp, EffectId)>,
    flights: BTreeMap<u64, Flight>,
    next_flight: u64,
    breaker: Breaker,
}

/// A batch on its way.
struct Flight {
    /// Deliveries that nothing has come of yet.
    out: usize,
    /// Whether the sink has answered any.
    answered: bool,
}

impl Lane {
    pub(super) fn new(options: Options) -> Self {
        assert!(options.batch_max > 0, "batch_max must be at least 1");
        assert!(options.batches_in_flight_max > 0, "batches_in_flight_max must be at least 1");
        Self {
            options,
            counts: Counts::default(),
            waiting: BTreeSet::new(),
            flights: BTreeMap::new(),
            next_flight: 0,
            breaker: Breaker::new(),
        }
    }

    pub(super) fn wait(&mut self, due: Timestamp, id: EffectId) {
        self.waiting.insert((due, id));
    }

    pub(super) fn forget(&mut self, due: Timestamp, id: EffectId) {
        self.waiting.remove(&(due, id));
    }

    /// When the next batch may go, if that depends on time alone.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        if self.flights.len() >= self.options.batches_in_flight_max {
            return None;
        }
        let (due, _) = self.waiting.first()?;
        Some(self.breaker.opens_at()?.max(*due))
    }

    /// A batch of what is due, and its number. Only when [`Lane::wake_at`] has come.
    pub(super) fn take(&mut self, now: Timestamp) -> (u64, Vec<EffectId>) {
        let flight = self.next_flight;
        self.next_flight += 1;
        let probe = self.breaker.probe(flight);
        let batch_max = if probe { 1 } else { self.options.batch_max };
        let mut ids = Vec::new();
        while ids.len() < batch_max
            && self.waiting.first().is_some_and(|(due, _)| *due <= now)
            && let Some((_, id)) = self.waiting.pop_first()
        {
            ids.push(id);
        }
        assert!(!ids.is_empty(), "a batch is only taken when something is due");
        self.flights.insert(flight, Flight { out: ids.len(), answered: false });
        (flight, ids)
    }

    /// Something came of one delivery of a flight. The breaker judges whole flights: one answer
    /// shows that the sink lives.
    pub(super) fn landed(&mut self, number: u64, answered: bool, now: Timestamp) {
        let flight = self.flights.get_mut(&number).expect("a delivery in flight has a flight");
        flight.out -= 1;
        flight.answered |= answered;
        if flight.out > 0 {
            return;
        }
        let answered = flight.answered;
        self.flights.remove(&number);
        if answered {
            self.breaker.worked(number);
        } else {
            self.breaker.failed(number, now, &self.options);
        }
    }
}
