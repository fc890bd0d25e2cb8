//! How far a line is behind the source.

use eyre::Result;

use super::belief::Belief;
use super::{ArenaView, Clumps, Cursor, PartitionView};
use crate::codec::wrcmds::{Progress, Wrcmds};

/// How far a line is behind the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The line.
    pub place: Progress,
    /// Clumps the target lacks or may lack; `None` where that is not known.
    pub clumps: Option<u64>,
    /// Bytes of log the target lacks or may lack; `None` where the partition was not
    /// read, or nothing says that the target acknowledged the place of the line.
    pub bytes: Option<u64>,
    /// From here on it lacks, or may lack, what the source has; `None` as for `bytes`.
    pub from: Option<Cursor>,
    /// What has to be said, `PARTITION: ...`.
    pub remarks: Vec<String>,
    /// The source no longer has this place.
    pub is_gone: bool,
}

/// How far each line is behind what the arenas hold by their trailers.
///
/// A place that is not believed is as far behind as what would be probed.
///
/// # Errors
/// The source could not be read.
pub fn behind(
    wrcmds: &Wrcmds,
    partitions: &[PartitionView],
    source: &dyn Clumps,
) -> Result<Vec<Behind>> {
    let lines = wrcmds.places();
    lines
        .map(|place| {
            let partition = partitions.iter().find(|p| p.name == place.partition);
            match partition {
                Some(partition) => behind_in(place, partition, source),
                None => Ok(Behind {
                    remarks: vec![format!("{}: was not read", place.partition)],
                    place,
                    clumps: None,
                    bytes: None,
                    from: None,
                    is_gone: false,
                }),
            }
        })
        .collect()
}

fn behind_in(place: Progress, partition: &PartitionView, source: &dyn Clumps) -> Result<Behind> {
    let belief = Belief::of_line(&place, partition, false, source)?;
    let lacks = match belief.is_hint {
        true => (None, None),
        false => after(belief.at, partition, source)?,
    };
    Ok(Behind {
        is_gone: belief.is_gone,
        from: (!belief.is_hint).then_some(belief.at),
        remarks: belief.remarks_in(partition),
        place,
        clumps: lacks.0,
        bytes: lacks.1,
    })
}

/// Clumps and bytes of log after a point.
fn after(
    at: Cursor,
    partition: &PartitionView,
    source: &dyn Clumps,
) -> Result<(Option<u64>, Option<u64>)> {
    let Cursor { arena, offset } = at;
    let mut bytes = 0_u64;
    let mut clumps = Some(0_u64);
    for (index, found) in partition.arenas.iter().enumerate().skip(arena) {
        let from = if index == arena { offset } else { 0 };
        bytes = bytes.saturating_add(found.used.saturating_sub(from));
        let lacking = clumps_from(partition, found, from, source)?;
        clumps = clumps.zip(lacking).map(|(a, b)| a.saturating_add(b));
    }
    Ok((clumps, Some(bytes)))
}

fn clumps_from(
    partition: &PartitionView,
    arena: &ArenaView,
    from: u64,
    source: &dyn Clumps,
) -> Result<Option<u64>> {
    match from {
        _ if arena.uncounted => Ok(None),
        0 => Ok(Some(arena.clumps)),
        from if from >= arena.used => Ok(Some(0)),
        from => source.clumps_from(&partition.name, arena.head, from),
    }
}
