//! The money facts, whoever states them: a join-semilattice.
//!
//! Every join keeps the greatest total, the union of numbered movements, the smallest of values
//! that should agree, and remembers that they did not. So any order and any number of repeats of
//! the same facts give the same state; the tests try permutations. What is *not* here: what follows
//! from the facts (`status.rs`) and who is told (`tell.rs`).

use super::fact::{Fact, FactKind};
use super::{Payment, Turn, history::Why};
use crate::currency::Currency;
use crate::entity::Outcome;
use crate::words::{Key, Timestamp};
use serde::{Deserialize, Serialize};

/// So many captures with an id are told apart; more are a contradiction, and a command for one more
/// is refused.
pub const CAPTURES_MAX: usize = 8;
/// So many refunds with an id are told apart; more are a contradiction, and a command for one more
/// is refused.
pub const REFUNDS_MAX: usize = 16;

/// What makes a payment's facts contradict each other. Of several, the smallest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Contradiction {
    Currency,
    User,
    Order,
    Course,
    Requested,
    Movement,
    TooManyMovements,
    AuthorizedTooMuch,
    CapturedTooMuch,
    RefundedTooMuch,
    MoneyNotReturned,
    Answer,
}

impl Contradiction {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Currency => "currencies_differ",
            Self::User => "users_differ",
            Self::Order => "orders_differ",
            Self::Course => "courses_differ",
            Self::Requested => "requested_amounts_differ",
            Self::Movement => "amounts_of_one_movement_differ",
            Self::TooManyMovements => "too_many_movements",
            Self::AuthorizedTooMuch => "authorized_more_than_requested",
            Self::CapturedTooMuch => "captured_more_than_requested",
            Self::RefundedTooMuch => "refunded_more_than_requested",
            Self::MoneyNotReturned => "late_money_not_returned",
            Self::Answer => "answer_does_not_fit",
        }
    }
}

/// Captures, or refunds: those with an id, and the greatest total stated without one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Movements {
    /// By the hash of the id, in order.
    by_id: Vec<(u64, i64)>,
    total: i64,
}

impl Movements {
    /// All that has moved.
    pub(super) fn sum(&self) -> i64 {
        self.by_id.iter().fold(0i64, |sum, (_, amount)| sum.saturating_add(*amount)).max(self.total)
    }

    /// How many are known by an id.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The movement `id` was of `amount`.
    pub(super) fn one(&mut self, id: &str, amount: i64, max: usize) -> Result<bool, Contradiction> {
        let hash = xxhash_rust::xxh3::xxh3_64(id.as_bytes());
        match self.by_id.binary_search_by_key(&hash, |(hash, _)| *hash) {
            Ok(at) if self.by_id[at].1 == amount => Ok(false),
            Ok(at) => {
                self.by_id[at].1 = self.by_id[at].1.max(amount);
                Err(Contradiction::Movement)
            }
            Err(at) => {
                self.by_id.insert(at, (hash, amount));
                // Which ones stay must not depend on the order they came in.
                let dropped = self.by_id.len() > max && self.by_id.pop().is_some();
                if dropped { Err(Contradiction::TooManyMovements) } else { Ok(true) }
            }
        }
    }

    /// In all, `total` has moved by now.
    pub(super) fn at_least(&mut self, total: i64) -> bool {
        let before = self.total;
        self.total = before.max(total);
        self.total > before
    }
}

/// What is known, whoever said it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) user_id: Option<Key>,
    pub(super) order_id: Option<Key>,
    pub(super) course_id: Option<Key>,
    pub(super) currency: Option<Currency>,
    pub(super) requested: Option<i64>,
    /// The greatest authorization stated from outside.
    pub(super) authorized: i64,
    pub(super) captures: Movements,
    pub(super) refunds: Movements,
    pub(super) failed: Option<Key>,
    pub(super) canceled: Option<Key>,
    pub(super) action_required: bool,
    pub(super) processing: bool,
    pub(super) contradiction: Option<Contradiction>,
}

impl Facts {
    pub(super) fn any(&self) -> bool {
        self.user_id.is_some()
    }

    /// Notes a contradiction; of several, the smallest stays.
    pub(super) fn contradict(&mut self, found: Contradiction) -> bool {
        let before = self.contradiction;
        self.contradiction = Some(before.map_or(found, |known| known.min(found)));
        self.contradiction != before
    }

    /// Who, what for, and in which currency. True if anything is new.
    pub(super) fn identify(&mut self, who: &Identity<'_>) -> bool {
        let Self { user_id, order_id, course_id, currency, .. } = self;
        let agreements = [
            (agree(user_id, Some(who.user_id)), Contradiction::User),
            (agree(order_id, who.order_id), Contradiction::Order),
            (agree(course_id, who.course_id), Contradiction::Course),
            (agree(currency, Some(&who.currency)), Contradiction::Currency),
        ];
        let mut new = false;
        for (agreement, contradiction) in agreements {
            new |= match agreement {
                Agreement::Known => false,
                Agreement::New => true,
                Agreement::Differs { changed } => self.contradict(contradiction) | changed,
            };
        }
        new
    }

