//! Layers over each other, every way to be wrong, and the printed file.

use super::*;
use std::fs;
use topology::kafka::{Decision, Policy, TopicDefaults};

fn load(file: Option<&str>, variables: &[(&str, &str)]) -> Result<(Config, String), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bellwether.toml");
    if let Some(text) = file {
        fs::write(&path, text).unwrap();
    }
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    Config::from_layers(file.map(|_| path.as_path()), variables, Vec::new())
        .map_err(|fault| fault.to_string().replace(&dir.path().display().to_string(), "."))
}

#[test]
fn the_environment_wins_over_the_file_and_flags_over_both() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my.toml");
    fs::write(&path, "drain_s = 7\nread_wait_ms = 0x10\n[journal]\nsegment_bytes = 134_217_728\n")
        .unwrap();
    let variables = [("BELLWETHER_DRAIN_S", "8"), ("BELLWETHER_JOURNAL__RING_BYTES", "2_097_152")];
    let variables = variables.map(|(name, value)| (name.into(), value.into())).into_iter();
    let flags = vec![("listen", "127.0.0.1:0".into(), "--listen")];
    let (config, _) = Config::from_layers(Some(&path), variables, flags).unwrap();
    assert_eq!(config.drain, Duration::from_secs(8));
    assert_eq!(config.read_wait, Duration::from_millis(16));
    assert_eq!((config.journal.segment_bytes, config.journal.ring_bytes), (1 << 27, 1 << 21));
    assert_eq!(config.listen, "127.0.0.1:0".parse().unwrap());
    assert!(config.engine.workers > 0);
    assert_eq!(config.demo, None);
}

