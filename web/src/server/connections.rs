//! Which connections are open, and which of them has been idle longest.
//!
//! A connection holds a [`Seat`] while it is served and a [`Busy`] while a request of it is under
//! way. One that keeps us waiting, for the rest of a body or for room to write an answer into, is
//! as idle as one without a request: what it has can be taken from it. What is *not* here: reading
//! or writing, but for the refusal of a connection that finds no seat.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

/// So many connections at most are looked at to find an idle one. Those that are busy go to the
/// end of the row, so the next search begins behind them.
const LOOKS_MAX: usize = 256;
/// Refused connections that are told why; more are closed without a word.
const REFUSALS_MAX: usize = 256;
/// How long a refused connection may take to read why.
const REFUSAL_MAX: Duration = Duration::from_millis(500);
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\n\
    content-length: 171\r\n\r\n\
    {\"type\":\"urn:bellwether:problem:overloaded\",\"title\":\"Overloaded\",\"status\":503,\
    \"detail\":\"as many connections are open as there may be\",\"code\":\"overloaded\",\
    \"retry\":\"later\"}\n";

/// The open connections, in the order in which they became idle, as far as that is known.
type Open = BTreeMap<(u64, u64), Arc<Connection>>;

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    /// Counts requests and connections: a clock for "longest".
    ticks: AtomicU64,
    open: Mutex<Open>,
    refusals: AtomicUsize,
}

/// A request is under way.
const REQUEST: u8 = 1;
/// The client owes us the rest of a body.
const BODY_OWED: u8 = 2;
/// The client does not take its answer.
const ANSWER_LEFT: u8 = 4;

#[derive(Debug)]
struct Connection {
    id: u64,
    state: AtomicU8,
    /// Only grows.
    idle_since: AtomicU64,
    /// `idle_since` when it was looked at last: with the id, its place in the row. Changes under
    /// the row's lock.
    filed: AtomicU64,
    evict: Notify,
}

impl Connection {
    fn is_idle(&self) -> bool {
        let state = self.state.load(Ordering::Acquire);
        state & REQUEST == 0 || state & (BODY_OWED | ANSWER_LEFT) != 0
    }
}

impl Connections {
    pub(super) fn new(max: usize) -> Self {
        let (ticks, refusals) = (AtomicU64::new(0), AtomicUsize::new(0));
        Self { max, ticks, open: Mutex::default(), refusals }
    }

    /// A seat for a new connection: a free one, or that of the connection that has been idle
    /// longest.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Seat> {
        let id = self.tick();
        let mut open = self.lock();
        if open.len() >= self.max {
            self.take_idle_longest(&mut open)?.evict.notify_one();
        }
        let connection = Arc::new(Connection {
            id,
            state: AtomicU8::new(0),
            idle_since: AtomicU64::new(id),
            filed: AtomicU64::new(id),
            evict: Notify::new(),
        });
        open.insert((id, id), connection.clone());
        Some(Seat { connection, among: self.clone() })
    }

    /// Takes the first of the row that is idle and stands where it belongs. All the others have
    /// been idle for less long, since what they stand under can only have grown.
    fn take_idle_longest(&self, open: &mut Open) -> Option<Arc<Connection>> {
        for _ in 0..LOOKS_MAX.min(2 * open.len()) {
            let ((filed, id), connection) = open.pop_first()?;
            let idle = connection.is_idle();
            let since = connection.idle_since.load(Ordering::Relaxed);
            if idle && since <= filed {
                return Some(connection);
            }
            let since = if idle { since } else { self.tick() };
            connection.filed.store(since, Ordering::Relaxed);
            open.insert((since, id), connection);
        }
        None
    }

    /// Says to a connection without a seat why it has none, if not too many are being told.
    pub(super) async fn refuse(self: Arc<Self>, stream: TcpStream) {
        if self.refusals.fetch_add(1, Ordering::Relaxed) < REFUSALS_MAX {
            // A client that does not wait for the reason does not get it.
            let _ = timeout(REFUSAL_MAX, say_why(stream)).await;
        }
        self.refusals.fetch_sub(1, Ordering::Relaxed);
    }

    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("nobody panics while holding the row of connections")
    }
}

/// A connection's place among the open ones; dropping it gives it up.
#[derive(Debug)]
pub(super) struct Seat {
    connection: Arc<Connection>,
    among: Arc<Connections>,
}

