//! One request, as a resource's handler gets it: the ids of its path, its query, its headers, its
//! body.
//!
//! What is *not* here: which handler it goes to (`routes.rs`), and how its bytes came in
//! (`body.rs`).

use crate::error::{Error, Fault};
use crate::idempotency;
use crate::query::{Query, fault};
use crate::router::Route;
use actors::{Entity, Key, KindId};
use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;
use topology::api::{Idempotency, Read};
use topology::{AsOf, Freshness, Handle};
use warp::http::HeaderMap;
use warp::path::FullPath;

/// One request.
pub(crate) struct Call {
    /// The engine.
    pub handle: Handle,
    /// How long a read may wait for `at_least`.
    pub read_wait_max: Duration,
    /// Where it was routed to.
    pub route: &'static Route,
    /// The path, as it was sent.
    pub path: FullPath,
    /// The ids in the path, in order, decoded.
    pub ids: Vec<Key>,
    /// What stands behind the `?`.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; empty for routes that take none.
    pub body: Bytes,
}

impl Call {
    /// The id at this place of the route's template.
    pub(crate) fn id(&self, index: usize) -> &str {
        self.ids.get(index).expect("a template has as many ids as its handler asks for")
    }

    /// How fresh the answer must be. Whoever asks only this cannot answer for a moment of the past.
    pub(crate) fn fresh(&self) -> Result<Freshness, Error> {
        if self.query.get("as_of")?.is_some() {
            let why = "is for reads of one entity: its view, a list that it keeps, its history";
            return Err(fault("as_of", why));
        }
        self.fresh_now()
    }

    fn fresh_now(&self) -> Result<Freshness, Error> {
        Ok(Freshness { at_least: self.query.at_least()?, wait_max: self.read_wait_max })
    }

    /// At least as fresh as what this request has just caused or seen.
    pub(crate) fn fresh_from(&self, position: u64) -> Freshness {
        Freshness { at_least: Some(position), wait_max: self.read_wait_max }
    }

    /// The moment of the past that the answer is to be of, if one is asked for.
    pub(crate) fn as_of(&self) -> Result<Option<AsOf>, Error> {
        let Some(position) = self.query.position("as_of")? else { return Ok(None) };
        if self.query.position("at_least")?.is_some_and(|at_least| at_least > position) {
            return Err(fault("as_of", "is before at_least: no answer is of both"));
        }
        Ok(Some(AsOf { position, wait_max: self.read_wait_max }))
    }

    /// An entity's view as JSON text, as it is or as it was.
    pub(crate) async fn view(
        &self,
        kind: KindId,
        key: &str,
    ) -> Result<Read<Option<Vec<u8>>>, Error> {
        Ok(match self.as_of()? {
            Some(as_of) => self.handle.view_as_of(kind, key, as_of).await?,
            None => self.handle.view(kind, key, self.fresh_now()?).await?,
        })
    }

    /// Asks an entity something of its kind's own, as it is or as it was.
    pub(crate) async fn ask<E: Entity>(
        &self,
        key: &str,
        query: E::Query,
    ) -> Result<Read<Option<E::Answer>>, Error> {
        Ok(match self.as_of()? {
            Some(as_of) => self.handle.ask_as_of::<E>(key, query, as_of).await?,
            None => self.handle.ask::<E>(key, query, self.fresh_now()?).await?,
        })
    }

    /// The media type of the body without parameters, in lower case; empty if it is not said.
    pub(crate) fn media_type(&self) -> Result<String, Error> {
        let Some(value) = self.headers.get("content-type") else { return Ok(String::new()) };
        let text = value
            .to_str()
            .map_err(|_| Error::bad("header:Content-Type", "must be visible ASCII"))?;
        Ok(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// The body of a command: a JSON object, or nothing at all, which is an empty one.
    pub(crate) fn object(&self) -> Result<Value, Error> {
        if self.body.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        let media_type = self.media_type()?;
        if !matches!(media_type.as_str(), "" | "application/json") {
            let detail = format!("a command's body is application/json, not {media_type}");
            return Err(Error::UnsupportedMediaType(detail));
        }
        let value: Value = serde_json::from_slice(&self.body)
            .map_err(|error| Error::bad("body", format!("not readable as JSON: {error}")))?;
        if value.is_object() {
            Ok(value)
        } else {
            Err(Error::Validation(vec![Fault::new("", "must be a JSON object")]))
        }
    }

    /// The idempotency key with this request's fingerprint, if it has one.
    pub(crate) fn idempotency(
        &self,
        body: &Value,
        status: u16,
    ) -> Result<Option<Idempotency>, Error> {
        let key = idempotency::key(&self.headers)?;
        let ids = self.ids.iter().map(Key::as_str);
        Ok(key.map(|key| Idempotency {
            key,
            fingerprint: idempotency::fingerprint("POST", self.route.template, ids, body),
            status,
        }))
    }
}
