//! What is believed of a target in a partition, by its line and the wrcmd.

use eyre::Result;

use super::doubt::Doubt;
use super::hint::Hint;
use super::{Clumps, Cursor, Known, PartitionView, Start};
use crate::codec::target::TargetName;
use crate::codec::wrcmds::Progress;

/// What is believed of a target in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Belief {
    /// Everything before this it has.
    pub(super) at: Cursor,
    /// What lies between it may have.
    probe_to: Option<Cursor>,
    remarks: Vec<String>,
    /// The source no longer has the place of the line.
    pub(super) is_gone: bool,
    /// The line is a hint: nothing says that the target acknowledged its place.
    pub(super) is_hint: bool,
}

impl Belief {
    /// By its line if it has one, and by the place of the wrcmd, `hint`.
    pub(super) fn of(
        known: &Known,
        partition: &PartitionView,
        target: &TargetName,
        hint: Option<&Hint>,
        source: &dyn Clumps,
    ) -> Result<Belief> {
        let is_host = known.host == Some(target);
        let Some(line) = known.wrcmds.get(target, &partition.name) else {
            let hint = hint.map(|hint| hint.at);
            return Ok(Self::without_line(known, partition, hint, is_host));
        };
        let believed = Self::of_line(&line, partition, known.trust, source)?;
        Ok(match hint {
            Some(wrcmd) if is_host && wrcmd.is_ours => believed.up_to(wrcmd.at),
            Some(wrcmd) if is_host => Self::with_both(partition, target, believed, wrcmd.at),
            _ => believed,
        })
    }

    fn without_line(
        known: &Known,
        partition: &PartitionView,
        hint: Option<Cursor>,
        is_host: bool,
    ) -> Belief {
        match hint {
            Some(at) if known.trust => Belief::exact(at),
            // At the very start, a wrcmd says nothing about what is there.
            Some(at) if is_host && at > Cursor::START => Belief::probed(Cursor::START, at),
            _ => Belief::probed(Cursor::START, partition.end()),
        }
    }

    /// What a line is worth, by what the source holds now.
    pub(super) fn of_line(
        line: &Progress,
        partition: &PartitionView,
        trust: bool,
        source: &dyn Clumps,
    ) -> Result<Belief> {
        let Progress { target, head, .. } = line;
        let Some((index, arena)) = partition.find(*head) else {
            let probed = Belief::probed(Cursor::START, partition.end());
            return Ok(probed.gone(true).because(format!(
                "the place of {target} is in an arena at {head}, but no arena is there: probed from the first arena on"
            )));
        };
        let at = Cursor::new(index, line.offset);
        let bare = line.arena.is_none() && line.magic.is_none() && line.last.is_none();
        let doubt = Doubt::of(line, partition, arena, source)?;
        if bare && doubt.is_none_or(|doubt| doubt == Doubt::Unknown) {
            return Ok(Self::of_bare_line(target, at, trust));
        }
        let earlier_stand = index == 0 || line.before == Some(partition.fingerprint(index));
        if (doubt, earlier_stand) == (None, false)
            && let Some(from) = partition.filled_from(line, index, source)?
        {
            return Ok(Belief::probed(from, at));
        }
        Ok(match (doubt, earlier_stand) {
            (None, true) => Belief::exact(at),
            (None, false) => Belief::probed(Cursor::START, at).because(format!(
                "the arenas before {} are not as {target} acknowledged them: \
                 probed from the first arena on",
                arena.name
            )),
            (Some(doubt), stand) => {
                let from = Cursor::new(if stand { index } else { 0 }, 0);
                let told = doubt.told(line, arena);
                let probed = Belief::probed(from, Cursor::end_of(index));
                probed.gone(doubt != Doubt::Unknown).because(format!(
                    "{told}: {target} is probed from the start of the {} on",
                    if stand { "arena" } else { "partition" }
                ))
            }
        })
    }

    fn of_bare_line(target: &TargetName, at: Cursor, trust: bool) -> Belief {
        if trust {
            return Belief::exact(at);
        }
        let probed = Belief {
            is_hint: true,
            ..Belief::probed(Cursor::START, at)
        };
        probed.because(format!(
            "the line of {target} has no `# place` comment to check it by: \
             probed from the first arena on (--trust uses it without a check)"
        ))
    }

    /// The earlier of the two places; what lies between them is probed.
    fn with_both(
        partition: &PartitionView,
        target: &TargetName,
        line: Belief,
        wrcmd: Cursor,
    ) -> Belief {
        let acknowledged = line.probe_to.unwrap_or(line.at).max(line.at);
        let (place, command) = (partition.shown(line.at), partition.shown(wrcmd));
        let between = |from, to| partition.nothing_between(from, to);
        if wrcmd < line.at && !between(wrcmd, line.at) {
            let remarks = line.remarks;
            let belief = Belief::probed(wrcmd, acknowledged);
            return Belief { remarks, ..belief }.because(format!(
                "wrcmd ({command}) was set back behind what {target} has acknowledged ({place}): \
                                  the run starts at the wrcmd, and probes what lies between"
            ));
        }
        if wrcmd > acknowledged && !between(acknowledged, wrcmd) {
            let remarks = line.remarks;
            let belief = Belief::probed(line.at, wrcmd);
            return Belief { remarks, ..belief }.because(format!(
                "wrcmd ({command}) is ahead of what {target} has acknowledged ({place}): \
                 a script ran meanwhile, or it was edited; what lies between is probed"
            ));
        }
        line
    }

    /// With a wrcmd that stands where we left it: it is not a reason to start
    /// elsewhere, but up to there the target had everything once.
    fn up_to(mut self, wrcmd: Cursor) -> Self {
        let probe_to = self.probe_to.unwrap_or(self.at).max(wrcmd);
        self.probe_to = (self.at < probe_to).then_some(probe_to);
        self
    }

    fn exact(at: Cursor) -> Self {
        Belief {
            at,
            probe_to: None,
            remarks: Vec::new(),
            is_gone: false,
            is_hint: false,
        }
    }

    fn probed(at: Cursor, to: Cursor) -> Self {
        Belief {
            at,
            probe_to: (at < to).then_some(to),
            remarks: Vec::new(),
            is_gone: false,
            is_hint: false,
        }
    }

    fn gone(mut self, is_gone: bool) -> Self {
        self.is_gone = is_gone;
        self
    }

    fn because(mut self, remark: String) -> Self {
        self.remarks.push(remark);
        self
    }

    /// Where the target starts with that.
    pub(super) fn start(
        self,
        target: &TargetName,
        index: usize,
        partition: &PartitionView,
    ) -> Start {
        let at = partition.next_place(self.at);
        Start {
            target: target.clone(),
            partition: index,
            at,
            probe_to: self.probe_to.filter(|&to| at < to),
            remarks: self.remarks_in(partition),
        }
    }

    /// What has to be said, with the partition before it.
    pub(super) fn remarks_in(&self, partition: &PartitionView) -> Vec<String> {
        let name = &partition.name;
        self.remarks
            .iter()
            .map(|r| format!("{name}: {r}"))
            .collect()
    }
}

/// How far a line is believed: everything before this point the target has
/// acknowledged, and the source holds it still.
///
/// # Errors
/// The source could not be read.
pub fn believed(
    line: &Progress,
    partition: &PartitionView,
    trust: bool,
    source: &dyn Clumps,
) -> Result<Cursor> {
    Ok(Belief::of_line(line, partition, trust, source)?.at)
}
