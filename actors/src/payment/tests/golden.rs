//! Stored bytes: they cannot change unseen. What a client and the world see, field by field. A head
//! at its fullest.

use super::super::gateway::Reason;
use super::*;
use crate::codec::encode;
use crate::event::{Data, EventType};
use crate::pages::{LivePages, Pages};
use expect_test::expect;

/// In lines of 40 bytes.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        let between = if at > 0 && at % 40 == 0 { "\n" } else { "" };
        let _ = write!(text, "{between}{byte:02x}");
    }
    text
}

fn run(steps: &[Step]) -> Bench {
    let mut bench = Bench::default();
    for step in steps {
        match step {
            Step::Tell(event) => {
                bench.tell(event.clone());
            }
            Step::Pass(ms) => bench.passed_ms += ms,
        }
    }
    bench
}

fn busy() -> Bench {
    run(&[
        create(CaptureMode::Manual),
        answer(1, authorized(1_000)),
        capture(300),
        answer(2, captured("cap_1", 300)),
        refund(100),
        lost(3),
        capture(5),
    ])
}

#[test]
fn a_head_and_a_page_are_stored_as_ever() {
    let bench = busy();
    expect![[r#"
        0103752d3101036f2d310103632d31010345555201fbd0070001fd571c6eb5178798eafb58020000
        00000000000001057061795f31010100027b7dfd00bcacdc4303000001fbd00706617574685f31fd
        00c4c524440300000000000104010a000103c80104000001fbd007fb580200fb5802000008fd00bc
        acdc43030000fd00bcacdc43030000"#]]
    .assert_eq(&hex(&encode(&bench.payment)));
    expect![[r#"
        000800000001fbd007fd00bcacdc43030000000100010101fbd007fd00bcacdc4303000000010102
        0501fbd007fd00bcacdc43030000010102010201fb5802fd00bcacdc43030000020101030601fb58
        02fd00bcacdc43030000030103030401c8fd00bcacdc43030000040103030c01c8fd00bcacdc4303
        00000501030102010afd00bcacdc4303000006"#]]
    .assert_eq(&hex(&encode(&bench.pages[&0])));
    let followed = run(&[fact(FactKind::Captured, 1_000, None)]);
    expect![[r#"
        0103752d3101036f2d310103632d310103455552000000fbd00700000000000000000000fbd00700
        fbd007000001fd00bcacdc43030000fd00bcacdc43030000"#]]
    .assert_eq(&hex(&encode(&followed.payment)));
}

#[test]
fn events_are_stored_as_ever() {
    let fact = Box::new(a_fact(FactKind::Refunded, 400, Some("r1")));
    let create = Box::new(new_payment(CaptureMode::Automatic, Some(Token::Visa)));
    let action = Some(gateway::PayerAction::Succeed);
    let answers = Event::Gateway { seq: 3, answer: Some(captured("ch_1", 1_000)) };
    let events = [
        Event::Create(create),
        Event::Confirm(Confirm { method: None, action }),
        Event::Capture(Some(300)),
        Event::Cancel,
        Event::Refund(None),
        Event::Fact(fact),
        answers,
        Event::Gateway { seq: 3, answer: None },
        Event::Lapse { due: START },
    ];
    let bytes: Vec<String> = events.iter().map(|event| hex(&encode(event))).collect();
    expect![[r#"
        00057061795f3103752d3101036f2d310103632d31fbd007034555520100000100027b7d
        01000100
        0201fb5802
        03
        0400
        0507057061795f31fd00bcacdc4303000003752d3101036f2d310103632d31fb2003034555520102
        723100
        060301000463685f31fbd007
        060300
        07fd00bcacdc43030000"#]]
    .assert_eq(&bytes.join("\n"));
}

#[test]
fn requests_and_answers_are_stored_as_ever() {
    let request = Request {
        seq: 3,
        payment_id: "pay_1".into(),
        amount: 300,
        currency: euro(),
        ask: Ask::Capture { authorization: "auth_1".into() },
    };
    expect!["0103057061795f31fb5802034555520206617574685f31"].assert_eq(&hex(&request.encode()));
    expect!["0100056361705f31fb5802"].assert_eq(&hex(&captured("cap_1", 300).encode()));
    assert_eq!(Request::decode(&request.encode()), Some(request));
    assert_eq!(Request::decode(&[2, 0]), None, "a version to come");
}

#[test]
fn a_client_sees_every_promised_field() {
    let view = busy().payment.view("pay_1").expect("it exists");
    expect![[r#"
        {
          "id": "pay_1",
          "status": "processing",
          "substatus": "in_flight",
          "amount": 1000,
          "authorized": 1000,
          "captured": 300,
          "refunded": 0,
          "capturable": 700,
          "refundable": 200,
          "currency": "EUR",
          "user_id": "u-1",
          "order_id": "o-1",
          "course_id": "c-1",
          "gateway": "mock",
          "failure": null,
          "allowed_actions": [],
          "created_at": "2026-11-18T11:06:40.000Z",
          "updated_at": "2026-11-18T11:06:40.000Z",
          "metadata": {}
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&view).expect("a view"));
}

#[test]
fn a_publication_carries_what_is_known() {
    let bench = run(&[create(CaptureMode::Automatic), answer(1, captured("ch_1", 1_000))]);
    let Some(Effect::Publish(publication)) = bench.effects.first() else {
        panic!("{:?}", bench.effects);
    };
    expect![[r#"
        Publication {
            event_type: "com.bellwether.commerce.payment.captured.v1",
            subject: "pay_1",
            time: Timestamp(
                1795000000000,
            ),
            data: "{\"payment_id\":\"pay_1\",\"user_id\":\"u-1\",\"course_id\":\"c-1\",\"order_id\":\"o-1\",\"amount\":1000,\"currency\":\"EUR\",\"capture_id\":\"ch_1\"}",
            outward: true,
        }
    "#]].assert_debug_eq(publication);
}

#[test]
fn history_is_read_in_pages_oldest_first() {
    let mut bench = run(&[create(CaptureMode::Manual), answer(1, authorized(1_000))]);
    for seq in 2..102 {
        bench.tell(Event::Capture(Some(1)));
        let refused = Some(Answer::Refused(Reason::ExceedsAuthorized));
        bench.tell(Event::Gateway { seq, answer: refused });
    }
    assert!(bench.pages.len() > 2, "{} pages", bench.pages.len());
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let part = history(&bench, cursor, 7);
        assert!(part.items.len() <= 7);
        all.extend(part.items);
        cursor = part.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), 203);
    assert!(all.is_sorted_by_key(|item| item.position));
    assert_eq!(all[0].from, None);
    assert!(all.windows(2).all(|pair| Some(pair[0].to) == pair[1].from));
    assert_eq!(history(&bench, None, 1_000).items, all);
    assert_eq!(history(&bench, Some(u64::MAX), 10), HistoryPage::default());
    let lines: Vec<String> =
        all[..4].iter().map(|item| serde_json::to_string(item).expect("a transition")).collect();
    expect![[r#"
        {"from":null,"to":"pending","why":"created","amount":1000,"time":"2026-11-18T11:06:40.000Z","position":0}
        {"from":"pending","to":"processing","why":"confirm requested","amount":1000,"time":"2026-11-18T11:06:40.000Z","position":0}
        {"from":"processing","to":"authorized","why":"authorized","amount":1000,"time":"2026-11-18T11:06:40.000Z","position":1}
        {"from":"authorized","to":"processing","why":"capture requested","amount":1,"time":"2026-11-18T11:06:40.000Z","position":2}"#]].assert_eq(&lines.join("\n"));
}

fn history(bench: &Bench, cursor: Option<u64>, limit: usize) -> HistoryPage {
    let mut load = |number: u32| bench.pages.get(&number).map(encode);
    let nothing = LivePages::default();
    let mut pages = Pages::new(&nothing, &mut load);
    bench.payment.ask("pay_1", Query::History { cursor, limit }, &mut pages)
}

#[test]
fn the_fullest_head_keeps_its_limit() {
    let id = |letter: &str| Key::new(letter.repeat(256));
    let amount = 1_000_000_000_000;
    let mut fullest = new_payment(CaptureMode::Manual, Some(Token::Visa));
    fullest.id = Key::new("p".repeat(input::OWN_ID_BYTES_MAX));
    (fullest.user_id, fullest.order_id, fullest.course_id) =
        (id("u"), Some(id("o")), Some(id("c")));
    fullest.amount = amount;
    fullest.description = Some("d".repeat(input::DESCRIPTION_BYTES_MAX));
    fullest.metadata = format!("{{\"a\":\"{}\"}}", "m".repeat(input::METADATA_BYTES_MAX - 8));
    let say = |kind, amount, movement: Option<String>| {
        let fact = Fact {
            user_id: id("u"),
            order_id: Some(id("o")),
            course_id: Some(id("c")),
            reason: Some(Key::new("r".repeat(40))),
            ..a_fact(kind, amount, movement.as_deref())
        };
        Step::Tell(Event::Fact(Box::new(fact)))
    };
    let reference = Key::new("a".repeat(60));
    let mut steps = vec![
        Step::Tell(Event::Create(Box::new(fullest))),
        answer(1, Answer::Authorized { reference, amount }),
        say(FactKind::Captured, amount, None),
        say(FactKind::Refunded, 900_000_000_000, None),
    ];
    steps.extend((0..4).map(|_| refund(25_000_000_000)));
    let part = 1 << 32;
    steps.extend((0..20).map(|n| say(FactKind::Captured, part, Some(format!("c{n}")))));
    steps.extend((0..20).map(|n| say(FactKind::Refunded, part, Some(format!("r{n}")))));
    steps.extend([say(FactKind::Failed, 1, None), say(FactKind::Canceled, 1, None)]);
    let bench = run(&steps);
    let bytes = encode(&bench.payment).len();
    assert!((1_700..=2_048).contains(&bytes), "the test fills a head: {bytes} bytes");
}

#[test]
fn own_events_are_not_heard_and_unfit_ones_are_named() {
    let data = Data {
        user_id: Some("u-1".into()),
        payment_id: Some("pay_1".into()),
        amount: Some(Some(1_000)),
        currency: Some("EUR".into()),
        capture_id: Some("a".into()),
        refund_id: Some("b".into()),
        reason: Some("é".repeat(100).into()),
        ..Data::default()
    };
    let event = DomainEvent {
        id: "1".into(),
        source: "/shop".into(),
        type_text: "commerce.payment.captured.v1".into(),
        event_type: EventType::Known("commerce.payment.captured"),
        subject: None,
        time: START,
        data,
        own: false,
    };
    let fact = Fact::of(&event).expect("it is fit").expect("it is about a payment");
    assert_eq!(fact.movement.as_deref(), Some("a"));
    assert_eq!(fact.reason.as_deref(), Some("é".repeat(20).as_str()));
    let mut unfit = event.clone();
    unfit.data.amount = Some(Some(0));
    assert_eq!(Fact::of(&unfit).expect_err("no money").field, "data.amount");
    let mut elsewhere = event;
    elsewhere.event_type = EventType::Known("commerce.order.placed");
    assert_eq!(Fact::of(&elsewhere), Ok(None));
}
