//! All that knows venti, nothing that knows fossil: scores, dial strings and
//! partitions; arenas and their clumps; the wire protocol; replication.
//!
//! The codecs (`arena`, `wire`, `whack`) turn bytes into structs and
//! back and do no I/O. The library does not print, prompt, exit or read the
//! environment, except in `exit` and `config`.

pub mod arena;
pub mod blocktype;
pub mod child;
pub mod client;
pub mod config;
pub mod confregion;
pub mod dial;
pub mod exit;
pub mod external;
pub mod holders;
pub mod index;
pub mod nearest;
pub mod ninefat;
pub mod partition;
pub mod places;
pub mod reach;
pub mod record;
pub mod replicate;
pub mod score;
pub mod state;
pub mod terminal;
pub mod tree;
pub mod venticonf;
pub mod ventioffsets;
pub mod ventiprog;
pub mod whack;
pub mod wire;
pub mod wrarena;
pub mod wrcmd;
pub mod wrcmds;
