//! What a batch has caused, as drafts for the writer: one a shard, in order of (cause, index), so
//! that the journal's origin table drops what a replay yields again.

use super::Floor;
use crate::hear::{Hearer, Said, head, parse_own};
use crate::kinds::Kinds;
use crate::life::{Caused, CausedWhat};
use crate::record::{put_effect_id, tag};
use actors::deadletter;
use actors::{Address, Effect, EffectId, KindId, Publication, codec};
use state::frame::{Draft, Mark, RecordHead, Way, WayKind};

/// A draft longer than this is followed by another: a frame must fit into a segment, whatever a
/// batch has caused.
const DRAFT_BYTES_MAX: usize = 1 << 20;

/// A chain of causes longer than this ends in a dead letter.
pub const DEPTH_MAX: u8 = 16;

/// Makes drafts of what was caused.
pub struct Publisher {
    kinds: Kinds,
    hearer: Hearer,
    source: String,
    draft_bytes_max: usize,
    payload: Vec<u8>,
    text: Vec<u8>,
}

impl<S> Floor<S> {
    /// What the batch has caused, in order of (cause, index), for whoever journals none of it.
    pub fn take_caused(&self) -> Vec<Caused> {
        let mut all = Vec::new();
        for (_, shard) in self.shards.borrow_mut().iter_mut() {
            all.append(&mut shard.caused);
        }
        all.sort_by_key(|caused| caused.id);
        all
    }

    /// Gathers what the batch has caused, shard by shard.
    pub fn finish(&self, publisher: &mut Publisher) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for (number, shard) in self.shards.borrow_mut().iter_mut() {
            if shard.caused.is_empty() {
                continue;
            }
            shard.caused.sort_by_key(|caused| caused.id);
            let mut draft = Draft::new(Way::new(WayKind::Shard, &number.to_string()));
            draft.urgent = true;
            for caused in shard.caused.drain(..) {
                if draft.bytes() >= publisher.draft_bytes_max {
                    let mut next = Draft::new(draft.way().clone());
                    next.urgent = true;
                    drafts.push(std::mem::replace(&mut draft, next));
                }
                publisher.put(&mut draft, caused);
            }
            drafts.push(draft);
        }
        drafts
    }
}

impl Publisher {
    /// Publishes in the name of the journal with this source, such as `/bellwether/<journal id>`.
    pub fn new(kinds: Kinds, source: String) -> Self {
        let hearer = Hearer::new(kinds);
        Self {
            kinds,
            hearer,
            source,
            draft_bytes_max: DRAFT_BYTES_MAX,
            payload: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Ends a draft after so many bytes, and begins another.
    #[must_use]
    pub fn with_drafts_of(self, draft_bytes_max: usize) -> Self {
        Self { draft_bytes_max, ..self }
    }

    fn put(&mut self, draft: &mut Draft, caused: Caused) {
        let mark = Mark::Number { number: caused.id.cause, index: caused.id.index };
        let depth = caused.depth + 1;
        match caused.what {
            CausedWhat::Effect(_) if depth > DEPTH_MAX => {
                draft.begin_group(mark);
                let reason = format!("a chain of more than {DEPTH_MAX} causes");
                self.put_letter(draft, caused.id, ("too-deep", reason), None);
            }
            CausedWhat::Effect(Effect::Send { kind, key, payload }) => {
                draft.begin_group(mark);
                let Some(to) = self.kinds.id(kind) else {
                    let reason = format!("no kind is named {kind}");
                    self.put_letter(draft, caused.id, ("unknown-kind", reason), None);
                    return;
                };
                self.payload.clear();
                put_effect_id(caused.id, &mut self.payload);
                let head = RecordHead { tag: tag::SENT, kind: to, depth };
                draft.push_parts(head, &key, &[&self.payload, &payload]);
            }
            CausedWhat::Effect(Effect::Publish(publication)) => {
                self.put_publication(draft, caused.id, depth, &publication);
            }
            CausedWhat::Effect(Effect::At { .. } | Effect::Deliver(_)) => {
                unreachable!("a life keeps its timers and deliveries as pending entries")
            }
            CausedWhat::Verdict { address, code, reason } => {
                draft.begin_group(mark);
                self.put_verdict(draft, caused.id, &address, &reason);
                self.put_letter(draft, caused.id, (code, reason), Some(&address));
            }
        }
    }

    fn put_publication(
        &mut self,
        draft: &mut Draft,
        id: EffectId,
        depth: u8,
        publication: &Publication,
    ) {
        let mark = Mark::Number { number: id.cause, index: id.index };
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        write_event(&mut text, &self.source, id, publication);
        let event_tag = if publication.outward { tag::PUBLISHED } else { tag::EVENT };
        if let Some(event) = parse_own(&text, publication.time) {
            let said = Said { text: &text, event: &event };
            self.hearer.hear(draft, mark, said, head(event_tag, depth));
        } else {
            draft.begin_group(mark);
            let reason = format!("cannot publish {}: not an event", publication.event_type);
            self.put_letter(draft, id, ("unpublishable", reason), None);
        }
        self.text = text;
    }

    fn put_verdict(&mut self, draft: &mut Draft, id: EffectId, address: &Address, reason: &str) {
        self.payload.clear();
        self.payload.extend_from_slice(&id.cause.to_le_bytes());
        self.payload.extend_from_slice(reason.as_bytes());
        let head = RecordHead { tag: tag::VERDICT, kind: address.kind, depth: 0 };
        draft.push(head, "", &self.payload);
    }

    fn put_letter(
        &mut self,
        draft: &mut Draft,
        id: EffectId,
        (code, reason): (&str, String),
        address: Option<&Address>,
    ) {
        let address = address.map(|address| {
            let kind = self.kinds.get(address.kind).map_or("unknown", |kind| kind.name);
            format!("{kind}/{}", address.key)
        });
        let code = code.to_owned();
        let opened = deadletter::Event::Opened { position: Some(id.cause), code, reason, address };
        self.payload.clear();
        put_effect_id(id, &mut self.payload);
        let head = RecordHead { tag: tag::SENT, kind: KindId::DEAD_LETTER, depth: 0 };
        let letter = format!("r-{}-{}", id.cause, id.index);
        draft.push_parts(head, &letter, &[&self.payload, &codec::encode(&opened)]);
    }
}

/// A publication as CloudEvents JSON text. Its id derives from what caused it, so that a replay
/// writes the same.
fn write_event(out: &mut Vec<u8>, source: &str, id: EffectId, publication: &Publication) {
    let text = |value: &str| serde_json::to_string(value).expect("a string is JSON");
    let event = format!(
        "{{\"specversion\":\"1.0\",\"id\":{},\"source\":{},\"type\":{},\"time\":\"{}\",\
         \"subject\":{},\"partitionkey\":{},\"datacontenttype\":\"application/json\",\"data\":{}}}",
        text(&format!("{}.{}.{}", publication.subject, id.cause, id.index)),
        text(source),
        text(publication.event_type),
        publication.time,
        text(&publication.subject),
        text(&publication.subject),
        publication.data,
    );
    out.extend_from_slice(event.as_bytes());
}
