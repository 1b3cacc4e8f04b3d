//! `serve`: the process itself, from its configuration to its last checkpoint.
//!
//! Start: engine (reads its data directory, begins to replay), door (reads answer at once), then
//! the synthetic campus and Kafka, if asked for, once recovery has caught up. Stop: the door lets
//! go, the engine drains. What is *not* here: how any of them works.

use super::{Ended, Error};
use crate::cli::Serve;
use crate::config::{Config, Demo};
use crate::process::signals::Signals;
use crate::process::{self, descriptors};
use state::frame::{Way, WayKind};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::time::Instant;
use tokio::sync::{oneshot, watch};
use topology::Engine;
use topology::sources::Partition;
use topology::sources::campus::Campus;
use topology::sources::paced::Paced;
use topology::tree::{Child, Run, Start, Work};
use web::{Door, Limits, Options};

/// The synthetic campus is the same in every process, and so goes on after a restart.
const CAMPUS_SEED: u64 = 1;
const CAMPUS_PARTITIONS: u32 = 4;

pub(super) fn run(arguments: &Serve) -> Result<Ended, Error> {
    let (config, effective) = Config::load(arguments.config.clone(), arguments.flags())?;
    if arguments.print_config {
        std::io::stdout().write_all(effective.as_bytes())?;
        return Ok(Ended::Done);
    }
    process::log("info");
    process::run(serve(&config))
}

async fn serve(config: &Config) -> Result<Ended, Error> {
    let mut signals = Signals::listen()?;
    let engine = process::start(process::options(config)).await?;
    let connections_max = descriptors::make_room(config.http.connections_max);
    let options = door_options(config, connections_max);
    let door = match Door::bind(options, engine.handle()).await {
        Ok(door) => door,
        Err(error) => {
            // Nothing was accepted; what the engine did so far is worth keeping all the same.
            process::drain(&engine, config.drain).await.ok();
            return Err(Error::Failed(format!("{error}; choose another address with --listen")));
        }
    };
    if let Some(sink) = config.kafka.as_ref().and_then(process::kafka_sink) {
        engine.send_to_kafka(sink);
    }
    greet(config, door.address())?;
    let (close, drained) = open(&engine, door, options);
    let ended = tokio::select! {
        ended = live(&engine, config) => ended,
        signal = signals.next() => {
            tracing::info!(signal, drain_s = config.drain.as_secs(), "draining");
            Ok(())
        }
    };
    ended?;
    tokio::select! {
        drained = async {
            close.send(()).ok();
            let cut_off = drained.await.unwrap_or(0);
            if cut_off > 0 {
                tracing::warn!(connections = cut_off, "connections were cut off");
            }
            process::drain(&engine, config.drain).await
        } => drained?,
        signal = signals.next() => {
            return Err(Error::Failed(format!(
                "{signal} came while draining: what was accepted is in the journal, and the next \
                 start goes on from there"
            )));
        }
    }
    tracing::info!("stopped");
    Ok(Ended::Done)
}

/// Puts the door under the tree: should it ever fail, it is opened again where it was. Gives what
/// closes it, and what tells how many connections were cut off then.
fn open(
    engine: &Engine,
    door: Door,
    options: Options,
) -> (watch::Sender<()>, oneshot::Receiver<usize>) {
    let (close, closed) = watch::channel(());
    let (tell, drained) = oneshot::channel();
    let options = Options { listen: door.address(), ..options };
    let first = Mutex::new(Some((door, tell)));
    let handle = engine.handle();
    let start = move || {
        let first = first.lock().expect("nobody panics while taking").take();
        let (handle, mut closed) = (handle.clone(), closed.clone());
        let serving = async move {
            let (door, tell) = match first {
                Some((door, tell)) => (door, Some(tell)),
                None => (Door::bind(options, handle).await.map_err(|e| e.to_string())?, None),
            };
            let drained = door.serve(async move {
                // An error means that the sender is gone, which is to say the same.
                closed.changed().await.ok();
            });
            let cut_off = drained.await.cut_off;
            // Nobody waits for it unless the process is stopping.
            let _ = tell.map(|tell| tell.send(cut_off));
            Ok(())
        };
        Box::pin(serving) as Run
    };
    let start = Start::Shared(Arc::new(start));
    engine.tree().add(Child { name: "door".to_owned(), work: Work::Finite, start });
    (close, drained)
}

