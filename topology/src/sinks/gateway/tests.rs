//! The mock gateway on a disk that fails: once per key, never too much, and never an answer that
//! the book does not vouch for.

use super::*;
use actors::Key;
use actors::payment::gateway::Answer;
use state::disk::FaultyDisk;
use std::collections::BTreeMap;

const PATH: &str = "/data/mock-gateway.ndjson";

fn disk(seed: u64) -> FaultyDisk {
    let disk = FaultyDisk::new(seed);
    disk.create_dir_all(Path::new("/data")).expect("a directory");
    disk
}

fn open(disk: &FaultyDisk) -> Result<Gateway, Error> {
    Gateway::open(Arc::new(disk.clone()), Path::new(PATH), "j1")
}

fn id(cause: u64) -> EffectId {
    EffectId { cause, index: 0 }
}

fn body(payment_id: &str, amount: i64, ask: Ask) -> Vec<u8> {
    let currency = actors::currency::Currency::parse("EUR").expect("EUR");
    Request { seq: 1, payment_id: payment_id.into(), amount, currency, ask }.encode()
}

fn charge(payment_id: &str, amount: i64) -> Vec<u8> {
    body(payment_id, amount, Ask::Charge { token: Token::Visa, action: None })
}

fn with_card(token: Token, action: Option<PayerAction>) -> [Vec<u8>; 2] {
    let charge = Ask::Charge { token, action };
    [body("p1", 100, charge), body("p1", 100, Ask::Authorize { token, action })]
}

fn one(gateway: &mut Gateway, cause: u64, body: &[u8]) -> Came {
    gateway.carry(&[(id(cause), body)]).remove(0)
}

fn said(came: &Came) -> Answer {
    let Came::Answer(bytes) = came else { panic!("{came:?}") };
    Answer::decode(bytes).expect("an answer")
}

