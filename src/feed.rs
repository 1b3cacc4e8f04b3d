//! Feeding lines of events into the product.
use serde::Serialize;
use std::borrow::Cow;

/// A line of input that is no event: what the rejects file keeps of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reject {
    /// Which file, where the input has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// Counted from 1.
    pub(crate) line: u64,
    /// One of the codes of the HTTP errors, such as `bad-request`.
    pub(crate) code: Cow<'static, str>,
    /// What is wrong with it.
    pub(crate) reason: String,
}
