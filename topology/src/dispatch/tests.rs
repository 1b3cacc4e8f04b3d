//! Tables for the rules, and a seeded world of unreliable sinks for what must hold whatever
//! happens.

use super::*;
use actors::KindId;

const T0: Timestamp = Timestamp(1_000_000);

fn id(cause: u64) -> EffectId {
    EffectId { cause, index: 0 }
}

fn out_to(sink: &str, cause: u64) -> Outgoing {
    let delivery = Delivery { sink: sink.to_owned(), body: cause.to_le_bytes().to_vec() };
    Outgoing { id: id(cause), address: Address::new(KindId(1), &format!("p-{cause}")), delivery }
}

fn out(cause: u64) -> Outgoing {
    out_to("gateway", cause)
}

fn one_at_a_time() -> Options {
    Options { batch_max: 1, batches_in_flight_max: 1, ..Options::default() }
}

fn causes(sending: Option<Sending>) -> Vec<u64> {
    sending.map_or_else(Vec::new, |sending| sending.batch.iter().map(|out| out.id.cause).collect())
}

/// Sends what waits, fails it, and moves the time on to the next attempt.
fn fail_once(dispatch: &mut Dispatch, now: &mut Timestamp, came: Came) -> Option<Told> {
    *now = (*now).max(dispatch.wake_at().expect("something waits"));
    let sending = dispatch.next(*now).expect("something is due");
    assert_eq!(sending.batch.len(), 1);
    dispatch.came(*now, sending.batch[0].id, came)
}

#[test]
fn batches_go_out_in_order_up_to_the_limit() {
    let options = Options { batch_max: 3, batches_in_flight_max: 2, ..Options::default() };
    let mut dispatch = Dispatch::new(options, 1);
    for cause in [5, 3, 9, 1, 7, 2, 8, 4] {
        dispatch.offer(out(cause));
    }
    assert_eq!(causes(dispatch.next(T0)), [1, 2, 3]);
    assert_eq!(causes(dispatch.next(T0)), [4, 5, 7]);
    assert_eq!(dispatch.next(T0), None);
    assert_eq!(dispatch.wake_at(), None, "only an answer can make room");
    for cause in [4, 5] {
        assert!(dispatch.came(T0, id(cause), Came::Answer(vec![1])).is_some());
        assert_eq!(dispatch.next(T0), None, "a batch is over when all of it has come back");
    }
    dispatch.came(T0, id(7), Came::Answer(vec![1]));
    assert_eq!(causes(dispatch.next(T0)), [8, 9]);
    assert_eq!(dispatch.pending(), 5);
}

#[test]
fn sinks_take_turns_and_do_not_hold_each_other_up() {
    let mut dispatch = Dispatch::new(one_at_a_time(), 1)
        .with_sink("e-mail", Options { batches_in_flight_max: 2, ..one_at_a_time() });
    for cause in 0..3 {
        dispatch.offer(out_to("gateway", cause));
        dispatch.offer(out_to("e-mail", 10 + cause));
        dispatch.offer(out_to("sms", 20 + cause));
    }
    let sinks: Vec<String> =
        std::iter::from_fn(|| dispatch.next(T0)).map(|sending| sending.sink).collect();
    assert_eq!(sinks, ["e-mail", "gateway", "sms", "e-mail"]);
}

