//! All that knows fossil: the partition format, the last archival score,
//! formatting to a root score, the configuration region and the console.
//!
//! It builds on `venticore`, which knows nothing of it. The main job,
//! replicating a venti, needs no fossil, so nothing stands here yet: the first
//! command that reads a fossil partition brings the first module.
