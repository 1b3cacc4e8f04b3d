//! Real payments and the mock gateway together: any commands, lost answers, repeats and crashes,
//! and in the end the gateway's book and the payments tell of the same money.
//!
//! What is *not* here: the journal and the dispatcher. Records and deliveries are kept in memory.

use super::*;
use actors::payment::gateway::Request;
use actors::payment::{CaptureMode, Confirm, Create, Event, Payment};
use actors::{Delivery, Effect, Effects, Kind, Mind, Stop, Timestamp, codec};
use state::disk::FaultyDisk;
use std::collections::BTreeMap;

const PATH: &str = "/data/mock-gateway.ndjson";

/// Numbers by a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

struct World {
    chance: Chance,
    disk: FaultyDisk,
    gateway: Option<Gateway>,
    minds: Vec<Box<dyn Mind>>,
    position: u64,
    pending: BTreeMap<EffectId, (usize, Delivery)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let disk = FaultyDisk::new(seed);
        disk.create_dir_all(Path::new("/data")).expect("a directory");
        Self {
            chance: Chance(seed | 1 << 40),
            disk,
            gateway: None,
            minds: Vec::new(),
            position: 0,
            pending: BTreeMap::new(),
        }
    }

    fn tell(&mut self, who: usize, event: &Event) {
        let mut fx = Effects::new(Timestamp(1_795_000_000_000), self.position);
        self.position += 1;
        let payload = codec::encode(event);
        let mind = &mut self.minds[who];
        let mut applied = mind.apply(&payload, &mut fx);
        if let Err(Stop::NeedsPage(page)) = applied {
            mind.give_page(page, None).expect("an empty page");
            applied = mind.apply(&payload, &mut fx);
        }
        if applied.expect("an event of a payment") != actors::Outcome::Applied {
            return;
        }
        for (index, effect) in fx.take().into_iter().enumerate() {
            if let Effect::Deliver(delivery) = effect {
                let id = EffectId { cause: self.position - 1, index: index as u16 };
                self.pending.insert(id, (who, delivery));
            }
        }
    }

    fn begin(&mut self) {
        let who = self.minds.len();
        self.minds.push(Kind::of::<Payment>().wake(None).expect("a new payment"));
        let token = Token::ALL[self.chance.below(5) as usize];
        let manual = self.chance.below(2) == 0;
        let create = Create {
            id: format!("pay_{who}").into(),
            user_id: "u-1".into(),
            order_id: None,
            course_id: None,
            amount: 1_000,
            currency: actors::currency::Currency::parse("EUR").expect("EUR"),
            method: Some(token),
            capture: if manual { CaptureMode::Manual } else { CaptureMode::Automatic },
            confirm: true,
            description: None,
            metadata: "{}".into(),
        };
        self.tell(who, &Event::Create(Box::new(create)));
    }

    fn command(&mut self) {
        let who = self.chance.below(self.minds.len() as u64) as usize;
        let amount = Some(1 + self.chance.below(600) as i64);
        let event = match self.chance.below(9) {
            0..=3 => Event::Capture(amount),
            4..=6 => Event::Refund(amount),
            7 => Event::Cancel,
            _ => Event::Confirm(Confirm { method: None, action: Some(PayerAction::Succeed) }),
        };
        self.tell(who, &event);
    }

    /// Offers what is pending, in any order and a few at a time; some of what comes is not taken
    /// in.
    fn carry(&mut self, lossy: bool) {
        let Some(mut gateway) = self.take_gateway() else { return };
        let mut ids: Vec<EffectId> = self.pending.keys().copied().collect();
        let turn = self.chance.below(ids.len().max(1) as u64) as usize;
        ids.rotate_left(turn);
        ids.truncate(1 + self.chance.below(9) as usize);
        let bodies: Vec<_> = ids.iter().map(|id| (*id, &self.pending[id].1.body[..])).collect();
        let came = gateway.carry(&bodies);
        self.gateway = Some(gateway);
        for (id, came) in ids.into_iter().zip(came) {
            if !lossy || self.chance.below(4) > 0 {
                self.came(id, &came);
            }
        }
    }

    fn came(&mut self, id: EffectId, came: &Came) {
        let (who, delivery) = self.pending[&id].clone();
        let answer = match came {
            Came::Answer(bytes) => actors::Answer::Definite(bytes.clone()),
            Came::Lost => actors::Answer::Unknown,
            Came::Failed(_) => return,
            Came::Refused(why) => panic!("the gateway understands payments: {why}"),
        };
        if matches!(came, Came::Answer(_)) {
            self.pending.remove(&id);
        }
        let told = Kind::of::<Payment>().answered(&delivery, &answer).expect("payments listen");
        self.tell(who, &codec::decode(&told).expect("an event"));
    }

    fn take_gateway(&mut self) -> Option<Gateway> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        self.gateway.take().or_else(|| Gateway::open(disk, Path::new(PATH), "j1").ok())
    }

    /// The gateway's machine loses power.
    fn crash(&mut self) {
        self.gateway = None;
        self.disk = self.disk.crash();
    }

    fn must_agree(&self, seed: u64) {
        let bytes = state::disk::read_file(&self.disk, Path::new(PATH)).expect("the book");
        let mut book: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for line in std::str::from_utf8(&bytes).expect("text").lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("a line");
            let (taken, returned) = book.entry(line["payment_id"].to_string()).or_default();
            let amount = line["amount"].as_i64().expect("an amount");
            *(if line["kind"] == "refund" { returned } else { taken }) += amount;
        }
        let mut money = 0;
        for (who, mind) in self.minds.iter().enumerate() {
            let key = format!("pay_{who}");
            let view: serde_json::Value = serde_json::from_slice(&mind.view(&key)).expect("a view");
            let own = (view["captured"].as_i64(), view["refunded"].as_i64());
            let (taken, returned) = book.remove(&format!("\"{key}\"")).unwrap_or_default();
            assert_eq!(own, (Some(taken), Some(returned)), "{key}, seed {seed}: {view}");
            assert_ne!(view["substatus"], "conflicted", "{key}, seed {seed}");
            assert_ne!(view["status"], "processing", "{key} is settled, seed {seed}");
            money += taken;
        }
        assert!(book.is_empty() && money > 0, "money was moved, and for known payments only");
    }
}

#[test]
fn the_book_and_the_payments_tell_of_the_same_money() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        for _ in 0..20 {
            world.begin();
        }
        for _ in 0..400 {
            match world.chance.below(20) {
                0 => world.crash(),
                1 => world.disk.fail_sync(world.chance.below(3)),
                2 => world.disk.fail_write(world.chance.below(3)),
                3..=9 => world.command(),
                _ => world.carry(true),
            }
        }
        world.crash();
        for _ in 0..1_000 {
            if world.pending.is_empty() {
                break;
            }
            world.carry(false);
        }
        assert!(world.pending.is_empty(), "everything is answered in the end: seed {seed}");
        world.must_agree(seed);
    }
}

#[test]
fn a_request_says_all_the_gateway_needs() {
    let mut world = World::new(1);
    world.begin();
    let (_, delivery) = world.pending.values().next().expect("a payment asks at once");
    let request = Request::decode(&delivery.body).expect("a request");
    assert_eq!((&*request.payment_id, request.amount), ("pay_0", 1_000));
    assert_eq!(delivery.sink, actors::payment::gateway::SINK);
}
