//! What clients want of the engine, made up beforehand: commands, with keys and without, repeated
//! and mismatched; numbered batches with repeats and gaps; unnumbered events, campus events, and
//! what is no good at all.
//!
//! What is *not* here: when each is sent. A client that got no answer sends again what may safely
//! be sent again.

use super::chance::Chance;
use super::fuse::{self, Fuse};
use super::process::Process;
use crate::api::Idempotency;
use crate::hear::{Said, event_hash, head};
use crate::kinds::Kinds;
use crate::record::{put_command, tag};
use crate::sources::campus::Campus;
use actors::currency::Currency;
use actors::inbox::{self, Inbox, ItemId};
use actors::payment::gateway::PayerAction;
use actors::payment::{self, CaptureMode, Confirm, Create, Payment, Token};
use actors::{DomainEvent, Entity, Key, KindId, Timestamp, codec};
use state::frame::{Draft, Mark, RecordHead, Way, WayKind};

/// One thing that a client wants.
#[derive(Clone, Debug)]
pub enum Want {
    /// Tell an entity something.
    Command {
        /// Its kind.
        kind: KindId,
        /// Its key.
        key: Key,
        /// What to tell it, encoded.
        event: Vec<u8>,
        /// The idempotency key, if any.
        idempotency: Option<Idempotency>,
    },
    /// Events by a numbered way, from this number on.
    Numbered {
        /// The way.
        way: Way,
        /// The first one's number.
        first: u64,
        /// The events.
        events: Vec<Vec<u8>>,
        /// Whether it leaves a gap, and must be refused.
        gap: bool,
    },
    /// Events known by their ids.
    Unnumbered(Vec<Vec<u8>>),
}

impl Want {
    /// Whether a client that got no answer may send it again.
    pub fn may_repeat(&self) -> bool {
        !matches!(self, Self::Command { idempotency: None, .. })
    }

    /// As the door or a partition consumer would hand it in.
    pub fn draft(&self, process: &mut Process, now: Timestamp) -> Draft {
        match self {
            Self::Command { kind, key, event, idempotency } => {
                let mut draft = Draft::new(Way::engine());
                let mut payload = Vec::new();
                put_command(idempotency.as_ref(), &mut payload);
                payload.extend_from_slice(event);
                draft.begin_group(Mark::None);
                draft.push(RecordHead { tag: tag::COMMAND, kind: *kind, depth: 0 }, key, &payload);
                draft
            }
            Self::Numbered { way, first, events, .. } => {
                let mut draft = Draft::new(way.clone());
                draft.contiguous = true;
                for (number, text) in (*first..).zip(events) {
                    let mark = Mark::Number { number, index: 0 };
                    hear(process, &mut draft, |_| mark, text, now);
                }
                draft
            }
            Self::Unnumbered(events) => {
                let mut draft = Draft::new(Way::new(WayKind::Unnumbered, ""));
                let mark = |event: &DomainEvent<'_>| Mark::Id(event_hash(&event.source, &event.id));
                for text in events {
                    hear(process, &mut draft, mark, text, now);
                }
                draft
            }
        }
    }
}

