//! `bellwether doctor`: every way a Kafka configuration can be wrong, and what is said about it.
//!
//! What is no Kafka is played here by listeners of the test's own; what needs real brokers runs
//! where `BELLWETHER_TEST_KAFKA` names them, and `BELLWETHER_TEST_KAFKA_SASL` their listener that
//! wants to know who comes (`scripts/kafka`), and says so where not.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/process.rs"]
mod process;

use kafka::{brokers, fresh};
use process::bellwether;
use std::io::{Read, Write};
use std::net::TcpListener;

/// Runs the doctor on this `[kafka]` table: its exit code, and all it said.
fn doctor(table: &str) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bellwether.toml");
    std::fs::write(&config, format!("[kafka]\n{table}\n")).unwrap();
    let output = bellwether().args(["doctor", "--config"]).arg(&config).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// Says all of these, and ends so.
#[track_caller]
fn says(table: &str, code: i32, words: &[&str]) {
    let (ended, said) = doctor(table);
    assert_eq!(ended, code, "{said}");
    for word in words {
        assert!(said.contains(word), "nothing of {word:?} in:\n{said}");
    }
}

/// A listener that answers the first who comes with these bytes; its address.
fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Whatever is asked, and however little of it has come.
        let _ = stream.read(&mut [0; 64]);
        stream.write_all(bytes).unwrap();
    });
    address
}

#[test]
fn what_is_no_kafka_is_told_apart() {
    let on = |address: &str| format!("brokers = \"{address}\"");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    says(&on(""), 2, &["kafka.brokers is empty"]);
    says(&on("nowhere"), 1, &["wrong  broker nowhere", "can't be resolved", "HOST:PORT"]);
    says(&on(&free), 1, &["nobody answers at", "check host and port", "one thing is wrong"]);
    says(&on(&answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")), 1, &["it speaks HTTP"]);
    says(&on(&answering(&[0x15, 3, 1, 0, 2, 2, 40])), 1, &["speaks TLS", "security.protocol"]);
    says(&on(&answering(b"SSH-2.0-OpenSSH_9.2p1\r\n")), 1, &["this is no Kafka", "SSH-"]);
    says(&on(&answering(b"")), 1, &["this is no Kafka: it hung up"]);
}

#[test]
fn a_configuration_that_works_is_well_from_the_first_step_to_the_last() {
    let Some(brokers) = brokers() else { return };
    let topic = fresh("doctor");
    brokers.make_topic(&topic, 2);
    let table = format!(
        "brokers = \"{}\"\nsink_topic = \"{topic}\"\ntopics = [\"{topic}\"]\n\
         exactly_once = true",
        brokers.addresses
    );
    says(
        &table,
        0,
        &[
            "ok     broker",
            "is a broker of Kafka",
            "ok     connection",
            "ok     topic",
            "ok     group",
            "2 partitions",
            "ok     transactions",
        ],
    );
}

#[test]
fn topics_users_and_permissions_that_are_wrong_are_named() {
    let Some(brokers) = brokers() else { return };
    let missing = fresh("missing");
    let table = format!("brokers = \"{}\"\nsink_topic = \"{missing}\"", brokers.addresses);
    let words = ["ok     connection", &format!("wrong  sink topic {missing}"), "make the topic"];
    says(&table, 1, &words);
    let topic = &format!("wrong  topic {missing}");
    says(&format!("{table}\ntopics = [\"{missing}\"]"), 1, &[topic, "several things are wrong"]);

    let Ok(sasl) = std::env::var("BELLWETHER_TEST_KAFKA_SASL") else {
        println!("skipped: BELLWETHER_TEST_KAFKA_SASL names no listener");
        return;
    };
    let topic = fresh("guarded");
    brokers.make_topic(&topic, 1);
    let table = |user: &str, password: &str| {
        format!(
            "brokers = \"{sasl}\"\nsink_topic = \"{topic}\"\nexactly_once = true\n\
             topics = [\"{topic}\"]\n[kafka.client]\n\
             security.protocol = \"sasl_plaintext\"\nsasl.mechanism = \"PLAIN\"\n\
             sasl.username = \"{user}\"\nsasl.password = \"{password}\""
        )
    };
    says(&table("bellwether", "bell"), 0, &["ok     connection", "ok     transactions"]);
    says(
        &table("bellwether", "wrong"),
        1,
        &["wrong  connection", "Authentication failed", "sasl.password"],
    );
    let unreadable = format!("wrong  topic {topic}");
    let words = [&unreadable, "wrong  group bellwether", "wrong  transactions", "let this user"];
    says(&table("guest", "guest"), 1, &words);
    let silent = format!("brokers = \"{sasl}\"\nsink_topic = \"{topic}\"");
    says(&silent, 1, &["wrong  connection", "security.protocol"]);
}
