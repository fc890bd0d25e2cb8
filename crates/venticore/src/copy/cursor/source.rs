//! What is asked of the source.

use eyre::Result;

use crate::codec::score::Score;

/// What is asked of the source.
pub trait Clumps {
    /// The score of the clump that ends exactly at an offset of an arena's
    /// data section, which is not 0: the score in its directory entry or header, intact or
    /// damaged. `None` where no clump ends there, or the log ends before it.
    ///
    /// # Errors
    /// The source could not be read.
    fn score_before(&self, partition: &str, head: u64, offset: u64) -> Result<Option<Score>>;

    /// How many clumps the arena's log holds from an offset on, where that is
    /// cheap to say.
    ///
    /// # Errors
    /// The source could not be read.
    fn clumps_from(&self, _partition: &str, _head: u64, _offset: u64) -> Result<Option<u64>> {
        Ok(None)
    }
}

impl<F: Fn(&str, u64, u64) -> Result<Option<Score>>> Clumps for F {
    fn score_before(&self, partition: &str, head: u64, offset: u64) -> Result<Option<Score>> {
        self(partition, head, offset)
    }
}
