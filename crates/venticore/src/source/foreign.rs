//! What a file or partition is that was given for arenas and has none.

use std::fmt;

use super::ReadAt;

/// Something else that a user of ventis has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The partition of a fossil.
    Fossil,
    /// An index section.
    IndexSection,
    /// A bloom filter.
    Bloom,
    /// The text of a venti's configuration.
    Configuration,
    /// A Plan 9 disk or slice: it has partitions.
    Disk,
}

/// A kind, where its magic lies, and the magic.
const MAGICS: [(Foreign, u64, [u8; 4]); 3] = [
    (Foreign::IndexSection, 256 << 10, [0xd1, 0x5c, 0x5e, 0xc7]),
    (Foreign::Fossil, 128 << 10, [0x37, 0x76, 0xae, 0x89]),
    (Foreign::Bloom, 0, [0xb1, 0x00, 0x4e, 0xad]),
];

/// Where a partition has the text of a configuration, and its first line.
const REGION: (u64, &[u8]) = (248 << 10, b"venti config\n");

/// The first words of the lines of a configuration that name a file or index.
const WORDS: [&[u8]; 4] = [b"index ", b"arenas ", b"isect ", b"bloom "];

/// Bytes of a text that are looked at.
const START: usize = 4096;

impl Foreign {
    /// What is there, as far as it can be told.
    #[must_use]
    pub fn of(source: &dyn ReadAt) -> Option<Self> {
        let begins = |at, with: &[u8]| {
            let mut bytes = vec![0; with.len()];
            source.read_at(&mut bytes, at).is_ok() && bytes == with
        };
        let by_magic = MAGICS.iter().find(|(_, at, magic)| begins(*at, magic));
        if let Some((kind, ..)) = by_magic {
            return Some(*kind);
        }
        if begins(REGION.0, REGION.1) || is_configuration(source) {
            return Some(Self::Configuration);
        }
        begins(512, b"part ").then_some(Self::Disk)
    }
}

/// Whether a line of the text at the start names an index or its parts.
fn is_configuration(source: &dyn ReadAt) -> bool {
    let len = usize::try_from(source.size()).map_or(START, |len| len.min(START));
    let mut bytes = vec![0; len];
    if source.read_at(&mut bytes, 0).is_err() {
        return false;
    }
    let is_text = |byte: &u8| !byte.is_ascii_control() || byte.is_ascii_whitespace();
    let mut lines = bytes.split(|&byte| byte == b'\n');
    bytes.iter().all(is_text)
        && lines.any(|line| {
            WORDS
                .iter()
                .any(|word| line.trim_ascii_start().starts_with(word))
        })
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fossil => "found a fossil: its archives are in the arenas of its venti",
            Self::IndexSection => "found an index section (isect)",
            Self::Bloom => "found a bloom filter",
            Self::Configuration => {
                "found the configuration of a venti: name a partition of one of its arenas lines"
            }
            Self::Disk => "found a disk with Plan 9 partitions: name one of them, as DISK:arenas",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 300 << 10];
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    }

    #[test]
    fn what_it_is_is_told_by_what_is_there() {
        for (image, expected) in [
            (
                with(131_072, &[0x37, 0x76, 0xae, 0x89]),
                Some(Foreign::Fossil),
            ),
            (
                with(262_144, &[0xd1, 0x5c, 0x5e, 0xc7]),
                Some(Foreign::IndexSection),
            ),
            (with(0, &[0xb1, 0x00, 0x4e, 0xad]), Some(Foreign::Bloom)),
            (
                with(253_952, b"venti config\nmem 1m\n"),
                Some(Foreign::Configuration),
            ),
            (with(512, b"part 9fat 2 3\n"), Some(Foreign::Disk)),
            (
                b"# a venti\r\n\tarenas /dev/sdb1\n".to_vec(),
                Some(Foreign::Configuration),
            ),
            (b"index main".to_vec(), Some(Foreign::Configuration)),
            (b"an index main\n".to_vec(), None),
            (b"index main\n\x01".to_vec(), None),
            (with(0, b"index main\n"), None),
            (vec![0; 300 << 10], None),
            (Vec::new(), None),
        ] {
            assert_eq!(Foreign::of(&image), expected, "{expected:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at(bytes: Vec<u8>) {
            let _ = Foreign::of(&bytes);
        }
    }
}
