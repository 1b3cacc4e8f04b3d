//! A connection that is kept, and what the machine says of a process: for tests that besiege one.
//!
//! What is *not* here: what any test expects.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Much longer than any answer takes: only a process that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer: its status, its head in lower case, its body.
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// One connection, one request at a time.
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    /// To `http://127.0.0.1:PORT`.
    pub(crate) fn open(url: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(url.trim_start_matches("http://"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// The connection itself.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// A GET's answer.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<Said> {
        self.ask(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
    }

    /// Sends a request, and reads its answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<Said> {
        // Whoever is refused may be refused before all is sent: the answer counts.
        let sent = self.stream.write_all(request);
        self.answer().or_else(|error| sent.and(Err(error)))
    }

    fn answer(&mut self) -> io::Result<Said> {
        let head_bytes = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more()?;
        };
        let head = String::from_utf8_lossy(&self.unread[..head_bytes]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let body_bytes: usize = length.expect("a length").trim().parse().expect("a number");
        while self.unread.len() < head_bytes + body_bytes {
            self.read_more()?;
        }
        let body = String::from_utf8_lossy(&self.unread[head_bytes..head_bytes + body_bytes]);
        let body = body.into_owned();
        self.unread.drain(..head_bytes + body_bytes);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Said { status: status.expect("a status"), head, body })
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut part = [0; 16 << 10];
        match self.stream.read(&mut part)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.unread.extend_from_slice(&part[..read]);
                Ok(())
            }
        }
    }
}

/// A POST with this body, on a connection that is kept.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A batch of events, a lesson each, for the users of this prefix, 0 to `users`, one after another.
pub(crate) fn lessons(prefix: &str, first: u64, count: u64, users: u64) -> String {
    let event = |number: u64| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{prefix}-{number}\",\"source\":\"/siege\",\
             \"time\":\"2026-11-20T09:00:00Z\",\
             \"type\":\"com.example.learning.lesson.completed.v1\",\
             \"data\":{{\"user_id\":\"{prefix}-{}\",\"course_id\":\"c\",\
             \"lesson_id\":\"l-{number}\"}}}}",
            number % users
        )
    };
    let events: Vec<String> = (first..first + count).map(event).collect();
    format!("[{}]", events.join(","))
}

/// How long answers took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn took(&mut self, since: Instant) {
        self.0.push(since.elapsed());
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// So many of a hundred took at most so long.
    pub(crate) fn percent(&self, of_hundred: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() * of_hundred / 100).min(sorted.len() - 1)]
    }
}

/// Resident memory of a process.
pub(crate) fn rss_bytes(process: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).expect("it runs");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number of pages") * rustix::param::page_size() as u64
}

/// Files and sockets that a process has open.
pub(crate) fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).expect("it runs").count()
}
