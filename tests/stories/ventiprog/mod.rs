//! Ventis and arenas: replication, what is listed of it, and the tools of one arena.

mod apart;
mod client;
mod damage;
mod external;
mod faults;
mod index;
mod kills;
mod listing;
mod log;
mod many;
mod memory;
mod pages;
mod places_told;
mod readback;
mod remembered;
mod rollover;
mod runs;
mod schedules;
mod source;
mod stale;
mod tree;
mod uncovered;
mod unmet;
mod ventilag;
mod witnesses;
mod wrarena;
