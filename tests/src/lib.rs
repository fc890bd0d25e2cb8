//! Shared by the tests, the demo and the benchmark.

pub mod venti;
