//! Which connections are open, and which of them has been idle longest.
//!
//! A connection holds a [`Seat`] while it is served and a [`Busy`] while a request of it is under
//! way. What is *not* here: reading or writing, but for the refusal of a connection that finds no
//! seat.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long a refused connection may take to read why.
const REFUSAL_MAX: Duration = Duration::from_millis(500);
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\n\
    content-length: 171\r\n\r\n\
    {\"type\":\"urn:bellwether:problem:overloaded\",\"title\":\"Overloaded\",\"status\":503,\
    \"detail\":\"as many connections are open as there may be\",\"code\":\"overloaded\",\
    \"retry\":\"later\"}\n";

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    /// Counts requests and connections: a clock for "longest".
    ticks: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
}

#[derive(Debug, Default)]
struct Connection {
    busy: AtomicBool,
    idle_since: AtomicU64,
    evict: Notify,
}

impl Connections {
    pub(super) fn new(max: usize) -> Self {
        Self { max, ticks: AtomicU64::new(0), open: Mutex::default() }
    }

    /// A seat for a new connection: a free one, or that of the connection that has been idle
    /// longest.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Seat> {
        let id = self.tick();
        let mut open = self.lock();
        if open.len() >= self.max {
            let idle = open.iter().filter(|(_, c)| !c.busy.load(Ordering::Acquire));
            let since = |(_, c): &(&u64, &Arc<Connection>)| c.idle_since.load(Ordering::Relaxed);
            let longest = *idle.min_by_key(since)?.0;
            let evicted = open.remove(&longest).expect("it was found under the same lock");
            evicted.evict.notify_one();
        }
        let connection = Arc::new(Connection::default());
        connection.idle_since.store(id, Ordering::Relaxed);
        open.insert(id, connection.clone());
        Some(Seat { id, connection, among: self.clone() })
    }

    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Connection>>> {
        self.open.lock().expect("nobody panics while holding the table of connections")
    }
}

/// A connection's place among the open ones; dropping it gives it up.
#[derive(Debug)]
pub(super) struct Seat {
    id: u64,
    connection: Arc<Connection>,
    among: Arc<Connections>,
}

impl Seat {
    /// A request is under way until this is dropped.
    pub(super) fn busy(&self) -> Busy {
        self.connection.busy.store(true, Ordering::Release);
        Busy { connection: self.connection.clone(), among: self.among.clone() }
    }

    /// Waits until the connection has to go for another.
    pub(super) async fn evicted(&self) {
        self.connection.evict.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.among.lock().remove(&self.id);
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Busy {
    connection: Arc<Connection>,
    among: Arc<Connections>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.connection.idle_since.store(self.among.tick(), Ordering::Relaxed);
        self.connection.busy.store(false, Ordering::Release);
    }
}

/// Says why there is no seat, and hangs up. The client's request is read away first, since closing
/// over unread bytes would reset the connection before the answer is seen.
pub(super) async fn refuse(mut stream: TcpStream) {
    let talk = async {
        stream.write_all(REFUSAL).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // A client that does not wait for the reason does not get it.
    let _ = timeout(REFUSAL_MAX, talk).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_idle_longest_gives_way_and_a_busy_one_never_does() {
        let connections = Arc::new(Connections::new(3));
        let first = connections.admit().expect("a seat");
        let second = connections.admit().expect("a seat");
        let third = connections.admit().expect("a seat");
        let of_first = first.busy();
        drop(second.busy());
        // Idle longest: the third (it never had a request), then the second.
        let fourth = connections.admit().expect("the third's seat");
        let ids = || connections.lock().keys().copied().collect::<Vec<_>>();
        assert_eq!(ids(), [first.id, second.id, fourth.id]);
        drop(third);
        assert_eq!(ids().len(), 3, "an evicted connection that ends frees nobody else's seat");
        let _of_fourth = fourth.busy();
        let fifth = connections.admit().expect("the second's seat");
        let _of_fifth = fifth.busy();
        assert!(connections.admit().is_none());
        drop(of_first);
        assert!(connections.admit().is_some());
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
