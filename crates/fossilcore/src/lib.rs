//! All that knows fossil: the partition format, the last archival score,
//! formatting to a root score, the configuration region and the console.
//!
//! It builds on `venticore`, which knows nothing of it.

pub mod conf;
