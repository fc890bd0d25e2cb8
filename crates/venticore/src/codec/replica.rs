//! Names of replicas and of the objects in them (docs/formats.md, "A replica").
//!
//! ```text
//! ventiprog                 one line: the version of the form
//! ARENA.MAGIC/head          the head block of an arena
//! ARENA.MAGIC/log.FROM-TO   bytes of its clump log, 16 hex digits each
//! ARENA.MAGIC/end           what follows the log of a sealed arena
//! ```
//!
//! The name of an arena stands there with `%XX` for each byte that is not a letter, a
//! digit, `-`, `_` or `.`, and for a dot at its start.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use crate::codec::arena::Name;
use crate::codec::bucket::BucketName;
use crate::codec::invalid::Invalid;
use crate::text::is_for_a_shell;

/// The object that says that this is a replica, and of which form.
pub const MARKER: &str = "ventiprog";

/// What stands in [`MARKER`].
pub const FORM: &str = "ventiprog replica 1\n";

/// Bytes of the log in one object at most.
pub const LONGEST: u64 = 16 << 20;

/// Where a replica is: one word for a shell, since it stands in `wrcmds`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReplicaName {
    /// `dir:PATH`: in a directory, its path absolute and without `.` and `..`.
    Directory(PathBuf),
    /// `s3:URL/BUCKET/PREFIX`: in an object store.
    Bucket(BucketName),
}

impl ReplicaName {
    /// What begins the name of a replica in a directory.
    pub const DIR: &str = "dir:";

    /// Whether a text means a replica, and not a venti, a file or a partition.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(Self::DIR) || text.starts_with(BucketName::S3)
    }
}

impl FromStr for ReplicaName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.starts_with(BucketName::S3) {
            return text.parse().map(Self::Bucket);
        }
        let wrong = || Invalid::Replica(text.to_owned());
        let path = text.strip_prefix(Self::DIR).ok_or_else(wrong)?;
        let path = Path::new(path);
        let is_plain = |part: Component<'_>| !matches!(part, Component::ParentDir);
        let is_good = path.is_absolute()
            && path.components().all(is_plain)
            && !text.contains(|c: char| c.is_control() || c.is_whitespace())
            && !is_for_a_shell(text);
        match is_good {
            // Without doubled slashes, dots, and a slash at the end.
            true => Ok(Self::Directory(path.components().collect())),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for ReplicaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}{}", Self::DIR, path.display()),
            Self::Bucket(name) => name.fmt(f),
        }
    }
}

/// The folder of an arena: its name and what its clumps begin with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArenaFolder {
    /// The name of the arena.
    pub name: Name,
    /// The magic of its clumps.
    pub magic: u32,
}

impl ArenaFolder {
    /// The arena that a folder's name stands for; nothing where it is not such a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, magic) = text.rsplit_once('.')?;
        let folder = ArenaFolder {
            name: Name::from_field(&unescape(name)?),
            magic: hex(magic, 8)?.try_into().ok()?,
        };
        (folder.to_string() == text).then_some(folder)
    }

    /// The name of one of its objects, in the replica.
    #[must_use]
    pub fn object(&self, object: ObjectName) -> String {
        format!("{self}/{object}")
    }
}

impl fmt::Display for ArenaFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.name.as_str().bytes().enumerate() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                    write!(f, "{}", char::from(byte))?;
                }
                b'.' if at > 0 => f.write_str(".")?,
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        write!(f, ".{:08x}", self.magic)
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

/// A number of exactly this many hex digits in lower case.
fn hex(text: &str, digits: usize) -> Option<u64> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_it = text.len() == digits && text.bytes().all(is_digit);
    is_it.then(|| u64::from_str_radix(text, 16).ok())?
}

/// An object in the folder of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectName {
    /// The head block, as it is on disk.
    Head,
    /// These bytes of the log, from the start of the data section.
    Log {
        /// The first byte.
        from: u64,
        /// One past the last byte.
        to: u64,
    },
    /// Everything after the log of a sealed arena, up to its end.
    End,
}

