//! Dead letters: their payloads, and trying them again.

use super::reads::internal;
use super::{Freshness, Handle, Inner};
use crate::api::{CommandError, Commanded, Listing, ReadError};
use crate::hear::{Heard, Hearer, Said, head};
use crate::record::{put_command, tag};
use crate::writer::wall_clock;
use actors::deadletter::{DeadLetter, Event};
use actors::{Address, DomainEvent, Key, KindId, codec};
use state::frame::{Draft, Mark, RecordHead, Way};

impl Handle {
    /// A dead letter's payload: the domain event's text. `None` if there is no such letter, or its
    /// record is no event.
    pub async fn dead_letter_payload(
        &self,
        id: &Key,
        fresh: Freshness,
    ) -> Result<Option<String>, ReadError> {
        let position = self.ask::<DeadLetter>(id, (), fresh).await?.value;
        // What lies below the journal's floor is not there any more.
        let position = position.filter(|position| *position >= self.inner.journal.first());
        let Some(position) = position else { return Ok(None) };
        let found = self.inner.journal.record(position).map_err(internal)?;
        let Some((frame, index)) = found else { return Ok(None) };
        let record = frame.record(index);
        if !matches!(record.tag, tag::EVENT | tag::PUBLISHED | tag::REFUSED) {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(record.payload).into_owned()))
    }

    /// Tries a dead letter again, as a new record: its domain event is heard anew, in the frame
    /// that marks it as retried.
    pub async fn retry_dead_letter(&self, id: &Key) -> Result<Commanded, CommandError> {
        let text = self.dead_letter_payload(id, Freshness::default()).await;
        let text = text.map_err(|error| CommandError::Internal(error.to_string()))?;
        let Some(text) = text else {
            return Err(CommandError::Impossible("its record is no domain event".into()));
        };
        let mut draft = Draft::new(Way::engine());
        let mut payload = Vec::new();
        put_command(None, &mut payload);
        codec::encode_into(&Event::Retried, &mut payload);
        draft.begin_group(Mark::None);
        let command = RecordHead { tag: tag::COMMAND, kind: KindId::DEAD_LETTER, depth: 0 };
        draft.push(command, id, &payload);
        let event = DomainEvent::parse(text.as_bytes(), wall_clock())
            .map_err(|error| CommandError::Impossible(error.to_string().into()))?;
        let mut hearer = Hearer::new(self.inner.kinds);
        let said = Said { text: text.as_bytes(), event: &event };
        let heard = hearer.hear(&mut draft, Mark::None, said, head(tag::EVENT, 0));
        if heard == Heard::DeadLetter {
            let why = "it would fail again for the same reason";
            return Err(CommandError::Impossible(why.into()));
        }
        self.commit_command(draft, &Address::new(KindId::DEAD_LETTER, id)).await
    }
}

impl Inner {
    /// How many dead letters wait for an operator.
    pub(super) fn open_letters(&self) -> Result<usize, ReadError> {
        /// More are not counted one by one.
        const COUNTED_MAX: usize = 10_000;
        let listing =
            Listing { tag: Some(Key::new("state:open")), limit: COUNTED_MAX, ..Listing::default() };
        let mut open = 0;
        for shard in 0..self.marks.shards() {
            open += self.list_shard(shard, KindId::DEAD_LETTER, &listing)?.len();
        }
        Ok(open)
    }
}
