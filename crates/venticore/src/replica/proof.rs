//! Whether a replica still has what it has acknowledged.

use std::io;
use std::ops::Range;

use sha1::{Digest, Sha1};

use super::ObjectStore;
use super::chain::{Chain, Piece};
use super::writer::{end_of, folder_of, is_final, other_bytes, put_end};
use crate::codec::arena::clump::{ClumpHeader, HEADER_LEN};
use crate::codec::replica::{ArenaFolder, ObjectName};
use crate::codec::score::Score;
use crate::host::random;
use crate::source::{Arena, ReadAt};

/// Findings that are told one by one.
const TOLD: usize = 20;

/// What a look at a replica has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Clumps that hash to their scores.
    pub right: u64,
    /// Stretches of the log that are there and are not what they should be.
    pub damaged: u64,
    /// Stretches of the log, and heads, that are not there.
    pub missing: u64,
    /// The first of both, each with its object.
    pub told: Vec<String>,
}

/// What is looked at.
pub struct Proven<'a> {
    /// The source, where damaged clumps were copied as they are.
    pub source: &'a dyn ReadAt,
    /// Its arenas.
    pub arenas: &'a [Arena],
    /// The number of the arena, and the byte of its log, before which the replica has
    /// acknowledged everything.
    pub to: (usize, u64),
}

/// Looks at a replica: at everything before a place, or at the newest objects and some others.
/// An arena that is looked at gets its end, where that is not there and could be.
///
/// `on_read` is called now and then with the bytes that were read, of about how many.
///
/// # Errors
/// Of the store, where that says nothing of a single object.
pub fn prove(
    store: &dyn ObjectStore,
    of: &Proven<'_>,
    all: bool,
    on_read: &dyn Fn(u64, u64),
) -> io::Result<Proof> {
    let mut proof = Proof::default();
    let logs = logs(of);
    let whole = logs.iter().map(|&(_, to)| to).sum();
    let chosen = match all {
        true => logs,
        false => {
            let chosen = some(&logs);
            proof.look_at_others(store, of, &logs, &chosen)?;
            chosen
        }
    };
    let mut done = 0;
    for (number, to) in chosen {
        let Some(arena) = of.arenas.get(number) else {
            continue;
        };
        let folder = folder_of(arena);
        let chain = Chain::of(store.list(&folder)?);
        proof.look_at(&folder, &chain, to);
        let pieces = match all {
            true => chain.all(),
            false => chain.pieces(),
        };
        let pieces: Vec<Piece> = pieces.into_iter().filter(|of| of.at < to).collect();
        let log = LogCheck {
            store,
            source: of.source,
            arena,
            folder: &folder,
        };
        for piece in if all { pieces } else { sample(pieces) } {
            let end = piece.of.to.min(to);
            log.check(piece, end, &mut proof)?;
            done += end - piece.at;
            if all {
                on_read(done, whole);
            }
        }
        log.check_frame(&chain, to, &mut proof)?;
    }
    Ok(proof)
}

/// The numbers of the arenas before a place, and how far their logs go.
fn logs(of: &Proven<'_>) -> Vec<(usize, u64)> {
    let (last, offset) = of.to;
    let arenas = of.arenas.iter().enumerate().take(last + 1);
    let logs = arenas.map(|(number, arena)| match number == last {
        true => (number, offset),
        false => (number, arena.live.used),
    });
    logs.filter(|&(_, to)| to > 0).collect()
}

/// The last one, and one of the others.
fn some(logs: &[(usize, u64)]) -> Vec<(usize, u64)> {
    let Some((last, others)) = logs.split_last() else {
        return Vec::new();
    };
    one_of(others).into_iter().chain([*last]).collect()
}

/// The last piece, and one of the others.
fn sample(mut pieces: Vec<Piece>) -> Vec<Piece> {
    let last = pieces.pop();
    one_of(&pieces).into_iter().chain(last).collect()
}

