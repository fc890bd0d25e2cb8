//! Bytes and lines <-> values. Nothing here opens a file, dials, reads a clock or the
//! environment, or starts a thread.

pub mod arena;
pub mod blocktype;
pub mod bucket;
pub mod confregion;
pub mod dial;
pub mod format_error;
pub mod index;
pub mod invalid;
pub mod network;
pub mod operand;
pub mod plan9disk;
pub mod replica;
pub mod rootscor;
pub mod score;
pub mod target;
pub mod tree;
pub mod utc;
pub mod verified;
pub mod whack;
pub mod wire;
pub mod wrcmd;
pub mod wrcmds;
