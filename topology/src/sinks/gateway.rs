//! The mock payment gateway, on the gateway's own side of the wire.
//!
//! It does what a request says, once per idempotency key, and fsyncs its [book](Book) before it
//! answers. The book is all it remembers: a hold's amount stands in its reference, which the
//! gateway hands out and gets back; declines, holds and voids are a function of the request. So a
//! repeat finds the same answer, before and after a crash. What is *not* here: when to ask again
//! (the dispatcher), and what a payment makes of the answer (`actors::payment`).
//!
//! Invariant: a line for every answered charge, capture and refund, none of them twice; and, as a
//! second line of defence behind the payment's own, never more captured than held, never more
//! refunded than captured.

mod book;

use crate::dispatch::Came;
use actors::payment::Token;
use actors::payment::gateway::{Answer, Ask, PayerAction, Reason, Request};
use actors::{EffectId, id_fault};
pub use book::Error;
use book::{Account, Book, Entry, Movement};
use state::disk::Disk;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// So many requests are written and fsynced at once.
pub const BATCH_REQUESTS_MAX: usize = 512;

/// Where the book is.
enum Shelf {
    Open(Book),
    /// A write or fsync has failed, so what lies behind the last durable line is nothing to go by:
    /// the book is cut there before it is read again. Nobody has been answered for the rest.
    Closed {
        len: u64,
    },
}

/// The gateway.
pub struct Gateway {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Effect ids are only unique within a journal.
    journal_id: String,
    book: Shelf,
    /// Holds whose first answer was lost on purpose. Forgotten in a restart, and then lost once
    /// more, which does no harm.
    lost: BTreeSet<EffectId>,
}

impl Gateway {
    /// Reads the book at `path`, or begins one. Idempotency keys are effect ids of the journal
    /// `journal_id`.
    ///
    /// # Errors
    /// The book cannot be read, or is damaged beyond its last batch.
    pub fn open(disk: Arc<dyn Disk>, path: &Path, journal_id: &str) -> Result<Self, Error> {
        let book = Shelf::Open(Book::open(disk.as_ref(), path, None)?);
        let journal_id = journal_id.to_owned();
        Ok(Self { disk, path: path.to_owned(), journal_id, book, lost: BTreeSet::new() })
    }

    /// Carries requests out, in order, each under its idempotency key, with one fsync for
    /// [`BATCH_REQUESTS_MAX`] of them; says of each what came of it.
    pub fn carry(&mut self, requests: &[(EffectId, &[u8])]) -> Vec<Came> {
        requests.chunks(BATCH_REQUESTS_MAX).flat_map(|batch| self.carry_batch(batch)).collect()
    }

    fn carry_batch(&mut self, batch: &[(EffectId, &[u8])]) -> Vec<Came> {
        let mut book = match self.take_book() {
            Ok(book) => book,
            Err(error) => return vec![Came::Failed(error.to_string()); batch.len()],
        };
        let came = batch.iter().map(|(id, body)| self.one(&mut book, *id, body)).collect();
        match book.commit() {
            Ok(()) => {
                self.book = Shelf::Open(book);
                came
            }
            Err(error) => {
                tracing::error!(%error, requests = batch.len(), "the gateway's book failed");
                vec![Came::Lost; batch.len()]
            }
        }
    }

    /// The book, read again if the last batch could not be written. Until the caller puts it back,
    /// what it holds now is all that counts.
    fn take_book(&mut self) -> Result<Book, Error> {
        let closed = |book: &Book| Shelf::Closed { len: book.len() };
        match std::mem::replace(&mut self.book, Shelf::Closed { len: 0 }) {
            Shelf::Open(book) => {
                self.book = closed(&book);
                Ok(book)
            }
            Shelf::Closed { len } => {
                self.book = Shelf::Closed { len };
                Book::open(self.disk.as_ref(), &self.path, Some(len))
            }
        }
    }

    fn one(&mut self, book: &mut Book, id: EffectId, body: &[u8]) -> Came {
        let Some(request) = Request::decode(body) else {
            return Came::Refused("not a request to this gateway".into());
        };
        if request.amount < 1 || id_fault(&request.payment_id).is_some() {
            return Came::Refused("a request needs a payment and an amount".into());
        }
        let key = format!("{}-{id}", self.journal_id);
        let lost = loses_first_answer(&request.ask);
        let Some(movement) = movement_of(&request.ask) else {
            return self.hold(id, &request, lost, book);
        };
        let (amount, payment_id) = (request.amount, &*request.payment_id);
        let entry = Entry { key: &key, movement, amount, payment_id };
        match book.knows(&entry) {
            Some(true) => return answered(&moved(&entry)),
            Some(false) => return Came::Refused("this key was used for another request".into()),
            None => {}
        }
        if let Some(no) = objection(&request, book.account(payment_id)) {
            return answered(&no);
        }
        book.enter(&entry);
        if lost { Came::Lost } else { answered(&moved(&entry)) }
    }

