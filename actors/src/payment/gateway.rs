//! The words between a payment and the gateway: requests as delivery bodies, answers as they come
//! back.
//!
//! Both are stored (pending entries, records): a version byte in front, variants only appended.
//! What is *not* here: what the gateway does with a request, and how often it is asked. Invariant:
//! a request says everything the gateway needs.

use crate::codec;
use crate::currency::Currency;
use crate::words::Key;
use serde::{Deserialize, Serialize};

/// The sink that carries requests out.
pub const SINK: &str = "gateway";
const VERSION: u8 = 1;

/// The mock's payment methods, as clients name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Token {
    /// Works.
    Visa,
    /// Is declined.
    VisaChargeDeclined,
    /// Is declined for want of money.
    VisaInsufficientFunds,
    /// Wants the payer to act first.
    AuthenticationRequired,
    /// Works, but the first answer is lost.
    VisaTimeout,
}

impl Token {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Visa,
        Self::VisaChargeDeclined,
        Self::VisaInsufficientFunds,
        Self::AuthenticationRequired,
        Self::VisaTimeout,
    ];

    /// As clients name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Visa => "pm_card_visa",
            Self::VisaChargeDeclined => "pm_card_visa_chargeDeclined",
            Self::VisaInsufficientFunds => "pm_card_visa_chargeDeclinedInsufficientFunds",
            Self::AuthenticationRequired => "pm_card_authenticationRequired",
            Self::VisaTimeout => "pm_card_visa_timeout",
        }
    }

    /// The method of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|token| token.as_str() == text)
    }
}

/// What the payer did (the mock is told by `confirm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayerAction {
    /// Passed.
    Succeed,
    /// Did not pass.
    Fail,
}

/// What the gateway is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Authorize and capture at once.
    Charge {
        /// With which method.
        token: Token,
        /// What the payer did, if that was asked for.
        action: Option<PayerAction>,
    },
    /// Hold.
    Authorize {
        /// With which method.
        token: Token,
        /// What the payer did, if that was asked for.
        action: Option<PayerAction>,
    },
    /// Take of a hold.
    Capture {
        /// The hold's reference.
        authorization: Key,
    },
    /// Release a hold.
    Cancel {
        /// The hold's reference.
        authorization: Key,
    },
    /// Give back of what was captured.
    Refund,
}

/// One request to the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The payment's own number of it.
    pub seq: u32,
    /// The payment.
    pub payment_id: Key,
    /// In minor units.
    pub amount: i64,
    /// Of this currency.
    pub currency: Currency,
    /// What to do.
    pub ask: Ask,
}

/// What the gateway says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The money is taken.
    Captured {
        /// The gateway's name for it.
        id: Key,
        /// So much.
        amount: i64,
    },
    /// The money is held.
    Authorized {
        /// The gateway's name for the hold.
        reference: Key,
        /// So much.
        amount: i64,
    },
    /// The payer has to act.
    ActionRequired,
    /// No.
    Declined(Reason),
    /// The hold is released.
    Voided,
    /// The money is on its way back.
    Refunded {
        /// The gateway's name for it.
        id: Key,
        /// So much.
        amount: i64,
    },
    /// Later.
    Processing,
    /// The request does not fit what the gateway knows.
    Refused(Reason),
    /// It cannot be, for so much was captured before.
    AlreadyCaptured {
        /// In all.
        total: i64,
    },
}

/// Why something did not come about. Stored: variants are only appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Somebody canceled it.
    Canceled,
    /// Time ran out.
    Expired,
    /// The gateway no longer held the money when it was to be captured.
    ExpiredOnCapture,
    /// The card was declined.
    ChargeDeclined,
    /// The card was declined for want of money.
    InsufficientFunds,
    /// The payer did not pass.
    AuthenticationFailed,
    /// The hold is unknown, released or run out.
    HoldGone,
    /// More than was held.
    ExceedsAuthorized,
    /// More than was captured and not yet given back.
    ExceedsCaptured,
    /// The sink could not make sense of the request, or it was given up.
    NotUnderstood,
}

impl Reason {
    /// For machines and people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::ExpiredOnCapture => "expired_on_capture",
            Self::ChargeDeclined => "charge_declined",
            Self::InsufficientFunds => "insufficient_funds",
            Self::AuthenticationFailed => "authentication_failed",
            Self::HoldGone => "hold_gone",
            Self::ExceedsAuthorized => "exceeds_authorized",
            Self::ExceedsCaptured => "exceeds_captured",
            Self::NotUnderstood => "not_understood",
        }
    }
}

impl Request {
    /// As a delivery's body.
    pub fn encode(&self) -> Vec<u8> {
        versioned(self)
    }

    /// From a delivery's body.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        unversioned(bytes)
    }
}

impl Answer {
    /// As the sink hands it back.
    pub fn encode(&self) -> Vec<u8> {
        versioned(self)
    }

    /// From what the sink handed back.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        unversioned(bytes)
    }
}

fn versioned<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = vec![VERSION];
    codec::encode_into(value, &mut out);
    out
}

fn unversioned<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (version, value) = bytes.split_first()?;
    (*version == VERSION).then(|| codec::decode(value).ok())?
}
