//! What the threads of a run hand to each other.

use crate::copy::cursor::Cursor;
use std::collections::HashSet;

use super::recipient::Recipient;
use super::{ReachedPlace, SendFrom, SourceDamage, Tally};
use crate::codec::arena::clump::ClumpError;
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::net::client;

/// A target in a group.
pub(super) struct Member {
    /// Its seat in the run.
    pub(super) seat: usize,
    /// Who it is; none to count only.
    pub(super) recipient: Option<Recipient>,
    /// Where it starts.
    pub(super) start: SendFrom,
    /// Its answers to probes have not been found useless.
    pub(super) believable: bool,
}

/// What the threads of a run tell the one that keeps the books.
pub(super) enum Report {
    Block(Score),
    Progress(Walked),
    Damage(usize, Vec<SourceDamage>, Vec<usize>),
    /// A target gave back the blocks of damaged clumps at these places.
    There(usize, HashSet<Cursor>),
    Late(SourceDamage, Vec<usize>),
    Start(ClumpError, Vec<usize>),
    Acknowledged(usize, ReachedPlace),
    Ended(usize, Departure),
    /// One walk over the source has come to its end.
    WalkEnded,
}

/// How far a group has come.
pub(super) struct Walked {
    /// The seats it still serves.
    pub(super) seats: Vec<usize>,
    /// Everything before this place was handed to them.
    pub(super) at: Cursor,
    /// Clumps that were decoded for the last batch.
    pub(super) decoded: u64,
}

/// How a target left its group.
pub(super) struct Departure {
    pub(super) tally: Tally,
    /// What it lacks and was not yet probed for.
    pub(super) lacks: Vec<(Score, BlockType)>,
    /// Its answers to probes have not been found useless.
    pub(super) believable: bool,
    pub(super) how: How,
}

pub(super) enum How {
    /// It was given everything, and acknowledged it.
    Current,
    /// It was slower than the others, and acknowledged what it was given.
    Behind,
    /// It broke the protocol when it was probed, which it will not be again.
    Nonsense,
    /// It failed.
    Failed(client::ClientError),
}