fn hear(
    process: &mut Process,
    draft: &mut Draft,
    mark: impl FnOnce(&DomainEvent<'_>) -> Mark,
    text: &[u8],
    now: Timestamp,
) {
    let event = DomainEvent::parse(text, now).expect("clients send events");
    let said = Said { text, event: &event };
    process.hearer.hear(draft, mark(&event), said, head(tag::EVENT, 0));
}

/// Makes up what clients want.
pub struct Wishes {
    chance: Chance,
    kinds: Kinds,
    campus: Campus,
    campus_next: u64,
    next: [u64; 3],
    payments: u64,
    ids: u64,
    wants: Vec<Want>,
}

impl Wishes {
    /// So many of them, by this seed.
    pub fn make(seed: u64, kinds: Kinds, count: usize) -> Vec<Want> {
        let mut wishes = Self {
            chance: Chance(seed ^ 0x5EED),
            kinds,
            campus: Campus::new(seed, 12, 3, 0, 1),
            campus_next: 0,
            next: [0; 3],
            payments: 0,
            ids: 0,
            wants: Vec::new(),
        };
        while wishes.wants.len() < count {
            let want = wishes.one();
            wishes.wants.push(want);
        }
        wishes.wants
    }

    fn one(&mut self) -> Want {
        match self.chance.below(20) {
            0..=2 => self.begin_payment(),
            3..=6 => self.go_on_with_payment(),
            7 => self.again(),
            8..=9 => self.read_inbox(),
            10..=12 => self.batch(),
            13 => self.unnumbered(),
            14..=15 => self.campus(),
            16 => self.garbage(),
            _ => self.fuse(),
        }
    }

    fn command<E: Entity>(&mut self, key: &str, event: &E::Event, name: Option<String>) -> Want {
        let kind = self.kinds.id(E::KIND).expect("a kind of the table");
        let event = codec::encode(event);
        let fingerprint = xxhash_rust::xxh3::xxh3_64(&event);
        let idempotency = name.map(|key| Idempotency { key, fingerprint, status: 201 });
        Want::Command { kind, key: Key::new(key), event, idempotency }
    }

    fn begin_payment(&mut self) -> Want {
        let number = self.payments;
        self.payments += 1;
        let key = format!("pay_{number}");
        let create = Create {
            id: key.as_str().into(),
            user_id: format!("u-{}", self.chance.below(9)).into(),
            order_id: None,
            course_id: self.chance.one_in(2).then(|| "c-1".into()),
            amount: 1_000,
            currency: Currency::parse("EUR").expect("the euro"),
            method: (!self.chance.one_in(6)).then(|| *self.chance.of(&Token::ALL)),
            capture: *self.chance.of(&[CaptureMode::Automatic, CaptureMode::Manual]),
            confirm: !self.chance.one_in(6),
            description: None,
            metadata: "{}".into(),
        };
        let event = payment::Event::Create(Box::new(create));
        self.command::<Payment>(&key, &event, Some(format!("create-{number}")))
    }

    fn go_on_with_payment(&mut self) -> Want {
        let number = self.chance.below(self.payments + 1);
        let amount = Some(1 + self.chance.below(600) as i64);
        let event = match self.chance.below(9) {
            0..=3 => payment::Event::Capture(amount),
            4..=6 => payment::Event::Refund(amount),
            7 => payment::Event::Cancel,
            _ => payment::Event::Confirm(Confirm {
                method: Some(*self.chance.of(&Token::ALL)),
                action: Some(*self.chance.of(&[PayerAction::Succeed, PayerAction::Fail])),
            }),
        };
        let name = (!self.chance.one_in(3)).then(|| format!("go-{}", self.wants.len()));
        self.command::<Payment>(&format!("pay_{number}"), &event, name)
    }

    /// Something that was wanted before, sometimes with another fingerprint.
    fn again(&mut self) -> Want {
        if self.wants.is_empty() {
            return self.begin_payment();
        }
        let mut want = self.chance.of(&self.wants).clone();
        if let Want::Command { idempotency: Some(idempotency), .. } = &mut want
            && self.chance.one_in(4)
        {
            idempotency.fingerprint ^= 1;
        }
        want
    }

    fn read_inbox(&mut self) -> Want {
        let item = ItemId { page: self.chance.below(3) as u32, slot: self.chance.below(9) as u16 };
        let event = match self.chance.below(5) {
            0 => inbox::Event::ReadAll,
            1 => inbox::Event::Unread(item),
            2 => inbox::Event::Archive(item),
            3 => inbox::Event::Unarchive(item),
            _ => inbox::Event::Read(item),
        };
        let key = format!("u-{}", self.chance.below(9));
        let name = self.chance.one_in(3).then(|| format!("read-{}", self.wants.len()));
        self.command::<Inbox>(&key, &event, name)
    }

    /// A batch of one of three producers: what comes next, or partly what came before, or too much.
    fn batch(&mut self) -> Want {
        let which = self.chance.below(3) as usize;
        let count = 1 + self.chance.below(6);
        let next = self.next[which];
        let back = if self.chance.one_in(4) { self.chance.below(4).min(next) } else { 0 };
        let gap = self.chance.one_in(12);
        let first = if gap { next + 1 + self.chance.below(3) } else { next - back };
        if !gap {
            self.next[which] = next.max(first + count);
        }
        // An event is a function of its number, so that a repeat is one.
        let events = (first..first + count).map(|n| event(which as u64, n)).collect();
        let way = Way::new(WayKind::Producer, &format!("producer-{which}"));
        Want::Numbered { way, first, events, gap }
    }

    fn unnumbered(&mut self) -> Want {
        let count = 1 + self.chance.below(4);
        let mut events = Vec::new();
        for _ in 0..count {
            let id = if self.chance.one_in(3) {
                self.chance.below(self.ids + 1)
            } else {
                self.ids += 1;
                self.ids
            };
            events.push(event(9, id));
        }
        Want::Unnumbered(events)
    }

    fn campus(&mut self) -> Want {
        let first = self.campus_next;
        self.campus_next += 1 + self.chance.below(8);
        let mut events = Vec::new();
        for number in first..self.campus_next {
            let mut text = Vec::new();
            self.campus.write(number, &mut text);
            events.push(text);
        }
        let way = Way::new(WayKind::Kafka, "campus/0");
        Want::Numbered { way, first, events, gap: false }
    }

    /// A command whose event does not decode.
    fn garbage(&mut self) -> Want {
        let kind = KindId(self.chance.below(4) as u8);
        let event = vec![0xff; 1 + self.chance.below(4) as usize];
        let name = self.chance.one_in(2).then(|| format!("garbage-{}", self.wants.len()));
        let idempotency = name.map(|key| Idempotency { key, fingerprint: 1, status: 200 });
        let key = Key::new(*self.chance.of(&["u-1", "f-1", "pay_1", "c-1"]));
        Want::Command { kind, key, event, idempotency }
    }

    fn fuse(&mut self) -> Want {
        let key = format!("f-{}", self.chance.below(5));
        let event = self.fuse_event(true);
        let name = self.chance.one_in(3).then(|| format!("fuse-{}", self.wants.len()));
        self.command::<Fuse>(&key, &event, name)
    }

    fn fuse_event(&mut self, may_wake: bool) -> fuse::Event {
        let page = self.chance.below(6) as u32;
        match self.chance.below(if may_wake { 16 } else { 14 }) {
            0..=1 => fuse::Event::Add(self.chance.below(3) as i64),
            2..=5 => {
                let (value, pad) = (self.chance.any(), self.chance.below(900) as u16);
                fuse::Event::Put(page, value, pad)
            }
            6 => fuse::Event::Words(self.chance.below(16) as u8),
            7 => fuse::Event::Blow,
            8 => fuse::Event::BlowInPage(page),
            9 => fuse::Event::Refuse,
            10 => {
                let times = *self.chance.of(&[1, 3, 3, 3, 40, 1_001]);
                fuse::Event::Flood(times, Key::new(format!("f-{}", self.chance.below(5))))
            }
            11 => fuse::Event::Chain(0),
            12 => fuse::Event::Publish(format!("u-{}", self.chance.below(9)).into(), {
                !self.chance.one_in(5)
            }),
            13 => self.chance.of(&[fuse::Event::TellNobody, fuse::Event::Deliver]).clone(),
            _ => {
                let after_ms = self.chance.below(300_000) as i64;
                fuse::Event::Wake(after_ms, Box::new(self.fuse_event(false)))
            }
        }
    }
}

/// One of many domain events, sound or not; the same for the same number.
fn event(source: u64, number: u64) -> Vec<u8> {
    let mut chance = Chance(source << 32 ^ number);
    let (user, lesson) = (chance.below(9), chance.below(5));
    let course = r#""course_id":"c-1""#;
    let (event_type, data) = match chance.below(10) {
        0 => ("learning.enrollment.created.v1", course.to_owned()),
        1 => ("learning.course.completed.v1", course.to_owned()),
        2..=5 => ("learning.lesson.completed.v1", format!(r#"{course},"lesson_id":"l-{lesson}""#)),
        6 => ("commerce.order.placed.v1", format!(r#""order_id":"o-{number}""#)),
        7 => ("commerce.payment.captured.v1", {
            format!(r#""payment_id":"x-{lesson}","amount":{},"currency":"EUR""#, 100 + lesson)
        }),
        8 => ("nobody.knows.this.v1", String::from(r#""a":1"#)),
        // It lacks the order, or is of a version to come.
        _ if chance.one_in(2) => ("commerce.order.placed.v1", String::from(r#""a":1"#)),
        _ => ("commerce.order.placed.v9", String::from(r#""a":1"#)),
    };
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{number}\",\"source\":\"/client/{source}\",\
         \"type\":\"com.example.{event_type}\",\"time\":\"2026-11-20T10:00:00Z\",\
         \"data\":{{\"user_id\":\"u-{user}\",{data}}}}}"
    )
    .into_bytes()
}
