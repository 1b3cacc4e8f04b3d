//! What a record's tag means, and what it puts in front of the event in the payload.
//!
//! `state` journals payloads as bytes; this room alone reads them. Everything is little endian.
//! Tags and layouts are part of the data directory's format: they are only ever added to.

use crate::api::Idempotency;
use actors::{EffectId, Position};

/// What a record is, by the first byte of its head.
pub mod tag {
    /// A domain event kept whole, from outside, or one of ours that only concerns the inside. No
    /// address.
    pub const EVENT: u8 = 0;
    /// What a domain event told an entity.
    pub const HEARD: u8 = 1;
    /// What one entity told another.
    pub const SENT: u8 = 2;
    /// What a caller told an entity.
    pub const COMMAND: u8 = 3;
    /// A timer that fired.
    pub const FIRED: u8 = 4;
    /// A delivery's answer.
    pub const ANSWERED: u8 = 5;
    /// An entity could not apply a record and never will: the judged position is in the payload.
    pub const VERDICT: u8 = 6;
    /// A domain event of ours that the sinks send out. No address.
    pub const PUBLISHED: u8 = 7;
    /// The bytes of a record of Kafka that is no event. No address.
    pub const REFUSED: u8 = 8;
    /// Where a partition of Kafka is read from, and why: a first start, or an operator's word. No
    /// address; JSON.
    pub const BEGUN: u8 = 9;
    /// Key and headers of a record of Kafka that became a dead letter, just behind the letter. No
    /// address.
    pub const ORIGINAL: u8 = 10;
    /// What an old domain event, or an entity long ago, tells an entity whose kind was not there
    /// then. Nothing that it causes is carried out.
    pub const BACKFILLED: u8 = 11;
}

/// The tag's name, as histories show it.
pub fn tag_name(tag: u8) -> &'static str {
    match tag {
        tag::EVENT => "event",
        tag::HEARD => "heard",
        tag::SENT => "sent",
        tag::COMMAND => "command",
        tag::FIRED => "fired",
        tag::ANSWERED => "answered",
        tag::VERDICT => "verdict",
        tag::PUBLISHED => "published",
        tag::REFUSED => "refused",
        tag::BEGUN => "begun",
        tag::ORIGINAL => "original",
        tag::BACKFILLED => "backfilled",
        _ => "unknown",
    }
}

/// A record's payload does not begin with what its tag promises.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("payload of a record tagged {0} is too short")]
pub struct Malformed(u8);

/// What stands in front of the event in a payload.
#[derive(Debug, PartialEq, Eq)]
pub enum Prefix<'a> {
    /// Nothing: a domain event's own, or what it told.
    None,
    /// The record that sent it.
    Cause(EffectId),
    /// The caller's idempotency key, if any.
    Command(Option<CommandKey<'a>>),
    /// The timer that fired.
    Fired(EffectId),
    /// The delivery that was answered, and whether that was the last word.
    Answered(EffectId, bool),
}

/// An idempotency key, as a command's record carries it.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct CommandKey<'a> {
    /// The key's text.
    pub key: &'a str,
    /// See [`Idempotency::fingerprint`].
    pub fingerprint: u64,
    /// See [`Idempotency::status`].
    pub status: u16,
}

/// Writes an effect's id: cause, then index.
pub fn put_effect_id(id: EffectId, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.cause.to_le_bytes());
    out.extend_from_slice(&id.index.to_le_bytes());
}

/// Writes a command's prefix.
pub fn put_command(idempotency: Option<&Idempotency>, out: &mut Vec<u8>) {
    let Some(idempotency) = idempotency else {
        out.push(0);
        return;
    };
    let len =
        u8::try_from(idempotency.key.len()).expect("a key is checked to be at most 255 bytes");
    assert!(len > 0, "an idempotency key is checked not to be empty");
    out.push(len);
    out.extend_from_slice(idempotency.key.as_bytes());
    out.extend_from_slice(&idempotency.fingerprint.to_le_bytes());
    out.extend_from_slice(&idempotency.status.to_le_bytes());
}