    /// What moves no money, and so makes no line.
    fn hold(&mut self, id: EffectId, request: &Request, lost: bool, book: &Book) -> Came {
        if let Some(no) = objection(request, book.account(&request.payment_id)) {
            return answered(&no);
        }
        if lost && self.lost.insert(id) {
            return Came::Lost;
        }
        self.lost.remove(&id);
        match request.ask {
            Ask::Cancel { .. } => answered(&Answer::Voided),
            _ => answered(&Answer::Authorized {
                reference: reference(&request.payment_id, request.amount).into(),
                amount: request.amount,
            }),
        }
    }
}

fn answered(answer: &Answer) -> Came {
    Came::Answer(answer.encode())
}

/// How the money moves, if the request moves any.
fn movement_of(ask: &Ask) -> Option<Movement> {
    match ask {
        Ask::Charge { .. } => Some(Movement::Charge),
        Ask::Capture { .. } => Some(Movement::Capture),
        Ask::Refund => Some(Movement::Refund),
        Ask::Authorize { .. } | Ask::Cancel { .. } => None,
    }
}

/// What is said of money that has moved: the same for every repeat.
fn moved(entry: &Entry<'_>) -> Answer {
    let (id, amount) = (entry.id().into(), entry.amount);
    match entry.movement {
        Movement::Charge | Movement::Capture => Answer::Captured { id, amount },
        Movement::Refund => Answer::Refunded { id, amount },
    }
}

/// Why the request is not done, if it is not: a function of the request and of what has moved.
fn objection(request: &Request, account: Account) -> Option<Answer> {
    let Account { captured, refunded } = account;
    match &request.ask {
        Ask::Charge { token, action } | Ask::Authorize { token, action } => {
            let twice = captured > 0;
            twice
                .then_some(Answer::AlreadyCaptured { total: captured })
                .or_else(|| objection_of_card(*token, *action))
        }
        Ask::Capture { authorization } => match held(authorization, &request.payment_id) {
            None => Some(Answer::Refused(Reason::HoldGone)),
            Some(held) => (request.amount > held - captured)
                .then_some(Answer::Refused(Reason::ExceedsAuthorized)),
        },
        Ask::Cancel { authorization } => match held(authorization, &request.payment_id) {
            None => Some(Answer::Refused(Reason::HoldGone)),
            Some(held) => (captured >= held).then_some(Answer::AlreadyCaptured { total: captured }),
        },
        Ask::Refund => (request.amount > captured - refunded)
            .then_some(Answer::Refused(Reason::ExceedsCaptured)),
    }
}

fn objection_of_card(token: Token, action: Option<PayerAction>) -> Option<Answer> {
    match (token, action) {
        (Token::Visa | Token::VisaTimeout, _)
        | (Token::AuthenticationRequired, Some(PayerAction::Succeed)) => None,
        (Token::VisaChargeDeclined, _) => Some(Answer::Declined(Reason::ChargeDeclined)),
        (Token::VisaInsufficientFunds, _) => Some(Answer::Declined(Reason::InsufficientFunds)),
        (Token::AuthenticationRequired, None) => Some(Answer::ActionRequired),
        (Token::AuthenticationRequired, Some(PayerAction::Fail)) => {
            Some(Answer::Declined(Reason::AuthenticationFailed))
        }
    }
}

/// A charge or hold with this card happens, but the first answer does not arrive.
fn loses_first_answer(ask: &Ask) -> bool {
    let token = match ask {
        Ask::Charge { token, .. } | Ask::Authorize { token, .. } => Some(*token),
        _ => None,
    };
    token == Some(Token::VisaTimeout)
}

/// A hold's name: it says how much is held, and only this payment can use it.
fn reference(payment_id: &str, amount: i64) -> String {
    format!("auth_{amount}_{:016x}", xxh3_64(payment_id.as_bytes()))
}

/// How much the hold of this name is of, if it is one of this payment's.
fn held(authorization: &str, payment_id: &str) -> Option<i64> {
    let amount = authorization.strip_prefix("auth_")?.split('_').next()?.parse().ok()?;
    (reference(payment_id, amount) == authorization).then_some(amount)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
