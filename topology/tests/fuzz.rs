//! What the engine reads back: payloads of records, and pending entries, with bytes that are not
//! what was written. Each is read or refused.
//!
//! What is *not* here: frames and rows around them (`state`), Kafka's formats (`kafka/format`), and
//! the kinds' own events (`actors`).

#[path = "../../tests/support/fuzz.rs"]
mod fuzz;

use actors::{Address, Delivery, EffectId, KindId, Timestamp};
use fuzz::fuzz;
use topology::api::Idempotency;
use topology::pending::{What, from_stored, stored_key, stored_value};
use topology::record::{put_command, put_effect_id, split, split_verdict, status_of, tag};

#[test]
fn fuzz_payloads_of_records() {
    let key = Idempotency { key: "k".to_owned(), fingerprint: 7, status: 201 };
    let (mut command, mut sent) = (Vec::new(), Vec::new());
    put_command(Some(&key), &mut command);
    put_effect_id(EffectId { cause: 1, index: 2 }, &mut sent);
    let bare = vec![0; 12];
    fuzz(&[command, sent, bare], |payload| {
        for tag in tag::EVENT..=tag::BEGUN + 1 {
            if let Ok((_, event)) = split(tag, payload) {
                assert!(payload.ends_with(event));
            }
        }
        let _ = (status_of(payload), split_verdict(payload));
    });
}

#[test]
fn fuzz_pending_entries() {
    let (id, due) = (EffectId { cause: 5, index: 1 }, Timestamp(9));
    let address = Address::new(KindId(3), "u-1");
    let sound = stored_key(id, due, &address);
    let delivery = What::Delivery(Delivery { sink: "gateway".to_owned(), body: vec![1, 2] });
    let values = [stored_value(&What::Timer(vec![7])), stored_value(&delivery)];
    fuzz(&values, |value| {
        if let Ok((back, entry)) = from_stored(&sound, value) {
            assert_eq!((back, entry.due, &entry.address), (id, due, &address));
        }
    });
    fuzz(std::slice::from_ref(&sound), |stored| {
        if let Ok((id, entry)) = from_stored(stored, &values[0]) {
            assert_eq!(stored_key(id, entry.due, &entry.address), stored);
        }
    });
}
