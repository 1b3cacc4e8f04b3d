//! One life without any runtime: what it was told, what it hands over, and what comes back of it.
//!
//! The store is a map, and what was handed over gets there late, as in the engine.

#![allow(clippy::unwrap_used, reason = "all of this is a test, helpers too")]

use actors::{Address, EffectId, Effects, Key, Kind, KindId, Outcome, Position, Timestamp, codec};
use state::frame::Record;
use state::row::{Row, Trail, key};
use std::collections::{BTreeMap, BTreeSet};
use topology::api::Idempotency;
use topology::kinds::Kinds;
use topology::life::{Again, Around, Caused, CausedWhat, Done, Error, Life, Rest};
use topology::pending::Pending;
use topology::record::{put_command, put_effect_id, tag};
use topology::simulation::chance::Chance;
use topology::simulation::fuse::{Event, Fuse};

static KINDS: &[Kind] = &[Kind::of::<Fuse>()];
const FUSE: KindId = KindId(0);

#[derive(Default)]
struct Shelf(BTreeMap<Vec<u8>, Vec<u8>>);

impl Rest for Shelf {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key).cloned())
    }
}

/// A life, and everything around it.
struct World {
    kinds: Kinds,
    life: Life,
    shelf: Shelf,
    /// Handed over, and not on the shelf yet.
    on_its_way: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pending: Pending,
    judged: BTreeSet<Position>,
    journal: BTreeMap<Position, (u8, Vec<u8>)>,
    caused: Vec<Caused>,
    next: Position,
}

fn address() -> Address {
    Address::new(FUSE, "f-1")
}

impl World {
    fn new() -> Self {
        let kinds = Kinds::new(KINDS);
        Self {
            kinds,
            life: Life::new(address(), &kinds).unwrap(),
            shelf: Shelf::default(),
            on_its_way: Vec::new(),
            pending: Pending::default(),
            judged: BTreeSet::new(),
            journal: BTreeMap::new(),
            caused: Vec::new(),
            next: 10,
        }
    }

    /// The next record, a few positions on.
    fn record(&mut self, tag: u8, payload: &[u8]) -> Done {
        self.next += 3;
        self.journal.insert(self.next, (tag, payload.to_vec()));
        self.apply(self.next, tag, payload)
    }

    fn apply(&mut self, position: Position, tag: u8, payload: &[u8]) -> Done {
        let time = Timestamp(1_000);
        let record = Record { position, time, tag, kind: FUSE, depth: 0, key: "f-1", payload };
        let journal = &self.journal;
        let mut again = |position: Position| {
            let (tag, payload) = journal[&position].clone();
            Ok(Again { position, time, tag, payload })
        };
        let mut around = Around {
            kinds: &self.kinds,
            judged: &self.judged,
            rest: &self.shelf,
            pending: &mut self.pending,
            fx: &mut Effects::new(time, 0),
            caused: &mut self.caused,
        };
        self.life.apply(&record, &mut around, &mut again).unwrap()
    }

    fn tell(&mut self, event: &Event) -> Done {
        self.record(tag::HEARD, &codec::encode(event))
    }

    fn command(&mut self, name: &str, fingerprint: u64, event: &Event) -> Done {
        let mut payload = Vec::new();
        let key = Idempotency { key: name.to_owned(), fingerprint, status: 201 };
        put_command(Some(&key), &mut payload);
        codec::encode_into(event, &mut payload);
        self.record(tag::COMMAND, &payload)
    }

    fn fired(&mut self, id: EffectId, event: &Event) -> Done {
        let mut payload = Vec::new();
        put_effect_id(id, &mut payload);
        codec::encode_into(event, &mut payload);
        self.record(tag::FIRED, &payload)
    }

    fn save(&mut self) {
        self.settle();
        self.on_its_way = self.life.save(&self.pending).entries;
    }

    fn settle(&mut self) {
        for (key, value) in self.on_its_way.drain(..) {
            match value {
                Some(value) => self.shelf.0.insert(key, value),
                None => self.shelf.0.remove(&key),
            };
        }
        self.life.settled();
    }

    /// It goes to rest, and comes back.
    fn wake(&mut self) {
        self.save();
        self.settle();
        self.life = Life::wake(address(), &self.kinds, &self.shelf).unwrap();
    }

    fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        self.life.mind().head(&mut head);
        head
    }

    fn pages(&self) -> Vec<Option<Vec<u8>>> {
        (0..8).map(|page| self.life.page(page, &self.shelf).unwrap()).collect()
    }

    fn sum(&self) -> i64 {
        serde_json::from_slice(&self.life.mind().view("f-1")).unwrap()
    }
}

fn applied(done: &Done) -> bool {
    *done == Done::Folded(Outcome::Applied)
}

#[test]
fn pages_move_between_the_row_and_their_own_keys_and_none_is_lost() {
    for seed in 0..60 {
        let (mut world, mut twin, mut chance) = (World::new(), World::new(), Chance(seed));
        let mut newest = 1;
        for step in 0..200 {
            newest = (newest + u64::from(chance.one_in(20))).min(8);
            let event = Event::Put(chance.below(newest) as u32, step, chance.below(50) as u16);
            // The twin never leaves memory.
            assert!(applied(&world.tell(&event)) && applied(&twin.tell(&event)));
            match chance.below(8) {
                0 | 1 => world.save(),
                2 => world.settle(),
                3 if chance.one_in(3) => world.wake(),
                _ => {}
            }
            assert_eq!(world.pages(), twin.pages(), "seed {seed}, step {step}");
        }
        world.wake();
        assert_eq!(world.pages(), twin.pages(), "seed {seed}");
    }
}

