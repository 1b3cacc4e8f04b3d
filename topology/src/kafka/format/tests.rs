//! Records as producers write them, good and bad, and what becomes of each.

use super::*;
use actors::DomainEvent;
use expect_test::{Expect, expect};
use std::fmt::Write;

type Row<'a> = (&'a [(&'a str, &'a [u8])], Option<&'a [u8]>);

const TIME: Timestamp = Timestamp(1_795_190_400_123);

/// What each record becomes: the text, or code and reason. What is an event is one that parses.
fn check(rows: &[Row<'_>], expected: &Expect) {
    let defaults = TopicDefaults::new("shop");
    let mut found = String::new();
    for (headers, value) in rows {
        let raw = Raw {
            topic: "shop",
            partition: 3,
            offset: 41,
            headers,
            value: *value,
            time: Some(TIME),
        };
        let mut out = b"before".to_vec();
        let made = structured(&raw, &defaults, &mut out);
        let text = String::from_utf8(out).unwrap();
        let text = text.strip_prefix("before").expect("what stood there still does");
        assert_eq!(made == Ok(Form::Event), !text.is_empty());
        let line = match made {
            Ok(Form::Tombstone) => "tombstone".to_owned(),
            Err(Bad { code, reason }) => format!("{code}: {reason}"),
            Ok(Form::Event) => match DomainEvent::parse(text.as_bytes(), TIME) {
                Ok(event) => format!("{text}\n    {:?}", event.event_type),
                Err(fault) => format!("{text}\n    {:?}", Bad::from(fault)),
            },
        };
        writeln!(found, "{line}").unwrap();
    }
    expected.assert_eq(&found);
}

const CE: [(&str, &[u8]); 4] = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"e-1"),
    ("ce_source", b"/shop"),
    ("ce_type", b"com.example.commerce.order.placed.v1"),
];

fn ce<'a>(more: &[(&'a str, &'a [u8])]) -> Vec<(&'a str, &'a [u8])> {
    CE.into_iter().chain(more.iter().copied()).collect()
}

fn without(attribute: &str) -> Vec<(&'static str, &'static [u8])> {
    CE.into_iter().filter(|(name, _)| *name != attribute).collect()
}

