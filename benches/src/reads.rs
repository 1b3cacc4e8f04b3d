//! `bench reads`: reads of inboxes over HTTP, beside a route of the same server that answers bytes
//! of the same length and asks nobody.
//!
//! The same client asks both, one after the other, with the same requests. The difference is what
//! the API's own way costs: the table of routes, the question to a resident, and the answer's JSON.

use crate::client::{self, inbox, read_answer};
use crate::feed::{self, Feed, Files};
use crate::helper::Helper;
use crate::scratch::Scratch;
use crate::served::{ANY, Served};
use crate::usage::Usage;
use crate::{Error, engine, report};
use bytes::Bytes;
use serde::Serialize;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// People, all with an inbox, and their events: so many that a page of 20 items is full.
const USERS: u64 = 10_000;
const EVENTS: u64 = 400_000;

/// Connections and requests of the client.
const CONNECTIONS: u64 = 16;
const REQUESTS: u64 = 100_000;

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Reads of inboxes by answers of the bare route.
    pub ratio: f64,
    /// Inboxes.
    pub reads_per_second: f64,
    /// The bare route.
    pub bare_per_second: f64,
    /// Half of all reads were answered within this.
    pub p50_ms: f64,
    /// The server's CPU time a read, in µs; the client's is not in it.
    pub cpu_us_per_read: f64,
    /// The same of the bare route.
    pub bare_cpu_us: f64,
    /// How long an answer's body is.
    pub answer_bytes: f64,
}

/// Measures once.
///
/// # Errors
/// The engine or the client fails.
pub fn run(data: Option<&Path>, helper: &Helper) -> Result<Figures, Error> {
    let scratch = Scratch::new(data)?;
    let dir = scratch.path().join("data");
    report::progress("filling inboxes");
    let plan = feed::Plan { events: EVENTS, users: USERS, partitions: 1 };
    let files = Files::write(scratch.path(), plan)?;
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("start threads in", &dir))?;
    let served = runtime.block_on(Box::pin(Served::open(&dir)))?;
    runtime.block_on(Box::pin(fill(&served, &files)))?;
    let body = runtime.block_on(one_answer(served.address))?;
    report::progress("reading inboxes");
    let (reads, reads_cpu_us) = measure(helper, served.address)?;
    runtime.block_on(Box::pin(served.close()))?;
    report::progress("asking the bare route");
    let answer_bytes = body.len() as f64;
    let (bare, bare_cpu_us) = {
        let limits = web::Options::new(ANY).limits;
        let server = runtime.block_on(web::Server::bind(ANY, limits));
        let server = server.map_err(Error::io("bind", &dir))?;
        let address = server.address();
        runtime.spawn(web::bare::serve(server, body, std::future::pending()));
        measure(helper, address)?
    };
    Ok(Figures {
        ratio: reads.per_second / bare.per_second,
        reads_per_second: reads.per_second,
        bare_per_second: bare.per_second,
        p50_ms: reads.p50_ms,
        cpu_us_per_read: reads_cpu_us,
        bare_cpu_us,
        answer_bytes,
    })
}

async fn fill(served: &Served, files: &Files) -> Result<(), Error> {
    let engine = &served.engine;
    let partition = engine::as_partition(0, Feed::open(files, 0)?);
    let consumers = [engine.consume(partition, "file")];
    engine::unless_fatal(engine, async {
        engine::all_taken(engine, &consumers, files).await?;
        engine::all_durable(engine).await;
        Ok(())
    })
    .await
}

/// What an inbox is answered with: the bare route answers the same.
async fn one_answer(address: SocketAddr) -> Result<Bytes, Error> {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {} HTTP/1.1\r\nhost: bench\r\n\r\n", inbox(1));
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let body_from = read_answer(&mut stream, &mut answer).await?;
        Ok::<_, io::Error>(answer.split_off(body_from))
    };
    let answer = answer.await.map_err(Error::io("talk to", Path::new(&address.to_string())))?;
    Ok(Bytes::from(answer))
}

/// What the client sees, and the server's CPU time a request in µs.
fn measure(helper: &Helper, address: SocketAddr) -> Result<(client::Figures, f64), Error> {
    let ask = |requests: u64| {
        let words = ["bench", "client", "--load", "inboxes"].map(str::to_owned);
        let mut arguments = Vec::from(words);
        for (flag, value) in [
            ("--address", address.to_string()),
            ("--connections", CONNECTIONS.to_string()),
            ("--requests", requests.to_string()),
            ("--users", USERS.to_string()),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
        helper.run::<client::Figures>(&arguments)
    };
    ask(REQUESTS / 10)?;
    let before = Usage::now();
    let figures = ask(REQUESTS)?;
    Ok((figures, Usage::now().since(&before).cpu_us as f64 / REQUESTS as f64))
}
