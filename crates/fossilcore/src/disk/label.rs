//! Labels (fossil.md 1.5): what each data block is, 14 bytes a block.

use nom::Parser;
use nom::number::complete::{be_u8, be_u32};

use super::{EndsEarly, FormatError, NIL};

/// The label of a data block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// [`Label::FREE`], [`Label::BAD`], or a sum of the other bits.
    pub state: u8,
    /// The level in its tree, 0 for leaves; [`Label::DIRECTORY`] added for a
    /// tree of directory entries.
    pub kind: u8,
    /// The epoch it was allocated in.
    pub epoch: u32,
    /// The epoch it was unlinked in; [`NIL`] while it is linked.
    pub epoch_close: u32,
    /// What every pointer to the block must carry.
    pub tag: u32,
}

impl Label {
    /// Bytes of a label.
    pub const LEN: usize = 1 + 1 + 4 + 4 + 4;
    /// State: not in use.
    pub const FREE: u8 = 0;
    /// State: not to be used.
    pub const BAD: u8 = 0xff;
    /// State bit: in use.
    pub const ALLOCATED: u8 = 1;
    /// State bit: another block took its place.
    pub const COPIED: u8 = 2;
    /// State bit: stored on venti.
    pub const VENTI: u8 = 4;
    /// State bit: unlinked.
    pub const CLOSED: u8 = 8;
    /// Kind bit: the block belongs to a tree of directory entries.
    pub const DIRECTORY: u8 = 8;
    /// The highest kind there is.
    pub const KIND_MAX: u8 = 16;
    /// The tag of root blocks.
    pub const ROOT_TAG: u32 = 1;

    /// Reads a label.
    ///
    /// # Errors
    /// Too few bytes; an unknown state, a kind past the last, or
    /// closed and with an open end, or the reverse.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let (_, (state, kind, epoch, epoch_close, tag)) = (be_u8, be_u8, be_u32, be_u32, be_u32)
            .parse(bytes)
            .map_err(|_: EndsEarly<'_>| FormatError::short("label", Self::LEN, bytes.len()))?;
        let label = Label {
            state,
            kind,
            epoch,
            epoch_close,
            tag,
        };
        label.check().map(|()| label)
    }

    fn check(&self) -> Result<(), FormatError> {
        if [Self::FREE, Self::BAD].contains(&self.state) {
            return Ok(());
        }
        let bad =
            |at, expected: &str, found: String| Err(FormatError::new("label", at, expected, found));
        let all = Self::ALLOCATED | Self::COPIED | Self::VENTI | Self::CLOSED;
        if self.state & Self::ALLOCATED == 0 || self.state & !all != 0 {
            let expected = "state 0, 0xff or an odd one below 0x10";
            return bad(0, expected, format!("{:#04x}", self.state));
        }
        if self.kind > Self::KIND_MAX {
            return bad(1, "a type of at most 16", self.kind.to_string());
        }
        let closed = self.state & Self::CLOSED != 0;
        match (closed, self.epoch_close) {
            (true, NIL) => bad(6, "the epoch a closed block was unlinked in", "none".into()),
            (false, epoch) if epoch != NIL => bad(
                6,
                "no epoch for a block that is not closed",
                epoch.to_string(),
            ),
            _ => Ok(()),
        }
    }

    /// The label as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Label::LEN] {
        let mut bytes = [0; Label::LEN];
        let fields = [self.state, self.kind]
            .into_iter()
            .chain(self.epoch.to_be_bytes())
            .chain(self.epoch_close.to_be_bytes())
            .chain(self.tag.to_be_bytes());
        for (to, from) in bytes.iter_mut().zip(fields) {
            *to = from;
        }
        bytes
    }

    /// True for a block in use that is the root of a tree.
    #[must_use]
    pub fn is_root(&self) -> bool {
        let in_use = ![Self::FREE, Self::BAD].contains(&self.state);
        in_use && self.kind == Self::DIRECTORY && self.tag == Self::ROOT_TAG
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Blocks 74 and 1 of the golden partition `archived-8k`.
    const ROOT: [u8; 14] = [1, 8, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1];
    const CLOSED: [u8; 14] = [11, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0x53, 0xed, 0x9b, 0x6c];

    #[test]
    fn labels_go_both_ways() {
        let root = Label::parse(&ROOT).unwrap();
        let expected = Label {
            state: 1,
            kind: 8,
            epoch: 3,
            epoch_close: NIL,
            tag: 1,
        };
        assert_eq!((root, root.to_bytes()), (expected, ROOT));
        assert!(root.is_root());
        let closed = Label::parse(&CLOSED).unwrap();
        assert_eq!((closed.epoch_close, closed.tag), (2, 0x53ed_9b6c));
        assert_eq!(closed.to_bytes(), CLOSED);
        assert!(!closed.is_root());
        let free = Label::parse(&[0; 14]).unwrap();
        assert!(!free.is_root());
        assert_eq!(free.to_bytes(), [0; 14]);
    }

    #[test]
    fn a_bad_block_is_no_root() {
        let closed = Label::parse(&CLOSED).unwrap();
        let bad = Label {
            state: Label::BAD,
            ..closed
        };
        assert!(!bad.is_root());
    }

    #[test]
    fn a_label_that_cannot_be_is_refused_with_the_place() {
        for (from, at, byte, place) in [
            (ROOT, 0, 2, 0),
            (ROOT, 0, 0x11, 0),
            (ROOT, 0, 0x80, 0),
            (ROOT, 1, 17, 1),
            (ROOT, 9, 0, 6),
            (ROOT, 0, 9, 6),
            (CLOSED, 0, 3, 6),
        ] {
            let mut bytes = from;
            bytes[at] = byte;
            let error = Label::parse(&bytes).unwrap_err();
            assert_eq!(error.at, Some(place), "{error}");
        }
        assert!(Label::parse(&ROOT[..13]).is_err());
    }

    proptest! {
        #[test]
        fn any_label_goes_both_ways_or_is_refused(bytes: [u8; 14], odd in 0u8..8) {
            for state in [bytes[0], 2 * odd + 1] {
                let mut bytes = bytes;
                bytes[0] = state;
                bytes[1] %= 20;
                if state & 8 == 0 {
                    bytes[6..10].fill(0xff);
                }
                if let Ok(label) = Label::parse(&bytes) {
                    prop_assert_eq!(label.to_bytes(), bytes);
                } else {
                    prop_assert!(bytes[1] > 16 || state & 1 == 0 || state > 15 || bytes[6..10] == [0xff; 4]);
                }
            }
        }
    }
}
