//! The comparison: what the store, the gateway and the outbox hold, with what the oracle says.
//!
//! What is *not* here: how either came to it. Every panic here is a broken promise.

use super::machine::Machine;
use super::oracle::{Being, Oracle, head_of};
use super::process::{Process, SHARDS};
use crate::floor::shard_of;
use crate::pending::from_stored;
use crate::sinks::{GATEWAY_BOOK, outbox};
use actors::{Address, KindId, Position, codec};
use serde_json::Value;
use state::disk::read_file;
use state::row::key::{self, space};
use state::row::{Row, Trail};
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::xxh3_64;

type Stored = BTreeMap<Vec<u8>, Vec<u8>>;

/// Everything that is at rest, of all shards.
pub(super) fn stored(process: &Process) -> Stored {
    let reader = process.store().reader();
    let mut all = Stored::new();
    for shard in 0..SHARDS {
        let entries = reader.scan(shard, &[], None, usize::MAX).expect("a store that can be read");
        all.extend(entries);
    }
    all
}

/// What is at rest may be older than the journal, never newer, and is what a fold of the journal
/// was at that position.
///
/// # Panics
/// It is not so.
pub(super) fn no_row_is_made_up(process: &Process, oracle: &Oracle) {
    let durable = process.journal().durable();
    for (stored_key, bytes) in stored(process) {
        if stored_key[0] != space::ROW {
            continue;
        }
        let (kind, name) = key::parse_row(&stored_key).expect("a row's key");
        let row = Row::decode(&bytes).expect("a row");
        let address = Address::new(kind, name);
        assert!(row.position <= durable, "{address:?} is ahead of the journal");
        let being = &oracle.beings[&address];
        let applied = being.trail.partition_point(|position| *position < row.position);
        assert_eq!(row.position, being.trail[applied - 1] + 1, "{address:?}");
        assert_eq!(xxh3_64(row.head), being.heads[applied - 1], "{address:?} at {}", row.position);
    }
}

/// Everything was handed over: what is at rest is what the oracle says, no more and no less.
///
/// # Panics
/// It is not so.
pub(super) fn all_is_at_rest(process: &Process, oracle: &Oracle) {
    let mut stored = stored(process);
    for (address, being) in &oracle.beings {
        let shard = shard_of(address.hash(), SHARDS);
        let may =
            process.store().reader().may_contain(shard, &key::row(address.kind, &address.key));
        assert!(may, "{address:?} is filtered out");
        entity_is_at_rest(&mut stored, address, being);
    }
    for (id, (due, address, what)) in &oracle.pending {
        let entry = crate::pending::stored_key(*id, *due, address);
        let value = stored.remove(&entry).unwrap_or_else(|| panic!("{id} of {address:?} is lost"));
        let (back, entry) = from_stored(&entry, &value).expect("a pending entry");
        assert_eq!((&back, &entry.what), (id, what), "{address:?}");
    }
    let left: Vec<_> = stored.keys().map(|key| key.escape_ascii().to_string()).collect();
    assert!(left.is_empty(), "nobody knows of {left:?}");
    entities_are_counted(process, oracle);
}

fn entities_are_counted(process: &Process, oracle: &Oracle) {
    let mut counted: BTreeMap<u8, u64> = BTreeMap::new();
    for address in oracle.beings.keys() {
        *counted.entry(address.kind.0).or_default() += 1;
    }
    assert_eq!(process.floor().entities(), counted, "entities by kind");
}