fn one_of<T: Copy>(others: &[T]) -> Option<T> {
    let count = others.len() as u64;
    let place = usize::try_from(random::below(count.max(1))).ok()?;
    others.get(place).copied()
}

impl Proof {
    /// The listings of the arenas that are not looked at otherwise, where that costs nothing.
    fn look_at_others(
        &mut self,
        store: &dyn ObjectStore,
        of: &Proven<'_>,
        logs: &[(usize, u64)],
        chosen: &[(usize, u64)],
    ) -> io::Result<()> {
        let others = logs.iter().filter(|log| !chosen.contains(log));
        for &(number, to) in others.take_while(|_| store.lists_at_once()) {
            if let Some(arena) = of.arenas.get(number) {
                let folder = folder_of(arena);
                self.look_at(&folder, &Chain::of(store.list(&folder)?), to);
            }
        }
        Ok(())
    }

    /// What the listing of an arena tells.
    fn look_at(&mut self, folder: &ArenaFolder, chain: &Chain, to: u64) {
        for cut in &chain.cut {
            self.damaged += 1;
            self.tell(format!(
                "{} has {} bytes, fewer or more than its name says: remove it, and the next run writes it again",
                folder.object(cut.object),
                cut.size.unwrap_or(0)
            ));
        }
        let reaches = chain.reaches();
        if chain.head.is_none() {
            self.missing += 1;
            let head = folder.object(ObjectName::Head);
            self.tell(format!("{head} is missing, but was acknowledged before"));
        }
        if reaches < to {
            self.missing += 1;
            self.tell(format!(
                "arena {folder}: its log from {reaches:#x} on is missing, but was acknowledged before up to {to:#x}"
            ));
        }
    }

    fn tell(&mut self, what: String) {
        if self.told.len() < TOLD {
            self.told.push(what);
        }
    }
}

/// The log of an arena in a replica, beside the log in the source.
struct LogCheck<'a> {
    store: &'a dyn ObjectStore,
    source: &'a dyn ReadAt,
    arena: &'a Arena,
    folder: &'a ArenaFolder,
}

