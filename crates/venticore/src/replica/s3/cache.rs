//! What was read last of objects, and how much is read ahead.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a chunk, less only at the end of an object.
pub(super) const CHUNK: u64 = 1 << 20;

/// Chunks that are kept.
const KEPT: usize = 32;

/// Chunks that are read at once when an object is read from one to the next.
const AHEAD: u64 = 8;

/// Readers whose place is remembered.
const READERS: usize = 16;

/// Bytes of an object.
pub(super) type CachedChunk = Arc<[u8]>;

/// The chunks that were used last. Objects do not change.
#[derive(Default)]
pub(super) struct ChunkCache(Mutex<KeptChunks>);

#[derive(Default)]
struct KeptChunks {
    /// The newest at the end.
    chunks: VecDeque<(Arc<str>, u64, CachedChunk)>,
    /// Where reading would go on, and how many chunks were read at once before.
    readers: VecDeque<(Arc<str>, u64, u64)>,
}

impl ChunkCache {
    /// A chunk, if it is kept.
    pub(super) fn get(&self, object: &str, number: u64) -> Option<CachedChunk> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |of: &(Arc<str>, u64, CachedChunk)| &*of.0 == object && of.1 == number;
        let at = kept.chunks.iter().position(is_it)?;
        let found = kept.chunks.remove(at)?;
        let chunk = Arc::clone(&found.2);
        kept.chunks.push_back(found);
        Some(chunk)
    }

    /// How many chunks to read from one on: more where reading goes on from those before.
    pub(super) fn ahead(&self, object: &str, number: u64) -> u64 {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut readers = kept.readers.iter();
        let before = readers.find(|of| &*of.0 == object && of.1 == number);
        before.map_or(1, |of| (of.2 * 2).min(AHEAD))
    }

    /// Keeps chunks that were read, from one on.
    pub(super) fn add(&self, object: &str, number: u64, chunks: Vec<CachedChunk>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = chunks.len() as u64;
        let object: Arc<str> = object.into();
        kept.readers.retain(|of| of.0 != object || of.1 != number);
        kept.readers
            .push_back((Arc::clone(&object), number + count, count.max(1)));
        while kept.readers.len() > READERS {
            kept.readers.pop_front();
        }
        for (number, chunk) in (number..).zip(chunks) {
            kept.chunks.retain(|of| of.0 != object || of.1 != number);
            kept.chunks.push_back((Arc::clone(&object), number, chunk));
        }
        while kept.chunks.len() > KEPT {
            kept.chunks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_reads_on_is_given_more_at_once() {
        let cache = ChunkCache::default();
        let some = |count| vec![CachedChunk::from(&b"x"[..]); count];
        let mut at = 0;
        for expected in [1, 2, 4, 8, 8] {
            assert_eq!(cache.ahead("a", at), expected);
            cache.add("a", at, some(usize::try_from(expected).unwrap()));
            at += expected;
        }
        assert_eq!((cache.ahead("a", 100), cache.ahead("b", at)), (1, 1));
        assert!(cache.get("a", at - 1).is_some());
        assert!(cache.get("a", at).is_none());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let cache = ChunkCache::default();
        cache.add("a", 0, vec![CachedChunk::from(&b"first"[..])]);
        for number in 0..KEPT as u64 - 1 {
            cache.add("b", number, vec![CachedChunk::from(&b"x"[..])]);
        }
        assert!(cache.get("a", 0).is_some());
        cache.add("c", 0, vec![CachedChunk::from(&b"x"[..])]);
        assert!(cache.get("a", 0).is_some());
        assert!(cache.get("b", 0).is_none());
    }
}
