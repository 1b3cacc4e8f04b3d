//! What clients hand in, read and checked: every fault with its place, all of them at once.
//!
//! What is *not* here: HTTP. Whether the payment may do it now is the fold's business
//! (`command.rs`).

use super::gateway::{PayerAction, Token};
use crate::currency::{AMOUNT_MAX, Currency};
use crate::words::{Key, id_fault};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest metadata, as compact JSON, in bytes: they live in the head.
pub const METADATA_BYTES_MAX: usize = 384;
/// The longest description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 500;
/// The longest id of a payment that we run, in bytes.
pub const OWN_ID_BYTES_MAX: usize = 40;

/// When money is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CaptureMode {
    /// At once.
    Automatic,
    /// By `capture`, from a hold.
    Manual,
}

/// A payment to begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Create {
    /// The payment's key: at most [`OWN_ID_BYTES_MAX`] bytes.
    pub id: Key,
    /// Who pays.
    pub user_id: Key,
    /// For which order.
    pub order_id: Option<Key>,
    /// For which course.
    pub course_id: Option<Key>,
    /// In minor units, 1 to 10^12.
    pub amount: i64,
    /// Of this currency.
    pub currency: Currency,
    /// With which method; may come with `confirm`.
    pub method: Option<Token>,
    /// When money is taken.
    pub capture: CaptureMode,
    /// Whether to confirm at once, if there is a method.
    pub confirm: bool,
    /// What it is for.
    pub description: Option<String>,
    /// A JSON object, compact, as text.
    pub metadata: String,
}

/// How a payment goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// With this method.
    pub method: Option<Token>,
    /// The payer has done this.
    pub action: Option<PayerAction>,
}

/// One thing that is not acceptable, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer into the body.
    pub pointer: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

/// Reads a body's fields and gathers what is wrong with them.
struct Reader<'a> {
    fields: Option<&'a Map<String, Value>>,
    faults: Vec<Fault>,
}

impl Create {
    /// Reads the body of a create; `id` is the payment's key.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(id: Key, body: &Value) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader::new(body)?;
        let create = Self {
            id,
            user_id: reader.id("user_id", "/user_id").unwrap_or_else(|| {
                reader.missing("/user_id");
                Key::default()
            }),
            order_id: reader.id("order_id", "/order_id"),
            course_id: reader.id("course_id", "/course_id"),
            amount: reader.amount().unwrap_or_else(|| {
                reader.missing("/amount");
                0
            }),
            currency: reader.currency(),
            method: reader.method(),
            capture: reader.capture(),
            confirm: reader.flag("confirm", "/confirm").unwrap_or(true),
            description: reader.text("description", "/description").map(str::to_owned),
            metadata: reader.metadata(),
        };
        let mut faults = reader.faults;
        for fault in create.check() {
            if faults.iter().all(|known| known.pointer != fault.pointer) {
                faults.push(fault);
            }
        }
        if faults.is_empty() { Ok(create) } else { Err(faults) }
    }

    /// What is wrong with the values, whoever put them together.
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |pointer, detail: String| faults.push(Fault { pointer, detail });
        if id_fault(&self.id).is_some() || self.id.len() > OWN_ID_BYTES_MAX {
            fault("/id", format!("must be an id of at most {OWN_ID_BYTES_MAX} bytes"));
        }
        let ids = [
            ("/user_id", Some(&self.user_id)),
            ("/order_id", self.order_id.as_ref()),
            ("/course_id", self.course_id.as_ref()),
        ];
        for (pointer, id) in ids {
            if let Some(wrong) = id.and_then(|id| id_fault(id)) {
                fault(pointer, wrong.into());
            }
        }
        if let Some(wrong) = amount_fault(self.amount) {
            fault("/amount", wrong.into());
        }
        let description = self.description.as_ref().map_or(0, String::len);
        if description > DESCRIPTION_BYTES_MAX {
            fault("/description", format!("must be at most {DESCRIPTION_BYTES_MAX} bytes"));
        }
        if self.metadata.len() > METADATA_BYTES_MAX {
            fault("/metadata", format!("must be at most {METADATA_BYTES_MAX} bytes of JSON"));
        } else if serde_json::from_str::<Map<String, Value>>(&self.metadata).is_err() {
            fault("/metadata", "must be a JSON object".into());
        }
        faults
    }
}

