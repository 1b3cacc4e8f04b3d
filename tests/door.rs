//! The door besieged, over real sockets: connections that only stand there, clients that whisper,
//! clients that never listen, and crowds that come and go. Whoever behaves is served all the while.
//!
//! `.ci/run` brings 10,000 idle connections and 1,000 new ones a second, a plain `cargo test`
//! fewer. What is *not* here: more work than the engine can do (`overload.rs`).

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/process.rs"]
mod process;
#[path = "support/wire.rs"]
mod wire;

use process::{Process, long_tests};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use wire::{Times, Wire, descriptors, lessons, post, rss_bytes};

/// What the process may have open besides connections, and those that are just being closed.
const OTHER_FILES_MAX: usize = 600;

fn start(config: &str) -> Process {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bellwether.toml");
    std::fs::write(&file, config).unwrap();
    let process = Process::start(&["--config", file.to_str().unwrap()]);
    process.wait_ready();
    let mut wire = Wire::open(&process.url).unwrap();
    let batch = "content-type: application/cloudevents-batch+json\r\n";
    let said = wire.ask(&post("/api/v1/events", batch, &lessons("u", 0, 50, 1))).unwrap();
    assert_eq!(said.status, 202, "{}", said.body);
    // What is accepted is durable, and not yet applied: readers below count on all of it.
    while !wire.get("/api/v1/users/u-0/inbox").unwrap().body.contains("\"total\":50") {
        sleep(Duration::from_millis(1));
    }
    process
}

/// As many sockets as this process may have.
fn raise_own_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// Does something while somebody who behaves reads an inbox again and again on one connection;
/// every answer is right, and the connection is never lost.
fn beside_a_reader<T>(url: &str, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    scope(|scope| {
        let reader = scope.spawn(|| {
            let mut times = Times::default();
            let mut wire = Wire::open(url).unwrap();
            while !done.load(Ordering::Relaxed) {
                let began = Instant::now();
                let said = wire.get("/api/v1/users/u-0/inbox").expect("the reader's connection");
                assert_eq!(said.status, 200, "{}", said.body);
                assert!(said.body.contains("\"total\":50"), "{}", said.body);
                times.took(began);
                sleep(Duration::from_millis(2));
            }
            times
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let times = reader.join().expect("the reader is served");
        let (p50, p99) = (times.percent(50), times.percent(99));
        println!(
            "{} reads beside it: half within {p50:?}, 99 of 100 within {p99:?}",
            times.count()
        );
        worked
    })
}

/// Whether the other side has hung up.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut byte = [0];
    let closed = match stream.read(&mut byte) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).unwrap();
    closed
}

#[test]
fn of_idle_connections_beyond_the_cap_the_oldest_are_closed_and_new_ones_are_served() {
    raise_own_limit();
    let cap = if long_tests() { 5_000 } else { 300 };
    let config = format!("[http]\nconnections_max = {cap}\nheader_timeout_ms = 600000\n");
    let process = start(&config);
    let mut idle = beside_a_reader(&process.url, || {
        let mut idle = Vec::new();
        for number in 0..2 * cap {
            let mut wire = Wire::open(&process.url).unwrap();
            // Some have asked before they fell silent, some have not even begun, and some have
            // begun and do not go on.
            match number % 4 {
                0 => assert_eq!(wire.get("/health/live").unwrap().status, 200),
                1 => wire.stream().write_all(b"GET /health/live HT").unwrap(),
                _ => {}
            }
            idle.push(wire);
        }
        idle
    });
    let open = descriptors(process.id());
    assert!(open <= cap + OTHER_FILES_MAX, "{open} files are open");
    // The last one to be let in has made room for itself, and so has everybody before it.
    assert_eq!(idle.last_mut().unwrap().get("/health/live").unwrap().status, 200);
    let first = &mut idle[0];
    let began = Instant::now();
    while !is_closed(first.stream()) {
        sleep(Duration::from_millis(5));
    }
    println!("the oldest was closed, after {:?}", began.elapsed());
    let closed = idle.iter_mut().map(|wire| is_closed(wire.stream())).collect::<Vec<_>>();
    let kept = closed.iter().filter(|closed| !**closed).count();
    assert!(kept <= cap, "{kept} are open");
    assert!(kept + 10 >= cap, "{kept} are open: closed without need");
    assert!(closed[..cap - 10].iter().all(|closed| *closed), "an older one was kept");
    assert_eq!(process.status("/health/ready"), 200);
}

#[test]
fn who_whispers_or_never_listens_is_hung_up_on_and_holds_nothing() {
    let process = start("[http]\nheader_timeout_ms = 1000\n");
    let rss_before = rss_bytes(process.id());
    let clients = if long_tests() { 400 } else { 60 };
    beside_a_reader(&process.url, || {
        scope(|scope| {
            scope.spawn(|| whisper(&process.url, clients));
            for _ in 0..clients / 2 {
                scope.spawn(|| never_listen(&process.url));
            }
        });
    });
    let grown = rss_bytes(process.id()).saturating_sub(rss_before);
    println!("memory has grown by {} KiB", grown >> 10);
    // An answer of what they asked for, and what hyper keeps beside it, but for all of them.
    assert!(grown < 256 << 20, "{grown} bytes");
    assert!(descriptors(process.id()) < OTHER_FILES_MAX);
}

/// Headers at one byte every 50 ms, from all of them, until none is left.
fn whisper(url: &str, clients: usize) {
    let mut wires: Vec<Wire> = (0..clients).map(|_| Wire::open(url).unwrap()).collect();
    let head = b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-slow: ";
    for byte in head.iter().chain(std::iter::repeat(&b'a')) {
        wires.retain_mut(|wire| wire.stream().write_all(&[*byte]).is_ok());
        if wires.is_empty() {
            return;
        }
        sleep(Duration::from_millis(50));
    }
}

/// Asks without end, and reads no answer, until it is hung up on.
fn never_listen(url: &str) {
    let mut wire = Wire::open(url).unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";
    while wire.stream().write_all(request).is_ok() {}
}

#[test]
fn a_crowd_that_comes_and_goes_is_served_and_leaves_nothing_behind() {
    let process = start("");
    let (threads, each) = if long_tests() { (8, 625) } else { (4, 100) };
    let (before, began) = (descriptors(process.id()), Instant::now());
    beside_a_reader(&process.url, || {
        scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| come_and_go(&process.url, each, threads));
            }
        });
    });
    let per_second = f64::from(threads * each) / began.elapsed().as_secs_f64();
    println!("{per_second:.0} connections per second");
    // A connection is gone a moment after its answer.
    while descriptors(process.id()) > before + 10 {
        sleep(Duration::from_millis(5));
    }
}

/// All the threads together open 1,000 connections a second, if the machine is fast enough. Every
/// fourth one does not wait for its answer.
fn come_and_go(url: &str, connections: u32, threads: u32) {
    let began = Instant::now();
    for number in 0..connections {
        let due = Duration::from_millis(1) * number * threads;
        sleep(due.saturating_sub(began.elapsed()));
        let mut wire = Wire::open(url).unwrap();
        if number % 4 == 0 {
            wire.stream().write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        } else {
            let said = wire.get("/health/live").expect("an answer");
            assert_eq!(said.status, 200, "{}", said.body);
        }
    }
}
