//! The command line: verbs, flags, and what they are worth in the end (exit codes).
//!
//! Only shapes and help texts stand here; each verb's work is in its own file under `verbs`, and
//! what configuration keys mean is `config`'s. Flags of `serve` that are also keys are handed on as
//! text, so that one place judges their values.

pub(crate) mod bench;

use crate::config::FlagValue;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// The server that verbs talk to unless told otherwise.
pub(crate) const SERVER: &str = "http://127.0.0.1:8080";

/// One process for the event-driven back office: a durable journal, an actor per thing that lives,
/// exactly once.
#[derive(Debug, Parser)]
#[command(name = "bellwether", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
    /// Without a verb, it serves.
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Runs the process (the default)
    Serve(Serve),
    /// Sends a file of CloudEvents, one JSON object per line, exactly once
    Ingest(Ingest),
    /// Sends tables of another system as domain events, exactly once
    #[command(subcommand)]
    Import(Import),
    /// Shows an entity: its view, its position and its history, as JSON
    Inspect(Inspect),
    /// Shows records of the journal, one JSON object per line
    Journal(Journal),
    /// Checks a data directory at rest: checksums, positions, and every row against the journal
    Verify(Verify),
    /// Builds a data directory from another's journal, carrying nothing out, and names who differs
    Replay(Replay),
    /// Tells the whole history to a kind that was added later, on a data directory at rest
    Backfill(Backfill),
    /// Writes all that a data directory needs to go on into one checksummed file
    Snapshot(Snapshot),
    /// Makes a data directory of a snapshot
    Restore(Restore),
    /// Plays the engine's core in worlds that fail, a seed each, and checks every promise
    Simulate(Simulate),
    /// Looks at the Kafka configuration step by step, and says what is wrong and what to do
    Doctor(Doctor),
    /// Measured comparisons, each in one run against a named baseline
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Prints shell completions
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(crate) from: u64,
    /// Prints what came of each seed
    #[arg(long)]
    pub(crate) trace: bool,
    /// How much clients want, instead of what the seed says
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(crate) wants: Option<usize>,
    /// After how many changes to the disk the power goes, each time, instead of what the seed says
    #[arg(long, value_name = "N,N", hide_short_help = true)]
    pub(crate) crashes: Option<String>,
    /// Whether the disk fails now and then, instead of what the seed says
    #[arg(long, value_name = "BOOL", hide_short_help = true)]
    pub(crate) faults: Option<bool>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Serve {
    /// The configuration file [default: bellwether.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data directory [default: bellwether-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// Where to serve HTTP; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Lets others than this machine in, though nobody is asked who they are
    #[arg(long)]
    pub(crate) allow_unauthenticated: bool,
    /// Runs a synthetic campus: users, courses and payments that live on their own
    #[arg(long)]
    pub(crate) demo: bool,
    /// How fast the campus lives [default: 200]
    #[arg(long, value_name = "EVENTS_PER_SECOND")]
    pub(crate) demo_rate: Option<String>,
    /// Reads domain events from Kafka: HOST:PORT, separated by commas
    #[arg(long, value_name = "BROKERS", requires = "topic")]
    pub(crate) kafka: Option<String>,
    /// From these topics
    #[arg(long, value_name = "TOPIC", requires = "kafka", value_delimiter = ',')]
    pub(crate) topic: Vec<String>,
    /// Prints the whole effective configuration, with each key's meaning and default, and ends
    #[arg(long)]
    pub(crate) print_config: bool,
}

impl Serve {
    /// The flags that are configuration keys.
    pub(crate) fn flags(&self) -> Vec<FlagValue> {
        let mut flags = Vec::new();
        let mut push = |key, value: Option<&str>, flag| {
            flags.extend(value.map(|value| (key, value.to_owned(), flag)));
        };
        push("data", self.data.as_deref(), "--data");
        push("listen", self.listen.as_deref(), "--listen");
        let allow = self.allow_unauthenticated.then_some("true");
        push("allow_unauthenticated", allow, "--allow-unauthenticated");
        push("demo.enabled", self.demo.then_some("true"), "--demo");
        push("kafka.brokers", self.kafka.as_deref(), "--kafka");
        let topics = (!self.topic.is_empty()).then(|| self.topic.join(","));
        push("kafka.topics", topics.as_deref(), "--topic");
        push("demo.events_per_second", self.demo_rate.as_deref(), "--demo-rate");
        flags
    }
}