impl LogCheck<'_> {
    /// Reads a piece of the log and hashes its clumps.
    fn check(&self, piece: Piece, end: u64, proof: &mut Proof) -> io::Result<()> {
        let object = self.folder.object(piece.of.object());
        let mut bytes = vec![0; usize::try_from(end - piece.at).unwrap_or(0)];
        let read = self
            .store
            .read(&object, &mut bytes, piece.at - piece.of.from);
        match read {
            Ok(()) => self.hash(&object, &bytes, piece.at, proof),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                proof.missing += 1;
                proof.tell(format!("{object} is listed and cannot be had: {error}"));
            }
            Err(error) if is_of_the_store(&error) => return Err(error),
            Err(error) => {
                proof.damaged += 1;
                proof.tell(format!("{object} cannot be read: {error}"));
            }
        }
        Ok(())
    }

    /// Compares what is before and after the log with the source.
    fn check_frame(&self, chain: &Chain, to: u64, proof: &mut Proof) -> io::Result<()> {
        if let Some(len) = chain.head {
            let mut head = vec![0; self.arena.block_size as usize];
            self.source.read_at(&mut head, self.arena.head)?;
            if !self.is_same(ObjectName::Head, len, &head)? {
                self.other(ObjectName::Head, proof)?;
            }
        }
        let is_log_whole = to >= self.arena.live.used;
        if !is_log_whole || !is_final(self.source, self.arena) {
            return Ok(());
        }
        match chain.end {
            Some(len) => {
                let end = end_of(self.source, self.arena)?;
                // A server may write its trailer again after it was copied.
                match self.is_same(ObjectName::End, len, &end)? || self.has_own_seal(chain)? {
                    true => Ok(()),
                    false => self.other(ObjectName::End, proof),
                }
            }
            None => put_end(self.store, chain, self.source, self.arena),
        }
    }

    /// Whether an object of this length has these bytes.
    fn is_same(&self, object: ObjectName, len: Option<u64>, expected: &[u8]) -> io::Result<bool> {
        let object = self.folder.object(object);
        let mut found = vec![0; expected.len()];
        let read = match len.is_none_or(|len| len == expected.len() as u64) {
            true => self.store.read(&object, &mut found, 0),
            false => return Ok(false),
        };
        match read {
            Err(error) if is_of_the_store(&error) => Err(error),
            Err(_) => Ok(false),
            Ok(()) => Ok(found == expected),
        }
    }

    fn other(&self, object: ObjectName, proof: &mut Proof) -> io::Result<()> {
        proof.damaged += 1;
        proof.tell(other_bytes(&self.folder.object(object)).to_string());
        Ok(())
    }

    /// Whether the arena, as the replica has it, hashes to the score at its end.
    fn has_own_seal(&self, chain: &Chain) -> io::Result<bool> {
        let Ok(end) = self.store.get(&self.folder.object(ObjectName::End)) else {
            return Ok(false);
        };
        let Some((end, seal)) = end.split_last_chunk::<{ Score::LEN }>() else {
            return Ok(false);
        };
        let frame = self.arena.block_size as u64 + (end.len() + Score::LEN) as u64;
        let Some(used) = self.arena.total().checked_sub(frame) else {
            return Ok(false);
        };
        let mut hash = Sha1::new();
        let mut head = vec![0; self.arena.block_size as usize];
        self.store
            .read(&self.folder.object(ObjectName::Head), &mut head, 0)?;
        hash.update(&head);
        for piece in chain.pieces().iter().take_while(|piece| piece.at < used) {
            let len = piece.of.to.min(used) - piece.at;
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            let object = self.folder.object(piece.of.object());
            self.store
                .read(&object, &mut bytes, piece.at - piece.of.from)?;
            hash.update(&bytes);
        }
        hash.update(end);
        hash.update([0; Score::LEN]);
        Ok(hash.finalize()[..] == seal[..])
    }

    /// Hashes the clumps of some bytes of the log, which start at `at`.
    fn hash(&self, object: &str, bytes: &[u8], at: u64, proof: &mut Proof) {
        let mut next = 0;
        while next < bytes.len() {
            let rest = bytes.get(next..).unwrap_or_default();
            if let Some(len) = self.whole_clump(rest) {
                proof.right += 1;
                next += len;
                continue;
            }
            let skip = (1..rest.len()).find(|&skip| {
                self.whole_clump(rest.get(skip..).unwrap_or_default())
                    .is_some()
            });
            let end = next + skip.unwrap_or(rest.len());
            if !self.is_as_in_source(bytes, next..end, at) {
                proof.damaged += 1;
                proof.tell(format!(
                    "{object} is damaged at {:#x} of the log: remove it, and the next run writes it again",
                    at + next as u64
                ));
            }
            next = end;
        }
    }

    /// Bytes of the clump at the start of these, if it hashes to its score.
    fn whole_clump(&self, bytes: &[u8]) -> Option<usize> {
        if !bytes.starts_with(&self.arena.clump_magic.to_be_bytes()) {
            return None;
        }
        let header = ClumpHeader::parse(bytes, self.arena.clump_magic).ok()?;
        let len = HEADER_LEN + usize::from(header.size);
        header.block(bytes.get(HEADER_LEN..len)?).ok()?;
        Some(len)
    }

    /// Whether a stretch that does not hash right is the same in the source.
    fn is_as_in_source(&self, bytes: &[u8], range: Range<usize>, at: u64) -> bool {
        let start = at + range.start as u64;
        let Some(found) = bytes.get(range) else {
            return false;
        };
        let mut expected = vec![0; found.len()];
        let read = self
            .source
            .read_at(&mut expected, self.arena.base() + start);
        read.is_ok() && expected == found
    }
}

/// Whether an error says nothing of the object that was asked for.
fn is_of_the_store(error: &io::Error) -> bool {
    super::may_pass(error) || error.kind() == io::ErrorKind::PermissionDenied
}