fn entity_is_at_rest(stored: &mut Stored, address: &Address, being: &Being) {
    let (kind, name) = (address.kind, &*address.key);
    let bytes = stored.remove(&key::row(kind, name));
    let bytes = bytes.unwrap_or_else(|| panic!("{address:?} is lost"));
    let row = Row::decode(&bytes).expect("a row");
    assert_eq!(row.head, head_of(&*being.mind), "the head of {address:?}");
    assert_eq!(row.created, being.created, "{address:?}");
    assert_eq!(Some(row.position), being.trail.last().map(|last| last + 1), "{address:?}");

    let mut pages: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    pages.extend(row.page.map(|(number, bytes)| (number, bytes.to_vec())));
    for number in being.pages.keys() {
        if let Some(bytes) = stored.remove(&key::page(kind, name, *number)) {
            assert!(pages.insert(*number, bytes).is_none(), "page {number} twice: {address:?}");
        }
    }
    assert_eq!(pages, being.pages, "the pages of {address:?}");

    let mut trail = Vec::new();
    for number in 0..row.trail_pages {
        let page = stored.remove(&key::trail(kind, name, number)).expect("a full trail page");
        trail.extend(Trail::decode(&page).expect("a trail").iter());
    }
    trail.extend(Trail::decode(row.trail).expect("a trail").iter());
    assert_eq!(trail, being.trail, "the trail of {address:?}");

    for word in being.mind.tags() {
        assert!(stored.remove(&key::tag(&word, kind, name)).is_some(), "{word} of {address:?}");
    }
    answers_are_at_rest(stored, address, being);
}

fn answers_are_at_rest(stored: &mut Stored, address: &Address, being: &Being) {
    let mut answers = BTreeMap::new();
    for number in 0.. {
        let page = key::answers(address.kind, &address.key, number);
        let Some(bytes) = stored.remove(&page) else { break };
        let list: Vec<(String, u64, u16, Option<String>)> = codec::decode(&bytes).expect("answers");
        for (name, fingerprint, status, rejected) in list {
            let answer = rejected.map_or(Ok(status), Err);
            assert!(answers.insert(name, (fingerprint, answer)).is_none(), "{address:?}");
        }
    }
    assert_eq!(answers, being.answers, "the answers of {address:?}");
}

/// The gateway has done everything once, and payments know of the same money.
///
/// # Panics
/// It is not so.
pub(super) fn money_is_conserved(machine: &Machine, oracle: &Oracle, kind: KindId) {
    let bytes = read_file(&*machine.disk(), &machine.data().join(GATEWAY_BOOK)).expect("the book");
    let mut book: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for line in std::str::from_utf8(&bytes).expect("text").lines() {
        let line: Value = serde_json::from_str(line).expect("a line");
        let name = line["idempotency_key"].as_str().expect("a key").to_owned();
        assert!(keys.insert(name), "money moved twice: {line}");
        let payment = line["payment_id"].as_str().expect("a payment").to_owned();
        let (taken, returned) = book.entry(payment).or_default();
        let amount = line["amount"].as_i64().expect("an amount");
        *(if line["kind"] == "refund" { returned } else { taken }) += amount;
    }
    for (address, being) in oracle.beings.iter().filter(|(address, _)| address.kind == kind) {
        if !address.key.starts_with("pay_") {
            continue;
        }
        let view: Value = serde_json::from_slice(&being.mind.view(&address.key)).expect("a view");
        // One that was only ever refused has no view.
        let amount = |field: &str| view[field].as_i64().unwrap_or(0);
        let own = (amount("captured"), amount("refunded"));
        assert_eq!(own, book.remove(&*address.key).unwrap_or_default(), "{}: {view}", address.key);
    }
    assert!(book.is_empty(), "money of payments that nobody made: {book:?}");
}

/// Everything published has gone out once, in order.
///
/// # Panics
/// It is not so.
pub(super) fn the_outbox_is_whole(machine: &Machine, oracle: &Oracle) {
    let path = machine.data().join(outbox::FILE);
    let bytes = read_file(&*machine.disk(), &path).expect("the outbox");
    let lines: Vec<Value> = std::str::from_utf8(&bytes)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line"))
        .collect();
    assert_eq!(lines.len(), oracle.published.len(), "lines in the outbox");
    for (line, (position, text)) in lines.iter().zip(&oracle.published) {
        let event: Value = serde_json::from_slice(text).expect("an event");
        let at: Position =
            line["sequence"].as_str().and_then(|s| s.parse().ok()).expect("a number");
        assert_eq!((at, &line["id"]), (*position, &event["id"]));
    }
}
