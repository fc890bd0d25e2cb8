//! The last archival score of a fossil (fossil.md 2), and the command
//! fossilast, which prints it as fossil/last does.
//!
//! fossil/last prints whatever stands where the score belongs. Here it counts
//! only in a partition that a fossil could open: a header and a super block
//! that can be, and a root block whose label says that it is one.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Write};

use eyre::{Report, Result, WrapErr};
use venticore::arena::ReadAt;
use venticore::exit::{Output, Status};
use venticore::partition::{Operand, Partition};
use venticore::score::Score;

use crate::disk::{FormatError, Header, Label, SuperBlock};

/// How often a super block is read that differs each time.
const TRIES: usize = 64;

/// What a fossil partition says of its archives, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// Where everything is.
    pub header: Header,
    /// The super block.
    pub superblock: SuperBlock,
}

/// An archive that is under way: a later score than the last one will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnderWay {
    /// The snapshot with this root block waits to be archived.
    Waiting(u32),
    /// The snapshot with this root block is being archived.
    Archiving(u32),
}

impl Last {
    /// Reads it from a partition that a fossil may have open.
    ///
    /// # Errors
    /// [`Error`]: the partition cannot be read, or is not one that a fossil
    /// could open.
    pub fn read(source: &dyn ReadAt) -> Result<Self, Error> {
        let bytes = read(source, "header", Header::AT, Header::LEN)?;
        let header = Header::parse(&bytes).map_err(|e| e.within(Header::AT))?;
        let inside = header.check(source.size());
        inside.map_err(|e| e.within(Header::AT))?;
        let mut found = settled(source, &header)?;
        for _ in 0..TRIES {
            let checked = Self::check(source, header, &found);
            // A snapshot taken between the two reads explains a label that does not fit.
            let again = settled(source, &header)?;
            if checked.is_ok() || again == found {
                return checked;
            }
            found = again;
        }
        Err(Error::Unsettled(header.superblock_at()))
    }

    fn check(source: &dyn ReadAt, header: Header, bytes: &[u8]) -> Result<Self, Error> {
        let base = header.superblock_at();
        let superblock =
            SuperBlock::parse(bytes).map_err(|e| match SuperBlock::parse_unmarked(bytes) {
                Some(SuperBlock { last, .. }) => Error::Unfinished { at: base, last },
                None => Error::Format(e.within(base)),
            })?;
        let blocks = header.data_blocks();
        let addresses = [
            (SuperBlock::ACTIVE_AT, Some(superblock.active)),
            (SuperBlock::NEXT_AT, superblock.next),
            (SuperBlock::CURRENT_AT, superblock.current),
        ];
        for (at, address) in addresses {
            if let Some(address) = address.filter(|&address| address >= blocks) {
                return Err(Error::Format(FormatError {
                    record: "super block",
                    at: base + at,
                    expected: format!("a block address below {blocks}"),
                    found: address.to_string(),
                }));
            }
        }
        check_root(source, &header, &superblock)?;
        Ok(Last { header, superblock })
    }

    /// The score of the last archive.
    ///
    /// # Errors
    /// [`NoSnapshot`] where none was ever completed.
    pub fn score(&self) -> Result<Score, NoSnapshot> {
        let score = self.superblock.last;
        if score.is_nil() {
            let under_way = self.under_way();
            return Err(NoSnapshot { under_way });
        }
        Ok(score)
    }

    /// The archive that is under way, if one is.
    #[must_use]
    pub fn under_way(&self) -> Option<UnderWay> {
        let archiving = self.superblock.current.map(UnderWay::Archiving);
        archiving.or(self.superblock.next.map(UnderWay::Waiting))
    }
}

/// Checks that the live tree's root block is labelled as one.
fn check_root(source: &dyn ReadAt, header: &Header, superblock: &SuperBlock) -> Result<(), Error> {
    let address = superblock.active;
    let at = header.label_at(address).unwrap_or(0);
    let bytes = read(source, "label", at, Label::LEN)?;
    let found = match Label::parse(&bytes) {
        Ok(label) if label.is_root() => return Ok(()),
        Ok(label) => format!(
            "state {}, type {}, tag {}",
            label.state, label.kind, label.tag
        ),
        Err(error) => error.to_string(),
    };
    Err(Error::Root {
        at,
        address,
        found,
        last: superblock.last,
    })
}

