//! The accept loop: who may connect, how many, how long headers may take, and how it ends.
//!
//! warp's own server has no header timeout and no limit of connections, so only its filters are
//! used: each connection here is served by hyper, with a service that ends in a filter. Beyond
//! `connections_max` the connection that has been idle longest is closed for the new one; one that
//! keeps us waiting counts as idle, and if none is, the new one gets a 503. What is *not* here:
//! what is served. The same loop serves the API and the bare route that reads are measured
//! against.

mod connections;
mod socket;

pub use socket::Arriving;

use connections::{Connections, Seat};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket::Socket;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The most bytes of a request's head; also how much of a body is read at once.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// After a failed accept (out of file descriptors, mostly) we wait this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections open at once.
    pub connections_max: usize,
    /// How long the headers of a request may take to arrive, how long a connection may be idle, and
    /// how long a client may take nothing of its answer.
    pub header_wait_max: Duration,
    /// How long the answers under way may take once we are told to stop.
    pub drain_max: Duration,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off at the deadline.
    pub cut_off: usize,
}

/// A bound port.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

impl Server {
    /// Binds; port 0 means any.
    pub async fn bind(listen: SocketAddr, limits: Limits) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, limits })
    }

    /// Where it really listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then lets the requests under way end.
    pub async fn serve<S, B>(self, service: S, shutdown: impl Future<Output = ()>) -> Drained
    where
        S: Service<Request<Arriving>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: hyper::body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut shutdown = pin!(shutdown);
        let connections = Arc::new(Connections::new(self.limits.connections_max));
        let (drain, draining) = watch::channel(false);
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = tasks.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _peer)) => match connections.admit() {
                        Some(seat) => {
                            let wait_max = self.limits.header_wait_max;
                            let talk = Talk { stream, seat, wait_max, draining: draining.clone() };
                            tasks.spawn(talk.run(service.clone()));
                        }
                        None => { tasks.spawn(connections.clone().refuse(stream)); }
                    },
                    Err(error) => {
                        tracing::warn!(%error, "accepting a connection failed");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        // Whoever holds a receiver hears this; if nobody does, there is nobody to tell.
        let _ = drain.send(true);
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        let _ = timeout(self.limits.drain_max, all_ended).await;
        let cut_off = tasks.len();
        tasks.shutdown().await;
        Drained { cut_off }
    }
}

/// One connection.
struct Talk {
    stream: TcpStream,
    seat: Seat,
    wait_max: Duration,
    draining: watch::Receiver<bool>,
}

impl Talk {
    /// Serves it to its end: the client's, an error, its eviction, or the drain.
    async fn run<S, B>(mut self, service: S)
    where
        S: Service<Request<Arriving>, Response = Response<B>, Error = Infallible>,
        B: hyper::body::Body + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // Without it an answer may wait for the client's delayed acknowledgement of the one before.
        let _ = self.stream.set_nodelay(true);
        let seat = Arc::new(self.seat);
        let socket = Socket::new(self.stream, seat.clone(), self.wait_max);
        let counting = seat.clone();
        let counted = service_fn(move |request: Request<Incoming>| {
            let busy = counting.busy();
            let answer = service.call(request.map(|body| Arriving::new(body, counting.clone())));
            async move {
                let _busy = busy;
                answer.await
            }
        });
        let mut http = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.wait_max)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(socket), counted)
        );
        let mut told = false;
        loop {
            tokio::select! {
                ended = &mut http => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection broke off");
                    }
                    return;
                }
                () = seat.evicted() => return,
                _ = self.draining.changed(), if !told => {
                    told = true;
                    http.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
