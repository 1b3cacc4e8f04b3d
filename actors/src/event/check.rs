//! The fields of `data` as kinds need them: there, well-formed and within limits, or the event is
//! [`Unfit`].
//!
//! What is *not* here: which event needs which field; each kind says so in its `hear`, by asking.

use super::{Data, Unfit};
use crate::currency::{AMOUNT_MAX, Currency, Money};
use crate::words::id_fault;
use std::borrow::Cow;

/// The highest score, in whole points.
const SCORE_MAX: f64 = 1_000_000.0;

impl Data<'_> {
    /// Refuses data with a field of the wrong type, or one that is there twice.
    ///
    /// # Errors
    /// The first such field.
    pub fn sound(&self) -> Result<(), Unfit> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// The user.
    ///
    /// # Errors
    /// It is missing or no id.
    pub fn user(&self) -> Result<&str, Unfit> {
        needed("data.user_id", self.user_id.as_ref())
    }

    /// The course.
    ///
    /// # Errors
    /// It is missing or no id.
    pub fn course(&self) -> Result<&str, Unfit> {
        needed("data.course_id", self.course_id.as_ref())
    }

    /// The course, if there is one.
    ///
    /// # Errors
    /// It is no id.
    pub fn course_if_any(&self) -> Result<Option<&str>, Unfit> {
        fit("data.course_id", self.course_id.as_ref())
    }

    /// The lesson.
    ///
    /// # Errors
    /// It is missing or no id.
    pub fn lesson(&self) -> Result<&str, Unfit> {
        needed("data.lesson_id", self.lesson_id.as_ref())
    }

    /// The assignment.
    ///
    /// # Errors
    /// It is missing or no id.
    pub fn assignment(&self) -> Result<&str, Unfit> {
        needed("data.assignment_id", self.assignment_id.as_ref())
    }

    /// The order.
    ///
    /// # Errors
    /// It is missing or no id.
    pub fn order(&self) -> Result<&str, Unfit> {
        needed("data.order_id", self.order_id.as_ref())
    }

    /// The order, if there is one.
    ///
    /// # Errors
    /// It is no id.
    pub fn order_if_any(&self) -> Result<Option<&str>, Unfit> {
        fit("data.order_id", self.order_id.as_ref())
    }

    /// The payment.
    ///
    /// # Errors
    /// It is missing or no id.
    pub fn payment(&self) -> Result<&str, Unfit> {
        needed("data.payment_id", self.payment_id.as_ref())
    }

    /// The capture, if the fact is about one alone.
    ///
    /// # Errors
    /// It is no id.
    pub fn capture_if_any(&self) -> Result<Option<&str>, Unfit> {
        fit("data.capture_id", self.capture_id.as_ref())
    }

    /// The refund, if the fact is about one alone.
    ///
    /// # Errors
    /// It is no id.
    pub fn refund_if_any(&self) -> Result<Option<&str>, Unfit> {
        fit("data.refund_id", self.refund_id.as_ref())
    }

    /// The amount and its currency.
    ///
    /// # Errors
    /// One of them is missing or not acceptable.
    pub fn money(&self) -> Result<Money, Unfit> {
        let unfit = |field, why| Unfit { field, why };
        let amount = match self.amount {
            None => return Err(unfit("data.amount", "is missing")),
            Some(None) => {
                return Err(unfit("data.amount", "must be a whole number of minor units"));
            }
            Some(Some(amount)) => amount,
        };
        if !(1..=AMOUNT_MAX).contains(&amount) {
            return Err(unfit("data.amount", "must be 1 to 10^12 minor units"));
        }
        let code = self.currency.as_deref();
        let code = code.ok_or_else(|| unfit("data.currency", "is missing"))?;
        let currency = Currency::parse(code)
            .ok_or_else(|| unfit("data.currency", "must be an ISO 4217 code in upper case"))?;
        Ok(Money { amount, currency })
    }

    /// The score, in millionths, if there is one.
    ///
    /// # Errors
    /// It is not within 0 to 10^6.
    pub fn score_if_any(&self) -> Result<Option<u64>, Unfit> {
        match self.score {
            None => Ok(None),
            Some(score) if (0.0..=SCORE_MAX).contains(&score) => {
                Ok(Some((score * 1e6).round() as u64))
            }
            Some(_) => Err(Unfit { field: "data.score", why: "must be within 0 to 10^6" }),
        }
    }

    /// The score, in millionths.
    ///
    /// # Errors
    /// It is missing or not within 0 to 10^6.
    pub fn score(&self) -> Result<u64, Unfit> {
        self.score_if_any()?.ok_or(Unfit { field: "data.score", why: "is missing" })
    }
}

fn needed<'a>(field: &'static str, id: Option<&'a Cow<'_, str>>) -> Result<&'a str, Unfit> {
    fit(field, id)?.ok_or(Unfit { field, why: "is missing" })
}

fn fit<'a>(field: &'static str, id: Option<&'a Cow<'_, str>>) -> Result<Option<&'a str>, Unfit> {
    let Some(id) = id else { return Ok(None) };
    match id_fault(id) {
        None => Ok(Some(id.as_ref())),
        Some(why) => Err(Unfit { field, why }),
    }
}
