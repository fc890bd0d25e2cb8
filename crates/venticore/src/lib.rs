//! All that knows venti, nothing that knows fossil: scores, dial strings and
//! partitions; arenas and their clumps; the wire protocol; replication.
//!
//! The codecs (`arena`, `wire`, `whack`) turn bytes into structs and
//! back and do no I/O. The library does not print, prompt, exit or read the
//! environment, except in `exit` and `config`.

pub mod arena;
pub mod blocktype;
pub mod client;
pub mod dial;
pub mod score;
pub mod whack;
pub mod wire;
pub mod state;
pub mod wrcmd;
