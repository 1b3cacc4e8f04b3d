//! The table's rules, and its stored form.

use super::*;
use expect_test::expect;

fn last(number: u64, index: u16) -> Last {
    Last { number, index, hash: number * 7, time: Timestamp(1_000), end: 0 }
}

fn table() -> Origins {
    let mut origins = Origins::default();
    origins.note(&Way::new(WayKind::Producer, "shop"), last(41, 0));
    origins.note(&Way::new(WayKind::Producer, "campus"), last(7, 0));
    origins.note(&Way::new(WayKind::Shard, "3"), last(1_000, 2));
    origins.note(&Way::new(WayKind::Kafka, "t/0"), last(99, 0));
    origins.judge(1_234);
    origins
}

#[test]
fn the_table_only_moves_forward() {
    let mut origins = table();
    let shard = Way::new(WayKind::Shard, "3");
    for (number, index, then) in [
        (999, 9, (1_000, 2)),
        (1_000, 1, (1_000, 2)),
        (1_000, 3, (1_000, 3)),
        (1_001, 0, (1_001, 0)),
    ] {
        origins.note(&shard, last(number, index));
        assert_eq!(origins.last(&shard).unwrap().key(), then);
    }
    assert_eq!(origins.next(&Way::new(WayKind::Producer, "shop")), 42);
    assert_eq!(origins.next(&Way::new(WayKind::Producer, "nobody")), 0);
    let producers: Vec<_> = origins.producers().into_iter().map(|(name, _)| name).collect();
    assert_eq!(producers, ["campus", "shop"]);
    assert_eq!(origins.producer_count(), 2);
}

#[test]
fn the_stored_form_never_changes() {
    let bytes = encode(&table(), 5, 1_300, [9; 16]);
    let line = |line: &[u8]| {
        let hex: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.concat() + "\n"
    };
    expect![[r"
        13524a0162776f72010500000000000000140500000000000009090909090909
        0909090909090909090400000002060063616d70757307000000000000000000
        3100000000000000e80300000000000002040073686f70290000000000000000
        001f01000000000000e80300000000000003010033e803000000000000020058
        1b000000000000e803000000000000040300742f3063000000000000000000b5
        02000000000000e80300000000000001000000d204000000000000
    "]]
    .assert_eq(&bytes.chunks(32).map(line).collect::<String>());
}

#[test]
fn what_is_stored_is_read_back_and_any_change_noticed() {
    let bytes = encode(&table(), 5, 1_300, [9; 16]);
    let saved = Saved { generation: 5, cut: 1_300, uuid: [9; 16], origins: table() };
    assert_eq!(decode(&bytes), Some(saved));
    for len in 0..bytes.len() {
        assert_eq!(decode(&bytes[..len]), None, "cut to {len}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode(&flipped), None, "bit {bit}");
    }
}