#[test]
fn every_way_a_delivery_can_end() {
    let definite = |bytes: &[u8]| Some((Word::Definite(bytes.to_vec()), true));
    let refused = |why: &str| Some((Word::Refused(why.to_owned()), true));
    let failed = || Came::Failed("connection refused".to_owned());
    let cases = [
        (vec![Came::Answer(vec![7])], vec![definite(&[7])]),
        (vec![failed(), Came::Answer(vec![7])], vec![None, definite(&[7])]),
        (vec![Came::Refused("what?".to_owned())], vec![refused("what?")]),
        (
            vec![failed(), failed(), failed()],
            vec![None, None, refused("gave up after 3: connection refused")],
        ),
        (
            vec![Came::Lost, Came::Lost, Came::Answer(vec![7])],
            vec![Some((Word::Unknown, false)), None, definite(&[7])],
        ),
        (
            vec![Came::Lost, failed(), failed(), failed(), failed(), Came::Answer(vec![])],
            vec![Some((Word::Unknown, false)), None, None, None, None, definite(&[])],
        ),
        (
            vec![Came::Lost, Came::Refused("no".to_owned())],
            vec![Some((Word::Unknown, false)), refused("no")],
        ),
    ];
    for (nth, (came, told)) in cases.into_iter().enumerate() {
        let options = Options { attempts_max: Some(3), ..one_at_a_time() };
        let mut dispatch = Dispatch::new(options, nth as u64);
        dispatch.offer(out(42));
        let mut now = T0;
        for (came, want) in came.into_iter().zip(told) {
            let told = fail_once(&mut dispatch, &mut now, came);
            assert!(told.iter().all(|told| told.id == id(42) && told.delivery == out(42).delivery));
            let told = told.map(|told| (told.word.clone(), told.last()));
            assert_eq!(told, want, "case {nth}");
        }
        assert_eq!(dispatch.pending(), 0, "case {nth}");
        assert_eq!(dispatch.wake_at(), None, "case {nth}");
    }
}

#[test]
fn an_unknown_outcome_is_asked_again_within_two_seconds() {
    // The slowest retry there could be, and failures before it: the promise holds all the same.
    let slow = Options { retry_base_ms: 600_000, retry_max_ms: 600_000, ..one_at_a_time() };
    for seed in 0..200 {
        let mut dispatch = Dispatch::new(slow, seed);
        dispatch.offer(out(seed));
        let mut now = T0;
        fail_once(&mut dispatch, &mut now, Came::Failed(String::new()));
        let told = fail_once(&mut dispatch, &mut now, Came::Lost).expect("the entity is told");
        assert_eq!(told.answer(), Some(Answer::Unknown));
        let again = dispatch.wake_at().expect("it is asked again");
        assert!(again.0 - now.0 <= 1_000, "seed {seed}: {} ms", again.0 - now.0);
    }
}

#[test]
fn the_wait_doubles_up_to_its_bound_and_is_spread() {
    let options = Options {
        retry_base_ms: 100,
        retry_max_ms: 3_000,
        breaker_failures: u32::MAX,
        ..one_at_a_time()
    };
    let bounds = [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000];
    let mut longest = [0; 8];
    for seed in 0..300 {
        let mut dispatch = Dispatch::new(options, seed);
        dispatch.offer(out(1));
        let mut now = T0;
        for (attempt, bound) in bounds.into_iter().enumerate() {
            fail_once(&mut dispatch, &mut now, Came::Failed(String::new()));
            let wait = dispatch.wake_at().expect("it is tried again").0 - now.0;
            assert!((0..=bound).contains(&wait), "seed {seed}, attempt {attempt}: {wait} ms");
            longest[attempt] = longest[attempt].max(wait);
        }
    }
    for (bound, longest) in bounds.into_iter().zip(longest) {
        assert!(longest > bound * 9 / 10, "{longest} ms of {bound}");
    }
}

#[test]
fn the_breaker_opens_probes_with_one_and_closes() {
    let options = Options {
        batch_max: 10,
        batches_in_flight_max: 5,
        breaker_failures: 3,
        breaker_open_ms: 5_000,
        retry_base_ms: 0,
        ..Options::default()
    };
    let mut dispatch = Dispatch::new(options, 1);
    (0..30).for_each(|cause| dispatch.offer(out(cause)));
    let fail = |dispatch: &mut Dispatch, now, sending: Sending| {
        for out in sending.batch {
            dispatch.came(now, out.id, Came::Failed("down".to_owned()));
        }
    };
    for _ in 0..3 {
        let sending = dispatch.next(T0).expect("closed");
        fail(&mut dispatch, T0, sending);
    }
    assert_eq!(dispatch.next(T0), None, "open");
    let mut now = T0;
    for _ in 0..2 {
        now = now.plus_ms(5_000);
        assert_eq!(dispatch.wake_at(), Some(now));
        let probe = dispatch.next(now).expect("half-open");
        assert_eq!(probe.batch.len(), 1);
        assert_eq!(dispatch.next(now), None, "one probe at a time");
        fail(&mut dispatch, now, probe);
    }
    now = now.plus_ms(5_000);
    let probe = dispatch.next(now).expect("half-open");
    assert!(dispatch.came(now, probe.batch[0].id, Came::Answer(vec![])).is_some());
    assert_eq!(dispatch.next(now).expect("closed").batch.len(), 10);
}

