//! The client's side of the benches over HTTP: keep-alive connections, one request at a time on
//! each, in a process of its own.
//!
//! It knows just enough HTTP/1.1 for answers with a `Content-Length`, because on two cores every
//! microsecond of a client is taken from the server. What is *not* here: what is measured.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is asked for.
#[derive(Clone, Debug)]
pub enum Load {
    /// New payments, whose idempotency keys begin with this.
    Payments(String),
    /// Inboxes of so many people, in a scattered order.
    Inboxes(u64),
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the server is.
    pub address: SocketAddr,
    /// How many connections.
    pub connections: u64,
    /// How many requests, all together.
    pub requests: u64,
    /// How many a second, all together; as fast as they are answered if nothing is said.
    pub per_second: Option<u64>,
    /// Which ones.
    pub load: Load,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// Half of all answers took at most so long.
    pub p50_ms: f64,
    /// 99 of 100 took at most so long.
    pub p99_ms: f64,
    /// Answers per second.
    pub per_second: f64,
}

/// Asks, and measures.
///
/// # Errors
/// A connection fails, or an answer is not a success.
pub fn run(plan: &Plan) -> Result<Figures, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Helper(error.to_string()))?;
    let began = Instant::now();
    let mut took_us = runtime.block_on(async {
        let next = Arc::new(AtomicU64::new(0));
        let mut connections = Vec::new();
        for _ in 0..plan.connections {
            let (plan, next) = (plan.clone(), next.clone());
            connections.push(tokio::spawn(async move { connection(&plan, &next, began).await }));
        }
        let mut all = Vec::new();
        for connection in connections {
            all.extend(connection.await.map_err(|error| Error::Helper(error.to_string()))??);
        }
        Ok::<_, Error>(all)
    })?;
    let seconds = began.elapsed().as_secs_f64();
    took_us.sort_unstable();
    let at = |percent: usize| took_us[(took_us.len() * percent / 100).min(took_us.len() - 1)];
    Ok(Figures {
        p50_ms: f64::from(at(50)) / 1_000.0,
        p99_ms: f64::from(at(99)) / 1_000.0,
        per_second: took_us.len() as f64 / seconds,
    })
}

async fn connection(plan: &Plan, next: &AtomicU64, start: Instant) -> Result<Vec<u32>, Error> {
    let failed = |source| Error::io("talk to", Path::new(&plan.address.to_string()))(source);
    let mut stream = TcpStream::connect(plan.address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let (mut request, mut answer, mut took_us) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.requests {
            return Ok(took_us);
        }
        write_request(&plan.load, number, &mut request);
        if let Some(rate) = plan.per_second {
            let due = start + Duration::from_secs_f64(number as f64 / rate as f64);
            tokio::time::sleep_until(due.into()).await;
        }
        let began = Instant::now();
        stream.write_all(&request).await.map_err(failed)?;
        let body_from = read_answer(&mut stream, &mut answer).await.map_err(failed)?;
        took_us.push(began.elapsed().as_micros() as u32);
        if !answer.starts_with(b"HTTP/1.1 20") {
            let said = String::from_utf8_lossy(&answer[..answer.len().min(body_from + 400)]);
            return Err(Error::Helper(format!("request {number} was answered {said}")));
        }
    }
}

fn write_request(load: &Load, number: u64, out: &mut Vec<u8>) {
    out.clear();
    let written = match load {
        Load::Payments(prefix) => {
            let body = payment(number);
            write!(
                out,
                "POST /api/v1/payments HTTP/1.1\r\nhost: bench\r\nidempotency-key: \
                 {prefix}-{number}\r\ncontent-type: application/json\r\ncontent-length: \
                 {}\r\n\r\n{body}",
                body.len()
            )
        }
        Load::Inboxes(users) => {
            // A large prime scatters the people.
            let user = number.wrapping_mul(2_654_435_761) % users;
            write!(out, "GET {} HTTP/1.1\r\nhost: bench\r\n\r\n", inbox(user))
        }
    };
    written.expect("a buffer takes everything");
}

/// The path of somebody's inbox.
pub(crate) fn inbox(user: u64) -> String {
    format!("/api/v1/users/u-{user:06}/inbox")
}

/// A payment that is charged at once.
pub(crate) fn payment(number: u64) -> String {
    let user = number % 10_000;
    format!(
        "{{\"user_id\":\"u-{user:06}\",\"course_id\":\"course-{:03}\",\"amount\":4999,\
         \"currency\":\"EUR\",\"method\":{{\"type\":\"card\",\"token\":\"pm_card_visa\"}}}}",
        user % 500
    )
}

/// Reads one answer, whole, and says where its body begins.
pub(crate) async fn read_answer(
    stream: &mut TcpStream,
    answer: &mut Vec<u8>,
) -> std::io::Result<usize> {
    answer.clear();
    let mut head_bytes = None;
    loop {
        if stream.read_buf(answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if head_bytes.is_none() {
            head_bytes = answer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        }
        if let Some(head_bytes) = head_bytes
            && answer.len() >= head_bytes + content_length(&answer[..head_bytes])?
        {
            return Ok(head_bytes);
        }
    }
}

fn content_length(head: &[u8]) -> std::io::Result<usize> {
    let head = std::str::from_utf8(head).map_err(std::io::Error::other)?;
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut length = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = length.next().ok_or_else(|| std::io::Error::other("no content-length"))?;
    length.trim().parse().map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_say_how_long_they_are() {
        let mut out = Vec::new();
        write_request(&Load::Payments("a".to_owned()), 7, &mut out);
        let head = out.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(content_length(&out[..head]).unwrap(), out.len() - head);
        assert!(serde_json::from_slice::<serde_json::Value>(&out[head..]).is_ok());
        write_request(&Load::Inboxes(1), 7, &mut out);
        assert!(out.starts_with(b"GET /api/v1/users/u-000000/inbox HTTP/1.1\r\n"));
    }
}
