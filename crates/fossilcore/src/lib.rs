//! All that knows fossil: so far the records of its partitions.
//!
//! It builds on `venticore`, which knows nothing of it. The codecs (`disk`) turn
//! bytes into structs and back and do no I/O.

pub mod disk;