impl Confirm {
    /// Reads the body of a confirm; null is an empty one.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(body: &Value) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader::new(body)?;
        let method = reader.method();
        let action = match reader.text("action", "/action") {
            None => None,
            Some("succeed") => Some(PayerAction::Succeed),
            Some("fail") => Some(PayerAction::Fail),
            Some(_) => reader.fault("/action", "must be succeed or fail"),
        };
        reader.end(Self { method, action })
    }
}

/// Reads the body of a capture or refund: the amount, or none for all that is left; null is an
/// empty body.
///
/// # Errors
/// All that is wrong with it.
pub fn amount(body: &Value) -> Result<Option<i64>, Vec<Fault>> {
    let mut reader = Reader::new(body)?;
    let amount = reader.amount();
    if let Some(wrong) = amount.and_then(amount_fault) {
        reader.fault::<()>("/amount", wrong);
    }
    reader.end(amount)
}

fn amount_fault(amount: i64) -> Option<&'static str> {
    let acceptable = (1..=AMOUNT_MAX).contains(&amount);
    (!acceptable).then_some("must be from 1 to 1000000000000 minor units")
}

impl<'a> Reader<'a> {
    fn new(body: &'a Value) -> Result<Self, Vec<Fault>> {
        let fields = match body {
            Value::Null => None,
            Value::Object(fields) => Some(fields),
            _ => return Err(vec![Fault { pointer: "", detail: "must be a JSON object".into() }]),
        };
        Ok(Self { fields, faults: Vec::new() })
    }

    fn end<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.faults.is_empty() { Ok(value) } else { Err(self.faults) }
    }

    fn fault<T>(&mut self, pointer: &'static str, detail: &str) -> Option<T> {
        self.faults.push(Fault { pointer, detail: detail.into() });
        None
    }

    /// It is needed; unless something else was wrong with it, say so.
    fn missing(&mut self, pointer: &'static str) {
        if self.faults.iter().all(|fault| fault.pointer != pointer) {
            self.fault::<()>(pointer, "is required");
        }
    }

    fn field(&self, name: &str) -> Option<&'a Value> {
        self.fields?.get(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str, pointer: &'static str) -> Option<&'a str> {
        match self.field(name)? {
            Value::String(text) => Some(text),
            _ => self.fault(pointer, "must be a string"),
        }
    }

    fn id(&mut self, name: &str, pointer: &'static str) -> Option<Key> {
        let text = self.text(name, pointer)?;
        match id_fault(text) {
            None => Some(Key::new(text)),
            Some(wrong) => self.fault(pointer, wrong),
        }
    }

    fn flag(&mut self, name: &str, pointer: &'static str) -> Option<bool> {
        match self.field(name)? {
            Value::Bool(flag) => Some(*flag),
            _ => self.fault(pointer, "must be true or false"),
        }
    }

    fn amount(&mut self) -> Option<i64> {
        match self.field("amount")?.as_i64() {
            Some(amount) => Some(amount),
            None => self.fault("/amount", "must be a whole number of minor units"),
        }
    }

    fn currency(&mut self) -> Currency {
        let fallback = Currency::parse("EUR").expect("the euro is in the table");
        let Some(code) = self.text("currency", "/currency") else {
            self.missing("/currency");
            return fallback;
        };
        Currency::parse(code).unwrap_or_else(|| {
            self.fault::<()>("/currency", "must be an ISO 4217 code in upper case");
            fallback
        })
    }

    fn capture(&mut self) -> CaptureMode {
        match self.text("capture", "/capture") {
            None | Some("automatic") => CaptureMode::Automatic,
            Some("manual") => CaptureMode::Manual,
            Some(_) => {
                self.fault::<()>("/capture", "must be automatic or manual");
                CaptureMode::Automatic
            }
        }
    }

    fn method(&mut self) -> Option<Token> {
        let Value::Object(method) = self.field("method")? else {
            return self.fault("/method", "must be an object with type and token");
        };
        if method.get("type").and_then(Value::as_str) != Some("card") {
            return self.fault("/method/type", "must be card");
        }
        let token = method.get("token").and_then(Value::as_str).and_then(Token::parse);
        if token.is_some() {
            return token;
        }
        let known = Token::ALL.map(Token::as_str).join(", ");
        self.fault("/method/token", &format!("must be one of {known}"))
    }

    fn metadata(&mut self) -> String {
        match self.field("metadata") {
            None => "{}".into(),
            Some(value @ Value::Object(_)) => value.to_string(),
            Some(_) => {
                self.fault::<()>("/metadata", "must be a JSON object");
                "{}".into()
            }
        }
    }
}
