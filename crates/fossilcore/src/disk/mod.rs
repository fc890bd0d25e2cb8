//! The records of a fossil partition (fossil.md 1): bytes <-> structs, no I/O.
//!
//! | record | where |
//! |---|---|
//! | [`Header`] | at 128 KiB; says where the others are |
//! | [`SuperBlock`] | block `super`: the trees, and the last archival score |
//! | [`Label`] | 14 bytes for each data block |
//! | [`Local`] | 20 bytes in place of the score of an [`Entry`](venticore::codec::tree::Entry): a block of the partition |
//! | [`MetaBlock`], [`DirEntry`] | the names, owners and modes of a directory's files |

mod direntry;
mod header;
mod label;
mod local;
mod meta;
mod superblock;

pub use direntry::{DirEntry, QidSpace};
pub use header::Header;
pub use label::Label;
pub use local::Local;
pub use meta::{MetaBlock, MetaSlot};
pub use superblock::SuperBlock;
pub use venticore::codec::format_error::FormatError;

/// The block address that stands for no block.
pub const NIL: u32 = 0xffff_ffff;

/// What nom says of bytes that end too early.
type EndsEarly<'a> = nom::Err<nom::error::Error<&'a [u8]>>;

/// A block address; [`NIL`] is none.
fn address(value: u32) -> Option<u32> {
    Some(value).filter(|&address| address != NIL)
}
