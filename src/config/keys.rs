//! Every key there is: one row each, with its default, its range and what it means.
//!
//! The file, the environment, the printed configuration and the faults' advice are all made from
//! this table, so that none of them can know a key the others don't. A key's unit is the last part
//! of its name. What is *not* here: combinations of keys (`config`), and reading (`layers`).

/// What a key's value has to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Takes {
    /// A file-system path.
    Path,
    /// `HOST:PORT` with a numeric host.
    Address,
    /// Any text, with an example.
    Text { such_as: &'static str },
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts, with an example; in one line they are separated by commas.
    List { such_as: &'static str },
    /// A table of texts by name, with an example.
    Table { such_as: &'static str },
    /// `true` or `false`.
    Switch,
    /// A whole number of a unit, both ends included.
    Whole { unit: &'static str, min: u64, max: u64 },
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// As it is written: `journal.segment_bytes` is `segment_bytes` in the table `[journal]`.
    pub(super) name: &'static str,
    /// Its value when nobody says anything, as it would stand in the file (without quotes).
    pub(super) default: &'static str,
    pub(super) takes: Takes,
    /// One or two sentences for the operator.
    pub(super) meaning: &'static str,
}

const fn key(
    name: &'static str,
    default: &'static str,
    takes: Takes,
    meaning: &'static str,
) -> Key {
    Key { name, default, takes, meaning }
}

const fn bytes(min: u64, max: u64) -> Takes {
    Takes::Whole { unit: "bytes", min, max }
}

const fn count(unit: &'static str, min: u64, max: u64) -> Takes {
    Takes::Whole { unit, min, max }
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// All keys; those of one table stand together.
pub(super) static KEYS: &[Key] = &[
    key(
        "data",
        "bellwether-data",
        Takes::Path,
        "The data directory: journal, store and outbox. One process holds it at a time.",
    ),
    key(
        "listen",
        "127.0.0.1:8080",
        Takes::Address,
        "Where HTTP is served. Port 0 takes any free one, which is printed at the start.",
    ),
    key(
        "allow_unauthenticated",
        "false",
        Takes::Switch,
        "Nobody is asked who they are: to listen beyond loopback all the same, say so here.",
    ),
    key(
        "drain_s",
        "30",
        count("seconds", 1, 3_600),
        "How long a stop may take to finish what was accepted before it gives up.",
    ),
    key(
        "read_wait_ms",
        "2000",
        count("milliseconds", 0, 60_000),
        "How long a read with at_least waits before it answers not-yet.",
    ),
    key(
        "producers_max",
        "10000",
        count("producers", 1, 1_000_000),
        "How many producers may number their events; one more is refused.",
    ),
    key(
        "journal.segment_bytes",
        "67108864",
        bytes(MIB, 4 * GIB),
        "The size of a journal file; each is allocated whole, ahead of its use.",
    ),
    key(
        "journal.ring_bytes",
        "67108864",
        bytes(MIB, 16 * GIB),
        "How much of the journal's end stays in memory for those who read it.",
    ),
    key(
        "journal.disk_reserve_bytes",
        "268435456",
        bytes(0, 1_024 * GIB),
        "Intake is turned away while the disk has less free than this.",
    ),
    key(
        "journal.ids_window_h",
        "24",
        count("hours", 1, 720),
        "How long the (source, id) of an event without a number is remembered.",
    ),
    key(
        "journal.ids_window_max",
        "2000000",
        count("events", 1_000, 100_000_000),
        "How many (source, id) pairs are remembered at most.",
    ),
    key(
        "journal.retain_bytes",
        "0",
        bytes(0, 1_024 * 1_024 * GIB),
        "At least so much of the journal is kept beyond the newest good snapshot. 0: as \
         retain_days says, or all of it.",
    ),
    key(
        "journal.retain_days",
        "0",
        count("days", 0, 36_500),
        "At least what was appended in so many days is kept. 0: as retain_bytes says, or all of \
         it. With both, what both let go of goes.",
    ),
    key(
        "snapshot.interval_s",
        "0",
        count("seconds", 0, 31_536_000),
        "A snapshot is taken this long after the last, if anything changed. 0: only when asked, \
         or every hour if the journal is not kept whole.",
    ),
    key(
        "snapshot.keep",
        "2",
        count("snapshots", 1, 10_000),
        "How many snapshots are kept; the oldest beyond that is removed when one was taken.",
    ),
    key(
        "snapshot.folder",
        "",
        Takes::Text { such_as: "/mnt/backup" },
        "Where snapshots go: best another disk. Empty: the folder snapshots in the data directory.",
    ),
    key("store.cache_bytes", "134217728", bytes(MIB, 64 * GIB), "The store's page cache."),
    key(
        "store.checkpoint_journal_bytes",
        "67108864",
        bytes(MIB, 64 * GIB),
        "A checkpoint begins when the journal has grown by this since the last.",
    ),
    key(
        "store.checkpoint_interval_s",
        "30",
        count("seconds", 1, 86_400),
        "A checkpoint begins at the latest this long after the last, if anything changed.",
    ),
    key(
        "store.behind_bytes_max",
        "1073741824",
        bytes(MIB, 1_024 * GIB),
        "Intake waits while more of the journal than this is in no checkpoint: a slow disk slows \
         it down. At least four times checkpoint_journal_bytes counts.",
    ),
    key(
        "store.open_s_max",
        "60",
        count("seconds", 1, 3_600),
        "A store that takes longer to open is moved aside and rebuilt from the journal.",
    ),
    key(
        "engine.workers",
        "0",
        count("threads", 0, 64),
        "How many threads host the shards. 0: one per core.",
    ),
    key(
        "engine.residents_max",
        "1000000",
        count("residents", 100, 100_000_000),
        "How many entities are live in memory, some 2 KB each, before idle ones are put to rest.",
    ),
    key(
        "engine.resident_idle_s",
        "300",
        count("seconds", 1, 86_400),
        "An entity nobody spoke to for this long is put to rest.",
    ),
    key(
        "engine.in_flight_records_max",
        "65536",
        count("records", 1_024, 100_000_000),
        "Intake waits while the slowest shard is further behind the journal than this.",
    ),
    key(
        "engine.in_flight_bytes_max",
        "67108864",
        bytes(MIB, 16 * GIB),
        "Intake waits while more than this is not written to the journal yet, or stands in \
         requests that are just being taken in.",
    ),
    key(
        "engine.restarts_max",
        "5",
        count("restarts", 0, 1_000),
        "An actor that fails more often than this within the window stops the process.",
    ),
    key(
        "engine.restarts_window_s",
        "60",
        count("seconds", 1, 86_400),
        "The window in which restarts are counted.",
    ),
    key(
        "http.connections_max",
        "10000",
        count("connections", 1, 1_000_000),
        "Beyond this the connection that has been idle longest is closed for the new one. At most \
         what the limit of open files has room for.",
    ),
    key(
        "http.header_timeout_ms",
        "10000",
        count("milliseconds", 100, 600_000),
        "A request's headers must have arrived in this time; a connection may be idle, or a client \
         take nothing of its answer, as long.",
    ),
    key(
        "http.body_bytes_max",
        "1048576",
        bytes(1_024, GIB),
        "The largest body of a request, and the largest event.",
    ),
    key(
        "http.batch_bytes_max",
        "8388608",
        bytes(1_024, GIB),
        "The largest body of a batch of events.",
    ),
    key(
        "demo.enabled",
        "false",
        Takes::Switch,
        "Runs a synthetic campus: made-up users, courses and payments, from several partitions.",
    ),
    key(
        "demo.events_per_second",
        "200",
        count("events per second", 1, 1_000_000),
        "How fast the campus lives.",
    ),
    key("demo.users", "2000", count("users", 1, 10_000_000), "How many people the campus has."),
    key("demo.courses", "40", count("courses", 1, 100_000), "How many courses it offers."),
    key(
        "kafka.brokers",
        "",
        Takes::Text { such_as: "127.0.0.1:9092,127.0.0.1:9093" },
        "Kafka's brokers to begin with. Empty: there is no Kafka.",
    ),
    key(
        "kafka.group",
        "bellwether",
        Takes::Text { such_as: "bellwether" },
        "The consumer group. Processes of one group share the partitions; each has its own data.",
    ),
    key(
        "kafka.topics",
        "[]",
        Takes::List { such_as: r#"["campus.events", "^orders\\..*"]"# },
        "The topics to read domain events from; a pattern begins with ^. Empty: none.",
    ),
    key(
        "kafka.start",
        "earliest",
        Takes::Word(&["earliest", "latest"]),
        "Where a partition begins that the journal does not know.",
    ),
    key(
        "kafka.on_gap",
        "stop",
        Takes::Word(&["stop", "continue"]),
        "When records were removed before they were read, or a log was cut: the partition waits \
         for an operator, or goes on with what there is. It is logged, counted and journaled.",
    ),
    key(
        "kafka.on_recreated",
        "stop",
        Takes::Word(&["stop", "start-over"]),
        "When a topic was deleted and made again: its partitions wait for an operator, or are read \
         from their start.",
    ),
    key(
        "kafka.on_foreign",
        "continue",
        Takes::Word(&["stop", "continue"]),
        "When another process of the group, with another data directory, has read a partition \
         further than this one: it waits for an operator, or goes on behind what the other has.",
    ),
    key(
        "kafka.topic",
        "{}",
        Takes::Table { such_as: r#"{ "campus.events.source" = "/campus" }"# },
        "What records of a topic mean that do not say it: source, and by which type_header or \
         type_field a value of bare JSON says its type. Best as tables: [kafka.topic.\"NAME\"].",
    ),
    key(
        "kafka.client",
        "{}",
        Takes::Table { such_as: r#"{ "security.protocol" = "SASL_SSL" }"# },
        "Properties of librdkafka, such as security, for every connection. Those that the process \
         depends on itself are refused.",
    ),
    key(
        "kafka.sink_topic",
        "payment.events",
        Takes::Text { such_as: "payment.events" },
        "The topic that published events go to. Empty: they go to none.",
    ),
    key(
        "kafka.routes",
        "{}",
        Takes::Table { such_as: r#"{ "commerce.payment.refunded" = "refunds" }"# },
        "Topics for some types of published events; a type may end in an asterisk.",
    ),
    key(
        "kafka.exactly_once",
        "false",
        Takes::Switch,
        "Sends published events in transactions: readers with isolation.level=read_committed see \
         each once. Otherwise an event may come again after a crash, under the same id.",
    ),
    key(
        "kafka.dlq",
        "false",
        Takes::Switch,
        "Copies records of Kafka that are no events to the topic dlq.<topic>.",
    ),
];

impl Takes {
    /// What would be right, for a fault's advice and for the printed file.
    pub(super) fn describe(self) -> String {
        match self {
            Takes::Path => "a path".into(),
            Takes::Address => "HOST:PORT with a numeric host, such as 127.0.0.1:8080".into(),
            Takes::Text { such_as } => format!("a text, such as {such_as:?}"),
            Takes::Word(words) => format!("one of {}", words.join(", ")),
            Takes::List { such_as } => format!("a list of texts, such as {such_as}"),
            Takes::Table { such_as } => format!("a table of texts, such as {such_as}"),
            Takes::Switch => "true or false".into(),
            Takes::Whole { unit, min, max } => {
                format!("a whole number of {unit} from {min} to {max}")
            }
        }
    }
}

/// The key of exactly this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key somebody who wrote `name` most likely meant: the same but for its table, its unit, or a
/// slip of the finger.
pub(super) fn closest(name: &str) -> Option<&'static Key> {
    let leaf = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let stem = |name: &str| leaf(name).rsplit_once('_').map(|(stem, _)| stem.to_owned());
    let same_leaf = |key: &&Key| leaf(key.name) == leaf(name);
    let same_stem = |key: &&Key| {
        let written = stem(name).unwrap_or_else(|| leaf(name));
        stem(key.name).is_some_and(|stem| stem == written || stem == leaf(name))
    };
    KEYS.iter().find(same_leaf).or_else(|| KEYS.iter().find(same_stem)).or_else(|| {
        let near =
            KEYS.iter().map(|key| (distance(key.name, name), key)).min_by_key(|(d, _)| *d)?;
        (near.0 <= 3).then_some(near.1)
    })
}

/// The table whose name is closest to `name`, if any is close.
pub(super) fn closest_table(name: &str) -> Option<&'static str> {
    let tables = KEYS.iter().filter_map(|key| key.name.split_once('.')).map(|(table, _)| table);
    let near = tables.map(|table| (distance(table, name), table)).min()?;
    (near.0 <= 1).then_some(near.1)
}

/// How many letters to change, add or take away to get from one to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(100).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_names_its_unit_last() {
        let ends = [
            ("bytes", &["_bytes", "_bytes_max"][..]),
            ("seconds", &["_s", "_s_max"]),
            ("milliseconds", &["_ms"]),
            ("hours", &["_h"]),
        ];
        for key in KEYS {
            if let Takes::Whole { unit, min, max } = key.takes {
                assert!(min < max, "{}", key.name);
                if let Some((_, ends)) = ends.iter().find(|(of, _)| *of == unit) {
                    let leaf = key.name.rsplit('.').next().unwrap();
                    assert!(ends.iter().any(|end| leaf.ends_with(end)), "{leaf}");
                }
            }
            assert!(key.meaning.ends_with('.'), "{}", key.name);
            assert!(std::ptr::eq(find(key.name).unwrap(), key), "{} stands there twice", key.name);
        }
    }

    #[test]
    fn a_wrong_name_finds_the_key_that_was_meant() {
        let cases = [
            ("segment_bytes", Some("journal.segment_bytes")),
            ("journal.segment_mb", Some("journal.segment_bytes")),
            ("journal.segment", Some("journal.segment_bytes")),
            ("journal.segmnt_bytes", Some("journal.segment_bytes")),
            ("lissten", Some("listen")),
            ("drain_ms", Some("drain_s")),
            ("http.tls_certificate", None),
        ];
        for (written, meant) in cases {
            assert_eq!(closest(written).map(|key| key.name), meant, "{written}");
        }
    }
}
