//! Shared by the tests, the demo and the benchmark: golden data, arena
//! partitions to order, and the commands of the workspace run hermetically.
//!
//! What writes arenas here knows nothing of venticore's readers, so that the
//! readers are not checked against themselves.

pub mod arena;
pub mod command;
pub mod golden;
pub mod plan9;
pub mod random;
pub mod sample;
<<<<<<< HEAD
=======
//! Shared by the tests, the demo and the benchmark.

>>>>>>> 62a84dc334d4d80feab6ef50d903eb6a77c6a241
pub mod venti;