#[test]
fn binary_mode() {
    check(
        &[
            (&CE, Some(br#"{"order_id":"o-1"}"#)),
            (&CE, Some(b"")),
            (&CE, None),
            (
                &ce(&[
                    ("content-type", b"application/json; charset=utf-8"),
                    ("ce_time", b"2026-11-20T16:00:00Z"),
                    ("ce_subject", "ö \"1\"".as_bytes()),
                    ("ce_partitionkey", b"o-1"),
                    ("traceparent", b"\xff is nobody's business"),
                ]),
                Some(b" [1] "),
            ),
            (&ce(&[("Content-Type", b"application/x-protobuf")]), Some(b"\x08\x01")),
        ],
        &expect![[r#"
            {"specversion":"1.0","id":"e-1","source":"/shop","type":"com.example.commerce.order.placed.v1","data":{"order_id":"o-1"}}
                Known("commerce.order.placed")
            {"specversion":"1.0","id":"e-1","source":"/shop","type":"com.example.commerce.order.placed.v1"}
                Known("commerce.order.placed")
            {"specversion":"1.0","id":"e-1","source":"/shop","type":"com.example.commerce.order.placed.v1"}
                Known("commerce.order.placed")
            {"specversion":"1.0","id":"e-1","source":"/shop","type":"com.example.commerce.order.placed.v1","time":"2026-11-20T16:00:00Z","subject":"ö \"1\"","partitionkey":"o-1","datacontenttype":"application/json; charset=utf-8","data":[1]}
                Known("commerce.order.placed")
            {"specversion":"1.0","id":"e-1","source":"/shop","type":"com.example.commerce.order.placed.v1","datacontenttype":"application/x-protobuf","data_base64":"CAE="}
                Known("commerce.order.placed")
        "#]],
    );
}

#[test]
fn structured_mode_is_copied_as_it_is() {
    const EVENT: &[u8] =
        b"{ \"type\":\"ORDER_PLACED\", \"specversion\":\"1.0\",\n\"id\":\"1\",\"source\":\"/s\" }";
    let content_type = |text: &'static [u8]| [("content-type", text)];
    check(
        &[
            (&content_type(b"application/cloudevents+json"), Some(EVENT)),
            (&content_type(b"Application/CloudEvents+JSON ; charset=UTF-8"), Some(EVENT)),
            (&content_type(b"application/cloudevents+json"), None),
            (&content_type(b"application/cloudevents+json"), Some(b"{\"id\"")),
            (&[("content-type", b"application/cloudevents+json"), CE[1]], Some(EVENT)),
            (&[], Some(EVENT)),
            (&[], Some(br#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#)),
        ],
        &expect![[r#"
            { "type":"ORDER_PLACED", "specversion":"1.0",
            "id":"1","source":"/s" }
                Known("commerce.order.placed")
            { "type":"ORDER_PLACED", "specversion":"1.0",
            "id":"1","source":"/s" }
                Known("commerce.order.placed")
            tombstone
            {"id"
                Bad { code: "not-json", reason: "not a JSON object: EOF while parsing an object at line 1 column 5" }
            { "type":"ORDER_PLACED", "specversion":"1.0",
            "id":"1","source":"/s" }
                Known("commerce.order.placed")
            { "type":"ORDER_PLACED", "specversion":"1.0",
            "id":"1","source":"/s" }
                Known("commerce.order.placed")
            {"specversion":"1.0","id":"1","source":"/s","type":"t"}
                Unknown
        "#]],
    );
}

#[test]
fn the_plain_envelope_and_bare_json() {
    let by_header = [("type", &b"ENROLLMENT_CREATED"[..])];
    check(
        &[
            (
                &[],
                Some(
                    br#"{"eventId":"e-1","eventType":"PaymentCompleted","payload":{"amount":1},
                    "timestamp":"2026-11-20T13:36:00Z","metadata":{"source":"pay"}}"#,
                ),
            ),
            (&by_header, Some(br#"{"userId":"u-1","courseId":"c-1"}"#)),
            (&by_header, Some(br#"{"type":"order.placed","event_id":7,"data":{"userId":"u-1"}}"#)),
            (
                &[("content-type", b"application/json")],
                Some(br#"{"type":"payment.completed","occurredAt":"2026-01-02T03:04:05Z","data":[]}"#),
            ),
            (&[], Some(br#"{"eventType":"PaymentCompleted","paymentId":"p-1","time":"soon"}"#)),
            (&[], Some(br#"{"t\u0079pe":"COURSE_\u0050URCHASED","payload":{"user_id":"u-1"}}"#)),
            (&[], Some(br#"{"type":"SOMETHING_ELSE"}"#)),
            (&[], None),
        ],
        &expect![[r#"
            {"specversion":"1.0","id":"e-1","source":"/envelope/pay","type":"PaymentCompleted","time":"2026-11-20T13:36:00Z","envelopemetadata":"{\"source\":\"pay\"}","data":{"amount":1}}
                Known("commerce.payment.captured")
            {"specversion":"1.0","id":"shop/3/41","source":"/kafka/shop","type":"ENROLLMENT_CREATED","time":"2026-11-20T16:00:00.123Z","data":{"userId":"u-1","courseId":"c-1"}}
                Known("learning.enrollment.created")
            {"specversion":"1.0","id":"7","source":"/kafka/shop","type":"ENROLLMENT_CREATED","time":"2026-11-20T16:00:00.123Z","data":{"userId":"u-1"}}
                Known("learning.enrollment.created")
            {"specversion":"1.0","id":"shop/3/41","source":"/kafka/shop","type":"payment.completed","time":"2026-01-02T03:04:05.000Z","data":{"type":"payment.completed","occurredAt":"2026-01-02T03:04:05Z","data":[]}}
                Known("commerce.payment.captured")
            {"specversion":"1.0","id":"shop/3/41","source":"/kafka/shop","type":"PaymentCompleted","time":"2026-11-20T16:00:00.123Z","data":{"eventType":"PaymentCompleted","paymentId":"p-1","time":"soon"}}
                Known("commerce.payment.captured")
            {"specversion":"1.0","id":"shop/3/41","source":"/kafka/shop","type":"COURSE_PURCHASED","time":"2026-11-20T16:00:00.123Z","data":{"user_id":"u-1"}}
                Known("commerce.payment.captured")
            {"specversion":"1.0","id":"shop/3/41","source":"/kafka/shop","type":"SOMETHING_ELSE","time":"2026-11-20T16:00:00.123Z","data":{"type":"SOMETHING_ELSE"}}
                Unknown
            tombstone
        "#]],
    );
}

#[test]
fn what_is_no_event_says_why() {
    let latin: [(&str, &[u8]); 1] = [("ce_subject", b"caf\xe9")];
    let by_header = [("type", &b"ORDER_PLACED"[..])];
    check(
        &[
            (&ce(&latin), Some(b"{}")),
            (&[("content-type", b"\xff")], Some(b"{}")),
            (&[("type", b"\xff")], Some(b"{}")),
            (&without("ce_id"), Some(b"{}")),
            (&without("ce_specversion"), Some(b"{}")),
            (&without("ce_type"), Some(b"{}")),
            (&[("ce_specversion", b"0.3"), CE[1], CE[2], CE[3]], Some(b"{}")),
            (&[("ce_id", b""), CE[0], CE[2], CE[3]], Some(b"{}")),
            (&ce(&[("ce_id", b"again")]), Some(b"{}")),
            (&ce(&[("ce_Bad-Name", b"x")]), Some(b"{}")),
            (&ce(&[("ce_time", b"yesterday")]), Some(b"{}")),
            (&CE, Some(b"{\"order_id\":")),
            (&CE, Some(b"{},\"id\":\"two\"")),
            (&CE, Some(b"{\"a\":\"\xff\"}")),
            (&[("content-type", b"application/cloudevents-batch+json")], Some(b"[]")),
            (&[("content-type", b"application/cloudevents+avro")], Some(b"\x01")),
            (&[("content-type", b"avro/binary")], Some(b"\x01")),
            (&[], Some(b"")),
            (&[], Some(b"\x00\x00\x00\x00\x07Obj")),
            (&[], Some(b"[1,2]")),
            (&[], Some(b"{\"type\":1}")),
            (&[], Some(b"{\"user_id\":\"u-1\"}")),
            (&by_header, Some(b"\"text\"")),
            (&[], Some(br#"{"eventType":"ORDER_PLACED","payload":{},"metadata":7}"#)),
            (&[], Some(br#"{"eventType":"ORDER_PLACED","payload":{}}"#)),
        ],
        &expect![[r#"
            bad-header: header ce_subject is not UTF-8
            bad-header: header content-type is not UTF-8
            bad-header: header type is not UTF-8
            bad-event: ce_id: is missing
            bad-event: ce_specversion: is missing
            bad-event: ce_type: is missing
            bad-event: ce_specversion: must be "1.0", not "0.3"
            {"id":"","specversion":"1.0","source":"/shop","type":"com.example.commerce.order.placed.v1","data":{}}
                Bad { code: "bad-event", reason: "id: must not be empty" }
            bad-event: name: "id" is there twice
            bad-event: name: "Bad-Name" is no name of an attribute
            {"specversion":"1.0","id":"e-1","source":"/shop","type":"com.example.commerce.order.placed.v1","time":"yesterday","data":{}}
                Bad { code: "bad-event", reason: "time: must be a time of RFC 3339" }
            not-json: not a JSON object: data: EOF while parsing a value at line 1 column 12
            not-json: not a JSON object: data: trailing characters at line 1 column 3
            not-json: not a JSON object: data: invalid unicode code point at line 1 column 7
            unsupported-media-type: content-type "application/cloudevents-batch+json" is not understood
            unsupported-media-type: content-type "application/cloudevents+avro" is not understood
            unsupported-media-type: content-type "avro/binary" is not understood
            not-json: not a JSON object: EOF while parsing a value at line 1 column 0
            not-json: not a JSON object: expected value at line 1 column 1
            not-json: not a JSON object: invalid type: sequence, expected an object at line 1 column 0
            no-type: neither a header "type" nor a member "type" says of what type it is
            no-type: neither a header "type" nor a member "type" says of what type it is
            not-json: not a JSON object: invalid type: string "text", expected an object at line 1 column 6
            bad-event: metadata: must be an object
            {"specversion":"1.0","source":"/envelope","type":"ORDER_PLACED","data":{}}
                Bad { code: "bad-event", reason: "id: is missing" }
        "#]],
    );
}
