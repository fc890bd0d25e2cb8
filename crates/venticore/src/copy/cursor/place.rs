//! The one word for a place in the source.

/// A place in a partition: an arena, by its index, and an offset in its data section.
///
/// The end of arena `k`, whatever it will hold, is `k + 1` at 0; the end of the
/// partition is one past the last arena at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cursor {
    /// The index of the arena, in the order in which arenas are copied.
    pub arena: usize,
    /// Bytes of its data section.
    pub offset: u64,
}

impl Cursor {
    /// The start of a partition.
    pub const START: Cursor = Cursor::new(0, 0);

    /// A place in an arena.
    #[must_use]
    pub const fn new(arena: usize, offset: u64) -> Self {
        Cursor { arena, offset }
    }

    pub(super) fn end_of(arena: usize) -> Self {
        Cursor::new(arena.saturating_add(1), 0)
    }
}
