//! What events have told whom, as one thread hands it to another: payloads in one buffer.

use actors::{Key, KindId, Listener};

/// A batch of encoded tells.
#[derive(Debug, Default)]
pub(crate) struct Tells {
    bytes: Vec<u8>,
    heads: Vec<Head>,
}

#[derive(Debug)]
struct Head {
    kind: KindId,
    key: Key,
    end: usize,
}

impl Tells {
    /// Each of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (KindId, &Key, &[u8])> {
        let mut from = 0;
        self.heads.iter().map(move |head| {
            let payload = &self.bytes[std::mem::replace(&mut from, head.end)..head.end];
            (head.kind, &head.key, payload)
        })
    }
}

impl Listener for Tells {
    fn told(&mut self, kind: KindId, key: &str, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.heads.push(Head { kind, key: Key::new(key), end: self.bytes.len() });
    }
}
