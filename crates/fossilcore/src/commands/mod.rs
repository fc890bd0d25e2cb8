//! What the commands on fossils do.

pub mod conf;
pub mod cpsys;
pub mod flfmt;
pub mod foscons;
pub mod foshalt;
pub mod fosreset;
pub mod fossilize;
pub mod fossilstart;
pub mod rootcheck;
pub mod rootget;
