//! Adds to the log of an arena in a replica.

use std::io;
use std::sync::Arc;

use super::ObjectStore;
use super::chain::{Chain, Segment};
use super::source::head_of;
use crate::codec::replica::{ArenaFolder, LONGEST, ObjectName};
use crate::source::{Arena, ReadAt};
use crate::text::in_lower_case;

/// What follows the log of a sealed arena is stored up to this size, in bytes: its directory,
/// its trailer, and what was too little for another clump.
const LONGEST_END: u64 = 64 << 20;

/// Bytes of an object that are read at once to be compared.
const CHUNK: u64 = 1 << 20;

/// What became of a stretch of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It goes into the next object.
    New,
    /// It is there already, the same.
    Present,
    /// Other bytes are there, where the source is damaged.
    Other,
}

/// Adds to the logs of arenas, one arena after the other.
pub struct ReplicaWriter {
    store: Arc<dyn ObjectStore>,
    open: Option<OpenArena>,
    /// What the next object will hold.
    buffer: Vec<u8>,
    /// What was read last of an object.
    read: Option<Chunk>,
}

/// The arena that is written.
struct OpenArena {
    folder: ArenaFolder,
    chain: Chain,
    /// Where the log goes on: everything before is there or in the buffer.
    at: u64,
}

struct Chunk {
    of: Segment,
    /// From where on, in the log.
    at: u64,
    bytes: Vec<u8>,
}

/// The folder of an arena.
pub(super) fn folder_of(arena: &Arena) -> ArenaFolder {
    ArenaFolder {
        name: arena.name.clone(),
        magic: arena.clump_magic,
    }
}

impl ReplicaWriter {
    /// For a store whose marker was seen.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        ReplicaWriter {
            store,
            open: None,
            buffer: Vec::new(),
            read: None,
        }
    }

    /// The store it writes to.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Where the log of this arena goes on, if it is the one that is written.
    #[must_use]
    pub fn at(&self, arena: &Arena) -> Option<u64> {
        let open = self.open.as_ref()?;
        (open.folder == folder_of(arena)).then_some(open.at)
    }

    /// Goes on with this arena from a byte of its log on. Its head is put there, where it
    /// is not there yet.
    ///
    /// # Errors
    /// Of the store or the source; another head is there.
    pub fn enter(&mut self, source: &dyn ReadAt, arena: &Arena, at: u64) -> io::Result<()> {
        self.flush()?;
        let folder = folder_of(arena);
        let mut head = vec![0; arena.block_size as usize];
        source.read_at(&mut head, arena.head)?;
        let chain = Chain::of(self.store.list(&folder)?);
        let object = folder.object(ObjectName::Head);
        if chain.head.is_some() {
            let mut found = vec![0; head.len()];
            self.store.read(&object, &mut found, 0)?;
            if found != head {
                return Err(other_bytes(&object));
            }
        } else {
            self.refuse_mixture(&folder, &head)?;
            put(self.store.as_ref(), &object, &head)?;
        }
        if chain.reaches() < at {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "{folder}: its log ends at {:#x} there, and cannot go on at {at:#x}",
                    chain.reaches()
                ),
            ));
        }
        self.read = None;
        self.open = Some(OpenArena { folder, chain, at });
        Ok(())
    }

    /// Refuses an arena that nobody could read beside the others: one of the same name is
    /// there, or they have blocks of another size.
    fn refuse_mixture(&self, folder: &ArenaFolder, head: &[u8]) -> io::Result<()> {
        let refused = |what: &str| {
            let text = format!("{folder}: {what}: use another replica for this source");
            Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
        };
        let folders = self.store.folders()?;
        let others = || folders.iter().filter(|other| *other != folder);
        if others().any(|other| other.name == folder.name) {
            return refused(
                "an arena of the same name and another source, or another format, is there",
            );
        }
        let other = others().find_map(|other| head_of(self.store.as_ref(), other).ok());
        match other.is_some_and(|other| other.block_size as usize != head.len()) {
            true => refused("the other arenas that are there have blocks of another size"),
            false => Ok(()),
        }
    }

    /// The next bytes of the log, a clump or what stands in its place. Where the replica
    /// has this stretch, it is compared; a difference is an error where the source's is
    /// whole.
    ///
    /// # Errors
    /// Of the store; [`io::ErrorKind::AlreadyExists`] where other bytes are there.
    pub fn append(&mut self, stretch: &[u8], is_whole: bool) -> io::Result<Appended> {
        let Some(open) = &self.open else {
            return Err(io::Error::other("no arena was entered"));
        };
        let (at, end) = (open.at, open.at + stretch.len() as u64);
        let has = open.chain.reaches_from(at) >= end;
        let is_long = self.buffer.len() as u64 + stretch.len() as u64 > LONGEST;
        if has || is_long {
            self.flush()?;
        }
        let appended = match has {
            true => self.compare(at, stretch, is_whole)?,
            false => {
                self.buffer.extend_from_slice(stretch);
                Appended::New
            }
        };
        if let Some(open) = &mut self.open {
            open.at = end;
        }
        Ok(appended)
    }

    fn compare(&mut self, at: u64, stretch: &[u8], is_whole: bool) -> io::Result<Appended> {
        let mut same = true;
        let (mut at, mut rest) = (at, stretch);
        while !rest.is_empty() {
            let (object, found) = self.there(at)?;
            let len = found.len().min(rest.len());
            let (now, after) = rest.split_at(len);
            if found.get(..len) != Some(now) {
                if is_whole {
                    return Err(other_bytes(&object));
                }
                same = false;
            }
            rest = after;
            at += len as u64;
        }
        Ok(if same {
            Appended::Present
        } else {
            Appended::Other
        })
    }

    /// What the replica has at a byte of the log, and in which object.
    fn there(&mut self, at: u64) -> io::Result<(String, &[u8])> {
        let open = self.open.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let of = open.chain.at(at).ok_or(io::ErrorKind::NotFound)?;
        let object = open.folder.object(of.object());
        let has = |chunk: &Chunk| {
            chunk.of == of && chunk.at <= at && at < chunk.at + chunk.bytes.len() as u64
        };
        if !self.read.as_ref().is_some_and(has) {
            let len = (of.to - at).min(CHUNK);
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            self.store.read(&object, &mut bytes, at - of.from)?;
            self.read = Some(Chunk { of, at, bytes });
        }
        let chunk = self.read.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let skip = usize::try_from(at - chunk.at).unwrap_or(0);
        Ok((object, chunk.bytes.get(skip..).unwrap_or_default()))
    }

    /// Puts into the replica what was appended: afterwards it is there for good.
    ///
    /// # Errors
    /// Of the store. What was appended is kept, to be put again.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|_| !self.buffer.is_empty()) else {
            return Ok(());
        };
        let of = Segment {
            from: open.at - self.buffer.len() as u64,
            to: open.at,
        };
        let object = open.folder.object(of.object());
        put(self.store.as_ref(), &object, &self.buffer)?;
        open.chain.add(of);
        self.buffer.clear();
        Ok(())
    }

    /// Puts the end of a sealed arena there, if its log is there whole and the end is
    /// final: its server has computed the seal.
    ///
    /// # Errors
    /// Of the store or the source.
    pub fn seal(&mut self, source: &dyn ReadAt, arena: &Arena) -> io::Result<()> {
        if !is_final(source, arena) {
            return Ok(());
        }
        self.flush()?;
        let folder = folder_of(arena);
        let listed;
        let chain = match &self.open {
            Some(open) if open.folder == folder => &open.chain,
            _ => {
                listed = Chain::of(self.store.list(&folder)?);
                &listed
            }
        };
        put_end(self.store.as_ref(), chain, source, arena)
    }

    /// Whether the replica has the end of an arena.
    ///
    /// # Errors
    /// It cannot be listed.
    pub fn has_end(&self, arena: &Arena) -> io::Result<bool> {
        Ok(Chain::of(self.store.list(&folder_of(arena))?).end.is_some())
    }
}

