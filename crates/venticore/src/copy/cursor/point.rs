//! A place in a partition.

/// A place in a partition: an arena, by its index, and an offset in its data section.
///
/// The end of arena `k`, whatever it will hold, is `k + 1` at 0; the end of the
/// partition is one past the last arena at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The arena's index in [`PartitionView::arenas`](super::PartitionView::arenas).
    pub arena: usize,
    /// Bytes of its data section.
    pub offset: u64,
}

impl Point {
    /// The start of a partition.
    pub const START: Point = Point::new(0, 0);

    /// A place in an arena.
    #[must_use]
    pub const fn new(arena: usize, offset: u64) -> Self {
        Point { arena, offset }
    }

    pub(super) fn end_of(arena: usize) -> Self {
        Point::new(arena.saturating_add(1), 0)
    }
}
