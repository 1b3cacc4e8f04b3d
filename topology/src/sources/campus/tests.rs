//! The campus is the same every time, reads on from anywhere, and makes nothing but good events.

use super::*;
use actors::kind::Listener;
use actors::{DomainEvent, EventType, KINDS, KindId};
use std::collections::{BTreeMap, BTreeSet};

fn line(campus: &mut Campus, number: u64) -> String {
    let mut out = Vec::new();
    campus.write(number, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_number_means_the_same_event_for_ever() {
    let mut campus = Campus::new(7, 1_000, 500, 1, 4);
    let forth: Vec<_> = (0..2_000).map(|number| line(&mut campus, number)).collect();
    let mut again = Campus::new(7, 1_000, 500, 1, 4);
    for number in (0..2_000).rev() {
        assert_eq!(line(&mut again, number), forth[number as usize]);
    }
    assert_ne!(line(&mut Campus::new(8, 1_000, 500, 1, 4), 0), forth[0]);
    expect_test::expect![[r#"
        {"specversion":"1.0","id":"01-000000000000","source":"/campus/1","type":"edu.example.identity.user.registered.v1","subject":"u-000545","time":"2026-01-05T08:00:11.842Z","datacontenttype":"application/json","data":{"user_id":"u-000545"}}
        {"specversion":"1.0","id":"01-000000000001","source":"/campus/1","type":"edu.example.identity.user.registered.v1","subject":"u-000821","time":"2026-01-05T08:00:23.554Z","datacontenttype":"application/json","data":{"user_id":"u-000821"}}
        {"specversion":"1.0","id":"01-000000000002","source":"/campus/1","type":"edu.example.learning.enrollment.created.v1","subject":"u-000097","time":"2026-01-05T08:00:40.920Z","datacontenttype":"application/json","data":{"user_id":"u-000097","course_id":"course-274"}}"#]].assert_eq(&forth[..3].join("\n"));
}

#[test]
fn it_fills_batches_from_any_number() {
    let mut campus = Campus::new(7, 10, 5, 0, 1);
    let mut batch = RawBatch::new(3, 1 << 20);
    for next in [0, 3, 100, 50] {
        batch.begin(next);
        assert_eq!(campus.read(next, &mut batch).unwrap(), Progress::More);
        assert_eq!((batch.len(), batch.next()), (3, next + 3));
        for record in batch.records() {
            assert_eq!(record.bytes, line(&mut campus, record.number).as_bytes());
        }
    }
}

struct Count(u64);

impl Listener for Count {
    fn told(&mut self, _: KindId, _: &str, _: &[u8]) {
        self.0 += 1;
    }
}

#[test]
fn everybody_acts_once_a_round_and_every_event_is_fit() {
    let (partitions, users, rounds) = (3, 200, 40);
    let mut everybody = BTreeSet::new();
    let mut types = BTreeMap::<&str, u64>::new();
    let (mut told, mut events, mut bytes) = (Count(0), 0, 0);
    for partition in 0..partitions {
        let mut campus = Campus::new(42, users, 500, partition, partitions);
        let people = campus.people;
        let mut last = Timestamp(i64::MIN);
        for round in 0..rounds {
            let mut seen = BTreeSet::new();
            for number in round * people..(round + 1) * people {
                let text = line(&mut campus, number);
                let event = DomainEvent::parse(text.as_bytes(), Timestamp(0)).expect(&text);
                let EventType::Known(name) = event.event_type else { panic!("{text}") };
                assert!(event.time > last, "{text}");
                last = event.time;
                *types.entry(name).or_default() += 1;
                seen.insert(event.data.user().expect("a user").to_owned());
                events += 1;
                bytes += text.len();
                for (id, kind) in KINDS.iter().enumerate() {
                    let heard = kind.hear(KindId(id as u8), &event, &mut told, &mut Vec::new());
                    assert_eq!(heard, Ok(()), "{text}");
                }
            }
            assert_eq!(seen.len() as u64, people, "round {round}");
            everybody.extend(seen);
        }
    }
    assert_eq!(everybody.len() as u64, users);
    assert_eq!(types.len(), 15, "{types:?}");
    let length = bytes / events;
    assert!((260..310).contains(&length), "{length} bytes an event");
    let heard_by_hundred = told.0 * 100 / events as u64;
    assert!((150..220).contains(&heard_by_hundred), "{heard_by_hundred} records in 100 events");
}

#[test]
fn courses_are_skewed_but_all_are_taken() {
    let mut learners = vec![0u32; 500];
    for chance in 0..1_000_000 {
        learners[popular(mix(chance), 500) as usize] += 1;
    }
    assert!(learners.iter().all(|&learners| learners > 0));
    assert!(learners[0] > 10 * learners[100], "{} and {}", learners[0], learners[100]);
}
