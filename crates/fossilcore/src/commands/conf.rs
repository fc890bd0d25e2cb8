//! The command fossilconf: where a fossil partition holds the server's
//! configuration (fossil.md 4). What it does is [`venticore::codec::confregion`].

use venticore::codec::confregion::{Region, Signature};

/// Where the header of the file system is.
const HEADER: u64 = 128 * 1024;

/// The region right before it.
const SIZE: usize = 1024;

/// The configuration of a fossil: at 127 KiB, 1 KiB.
pub const REGION: Region = Region {
    command: "fossilconf",
    first_line: "fossil config\n",
    offset: HEADER - SIZE as u64,
    size: SIZE,
    min_len: HEADER,
    headers: &[Signature {
        magic: 0x3776_ae89,
        name: "fossil",
    }],
    whole_lines: false,
};
