//! Replication: from the arenas of a source to targets.
//!
//! Targets that start at the same place form a group: one thread walks the
//! logs for them, all cores decompress and hash, and the blocks go in order to
//! every target of the group, so every clump is read and decoded once whatever
//! their number. A target that is slower than the others, or was lost and can
//! be reached again, goes on in a group of its own from the last place it has
//! acknowledged. A fixed number of batches circulates in each group, and the number
//! of groups at a time is limited, so memory depends neither on the size of
//! the arenas nor on the number of targets.
//!
//! A place counts as reached only after the target has acknowledged a sync
//! that followed the writes before it ([`Event::Acknowledged`]).

mod batch;
mod collect;
mod feed;
mod note;
mod pipeline;
mod recipient;
mod schedule;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::arena::Name;
use crate::codec::arena::clump::ClumpError;
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::codec::target::TargetName;
use crate::copy::cursor::Cursor;
use crate::net::client;
use crate::source::{Arena, ReadAt};

pub use recipient::{Recipient, TargetAccess};
pub use schedule::{Look, run};

/// What to copy.
pub struct CopyJob {
    /// The partition or file the arenas lie in.
    pub source: Arc<dyn ReadAt>,
    /// The arenas, in the order in which they are to be copied.
    pub arenas: Vec<Arena>,
    /// Go on to the next arena even from one that can still grow. Without
    /// this or a sync, what it may yet get would be left behind.
    pub cross: bool,
    /// The source's server acknowledged a sync before the arenas were read.
    pub synced: bool,
    /// Stop after this many clumps.
    pub max_clumps: Option<u64>,
    /// Tell of every block ([`Event::Block`]).
    pub tell_blocks: bool,
}

impl CopyJob {
    /// Whether a target that is at the end of an arena's log may go on to the
    /// next arena.
    #[must_use]
    pub fn may_leave(&self, arena: &Arena) -> bool {
        self.cross || self.synced || arena.sealed
    }

    /// Bytes of log from a place to the end, by the trailers.
    #[must_use]
    pub fn bytes_from(&self, at: Cursor) -> u64 {
        let rest = self.arenas.iter().enumerate().skip(at.arena);
        rest.map(|(number, arena)| match number == at.arena {
            true => arena.live.used.saturating_sub(at.offset),
            false => arena.live.used,
        })
        .sum()
    }
}

/// A place, and the clump that ends there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReachedPlace {
    /// The place.
    pub at: Cursor,
    /// The score that header or directory give for the clump before it.
    pub last: Option<Score>,
}

/// Where a target starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendFrom {
    /// The place.
    pub from: Cursor,
    /// Before this place the target may have blocks already: it is probed,
    /// and only what it lacks is sent.
    pub probe_to: Cursor,
    /// Blocks that it could not give back. If it claims to have one of them
    /// all the same, its answers do not tell, and everything is sent.
    pub lacks: Vec<(Score, BlockType)>,
}

/// One target's part in a job.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Which of the jobs.
    pub job: usize,
    /// The target; none to read, verify and count only.
    pub target: Option<TargetName>,
    /// Nothing is on record of it: a replica may be made.
    pub is_new: bool,
    /// Where it starts, unless a look at it shows otherwise.
    pub start: SendFrom,
    /// The seat that must have come to its end before: the same target's in
    /// the job before.
    pub after: Option<usize>,
}

/// How to deal with targets.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How often a target lost in the middle is dialled again without having
    /// acknowledged anything in between.
    pub retries: u32,
    /// How long to wait before the first of them; twice as long before each
    /// further one.
    pub backoff: Duration,
    /// Ask targets what they have already, at first and as long as that pays.
    pub probe: bool,
    /// Bytes of blocks a second that each target is sent at most.
    pub rate: Option<u64>,
    /// How much goes to a target between two syncs.
    pub checkpoint: Checkpoint,
    /// How many places of damage are told of ([`Event::Damage`]); the rest is
    /// counted.
    pub told: usize,
}

/// Places of damage that a run tells of one by one; the rest is counted.
pub const TOLD: usize = 256;

/// When targets are asked to sync in the middle.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    /// After this many bytes of log.
    pub bytes: u64,
    /// After this much time.
    pub time: Duration,
}

impl Checkpoint {
    /// Only at the end.
    pub const NEVER: Checkpoint = Checkpoint {
        bytes: u64::MAX,
        time: Duration::MAX,
    };
}

