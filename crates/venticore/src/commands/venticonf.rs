//! The command venticonf: where a venti partition holds the server's
//! configuration (venti.md 12). What it does is [`crate::codec::confregion`].

use crate::codec::confregion::{Region, Signature};

/// What servers leave free at the start of a partition; their header follows.
const BLANK: u64 = 256 * 1024;

/// The region at the end of the blank.
const SIZE: usize = 8 * 1024;

/// The configuration of a venti: at 248 KiB, 8 KiB.
///
/// Of a partition of 256 KiB or less a server believes that it is a text file.
pub const REGION: Region = Region {
    command: "venticonf",
    first_line: "venti config\n",
    offset: BLANK - SIZE as u64,
    size: SIZE,
    min_len: BLANK + 1,
    headers: &[
        Signature {
            magic: 0xa9e4_a5e7,
            name: "arena partition",
        },
        Signature {
            magic: 0xd15c_5ec7,
            name: "index section",
        },
    ],
    whole_lines: true,
};
