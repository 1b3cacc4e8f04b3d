//! The memory that commits are built in, used again when no reader holds it any more: under load a
//! journal takes megabytes per commit, and fresh memory costs the kernel more than filling it.
//!
//! What is *not* here: how much of what was written readers can still have from memory; the
//! journal's recent frames decide that, and with it how long a buffer is out.

use bytes::Bytes;
use std::collections::VecDeque;

/// A shorter commit is not worth it.
const LENT_BYTES_MIN: usize = 64 << 10;

/// So many buffers are kept track of.
const LENT_MAX: usize = 256;

/// Buffers, idle and lent.
#[derive(Default)]
pub(super) struct Buffers {
    /// What readers may still hold, the oldest first.
    lent: VecDeque<Bytes>,
    idle: Option<Vec<u8>>,
    /// How long what was written last was: the next is likely to be as long.
    expected_bytes: usize,
}

impl Buffers {
    /// An empty buffer.
    pub(super) fn take(&mut self) -> Vec<u8> {
        if let Some(idle) = self.idle.take() {
            return idle;
        }
        if !self.lent.front().is_some_and(Bytes::is_unique) {
            return Vec::with_capacity(self.expected_bytes);
        }
        let mut oldest = self.lent.pop_front().expect("just seen");
        // Emptied first, so that nothing is moved within it.
        oldest.truncate(0);
        oldest.into()
    }

    /// What was written, to be shared with readers.
    pub(super) fn lend(&mut self, mut written: Vec<u8>) -> Bytes {
        self.expected_bytes = written.len();
        if written.len() < LENT_BYTES_MIN || written.len() < written.capacity() / 2 {
            // A reader must not hold a large buffer for the sake of a small frame.
            let exact = Bytes::copy_from_slice(&written);
            written.clear();
            self.idle = Some(written);
            return exact;
        }
        let written = Bytes::from(written);
        if self.lent.len() == LENT_MAX {
            self.lent.pop_front();
        }
        self.lent.push_back(written.clone());
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_comes_back_when_nobody_holds_it() {
        let mut buffers = Buffers::default();
        let mut first = buffers.take();
        first.resize(LENT_BYTES_MIN, 1);
        let place = first.as_ptr();
        let lent = buffers.lend(first);
        assert_eq!((lent.len(), lent.as_ptr()), (LENT_BYTES_MIN, place));
        let frame = lent.slice(10..20);
        drop(lent);
        let other = buffers.take();
        assert_ne!(other.as_ptr(), place, "a frame of it is still out");
        assert_eq!(&frame[..], [1; 10]);
        drop(frame);
        let again = buffers.take();
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        assert!(again.capacity() >= LENT_BYTES_MIN);
    }

    #[test]
    fn a_small_commit_holds_no_large_buffer() {
        let mut buffers = Buffers::default();
        let mut large = Vec::with_capacity(1 << 20);
        large.extend_from_slice(b"a frame");
        let place = large.as_ptr();
        assert_ne!(buffers.lend(large).as_ptr(), place);
        let again = buffers.take();
        assert_eq!(again.as_ptr(), place);
    }
}