impl ObjectName {
    /// The object of this name in a folder; nothing where it is not such a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "head" => Some(Self::Head),
            "end" => Some(Self::End),
            _ => {
                let (from, to) = text.strip_prefix("log.")?.split_once('-')?;
                let (from, to) = (hex(from, 16)?, hex(to, 16)?);
                (from < to).then_some(Self::Log { from, to })
            }
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("head"),
            Self::Log { from, to } => write!(f, "log.{from:016x}-{to:016x}"),
            Self::End => f.write_str("end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_replica_is_named_by_an_absolute_path() {
        let name: ReplicaName = "dir:/mnt//usb/./venti/".parse().unwrap();
        assert_eq!(name.to_string(), "dir:/mnt/usb/venti");
        assert_eq!(name, ReplicaName::Directory("/mnt/usb/venti".into()));
        for text in [
            "dir:",
            "dir:usb",
            "/mnt/usb",
            "dir:/mnt/../etc",
            "dir:/a\nb",
            "dir:/a b",
            "dir:/$HOME",
        ] {
            let error = text.parse::<ReplicaName>().unwrap_err();
            assert_eq!(error, Invalid::Replica(text.to_owned()));
        }
    }

    #[test]
    fn objects_have_the_names_of_the_form() {
        let folder = ArenaFolder {
            name: Name::from_field(b"arenas0"),
            magic: 0xf404_0f0d,
        };
        assert_eq!(folder.object(ObjectName::Head), "arenas0.f4040f0d/head");
        assert_eq!(folder.object(ObjectName::End), "arenas0.f4040f0d/end");
        assert_eq!(
            folder.object(ObjectName::Log { from: 0, to: 0x1ab }),
            "arenas0.f4040f0d/log.0000000000000000-00000000000001ab"
        );
    }

    #[test]
    fn an_arena_cannot_name_another_place() {
        for (name, text) in [
            ("../x", "%2E.%2Fx.00000001"),
            (".", "%2E.00000001"),
            ("a b", "a%20b.00000001"),
            ("a%2fb", "a%252fb.00000001"),
        ] {
            let folder = ArenaFolder {
                name: Name::from_field(name.as_bytes()),
                magic: 1,
            };
            assert_eq!(folder.to_string(), text);
            assert_eq!(ArenaFolder::parse(text), Some(folder));
        }
        for text in [
            "a",
            "a.1",
            "a.0000000G",
            "a%2.00000001",
            "%61.00000001",
            ".00000001x",
        ] {
            assert_eq!(ArenaFolder::parse(text), None, "{text}");
        }
        for text in [
            "log.0-1",
            "log.0000000000000001-0000000000000001",
            "Head",
            "end ",
        ] {
            assert_eq!(ObjectName::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_folder_goes_both_ways(name in proptest::collection::vec(any::<u8>(), 0..64), magic: u32) {
            let folder = ArenaFolder { name: Name::from_field(&name), magic };
            let text = folder.to_string();
            prop_assert!(!text.contains('/') && !text.starts_with('.') || text.starts_with(".0") || name.is_empty() || name[0] == 0);
            prop_assert_eq!(ArenaFolder::parse(&text), Some(folder));
        }

        #[test]
        fn any_object_goes_both_ways(from in 0..u64::MAX, len in 1_u64..1 << 32) {
            let object = ObjectName::Log { from, to: from.saturating_add(len) };
            prop_assert_eq!(ObjectName::parse(&object.to_string()), Some(object));
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            if let Some(folder) = ArenaFolder::parse(&text) {
                prop_assert_eq!(folder.to_string(), text.clone());
            }
            if let Some(object) = ObjectName::parse(&text) {
                prop_assert_eq!(object.to_string(), text.clone());
            }
        }
    }
}
