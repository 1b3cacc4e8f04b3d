//! What follows `bench` on the command line.
//!
//! The benches themselves are in their own crate; here are the flags, and what is meant if they are
//! not given. Hidden verbs are what a bench starts this binary with again, for what has to be done
//! by another process.

use clap::{Args, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// The engine from consumer to checkpoint, beside the same folds in a plain hash table
    Engine(Engine),
    /// Durable commands over HTTP, beside bare fdatasyncs on the same disk
    Payments(Common),
    /// Reads of inboxes over HTTP, beside a route that answers the same bytes
    Reads(Common),
    /// Reads of inboxes beside intake at 80 % of what can be taken in, and with nothing else to do
    Beside(Common),
    /// The journal alone, beside bare writes and fdatasyncs of the same bytes
    Journal(Common),
    /// What entities at rest take, on the disk and in memory
    Rest(Rest),
    /// How long a killed process takes to answer again, and to be ready
    Restart(Restart),
    /// All of them but Kafka's, one after another, into one file
    All(All),
    /// Does one hot path so often and no more, for a tool that counts instructions
    #[command(hide = true)]
    Count(Count),
    /// Takes events in and waits to be killed
    #[command(hide = true)]
    Fill(Restart),
    /// The engine fed by Kafka, beside a bare consumer that only counts
    Kafka(Kafka),
    /// Writes the benches' campus to a file, an event a line: the same arguments, the same bytes
    Generate(Generate),
    /// Asks a server, from a process of its own
    #[command(hide = true)]
    Client(Client),
    /// Measures what a live inbox takes beyond its state
    #[command(hide = true)]
    Residents(Common),
}

/// What every bench understands.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Where to write: into a directory of its own there, removed at the end [default: here]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// How often to measure; medians are shown
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) runs: u32,
    /// One JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Engine {
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 2_000_000,
          value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) events: u64,
    /// How many people they are about
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(64..))]
    pub(crate) users: u64,
    /// Threads that host shards [default: one per core, as it is served]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers: Option<u16>,
    /// Partitions, each with a consumer of its own
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) partitions: u64,
    /// Leaves out what a live inbox takes, which is measured in another process
    #[arg(long)]
    pub(crate) no_residents: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Rest {
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 2_000_000,
          value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) events: u64,
    /// How many people they are about
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(64..))]
    pub(crate) users: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct All {
    /// Where the figures go
    #[arg(long, value_name = "FILE")]
    pub(crate) json: PathBuf,
    /// How often to measure each; medians are kept
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) runs: u32,
    /// Ten million entities too, which takes long and 16 GB of memory
    #[arg(long)]
    pub(crate) huge: bool,
    /// Only tries it out, with little of everything: no figure of it means anything
    #[arg(long)]
    pub(crate) quick: bool,
    /// Where to write: into directories of their own there, removed at the end [default: here]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Path {
    Nothing,
    Decode,
    Fold,
    Journal,
    Row,
    Engine,
}

#[derive(Debug, Args)]
pub(crate) struct Count {
    pub(crate) path: Path,
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) events: u64,
    /// How many people they are about
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) users: u64,
    /// Where to
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 2_000_000,
          value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) events: u64,
    /// How many people they are about
    #[arg(long, value_name = "N", default_value_t = 600_000,
          value_parser = clap::value_parser!(u64).range(64..))]
    pub(crate) users: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Kafka {
    /// Brokers to measure with: HOST:PORT, separated by commas
    #[arg(long, value_name = "BROKERS")]
    pub(crate) brokers: String,
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) events: u64,
    /// How many people they are about
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(64..))]
    pub(crate) users: u64,
    /// Threads that host shards [default: one per core, as it is served]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers: Option<u16>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Load {
    /// New payments.
    Payments,
    /// Inboxes.
    Inboxes,
}

#[derive(Debug, Args)]
pub(crate) struct Client {
    #[arg(long)]
    pub(crate) load: Load,
    #[arg(long)]
    pub(crate) address: SocketAddr,
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) connections: u64,
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: u64,
    /// As fast as they are answered, if it is not said.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) per_second: Option<u64>,
    /// What new payments' idempotency keys begin with.
    #[arg(long, default_value = "bench")]
    pub(crate) name: String,
    /// How many people there are.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) users: u64,
}