/// Lives until the supervision tree gives up.
async fn live(engine: &Engine, config: &Config) -> Result<(), Error> {
    let mut fatal = engine.tree().fatal();
    let starting = async {
        engine.caught_up().await;
        tracing::info!("recovery has caught up");
        if let Some(demo) = &config.demo {
            campus(engine, demo);
        }
        if let Some(kafka) = config.kafka.as_ref().filter(|kafka| !kafka.topics.is_empty()) {
            engine.consume_kafka(process::kafka_source(kafka));
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = starting => unreachable!("it never ends"),
        why = fatal.wait_for(Option::is_some) => {
            let why = why.ok().and_then(|why| why.clone());
            let why = why.unwrap_or_else(|| "the supervision tree has ended".into());
            Err(Error::Failed(format!("{why}: start it again, nothing that was accepted is lost")))
        }
    }
}

/// Starts the synthetic campus: partitions that are read, decoded and journaled side by side.
fn campus(engine: &Engine, demo: &Demo) {
    let partitions = CAMPUS_PARTITIONS.min(demo.users).min(demo.events_per_second);
    let began = Instant::now();
    for partition in 0..partitions {
        let share = |whole: u32| (whole + partition) / partitions;
        let (users, courses) = (u64::from(demo.users), u64::from(demo.courses));
        let campus =
            Campus::new(CAMPUS_SEED, users, courses, u64::from(partition), u64::from(partitions));
        let rate = u64::from(share(demo.events_per_second));
        // A campus of another size is another one, and its numbers begin anew.
        let way = format!("campus-{users}-{courses}-{partition}-of-{partitions}");
        let partition = Partition {
            name: format!("campus-{partition}"),
            way: Way::new(WayKind::Producer, &way),
            source: Box::new(Paced::new(campus, rate, Box::new(move || began.elapsed()))),
            on_reject: Box::new(|reject| unreachable!("the campus says {reject:?}")),
        };
        engine.consume(partition, "campus");
    }
    tracing::info!(
        events_per_second = demo.events_per_second,
        users = demo.users,
        courses = demo.courses,
        partitions,
        "the campus lives"
    );
}

fn door_options(config: &Config, connections_max: usize) -> Options {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    Options {
        // What the configuration let through is meant.
        allow_unauthenticated: true,
        limits: Limits {
            connections_max,
            header_wait_max: config.http.header_timeout,
            drain_max: config.drain / 2,
        },
        body_bytes_max: bytes(config.http.body_bytes_max),
        batch_bytes_max: bytes(config.http.batch_bytes_max),
        bodies_bytes_max: bytes(config.engine.in_flight_bytes_max),
        body_wait_max: Duration::from_secs(30),
        read_wait_max: config.read_wait,
        ..Options::new(config.listen)
    }
}

/// Says where it is, and what to try.
fn greet(config: &Config, address: SocketAddr) -> Result<(), Error> {
    let user = if config.demo.is_some() { "u-000001" } else { "ada" };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "bellwether {} listens on http://{address}, data in {}\n",
        env!("CARGO_PKG_VERSION"),
        config.data.display()
    )?;
    let paths = [
        "/health/ready".to_owned(),
        "/api/v1/courses?limit=3".to_owned(),
        format!("/api/v1/users/{user}/inbox?limit=3"),
        "/api/v1/ops/tree".to_owned(),
        "/metrics".to_owned(),
    ];
    for path in paths {
        writeln!(out, "  curl -s 'http://{address}{path}'")?;
    }
    writeln!(out)?;
    out.flush()?;
    tracing::info!(%address, "listening");
    Ok(())
}
