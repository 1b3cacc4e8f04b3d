//! `bench restart`: how long a process that was killed takes to answer again, and to be ready.
//!
//! One process takes the campus in, with the usual options, so that the last seconds of it are in
//! no checkpoint, and is killed. Then the server is started on what it left, as a user would, and
//! asked over HTTP: for one inbox until it is answered, and for its health until it is ready. What
//! is measured includes the start of the process.

use crate::helper::Helper;
use crate::scratch::Scratch;
use crate::{Error, client, cores, engine, feed, report};
use actors::KINDS;
use feed::{Feed, Files};
use serde::{Deserialize, Serialize};
use state::disk::RealDisk;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout};
use std::sync::Arc;
use std::time::{Duration, Instant};
use topology::{Engine, Options};

/// How often a server that is not there yet, or not ready, is asked.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many events.
    pub events: u64,
    /// How many people they are about.
    pub users: u64,
    /// Where data are written: into a directory of its own there, removed at the end.
    pub data: Option<PathBuf>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// From the start of the process to the first inbox that is answered.
    pub first_read_ms: f64,
    /// From the start of the process until it is ready: everything is applied.
    pub caught_up_ms: f64,
    /// Entities there are.
    pub entities: f64,
    /// As planned.
    pub events: f64,
}

/// What the process that is killed says before.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Filled {
    /// Entities there are.
    pub entities: u64,
}

/// Measures once.
///
/// # Errors
/// A process does not start, or ends before it was to.
pub fn run(plan: &Plan, helper: &Helper) -> Result<Figures, Error> {
    let scratch = Scratch::new(plan.data.as_deref())?;
    let data = scratch.path().join("data");
    report::progress(&format!("taking {} events in", plan.events));
    let arguments = [
        ("--data", scratch.path().display().to_string()),
        ("--events", plan.events.to_string()),
        ("--users", plan.users.to_string()),
    ];
    let mut fill = vec!["bench".to_owned(), "fill".to_owned()];
    fill.extend(arguments.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
    let mut filling = Helped::start(helper, &fill)?;
    let filled: Filled = serde_json::from_str(&filling.line_with("entities")?)
        .map_err(|error| Error::Helper(error.to_string()))?;
    drop(filling);
    report::progress("starting on what was left");
    let began = Instant::now();
    let serving = Killed::serve(helper, &data)?;
    let first_read = answered(serving.address, &client::inbox(1), began)?;
    let caught_up = answered(serving.address, "/health/ready", began)?;
    let ms = |took: Duration| took.as_secs_f64() * 1_000.0;
    Ok(Figures {
        first_read_ms: ms(first_read),
        caught_up_ms: ms(caught_up),
        entities: filled.entities as f64,
        events: plan.events as f64,
    })
}

/// The process that is killed: takes everything in, calls back when all of it is durable, and goes
/// on living.
///
/// # Errors
/// The engine fails.
pub fn fill(plan: &Plan, done: impl FnOnce(Filled) -> Result<(), Error>) -> Result<(), Error> {
    let dir = plan.data.as_deref().unwrap_or_else(|| Path::new("."));
    let feed = feed::Plan { events: plan.events, users: plan.users, partitions: 2 };
    let files = Files::write(dir, feed)?;
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("start threads in", dir))?;
    runtime.block_on(Box::pin(async {
        let options = Options { workers: cores(), ..Options::new(dir.join("data")) };
        let sinks = topology::sinks::answering;
        let started = Engine::start(KINDS, options, Arc::new(RealDisk), sinks).await;
        let engine = started.map_err(Error::engine)?;
        let mut consumers = Vec::new();
        for partition in 0..files.paths.len() {
            let source = engine::as_partition(partition, Feed::open(&files, partition)?);
            consumers.push(engine.consume(source, "file"));
        }
        engine::unless_fatal(&engine, engine::all_taken(&engine, &consumers, &files)).await?;
        let entities = engine.handle().shards().await.iter().map(|shard| shard.entities).sum();
        done(Filled { entities })?;
        std::future::pending().await
    }))
}

/// A server in a process of its own, which does not outlive whoever started it.
pub(crate) struct Killed {
    process: Helped,
    address: SocketAddr,
}

impl Killed {
    /// Serves this data directory.
    pub(crate) fn serve(helper: &Helper, data: &Path) -> Result<Self, Error> {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--data"].map(str::to_owned);
        let arguments = [&serve[..], &[data.display().to_string()]].concat();
        let mut process = Helped::start(helper, &arguments)?;
        let address = address_in(&process.line_with("http://")?)?;
        Ok(Self { process, address })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.process.id()
    }

    /// Waits until everything is applied.
    pub(crate) fn until_ready(&self) -> Result<(), Error> {
        answered(self.address, "/health/ready", Instant::now()).map(drop)
    }
}

/// A process that does not outlive whoever started it.
struct Helped {
    process: Child,
    /// Held open: it may go on talking.
    output: BufReader<ChildStdout>,
}

impl Helped {
    fn start(helper: &Helper, arguments: &[String]) -> Result<Self, Error> {
        let mut process = helper.start(arguments)?;
        let output = process.stdout.take().expect("it was started with its output piped");
        Ok(Self { process, output: BufReader::new(output) })
    }

    /// The next line that it prints with this in it.
    fn line_with(&mut self, wanted: &str) -> Result<String, Error> {
        for line in self.output.by_ref().lines() {
            let line = line.map_err(|error| Error::Helper(error.to_string()))?;
            if line.contains(wanted) {
                return Ok(line);
            }
        }
        Err(Error::Helper(format!("it ended without a word of {wanted}")))
    }
}

impl Drop for Helped {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn address_in(line: &str) -> Result<SocketAddr, Error> {
    let after = line.split_once("http://").map_or("", |(_, after)| after);
    let end = after.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
    let address = &after[..end.unwrap_or(after.len())];
    address.parse().map_err(|_| Error::Helper(format!("{line} names no address")))
}

/// Asks until the answer is a success, and says how long that took since `began`.
fn answered(address: SocketAddr, path: &str, began: Instant) -> Result<Duration, Error> {
    loop {
        if ask(address, path).map_err(Error::io("talk to", Path::new(path)))? {
            return Ok(began.elapsed());
        }
        std::thread::sleep(ASK_EVERY);
    }
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}
