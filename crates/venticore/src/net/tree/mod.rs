//! Hash trees on a venti: a walk over all that lies below an entry, and the bytes of
//! one stream.

mod arenas;
mod damage;
mod error;
mod seen;
mod stream;
mod streams;
mod task;
mod walk;

pub use arenas::{ArenaBlocks, Blocks, TakeBlock};
pub use damage::{BadBlock, BlockFault};
pub use error::TreeError;
pub use stream::{copy, read};
pub use streams::{Leaves, StreamPart, StreamReader, read_streams};
pub use walk::{Counts, Leaf, LeafPlan, StreamRequest, Visitor, Walker, read_root};