/// The sector with the super block's fields, read until it is the same twice:
/// a fossil may be writing it, and half of a score is no score.
fn settled(source: &dyn ReadAt, header: &Header) -> Result<Vec<u8>, Error> {
    let read = || {
        read(
            source,
            "super block",
            header.superblock_at(),
            SuperBlock::SECTOR,
        )
    };
    let mut before = read()?;
    for _ in 0..TRIES {
        let now = read()?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err(Error::Unsettled(header.superblock_at()))
}

fn read(source: &dyn ReadAt, record: &'static str, at: u64, len: usize) -> Result<Vec<u8>, Error> {
    let want = at.saturating_add(len as u64);
    if want > source.size() {
        return Err(Error::Short {
            record,
            want,
            len: source.size(),
        });
    }
    let mut bytes = vec![0; len];
    source.read_at(&mut bytes, at).map_err(Error::Read)?;
    Ok(bytes)
}

/// Why there is no telling what a partition's last archival score is.
#[derive(Debug)]
pub enum Error {
    /// The system could not read it.
    Read(io::Error),
    /// It ends before the record does.
    Short {
        /// The record.
        record: &'static str,
        /// The bytes that the partition needs.
        want: u64,
        /// The bytes it has.
        len: u64,
    },
    /// A record that is not what the format says; its byte is counted from the
    /// start of the partition.
    Format(FormatError),
    /// The root block of the live tree is not labelled as one: a format was
    /// begun and did not succeed.
    Root {
        /// Where the label is, bytes from the start of the partition.
        at: u64,
        /// The address of the root block.
        address: u32,
        /// What its label says.
        found: String,
        /// The score that still stands in the super block.
        last: Score,
    },
    /// The super block is whole but for its magic: a format was begun that
    /// made it invalid, and did not end.
    Unfinished {
        /// Where it is, bytes from the start of the partition.
        at: u64,
        /// The score that still stands in it.
        last: Score,
    },
    /// The super block, which begins at this byte, differed at each read.
    Unsettled(u64),
}

impl From<FormatError> for Error {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Short { record, want, len } => write!(
                f,
                "{record}: expected a partition of at least {want} bytes, found {len}: is it a whole fossil partition?"
            ),
            Self::Format(error) if error.record == "header" => {
                write!(f, "{error}: is it a fossil partition?")
            }
            Self::Format(error) => write!(
                f,
                "{error}: the file system is damaged, a score on record may bring it back"
            ),
            Self::Root {
                at,
                address,
                found,
                last,
            } => {
                write!(
                    f,
                    "label of root block {address}: expected type 8, tag 1, in use at {at}, found {found}: cleared by a format that failed"
                )?;
                match last.is_nil() {
                    true => Ok(()),
                    false => write!(
                        f,
                        "? vac:{last} still stands in the super block, format from it"
                    ),
                }
            }
            Self::Unfinished { at, last } => {
                write!(
                    f,
                    "super block: expected a magic at {at}, found zeros: a format was begun and did not end: run fosreset again, or undo it with fosreset -u"
                )?;
                match last.is_nil() {
                    true => Ok(()),
                    false => write!(f, "; vac:{last} still stands there"),
                }
            }
            Self::Unsettled(at) => write!(
                f,
                "super block: expected the same bytes in two reads at {at}, found others {TRIES} times: run again"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// No archive was ever completed, or none since the partition was formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSnapshot {
    /// The first one, where it is under way.
    pub under_way: Option<UnderWay>,
}

impl fmt::Display for NoSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no archival snapshot: never archived, or not since it was formatted")?;
        match self.under_way {
            Some(under_way) => write!(f, "; {under_way}, run again when that is done"),
            None => f.write_str("; take one on the console: snap -a"),
        }
    }
}

impl std::error::Error for NoSnapshot {}

impl fmt::Display for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(root) => write!(f, "a snapshot (root block {root}) waits to be archived"),
            Self::Archiving(root) => write!(f, "a snapshot (root block {root}) is being archived"),
        }
    }
}

