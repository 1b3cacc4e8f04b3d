//! Records of Kafka with bytes that nobody meant: each becomes an event's text, a tombstone or a
//! refusal that leaves nothing behind.
//!
//! What is *not* here: the table of forms (`tests.rs`).

#[path = "../../../../tests/support/fuzz.rs"]
mod unsound;

use super::*;
use unsound::{corpus, fuzz};

#[test]
fn fuzz_records_of_kafka() {
    let defaults = TopicDefaults::new("t");
    fuzz(&corpus("kafka"), |bytes| {
        // Headers from the record's own words, so that edits reach them too.
        let text = String::from_utf8_lossy(bytes);
        let words: Vec<&str> = text.split('"').filter(|word| !word.is_empty()).collect();
        let word = |at: usize| words.get(at).map_or(&b""[..], |word| word.as_bytes());
        let cases: [&[(&str, &[u8])]; 4] = [
            &[],
            &[("content-type", b"application/cloudevents+json")],
            &[("content-type", word(1)), ("type", word(3))],
            &[
                ("ce_specversion", b"1.0"),
                ("ce_id", word(1)),
                ("ce_source", word(3)),
                ("ce_type", word(5)),
                ("ce_time", word(7)),
            ],
        ];
        for headers in cases {
            for value in [Some(bytes), None] {
                let time = Some(Timestamp(1));
                let raw = Raw { topic: "t", partition: 0, offset: 9, headers, value, time };
                let mut out = b"kept".to_vec();
                match structured(&raw, &defaults, &mut out) {
                    Ok(Form::Event) => {
                        let _ = actors::DomainEvent::parse(&out[4..], Timestamp(0));
                    }
                    Ok(Form::Tombstone) | Err(_) => assert_eq!(out, b"kept"),
                }
            }
        }
    });
}
