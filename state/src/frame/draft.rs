//! Drafts: what somebody hands to the writer. One way in, and an ordered list of groups, encoded as
//! they will stand in the frame, so that the writer copies them and no more. A draft is meant to be
//! used again after [`Draft::clear`].

use super::view::RECORD_HEAD_BYTES;
use super::{Mark, RecordHead, TAG_VERDICT, WAY_NAME_BYTES_MAX, Way, WayKind};
use actors::words::ID_BYTES_MAX;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What is to become one frame, less the groups that the writer knows already.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(crate) way: Way,
    /// Its numbers must follow on without a gap from what the journal knows of this way; else all
    /// of it is refused.
    pub contiguous: bool,
    /// The last group before it, as number and index: if the journal has not come so far on this
    /// way, a draft in between was refused, and so is all of this one. For numbers with gaps.
    pub after: Option<(u64, u16)>,
    /// Whoever handed it in may take it back: once this is set, all of it is refused.
    pub withdrawn: Option<Arc<AtomicBool>>,
    /// It may use the last spare segment: effects, timers and answers, never what comes from
    /// outside.
    pub urgent: bool,
    pub(crate) groups: Vec<DraftGroup>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct DraftGroup {
    pub(crate) mark: Mark,
    pub(crate) hash: u64,
    pub(crate) records: u32,
    /// Where its records begin and end in the draft's bytes.
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) verdict: bool,
}

impl Draft {
    /// An empty draft of this way.
    ///
    /// # Panics
    /// The way's name is longer than [`WAY_NAME_BYTES_MAX`].
    pub fn new(way: Way) -> Self {
        assert!(way.name.len() <= WAY_NAME_BYTES_MAX, "a way's name of {} bytes", way.name.len());
        let (groups, bytes) = (Vec::new(), Vec::new());
        let (after, withdrawn) = (None, None);
        let (contiguous, urgent) = (false, false);
        Self { way, contiguous, after, withdrawn, urgent, groups, bytes, records: 0 }
    }

    /// Empties it, and keeps its way, its flags and its memory.
    pub fn clear(&mut self) {
        self.groups.clear();
        self.bytes.clear();
        self.records = 0;
    }

    /// The way it will come in by.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// Begins a group: a domain event and the records it caused, or a command's record, or one
    /// effect's.
    ///
    /// # Panics
    /// The mark does not fit the way.
    pub fn begin_group(&mut self, mark: Mark) {
        self.begin_hashed_group(mark, 0);
    }

    /// Begins a group whose event has this hash: the same number with another hash is refused. 0 is
    /// no hash.
    ///
    /// # Panics
    /// The mark does not fit the way.
    pub fn begin_hashed_group(&mut self, mark: Mark, hash: u64) {
        let fits = match mark {
            Mark::None => self.way.kind == WayKind::Engine,
            Mark::Number { .. } => self.way.kind.is_numbered(),
            Mark::Id(_) => self.way.kind == WayKind::Unnumbered,
        };
        assert!(fits, "a group marked {mark:?} in a draft by {}", self.way);
        let (from, to) = (self.bytes.len(), self.bytes.len());
        self.groups.push(DraftGroup { mark, hash, records: 0, from, to, verdict: false });
    }

    /// Adds a record to the group begun last.
    ///
    /// # Panics
    /// No group was begun, or the key is longer than an id may be.
    pub fn push(&mut self, head: RecordHead, key: &str, payload: &[u8]) {
        self.push_parts(head, key, &[payload]);
    }

    /// Adds a record whose payload comes in several parts.
    ///
    /// # Panics
    /// No group was begun, or the key is longer than an id may be.
    pub fn push_parts(&mut self, head: RecordHead, key: &str, parts: &[&[u8]]) {
        assert!(key.len() <= ID_BYTES_MAX, "a key of {} bytes", key.len());
        let payload_bytes: usize = parts.iter().map(|part| part.len()).sum();
        let payload_bytes = u32::try_from(payload_bytes).expect("a payload is below 4 GiB");
        let group = self.groups.last_mut().expect("a record belongs to a group");
        let mut start = [0; RECORD_HEAD_BYTES];
        start[..3].copy_from_slice(&[head.tag, head.kind.0, head.depth]);
        start[3..5].copy_from_slice(&(key.len() as u16).to_le_bytes());
        start[5..9].copy_from_slice(&payload_bytes.to_le_bytes());
        self.bytes.extend_from_slice(&start);
        self.bytes.extend_from_slice(key.as_bytes());
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        group.to = self.bytes.len();
        group.records += 1;
        group.verdict |= head.tag == TAG_VERDICT;
        self.records += 1;
    }

    /// How many bytes its records take up.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many groups it has.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// How many records it has.
    pub fn records(&self) -> usize {
        self.records as usize
    }
}
