//! Where reading begins: judged from what was found, decided where that is not simply the next
//! offset, and journaled.
//!
//! What is *not* here: asking the brokers (`examine.rs`), and what speaks against a log
//! (`proof.rs`).
//!
//! Invariant: reading begins at the journal's next offset, or at one that a record of the same way
//! names, with its reason.

use super::examine::{self, Committed, Exam};
use super::part::{AGAIN, Part, Told, Waiting};
use super::place::{BEGIN, LogId};
use super::proof::{Decision, Finding, judge};
use super::{Kafka, Policy, Start};
use crate::metrics::kafka as metrics;
use crate::record::tag;
use crate::writer::{Submission, Writer};
use actors::KindId;
use serde::Serialize;
use state::frame::{Draft, Mark, RecordHead};

/// Where reading begins, in which log.
pub(super) struct Begin {
    pub(super) log: LogId,
    pub(super) next: u64,
    /// The last group of the way.
    pub(super) after: (u64, u16),
}

/// Where a partition begins, as its record says.
#[derive(Serialize)]
struct Begun<'a> {
    why: &'static str,
    topic: &'a str,
    partition: i32,
    offset: u64,
    topic_id: &'a str,
    /// What the journal would have read next.
    was_next: Option<u64>,
    finding: Option<String>,
}

impl Part {
    /// Judges what was found, and journals where reading begins where that is not simply the next
    /// offset. `None` if it waits for somebody to decide, or is not ours any more.
    pub(super) fn begin(
        &self,
        kafka: &Kafka,
        writer: &Writer,
        exam: &Exam,
    ) -> Result<Option<Begin>, String> {
        let next = self.next(kafka, exam);
        let hash_at = |offset| examine::hash_at(kafka, &self.place, offset);
        let finding = judge(exam.known.as_ref(), next.offset, &exam.log, hash_at)?;
        let finding = match (finding, next.foreign, kafka.options.on_foreign) {
            (None, Some(foreign), Policy::Stop) => Some(foreign),
            (None, Some(foreign), Policy::Go(_)) => {
                tracing::warn!(partition = %self.place, %foreign, "that part is taken as read");
                metrics::found(foreign.code());
                None
            }
            (finding, ..) => finding,
        };
        let Some(finding) = finding else {
            self.state().waiting = None;
            return match (&exam.known, next.why) {
                (Some(known), None) => {
                    let (log, after) = (known.log.clone(), known.key);
                    self.is_durable(known.next, *writer.durable().borrow());
                    Ok(Some(Begin { log, next: known.next, after }))
                }
                (_, why) => {
                    let why = why.unwrap_or("first-start");
                    self.journal_begin(writer, exam, (next.offset, why), None).map(Some)
                }
            };
        };
        self.state().would_be_next = Some(next.offset);
        if self.state().waiting.is_none() {
            self.weigh(kafka, exam, next.offset);
        }
        let Some((decision, told)) = self.decided(kafka, &finding) else { return Ok(None) };
        let offset = decision.offset(next.offset, &exam.log);
        let why = match decision {
            Decision::Continue => "continue",
            Decision::Restart => "restart",
        };
        tracing::warn!(partition = %self.place, %finding, offset, why, "it was decided");
        let begin = self.journal_begin(writer, exam, (offset, why), Some(&finding))?;
        self.state().waiting = None;
        if let Some(told) = told {
            // Whoever decided may have gone.
            let _ = told.send(());
        }
        Ok(Some(begin))
    }

    /// While it waits, what there is to read grows older: from when the first of it is.
    fn weigh(&self, kafka: &Kafka, exam: &Exam, next: u64) {
        let is_same =
            exam.known.as_ref().is_none_or(|known| known.log.topic_id == exam.log.topic_id);
        let decision = if is_same { Decision::Continue } else { Decision::Restart };
        let first = decision.offset(next, &exam.log);
        self.lag.begin(first);
        if first == exam.log.end {
            return;
        }
        match examine::time_from(kafka, &self.place, first) {
            Ok(Some(time_ms)) => self.lag.met(first, time_ms),
            Ok(None) => {}
            Err(why) => tracing::debug!(partition = %self.place, why, "how old it is, is unknown"),
        }
    }