/// Splits a payload into its prefix and the encoded event.
pub fn split(tag: u8, payload: &[u8]) -> Result<(Prefix<'_>, &[u8]), Malformed> {
    let short = || Malformed(tag);
    match tag {
        tag::SENT | tag::BACKFILLED => {
            let (id, rest) = take_effect_id(payload).ok_or_else(short)?;
            Ok((Prefix::Cause(id), rest))
        }
        tag::COMMAND => {
            let (key, rest) = take_command(payload).ok_or_else(short)?;
            Ok((Prefix::Command(key), rest))
        }
        tag::FIRED => {
            let (id, rest) = take_effect_id(payload).ok_or_else(short)?;
            Ok((Prefix::Fired(id), rest))
        }
        tag::ANSWERED => {
            let (id, rest) = take_effect_id(payload).ok_or_else(short)?;
            let (last, rest) = rest.split_first().ok_or_else(short)?;
            Ok((Prefix::Answered(id, *last != 0), rest))
        }
        _ => Ok((Prefix::None, payload)),
    }
}

/// The HTTP status that a command's success has: the one it came with, else 200.
pub fn status_of(payload: &[u8]) -> u16 {
    match split(tag::COMMAND, payload) {
        Ok((Prefix::Command(Some(key)), _)) => key.status,
        _ => 200,
    }
}

/// The position that a verdict judges, and why.
pub fn split_verdict(payload: &[u8]) -> Option<(Position, &str)> {
    let (position, reason) = payload.split_first_chunk::<8>()?;
    Some((Position::from_le_bytes(*position), std::str::from_utf8(reason).ok()?))
}

fn take_effect_id(bytes: &[u8]) -> Option<(EffectId, &[u8])> {
    let (cause, rest) = bytes.split_first_chunk::<8>()?;
    let (index, rest) = rest.split_first_chunk::<2>()?;
    let id = EffectId { cause: u64::from_le_bytes(*cause), index: u16::from_le_bytes(*index) };
    Some((id, rest))
}

fn take_command(bytes: &[u8]) -> Option<(Option<CommandKey<'_>>, &[u8])> {
    let (len, rest) = bytes.split_first()?;
    if *len == 0 {
        return Some((None, rest));
    }
    let (key, rest) = rest.split_at_checked(usize::from(*len))?;
    let (fingerprint, rest) = rest.split_first_chunk::<8>()?;
    let (status, rest) = rest.split_first_chunk::<2>()?;
    let key = CommandKey {
        key: std::str::from_utf8(key).ok()?,
        fingerprint: u64::from_le_bytes(*fingerprint),
        status: u16::from_le_bytes(*status),
    };
    Some((Some(key), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: EffectId = EffectId { cause: 7, index: 3 };

    #[test]
    fn prefixes_come_back_as_they_were_put() {
        let mut sent = Vec::new();
        put_effect_id(ID, &mut sent);
        sent.extend_from_slice(b"event");
        assert_eq!(split(tag::SENT, &sent), Ok((Prefix::Cause(ID), &b"event"[..])));
        assert_eq!(split(tag::FIRED, &sent), Ok((Prefix::Fired(ID), &b"event"[..])));
        assert_eq!(split(tag::HEARD, b"event"), Ok((Prefix::None, &b"event"[..])));

        let mut command = Vec::new();
        let idempotency = Idempotency { key: "k-1".to_owned(), fingerprint: 9, status: 201 };
        put_command(Some(&idempotency), &mut command);
        command.extend_from_slice(b"event");
        let key = CommandKey { key: "k-1", fingerprint: 9, status: 201 };
        let expected = (Prefix::Command(Some(key)), &b"event"[..]);
        assert_eq!(split(tag::COMMAND, &command), Ok(expected));
    }

    #[test]
    fn every_cut_of_a_prefix_is_noticed() {
        let mut answered = Vec::new();
        put_effect_id(ID, &mut answered);
        answered.push(1);
        assert_eq!(split(tag::ANSWERED, &answered), Ok((Prefix::Answered(ID, true), &b""[..])));
        for len in 0..answered.len() {
            assert_eq!(split(tag::ANSWERED, &answered[..len]), Err(Malformed(tag::ANSWERED)));
        }
    }
}