impl Seat {
    /// A request is under way until this is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.connection.state.fetch_or(REQUEST, Ordering::AcqRel);
        Busy(self.clone())
    }

    /// Whether we wait for the rest of a body.
    pub(super) fn body_owed(&self, owed: bool) {
        self.waits(BODY_OWED, owed);
    }

    /// Whether we wait for room to write an answer into.
    pub(super) fn answer_left(&self, left: bool) {
        self.waits(ANSWER_LEFT, left);
    }

    /// Waits until the connection has to go for another.
    pub(super) async fn evicted(&self) {
        self.connection.evict.notified().await;
    }

    fn waits(&self, for_what: u8, waits: bool) {
        let state = &self.connection.state;
        if waits == (state.load(Ordering::Relaxed) & for_what != 0) {
            return;
        }
        if waits {
            self.idle_from_now();
            state.fetch_or(for_what, Ordering::AcqRel);
        } else {
            state.fetch_and(!for_what, Ordering::AcqRel);
        }
    }

    fn idle_from_now(&self) {
        self.connection.idle_since.store(self.among.tick(), Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.among.lock();
        // Whoever was evicted has no place any more, and its key is nobody else's.
        open.remove(&(self.connection.filed.load(Ordering::Relaxed), self.connection.id));
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Busy(Arc<Seat>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle_from_now();
        self.0.connection.state.fetch_and(!REQUEST, Ordering::AcqRel);
    }
}

/// Says why there is no seat, and hangs up. The client's request is read away first, since closing
/// over unread bytes would reset the connection before the answer is seen.
async fn say_why(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(REFUSAL).await?;
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Some` if a seat is free or can be had.
    fn admit(connections: &Arc<Connections>) -> Option<Arc<Seat>> {
        connections.admit().map(Arc::new)
    }

    fn ids(connections: &Connections) -> Vec<u64> {
        let mut ids: Vec<u64> = connections.lock().values().map(|one| one.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn the_connection_idle_longest_gives_way_and_a_busy_one_never_does() {
        let connections = Arc::new(Connections::new(3));
        let [first, second, third] = [(); 3].map(|()| admit(&connections).expect("a seat"));
        let of_first = first.busy();
        drop(second.busy());
        // Idle longest: the third (it never had a request), then the second.
        let fourth = admit(&connections).expect("the third's seat");
        let id = |seat: &Seat| seat.connection.id;
        assert_eq!(ids(&connections), [id(&first), id(&second), id(&fourth)]);
        drop(third);
        assert_eq!(ids(&connections).len(), 3, "an evicted one that ends frees nobody's seat");
        let _of_fourth = fourth.busy();
        let fifth = admit(&connections).expect("the second's seat");
        let _of_fifth = fifth.busy();
        assert!(admit(&connections).is_none());
        drop(of_first);
        let sixth = admit(&connections).expect("the first's seat");
        assert_eq!(ids(&connections), [id(&fourth), id(&fifth), id(&sixth)]);
    }

    #[test]
    fn a_request_that_waits_for_its_client_does_not_keep_the_seat() {
        let cases: [fn(&Seat, bool); 2] = [Seat::body_owed, Seat::answer_left];
        for waits in cases {
            let connections = Arc::new(Connections::new(1));
            let seat = admit(&connections).expect("a seat");
            let _request = seat.busy();
            waits(&seat, true);
            waits(&seat, false);
            assert!(admit(&connections).is_none(), "it is our turn again");
            waits(&seat, true);
            assert!(admit(&connections).is_some());
        }
    }

    #[test]
    fn many_busy_ones_do_not_hide_an_idle_one_for_long() {
        let all = 10 * LOOKS_MAX;
        let connections = Arc::new(Connections::new(all));
        let seats: Vec<_> = (0..all).map(|_| admit(&connections).expect("a seat")).collect();
        let idle = all - 3;
        let busy: Vec<_> = (0..all).filter(|at| *at != idle).map(|at| seats[at].busy()).collect();
        let tries = (1..=all).find(|_| admit(&connections).is_some()).expect("in the end");
        assert!(tries <= all / LOOKS_MAX + 1, "{tries} tries");
        assert!(!ids(&connections).contains(&seats[idle].connection.id));
        drop(busy);
    }

    #[test]
    fn the_refusal_says_how_long_it_is() {
        let text = std::str::from_utf8(REFUSAL).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["code"], "overloaded");
    }
}
