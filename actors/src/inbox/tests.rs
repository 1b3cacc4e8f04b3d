//! Inboxes on the stand: texts, counts, lists, and the bytes they are stored in.

use super::*;
use crate::codec;
use crate::currency::Currency;
use crate::event::KNOWN;
use crate::stand::{Stand, hear};
use crate::words::{Key, Timestamp};
use expect_test::expect;
use proptest::prelude::*;

fn lesson(number: u32) -> Event {
    let lesson_id = Key::from(format!("lesson-{number}"));
    let topic = Topic::LessonCompleted { course_id: "course-017".into(), lesson_id };
    Event::Notify(Note { time: Timestamp(1_795_000_000_000 + i64::from(number)), topic })
}

fn id(text: &str) -> ItemId {
    ItemId::parse(text).expect(text)
}

fn all() -> List {
    List { unread: false, archived: Archived::Include, limit: 100, before: None }
}

fn list(stand: &mut Stand<Inbox>, list: List) -> Listed {
    match stand.ask(Query::List(list)) {
        Answer::List(listed) => listed,
        Answer::Item(_) => panic!("a list was asked for"),
    }
}

fn ids(listed: &Listed) -> Vec<String> {
    listed.items.iter().map(|item| item.id.to_string()).collect()
}

fn item(stand: &mut Stand<Inbox>, id: ItemId) -> Option<ItemView> {
    match stand.ask(Query::Item(id)) {
        Answer::Item(item) => item,
        Answer::List(_) => panic!("an item was asked for"),
    }
}

#[test]
fn every_event_of_the_table_becomes_an_item_that_a_person_would_read() {
    let mut stand = Stand::<Inbox>::new();
    for name in KNOWN {
        let text = format!(
            r#"{{"specversion":"1.0","id":"1","source":"/s","type":"x.{name}.v1","data":{{
            "userId":"u-1","courseId":"c-1","lesson_id":"lesson 3","assignment_id":"essay",
            "score":87.5,"orderId":"o-9","paymentId":"p-1","amount":4999,"currency":"EUR"}}}}"#
        );
        let event = DomainEvent::parse(text.as_bytes(), Timestamp(0)).expect("an event");
        for (user, told) in hear::<Inbox>(&event).expect(name) {
            assert_eq!(user, "u-1");
            assert_eq!(stand.apply(&told), Outcome::Applied);
        }
    }
    tell_of_payments(&mut stand);
    let items = list(&mut stand, all()).items;
    let lines: Vec<String> = items
        .iter()
        .map(|item| {
            let json = serde_json::to_value(item).expect("JSON");
            let word = |name: &str| json[name].as_str().expect(name).to_owned();
            let (title, body) = (word("title"), word("body"));
            format!("{} {}\n    {title} | {body}", word("type"), json["data"])
        })
        .collect();
    expect![[r#"
        commerce.payment.action_required {"amount":4999,"currency":"EUR","payment_id":"p-1"}
            Please confirm your payment of 49.99 EUR | Your bank asks you to confirm payment p-1 of 49.99 EUR.
        commerce.payment.refunded {"amount":4999,"currency":"EUR","payment_id":"p-1"}
            We refunded 49.99 EUR | 49.99 EUR of your payment p-1 is on its way back to you.
        commerce.payment.failed {"amount":4999,"currency":"EUR","payment_id":"p-1"}
            Your payment of 49.99 EUR failed | Your payment p-1 of 49.99 EUR did not go through. Please try another way to pay.
        commerce.payment.captured {"amount":4999,"currency":"EUR","payment_id":"p-1"}
            We received 49.99 EUR | Your payment p-1 of 49.99 EUR went through. Thank you!
        learning.lesson.completed {"course_id":"c-1","lesson_id":"lesson 3"}
            Well done: lesson 3 | You have completed lesson 3 of c-1. Keep going!
        learning.enrollment.failed {"course_id":"c-1"}
            c-1 did not work out this time | You did not pass c-1. You can enroll again whenever you like.
        learning.enrollment.created {"course_id":"c-1"}
            You are enrolled in c-1 | Your place in c-1 is booked. You can start with the first lesson.
        learning.enrollment.completed {"course_id":"c-1"}
            You have finished c-1 | Your enrollment in c-1 is complete. We hope you enjoyed it.
        learning.enrollment.canceled {"course_id":"c-1"}
            You have left c-1 | Your enrollment in c-1 has been canceled. You are welcome back.
        learning.course.completed {"course_id":"c-1"}
            Congratulations, you completed c-1! | You have completed c-1. Take a moment to be proud of that.
        learning.assignment.graded {"assignment_id":"essay","course_id":"c-1","score":87.5}
            essay has been graded | Your essay in c-1 was graded. Your score: 87.5.
        identity.user.registered {}
            Welcome! | Your account is ready. Everything that concerns you will be here.
        commerce.order.shipped {"order_id":"o-9"}
            Order o-9 is on its way | Your order o-9 has left our warehouse and will be with you soon.
        commerce.order.placed {"order_id":"o-9"}
            Thank you for your order o-9 | We have received your order o-9 and tell you as soon as it ships.
        commerce.order.canceled {"order_id":"o-9"}
            Order o-9 was canceled | Your order o-9 was canceled. Nothing more will be sent."#]].assert_eq(&lines.join("\n"));
}

fn tell_of_payments(stand: &mut Stand<Inbox>) {
    let payment = Payment { payment_id: "p-1".into(), amount: 4_999, currency: currency("EUR") };
    for topic in [
        Topic::PaymentCaptured(payment.clone()),
        Topic::PaymentFailed(payment.clone()),
        Topic::PaymentRefunded(payment.clone()),
        Topic::PaymentActionRequired(payment),
    ] {
        stand.apply(&Event::Notify(Note { time: Timestamp(0), topic }));
    }
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).expect(code)
}

