//! Courses on the stand: the report, the series, and the bytes they are stored in.

use super::*;
use crate::codec;
use crate::stand::{Stand, hear};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).expect(text)
}

fn at(day: &str) -> Timestamp {
    time(&format!("{day}T12:00:00Z"))
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).expect(code)
}

fn captured(day: &str, amount: u64, code: &str) -> Event {
    Event::Captured(Movement { time: at(day), amount, currency: currency(code) })
}

fn refunded(day: &str, amount: u64, code: &str) -> Event {
    Event::Refunded(Movement { time: at(day), amount, currency: currency(code) })
}

fn told(events: &[Event]) -> Stand<Course> {
    let mut stand = Stand::new();
    for event in events {
        assert_eq!(stand.apply(event), Outcome::Applied, "{event:?}");
    }
    stand
}

fn check(events: &[Event], expected: &Expect) {
    let stand = told(events);
    let report = serde_json::to_string_pretty(&stand.head.view("c-1")).expect("JSON");
    expected.assert_eq(&report);
}

#[test]
fn a_course_nobody_has_heard_of_has_an_empty_report() {
    check(
        &[],
        &expect![[r#"
        {
          "course": "c-1",
          "enrollments": {
            "created": 0,
            "canceled": 0,
            "completed": 0,
            "failed": 0,
            "active": 0
          },
          "completion_rate": null,
          "lessons_completed": 0,
          "submissions": {
            "count": 0,
            "scored": 0,
            "score_sum": 0,
            "score_min": null,
            "score_max": null,
            "score_mean": null,
            "late": 0
          },
          "revenue": [],
          "first_at": null,
          "last_at": null
        }"#]],
    );
}

#[test]
fn a_report_has_totals_rates_and_means() {
    let day = "2026-11-20";
    let submitted = |score, late| Event::Submitted { time: at(day), score, late };
    check(
        &[
            Event::Enrolled { time: at("2026-11-01") },
            Event::Enrolled { time: at("2026-11-02") },
            Event::Enrolled { time: at("2026-11-02") },
            Event::Canceled { time: at("2026-11-03") },
            Event::Completed { time: at("2026-12-24") },
            Event::LessonCompleted { time: at(day) },
            submitted(Some(78_500_000), false),
            submitted(None, true),
            submitted(Some(0), true),
            Event::Graded { time: at(day), score: 100_000_000 },
            captured(day, 4_999, "USD"),
            captured(day, 4_999, "USD"),
            refunded(day, 999, "USD"),
            refunded(day, 5, "EUR"),
        ],
        &expect![[r#"
            {
              "course": "c-1",
              "enrollments": {
                "created": 3,
                "canceled": 1,
                "completed": 1,
                "failed": 0,
                "active": 1
              },
              "completion_rate": 0.333333,
              "lessons_completed": 1,
              "submissions": {
                "count": 3,
                "scored": 3,
                "score_sum": 178.5,
                "score_min": 0,
                "score_max": 100,
                "score_mean": 59.5,
                "late": 2
              },
              "revenue": [
                {
                  "currency": "EUR",
                  "gross": 0,
                  "refunded": 5,
                  "net": -5,
                  "payments": 0
                },
                {
                  "currency": "USD",
                  "gross": 9998,
                  "refunded": 999,
                  "net": 8999,
                  "payments": 2
                }
              ],
              "first_at": "2026-11-01T12:00:00.000Z",
              "last_at": "2026-12-24T12:00:00.000Z"
            }"#]],
    );
}

#[test]
fn more_endings_than_enrollments_leave_nobody_active() {
    let stand = told(&[Event::Canceled { time: at("2026-11-01") }]);
    let report = serde_json::to_value(stand.head.view("c-1")).expect("JSON");
    assert_eq!(report["enrollments"]["active"], 0);
    assert_eq!(report["completion_rate"], serde_json::Value::Null);
}

#[test]
fn domain_events_tell_the_course_they_concern() {
    let rows = [
        ("enrollment.created", ""),
        ("learning.enrollment.canceled", ""),
        ("EnrollmentFailed", ""),
        ("learning.enrollment.completed", ""),
        ("COURSE_COMPLETED", ""),
        ("LESSON_COMPLETED", ""),
        ("learning.assignment.submitted", ""),
        ("learning.assignment.submitted", r#","assignment_id":"a","due":"2026-11-20T11:59:59Z""#),
        ("learning.assignment.submitted", r#","assignment_id":"a","due":"2026-11-20T12:00:00Z""#),
        ("learning.assignment.submitted", r#","assignment_id":"a","score":50,"banked":true"#),
        ("learning.assignment.submitted", r#","assignment_id":"a","score":1000001"#),
        ("learning.assignment.submitted", r#","assignment_id":"a","banked":"yes""#),
        ("learning.assignment.graded", r#","assignment_id":"a","score":0.1234567"#),
        ("learning.assignment.graded", ""),
        ("commerce.payment.captured", ""),
        ("learning.enrollment.created.v2", ""),
    ];
    let found: Vec<String> = rows
        .iter()
        .map(|(name, extra)| {
            let text = format!(
                r#"{{"specversion":"1.0","id":"1","source":"/s","type":"{name}",
                "time":"2026-11-20T12:00:00Z","data":{{"user_id":"u","course_id":"c"{extra}}}}}"#
            );
            let event = DomainEvent::parse(text.as_bytes(), Timestamp(0)).expect("an event");
            match hear::<Course>(&event) {
                Ok(told) => format!("{name}{extra}\n    {told:?}"),
                Err(unfit) => format!("{name}{extra}\n    {unfit}"),
            }
        })
        .collect();
    expect![[r#"
        enrollment.created
            [("c", Enrolled { time: Timestamp(1795176000000) })]
        learning.enrollment.canceled
            [("c", Canceled { time: Timestamp(1795176000000) })]
        EnrollmentFailed
            [("c", Failed { time: Timestamp(1795176000000) })]
        learning.enrollment.completed
            [("c", Completed { time: Timestamp(1795176000000) })]
        COURSE_COMPLETED
            [("c", Completed { time: Timestamp(1795176000000) })]
        LESSON_COMPLETED
            [("c", LessonCompleted { time: Timestamp(1795176000000) })]
        learning.assignment.submitted
            data.assignment_id: is missing
        learning.assignment.submitted,"assignment_id":"a","due":"2026-11-20T11:59:59Z"
            [("c", Submitted { time: Timestamp(1795176000000), score: None, late: true })]
        learning.assignment.submitted,"assignment_id":"a","due":"2026-11-20T12:00:00Z"
            [("c", Submitted { time: Timestamp(1795176000000), score: None, late: false })]
        learning.assignment.submitted,"assignment_id":"a","score":50,"banked":true
            [("c", Submitted { time: Timestamp(1795176000000), score: Some(50000000), late: false })]
        learning.assignment.submitted,"assignment_id":"a","score":1000001
            data.score: must be within 0 to 10^6
        learning.assignment.submitted,"assignment_id":"a","banked":"yes"
            data.banked: must be true or false
        learning.assignment.graded,"assignment_id":"a","score":0.1234567
            [("c", Graded { time: Timestamp(1795176000000), score: 123457 })]
        learning.assignment.graded
            data.score: is missing
        commerce.payment.captured
            []
        learning.enrollment.created.v2
            []"#]].assert_eq(&found.join("\n"));
}

fn query(metric: Metric, bucket: Bucket) -> Query {
    Query { metric, bucket, from: None, to: None }
}

fn lines(stand: &mut Stand<Course>, query: Query) -> String {
    let points = stand.ask(query).expect("not too many buckets");
    let line = |point: &Point| format!("{} {}", &point.start.to_string()[..10], point.value);
    points.iter().map(line).collect::<Vec<_>>().join(", ")
}

#[test]
fn series_are_sums_over_whole_buckets() {
    let days = ["2026-12-31", "2026-11-01", "2026-11-02", "2026-11-02", "2026-11-08", "2027-02-28"];
    let mut stand = told(&days.map(|day| Event::Enrolled { time: at(day) }));
    let mut ask = |bucket, from: Option<&str>, to: Option<&str>| {
        let (from, to) = (from.map(time), to.map(time));
        lines(&mut stand, Query { from, to, ..query(Metric::Enrollments, bucket) })
    };
    let midnight = Some("2026-11-02T00:00:00Z");
    let found = [
        ask(Bucket::Day, None, None),
        ask(Bucket::Week, None, None),
        ask(Bucket::Month, None, None),
        ask(Bucket::Day, midnight, None),
        ask(Bucket::Day, Some("2026-11-02T00:00:00.001Z"), None),
        ask(Bucket::Day, None, midnight),
        ask(Bucket::Week, midnight, Some("2026-11-02T00:00:00.001Z")),
        ask(Bucket::Month, Some("2026-11-01T00:00:00Z"), Some("2026-12-01T00:00:00Z")),
        ask(Bucket::Month, Some("2028-01-01T00:00:00Z"), None),
        ask(Bucket::Day, Some("2026-12-01T00:00:00Z"), Some("2026-11-01T00:00:00Z")),
    ];
    expect![[r#"
        2026-11-01 1, 2026-11-02 2, 2026-11-08 1, 2026-12-31 1, 2027-02-28 1
        2026-10-26 1, 2026-11-02 3, 2026-12-28 1, 2027-02-22 1
        2026-11-01 4, 2026-12-01 1, 2027-02-01 1
        2026-11-02 2, 2026-11-08 1, 2026-12-31 1, 2027-02-28 1
        2026-11-08 1, 2026-12-31 1, 2027-02-28 1
        2026-11-01 1
        2026-11-02 3
        2026-11-01 4

    "#]]
    .assert_eq(&found.join("\n"));
}

#[test]
fn revenue_is_gross_and_by_currency() {
    let mut stand = told(&[
        captured("2026-11-01", 100, "EUR"),
        refunded("2026-11-02", 100, "USD"),
        captured("2026-11-02", 7, "USD"),
        captured("2026-11-02", 30, "EUR"),
        refunded("2026-11-02", 130, "EUR"),
    ]);
    let mut ask = |code| lines(&mut stand, query(Metric::Revenue(currency(code)), Bucket::Day));
    assert_eq!(ask("EUR"), "2026-11-01 100, 2026-11-02 30");
    assert_eq!(ask("USD"), "2026-11-02 7");
    assert_eq!(ask("JPY"), "");
}

#[test]
fn too_many_buckets_are_refused_with_their_number() {
    let mut stand = told(&[
        Event::Enrolled { time: Timestamp(*Timestamp::RANGE.start()) },
        Event::Enrolled { time: Timestamp(*Timestamp::RANGE.end()) },
    ]);
    let all = query(Metric::Enrollments, Bucket::Day);
    assert_eq!(stand.ask(all), Err(TooManyBuckets { buckets: 3_652_059 }));
    let start = time("2000-01-01T00:00:00Z");
    let from = Some(start);
    let to = |days: i64| Some(start.plus_ms(days * 86_400_000));
    assert_eq!(stand.ask(Query { from, to: to(4_000), ..all }), Ok(Vec::new()));
    let refused = stand.ask(Query { from, to: to(4_001), ..all });
    assert_eq!(refused, Err(TooManyBuckets { buckets: 4_001 }));
    let late =
        Query { from: Some(time("9999-12-01T00:00:00Z")), ..query(all.metric, Bucket::Week) };
    assert_eq!(lines(&mut stand, late), "9999-12-27 1");
    let early = Query { to: Some(time("0001-02-01T00:00:00Z")), ..query(all.metric, Bucket::Week) };
    assert_eq!(lines(&mut stand, early), "0001-01-01 1");
}

#[test]
fn a_course_counts_so_many_currencies_and_so_much_money() {
    let mut stand = Stand::<Course>::new();
    let codes: Vec<String> = (b'A'..=b'Z')
        .flat_map(|a| (b'A'..=b'Z').map(move |b| (a, b)))
        .flat_map(|(a, b)| (b'A'..=b'Z').map(move |c| String::from_utf8(vec![a, b, c])))
        .filter_map(Result::ok)
        .filter(|code| Currency::parse(code).is_some())
        .collect();
    for (index, code) in codes.iter().enumerate() {
        let outcome = stand.apply(&captured("2026-11-01", u64::MAX - 7, code));
        assert_eq!(outcome == Outcome::Applied, index < CURRENCIES_MAX, "{code}");
    }
    for event in [captured("2026-11-01", 8, &codes[0]), refunded("2026-11-01", 1, &codes[100])] {
        assert!(matches!(stand.apply(&event), Outcome::Rejected(_)), "{event:?}");
    }
    assert_eq!(stand.apply(&captured("2026-11-01", 7, &codes[0])), Outcome::Applied);
}

#[test]
fn the_stored_forms_do_not_change() {
    let events = [
        Event::Enrolled { time: at("2026-11-20") },
        Event::Submitted { time: at("2026-11-20"), score: Some(78_500_000), late: true },
        Event::Graded { time: at("2026-11-21"), score: 1 },
        captured("2026-11-20", 4_999, "EUR"),
        refunded("2026-11-20", 999, "EUR"),
    ];
    let stand = told(&events);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().concat();
    let mut found: Vec<_> = events.iter().map(|event| hex(&codec::encode(event))).collect();
    found.push(hex(&codec::encode(&stand.head)));
    for (number, page) in &stand.pages {
        found.push(format!("{number} {}", hex(page)));
    }
    expect![[r#"
        00fd00d4a7f143030000
        05fd00d4a7f14303000001fca0d0ad0401
        06fd008cf4fb4303000001
        07fd00d4a7f143030000fb871303455552
        08fd00d4a7f143030000fbe70303455552
        0100000000010102fca1d0ad0401fca0d0ad0401fd00d4a7f143030000fd008cf4fb430300000103455552fb8713fbe70301
        30649 0248014c01
        161721 014dfb8713"#]].assert_eq(&found.join("\n"));
}

/// Which event, on which day, at which millisecond of it.
fn events() -> impl Strategy<Value = Vec<(usize, i64, i64)>> {
    proptest::collection::vec((0..5usize, 15_000..17_000i64, 0..86_400_000i64), 1..200)
}

proptest! {
    #[test]
    fn every_series_sums_up_to_a_recount(
        events in events(),
    ) {
        let mut stand = Stand::<Course>::new();
        let mut counts: BTreeMap<(usize, i64), u64> = BTreeMap::new();
        for &(which, day, ms) in &events {
            let time = Timestamp(day * 86_400_000 + ms);
            stand.apply(&match which {
                0 => Event::Enrolled { time },
                1 => Event::Canceled { time },
                2 => Event::Completed { time },
                3 => Event::Submitted { time, score: None, late: false },
                _ => Event::Captured(Movement { time, amount: 7, currency: currency("EUR") }),
            });
            *counts.entry((which, day)).or_default() += if which == 4 { 7 } else { 1 };
        }
        let metrics = [
            Metric::Enrollments,
            Metric::Cancellations,
            Metric::Completions,
            Metric::Submissions,
            Metric::Revenue(currency("EUR")),
        ];
        for (which, metric) in metrics.into_iter().enumerate() {
            for bucket in [Bucket::Day, Bucket::Week, Bucket::Month] {
                let mut expected: BTreeMap<String, u64> = BTreeMap::new();
                for (&(_, day), value) in counts.iter().filter(|((w, _), _)| *w == which) {
                    *expected.entry(start_by_jiff(bucket, day)).or_default() += value;
                }
                let points = stand.ask(query(metric, bucket)).expect("not too many");
                let date = |point: &Point| point.start.to_string()[..10].to_owned();
                let found: BTreeMap<String, u64> =
                    points.iter().map(|point| (date(point), point.value)).collect();
                prop_assert_eq!(found.len(), points.len());
                prop_assert_eq!(found, expected);
            }
        }
    }
}

/// The start of a day's bucket, by another calendar than ours.
fn start_by_jiff(bucket: Bucket, day: i64) -> String {
    let date = jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(day);
    let start = match bucket {
        Bucket::Day => date,
        Bucket::Week => {
            let since_monday = i64::from(date.weekday().to_monday_zero_offset());
            date - jiff::Span::new().days(since_monday)
        }
        Bucket::Month => date.first_of_month(),
    };
    start.to_string()
}