    /// So much was asked for at the beginning.
    pub(super) fn request(&mut self, amount: i64) -> bool {
        match agree(&mut self.requested, Some(&amount)) {
            Agreement::Known => false,
            Agreement::New => true,
            Agreement::Differs { changed } => self.contradict(Contradiction::Requested) | changed,
        }
    }

    /// One capture, by its id. True if it is news.
    pub(super) fn captured(&mut self, id: &str, amount: i64) -> bool {
        let joined = self.captures.one(id, amount, CAPTURES_MAX);
        self.joined(joined)
    }

    /// One refund, by its id. True if it is news.
    pub(super) fn refunded(&mut self, id: &str, amount: i64) -> bool {
        let joined = self.refunds.one(id, amount, REFUNDS_MAX);
        self.joined(joined)
    }

    fn joined(&mut self, joined: Result<bool, Contradiction>) -> bool {
        joined.unwrap_or_else(|contradiction| {
            self.contradict(contradiction);
            true
        })
    }

    fn join(&mut self, fact: &Fact) -> bool {
        let identified = self.identify(&Identity {
            user_id: &fact.user_id,
            order_id: fact.order_id.as_ref(),
            course_id: fact.course_id.as_ref(),
            currency: fact.currency,
        });
        let reason = || fact.reason.clone().unwrap_or_default();
        let news = match (fact.kind, &fact.movement) {
            (FactKind::Created, _) => self.request(fact.amount),
            (FactKind::Authorized, _) => greatest(&mut self.authorized, fact.amount),
            (FactKind::Captured, Some(id)) => self.captured(id, fact.amount),
            (FactKind::Captured, None) => self.captures.at_least(fact.amount),
            (FactKind::Refunded, Some(id)) => self.refunded(id, fact.amount),
            (FactKind::Refunded, None) => self.refunds.at_least(fact.amount),
            (FactKind::Failed, _) => greatest(&mut self.failed, Some(reason())),
            (FactKind::Canceled, _) => greatest(&mut self.canceled, Some(reason())),
            (FactKind::ActionRequired, _) => greatest(&mut self.action_required, true),
            (FactKind::Processing, _) => greatest(&mut self.processing, true),
        };
        identified | news
    }
}

/// Who pays for what, in which currency.
pub(super) struct Identity<'a> {
    pub(super) user_id: &'a Key,
    pub(super) order_id: Option<&'a Key>,
    pub(super) course_id: Option<&'a Key>,
    pub(super) currency: Currency,
}

enum Agreement {
    Known,
    New,
    Differs { changed: bool },
}

/// Joins a value that everybody should agree on; of several, the smallest stays.
fn agree<T: Ord + Clone>(slot: &mut Option<T>, value: Option<&T>) -> Agreement {
    let Some(value) = value else { return Agreement::Known };
    match slot {
        None => {
            *slot = Some(value.clone());
            Agreement::New
        }
        Some(known) if known == value => Agreement::Known,
        Some(known) => {
            let changed = value < known;
            if changed {
                known.clone_from(value);
            }
            Agreement::Differs { changed }
        }
    }
}

fn greatest<T: Ord>(slot: &mut T, value: T) -> bool {
    let changed = value > *slot;
    if changed {
        *slot = value;
    }
    changed
}

impl Payment {
    pub(super) fn hear_fact(&mut self, fact: &Fact, turn: &mut Turn<'_>) -> Outcome {
        let was = self.standing_now();
        let money = (self.captured(), self.refunded(), self.authorized());
        let times = (self.created_at, self.updated_at);
        let news = self.facts.join(fact);
        self.take_times(fact.time, was.is_none());
        if news {
            self.settle_pending_by(fact.kind);
            let moved = money != (self.captured(), self.refunded(), self.authorized());
            if moved || was != self.standing_now() {
                self.note(turn, was, Why::Fact(fact.kind), Some(fact.amount));
            }
            turn.moved = fact.moved();
            self.announce(was, Some(fact), turn);
            self.lapse(turn.fx.now(), turn);
            self.compensate(turn);
        }
        if news || times != (self.created_at, self.updated_at) {
            Outcome::Applied
        } else {
            Outcome::Ignored
        }
    }

    /// The first and the last time that any fact named: not those of its arrival, so that order
    /// does not matter.
    fn take_times(&mut self, time: Timestamp, first: bool) {
        if first {
            (self.created_at, self.updated_at) = (time, time);
        }
        if self.own.is_none() {
            self.created_at = self.created_at.min(time);
        }
        self.updated_at = self.updated_at.max(time);
    }
}
