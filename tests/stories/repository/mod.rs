//! The repository itself: what every command, page and source file must be.

mod contract;
mod decoys;
mod examples;
mod floors;
mod manual;
mod prose;
mod references;
mod sums;
mod tidy;
mod units;
