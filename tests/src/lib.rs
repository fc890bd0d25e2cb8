//! Shared by the tests, the demo and the benchmark: golden data, arena
//! partitions to order, a loopback venti, and the commands of the workspace run
//! hermetically.
//!
//! What writes arenas here knows nothing of venticore's readers, so that the
//! readers are not checked against themselves.

pub mod arena;
pub mod bucket;
pub mod command;
pub mod decoys;
pub mod far;
pub mod fat;
pub mod faultdisk;
pub mod fossil;
pub mod golden;
pub mod hashtree;
pub mod help;
pub mod http;
pub mod index;
pub mod machine;
pub mod page;
pub mod patience;
pub mod plan9;
pub mod plan9disk;
pub mod port;
pub mod random;
pub mod realstore;
pub mod relay;
pub mod sample;
pub mod seeds;
pub mod served;
pub mod sshd;
pub mod standin;
pub mod surroundings;
pub mod tmpfs;
pub mod tree;
pub mod vac;
pub mod venti;