#[test]
fn each_fault_says_where_what_and_what_would_be_right() {
    let cases: [(&str, &[(&str, &str)]); 14] = [
        ("\ndata = [", &[]),
        ("[journal]\n\nsegment_mb = 64\n", &[]),
        ("[journal]\nsegment_bytes = \"64 MiB\"\n", &[]),
        ("[journal]\nsegment_bytes = 1.5\n", &[]),
        ("drain_s = -1\n", &[]),
        ("[jurnal]\nsegment_bytes = 1\n", &[]),
        ("journal = 5", &[]),
        ("", &[("BELLWETHER_JOURNAL__SEGMENT_BYTES", "lots")]),
        ("", &[("BELLWETHER_COLOR", "red")]),
        ("\nlisten = \"0.0.0.0:80\"", &[]),
        ("[http]\nbatch_bytes_max = 134217728", &[]),
        ("[kafka]\nbrokers = 9092", &[]),
        ("[kafka.client]\nsasl.mechanisms = [\"PLAIN\"]", &[]),
        ("kafka.brokers = \"a:1\"\n[kafka.client]\nacks = 1", &[]),
    ];
    let mut said = String::new();
    for (file, variables) in cases {
        said += &load(Some(file), variables).unwrap_err();
        said += "\n";
    }
    expect_test::expect![[r#"
        ./bellwether.toml line 2: this is not TOML: unclosed array, expected `]`
        ./bellwether.toml line 3: there is no key journal.segment_mb; did you mean journal.segment_bytes, a whole number of bytes from 1048576 to 4294967296?
        ./bellwether.toml line 2: journal.segment_bytes can't be "64 MiB"; it takes a whole number of bytes from 1048576 to 4294967296
        ./bellwether.toml line 2: journal.segment_bytes can't be 1.5; it takes a whole number of bytes from 1048576 to 4294967296
        ./bellwether.toml line 1: drain_s can't be -1; it takes a whole number of seconds from 1 to 3600
        ./bellwether.toml line 1: there is no key jurnal; did you mean the table [journal]?
        ./bellwether.toml line 1: there is no key journal; [journal] is a table of keys
        variable BELLWETHER_JOURNAL__SEGMENT_BYTES: journal.segment_bytes can't be "lots"; it takes a whole number of bytes from 1048576 to 4294967296
        variable BELLWETHER_COLOR: there is no key color; bellwether serve --print-config shows all there are
        listen = "0.0.0.0:80" (./bellwether.toml line 2) and allow_unauthenticated = false (the default) don't go together: other machines can reach that address, and nobody is asked who they are; listen on 127.0.0.1, or allow it with --allow-unauthenticated
        journal.segment_bytes = 67108864 (the default) and http.batch_bytes_max = 134217728 (./bellwether.toml line 2) don't go together: a journal file must have room for twice the largest batch: its events, and what they cause
        ./bellwether.toml line 2: kafka.brokers can't be 9092; it takes a text, such as "127.0.0.1:9092,127.0.0.1:9093"
        ./bellwether.toml line 1: kafka.client can't be sasl.mechanisms of type array; it takes a table of texts, such as { "security.protocol" = "SASL_SSL" }
        ./bellwether.toml line 2: kafka.client can't be acks; it takes properties that the process does not set itself: messages are sent idempotently, in order
    "#]].assert_eq(&said);
}

#[test]
fn a_named_file_that_is_not_there_is_a_fault() {
    let fault =
        Config::from_layers(Some(Path::new("/nowhere/b.toml")), std::iter::empty(), Vec::new());
    let said = fault.unwrap_err().to_string();
    assert!(said.starts_with("reading the configuration /nowhere/b.toml failed"), "{said}");
}

#[test]
fn the_printed_file_reads_back_as_the_same_configuration() {
    let file =
        "data = 'a \"b\" \\c'\n[demo]\nenabled = true\nusers = 5\n[http]\nbody_bytes_max = 2048\n";
    let (config, printed) = load(Some(file), &[("BELLWETHER_DRAIN_S", "8")]).unwrap();
    assert!(printed.contains("# Set by variable BELLWETHER_DRAIN_S.\ndrain_s = 8\n"), "{printed}");
    let (again, _) = load(Some(&printed), &[]).unwrap();
    assert_eq!(again, config);
    assert_eq!(again.demo.unwrap().users, 5);
    assert_eq!(again.data, Path::new("a \"b\" \\c"));
}

#[test]
fn tables_of_texts_are_written_as_tables_or_in_one_line() {
    let file = "[kafka]\nbrokers = \"a:1,b:2\"\nroutes = { \"order.placed\" = \"orders\" }\n\
                [kafka.client]\nsecurity.protocol = \"SASL_SSL\"\n\"linger.ms\" = 5\n";
    let (config, printed) = load(Some(file), &[]).unwrap();
    let kafka = config.kafka.clone().unwrap();
    let pairs = |table: &std::collections::BTreeMap<String, String>| {
        table.iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>()
    };
    assert_eq!(pairs(&kafka.client), ["linger.ms=5", "security.protocol=SASL_SSL"]);
    assert_eq!(pairs(&kafka.routes), ["order.placed=orders"]);
    assert_eq!(load(Some(&printed), &[]).unwrap().0, config);
    let line = "{ linger.ms = 7, \"a.b\" = \"c\" }";
    let variables = [("BELLWETHER_KAFKA__CLIENT", line), ("BELLWETHER_TEST_KAFKA", "a:1")];
    let (config, _) = load(Some(file), &variables).unwrap();
    assert_eq!(pairs(&config.kafka.unwrap().client), ["a.b=c", "linger.ms=7"]);
    assert_eq!(load(None, &[]).unwrap().0.kafka, None);
}

#[test]
fn the_kafka_source_is_configured_in_all_three_places() {
    let file = "[kafka]\nbrokers = \"a:1\"\ntopics = [\"t\", \"^u.*\"]\nstart = \"latest\"\n\
                on_gap = \"continue\"\non_recreated = \"start-over\"\non_foreign = \"stop\"\n\
                [kafka.topic.t]\nsource = \"/t\"\n\
                [kafka.topic.\"u.v\"]\ntype_header = \"kind\"\ntype_field = \"k\"\n";
    let (config, printed) = load(Some(file), &[]).unwrap();
    let kafka = config.kafka.clone().unwrap();
    assert_eq!(
        (kafka.group.as_str(), kafka.topics),
        ("bellwether", vec!["t".into(), "^u.*".into()])
    );
    assert_eq!(kafka.start, topology::kafka::Start::Latest);
    assert_eq!(kafka.on_gap, Policy::Go(Decision::Continue));
    assert_eq!(kafka.on_recreated, Policy::Go(Decision::Restart));
    assert_eq!(kafka.on_foreign, Policy::Stop);
    let defaults = |topic: &str| TopicDefaults::new(topic);
    let t = TopicDefaults { source: "/t".into(), ..defaults("t") };
    let (type_header, type_field) = ("kind".into(), "k".into());
    let u = TopicDefaults { type_header, type_field, ..defaults("u.v") };
    assert_eq!(kafka.defaults, [("t".to_owned(), t), ("u.v".to_owned(), u)].into());
    assert_eq!(load(Some(&printed), &[]).unwrap().0, config);
    let (config, _) = load(Some(file), &[("BELLWETHER_KAFKA__TOPICS", "x, ^y")]).unwrap();
    assert_eq!(config.kafka.unwrap().topics, ["x", "^y"]);
    let mut said = String::new();
    for file in [
        "[kafka]\ntopics = [\"t\"]\n",
        "[kafka]\ntopics = [1]\n",
        "[kafka]\nstart = \"middle\"\n",
        "[kafka]\non_foreign = \"restart\"\n",
        "[kafka]\nbrokers = \"a:1\"\n[kafka.topic.t]\nsauce = \"/t\"\n",
        "[kafka]\nbrokers = \"a:1\"\n[kafka.topic.t]\nsource = \"\"\n",
        "[kafka]\nbrokers = \"a:1\"\n[kafka.topic]\nsource = \"/t\"\n",
        "[kafka]\nbrokers = \"a:1\"\ntopics = [\"t\"]\n[kafka.topic.u]\nsource = \"/u\"\n",
        "[kafka]\nbrokers = \"a:1\"\n[kafka.client]\nauto.offset.reset = \"latest\"\n",
    ] {
        said += &load(Some(file), &[]).unwrap_err();
        said += "\n";
    }
    expect_test::expect![[r#"
        kafka.topics = ["t"] (./bellwether.toml line 2) and kafka.brokers = "" (the default) don't go together: the topics are nowhere without brokers
        ./bellwether.toml line 2: kafka.topics can't be a list of integer; it takes a list of texts, such as ["campus.events", "^orders\\..*"]
        ./bellwether.toml line 2: kafka.start can't be "middle"; it takes one of earliest, latest
        ./bellwether.toml line 2: kafka.on_foreign can't be "restart"; it takes one of stop, continue
        ./bellwether.toml line 3: kafka.topic can't be t.sauce; it takes source, type_header and type_field of a topic, none of them empty
        ./bellwether.toml line 3: kafka.topic can't be t.source; it takes source, type_header and type_field of a topic, none of them empty
        ./bellwether.toml line 3: kafka.topic can't be source; it takes source, type_header and type_field of a topic, none of them empty
        ./bellwether.toml line 4: kafka.topic can't be u; it takes topics of kafka.topics
        ./bellwether.toml line 3: kafka.client can't be auto.offset.reset; it takes properties that the process does not set itself: where reading begins is decided by kafka.start and the journal
    "#]].assert_eq(&said);
}
