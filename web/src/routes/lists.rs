//! What lists over entities have in common: a page of keys, and the view of each.
//!
//! The keys come first and give the page its position; each view is read at least as fresh as that.
//! What is *not* here: which entities a list is over.

use crate::call::Call;
use crate::cursor::Scope;
use crate::error::Error;
use crate::reply::{Envelope, Reply};
use actors::{Key, KindId};
use topology::api::Listing;

/// The JSON text of an entity's view. `None` if nothing that counts was ever told to it.
pub(super) async fn view(
    call: &Call,
    kind: KindId,
    key: &str,
    at_least: Option<u64>,
) -> Result<Option<Vec<u8>>, Error> {
    let fresh = match at_least {
        Some(position) => call.fresh_from(position),
        None => call.fresh()?,
    };
    let read = call.handle.view(kind, key, fresh).await?;
    Ok(read.value.filter(|view| view != b"null"))
}

/// A list of views.
pub(super) struct Views<'a> {
    /// Of which kind.
    pub kind: KindId,
    /// Only those with this look-up word.
    pub tag: Option<Key>,
    /// The query parameters that shape the list: a cursor is bound to them.
    pub filters: &'a [&'a str],
    /// Whether a view belongs into the list. An entity may have changed since its key was listed.
    pub keep: &'a (dyn Fn(&[u8]) -> bool + Send + Sync),
}

impl Views<'_> {
    /// Answers with a page of them, by key.
    pub(super) async fn answer(self, call: &Call) -> Result<Reply, Error> {
        let limit = call.query.limit()?;
        let scope = Scope::new(call.path.as_str(), &call.query, self.filters)?;
        let after = scope.open_text(&call.query)?.map(Key::from);
        let listing = Listing { tag: self.tag, prefix: None, after, limit };
        let keys = call.handle.list(self.kind, listing, call.fresh()?).await?;
        let (position, keys) = (keys.position, keys.value);
        let mut views = Vec::with_capacity(keys.keys.len());
        for key in &keys.keys {
            let view = view(call, self.kind, key, Some(position)).await?;
            views.extend(view.filter(|view| (self.keep)(view)));
        }
        let next = keys.keys.last().filter(|_| keys.more).map(|last| scope.seal(last.as_bytes()));
        let mut body = Envelope::begin(views.iter().map(|view| view.len() + 1).sum());
        body.list(&views);
        Ok(Reply::enveloped(body.meta(position).page(next.as_deref())))
    }
}
