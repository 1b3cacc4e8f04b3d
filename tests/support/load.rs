//! Mixed load from clients that never take a lost connection for an answer: they repeat what they
//! said, word by word, until they have one.
//!
//! Each client keeps what it was promised. What is *not* here: killing anything, and comparing
//! promises with what is there.

#![allow(dead_code, reason = "each test takes what it needs")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Much longer than any restart.
const PATIENCE: Duration = Duration::from_secs(120);
/// Events in one numbered batch.
pub(crate) const BATCH: u64 = 20;

/// A payment as it was acknowledged.
pub(crate) struct Acknowledged {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) body: String,
    /// Captured by acknowledged commands, at least.
    pub(crate) captured_min: i64,
    /// Given back by acknowledged commands, at least.
    pub(crate) refunded_min: i64,
}

/// What one client was promised.
#[derive(Default)]
pub(crate) struct Promises {
    pub(crate) payments: Vec<Acknowledged>,
    /// Inbox items by user.
    pub(crate) items: BTreeMap<String, i64>,
    /// Events by producer.
    pub(crate) produced: BTreeMap<String, u64>,
}

/// A client of one server.
pub(crate) struct Client<'a> {
    url: String,
    number: u64,
    stop: &'a AtomicBool,
    agent: ureq::Agent,
    promises: Promises,
}

impl<'a> Client<'a> {
    pub(crate) fn new(url: &str, number: u64, stop: &'a AtomicBool) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(20)))
            .build();
        let (url, agent) = (url.to_owned(), config.new_agent());
        Self { url, number, stop, agent, promises: Promises::default() }
    }

    /// Works until it is told to stop, and ends what it has begun.
    pub(crate) fn run(mut self) -> Promises {
        let mut turn = 0;
        while !self.stop.load(Ordering::Relaxed) {
            match self.number % 3 {
                0 => self.pay(turn),
                1 => self.say_one(turn),
                _ => self.say_many(turn),
            }
            turn += 1;
        }
        self.promises
    }

    /// Says it again until there is a definite answer.
    fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let began = Instant::now();
        let url = format!("{}{path}", self.url);
        loop {
            let mut request = self.agent.post(&url);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.send(body.as_bytes()).and_then(|mut answer| {
                Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
            });
            if let Ok((status, text)) = answer
                && status != 429
                && status < 500
            {
                return (status, serde_json::from_str(&text).unwrap_or(Value::Null));
            }
            assert!(began.elapsed() < PATIENCE, "{path}: nobody answers");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A payment, and what may follow: a capture of half of it, a refund of a little.
    fn pay(&mut self, turn: u64) {
        let tokens =
            ["pm_card_visa", "pm_card_visa_timeout", "pm_card_visa", "pm_card_visa_chargeDeclined"];
        let amount = 1_000 + i64::try_from(turn % 1_000).unwrap();
        let capture = if turn.is_multiple_of(2) { "automatic" } else { "manual" };
        let key = format!("pay-{}-{turn}", self.number);
        let body = json!({
            "user_id": format!("payer-{}", self.number), "amount": amount, "currency": "EUR",
            "method": {"type": "card", "token": tokens[turn as usize % tokens.len()]},
            "capture": capture,
        })
        .to_string();
        let json = ("content-type", "application/json");
        let headers = [("idempotency-key", key.as_str()), json];
        let (status, answer) = self.post("/api/v1/payments", &headers, &body);
        assert_eq!(status, 201, "{answer}");
        let id = answer["data"]["id"].as_str().unwrap().to_owned();
        let (mut captured_min, mut refunded_min) = (0, 0);
        if capture == "manual" {
            let (status, _) = self.post(
                &format!("/api/v1/payments/{id}/capture"),
                &[("idempotency-key", "half"), json],
                &json!({"amount": amount / 2}).to_string(),
            );
            assert!(status == 200 || status == 409, "{status}");
            captured_min = if status == 200 { amount / 2 } else { 0 };
        }
        let (status, _) = self.post(
            &format!("/api/v1/payments/{id}/refund"),
            &[("idempotency-key", "little"), json],
            r#"{"amount": 7}"#,
        );
        assert!(status == 200 || status == 409, "{status}");
        if status == 200 {
            refunded_min = 7;
        }
        self.promises.payments.push(Acknowledged { id, key, body, captured_min, refunded_min });
    }

    /// One event without a number.
    fn say_one(&mut self, turn: u64) {
        let user = format!("learner-{}-{}", self.number, turn % 7);
        let event = event(&format!("one-{}-{turn}", self.number), &user);
        let headers = [("content-type", "application/cloudevents+json")];
        let (status, answer) = self.post("/api/v1/events", &headers, &event);
        assert_eq!(status, 202, "{answer}");
        assert_eq!(taken(&answer), 1, "{answer}");
        *self.promises.items.entry(user).or_default() += 1;
    }

    /// A batch with numbers.
    fn say_many(&mut self, turn: u64) {
        let producer = format!("producer-{}", self.number);
        let user = |nth: u64| format!("student-{}-{}", self.number, nth % 11);
        let events: Vec<String> = (0..BATCH)
            .map(|nth| event(&format!("many-{}-{turn}-{nth}", self.number), &user(nth)))
            .collect();
        let first = (turn * BATCH).to_string();
        let headers = [
            ("content-type", "application/cloudevents-batch+json"),
            ("bellwether-producer", producer.as_str()),
            ("bellwether-sequence", first.as_str()),
        ];
        let body = format!("[{}]", events.join(","));
        let (status, answer) = self.post("/api/v1/events", &headers, &body);
        assert_eq!(status, 202, "{answer}");
        assert_eq!(taken(&answer), BATCH, "{answer}");
        for nth in 0..BATCH {
            *self.promises.items.entry(user(nth)).or_default() += 1;
        }
        self.promises.produced.insert(producer, (turn + 1) * BATCH);
    }
}

/// How many events an answer says are there now.
fn taken(answer: &Value) -> u64 {
    ["accepted", "duplicates"].iter().map(|n| answer["data"][n].as_u64().unwrap_or(0)).sum()
}

/// An event that puts one item into one inbox.
fn event(id: &str, user: &str) -> String {
    json!({
        "specversion": "1.0", "id": id, "source": "/kill", "time": "2026-11-20T09:00:00Z",
        "type": "com.example.learning.lesson.completed.v1",
        "data": {
            "user_id": user, "course_id": format!("course-{}", user.len() % 3), "lesson_id": id,
        },
    })
    .to_string()
}
