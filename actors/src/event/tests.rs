//! What is an event, what is none, and what an unfit one says. The CloudEvents project's own
//! samples (conformance suite, Apache-2.0) are in `conformance`.

use super::*;
use crate::currency::Money;
use expect_test::expect;
use proptest::prelude::*;
use std::fmt::Write;

const RECEIVED_AT: Timestamp = Timestamp(1_000);

/// An event that has all it needs, and then what `extra` says.
fn with(extra: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{extra}}}"#)
}

fn parse(text: &str) -> Result<DomainEvent<'_>, NotAnEvent> {
    DomainEvent::parse(text.as_bytes(), RECEIVED_AT)
}

#[test]
fn a_whole_event_is_read_and_borrowed() {
    let text = r#"{"specversion":"1.0","id":"e-1","source":"/campus","subject":"u-1",
        "type":"org.example.learning.assignment.submitted.v1","time":"2026-11-20T13:36:00.123Z",
        "datacontenttype":"application/json","traceparent":"00-ab","data":{"userId":"u-1",
        "course_id":"c-1","assignmentId":7,"score":78.5,"due":"2026-11-21T00:00:00Z",
        "banked":false,"extra":{"deep":[1,{"er":null}]}}}"#;
    let event = parse(text).expect("an event");
    assert!(matches!(event.id, Cow::Borrowed("e-1")));
    assert!(matches!(event.source, Cow::Borrowed("/campus")));
    assert!(matches!(event.data.user_id, Some(Cow::Borrowed("u-1"))));
    assert_eq!(event.event_type, EventType::Known("learning.assignment.submitted"));
    assert_eq!(event.subject.as_deref(), Some("u-1"));
    assert_eq!(event.time.to_string(), "2026-11-20T13:36:00.123Z");
    assert_eq!(event.data.assignment(), Ok("7"));
    assert_eq!(event.data.score_if_any(), Ok(Some(78_500_000)));
    assert_eq!(event.data.due.expect("due").to_string(), "2026-11-21T00:00:00.000Z");
    assert_eq!(event.data.banked, Some(false));
    assert_eq!(event.data.sound(), Ok(()));
}