    /// The offset to read next, and why, if that is not the journal's own.
    fn next(&self, kafka: &Kafka, exam: &Exam) -> Next {
        let known = exam.known.as_ref();
        let ours = known.map(|known| known.next);
        if let Some(committed) = &exam.committed {
            let foreign = committed
                .by
                .as_ref()
                .filter(|by| by.journal != kafka.journal)
                .map(|by| &by.journal);
            let is_same = known.is_none_or(|known| known.log.topic_id == exam.log.topic_id);
            if let Some(by) = foreign
                && is_same
                && ours.is_none_or(|ours| committed.offset > ours)
            {
                let (from, to) = (ours.unwrap_or(exam.log.start), committed.offset);
                let foreign = (from < to).then(|| Finding::TakenOver { by: by.clone(), from, to });
                return Next { offset: to, why: Some("taken-over"), foreign };
            }
            if foreign.is_none() && ours.is_some_and(|ours| moved(committed, ours)) {
                tracing::warn!(
                    partition = %self.place, committed = committed.offset, next = ours,
                    "the group's offset was moved by hand: reading goes on where the journal ends"
                );
                metrics::found("moved");
            }
        }
        match (ours, kafka.options.start) {
            (Some(ours), _) => Next { offset: ours, why: None, foreign: None },
            // A partition that joins a topic we read is new, all of it.
            (None, Start::Latest) if !exam.has_siblings => {
                Next { offset: exam.log.end, why: Some("first-start"), foreign: None }
            }
            (None, _) => Next { offset: exam.log.start, why: Some("first-start"), foreign: None },
        }
    }

    /// What the configuration or an operator says to a finding. `None` while nobody has.
    fn decided(&self, kafka: &Kafka, finding: &Finding) -> Option<(Decision, Option<Told>)> {
        let code = finding.code();
        let why = finding.to_string();
        {
            let mut state = self.state();
            if let Some(decision) = state.decision.take() {
                return Some(decision);
            }
            let waiting = Waiting { code, why: why.clone() };
            if state.waiting.as_ref() != Some(&waiting) {
                metrics::found(code);
                tracing::error!(partition = %self.place, why, "it can't simply be read on");
                state.waiting = Some(waiting);
                state.last_error = Some(why);
            }
        }
        let policy = match finding {
            Finding::Recreated { .. } => kafka.options.on_recreated,
            Finding::TakenOver { .. } => kafka.options.on_foreign,
            _ => kafka.options.on_gap,
        };
        if let Policy::Go(decision) = policy {
            return Some((decision, None));
        }
        self.sleep(AGAIN);
        self.state().decision.take()
    }

    /// Journals where reading begins, and waits until that is durable.
    fn journal_begin(
        &self,
        writer: &Writer,
        exam: &Exam,
        (offset, why): (u64, &'static str),
        finding: Option<&Finding>,
    ) -> Result<Begin, String> {
        let topic_id = exam.log.topic_id.clone();
        let known = exam.known.as_ref();
        // Offsets never go back within a way.
        let goes_on = known.filter(|known| known.log.topic_id == topic_id && offset >= known.next);
        let log = match (goes_on, known) {
            (Some(known), _) if why != "restart" => known.log.clone(),
            (_, Some(known)) => LogId { topic_id, generation: known.log.generation + 1 },
            (_, None) => LogId { topic_id, generation: 0 },
        };
        let mut draft = Draft::new(self.place.way(&log));
        draft.withdrawn = Some(self.state().withdrawn.clone());
        draft.begin_group(Mark::Number { number: offset, index: BEGIN });
        let begun = Begun {
            why,
            topic: &self.place.topic,
            partition: self.place.partition,
            offset,
            topic_id: &log.topic_id,
            was_next: known.map(|known| known.next),
            finding: finding.map(ToString::to_string),
        };
        let text = serde_json::to_vec(&begun).expect("it has string keys");
        draft.push(RecordHead { tag: tag::BEGUN, kind: KindId(0), depth: 0 }, "", &text);
        let (sender, receiver) = std::sync::mpsc::channel();
        // Whoever waits may have gone.
        let reply = Box::new(move |result| drop(sender.send(result)));
        let submitted = writer.submit(Submission { draft, waiter: None, reply: Some(reply) });
        submitted.map_err(|error| error.to_string())?;
        let receipt = receiver.recv().map_err(|_| "the journal's writer has stopped".to_owned())?;
        let receipt = receipt.map_err(|error| format!("journaling its start failed: {error}"))?;
        self.is_durable(offset, receipt.end);
        tracing::info!(partition = %self.place, offset, why, "reading begins");
        Ok(Begin { log, next: offset, after: (offset, BEGIN) })
    }
}

struct Next {
    offset: u64,
    why: Option<&'static str>,
    /// That others have read what lies before it.
    foreign: Option<Finding>,
}

/// Whether the group's offset is not one that we have committed: ours follow the journal, and say
/// who they are.
fn moved(committed: &Committed, ours: u64) -> bool {
    committed.offset > ours || (committed.by.is_none() && committed.offset != ours)
}
