//! What holds for any facts in any order, and for any commands and answers.

use super::super::gateway::Reason;
use super::*;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::{BTreeMap, BTreeSet};

const KINDS: [FactKind; 8] = [
    FactKind::Created,
    FactKind::ActionRequired,
    FactKind::Processing,
    FactKind::Authorized,
    FactKind::Captured,
    FactKind::Failed,
    FactKind::Canceled,
    FactKind::Refunded,
];

fn config() -> Config {
    Config { cases: 512, failure_persistence: None, ..Config::default() }
}

/// Any fact; amounts and ids are few, so that they meet.
fn any_fact() -> impl Strategy<Value = Fact> {
    let ids = prop::option::of(prop::sample::select(vec!["a", "b", "c"]));
    let kinds = prop::sample::select(KINDS.to_vec());
    (kinds, 1i64..=5, ids, 0i64..1_000, any::<[bool; 3]>()).prop_map(
        |(kind, amount, id, ms, [course, order, dollars])| Fact {
            time: START.plus_ms(ms),
            course_id: course.then(|| "c-1".into()),
            order_id: order.then(|| "o-1".into()),
            // Now and then somebody is wrong about the currency.
            currency: if dollars && ms < 50 {
                Currency::parse("USD").expect("USD")
            } else {
                euro()
            },
            reason: (ms % 3 == 0).then(|| Key::new(format!("because {}", ms % 7))),
            // One id is always of one amount, most of the time.
            amount: match id {
                Some(id) if ms > 20 => i64::from(id.as_bytes()[0] - b'`'),
                _ => amount,
            },
            ..a_fact(kind, 1, id)
        },
    )
}

fn told_all(facts: &[Fact]) -> Bench {
    let mut bench = Bench::default();
    for fact in facts {
        bench.tell(Event::Fact(Box::new(fact.clone())));
    }
    bench
}

fn view(bench: &Bench) -> String {
    serde_json::to_string(&bench.payment.view("pay_1")).expect("a view")
}

/// A payment's life as the outside tells of it; a total beside numbered movements; one that
/// contradicts itself.
fn a_few_facts() -> [Vec<Fact>; 3] {
    use FactKind::{Authorized, Canceled, Captured, Created, Failed, Refunded};
    [
        vec![
            a_fact(Created, 1_000, None),
            a_fact(Authorized, 1_000, None),
            a_fact(Captured, 400, Some("a")),
            a_fact(Captured, 600, Some("b")),
            a_fact(Refunded, 300, Some("r")),
        ],
        vec![
            a_fact(Captured, 700, None),
            a_fact(Captured, 400, Some("a")),
            a_fact(Failed, 700, None),
            a_fact(Canceled, 700, None),
            a_fact(Refunded, 700, None),
        ],
        vec![
            a_fact(Created, 500, None),
            a_fact(Captured, 400, Some("a")),
            a_fact(Captured, 450, Some("a")),
            Fact { user_id: "u-2".into(), ..a_fact(Authorized, 900, None) },
            a_fact(Refunded, 950, None),
        ],
    ]
}

/// Every order of these.
fn orders(of: &[Fact]) -> Vec<Vec<Fact>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for first in 0..of.len() {
        let mut rest = of.to_vec();
        let first = rest.remove(first);
        all.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, first.clone());
            order
        }));
    }
    all
}

