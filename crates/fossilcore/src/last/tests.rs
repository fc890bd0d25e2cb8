//! Tests of `last`.

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
        assert_eq!(last.score().unwrap(), Score::of(b"a root"), "{sectors}");
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
    assert_eq!(Last::read(&source).unwrap().score().unwrap(), new.last);
    let source = changing(&[&old, &torn, &new]);
    assert_eq!(Last::read(&source).unwrap().score().unwrap(), new.last);
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
    assert!(matches!(error, LastError::Unsettled(147_456)), "{error}");
}