fn lines(disk: &FaultyDisk) -> Vec<serde_json::Value> {
    let bytes = state::disk::read_file(disk, Path::new(PATH)).expect("the book");
    let text = String::from_utf8(bytes).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn the_book_has_the_promised_lines() {
    let disk = disk(1);
    let mut gateway = open(&disk).expect("a book");
    one(&mut gateway, 7, &charge("p\"1", 4_999));
    one(&mut gateway, 9, &body("p\"1", 999, Ask::Refund));
    let bytes = state::disk::read_file(&disk, Path::new(PATH)).expect("the book");
    expect_test::expect![[r#"
        {"id":"ch_5e525a07e4a6c8b6","idempotency_key":"j1-7-0","kind":"charge","amount":4999,"payment_id":"p\"1"}
        {"id":"re_4bfd93a8a4e6f1e1","idempotency_key":"j1-9-0","kind":"refund","amount":999,"payment_id":"p\"1"}
    "#]].assert_eq(std::str::from_utf8(&bytes).expect("text"));
}

#[test]
fn each_card_does_what_its_name_says() {
    let disk = disk(2);
    let mut gateway = open(&disk).expect("a book");
    let cases = [
        (Token::VisaChargeDeclined, None, Answer::Declined(Reason::ChargeDeclined)),
        (Token::VisaInsufficientFunds, None, Answer::Declined(Reason::InsufficientFunds)),
        (Token::AuthenticationRequired, None, Answer::ActionRequired),
        (
            Token::AuthenticationRequired,
            Some(PayerAction::Fail),
            Answer::Declined(Reason::AuthenticationFailed),
        ),
    ];
    for (token, action, answer) in cases {
        for body in with_card(token, action) {
            assert_eq!(said(&one(&mut gateway, 1, &body)), answer, "{token:?} {action:?}");
        }
    }
    assert_eq!(lines(&disk).len(), 0, "none of these makes a line");
    for (cause, token, action) in
        [(2, Token::Visa, None), (3, Token::AuthenticationRequired, Some(PayerAction::Succeed))]
    {
        let payment = format!("q{cause}");
        let hold = body(&payment, 100, Ask::Authorize { token, action });
        assert!(matches!(said(&one(&mut gateway, 100 + cause, &hold)), Answer::Authorized { .. }));
        let charge = body(&payment, 100, Ask::Charge { token, action });
        assert!(matches!(said(&one(&mut gateway, cause, &charge)), Answer::Captured { .. }));
    }
    assert_eq!(lines(&disk).len(), 2, "a charge makes one, a hold none");
}

#[test]
fn a_timeout_has_happened_and_the_repeat_says_so() {
    for restart in [false, true] {
        let mut disk = disk(3);
        let mut gateway = open(&disk).expect("a book");
        let [charge, hold] = with_card(Token::VisaTimeout, None);
        assert_eq!(one(&mut gateway, 1, &hold), Came::Lost);
        assert!(matches!(said(&one(&mut gateway, 1, &hold)), Answer::Authorized { .. }));
        assert_eq!(one(&mut gateway, 2, &charge), Came::Lost);
        assert_eq!(lines(&disk).len(), 1, "it has happened");
        if restart {
            disk = disk.crash();
            gateway = open(&disk).expect("the book again");
        }
        assert!(matches!(said(&one(&mut gateway, 2, &charge)), Answer::Captured { .. }));
        assert_eq!(lines(&disk).len(), 1, "once");
    }
}

#[test]
fn a_hold_gives_what_it_holds_and_captures_give_back_what_they_took() {
    let disk = disk(4);
    let mut gateway = open(&disk).expect("a book");
    let [_, hold] = with_card(Token::Visa, None);
    let Answer::Authorized { reference, .. } = said(&one(&mut gateway, 1, &hold)) else {
        panic!("no hold")
    };
    let capture = |payment: &str, amount, authorization: &Key| {
        body(payment, amount, Ask::Capture { authorization: authorization.clone() })
    };
    let cancel = body("p1", 1, Ask::Cancel { authorization: reference.clone() });
    let too_much = Answer::Refused(Reason::ExceedsAuthorized);
    let gone = Answer::Refused(Reason::HoldGone);
    let not_there = Answer::Refused(Reason::ExceedsCaptured);
    let refund = |amount| body("p1", amount, Ask::Refund);
    let mut ask = |cause, body: &[u8]| said(&one(&mut gateway, cause, body));
    assert_eq!(ask(2, &refund(1)), not_there);
    assert_eq!(ask(3, &capture("p1", 101, &reference)), too_much);
    assert_eq!(ask(4, &capture("p2", 1, &reference)), gone, "it is not this payment's");
    assert_eq!(ask(5, &capture("p1", 1, &Key::new("auth_999_0"))), gone);
    let first = ask(6, &capture("p1", 60, &reference));
    assert!(matches!(first, Answer::Captured { amount: 60, .. }));
    assert_eq!(ask(7, &capture("p1", 41, &reference)), too_much);
    assert_eq!(ask(8, &cancel), Answer::Voided);
    assert!(matches!(ask(9, &capture("p1", 40, &reference)), Answer::Captured { .. }));
    assert_eq!(ask(6, &capture("p1", 60, &reference)), first, "a repeat, though all is taken");
    assert_eq!(ask(10, &cancel), Answer::AlreadyCaptured { total: 100 });
    assert_eq!(ask(11, &charge("p1", 5)), Answer::AlreadyCaptured { total: 100 });
    assert_eq!(ask(12, &refund(101)), not_there);
    assert!(matches!(ask(13, &refund(70)), Answer::Refunded { amount: 70, .. }));
    assert_eq!(ask(14, &refund(31)), not_there);
    assert_eq!(lines(&disk).len(), 3);
}

#[test]
fn what_is_no_request_is_refused_and_its_neighbours_are_served() {
    let disk = disk(5);
    let mut gateway = open(&disk).expect("a book");
    let (good, nothing) = (charge("p1", 5), charge("p2", 0));
    let batch = [(id(1), &b"what"[..]), (id(2), &good), (id(3), &nothing), (id(2), &good)];
    let came = gateway.carry(&batch);
    assert!(matches!(came[0], Came::Refused(_)));
    assert!(matches!(came[2], Came::Refused(_)));
    assert_eq!(said(&came[1]), said(&came[3]), "the same twice in one batch is once");
    assert_eq!(lines(&disk).len(), 1);
    let other = gateway.carry(&[(id(2), &charge("p1", 6)[..])]);
    assert!(matches!(other[0], Came::Refused(_)), "the same key for something else: {other:?}");
}

#[test]
fn a_failed_write_or_fsync_is_unknown_and_the_repeat_settles_it() {
    for fail_sync in [false, true] {
        let disk = disk(6);
        let mut gateway = open(&disk).expect("a book");
        one(&mut gateway, 1, &charge("p1", 5));
        if fail_sync {
            disk.fail_sync(0);
        } else {
            disk.fail_write(0);
        }
        assert_eq!(one(&mut gateway, 2, &charge("p2", 5)), Came::Lost, "fsync: {fail_sync}");
        assert!(matches!(said(&one(&mut gateway, 2, &charge("p2", 5))), Answer::Captured { .. }));
        assert_eq!(lines(&disk.crash()).len(), 2, "durable now");
    }
}

#[test]
fn a_book_damaged_before_its_last_batch_is_refused() {
    let disk = disk(7);
    let mut gateway = open(&disk).expect("a book");
    for batch in 0..24 {
        let bodies: Vec<_> =
            (0..512).map(|n| (id(batch * 512 + n), charge(&format!("p{batch}-{n}"), 1))).collect();
        let requests: Vec<_> = bodies.iter().map(|(id, body)| (*id, &body[..])).collect();
        gateway.carry(&requests);
    }
    disk.flip_bit(Path::new(PATH), 8);
    let error = open(&disk).err().expect("it does not read").to_string();
    assert!(error.contains("damaged at byte 0"), "{error}");
}

#[test]
fn a_book_with_a_key_twice_is_refused() {
    let disk = disk(8);
    one(&mut open(&disk).expect("a book"), 1, &charge("p1", 5));
    let book = Path::new(PATH);
    let line = state::disk::read_file(&disk, book).expect("the book");
    disk.open(book).expect("the book").write_all_at(&line, line.len() as u64).expect("a write");
    let error = open(&disk).err().expect("somebody has doubled a line").to_string();
    assert!(error.contains("second line"), "{error}");
}

/// What a client of the gateway does: asks in batches, repeats what it has no answer to.
struct Client {
    wanted: Vec<(EffectId, Vec<u8>)>,
    answers: BTreeMap<EffectId, Answer>,
}

impl Client {
    fn new() -> Self {
        let mut wanted = Vec::new();
        for n in 0..30 {
            let token = if n % 3 == 0 { Token::VisaTimeout } else { Token::Visa };
            let ask = Ask::Charge { token, action: None };
            wanted.push((id(2 * n), body(&format!("p{n}"), 100, ask)));
            wanted.push((id(2 * n + 1), body(&format!("p{n}"), 30, Ask::Refund)));
        }
        Self { wanted, answers: BTreeMap::new() }
    }

    /// Asks for all that has no answer, a few at a time. An answer once given never changes.
    fn ask(&mut self, gateway: &mut Gateway) {
        for batch in self.wanted.chunks(7) {
            let requests: Vec<_> = batch.iter().map(|(id, body)| (*id, &body[..])).collect();
            for ((id, _), came) in batch.iter().zip(gateway.carry(&requests)) {
                let Came::Answer(bytes) = came else { continue };
                let answer = Answer::decode(&bytes).expect("an answer");
                let before = self.answers.entry(*id).or_insert_with(|| answer.clone());
                assert_eq!(before, &answer, "{id} was answered otherwise before");
            }
        }
    }
}

#[test]
fn a_crash_after_any_write_loses_no_answer_and_doubles_no_line() {
    let whole = disk(0);
    let mut gateway = open(&whole).expect("a book");
    Client::new().ask(&mut gateway);
    let writes = whole.mutations();
    assert!(writes > 10, "{writes} writes");
    for seed in 0..8 {
        for after in 0..=writes {
            let mut client = Client::new();
            let first = disk(seed);
            first.crash_after(after);
            if let Ok(mut gateway) = open(&first) {
                client.ask(&mut gateway);
            }
            let second = first.crash();
            let mut gateway = open(&second).expect("what is left is a book");
            let known = lines(&second);
            for (id, answer) in &client.answers {
                let (Answer::Captured { id: line, .. } | Answer::Refunded { id: line, .. }) =
                    answer
                else {
                    panic!("{answer:?}")
                };
                let there = known.iter().any(|known| known["id"] == line.as_str());
                assert!(there, "{id} was answered: seed {seed}, after {after} writes");
            }
            client.ask(&mut gateway);
            client.ask(&mut gateway);
            assert_eq!(client.answers.len(), 60, "all is answered in the end");
            let mut keys: Vec<_> =
                lines(&second).iter().map(|line| line["idempotency_key"].to_string()).collect();
            keys.sort_unstable();
            let all = keys.len();
            keys.dedup();
            assert_eq!((keys.len(), all), (60, 60), "seed {seed}, after {after} writes");
        }
    }
}