#[test]
fn every_order_of_a_few_facts_with_any_of_them_said_twice_gives_one_state() {
    for facts in a_few_facts() {
        let straight = told_all(&facts);
        let orders = orders(&facts);
        assert_eq!(orders.len(), 120);
        for order in orders {
            for twice in 0..=order.len() {
                let mut said = order.clone();
                said.extend(order.get(twice).cloned());
                let other = told_all(&said);
                assert_eq!(straight.payment.facts, other.payment.facts, "{said:?}");
                assert_eq!(view(&straight), view(&other), "{said:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn facts_in_any_order_and_number_give_one_state(
        facts in prop::collection::vec(any_fact(), 1..12),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        seed in any::<u64>(),
    ) {
        let straight = told_all(&facts);
        let mut mixed = facts.clone();
        mixed.extend(again.iter().map(|index| facts[index.index(facts.len())].clone()));
        // A shuffle by the seed: sorts by a hash of place and seed.
        let mut order: Vec<usize> = (0..mixed.len()).collect();
        order.sort_by_key(|place| xxhash_rust::xxh3::xxh3_64_with_seed(&place.to_le_bytes(), seed));
        let mixed: Vec<Fact> = order.iter().map(|place| mixed[*place].clone()).collect();
        let other = told_all(&mixed);
        prop_assert_eq!(&straight.payment.facts, &other.payment.facts);
        prop_assert_eq!(view(&straight), view(&other));
        let payment = &straight.payment;
        if payment.contradiction().is_none() && payment.refunded() <= payment.captured() {
            prop_assert_eq!(straight.payment.told, other.payment.told);
        }
    }

    #[test]
    fn what_is_told_adds_up_to_what_is_known(facts in prop::collection::vec(any_fact(), 1..12)) {
        let mut bench = Bench::default();
        let (mut captured, mut refunded) = (0, 0);
        for fact in &facts {
            if bench.tell(Event::Fact(Box::new(fact.clone()))) != Outcome::Applied {
                continue;
            }
            for effect in &bench.effects {
                let Effect::Send { kind: "inbox", payload, .. } = effect else { continue };
                let event: inbox::Event = crate::codec::decode(payload).expect("an inbox event");
                let inbox::Event::Notify(note) = event else { panic!("{event:?}") };
                match note.topic {
                    inbox::Topic::PaymentCaptured(payment) => captured += payment.amount,
                    inbox::Topic::PaymentRefunded(payment) => refunded += payment.amount,
                    _ => {}
                }
            }
        }
        let payment = &bench.payment;
        if payment.contradiction().is_none() {
            prop_assert_eq!(captured, payment.captured());
            let early = payment.refunded() > payment.captured();
            let known = if early { payment.told.refunded } else { payment.refunded() };
            prop_assert_eq!(refunded, known);
        }
        prop_assert!(captured <= payment.captured());
    }

    #[test]
    fn money_is_conserved_in_any_interleaving(
        manual in any::<bool>(),
        token in prop::sample::select(Token::ALL.to_vec()),
        steps in prop::collection::vec((0u8..8, 1i64..700, any::<bool>()), 1..60),
    ) {
        let mut world = World::new(manual, token);
        for (what, amount, odd) in steps {
            world.step(what, amount, odd);
        }
        world.drain();
        world.must_add_up();
    }
}

/// A payment, and a gateway that does each request once, however often it is asked.
struct World {
    bench: Bench,
    asked: BTreeMap<u32, Request>,
    answered: BTreeMap<u32, Answer>,
    unanswered: BTreeSet<u32>,
    taken: i64,
    returned: i64,
}

impl World {
    fn new(manual: bool, token: Token) -> Self {
        let mut world = Self {
            bench: Bench::default(),
            asked: BTreeMap::new(),
            answered: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            taken: 0,
            returned: 0,
        };
        let mode = if manual { CaptureMode::Manual } else { CaptureMode::Automatic };
        world.tell(Event::Create(Box::new(new_payment(mode, Some(token)))));
        world
    }

    fn tell(&mut self, event: Event) {
        if self.bench.tell(event) != Outcome::Applied {
            return;
        }
        for effect in &self.bench.effects {
            if let Effect::Deliver(delivery) = effect {
                let request = Request::decode(&delivery.body).expect("a request");
                self.unanswered.insert(request.seq);
                let before = self.asked.insert(request.seq, request);
                assert_eq!(before, None, "a number is used once");
            }
        }
    }

    fn step(&mut self, what: u8, amount: i64, odd: bool) {
        let some = (!odd).then_some(amount);
        match what {
            0 => self.tell(Event::Capture(some)),
            1 => self.tell(Event::Refund(some)),
            2 if odd => self.tell(Event::Cancel),
            2 | 3 => self.tell(Event::Confirm(Confirm {
                method: None,
                action: Some(if odd {
                    gateway::PayerAction::Fail
                } else {
                    gateway::PayerAction::Succeed
                }),
            })),
            4 => self.bench.passed_ms += amount * 200_000,
            5 => self.tell(Event::Lapse { due: START }),
            _ => self.answer(amount, odd),
        }
        let payment = &self.bench.payment;
        let (authorized, captured) = (payment.authorized(), payment.captured());
        assert!(captured <= authorized && authorized <= 1_000, "{captured} of {authorized}");
        let returned = payment.refunded() + payment.refunding();
        assert!(returned <= captured, "{returned} of {captured} are on their way back");
    }

    /// Answers one of the requests; an odd answer is lost, or overtaken by the gateway's own word
    /// about it.
    fn answer(&mut self, pick: i64, odd: bool) {
        let count = self.unanswered.len();
        let Some(seq) = self.unanswered.iter().nth(pick as usize % count.max(1)).copied() else {
            return;
        };
        let answer = self.carry(seq);
        if odd && pick % 2 == 0 {
            return self.tell(Event::Gateway { seq, answer: None });
        }
        if odd {
            let hint = match &answer {
                Answer::Captured { id, amount } => Some((FactKind::Captured, id, *amount)),
                Answer::Refunded { id, amount } => Some((FactKind::Refunded, id, *amount)),
                _ => None,
            };
            if let Some((kind, id, amount)) = hint {
                self.tell(Event::Fact(Box::new(a_fact(kind, amount, Some(id)))));
            }
        }
        self.unanswered.remove(&seq);
        self.tell(Event::Gateway { seq, answer: Some(answer) });
    }

    /// Does it, once.
    fn carry(&mut self, seq: u32) -> Answer {
        if let Some(answer) = self.answered.get(&seq) {
            return answer.clone();
        }
        let request = &self.asked[&seq];
        let amount = request.amount;
        let id = Key::new(format!("g{seq}"));
        let answer = match &request.ask {
            Ask::Charge { token, action } | Ask::Authorize { token, action } => {
                match (token, action) {
                    (Token::VisaChargeDeclined | Token::VisaInsufficientFunds, _) => {
                        Answer::Declined(Reason::ChargeDeclined)
                    }
                    (Token::AuthenticationRequired, None) => Answer::ActionRequired,
                    (Token::AuthenticationRequired, Some(gateway::PayerAction::Fail)) => {
                        Answer::Declined(Reason::AuthenticationFailed)
                    }
                    _ if matches!(request.ask, Ask::Authorize { .. }) => {
                        Answer::Authorized { reference: "auth_1".into(), amount }
                    }
                    _ => self.take(id, amount),
                }
            }
            Ask::Capture { .. } => self.take(id, amount),
            Ask::Cancel { .. } => Answer::Voided,
            // One refund in seven is refused.
            Ask::Refund if amount % 7 == 0 => Answer::Refused(Reason::ExceedsCaptured),
            Ask::Refund => {
                self.returned += amount;
                Answer::Refunded { id, amount }
            }
        };
        assert!(self.taken <= 1_000, "never more than was asked for");
        assert!(self.returned <= self.taken, "never more back than was taken");
        self.answered.insert(seq, answer.clone());
        answer
    }

    fn take(&mut self, id: Key, amount: i64) -> Answer {
        self.taken += amount;
        Answer::Captured { id, amount }
    }

    fn drain(&mut self) {
        while let Some(seq) = self.unanswered.pop_first() {
            let answer = self.carry(seq);
            self.tell(Event::Gateway { seq, answer: Some(answer) });
        }
    }

    fn must_add_up(&self) {
        let payment = &self.bench.payment;
        assert_eq!(payment.contradiction(), None, "nothing here contradicts anything");
        assert_eq!(payment.captured(), self.taken);
        assert_eq!(payment.refunded(), self.returned);
        assert_eq!(payment.refunding(), 0, "everything was answered");
        assert_eq!(payment.told.course_captured, self.taken);
        assert_eq!(payment.told.course_refunded, self.returned);
    }
}
