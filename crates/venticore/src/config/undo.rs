//! How many undo files are kept, and for how long: the table `[undo]`.

use serde::Deserialize;

/// Which undo files of a partition are kept when another is made: `[undo]`. What
/// is absent sets no limit.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// At most this many, the one just made among them.
    pub keep: Option<u32>,
    /// None that is older than this many days.
    pub days: Option<u32>,
}

impl Undo {
    /// The keys of this table, and the keys of `below` that it does not have.
    pub(super) fn over(self, below: Undo) -> Undo {
        Undo {
            keep: self.keep.or(below.keep),
            days: self.days.or(below.days),
        }
    }
}
