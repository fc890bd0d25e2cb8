//! Fossils: their partitions, consoles, archives and configurations.

mod asked;
mod broker;
mod conf;
mod console;
mod contained;
mod cpsys;
mod disk;
mod format;
mod fosreset;
mod fossilast;
mod fossilize;
mod ninefat;
mod rootcheck;
mod rootget;
mod roottrees;
mod strangers;
mod workflow;