#[test]
fn an_event_without_time_and_data_happened_when_it_was_received() {
    let text = with(r#","time":null,"data":null"#);
    let event = parse(&text).expect("an event");
    assert_eq!(event.time, RECEIVED_AT);
    assert_eq!(event.data.user(), Err(Unfit { field: "data.user_id", why: "is missing" }));
}

#[test]
fn escapes_are_resolved_before_anything_is_judged() {
    let text = with(r#","subject":"a\"bü","data":{"user_id":"u-\u0031"}"#);
    let event = parse(&text).expect("an event");
    assert_eq!(event.subject.as_deref(), Some("a\"bü"));
    assert_eq!(event.data.user(), Ok("u-1"));
}

#[test]
fn what_is_no_event_says_why() {
    let long = "x".repeat(257);
    let rows = [
        String::new(),
        "[]".into(),
        "null".into(),
        "{".into(),
        "{}".into(),
        with("") + "x",
        r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#.into(),
        r#"{"specversion":"1.0","source":"/s","type":"t"}"#.into(),
        r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#.into(),
        r#"{"specversion":"1.0","id":"1","type":"t"}"#.into(),
        r#"{"specversion":"1.0","id":"1","source":"/s"}"#.into(),
        r#"{"specversion":"1.0","id":1,"source":"/s","type":"t"}"#.into(),
        r#"{"specversion":"1.0","id":"a\u0007","source":"/s","type":"t"}"#.into(),
        format!(r#"{{"specversion":"1.0","id":"{long}","source":"/s","type":"t"}}"#),
        with(r#","id":"2""#),
        with(r#","time":"yesterday""#),
        with(r#","time":12"#),
        with(r#","subject":{}"#),
        with(r#","data":{},"data_base64":"""#),
        with(r#","data_base64":[1]"#),
        with(r#","data":{},"data":{}"#),
    ];
    let mut found = String::new();
    for row in rows {
        let error = parse(&row).expect_err(&row);
        writeln!(found, "{error}").expect("to a string");
    }
    expect![[r#"
        not a JSON object: EOF while parsing a value at line 1 column 0
        not a JSON object: invalid type: sequence, expected an object with a CloudEvent's attributes at line 1 column 0
        not a JSON object: invalid type: null, expected an object with a CloudEvent's attributes at line 1 column 4
        not a JSON object: EOF while parsing an object at line 1 column 1
        specversion: must be "1.0"
        not a JSON object: trailing characters at line 1 column 56
        specversion: must be "1.0"
        id: is missing
        id: must not be empty
        source: is missing
        type: is missing
        id: must be a string
        id: must not contain control characters
        id: must be at most 256 bytes
        id: is there twice
        time: must be a time of RFC 3339
        time: must be a string
        subject: must be a string
        data_base64: must not stand beside data
        data_base64: must be a string
        data: is there twice
    "#]].assert_eq(&found);
    let latin = DomainEvent::parse(b"{\"id\":\"\xe9\"}", RECEIVED_AT).expect_err("not UTF-8");
    assert!(latin.to_string().starts_with("not a JSON object: not UTF-8"), "{latin}");
}

/// What each check says of these data.
fn checked(data: &str) -> String {
    let text = with(&format!(r#","data":{data}"#));
    let event = parse(&text).expect(data);
    let data = &event.data;
    let say = |name: &str, result: Result<String, Unfit>| {
        result.map_or_else(|unfit| unfit.to_string(), |value| format!("{name} {value}"))
    };
    let found = [
        say("sound", data.sound().map(|()| String::new())),
        say("user", data.user().map(str::to_owned)),
        say("score", data.score().map(|score| score.to_string())),
        say("money", data.money().map(|money: Money| money.to_string())),
    ];
    found.join("\n    ")
}

const DATA: &[&str] = &[
    r#"{"user_id":"u-1","score":0.1,"amount":4999,"currency":"EUR"}"#,
    r#"{"user_id":42,"score":1000000,"amount":4999.0,"currency":"eur"}"#,
    r#"{"user_id":"","score":-0.5,"amount":0,"currency":"EUR"}"#,
    r#"{"user_id":"a\nb","score":1e300,"amount":1000000000001,"currency":"EUR"}"#,
    r#"{"user_id":1.5,"score":"80","amount":"12"}"#,
    r#"{"user_id":null,"score":null,"amount":12.5}"#,
    r#"{"userId":"u-1","user_id":"u-2","amount":-1}"#,
    r#"{"due":"soon","amount":null}"#,
    r#"{"banked":1,"amount":18446744073709551615}"#,
    "[1,2]",
    "\"text\"",
];

#[test]
fn unfit_data_say_which_field_and_why() {
    let mut found = String::new();
    for row in DATA {
        writeln!(found, "{row}\n    {}", checked(row)).expect("to a string");
    }
    expect![[r#"
        {"user_id":"u-1","score":0.1,"amount":4999,"currency":"EUR"}
            sound 
            user u-1
            score 100000
            money 49.99 EUR
        {"user_id":42,"score":1000000,"amount":4999.0,"currency":"eur"}
            sound 
            user 42
            score 1000000000000
            data.currency: must be an ISO 4217 code in upper case
        {"user_id":"","score":-0.5,"amount":0,"currency":"EUR"}
            sound 
            data.user_id: must not be empty
            data.score: must be within 0 to 10^6
            data.amount: must be 1 to 10^12 minor units
        {"user_id":"a\nb","score":1e300,"amount":1000000000001,"currency":"EUR"}
            sound 
            data.user_id: must not contain control characters
            data.score: must be within 0 to 10^6
            data.amount: must be 1 to 10^12 minor units
        {"user_id":1.5,"score":"80","amount":"12"}
            data.user_id: must be a string
            data.user_id: is missing
            data.score: is missing
            data.amount: must be a whole number of minor units
        {"user_id":null,"score":null,"amount":12.5}
            data.amount: must be a whole number of minor units
            data.user_id: is missing
            data.score: is missing
            data.amount: must be a whole number of minor units
        {"userId":"u-1","user_id":"u-2","amount":-1}
            data.user_id: is there twice
            user u-2
            data.score: is missing
            data.amount: must be 1 to 10^12 minor units
        {"due":"soon","amount":null}
            data.due: must be a time of RFC 3339
            data.user_id: is missing
            data.score: is missing
            data.amount: is missing
        {"banked":1,"amount":18446744073709551615}
            data.banked: must be true or false
            data.user_id: is missing
            data.score: is missing
            data.amount: must be a whole number of minor units
        [1,2]
            sound 
            data.user_id: is missing
            data.score: is missing
            data.amount: is missing
        "text"
            sound 
            data.user_id: is missing
            data.score: is missing
            data.amount: is missing
    "#]]
    .assert_eq(&found);
}

#[test]
fn a_plain_envelope_becomes_the_canonical_form() {
    let text = br#"{"eventId":"e-1","eventType":"PaymentCompleted","aggregateId":77,"version":3,
        "timestamp":"2026-11-20T13:36:00Z","payload":{"paymentId":"p-1","note":"\u00fc"},
        "metadata":{"source":"shop","correlationId":"c-9","tenant":1}}"#;
    let made = canonical::envelope(text).expect("an envelope");
    expect![[r#"{"specversion":"1.0","id":"e-1","source":"/envelope/shop","type":"PaymentCompleted","subject":"77","time":"2026-11-20T13:36:00Z","aggregateversion":3,"correlationid":"c-9","envelopemetadata":"{\"source\":\"shop\",\"correlationId\":\"c-9\",\"tenant\":1}","data":{"paymentId":"p-1","note":"\u00fc"}}"#]].assert_eq(std::str::from_utf8(&made).expect("UTF-8"));
    let event = DomainEvent::parse(&made, RECEIVED_AT).expect("an event");
    assert_eq!(event.event_type, EventType::Known("commerce.payment.captured"));
    assert_eq!(event.data.payment(), Ok("p-1"));
}

#[test]
fn a_poor_envelope_is_refused_by_what_it_lacks() {
    let rows = [
        "[]",
        "{}",
        r#"{"eventId":"1"}"#,
        r#"{"eventId":"1","eventType":"a","metadata":3}"#,
        r#"["1","ORDER_PLACED",null,null,null,null,null]"#,
    ];
    let mut found = String::new();
    for row in rows {
        let made = canonical::envelope(row.as_bytes());
        let read = made.and_then(|made| DomainEvent::parse(&made, RECEIVED_AT).map(|_| ()));
        writeln!(found, "{}", read.expect_err(row)).expect("to a string");
    }
    expect![[r#"
        not a JSON object: expected an envelope's object
        type: is missing
        type: is missing
        metadata: must be an object
        not a JSON object: expected an envelope's object
    "#]]
    .assert_eq(&found);
    let bare = br#"{"eventId":"1","eventType":"ORDER_PLACED"}"#;
    let made = canonical::envelope(bare).expect("an envelope");
    let event = DomainEvent::parse(&made, RECEIVED_AT).expect("an event");
    assert_eq!((&*event.source, event.time), ("/envelope", RECEIVED_AT));
}

#[test]
fn binary_parts_become_the_canonical_form() {
    let attributes = [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "a\"b")];
    let mut found = String::new();
    for (content_type, data) in [
        (None, &b"{\"user_id\":  \"u-1\"}"[..]),
        (Some("application/vnd.shop+json; charset=utf-8"), b"[1]"),
        (Some("text/plain"), b"M"),
        (Some("image/png"), b"\x89PNG\xff"),
        (Some("application/json"), b""),
    ] {
        let made = canonical::binary(&attributes, content_type, data).expect("parts of an event");
        DomainEvent::parse(&made, RECEIVED_AT).expect("an event");
        writeln!(found, "{}", String::from_utf8(made).expect("UTF-8")).expect("to a string");
    }
    expect![[r#"
        {"specversion":"1.0","id":"1","source":"/s","type":"a\"b","data":{"user_id":  "u-1"}}
        {"specversion":"1.0","id":"1","source":"/s","type":"a\"b","datacontenttype":"application/vnd.shop+json; charset=utf-8","data":[1]}
        {"specversion":"1.0","id":"1","source":"/s","type":"a\"b","datacontenttype":"text/plain","data_base64":"TQ=="}
        {"specversion":"1.0","id":"1","source":"/s","type":"a\"b","datacontenttype":"image/png","data_base64":"iVBOR/8="}
        {"specversion":"1.0","id":"1","source":"/s","type":"a\"b","datacontenttype":"application/json"}
    "#]].assert_eq(&found);
}

#[test]
fn binary_parts_that_make_no_event_are_refused() {
    let refused = |attributes: &[(&str, &str)], data: &[u8]| {
        canonical::binary(attributes, None, data).expect_err("refused").to_string()
    };
    let found = [
        refused(&[("Id", "1")], b""),
        refused(&[("data", "1")], b""),
        refused(&[("id", "1"), ("id", "1")], b""),
        refused(&[("id", "1")], b"{\"a\":"),
        refused(&[("id", "1")], b"{} {}"),
    ];
    expect![[r#"
        name: "Id" is no name of an attribute
        name: "data" is no name of an attribute
        name: "id" is there twice
        not a JSON object: data: EOF while parsing a value at line 1 column 5
        not a JSON object: data: trailing characters at line 1 column 4"#]]
    .assert_eq(&found.join("\n"));
}

#[test]
fn a_batch_is_taken_apart_without_being_read() {
    let events = canonical::batch(b" [ {\"id\": 1} , 2,\n\"x\"] ").expect("a batch");
    assert_eq!(events, [&b"{\"id\": 1}"[..], b"2", b"\"x\""]);
    assert!(canonical::batch(b"{}").is_err());
    assert!(canonical::batch(b"[{]").is_err());
    assert!(canonical::batch(b"[]").expect("an empty batch").is_empty());
}

#[test]
fn deep_nesting_is_stepped_over_without_a_stack() {
    let deep = 200_000;
    let (open, close) = ("[".repeat(deep), "]".repeat(deep));
    for extra in [
        format!(r#","x":{open}{close}"#),
        format!(r#","data":{open}{close}"#),
        format!(r#","data":{{"user_id":{open}{close},"x":{open}{close}}}"#),
    ] {
        assert!(parse(&with(&extra)).is_ok());
    }
    assert!(parse(&with(&format!(r#","x":{open}"#))).is_err());
}

proptest! {
    #[test]
    fn damaged_text_is_an_event_only_if_it_is_json(
        damages in proptest::collection::vec((0..400usize, any::<u8>(), any::<bool>()), 1..4)
    ) {
        let mut text = with(
            r#","time":"2026-11-20T13:36:00Z","subject":"ü\n","data":{"user_id":"u-1","score":78.5,
            "amount":4999,"due":null,"banked":true,"x":[1,-2.5e3,{"y":"\u00fc"}]}"#,
        )
        .into_bytes();
        for (at, byte, replace) in damages {
            let at = at % text.len();
            if replace {
                text[at] = byte;
            } else {
                text.remove(at);
            }
        }
        let json: Result<serde_json::Value, _> = serde_json::from_slice(&text);
        let event = DomainEvent::parse(&text, RECEIVED_AT);
        prop_assert!(json.is_ok() || matches!(event, Err(NotAnEvent::Unreadable(_))));
        prop_assert!(json.is_err() || !matches!(event, Err(NotAnEvent::Unreadable(_))));
    }
}

/// From the HTTP and Kafka features of the CloudEvents conformance suite (Apache-2.0): both modes
/// of one event are one event.
mod conformance {
    use super::*;

    const STRUCTURED: &[u8] = br#"{
        "specversion": "1.0",
        "type": "com.example.someevent",
        "time": "2018-04-05T03:56:24Z",
        "id": "1234-1234-1234",
        "source": "/mycontext/subcontext",
        "datacontenttype": "application/json",
        "data": {
            "message": "Hello World!"
        }
    }"#;

    const ATTRIBUTES: &[(&str, &str)] = &[
        ("specversion", "1.0"),
        ("type", "com.example.someevent"),
        ("time", "2018-04-05T03:56:24Z"),
        ("id", "1234-1234-1234"),
        ("source", "/mycontext/subcontext"),
    ];

    #[test]
    fn structured_and_binary_mode_are_the_same_event() {
        for content_type in ["application/json", "application/json; charset=utf-8"] {
            let data = b"{\n \"message\": \"Hello World!\"\n}";
            let binary = canonical::binary(ATTRIBUTES, Some(content_type), data).expect("parts");
            for text in [STRUCTURED, &binary] {
                let event = DomainEvent::parse(text, RECEIVED_AT).expect("an event");
                assert_eq!(&*event.id, "1234-1234-1234");
                assert_eq!(&*event.source, "/mycontext/subcontext");
                assert_eq!(&*event.type_text, "com.example.someevent");
                assert_eq!(event.event_type, EventType::Unknown);
                assert_eq!(event.time.to_string(), "2018-04-05T03:56:24.000Z");
                let value: serde_json::Value = serde_json::from_slice(text).expect("JSON");
                assert_eq!(value["data"], serde_json::json!({"message": "Hello World!"}));
            }
        }
    }
}