#[test]
fn an_event_without_what_its_item_needs_is_unfit() {
    let rows = [
        ("learning.enrollment.created", r#"{"user_id":"u-1"}"#),
        ("learning.enrollment.created", r#"{"course_id":"c-1"}"#),
        ("learning.lesson.completed", r#"{"user_id":"u-1","course_id":"c-1"}"#),
        ("learning.assignment.graded", r#"{"user_id":"u","course_id":"c","assignment_id":"a"}"#),
        ("commerce.order.placed", r#"{"user_id":"u-1","order_id":""}"#),
        ("identity.user.registered", r#"{"user_id":true}"#),
        ("learning.enrollment.created", "null"),
    ];
    let found: Vec<String> = rows
        .iter()
        .map(|(name, data)| {
            let text = format!(
                r#"{{"specversion":"1.0","id":"1","source":"/s","type":"{name}","data":{data}}}"#
            );
            let event = DomainEvent::parse(text.as_bytes(), Timestamp(0)).expect("an event");
            hear::<Inbox>(&event).expect_err(data).to_string()
        })
        .collect();
    expect![[r#"
        data.course_id: is missing
        data.user_id: is missing
        data.lesson_id: is missing
        data.score: is missing
        data.order_id: must not be empty
        data.user_id: must be a string
        data.course_id: is missing"#]]
    .assert_eq(&found.join("\n"));
}

#[test]
fn an_item_in_json() {
    let mut stand = Stand::<Inbox>::new();
    stand.apply(&lesson(1));
    let item = item(&mut stand, id("0-0")).expect("the item");
    expect![[r#"{"id":"0-0","type":"learning.lesson.completed","title":"Well done: lesson-1","body":"You have completed lesson-1 of course-017. Keep going!","time":"2026-11-18T11:06:40.001Z","read":false,"archived":false,"data":{"course_id":"course-017","lesson_id":"lesson-1"},"position":0}"#]].assert_eq(&serde_json::to_string(&item).expect("JSON"));
    let view = serde_json::to_string(&stand.head.view("u-1")).expect("JSON");
    expect![[r#"{"unread":1,"total":1,"archived":0}"#]].assert_eq(&view);
}

#[test]
fn commands_are_idempotent_and_know_their_items() {
    let mut stand = Stand::<Inbox>::new();
    let read = Event::Read(id("0-0"));
    assert!(matches!(stand.apply(&read), Outcome::Rejected(_)));
    assert!(matches!(stand.apply(&Event::Read(id("4000000000-0"))), Outcome::Rejected(_)));
    assert_eq!(stand.apply(&Event::ReadAll), Outcome::Ignored);
    stand.apply(&lesson(1));
    stand.apply(&lesson(2));
    let steps = [
        (read.clone(), Outcome::Applied, (1, 2)),
        (read, Outcome::Ignored, (1, 2)),
        (Event::Archive(id("0-1")), Outcome::Applied, (0, 2)),
        (Event::Unread(id("0-0")), Outcome::Applied, (1, 2)),
        (Event::ReadAll, Outcome::Applied, (0, 2)),
        (Event::Unarchive(id("0-1")), Outcome::Applied, (0, 2)),
        (Event::Unread(id("0-1")), Outcome::Applied, (1, 2)),
        (Event::Read(id("0-0")), Outcome::Ignored, (1, 2)),
        (Event::ReadAll, Outcome::Applied, (0, 2)),
        (Event::ReadAll, Outcome::Ignored, (0, 2)),
    ];
    for (event, outcome, counts) in steps {
        assert_eq!(stand.apply(&event), outcome, "{event:?}");
        let view = stand.head.view("u-1");
        assert_eq!((view.unread, view.total), counts, "{event:?}");
    }
}

#[test]
fn what_is_marked_unread_after_everything_was_read_stays_unread() {
    let mut stand = Stand::<Inbox>::new();
    for number in 0..3 {
        stand.apply(&lesson(number));
    }
    stand.apply(&Event::ReadAll);
    stand.apply(&Event::Unread(id("0-1")));
    stand.apply(&lesson(3));
    let unread = list(&mut stand, List { unread: true, ..all() });
    assert_eq!(ids(&unread), ["0-3", "0-1"]);
    assert_eq!((unread.unread, unread.total), (2, 4));
}

#[test]
fn item_ids_have_one_form() {
    for text in ["0-0", "17-3", "4294967295-65535"] {
        assert_eq!(id(text).to_string(), text);
    }
    for text in ["", "-", "1", "1-", "-1", "01-1", "1-01", "+1-1", "1-1-1", "1-65536", "1- 1", "x"]
    {
        assert_eq!(ItemId::parse(text), None, "{text}");
    }
}

#[test]
fn a_long_inbox_costs_no_more_than_a_short_one() {
    let mut stand = Stand::<Inbox>::new();
    for number in 0..20_000 {
        stand.apply(&lesson(number));
    }
    let view = stand.head.view("u-1");
    assert_eq!((view.unread, view.total), (20_000, 20_000));
    assert!(codec::encode(&stand.head).len() <= 32, "the head stays small");
    let first = list(&mut stand, List { limit: 20, ..all() });
    assert_eq!(first.items.len(), 20);
    assert_eq!(first.items[0].position, 19_999);
    assert!(stand.loads <= 2, "{} pages for a list", stand.loads);
    stand.apply(&Event::ReadAll);
    stand.loads = 0;
    assert_eq!(ids(&list(&mut stand, List { unread: true, ..all() })), [""; 0]);
    assert_eq!(stand.loads, 0, "nothing is unread, so nothing is looked at");
}

#[test]
fn a_search_that_finds_little_stops_and_goes_on() {
    let mut stand = Stand::<Inbox>::new();
    for number in 0..20_000 {
        stand.apply(&lesson(number));
    }
    stand.apply(&Event::ReadAll);
    stand.apply(&Event::Unread(id("0-7")));
    let mut before = None;
    let mut found = Vec::new();
    loop {
        stand.loads = 0;
        let listed = list(&mut stand, List { unread: true, before, ..all() });
        assert!(stand.loads <= list::SCAN_PAGES_MAX as usize, "{} pages at once", stand.loads);
        found.extend(ids(&listed));
        before = listed.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(found, ["0-7"]);
}

#[test]
fn the_longest_items_fit_their_pages() {
    let mut stand = Stand::<Inbox>::new();
    let longest = Key::from("x".repeat(256));
    let topic = Topic::AssignmentGraded {
        course_id: longest.clone(),
        assignment_id: longest,
        score: u64::MAX,
    };
    for _ in 0..100 {
        let note = Note { time: Timestamp(i64::MIN), topic: topic.clone() };
        stand.apply(&Event::Notify(note));
    }
    assert_eq!(list(&mut stand, all()).items.len(), 100);
}

#[test]
fn the_stored_forms_do_not_change() {
    let mut stand = Stand::<Inbox>::new();
    for number in 0..2 {
        stand.apply(&lesson(number));
    }
    stand.apply(&Event::Archive(id("0-0")));
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().concat();
    let payment = Payment { payment_id: "p-1".into(), amount: 4_999, currency: currency("EUR") };
    let captured = Topic::PaymentCaptured(payment);
    let found = [
        hex(&codec::encode(&stand.head)),
        hex(&stand.pages[&0]),
        hex(&codec::encode(&lesson(0))),
        hex(&codec::encode(&Event::Notify(Note { time: Timestamp(-1), topic: captured }))),
        hex(&codec::encode(&Event::Read(id("17-3")))),
        hex(&codec::encode(&Event::Unarchive(id("0-300")))),
        hex(&codec::encode(&Event::ReadAll)),
    ];
    expect![[r#"
        0064020201010100
        0244050a636f757273652d303137086c6573736f6e2d30fd00bcacdc4303000000000001050a636f757273652d303137086c6573736f6e2d31fd02bcacdc4303000001000000
        00fd00bcacdc43030000050a636f757273652d303137086c6573736f6e2d30
        00010a03702d31fb0e2703455552
        011103
        0400fb2c01
        05"#]].assert_eq(&found.join("\n"));
}

/// Any command, mostly on items that exist.
fn commands() -> impl Strategy<Value = Vec<Event>> {
    let an_id = (0..4u32, 0..40u16).prop_map(|(page, slot)| ItemId { page, slot });
    let command = prop_oneof![
        6 => (0..1_000u32).prop_map(lesson),
        2 => an_id.clone().prop_map(Event::Read),
        2 => an_id.clone().prop_map(Event::Unread),
        2 => an_id.clone().prop_map(Event::Archive),
        2 => an_id.prop_map(Event::Unarchive),
        1 => Just(Event::ReadAll),
    ];
    proptest::collection::vec(command, 0..300)
}

proptest! {
    #[test]
    fn the_counts_equal_a_recount(commands in commands()) {
        let mut stand = Stand::<Inbox>::new();
        let mut notified = 0;
        for command in &commands {
            notified += u32::from(matches!(command, Event::Notify(_)));
            stand.apply(command);
        }
        let mut items = Vec::new();
        let mut before = None;
        loop {
            let listed = list(&mut stand, List { limit: 7, before, ..all() });
            items.extend(listed.items);
            before = listed.next;
            if before.is_none() {
                break;
            }
        }
        prop_assert!(items.windows(2).all(|pair| pair[0].position > pair[1].position));
        let count = |wanted: &dyn Fn(&ItemView) -> bool| {
            items.iter().filter(|item| wanted(item)).count() as u32
        };
        let view = stand.head.view("u-1");
        prop_assert_eq!(view.total, notified);
        prop_assert_eq!(view.total, items.len() as u32);
        prop_assert_eq!(view.archived, count(&|item| item.archived));
        prop_assert_eq!(view.unread, count(&|item| !item.read && !item.archived));
        for unread in [false, true] {
            for archived in [Archived::Exclude, Archived::Include, Archived::Only] {
                let found = list(&mut stand, List { unread, archived, limit: 1_000, before: None });
                let expected = count(&|item| {
                    let fits = match archived {
                        Archived::Exclude => !item.archived,
                        Archived::Include => true,
                        Archived::Only => item.archived,
                    };
                    fits && !(unread && item.read)
                });
                prop_assert_eq!(found.items.len() as u32, expected);
                prop_assert_eq!(found.next, None);
            }
        }
    }
}
