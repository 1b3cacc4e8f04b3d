//! The answers to an entity's commands, by idempotency key: what makes a repeat return the first
//! answer, for ever.
//!
//! They live in pages of their own beside the row, loaded only by commands that carry a key,
//! written in the same batch as the row that knows the command. Append-only.

use crate::record::CommandKey;
use actors::codec;
use serde::{Deserialize, Serialize};

/// An entity remembers the keys of at most so many commands; the next one is refused.
pub const ANSWERS_MAX: usize = 256;

/// So many answers stand in one stored page: 16 of the longest stay below the store's 8 KiB.
const ANSWERS_PER_PAGE: usize = 16;

/// The longest reason that is remembered, in bytes.
const REASON_BYTES_MAX: usize = 200;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    key: String,
    fingerprint: u64,
    status: u16,
    /// Why the command was refused, if it was.
    rejected: Option<String>,
}

/// What a key says about a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Never seen, and there is room to remember it.
    New,
    /// Answered before: with this status, or refused for this reason.
    Answered(Result<u16, String>),
    /// Seen with another fingerprint.
    Mismatch,
    /// Never seen, and there is no room.
    Full,
}

/// All answers of one entity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    list: Vec<Answer>,
    /// How many of them are stored.
    stored: usize,
}

impl Answers {
    /// Loads all pages; `page` gives the stored bytes of one.
    pub fn load<E: From<codec::Error>>(
        mut page: impl FnMut(u32) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Self, E> {
        let mut list = Vec::new();
        for number in 0.. {
            let Some(bytes) = page(number)? else { break };
            let answers: Vec<Answer> = codec::decode(&bytes)?;
            list.extend(answers);
        }
        Ok(Self { stored: list.len(), list })
    }

    /// What is known of this key.
    pub fn look(&self, wanted: CommandKey<'_>) -> Known {
        match self.list.iter().find(|answer| answer.key == wanted.key) {
            Some(answer) if answer.fingerprint != wanted.fingerprint => Known::Mismatch,
            Some(answer) => Known::Answered(match &answer.rejected {
                Some(reason) => Err(reason.clone()),
                None => Ok(answer.status),
            }),
            None if self.list.len() >= ANSWERS_MAX => Known::Full,
            None => Known::New,
        }
    }

    /// Remembers the answer to a new key.
    pub fn remember(&mut self, key: CommandKey<'_>, rejected: Option<&str>) {
        assert!(self.list.len() < ANSWERS_MAX, "`look` said there is room");
        let cut = |reason: &str| reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
        self.list.push(Answer {
            key: key.key.to_owned(),
            fingerprint: key.fingerprint,
            status: key.status,
            rejected: rejected.map(cut),
        });
    }

    /// The pages that have changed since they were stored, with their bytes. They count as stored
    /// from now on.
    pub fn take_changed(&mut self) -> Vec<(u32, Vec<u8>)> {
        if self.stored == self.list.len() {
            return Vec::new();
        }
        let first = self.stored / ANSWERS_PER_PAGE;
        self.stored = self.list.len();
        let pages = self.list.chunks(ANSWERS_PER_PAGE).enumerate().skip(first);
        pages
            .map(|(number, page)| {
                let number = u32::try_from(number).expect("at most 16 pages");
                (number, codec::encode(&page))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn key(key: &str) -> CommandKey<'_> {
        CommandKey { key, fingerprint: 1, status: 201 }
    }

    #[test]
    fn a_key_is_known_by_its_first_answer_and_its_fingerprint() {
        let mut answers = Answers::default();
        answers.remember(key("a"), None);
        answers.remember(key("b"), Some("already captured"));
        assert_eq!(answers.look(key("a")), Known::Answered(Ok(201)));
        assert_eq!(answers.look(key("b")), Known::Answered(Err("already captured".to_owned())));
        assert_eq!(answers.look(CommandKey { fingerprint: 2, ..key("a") }), Known::Mismatch);
        assert_eq!(answers.look(key("c")), Known::New);
    }

    #[test]
    fn pages_bring_back_every_answer_however_often_they_are_stored() {
        let mut answers = Answers::default();
        let mut stored = BTreeMap::new();
        for number in 0..ANSWERS_MAX {
            let name = format!("key-{number}");
            assert_eq!(answers.look(key(&name)), Known::New);
            answers.remember(key(&name), None);
            if number % 5 == 0 {
                stored.extend(answers.take_changed());
            }
        }
        stored.extend(answers.take_changed());
        assert_eq!(answers.look(key("one more")), Known::Full);
        let back = Answers::load(|n| Ok::<_, codec::Error>(stored.get(&n).cloned()));
        assert_eq!(back.expect("decodes"), answers);
    }
}
