//! A 9fat that nobody mounts: the key `9fat` and the table `[mtools]`.

use serde::Deserialize;

use super::value;
use crate::codec::operand::Operand;

/// A 9fat that nobody mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NineFat {
    /// Where its FAT file system is.
    pub image: Operand,
    /// What writes a file to one.
    pub write: Vec<String>,
}

/// The table `[mtools]`: what writes a file to a FAT file system. In its words,
/// `{image}` stands for a file that is one, and `{file}` for the name in it.
/// What the file is to hold comes on standard input.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mtools {
    #[serde(default = "Mtools::write", deserialize_with = "value::program")]
    pub(super) write: Vec<String>,
}

impl Mtools {
    fn write() -> Vec<String> {
        let words = ["mcopy", "-o", "-i", "{image}", "-", "{file}"];
        words.map(str::to_owned).into()
    }
}

impl Default for Mtools {
    fn default() -> Self {
        Mtools {
            write: Self::write(),
        }
    }
}
