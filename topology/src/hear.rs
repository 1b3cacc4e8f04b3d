//! Turning one domain event into one group of a draft: the event kept whole, and what it tells
//! whom.
//!
//! The one place that asks kinds `hear`; partition consumers, the door and the workers (for what
//! entities publish) all come through here. A kind that panics or finds the event unfit costs the
//! event its hearing and opens a dead letter, and nothing else.

use crate::kinds::Kinds;
use crate::record::tag;
use actors::deadletter;
use actors::words::ID_BYTES_MAX;
use actors::{DomainEvent, EventType, Key, KindId, Listener, Timestamp, codec};
use state::frame::{Draft, Mark, RecordHead};
use std::panic::AssertUnwindSafe;

/// What became of an event on its way into a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Its group is in the draft.
    Taken,
    /// Its group is in the draft, but the type is unknown to every kind.
    Ignored,
    /// Its group is in the draft and opens a dead letter.
    DeadLetter,
}

/// A domain event: its canonical text, and the same decoded.
#[derive(Clone, Copy)]
pub struct Said<'a> {
    /// The text, as the journal keeps it.
    pub text: &'a [u8],
    /// What it says.
    pub event: &'a DomainEvent<'a>,
}

/// The head of a domain event's record. `depth` is how many records deep in a chain of causes it
/// stands, 0 from outside.
pub fn head(event_tag: u8, depth: u8) -> RecordHead {
    RecordHead { tag: event_tag, kind: KindId(0), depth }
}

/// Hears domain events into drafts. Holds buffers, so that an event costs no allocation of its own.
#[derive(Debug)]
pub struct Hearer {
    kinds: Kinds,
    told: Told,
    scratch: Vec<u8>,
}

/// What one event has told so far: payloads in one buffer, and whose they are.
#[derive(Debug, Default)]
struct Told {
    bytes: Vec<u8>,
    heads: Vec<ToldHead>,
}

#[derive(Debug)]
struct ToldHead {
    kind: KindId,
    key_len: usize,
    payload_len: usize,
}

impl ToldHead {
    fn has_key(&self) -> bool {
        (1..=ID_BYTES_MAX).contains(&self.key_len)
    }
}

impl Listener for Told {
    fn told(&mut self, kind: KindId, key: &str, payload: &[u8]) {
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(payload);
        self.heads.push(ToldHead { kind, key_len: key.len(), payload_len: payload.len() });
    }
}

impl Hearer {
    /// Hears on behalf of these kinds.
    pub fn new(kinds: Kinds) -> Self {
        Self { kinds, told: Told::default(), scratch: Vec::new() }
    }

    /// Adds one group: the event, and what it tells whom.
    pub fn hear(
        &mut self,
        draft: &mut Draft,
        mark: Mark,
        said: Said<'_>,
        head: RecordHead,
    ) -> Heard {
        let text = said.text;
        match mark {
            // The same number again, with another event, is refused.
            Mark::Number { .. } => {
                draft.begin_hashed_group(mark, xxhash_rust::xxh3::xxh3_64(text).max(1));
            }
            _ => draft.begin_group(mark),
        }
        self.hear_into_group(draft, said, head)
    }

    /// The same, into a group that was begun for it.
    pub fn hear_into_group(
        &mut self,
        draft: &mut Draft,
        said: Said<'_>,
        head: RecordHead,
    ) -> Heard {
        let Said { text, event } = said;
        draft.push(head, "", text);
        let fault = match event.event_type {
            EventType::Unknown => return Heard::Ignored,
            EventType::UnknownMajor => Some(("unknown-major", "unknown major version".to_owned())),
            EventType::Known(_) => self.ask_all(event).err(),
        };
        if let Some((code, reason)) = fault {
            let letter = letter_id(&event.source, &event.id);
            open_letter(draft, &letter, code, reason);
            return Heard::DeadLetter;
        }
        self.push_told(draft, head.depth);
        Heard::Taken
    }

    fn ask_all(&mut self, event: &DomainEvent<'_>) -> Result<(), (&'static str, String)> {
        self.told.bytes.clear();
        self.told.heads.clear();
        for (id, kind) in self.kinds.product() {
            let (told, scratch) = (&mut self.told, &mut self.scratch);
            let asked = AssertUnwindSafe(|| kind.hear(id, event, told, scratch));
            match std::panic::catch_unwind(asked) {
                Ok(Ok(())) if self.told.heads.iter().all(ToldHead::has_key) => {}
                Ok(Ok(())) => {
                    let reason = format!("{} told somebody whose key is no key", kind.name);
                    return Err(("bad-key", reason));
                }
                Ok(Err(unfit)) => return Err(("unfit", unfit.to_string())),
                Err(panic) => {
                    let reason = format!("{} panicked: {}", kind.name, panic_text(&*panic));
                    return Err(("panicked", reason));
                }
            }
        }
        Ok(())
    }

    /// What an event tells entities of one kind; nothing if any kind finds it unfit.
    pub fn told_to(&mut self, event: &DomainEvent<'_>, kind: KindId) -> Vec<(Key, Vec<u8>)> {
        let mut all = Vec::new();
        if !matches!(event.event_type, EventType::Known(_)) || self.ask_all(event).is_err() {
            return all;
        }
        let mut at = 0;
        for head in &self.told.heads {
            let key_end = at + head.key_len;
            let end = key_end + head.payload_len;
            if head.kind == kind {
                let key = std::str::from_utf8(&self.told.bytes[at..key_end]);
                let key = key.expect("the bytes of a key that came as text");
                all.push((Key::from(key), self.told.bytes[key_end..end].to_vec()));
            }
            at = end;
        }
        all
    }

    fn push_told(&self, draft: &mut Draft, depth: u8) {
        let mut at = 0;
        for head in &self.told.heads {
            let key_end = at + head.key_len;
            let end = key_end + head.payload_len;
            let key = std::str::from_utf8(&self.told.bytes[at..key_end])
                .expect("the bytes of a key that came as text");
            let record = RecordHead { tag: tag::HEARD, kind: head.kind, depth };
            draft.push(record, key, &self.told.bytes[key_end..end]);
            at = end;
        }
    }
}

/// A domain event as our own `publish` makes it, parsed from the text that was just written.
pub fn parse_own(text: &[u8], now: Timestamp) -> Option<DomainEvent<'_>> {
    let mut event = DomainEvent::parse(text, now).ok()?;
    event.own = true;
    Some(event)
}

/// The id under which the dead letter of a domain event is found.
pub fn letter_id(source: &str, id: &str) -> String {
    format!("e-{:032x}", event_hash(source, id))
}

/// The hash by which an unnumbered event is known again.
pub fn event_hash(source: &str, id: &str) -> u128 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(&(source.len() as u64).to_le_bytes());
    hasher.update(source.as_bytes());
    hasher.update(id.as_bytes());
    hasher.digest128()
}

/// Adds to the current group what opens a dead letter for its event.
pub fn open_letter(draft: &mut Draft, letter: &str, code: &str, reason: String) {
    let opened =
        deadletter::Event::Opened { position: None, code: code.to_owned(), reason, address: None };
    let head = RecordHead { tag: tag::HEARD, kind: KindId::DEAD_LETTER, depth: 0 };
    draft.push(head, letter, &codec::encode(&opened));
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
