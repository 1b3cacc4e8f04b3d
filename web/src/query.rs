//! What stands behind the `?`: decoded once, read strictly by name.
//!
//! A handler asks for the parameters it knows; the others are ignored. A known one that is
//! malformed or given twice is a 400 that names it. What is *not* here: what a parameter does.

use crate::error::Error;
use crate::text;
use actors::{Position, Timestamp, id_fault};

/// How many items a page has if it is not said.
pub(crate) const LIMIT_USUAL: usize = 20;

/// The parameters of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes `a=1&b=2`.
    pub(crate) fn parse(raw: &str) -> Result<Self, Error> {
        let mut pairs = Vec::new();
        for part in raw.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let Some(name) = text::form_decode(name) else {
                return Err(Error::bad("query", "a parameter's name is not percent-encoded UTF-8"));
            };
            let Some(value) = text::form_decode(value) else {
                return Err(fault(&name, "is not percent-encoded UTF-8"));
            };
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    /// The text of a parameter, if it is there.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut values = self.0.iter().filter(|(given, _)| given == name);
        let first = values.next().map(|(_, value)| value.as_str());
        if values.next().is_some() {
            return Err(fault(name, "is given more than once"));
        }
        Ok(first)
    }

    /// Whether any of these is there.
    pub(crate) fn has_any(&self, names: &[&str]) -> bool {
        self.0.iter().any(|(given, _)| names.contains(&given.as_str()))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Error> {
        match self.get(name)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(fault(name, "must be true or false")),
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, Error> {
        let Some(given) = self.get(name)? else { return Ok(None) };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == given) {
            return Ok(Some(*value));
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Err(fault(name, &format!("must be one of {}", all.join(", "))))
    }

    /// An id: 1 to 256 bytes without control characters.
    pub(crate) fn id(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.get(name)? {
            Some(id) => match id_fault(id) {
                Some(why) => Err(fault(name, why)),
                None => Ok(Some(id)),
            },
            None => Ok(None),
        }
    }

    /// RFC 3339, or a date, which is its first moment in UTC.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Error> {
        let Some(text) = self.get(name)? else { return Ok(None) };
        let midnight = || Timestamp::parse(&format!("{text}T00:00:00Z"));
        match Timestamp::parse(text).or_else(|| (text.len() == 10).then(midnight).flatten()) {
            Some(time) => Ok(Some(time)),
            None => Err(fault(name, "must be a time as in RFC 3339, or a date like 2026-11-20")),
        }
    }

    /// How many items a page has: 1 to 100, [`LIMIT_USUAL`] if it is not said.
    pub(crate) fn limit(&self) -> Result<usize, Error> {
        let Some(text) = self.get("limit")? else { return Ok(LIMIT_USUAL) };
        match number(text) {
            Some(limit @ 1..=100) => Ok(limit as usize),
            _ => Err(fault("limit", "must be a whole number from 1 to 100")),
        }
    }

    /// The position that the answer must reflect.
    pub(crate) fn at_least(&self) -> Result<Option<Position>, Error> {
        self.position("at_least")
    }

    /// A position.
    pub(crate) fn position(&self, name: &str) -> Result<Option<Position>, Error> {
        match self.get(name)?.map(number) {
            None => Ok(None),
            Some(Some(position)) => Ok(Some(position)),
            Some(None) => Err(fault(name, "must be a position, a whole number from 0")),
        }
    }
}

/// A whole number in plain digits: no sign, no spaces.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What is wrong with a parameter.
pub(crate) fn fault(name: &str, why: &str) -> Error {
    Error::bad(format!("query:{name}"), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_read_strictly_and_unknown_ones_ignored() {
        let query = Query::parse("limit=5&zzz&zzz&unread=true&user_id=u%2042&&empty=").expect("ok");
        assert_eq!(query.limit(), Ok(5));
        assert_eq!(query.boolean("unread"), Ok(Some(true)));
        assert_eq!(query.id("user_id"), Ok(Some("u 42")));
        assert_eq!(query.get("empty"), Ok(Some("")));
        assert_eq!(query.at_least(), Ok(None));
        assert_eq!(Query::parse("").expect("ok").limit(), Ok(20));
    }

    #[test]
    fn every_fault_names_its_parameter() {
        let cases: &[(&str, fn(&Query) -> bool)] = &[
            ("limit=0", |q| q.limit().is_err()),
            ("limit=101", |q| q.limit().is_err()),
            ("limit=+5", |q| q.limit().is_err()),
            ("limit=-1", |q| q.limit().is_err()),
            ("limit=", |q| q.limit().is_err()),
            ("limit=5&limit=5", |q| q.limit().is_err()),
            ("at_least=1e3", |q| q.at_least().is_err()),
            ("at_least=18446744073709551616", |q| q.at_least().is_err()),
            ("unread=1", |q| q.boolean("unread").is_err()),
            ("a=c", |q| q.word("a", &[("b", 1)]).is_err()),
            ("user_id=", |q| q.id("user_id").is_err()),
            ("user_id=a%0Ab", |q| q.id("user_id").is_err()),
            ("from=tomorrow", |q| q.time("from").is_err()),
            ("from=2026-02-30", |q| q.time("from").is_err()),
        ];
        for (raw, fails) in cases {
            assert!(fails(&Query::parse(raw).expect("decodes")), "{raw}");
        }
        assert_eq!(
            Query::parse("a=%C0").map(|_| ()),
            Err(Error::bad("query:a", "is not percent-encoded UTF-8"))
        );
    }

    #[test]
    fn a_date_is_its_first_moment() {
        let query = Query::parse("from=2026-11-20&to=2026-11-20T01:00:00%2B01:00").expect("ok");
        assert_eq!(query.time("from"), query.time("to"));
    }
}