#[test]
fn a_poisoned_life_is_as_if_the_record_had_never_come() {
    for seed in 0..120 {
        let (mut world, mut twin, mut chance) = (World::new(), World::new(), Chance(seed));
        for step in 0..120 {
            let name = format!("key-{}", chance.below(12));
            match chance.below(9) {
                0..=2 => {
                    let event = Event::Put(chance.below(4) as u32, step, 9);
                    assert_eq!(world.tell(&event), twin.tell(&event));
                }
                // Repeats, which are answered and not applied.
                3 | 4 => {
                    let event = Event::Add(1 + chance.below(9) as i64);
                    assert_eq!(world.command(&name, 7, &event), twin.command(&name, 7, &event));
                }
                // A timer that nobody waits for.
                5 => {
                    let (id, event) = (EffectId { cause: 1, index: 0 }, Event::Add(1_000));
                    assert_eq!(world.fired(id, &event), twin.fired(id, &event));
                }
                6 => assert_eq!(world.tell(&Event::Refuse), twin.tell(&Event::Refuse)),
                7 => {
                    let blow = [Event::Blow, Event::BlowInPage(chance.below(4) as u32)];
                    assert_eq!(world.tell(chance.of(&blow)), Done::Poison);
                    twin.next = world.next;
                }
                _ if chance.one_in(2) => world.save(),
                _ if chance.one_in(2) => world.settle(),
                _ => world.wake(),
            }
            let (own, other) = ((world.head(), world.pages()), (twin.head(), twin.pages()));
            assert_eq!(own, other, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn a_command_is_answered_once_and_its_answer_survives_sleep() {
    let mut world = World::new();
    assert!(applied(&world.command("a", 1, &Event::Add(5))));
    assert!(matches!(
        world.command("b", 1, &Event::Refuse),
        Done::Folded(Outcome::Rejected(why)) if why == "it was told to refuse"
    ));
    for woken in [false, true, true] {
        if woken {
            world.wake();
        }
        assert_eq!(world.command("a", 1, &Event::Add(5)), Done::Replayed(Ok(201)));
        let refused = Done::Replayed(Err("it was told to refuse".to_owned()));
        assert_eq!(world.command("b", 1, &Event::Refuse), refused);
        assert_eq!(world.command("a", 2, &Event::Add(5)), Done::Mismatch);
        assert_eq!(world.sum(), 5);
    }
    for number in 0..254 {
        assert!(applied(&world.command(&format!("key-{number}"), 1, &Event::Add(1))));
        if number % 7 == 0 {
            world.wake();
        }
    }
    let full = world.command("one more", 1, &Event::Add(1));
    assert!(matches!(full, Done::Folded(Outcome::Rejected(_))), "{full:?}");
    assert_eq!(world.command("key-253", 1, &Event::Add(1)), Done::Replayed(Ok(201)));
    assert_eq!(world.sum(), 5 + 254);
    // What was refused for want of room is not applied when the life is restored either.
    assert_eq!(world.tell(&Event::Blow), Done::Poison);
    assert_eq!(world.sum(), 5 + 254);
}

#[test]
fn what_is_refused_or_poison_asks_for_nothing() {
    let mut world = World::new();
    assert!(applied(&world.tell(&Event::Flood(1_000, Key::new("f-2")))));
    assert_eq!(world.caused.drain(..).count(), 1_000);
    let before = world.head();
    assert!(matches!(world.tell(&Event::Refuse), Done::Folded(Outcome::Rejected(_))));
    assert_eq!((world.head(), world.caused.len()), (before.clone(), 0));
    for (event, code) in [
        (Event::Flood(1_001, Key::new("f-2")), "too-many-effects"),
        (Event::TellNobody, "bad-key"),
        (Event::Blow, "panicked"),
    ] {
        assert_eq!(world.tell(&event), Done::Poison);
        let caused: Vec<Caused> = world.caused.drain(..).collect();
        let [Caused { id, what: CausedWhat::Verdict { code: given, .. }, .. }] = &caused[..] else {
            panic!("{caused:?}");
        };
        assert_eq!((*id, *given), (EffectId { cause: world.next, index: 0 }, code));
        assert_eq!(world.head(), before);
    }
    assert_eq!(world.record(tag::HEARD, &[0xff]), Done::Poison, "it does not decode");
    assert_eq!(world.record(tag::FIRED, &[1]), Done::Poison, "it is cut short");
    assert_eq!((world.head(), world.pending.counts()), (before, (0, 0)));
}

#[test]
fn a_record_that_was_judged_stays_so_whatever_it_would_do_now() {
    let mut world = World::new();
    let wake = Event::Wake(5, Box::new(Event::Add(100)));
    assert!(applied(&world.tell(&wake)));
    let id = EffectId { cause: world.next, index: 0 };
    assert_eq!(world.pending.counts(), (1, 0));
    world.judged.extend([world.next + 3, world.next + 6]);
    assert_eq!(world.tell(&Event::Add(1)), Done::Poison);
    assert_eq!(world.fired(id, &Event::Add(100)), Done::Poison);
    assert_eq!(world.pending.counts(), (0, 0), "the timer has ended all the same");
    assert_eq!((world.sum(), world.caused.len()), (0, 0), "it was judged before");
    assert!(applied(&world.tell(&Event::Add(7))));
    assert_eq!(world.tell(&Event::Blow), Done::Poison);
    assert_eq!(world.sum(), 7, "and is not folded in a restoration");
    world.wake();
    assert!(!world.shelf.0.keys().any(|key| key[0] == key::space::PENDING));
}

#[test]
fn a_row_knows_what_it_has_applied() {
    let mut world = World::new();
    assert!(applied(&world.tell(&Event::Add(1))));
    world.wake();
    let first = world.next;
    assert_eq!(world.apply(first, tag::HEARD, &codec::encode(&Event::Add(1))), Done::Known);
    assert_eq!(world.sum(), 1);
    assert!(!world.life.is_dirty());
}

#[test]
fn the_trail_is_split_off_in_pages_and_comes_back() {
    let mut world = World::new();
    let mut expected = Vec::new();
    for number in 0..3_000 {
        world.tell(&Event::Add(number % 2));
        expected.push(world.next);
        if number % 97 == 0 {
            world.wake();
        }
    }
    world.wake();
    let stored = &world.shelf.0[&key::row(FUSE, "f-1")];
    let row = Row::decode(stored).unwrap();
    assert!(row.trail_pages >= 2, "{} pages", row.trail_pages);
    let mut trail = Vec::new();
    for page in 0..row.trail_pages {
        let bytes = &world.shelf.0[&key::trail(FUSE, "f-1", page)];
        trail.extend(Trail::decode(bytes).unwrap().iter());
    }
    trail.extend(Trail::decode(row.trail).unwrap().iter());
    assert_eq!(trail, expected);
}

#[test]
fn look_up_words_come_and_go_with_the_row() {
    let mut world = World::new();
    let words = |world: &World| -> Vec<String> {
        let tags = world.shelf.0.keys().filter(|key| key[0] == key::space::TAG);
        tags.map(|key| key::parse_tag(key).unwrap().0.to_owned()).collect()
    };
    for bits in [0b0011, 0b0110, 0, 0b1111, 0b1111, 0b0001_u8] {
        world.tell(&Event::Words(bits));
        world.wake();
        let expected: Vec<String> =
            (0..4).filter(|bit| bits & 1 << bit != 0).map(|bit| format!("word:{bit}")).collect();
        assert_eq!(words(&world), expected, "{bits:b}");
    }
}