impl Default for Checkpoint {
    fn default() -> Self {
        Checkpoint {
            bytes: 64 << 20,
            time: Duration::from_secs(30),
        }
    }
}

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum Event<'a, F = ()> {
    /// A target is connected and was looked at; it will start here.
    Found {
        /// The target's seat.
        seat: usize,
        /// What the look at it found.
        found: F,
        /// Where it starts: to be changed where what was found says so.
        start: &'a mut SendFrom,
    },
    /// A block was read and verified, and is on its way.
    Block(Score),
    /// A group has come further.
    Progress {
        /// The seats of its targets.
        seats: &'a [usize],
        /// Everything before this place was handed to them.
        at: Cursor,
        /// Clumps that were decompressed and hashed since the last such event.
        decoded: u64,
    },
    /// The source is damaged here. Told once for each place, of the first
    /// [`Manner::told`] of them.
    Damage(&'a SourceDamage),
    /// A target has acknowledged a sync of everything before a place, save
    /// this damage since it last did.
    Acknowledged {
        /// The target's seat.
        seat: usize,
        /// The place.
        place: ReachedPlace,
        /// What lies before it and could not be sent.
        damage: &'a [SourceDamage],
        /// What lies before it, is damaged in the source, and was given back by
        /// the target.
        there: &'a [SourceDamage],
    },
    /// A target failed and is dialled again after this time.
    Retry {
        /// The target's seat.
        seat: usize,
        /// Why it failed.
        error: &'a client::ClientError,
        /// How long from now.
        after: Duration,
    },
    /// A target failed; the others go on.
    Lost {
        /// The target's seat.
        seat: usize,
        /// Why it failed.
        error: &'a client::ClientError,
    },
}

/// Something in the source that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDamage {
    /// Where: the arena's number in the job, and the offset.
    pub at: Cursor,
    /// The arena's name.
    pub arena: Name,
    /// Bytes of the log it takes up.
    pub len: u64,
    /// How many clumps it was by the directory; 1 where that does not tell.
    pub clumps: u64,
    /// The score of the block, where it is known.
    pub score: Option<Score>,
    /// Its type, where it is known.
    pub block_type: Option<BlockType>,
    /// What is wrong.
    pub why: String,
    /// No block was lost: header or directory entry are damaged, the block
    /// hashes to its score and was sent.
    pub block_is_whole: bool,
}

impl fmt::Display for SourceDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.at.offset;
        match self.clumps {
            0 | 1 => write!(f, "arena {} clump {from:#x}", self.arena)?,
            clumps => write!(
                f,
                "arena {} {clumps} clumps from {from:#x} to {:#x}, the first",
                self.arena,
                from.saturating_add(self.len)
            )?,
        }
        if let Some(score) = self.score {
            write!(f, " score {score}")?;
        }
        write!(f, ": {}", self.why)?;
        if self.block_is_whole {
            f.write_str("; the block itself is whole and was sent")?;
        }
        Ok(())
    }
}

/// Counts of what a target was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Blocks sent.
    pub sent: u64,
    /// Bytes of those blocks, uncompressed.
    pub bytes: u64,
    /// Bytes that their clumps take up in the source's log.
    pub log_bytes: u64,
    /// Blocks it had already.
    pub present: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.bytes += other.bytes;
        self.log_bytes += other.log_bytes;
        self.present += other.present;
    }
}

/// Why a target did not get everything.
#[derive(Debug)]
pub enum Trouble {
    /// The target failed.
    Target(client::ClientError),
    /// Its place is not one.
    Start(ClumpError),
    /// It failed in the job before, and was not tried in this one.
    NotTried,
}

/// How a run ended for one target.
#[derive(Debug, Default)]
pub struct TargetOutcome {
    /// The last place it has acknowledged in this run; none when nothing was
    /// new, or nothing was acknowledged.
    pub place: Option<ReachedPlace>,
    /// What it was given.
    pub tally: Tally,
    /// Clumps that are damaged in the source and that it does not have.
    pub lost: u64,
    /// Clumps that are damaged in the source and that it gave back.
    pub there: u64,
    /// Clumps whose header or directory entry is damaged; it has their blocks.
    pub odd: u64,
    /// Clumps that trailers count but that are not on disk yet: its place is
    /// before the first of them.
    pub late: Option<SourceDamage>,
    /// Why it did not come to the end.
    pub trouble: Option<Trouble>,
    /// From its first connection to its end.
    pub took: Duration,
}