/// Where events go.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// A running server [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    pub(crate) to: Option<String>,
    /// A data directory that no server holds
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

impl Target {
    /// The server, if no data directory was named.
    pub(crate) fn url(&self) -> &str {
        self.to.as_deref().unwrap_or(SERVER)
    }
}

/// How events are sent.
#[derive(Debug, Args)]
pub(crate) struct Feeding {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The name under which lines are numbered; running again under the same name changes nothing
    #[arg(long, value_name = "NAME", value_parser = producer)]
    pub(crate) producer: Option<String>,
    /// Events per request at most
    #[arg(long, value_name = "N", default_value_t = 1_000,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) batch: u32,
    /// Where lines that are no events are written [default: <INPUT>.rejects.ndjson]
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// The file, or - for standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) feeding: Feeding,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// The Open University Learning Analytics Dataset, such as samples/oulad
    Oulad {
        /// The folder with the tables, .csv or .csv.zst
        dir: PathBuf,
        #[command(flatten)]
        feeding: Feeding,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Such as inbox/u-42
    #[arg(value_name = "KIND/KEY", value_parser = address)]
    pub(crate) address: (String, String),
    /// As it was: by the records below this position alone
    #[arg(long, value_name = "POSITION")]
    pub(crate) until: Option<u64>,
    /// How many records of its history to show, newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) history: u32,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The configuration file [default: bellwether.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct AtRest {
    /// The data directory
    #[arg(long, value_name = "DIR", default_value = "bellwether-data")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Backfill {
    /// The kind, such as course
    pub(crate) kind: String,
    #[command(flatten)]
    pub(crate) at: AtRest,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The data directory to be replayed; it is only looked at
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// The new data directory: empty, or not there
    #[arg(long, value_name = "DIR")]
    pub(crate) into: PathBuf,
    /// Only the records below this position
    #[arg(long, value_name = "POSITION")]
    pub(crate) until: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) at: AtRest,
    /// Checks this snapshot, and nothing else
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub(crate) snapshot: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The file [default: named after its position, in the folder snapshots of the data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The snapshot
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The data directory: empty, or not there
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Journal {
    #[command(flatten)]
    pub(crate) at: AtRest,
    /// The first position to show
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    pub(crate) from: u64,
    /// How many records to show at most
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Only records of this entity
    #[arg(long, value_name = "KIND/KEY", value_parser = address)]
    pub(crate) address: Option<(String, String)>,
    /// Waits for more at the end
    #[arg(long)]
    pub(crate) follow: bool,
}

/// `KIND/KEY`; a key may hold slashes.
fn address(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((kind, key)) if !kind.is_empty() => match actors::id_fault(key) {
            None => Ok((kind.to_owned(), key.to_owned())),
            Some(fault) => Err(format!("the key {fault}")),
        },
        _ => Err("an address is KIND/KEY, such as inbox/u-42".into()),
    }
}

/// A producer's name travels in a header.
fn producer(text: &str) -> Result<String, String> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > actors::words::ID_BYTES_MAX || !visible {
        return Err("a producer's name is 1 to 256 visible ASCII characters".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_verb_it_serves() {
        let cli = Cli::try_parse_from(["bellwether", "--demo", "--listen", "127.0.0.1:0"]).unwrap();
        assert!(cli.verb.is_none());
        let keys: Vec<_> = cli.serve.flags().into_iter().map(|(key, ..)| key).collect();
        assert_eq!(keys, ["listen", "demo.enabled"]);
        assert!(Cli::try_parse_from(["bellwether", "--demo", "ingest", "x"]).is_err());
    }

    #[test]
    fn addresses_and_names_are_checked() {
        assert_eq!(address("inbox/a/b"), Ok(("inbox".into(), "a/b".into())));
        for wrong in ["inbox", "/u", "inbox/", "inbox/a\nb"] {
            assert!(address(wrong).is_err(), "{wrong:?}");
        }
        assert!(producer("a b").is_err() && producer("").is_err() && producer("é").is_err());
        assert_eq!(producer("a-b"), Ok("a-b".into()));
    }
}
