//! From a method and a path to a route: a table, looked through by hand.
//!
//! A chain of warp filters would try every route in turn and forget why each said no. A table
//! knows: no such path is 404, a path with other methods is 405 with exactly those in `Allow`. What
//! is *not* here: the table (`routes.rs`).

use crate::call::Call;
use crate::error::Error;
use crate::reply::Reply;
use crate::text;
use actors::{Key, id_fault};
use std::future::Future;
use std::pin::Pin;

/// What a handler gives back, sooner or later.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

/// What body a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// None; one that is sent is not read.
    Nothing,
    /// A command's.
    Command,
    /// Domain events; batches have a cap of their own.
    Events,
}

/// One method of one path.
pub(crate) struct Route {
    /// `GET` or `POST`. A `GET` answers to `HEAD` too.
    pub method: &'static str,
    /// The path, ids in braces. Also the label in metrics.
    pub template: &'static str,
    /// The body.
    pub takes: Takes,
    /// Who answers.
    pub run: fn(Call) -> Answer,
}

/// The most segments a path of ours has.
const SEGMENTS_MAX: usize = 8;

/// The table, split into segments once.
pub(crate) struct Router {
    routes: Vec<(usize, &'static Route, Vec<&'static str>)>,
}

/// Where a request goes.
pub(crate) struct Found {
    /// The route's place in the table.
    pub index: usize,
    /// The route.
    pub route: &'static Route,
    /// The ids in the path, decoded.
    pub ids: Result<Vec<Key>, Error>,
}

impl Router {
    /// For this table. Routes with fixed segments stand before those that have an id in the same
    /// place.
    pub(crate) fn new(table: &'static [Route]) -> Self {
        let split = |(index, route): (usize, &'static Route)| {
            let segments: Vec<_> = route.template.split('/').skip(1).collect();
            assert!(segments.len() <= SEGMENTS_MAX, "{} has too many segments", route.template);
            (index, route, segments)
        };
        Self { routes: table.iter().enumerate().map(split).collect() }
    }

    /// Looks a request up.
    pub(crate) fn find(&self, method: &str, path: &str) -> Result<Found, Error> {
        let mut buffer = [""; SEGMENTS_MAX];
        let Some(segments) = split(path, &mut buffer) else { return Err(Error::NoRoute) };
        let method = if method == "HEAD" { "GET" } else { method };
        let mut matched: Option<&'static str> = None;
        for (index, route, pattern) in &self.routes {
            let same_path = match matched {
                Some(template) => route.template == template,
                None => matches(pattern, segments),
            };
            if same_path && route.method == method {
                let ids = ids(pattern, segments);
                return Ok(Found { index: *index, route, ids });
            }
            if same_path {
                matched = Some(route.template);
            }
        }
        match matched {
            Some(template) => Err(Error::MethodNotAllowed { allow: self.allowed(template) }),
            None => Err(Error::NoRoute),
        }
    }

    /// The template that a path belongs to, whatever the method.
    pub(crate) fn template(&self, path: &str) -> Option<&'static str> {
        let mut buffer = [""; SEGMENTS_MAX];
        let segments = split(path, &mut buffer)?;
        let same = |(_, _, pattern): &&(_, _, Vec<&str>)| matches(pattern, segments);
        self.routes.iter().find(same).map(|(_, route, _)| route.template)
    }

    fn allowed(&self, template: &str) -> String {
        let mut methods = Vec::new();
        for (_, route, _) in &self.routes {
            if route.template == template {
                methods.push(route.method);
                if route.method == "GET" {
                    methods.push("HEAD");
                }
            }
        }
        methods.join(", ")
    }
}

fn split<'a, 'b>(path: &'a str, buffer: &'b mut [&'a str; SEGMENTS_MAX]) -> Option<&'b [&'a str]> {
    let mut count = 0;
    for segment in path.strip_prefix('/')?.split('/') {
        *buffer.get_mut(count)? = segment;
        count += 1;
    }
    Some(&buffer[..count])
}

fn is_id(segment: &str) -> bool {
    segment.starts_with('{')
}

fn matches(pattern: &[&str], segments: &[&str]) -> bool {
    pattern.len() == segments.len()
        && pattern.iter().zip(segments).all(|(want, have)| want == have || is_id(want))
}

fn ids(pattern: &[&str], segments: &[&str]) -> Result<Vec<Key>, Error> {
    let mut ids = Vec::with_capacity(2);
    for (name, raw) in pattern.iter().zip(segments).filter(|(want, _)| is_id(want)) {
        let refused =
            |why: &str| Error::bad(format!("path:{}", name.trim_matches(['{', '}'])), why);
        let id =
            text::percent_decode(raw).ok_or_else(|| refused("is not percent-encoded UTF-8"))?;
        if let Some(why) = id_fault(&id) {
            return Err(refused(why));
        }
        ids.push(Key::new(&id));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn route(method: &'static str, template: &'static str) -> Route {
        let run = |_| -> Answer { unreachable!("these tests only look up") };
        Route { method, template, takes: Takes::Nothing, run }
    }

    static TABLE: &[Route] = &[
        route("GET", "/users/{user}/inbox"),
        route("POST", "/users/{user}/inbox/read-all"),
        route("GET", "/users/{user}/inbox/{item}"),
        route("POST", "/payments"),
        route("GET", "/payments"),
    ];

    fn find(method: &str, path: &str) -> Result<(usize, Vec<String>), Error> {
        let found = Router::new(TABLE).find(method, path)?;
        Ok((found.index, found.ids?.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn paths_are_found_with_their_ids_decoded() {
        assert_eq!(find("GET", "/users/u-42/inbox"), Ok((0, vec!["u-42".into()])));
        assert_eq!(find("HEAD", "/users/a%2Fb%20c/inbox"), Ok((0, vec!["a/b c".into()])));
        assert_eq!(find("GET", "/users/u/inbox/3-1"), Ok((2, vec!["u".into(), "3-1".into()])));
        assert_eq!(find("POST", "/users/u/inbox/read-all"), Ok((1, vec!["u".into()])));
        assert_eq!(find("GET", "/payments"), Ok((4, vec![])));
    }

    #[test]
    fn no_path_is_told_from_no_method() {
        for path in ["", "/", "/users", "/users/u/", "/payments/", "//", "/a/b/c/d/e/f/g/h/i"] {
            assert_eq!(find("GET", path), Err(Error::NoRoute), "{path}");
        }
        let allow = |allow: &str| Err(Error::MethodNotAllowed { allow: allow.to_owned() });
        assert_eq!(find("DELETE", "/payments"), allow("POST, GET, HEAD"));
        assert_eq!(find("GET", "/users/u/inbox/read-all"), allow("POST"));
        assert_eq!(find("POST", "/users/u/inbox"), allow("GET, HEAD"));
    }

    #[test]
    fn ids_that_cannot_be_are_refused_by_name() {
        for raw in ["", "%", "%C0", "%0A", &"x".repeat(257)] {
            let answer = find("GET", &format!("/users/{raw}/inbox"));
            let Err(Error::BadRequest(faults)) = answer else { panic!("{raw}: {answer:?}") };
            assert_eq!(faults[0].pointer, "path:user");
        }
    }
}
