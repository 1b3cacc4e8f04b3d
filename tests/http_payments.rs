//! Payments over a real socket: idempotent creates, commands, refusals, lists and histories.
//!
//! What is *not* here: the payment's machine, which has tables of its own in `actors`.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;

use http::{Answer, Http};
use process::Process;
use serde_json::{Value, json};
use std::time::Duration;

const PAYMENTS: &str = "/api/v1/payments";

fn start() -> (Process, Http) {
    let process = Process::start(&[]);
    process.wait_ready();
    let http = Http::new(&process.url);
    (process, http)
}

fn create(http: &Http, key: &str, more: &Value) -> Answer {
    let mut body = json!({
        "user_id": "u-1", "order_id": "o-1", "amount": 5000, "currency": "EUR",
        "capture": "manual", "method": {"type": "card", "token": "pm_card_visa"}
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    http.post(PAYMENTS, &[("idempotency-key", key)], &body)
}

/// Asks until the payment is as wanted: the gateway answers on its own time.
fn until(http: &Http, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut data = http.get(path).expect(200).data();
    while !wanted(&data) {
        std::thread::sleep(Duration::from_millis(5));
        data = http.get(path).expect(200).data();
    }
    data
}

/// Asks until the payment has left `processing`.
fn settled(http: &Http, path: &str) -> Value {
    until(http, path, |data| data["status"] != "processing")
}

#[test]
fn the_same_key_meets_the_same_payment_and_another_body_is_told_so() {
    let (mut process, http) = start();
    let first = create(&http, "order-1", &json!({})).expect(201);
    assert_eq!(first.header("idempotent-replayed"), "");
    let id = first.data()["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("pay_") && id.len() == 30, "{id}");
    assert_eq!(first.header("location"), format!("{PAYMENTS}/{id}"));
    let again = create(&http, "order-1", &json!({})).expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.data()["id"], id.as_str());
    let other = create(&http, "order-1", &json!({"amount": 5001})).expect(422);
    assert_eq!(other.code(), "idempotency-mismatch");
    // What was refused before it was journaled is not remembered: the key is still free.
    create(&http, "order-2", &json!({"amount": 0})).expect(422);
    create(&http, "order-2", &json!({})).expect(201);
    process.kill();
    process.restart();
    process.wait_ready();
    let again = create(&http, "order-1", &json!({})).expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.data()["id"], id.as_str());
}

#[test]
fn commands_move_money_once_and_refusals_change_nothing() {
    let (_process, http) = start();
    let created = create(&http, "order-1", &json!({})).expect(201);
    let path = created.header("location").to_owned();
    let held = settled(&http, &path);
    assert_eq!(held["status"], "authorized");
    assert_eq!(held["capturable"], 5000);

    let capture = format!("{path}/capture");
    let part = json!({"amount": 2000});
    http.post(&capture, &[("idempotency-key", "c-1")], &part).expect(200);
    assert_eq!(settled(&http, &path)["captured"], 2000);
    let again = http.post(&capture, &[("idempotency-key", "c-1")], &part).expect(200);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(settled(&http, &path)["captured"], 2000);
    let mismatch = http.post(&capture, &[("idempotency-key", "c-1")], &json!({"amount": 1}));
    assert_eq!(mismatch.expect(422).code(), "idempotency-mismatch");

    let too_much = json!({"amount": 3001});
    let refused = http.post(&capture, &[("idempotency-key", "c-2")], &too_much).expect(409);
    assert_eq!(refused.code(), "conflict");
    assert!(refused.json()["reason"].is_string());
    let again = http.post(&capture, &[("idempotency-key", "c-2")], &too_much).expect(409);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(settled(&http, &path)["captured"], 2000);
    for amount in [json!(0), json!(-1), json!("all")] {
        http.post(&capture, &[], &json!({"amount": amount})).expect(422);
    }

    http.send("POST", &format!("{path}/cancel"), &[], b"").expect(200);
    let canceled = settled(&http, &path);
    assert_eq!((&canceled["status"], &canceled["capturable"]), (&json!("completed"), &json!(0)));
    http.post(&format!("{path}/refund"), &[], &json!({})).expect(200);
    let refunded = until(&http, &path, |data| data["status"] == "refunded");
    assert_eq!(refunded["refunded"], 2000);
    http.post(&format!("{path}/refund"), &[], &json!({})).expect(409);
}

#[test]
fn lists_find_payments_by_user_order_and_status_and_read_their_own_writes() {
    let (_process, http) = start();
    let later = json!({"confirm": false});
    let mut ids = Vec::new();
    for number in 0..5 {
        let order = format!("o-{number}");
        let mut body = later.clone();
        body["order_id"] = json!(order);
        let answer = create(&http, &order, &body).expect(201);
        ids.push(answer.data()["id"].as_str().unwrap().to_owned());
        let listed = http.get(&format!("{PAYMENTS}?order_id={order}")).expect(200);
        assert_eq!(listed.data()[0]["id"], ids[number].as_str(), "{}", listed.text);
    }
    ids.sort_unstable();
    let mut found = Vec::new();
    let mut path = format!("{PAYMENTS}?user_id=u-1&limit=2");
    loop {
        let page = http.get(&path).expect(200);
        for payment in page.data().as_array().unwrap() {
            found.push(payment["id"].as_str().unwrap().to_owned());
        }
        let Some(next) = page.next() else { break };
        path = format!("{PAYMENTS}?user_id=u-1&limit=2&cursor={next}");
    }
    assert_eq!(found, ids);
    for status in ["pending", "PENDING"] {
        let listed = http.get(&format!("{PAYMENTS}?status={status}")).expect(200);
        assert_eq!(listed.data().as_array().unwrap().len(), 5);
    }
    let canceled = &ids[3];
    http.send("POST", &format!("{PAYMENTS}/{canceled}/cancel"), &[], b"").expect(200);
    let listed = http.get(&format!("{PAYMENTS}?status=CANCELLED&user_id=u-1")).expect(200);
    assert_eq!(listed.data().as_array().unwrap().len(), 1);
    assert_eq!(listed.data()[0]["id"], canceled.as_str());
    // A cursor belongs to its filters.
    let page = http.get(&format!("{PAYMENTS}?user_id=u-1&limit=2")).expect(200);
    let foreign = format!("{PAYMENTS}?user_id=u-2&cursor={}", page.next().unwrap());
    http.get(&foreign).expect(400);
}

#[test]
fn a_history_says_what_happened_and_why_oldest_first() {
    let (_process, http) = start();
    let path = create(&http, "order-1", &json!({})).expect(201).header("location").to_owned();
    settled(&http, &path);
    let whole = http.get(&format!("{path}/history")).expect(200);
    let items = whole.data().as_array().unwrap().clone();
    assert_eq!(items[0]["from"], Value::Null);
    assert_eq!(items.last().unwrap()["to"], "authorized");
    let mut paged = Vec::new();
    let mut next = format!("{path}/history?limit=1");
    loop {
        let page = http.get(&next).expect(200);
        paged.extend(page.data().as_array().unwrap().clone());
        let Some(cursor) = page.next() else { break };
        next = format!("{path}/history?limit=1&cursor={cursor}");
    }
    assert_eq!(paged, items);
    let id = path.rsplit('/').next().unwrap();
    let records = http.get(&format!("/api/v1/entities/payment/{id}/history")).expect(200);
    assert_eq!(records.data().as_array().unwrap().last().unwrap()["tag"], "command");
}

#[test]
fn a_key_sent_many_times_at_once_creates_and_captures_once() {
    let (_process, http) = start();
    let at_once = |command: &(dyn Fn(&Http) -> Answer + Sync)| -> Vec<Answer> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| command(&http))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    let first_ones = |answers: &[Answer]| {
        answers.iter().filter(|answer| answer.header("idempotent-replayed").is_empty()).count()
    };
    let created = at_once(&|http| create(http, "order-1", &json!({})));
    assert!(created.iter().all(|answer| answer.status == 201), "{created:?}");
    assert_eq!(first_ones(&created), 1);
    let path = created[0].header("location");
    assert!(created.iter().all(|answer| answer.header("location") == path));
    settled(&http, path);
    let part = json!({"amount": 1000});
    let key = [("idempotency-key", "c-1")];
    let captured = at_once(&|http| http.post(&format!("{path}/capture"), &key, &part));
    assert!(captured.iter().all(|answer| answer.status == 200), "{captured:?}");
    assert_eq!(first_ones(&captured), 1);
    assert_eq!(settled(&http, path)["captured"], 1000);
}

#[test]
fn what_was_answered_is_never_taken_back_by_a_later_read() {
    let (_process, http) = start();
    let mut last = 0;
    for number in 0..20 {
        let created = create(&http, &format!("order-{number}"), &json!({"confirm": false}));
        let path = created.clone().expect(201).header("location").to_owned();
        let read = http.get(&path).expect(200);
        let (first, second) = (created.position(), read.position());
        assert!(last < first && first <= second, "{last}, then {first}, then {second}");
        last = second;
    }
}
