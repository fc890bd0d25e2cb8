//! Where each target starts, and what the next wrcmd is: rules, without I/O.
//!
//! What a target is known to have comes from two files. Its line in `wrcmds`
//! is a place it has acknowledged; it is believed as long as the source
//! still holds, before it, what it held then. The `wrcmd` is shared with scripts that move on past
//! failures, so for a target without a line it is a hint, which costs probes
//! ([`Start::probe_to`]) and never a block.
//!
//! | known of a target in a partition | it starts | it is probed up to |
//! |---|---|---|
//! | nothing | at the first arena | the end |
//! | the wrcmd, for its own host | at the first arena | the wrcmd's place |
//! | the wrcmd, with `trust` | at the wrcmd's place | - |
//! | its line | at the line's place | - |
//! | both, wrcmd ahead | at the line's place | the wrcmd's place |
//! | both, wrcmd behind (edited by hand) | at the wrcmd's place | the line's place |
//! | both, wrcmd behind, where we left it | at the line's place | - |
//! | a line and nothing to check it by | as with a wrcmd: it is a hint | the line's place |
//! | its line; the clump before the place, the arena's name or magic differ | at that arena's start | that arena's end |
//! | its line; arenas before the place were filled while that run lasted | where the log ended when it began | the place |
//! | its line; an arena before the place differs | at the first arena | the place |
//! | its line; no arena where it says | at the first arena | the end |
//!
//! Formatting a partition again, or filling it again from a lost tail, can
//! change the arenas *before* a place too, and version 4 arenas keep their magic
//! when it happens. So a line carries a fingerprint of them
//! ([`PartitionView::fingerprint`]); a line without it, or with another one, proves nothing.

mod arena;
mod behind;
mod belief;
mod command;
mod doubt;
mod hint;
mod partition;
mod place;
mod source;

use eyre::Result;

pub use arena::ArenaView;
pub use behind::{Behind, behind};
pub use belief::believed;
pub use command::{build_wrcmd, final_wrcmd, wrcmd_place};
pub use partition::PartitionView;
pub use place::Cursor;
pub use source::Clumps;

use crate::codec::target::TargetName;
use crate::codec::wrcmd::WrCmd;
use crate::codec::wrcmds::Wrcmds;
use belief::Belief;
use hint::HintOutcome;

/// What is known before a run.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The partitions to read, in the order of the index.
    pub partitions: &'a [PartitionView],
    /// The wrcmd as it was found; `None` where it was only just built.
    pub wrcmd: Option<&'a WrCmd>,
    /// The wrcmd's own host.
    pub host: Option<&'a TargetName>,
    /// The contents of `wrcmds`.
    pub wrcmds: &'a Wrcmds,
    /// Who is to be brought up to date.
    pub targets: &'a [TargetName],
    /// `--trust`: a hint is believed.
    pub trust: bool,
}

/// Where a target starts in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The target.
    pub target: TargetName,
    /// The partition's index in [`Known::partitions`].
    pub partition: usize,
    /// From here on.
    pub at: Cursor,
    /// What lies before this is probably there already: it is probed, and
    /// what is missing is sent. What lies after it is sent.
    pub probe_to: Option<Cursor>,
    /// What has to be said, `PARTITION: ...`.
    pub remarks: Vec<String>,
}

/// Where each target starts in each partition, partition by partition.
///
/// A wrcmd that names none of the partitions says nothing of them, nor does one
/// of ours that names what the source no longer holds.
///
/// # Errors
/// The source could not be read, or the place of a wrcmd that is not ours is
/// none: no arena at its `-o`, or its clump offset past the log or inside a clump.
pub fn starts(known: &Known, source: &dyn Clumps) -> Result<Vec<Start>> {
    let mut starts = Vec::new();
    for (index, partition) in known.partitions.iter().enumerate() {
        let heard = HintOutcome::of(known, partition, source)?;
        let first = starts.len();
        for target in known.targets {
            let belief = Belief::of(known, partition, target, heard.hint(), source)?;
            starts.push(belief.start(target, index, partition));
        }
        say_outdated(
            &heard,
            partition,
            starts.get_mut(first..).unwrap_or_default(),
        );
    }
    Ok(starts)
}

/// A wrcmd of ours that names nothing any more is said, unless a line says so.
fn say_outdated(heard: &HintOutcome, partition: &PartitionView, starts: &mut [Start]) {
    if let (HintOutcome::Outdated(why), Some(first)) = (heard, starts.first())
        && starts.iter().all(|start| start.remarks.is_empty())
    {
        let remark = format!("{}: {why}", partition.name);
        let target = first.target.clone();
        let mut of_first = starts.iter_mut().filter(|start| start.target == target);
        of_first
            .next()
            .into_iter()
            .for_each(|start| start.remarks.push(remark.clone()));
    }
}

#[cfg(test)]
mod tests;
