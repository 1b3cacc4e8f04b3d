//! The door: the API's one warp filter on the accept loop.
//!
//! The filter takes a request apart and hands it to the route that the table names; what comes back
//! is counted, timed and given its request id here. A domain error is a value all the way; nothing
//! is a warp `Rejection`. What is *not* here: authentication. Until there is some, the door opens
//! on loopback only, unless told otherwise.

use crate::body::{self, Cap, Room};
use crate::call::Call;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::query::Query;
use crate::reply::{Reply, RequestId};
use crate::router::{Found, Router, Takes};
use crate::routes::{self, events};
use crate::server::{Drained, Limits, Server};
use bytes::{Buf, Bytes};
use futures_util::{FutureExt, Stream};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use topology::Handle;
use warp::Filter;
use warp::http::{HeaderMap, Method};
use warp::path::FullPath;

/// What an operator may set.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where to listen; port 0 means any.
    pub listen: SocketAddr,
    /// Whether anybody who reaches the port may come in.
    pub allow_unauthenticated: bool,
    /// Connections, headers, and the end.
    pub limits: Limits,
    /// The bytes of a body.
    pub body_bytes_max: usize,
    /// The bytes of a batch of domain events.
    pub batch_bytes_max: usize,
    /// The bytes of all bodies that are held at once.
    pub bodies_bytes_max: usize,
    /// How long a body may take to arrive.
    pub body_wait_max: Duration,
    /// How long a read may wait for the position it asks for.
    pub read_wait_max: Duration,
}

impl Options {
    /// The defaults: 1,024 connections, headers within 10 s, bodies of 1 MiB, batches of 8 MiB, 64
    /// MiB of either at once, 30 s for each, reads wait for 2 s, 10 s to drain.
    pub fn new(listen: SocketAddr) -> Self {
        let limits = Limits {
            connections_max: 1_024,
            header_wait_max: Duration::from_secs(10),
            drain_max: Duration::from_secs(10),
        };
        Self {
            listen,
            allow_unauthenticated: false,
            limits,
            body_bytes_max: 1 << 20,
            batch_bytes_max: 8 << 20,
            bodies_bytes_max: 64 << 20,
            body_wait_max: Duration::from_secs(30),
            read_wait_max: Duration::from_secs(2),
        }
    }
}

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is not loopback, and nobody said that this is meant.
    #[error(
        "listening on {0} would let in anybody who can reach it: there is no authentication; \
         listen on loopback, or allow it with --allow-unauthenticated"
    )]
    Unauthenticated(SocketAddr),
    /// The address cannot be bound.
    #[error("binding {address} failed: {cause}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why, such as: in use.
        cause: std::io::Error,
    },
}

/// A bound port with the API behind it.
pub struct Door {
    server: Server,
    inner: Arc<Inner>,
}

struct Inner {
    handle: Handle,
    options: Options,
    bodies: Room,
    router: Router,
    metrics: Metrics,
}

impl Door {
    /// Binds the port. Requests are answered from [`Self::serve`] on.
    pub async fn bind(options: Options, handle: Handle) -> Result<Self, OpenError> {
        let address = options.listen;
        if !address.ip().is_loopback() && !options.allow_unauthenticated {
            return Err(OpenError::Unauthenticated(address));
        }
        let server = Server::bind(address, options.limits)
            .await
            .map_err(|cause| OpenError::Bind { address, cause })?;
        let router = Router::new(routes::TABLE);
        let metrics = Metrics::new(routes::TABLE);
        let bodies = Room::new(options.bodies_bytes_max);
        Ok(Self { server, inner: Arc::new(Inner { handle, options, bodies, router, metrics }) })
    }

    /// Where it really listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Answers until `shutdown`, then lets the requests under way end, within the drain's deadline.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Drained {
        let inner = self.inner;
        let query = warp::query::raw().or(warp::any().map(String::new)).unify();
        let filter = warp::method()
            .and(warp::path::full())
            .and(query)
            .and(warp::header::headers_cloned())
            .and(warp::body::stream())
            .then(move |method, path, query, headers, body| {
                let request = Request { method, path, query, headers };
                let inner = inner.clone();
                async move { inner.answer(request, body).await }
            });
        self.server.serve(TowerToHyperService::new(warp::service(filter)), shutdown).await
    }
}

/// A request as warp takes it apart.
struct Request {
    method: Method,
    path: FullPath,
    query: String,
    headers: HeaderMap,
}

impl Inner {
    /// Answers one request, counts it, and gives it its id.
    async fn answer<S, B>(&self, request: Request, body: S) -> warp::reply::Response
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf + Send,
    {
        let began = Instant::now();
        let id = RequestId::of(&request.headers);
        let found = match self.router.find(request.method.as_str(), request.path.as_str()) {
            Ok(found) => found,
            Err(error) => {
                let reply = error.into_reply(&id);
                let template = self.router.template(request.path.as_str());
                Metrics::turned_away(template, request.method.as_str(), reply.status);
                return reply.into_response(id);
            }
        };
        let (index, route) = (found.index, found.route);
        // A panic of ours must cost its own request, not the others on the connection.
        let outcome = AssertUnwindSafe(self.run(found, request, body)).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|_| {
            Err(Error::Internal(format!("the handler of {} panicked", route.template)))
        });
        let reply = outcome.unwrap_or_else(|error| error.into_reply(&id));
        self.metrics.answered(index, route, reply.status, began.elapsed());
        reply.into_response(id)
    }

    /// Reads what the route reads, and has it answer.
    async fn run<S, B>(&self, found: Found, request: Request, body: S) -> Result<Reply, Error>
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf + Send,
    {
        let route = found.route;
        let Request { method: _, path, query, headers } = request;
        // Held until the request is answered: so long the body, or what was made of it, is there.
        let mut place = self.bodies.place();
        let body = match self.cap(route.takes, &headers) {
            Some(cap) => body::read(body, &headers, cap, &mut place).await?,
            None => Bytes::new(),
        };
        let call = Call {
            handle: self.handle.clone(),
            read_wait_max: self.options.read_wait_max,
            route,
            path,
            ids: found.ids?,
            query: Query::parse(&query)?,
            headers,
            body,
        };
        (route.run)(call).await
    }

    fn cap(&self, takes: Takes, headers: &HeaderMap) -> Option<Cap> {
        let bytes_max = match takes {
            Takes::Nothing => return None,
            Takes::Events if events::is_batch(headers) => self.options.batch_bytes_max,
            Takes::Command | Takes::Events => self.options.body_bytes_max,
        };
        Some(Cap { bytes_max, wait_max: self.options.body_wait_max })
    }
}
