//! Bodies as clients send them: every fault with its place, all at once.

use super::super::input::amount;
use super::*;
use serde_json::{Value, json};

fn faults(body: &Value) -> Vec<&'static str> {
    match Create::read("pay_1".into(), body) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| fault.pointer).collect(),
    }
}

fn with(change: &Value) -> Value {
    let mut body = json!({
        "user_id": "u-1", "amount": 4999, "currency": "EUR",
        "method": {"type": "card", "token": "pm_card_visa"}, "capture": "manual",
    });
    for (name, value) in change.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

#[test]
fn a_good_body_is_read_and_defaults_are_filled_in() {
    let all = with(&json!({"order_id": "o-1", "course_id": null, "description": "Rust 101",
        "confirm": false, "metadata": {"cart": [1, 2]}, "unknown": 1}));
    let create = Create::read("pay_1".into(), &all).expect("a good body");
    assert_eq!(create.method, Some(Token::Visa));
    assert_eq!((create.capture, create.confirm), (CaptureMode::Manual, false));
    assert_eq!((create.order_id.as_deref(), create.course_id), (Some("o-1"), None));
    assert_eq!(create.metadata, r#"{"cart":[1,2]}"#);
    let least = json!({"user_id": "u-1", "amount": 1, "currency": "JPY"});
    let create = Create::read("pay_1".into(), &least).expect("a small body");
    assert_eq!((create.method, create.confirm), (None, true));
    assert_eq!((create.capture, create.metadata.as_str()), (CaptureMode::Automatic, "{}"));
}

#[test]
fn every_fault_is_named_by_its_place() {
    let long = "x".repeat(501);
    let cases = [
        (json!({"user_id": ""}), "/user_id"),
        (json!({"user_id": null}), "/user_id"),
        (json!({"user_id": 7}), "/user_id"),
        (json!({"user_id": "a\nb"}), "/user_id"),
        (json!({"order_id": long}), "/order_id"),
        (json!({"course_id": ""}), "/course_id"),
        (json!({"amount": 0}), "/amount"),
        (json!({"amount": -1}), "/amount"),
        (json!({"amount": 10.5}), "/amount"),
        (json!({"amount": "10"}), "/amount"),
        (json!({"amount": null}), "/amount"),
        (json!({"amount": 1_000_000_000_001_i64}), "/amount"),
        (json!({"amount": u64::MAX}), "/amount"),
        (json!({"currency": "eur"}), "/currency"),
        (json!({"currency": "XXX"}), "/currency"),
        (json!({"currency": null}), "/currency"),
        (json!({"method": "pm_card_visa"}), "/method"),
        (json!({"method": {"token": "pm_card_visa"}}), "/method/type"),
        (json!({"method": {"type": "card", "token": "pm_card_gold"}}), "/method/token"),
        (json!({"method": {"type": "card"}}), "/method/token"),
        (json!({"capture": "later"}), "/capture"),
        (json!({"confirm": "yes"}), "/confirm"),
        (json!({"description": long}), "/description"),
        (json!({"metadata": []}), "/metadata"),
        (json!({"metadata": {"a": long}}), "/metadata"),
    ];
    for (change, pointer) in cases {
        assert_eq!(faults(&with(&change)), [pointer], "{change}");
    }
    assert_eq!(faults(&json!({})), ["/user_id", "/amount", "/currency"]);
    assert_eq!(faults(&json!([])), [""]);
}

#[test]
fn amounts_and_confirmations_are_read() {
    assert_eq!(amount(&json!({})), Ok(None));
    assert_eq!(amount(&Value::Null), Ok(None));
    assert_eq!(amount(&json!({"amount": 5})), Ok(Some(5)));
    for wrong in [json!(0), json!(-5), json!(1.5), json!("5"), json!(1_000_000_000_001_i64)] {
        assert_eq!(amount(&json!({ "amount": wrong })).expect_err("wrong")[0].pointer, "/amount");
    }
    let confirm = Confirm::read(&json!({"action": "fail"})).expect("an action");
    assert_eq!(confirm.action, Some(gateway::PayerAction::Fail));
    assert_eq!(Confirm::read(&Value::Null), Ok(Confirm::default()));
    assert_eq!(
        Confirm::read(&json!({"action": "maybe"})).expect_err("wrong")[0].pointer,
        "/action"
    );
}

#[test]
fn statuses_are_read_in_any_spelling() {
    let cases = [
        ("PENDING", Status::Pending),
        ("CANCELLED", Status::Canceled),
        ("cancelled", Status::Canceled),
        ("canceled", Status::Canceled),
        ("PARTIALLY_REFUNDED", Status::PartiallyRefunded),
        ("Completed", Status::Completed),
    ];
    for (text, status) in cases {
        assert_eq!(Status::parse(text), Some(status), "{text}");
    }
    assert!(Status::ALL.into_iter().all(|status| Status::parse(status.as_str()) == Some(status)));
    assert_eq!(Status::parse("paid"), None);
}

#[test]
fn lists_find_a_payment_by_its_tags() {
    let mut bench = Bench::default();
    assert!(bench.payment.tags().is_empty());
    bench.tell(Event::Fact(Box::new(a_fact(FactKind::Captured, 5, None))));
    let tags = bench.payment.tags();
    assert_eq!(tags.as_slice(), ["status:completed", "user:u-1", "order:o-1"]);
}
