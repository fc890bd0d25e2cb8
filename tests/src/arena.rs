//! Arena partitions to order, written as venti.md says (sections 2 to 6).
//!
//! A [`PartitionBuilder`] formats one, [`Partition::append`] fills it,
//! [`Partition::flush`] writes the trailers, and the rest lags or damages what
//! is there. Only a bounded part of the log is held in memory.
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! # let path = std::path::Path::new("arenas");
//! use venti_tests::arena::PartitionBuilder;
//!
//! let mut partition = PartitionBuilder::new().arenas(3, 1 << 20).create(path)?;
//! partition.append(13, b"a block of data")?;
//! partition.sync()?;
//! # Ok(())
//! # }
//! ```

mod backing;
mod block;
mod builder;
mod damage;
mod layout;
mod partition;

pub use block::Block;
pub use builder::PartitionBuilder;
pub use layout::{Clump, Counters};
pub use partition::{Arena, Partition, Placed};