/// Puts the end of an arena there, if that is final, and the replica has the whole log and
/// no end.
///
/// # Errors
/// Of the store or the source.
pub(super) fn put_end(
    store: &dyn ObjectStore,
    chain: &Chain,
    source: &dyn ReadAt,
    arena: &Arena,
) -> io::Result<()> {
    let is_due = chain.end.is_none() && chain.reaches() >= arena.live.used;
    if !is_due || !is_final(source, arena) {
        return Ok(());
    }
    let end = end_of(source, arena)?;
    put(store, &folder_of(arena).object(ObjectName::End), &end)
}

/// What follows the log of an arena that is final.
pub(super) fn end_of(source: &dyn ReadAt, arena: &Arena) -> io::Result<Vec<u8>> {
    let mut end = vec![0; usize::try_from(end_len(arena)).unwrap_or(0)];
    source.read_at(&mut end, arena.base() + arena.live.used)?;
    Ok(end)
}

/// Bytes from the end of the log to the end of the arena.
fn end_len(arena: &Arena) -> u64 {
    let data = arena.size.saturating_sub(arena.live.used);
    data + u64::from(arena.block_size)
}

/// Whether nothing of an arena will change any more.
pub(super) fn is_final(source: &dyn ReadAt, arena: &Arena) -> bool {
    arena.sealed && end_len(arena) <= LONGEST_END && arena.seal_score(source).is_some()
}

/// Stores an object; errors name it.
fn put(store: &dyn ObjectStore, object: &str, bytes: &[u8]) -> io::Result<()> {
    store
        .put(object, bytes)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => other_bytes(object),
            kind => io::Error::new(kind, format!("{object}: {}", in_lower_case(&error))),
        })
}

pub(super) fn other_bytes(object: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!(
            "object {object} has other bytes than the source: if the source was set back, it may be the only copy of what was archived since, so keep this replica and begin another in an empty place; if the object is damaged, which --verify tells, move it away, and the next run writes it again"
        ),
    )
}