#[test]
fn one_answer_in_a_batch_shows_that_the_sink_lives() {
    let options = Options { batch_max: 2, breaker_failures: 1, ..Options::default() };
    let mut dispatch = Dispatch::new(options, 1);
    (0..4).for_each(|cause| dispatch.offer(out(cause)));
    assert_eq!(causes(dispatch.next(T0)), [0, 1]);
    dispatch.came(T0, id(0), Came::Answer(vec![]));
    dispatch.came(T0, id(1), Came::Lost);
    assert_eq!(causes(dispatch.next(T0)), [2, 3]);
}

#[test]
fn offers_are_idempotent_until_the_entry_has_ended() {
    let mut dispatch = Dispatch::new(one_at_a_time(), 1);
    dispatch.offer(out(1));
    dispatch.offer(out(1));
    assert_eq!(causes(dispatch.next(T0)), [1]);
    dispatch.offer(out(1));
    assert_eq!(dispatch.next(T0), None, "it is in flight");
    assert!(dispatch.came(T0, id(1), Came::Answer(vec![])).is_some());
    dispatch.offer(out(1));
    assert_eq!(dispatch.next(T0), None, "its last word is on its way");
    assert_eq!(dispatch.came(T0, id(1), Came::Answer(vec![])), None);
    dispatch.withdraw(id(1));
    assert_eq!((dispatch.pending(), dispatch.told.len()), (0, 0));
}

#[test]
fn what_is_withdrawn_is_not_sent_and_not_told() {
    let mut dispatch = Dispatch::new(one_at_a_time(), 1);
    dispatch.offer(out(1));
    dispatch.offer(out(2));
    dispatch.withdraw(id(1));
    assert_eq!(causes(dispatch.next(T0)), [2]);
    dispatch.withdraw(id(2));
    dispatch.offer(out(3));
    assert_eq!(dispatch.next(T0), None, "it still takes up its place");
    assert_eq!(dispatch.came(T0, id(2), Came::Lost), None);
    assert_eq!(causes(dispatch.next(T0)), [3]);
    assert_eq!(dispatch.pending(), 1);
}

#[test]
fn a_definite_answer_counts_even_late() {
    let mut dispatch = Dispatch::new(one_at_a_time(), 1);
    dispatch.offer(out(1));
    dispatch.next(T0);
    dispatch.came(T0, id(1), Came::Lost);
    assert_eq!(dispatch.came(T0, id(1), Came::Lost), None, "nothing is under way");
    assert!(dispatch.came(T0, id(1), Came::Answer(vec![])).expect("definite").last());
    assert_eq!(dispatch.wake_at(), None);
}

#[test]
fn what_came_is_counted_by_sink() {
    let options = Options { attempts_max: Some(2), ..one_at_a_time() };
    let mut dispatch = Dispatch::new(options, 1).with_sink("sms", options);
    dispatch.offer(out(1));
    let mut now = T0;
    for _ in 0..2 {
        fail_once(&mut dispatch, &mut now, Came::Failed(String::new()));
    }
    dispatch.offer(out(2));
    fail_once(&mut dispatch, &mut now, Came::Lost);
    fail_once(&mut dispatch, &mut now, Came::Answer(vec![]));
    let gateway = Counts { answered: 1, unknown: 1, failed: 1, refused: 1 };
    let counts: Vec<_> = dispatch.counts().collect();
    assert_eq!(counts, [("gateway", gateway), ("sms", Counts::default())]);
}

