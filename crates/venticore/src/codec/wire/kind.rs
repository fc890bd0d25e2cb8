//! The types of messages (venti.md 7.2).

pub(super) const RERROR: u8 = 1;
pub(super) const TPING: u8 = 2;
pub(super) const RPING: u8 = 3;
pub(super) const THELLO: u8 = 4;
pub(super) const RHELLO: u8 = 5;
pub(super) const TGOODBYE: u8 = 6;
pub(super) const TREAD: u8 = 12;
pub(super) const RREAD: u8 = 13;
pub(super) const TWRITE: u8 = 14;
pub(super) const RWRITE: u8 = 15;
pub(super) const TSYNC: u8 = 16;
pub(super) const RSYNC: u8 = 17;
