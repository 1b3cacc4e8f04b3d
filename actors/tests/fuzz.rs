//! Domain events in every form, and commands' bodies, sound and not: each is read or refused, and
//! what is read is heard, told and shown without a panic.
//!
//! What is *not* here: the door's headers and Kafka's, which are theirs to read.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "../../tests/support/fuzz.rs"]
mod fuzz;

use actors::event::canonical;
use actors::kind::Listener;
use actors::payment::Confirm;
use actors::payment::input::{Create, amount};
use actors::{DomainEvent, Effects, KINDS, KindId, Stop, Timestamp};
use fuzz::{corpus, fuzz};

/// Takes down who was told what.
#[derive(Default)]
struct Told(Vec<(KindId, String, Vec<u8>)>);

impl Listener for Told {
    fn told(&mut self, kind: KindId, key: &str, payload: &[u8]) {
        self.0.push((kind, key.to_owned(), payload.to_vec()));
    }
}

/// Reads a text; if it is an event, everybody hears it, and whoever is told something takes it.
fn hear(text: &[u8]) -> Vec<(KindId, String, Vec<u8>)> {
    let Ok(event) = DomainEvent::parse(text, Timestamp(0)) else { return Vec::new() };
    let (mut told, mut scratch) = (Told::default(), Vec::new());
    for (kind, number) in KINDS.iter().zip(0..) {
        // Unfit is an answer too.
        let _ = kind.hear(KindId(number), &event, &mut told, &mut scratch);
    }
    for (kind, key, payload) in &told.0 {
        let mut mind = KINDS[usize::from(kind.0)].wake(None).unwrap();
        let mut fx = Effects::new(Timestamp(0), 0);
        while let Err(stop) = mind.apply(payload, &mut fx) {
            let Stop::NeedsPage(page) = stop else { panic!("{key}: {stop:?}") };
            mind.give_page(page, None).unwrap();
        }
        let view: serde_json::Value = serde_json::from_slice(&mind.view(key)).unwrap();
        assert!(view.is_object() || view.is_null(), "{view}");
    }
    told.0
}

#[test]
fn fuzz_structured_events() {
    let samples = corpus("structured");
    let heard: usize = samples.iter().map(|sample| hear(sample).len()).sum();
    assert!(heard > 3, "the samples are not heard");
    fuzz(&samples, |text| drop(hear(text)));
}

#[test]
fn fuzz_envelopes() {
    fuzz(&corpus("envelope"), |text| {
        let mut kept = b"kept".to_vec();
        match canonical::envelope_into(&mut kept, text) {
            Ok(()) => drop(hear(&kept[4..])),
            Err(_) => assert_eq!(kept, b"kept", "what is refused leaves nothing"),
        }
    });
}

#[test]
fn fuzz_batches() {
    fuzz(&corpus("batch"), |text| {
        for event in canonical::batch(text).unwrap_or_default() {
            hear(event);
        }
    });
}

#[test]
fn fuzz_binary_events() {
    fuzz(&corpus("structured"), |text| {
        let said = String::from_utf8_lossy(text);
        let mut words = said.split('"').filter(|word| !word.is_empty());
        let mut attributes = vec![("specversion", "1.0"), ("id", "1"), ("source", "/s")];
        attributes.extend(words.clone().zip(words.by_ref().skip(2)).take(5));
        for content_type in [None, Some("application/json"), words.next()] {
            if let Ok(event) = canonical::binary(&attributes, content_type, text) {
                hear(&event);
            }
        }
    });
}

#[test]
fn fuzz_bodies_of_payment_commands() {
    fuzz(&corpus("payment"), |text| {
        let Ok(body) = serde_json::from_slice(text) else { return };
        if let Ok(create) = Create::read("pay_1".into(), &body) {
            assert!(create.check().is_empty(), "{create:?}");
        }
        let _ = Confirm::read(&body);
        if let Ok(Some(amount)) = amount(&body) {
            assert!(amount > 0, "{amount}");
        }
    });
}

/// A head that was stored, and is not what it was.
#[test]
fn fuzz_stored_heads() {
    let mut samples = vec![Vec::new()];
    for text in corpus("structured") {
        for (kind, _, payload) in hear(&text) {
            let mut mind = KINDS[usize::from(kind.0)].wake(None).unwrap();
            let mut fx = Effects::new(Timestamp(0), 0);
            while let Err(Stop::NeedsPage(page)) = mind.apply(&payload, &mut fx) {
                mind.give_page(page, None).unwrap();
            }
            let mut head = Vec::new();
            mind.head(&mut head);
            samples.push(head);
        }
    }
    fuzz(&samples, |head| {
        for kind in KINDS {
            let Ok(mind) = kind.wake(Some(head)) else { continue };
            let mut again = Vec::new();
            mind.head(&mut again);
            kind.wake(Some(&again)).expect("what was read is written so that it is read");
        }
    });
}