/// Splitmix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// A world in which sinks fail, lose answers and come back late, and shards offer again at any
/// time.
struct World {
    chance: Chance,
    options: Options,
    dispatch: Dispatch,
    now: Timestamp,
    flights: Vec<Sending>,
    unknown: BTreeSet<EffectId>,
    last: BTreeMap<EffectId, Word>,
    log: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let options = Options {
            batch_max: 1 + chance.below(4) as usize,
            batches_in_flight_max: 1 + chance.below(3) as usize,
            attempts_max: (chance.below(2) == 0).then_some(4),
            breaker_failures: 1 + chance.below(4) as u32,
            ..Options::default()
        };
        Self {
            chance,
            options,
            dispatch: Dispatch::new(options, seed),
            now: T0,
            flights: Vec::new(),
            unknown: BTreeSet::new(),
            last: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    fn outgoing(cause: u64) -> Outgoing {
        out_to(["gateway", "e-mail"][(cause % 2) as usize], cause)
    }

    fn send(&mut self) {
        while let Some(sending) = self.dispatch.next(self.now) {
            assert!((1..=self.options.batch_max).contains(&sending.batch.len()));
            self.log.push(format!("{:?} {:?}", self.now, sending));
            self.flights.push(sending);
        }
        assert!(self.dispatch.wake_at().is_none_or(|at| at > self.now));
        for sink in ["gateway", "e-mail"] {
            let out = self.flights.iter().filter(|flight| flight.sink == sink).count();
            assert!(out <= self.options.batches_in_flight_max, "{out} batches to {sink}");
        }
    }

    fn land(&mut self, healed: bool) {
        if self.flights.is_empty() {
            return;
        }
        let nth = self.chance.below(self.flights.len() as u64) as usize;
        for out in self.flights.remove(nth).batch {
            let came = match if healed { 0 } else { self.chance.below(10) } {
                0..=2 => Came::Answer(out.delivery.body),
                3..=5 => Came::Lost,
                6..=8 => Came::Failed("down".to_owned()),
                _ => Came::Refused("no".to_owned()),
            };
            if let Some(told) = self.dispatch.came(self.now, out.id, came) {
                self.hear(told);
            }
        }
    }

    fn hear(&mut self, told: Told) {
        self.log.push(format!("{told:?}"));
        assert!(!self.last.contains_key(&told.id), "{} had its last word before", told.id);
        if !told.last() {
            assert!(self.unknown.insert(told.id), "{} was told unknown before", told.id);
            return;
        }
        if self.unknown.contains(&told.id) {
            let gave_up = matches!(&told.word, Word::Refused(why) if why.starts_with("gave up"));
            assert!(!gave_up, "{} was given up while its outcome was unknown", told.id);
        }
        self.last.insert(told.id, told.word);
    }

    fn run(mut self, offers: u64) -> Self {
        let mut offered = 0;
        while self.last.len() < offers as usize {
            let healed = offered == offers;
            match self.chance.below(4) {
                0 if offered < offers => {
                    self.dispatch.offer(Self::outgoing(offered));
                    offered += 1;
                }
                0 => {
                    let again = self.chance.below(offers);
                    self.dispatch.offer(Self::outgoing(again));
                }
                1 => self.land(healed),
                _ => {
                    let step = 1 + self.chance.below(300) as i64;
                    let wake = self.dispatch.wake_at().unwrap_or(self.now);
                    self.now = self.now.plus_ms(step).max(wake);
                }
            }
            self.send();
        }
        self
    }
}

#[test]
fn every_delivery_gets_exactly_one_last_word_whatever_happens() {
    for seed in 0..300 {
        let world = std::panic::catch_unwind(|| World::new(seed).run(60))
            .unwrap_or_else(|_| panic!("failed with seed {seed}"));
        assert_eq!(world.dispatch.pending(), 0, "seed {seed}");
        assert_eq!(world.last.len(), 60, "seed {seed}");
        assert_eq!(world.log, World::new(seed).run(60).log, "seed {seed}: not the same twice");
    }
}
