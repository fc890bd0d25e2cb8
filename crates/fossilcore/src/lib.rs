//! All that knows fossil: the records of its partitions, the last
//! archival score, and what the commands do.
//!
//! It builds on `venticore`, which knows nothing of it. The codecs (`disk`) turn
//! bytes into structs and back and do no I/O.

pub mod archive;
pub mod conf;
pub mod console;
pub mod cpsys;
pub mod disk;
pub mod flfmt;
pub mod format;
pub mod foscons;
pub mod foshalt;
pub mod fosreset;
pub mod fossilize;
pub mod fossilstart;
pub mod halt;
pub mod last;
pub mod ninep;
pub mod processes;
pub mod remote;
pub mod snapshot;
mod venti;