/// Opens a partition and reads what it says.
///
/// # Errors
/// As [`Partition::open`] and [`Last::read`], with the operand.
pub fn open(operand: &Operand) -> Result<(Partition, Last)> {
    let partition = Partition::open(operand)?;
    let last = again(&partition)?;
    Ok((partition, last))
}

/// Reads again what an open partition says.
///
/// # Errors
/// As [`Last::read`], with the operand.
pub fn again(partition: &Partition) -> Result<Last> {
    Last::read(partition).map_err(|error| match error {
        // It names the partition itself.
        Error::Read(error) => Report::new(error),
        error => Report::new(error).wrap_err(partition.operand().to_string()),
    })
}

/// Runs the command fossilast: prints `vac:` and the score.
///
/// # Errors
/// The partition cannot be read or is damaged, or was never archived.
pub fn run(operand: &OsStr) -> Result<Status> {
    let operand = Operand::try_from(operand)?;
    let (_, last) = open(&operand)?;
    let score = last.score().wrap_err_with(|| operand.to_string())?;
    let mut output = Output::stdout();
    writeln!(output, "vac:{score}").wrap_err("standard output")?;
    output.flush().wrap_err("standard output")?;
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::disk::NIL;

    const LEN: u64 = 2 << 20;

    fn superblock() -> SuperBlock {
        SuperBlock {
            epoch_low: 1,
            epoch_high: 3,
            qid: 9,
            active: 7,
            next: None,
            current: None,
            last: Score::of(b"a root"),
            name: b"main".to_vec(),
        }
    }

    fn root() -> Label {
        Label {
            state: Label::ALLOCATED,
            kind: Label::DIRECTORY,
            epoch: 3,
            epoch_close: NIL,
            tag: Label::ROOT_TAG,
        }
    }

    fn put(bytes: &mut [u8], at: u64, from: &[u8]) {
        let at = usize::try_from(at).unwrap();
        bytes[at..at + from.len()].copy_from_slice(from);
    }

    fn partition(block_size: u64, superblock: &SuperBlock, root: &Label) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(LEN).unwrap()];
        let header = Header::layout(LEN, block_size).unwrap();
        put(&mut bytes, Header::AT, &header.to_bytes());
        put(&mut bytes, header.superblock_at(), &superblock.to_bytes());
        let label = header
            .label_at(superblock.active)
            .unwrap_or(header.label_at(0).unwrap());
        put(&mut bytes, label, &root.to_bytes());
        bytes
    }

    fn said(bytes: &[u8]) -> String {
        Last::read(&bytes.to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn the_score_is_read_at_every_block_size() {
        for sectors in 1..=127 {
            let bytes = partition(512 * sectors, &superblock(), &root());
            let last = Last::read(&bytes).unwrap();
            assert_eq!(last.score(), Ok(Score::of(b"a root")), "{sectors}");
            assert_eq!(last.under_way(), None);
        }
    }

    #[test]
    fn no_snapshot_is_no_score() {
        for nil in [Score::ZERO, Score::from_bytes([0; 20])] {
            let superblock = SuperBlock {
                last: nil,
                ..superblock()
            };
            let last = Last::read(&partition(8192, &superblock, &root())).unwrap();
            let error = last.score().unwrap_err().to_string();
            assert!(error.ends_with("snap -a"), "{error}");
            let superblock = SuperBlock {
                next: Some(7),
                ..superblock
            };
            let last = Last::read(&partition(8192, &superblock, &root())).unwrap();
            let error = last.score().unwrap_err().to_string();
            assert!(
                error.ends_with("waits to be archived, run again when that is done"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_being_archived_is_told_before_what_waits() {
        let both = SuperBlock {
            next: Some(1),
            current: Some(2),
            ..superblock()
        };
        let last = Last::read(&partition(8192, &both, &root())).unwrap();
        assert_eq!(last.under_way(), Some(UnderWay::Archiving(2)));
        let waiting = SuperBlock {
            current: None,
            ..both
        };
        let last = Last::read(&partition(8192, &waiting, &root())).unwrap();
        assert_eq!(last.under_way(), Some(UnderWay::Waiting(1)));
    }

    #[test]
    fn short_partitions_and_addresses_that_cannot_be_are_named() {
        let good = partition(8192, &superblock(), &root());
        for (len, expected) in [
            (
                0,
                "header: expected a partition of at least 131584 bytes, found 0",
            ),
            (
                131_583,
                "header: expected a partition of at least 131584 bytes, found 131583",
            ),
            (
                131_584,
                "an end in the partition of 16 blocks, 131584 bytes at 131092, found 256",
            ),
            (
                2_097_151,
                "an end in the partition of 255 blocks, 2097151 bytes at 131092, found 256",
            ),
        ] {
            let said = said(&good[..len]);
            assert!(said.contains(expected), "{said}");
        }
        for (at, superblock) in [
            (
                22,
                SuperBlock {
                    active: 236,
                    ..superblock()
                },
            ),
            (
                26,
                SuperBlock {
                    next: Some(236),
                    ..superblock()
                },
            ),
            (
                30,
                SuperBlock {
                    current: Some(NIL - 1),
                    ..superblock()
                },
            ),
        ] {
            let said = said(&partition(8192, &superblock, &root()));
            let expected = format!("a block address below 236 at {}, found", 18 * 8192 + at);
            assert!(said.contains(&expected), "{said}");
        }
    }

    #[test]
    fn a_root_block_that_is_none_is_named_with_what_the_super_block_says() {
        for label in [
            Label {
                state: 0,
                kind: 0,
                epoch: 0,
                epoch_close: 0,
                tag: 0,
            },
            Label { tag: 2, ..root() },
            Label { kind: 0, ..root() },
            Label {
                state: Label::BAD,
                ..root()
            },
            Label { state: 2, ..root() },
        ] {
            let said = said(&partition(8192, &superblock(), &label));
            let expected = format!(
                "label of root block 7: expected type 8, tag 1, in use at {}, found",
                19 * 8192 + 7 * 14
            );
            assert!(said.starts_with(&expected), "{said}");
            let still = format!("vac:{} still stands", Score::of(b"a root"));
            assert!(said.contains(&still), "{said}");
        }
        let never = SuperBlock {
            last: Score::ZERO,
            ..superblock()
        };
        let free = Label { state: 0, ..root() };
        assert!(!said(&partition(8192, &never, &free)).contains("vac:"));
    }

    /// A partition that is another at each read past the header.
    struct Changing {
        states: Vec<Vec<u8>>,
        reads: AtomicUsize,
    }

    impl ReadAt for Changing {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            let read = match offset {
                Header::AT => 0,
                _ => self.reads.fetch_add(1, Ordering::Relaxed),
            };
            let state = read.min(self.states.len() - 1);
            self.states[state].read_at(buf, offset)
        }

        fn size(&self) -> u64 {
            LEN
        }
    }

    fn changing(states: &[&SuperBlock]) -> Changing {
        Changing {
            states: states
                .iter()
                .map(|state| partition(8192, state, &root()))
                .collect(),
            reads: AtomicUsize::new(0),
        }
    }

    #[test]
    fn a_score_that_is_being_written_is_read_again() {
        let (old, mut torn, new) = (
            superblock(),
            superblock(),
            SuperBlock {
                last: Score::of(b"new"),
                ..superblock()
            },
        );
        let mut half = *old.last.as_bytes();
        half[..7].copy_from_slice(&new.last.as_bytes()[..7]);
        torn.last = Score::from_bytes(half);
        let source = changing(&[&torn, &new]);
        assert_eq!(Last::read(&source).unwrap().score(), Ok(new.last));
        let source = changing(&[&old, &torn, &new]);
        assert_eq!(Last::read(&source).unwrap().score(), Ok(new.last));
    }

    #[test]
    fn a_root_that_moves_between_the_reads_is_followed() {
        // The label is read third, when the root is another block already.
        let old = superblock();
        let new = SuperBlock {
            active: 9,
            ..superblock()
        };
        let source = changing(&[&old, &old, &new]);
        assert_eq!(Last::read(&source).unwrap().superblock, new);
    }

    #[test]
    fn a_super_block_that_never_settles_is_given_up() {
        let states: Vec<SuperBlock> = (1..200)
            .map(|qid| SuperBlock {
                qid,
                ..superblock()
            })
            .collect();
        let source = changing(&states.iter().collect::<Vec<_>>());
        let error = Last::read(&source).unwrap_err();
        assert!(matches!(error, Error::Unsettled(147_456)), "{error}");
    }
}
