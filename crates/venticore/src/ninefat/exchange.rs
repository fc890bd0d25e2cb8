//! What goes from the 9fat to the state directory, and what goes back.
//!
//! `wrcmd` is taken from the image where it changed there since both were last
//! the same. That is safe even where it is the wrong one: any wrcmd is but a
//! hint, and what it would skip is asked for (see [`crate::copy::cursor`]). `rootscor`
//! is a log on both sides: entries are added to the one on the image, and
//! none is taken away from either.

use eyre::{Result, WrapErr};

use super::memory::{Memory, fingerprint};
use super::{Image, NinefatError, ROOTSCOR, WRCMD};
use crate::codec::operand::Operand;
use crate::codec::wrcmd::WrCmd;
use crate::config::NineFat;
use crate::host::holders::Sight;
use crate::host::terminal::Terminal;
use crate::state::{self, StateDir};
use crate::status::Status;

/// The most bytes of a rootscor: some hundred thousand entries.
const LOG_MAX: usize = 16 << 20;

/// The name under which a wrcmd is kept that another replaces.
const KEPT: &str = "wrcmd.kept";

/// A run that has looked at the image, and will bring back what is new.
#[derive(Debug)]
pub struct ImageVisit {
    nine_fat: NineFat,
    state: StateDir,
    /// Whether the wrcmd is exchanged, and anything is written.
    wrcmd: bool,
    write: bool,
    /// The wrcmd that was there.
    seen: Option<Vec<u8>>,
    /// The one to go by where it is not ours.
    newer: Option<Vec<u8>>,
}

impl ImageVisit {
    /// The wrcmd on the image, where it is to be obeyed in place of ours. It is
    /// in the state directory already, unless the run writes nothing.
    #[must_use]
    pub fn newer_wrcmd(&self) -> Option<&[u8]> {
        self.newer.as_deref()
    }
}

/// Makes sure that there is a file system that could be used.
///
/// # Errors
/// It is not there, not sound, or in use.
pub fn check(nine_fat: &NineFat) -> Result<(), NinefatError> {
    Image::open(&nine_fat.image, false)?.fat().map(|_| ())
}

/// Begins a run, which holds the lock of the state directory: takes over the wrcmd
/// of the image where that is newer.
///
/// # Errors
/// The image cannot be used, its wrcmd is none, or the state cannot be written.
pub fn arrive(
    state: &StateDir,
    nine_fat: &NineFat,
    write: bool,
    terminal: &Terminal,
) -> Result<ImageVisit, NinefatError> {
    let mut visit = ImageVisit {
        nine_fat: nine_fat.clone(),
        state: state.clone(),
        wrcmd: true,
        write,
        seen: None,
        newer: None,
    };
    let image = match write {
        true => Image::mended(nine_fat, state, terminal)?,
        false => Image::open(&nine_fat.image, false)?,
    };
    visit.import(&image, terminal)?;
    Ok(visit)
}

/// Ends a run that is about to end with `outcome`: brings the image up to date.
///
/// # Errors
/// The run's own error; that the image could not be written is said and in the status.
pub fn leave(
    visit: Option<ImageVisit>,
    outcome: Result<Status>,
    terminal: &Terminal,
) -> Result<Status> {
    let exported = visit
        .filter(|visit| visit.write)
        .map(|visit| visit.export(terminal));
    let Some(Err(error)) = exported else {
        return outcome;
    };
    terminal.say(&error.to_string());
    outcome.map(|status| status.worst(error.status()))
}

/// A visit of a run that has no use for the wrcmd itself: import and export in one.
/// While another run holds the lock, the wrcmd is left to that.
///
/// # Errors
/// As [`arrive`], or the image cannot be written.
pub fn exchange(state: &StateDir, nine_fat: &NineFat, terminal: &Terminal) -> Result<()> {
    let lock = match state.lock() {
        Ok(lock) => Some(lock),
        Err(state::StateError::Locked { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut visit = ImageVisit {
        nine_fat: nine_fat.clone(),
        state: state.clone(),
        wrcmd: lock.is_some(),
        write: true,
        seen: None,
        newer: None,
    };
    if visit.wrcmd {
        let image = Image::mended(nine_fat, state, terminal)?;
        visit.import(&image, terminal).wrap_err("not exported")?;
    }
    Ok(visit.export(terminal)?)
}

impl ImageVisit {
    fn import(&mut self, image: &Image, terminal: &Terminal) -> Result<(), NinefatError> {
        let mut memory = image.memory(&image.fat()?, &self.state)?;
        self.seen = image.contents(WRCMD, WrCmd::MAX_LEN)?;
        let ours = self.state.read_wrcmd()?;
        let side = decide(
            ours.as_deref(),
            self.seen.as_deref(),
            memory.wrcmd.as_deref(),
        );
        let Some(theirs) = self.seen.clone() else {
            return Ok(());
        };
        if side != WrcmdSide::Ours {
            WrCmd::parse(theirs.clone())
                .map_err(|e| NinefatError::NoWrcmd(self.nine_fat.image.clone(), e))?;
            self.take(&theirs, ours.as_deref(), side, terminal)?;
            self.newer = Some(theirs.clone());
        }
        let same = side != WrcmdSide::Ours || ours.as_ref() == Some(&theirs);
        if same && self.write {
            memory.wrcmd = Some(fingerprint(&theirs));
            memory.save(&self.state)?;
        }
        Ok(())
    }

    /// Takes over a wrcmd; what it replaces is kept where nothing else has it.
    fn take(
        &self,
        theirs: &[u8],
        ours: Option<&[u8]>,
        side: WrcmdSide,
        terminal: &Terminal,
    ) -> Result<(), NinefatError> {
        let operand = &self.nine_fat.image;
        let taken = if self.write { "taken" } else { "read" };
        let mut said = format!("wrcmd: changed on the 9fat {operand}: {taken} from there");
        if let (WrcmdSide::Both, Some(ours)) = (side, ours) {
            said = format!(
                "wrcmd: differs from the one on the 9fat {operand}, and neither is known to be newer: \
                 {taken} from there"
            );
            if self.write {
                let kept = self.state.keep(KEPT, ours)?;
                said = format!("{said}, ours is kept as {}", kept.display());
            }
        }
        if self.write {
            self.state.replace(StateDir::WRCMD, theirs)?;
        }
        if ours.is_some() {
            terminal.say(&said);
        }
        Ok(())
    }

    /// Brings the image up to date: the log first, then the wrcmd.
    fn export(&self, terminal: &Terminal) -> Result<(), NinefatError> {
        let image = Image::open(&self.nine_fat.image, true)?;
        image.mend(&self.state, terminal)?;
        let mut memory = image.memory(&image.fat()?, &self.state)?;
        let mut wrote = self.export_log(&image, &mut memory)?;
        if self.wrcmd {
            wrote |= self.export_wrcmd(&image, &mut memory)?;
        }
        if wrote && !memory.told {
            memory.told = true;
            tell(&self.nine_fat.image, image.sight, terminal);
        }
        Ok(memory.save(&self.state)?)
    }

    /// True where something was written.
    fn export_log(&self, image: &Image, memory: &mut Memory) -> Result<bool, NinefatError> {
        let log = self
            .state
            .read(StateDir::ROOTSCOR, LOG_MAX)?
            .unwrap_or_default();
        let log = whole_lines(&log);
        let mut there = image.contents(ROOTSCOR, LOG_MAX)?.unwrap_or_default();
        let size = there.len() as u64;
        let exported = memory.exported(log);
        let new = not_there(log, exported, &there, size, memory.log_there);
        if new.is_empty() {
            memory.set_exported(log, size);
            return Ok(false);
        }
        if there.last().is_some_and(|&byte| byte != b'\n') {
            there.push(b'\n');
        }
        there.extend_from_slice(new);
        image.put(ROOTSCOR, &there, &self.nine_fat.write, &self.state)?;
        memory.set_exported(log, there.len() as u64);
        // The wrcmd may have no room: what is there is remembered at once.
        memory.save(&self.state)?;
        Ok(true)
    }

    /// True where something was written.
    fn export_wrcmd(&self, image: &Image, memory: &mut Memory) -> Result<bool, NinefatError> {
        let ours = self.state.read_wrcmd()?;
        let theirs = image.contents(WRCMD, WrCmd::MAX_LEN)?;
        if theirs != self.seen {
            return Err(NinefatError::Changed(self.nine_fat.image.clone()));
        }
        let Some(ours) = ours.filter(|ours| Some(ours) != theirs.as_ref()) else {
            return Ok(false);
        };
        image.put(WRCMD, &ours, &self.nine_fat.write, &self.state)?;
        memory.wrcmd = Some(fingerprint(&ours));
        Ok(true)
    }
}

/// What is said once of each image.
fn tell(operand: &Operand, sight: Sight, terminal: &Terminal) {
    terminal.say(&format!(
        "9fat {operand}: a FAT has no modes, so rootscor is not 0600 there: the scores in it are as \
         secret as the data, and whoever can read the image has them"
    ));
    // In a container it would be said each time, whoever uses the image.
    if !matches!(sight, Sight::Full | Sight::Contained) {
        terminal.say(&format!("9fat {operand}: {sight}"));
    }
}

/// Whose wrcmd counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WrcmdSide {
    /// Ours, or they are the same.
    Ours,
    /// Theirs: ours is as both were, or there is none.
    Theirs,
    /// Both have changed, or nobody knows: theirs, with ours kept.
    Both,
}

/// Which of two wrcmds counts, if both were last the same with this fingerprint.
fn decide(ours: Option<&[u8]>, theirs: Option<&[u8]>, same: Option<&str>) -> WrcmdSide {
    let unchanged = |bytes: &[u8]| Some(fingerprint(bytes).as_str()) == same;
    match (ours, theirs) {
        (_, None) => WrcmdSide::Ours,
        (None, Some(_)) => WrcmdSide::Theirs,
        (Some(ours), Some(theirs)) if ours == theirs || unchanged(theirs) => WrcmdSide::Ours,
        (Some(ours), Some(_)) if unchanged(ours) => WrcmdSide::Theirs,
        _ => WrcmdSide::Both,
    }
}

/// A log without a last line that is still being written.
fn whole_lines(log: &[u8]) -> &[u8] {
    let end = log
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    log.get(..end).unwrap_or_default()
}

/// What of our log is not on the image, whose log ends with `there` and has `size` bytes.
///
/// When theirs had `size_then` bytes, `exported` bytes of ours were on it. Where that is not
/// known, theirs is taken to have as much of the beginning of ours as it ends with. A run
/// that died after it wrote there has exported what it did not remember.
fn not_there<'a>(
    log: &'a [u8],
    exported: Option<usize>,
    there: &[u8],
    size: u64,
    size_then: u64,
) -> &'a [u8] {
    let rest = |at: usize| log.get(at..).unwrap_or_default();
    if let Some(at) = exported {
        // A run that died after it wrote there did not remember what it had exported,
        // and there may be more by now.
        let (new, grown) = (rest(at), size.saturating_sub(size_then));
        let grown = usize::try_from(grown).unwrap_or(usize::MAX);
        let there_already = [Some(grown), grown.checked_sub(1)].into_iter().flatten();
        let there_already = there_already.filter_map(|len| new.get(..len));
        let mut there_already =
            there_already.filter(|part| part.ends_with(b"\n") && there.ends_with(part));
        let len = there_already.next().map_or(0, <[u8]>::len);
        return new.get(len..).unwrap_or_default();
    }
    let mut at = log.len();
    while at > 0 {
        if log.get(..at).is_some_and(|start| there.ends_with(start)) {
            break;
        }
        at = whole_lines(log.get(..at - 1).unwrap_or_default()).len();
    }
    rest(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_that_changed_counts() {
        let same = fingerprint(b"a");
        let same = Some(same.as_str());
        let (a, b, c) = (Some(&b"a"[..]), Some(&b"b"[..]), Some(&b"c"[..]));
        for (ours, theirs, same, side) in [
            (a, a, same, WrcmdSide::Ours),
            (b, a, same, WrcmdSide::Ours),
            (a, b, same, WrcmdSide::Theirs),
            (b, c, same, WrcmdSide::Both),
            (b, b, same, WrcmdSide::Ours),
            (a, b, None, WrcmdSide::Both),
            (a, a, None, WrcmdSide::Ours),
            (None, b, None, WrcmdSide::Theirs),
            (None, a, same, WrcmdSide::Theirs),
            (a, None, same, WrcmdSide::Ours),
            (None, None, None, WrcmdSide::Ours),
        ] {
            assert_eq!(
                decide(ours, theirs, same),
                side,
                "{ours:?} {theirs:?} {same:?}"
            );
        }
    }

    fn new<'a>(log: &'a str, exported: Option<usize>, there: &str, then: u64) -> &'a str {
        let size = there.len() as u64;
        let new = not_there(log.as_bytes(), exported, there.as_bytes(), size, then);
        std::str::from_utf8(new).unwrap()
    }

    #[test]
    fn only_what_is_not_there_is_added() {
        assert_eq!(new("a\nb\n", Some(2), "a\n", 2), "b\n");
        assert_eq!(new("a\nb\n", Some(4), "a\nb\n", 4), "");
        // A run died after it had written there.
        assert_eq!(new("a\nb\n", Some(2), "a\nb\n", 2), "");
        assert_eq!(new("a\nb\n", Some(2), "x\nb\n", 1), "");
        assert_eq!(new("a\nb\nc\n", Some(2), "a\nb\n", 2), "c\n");
        assert_eq!(new("a\nb\nc\n", Some(2), "x\nb\n", 1), "c\n");
        // The same line twice is two lines.
        assert_eq!(new("a\nb\nb\n", Some(4), "a\nb\n", 4), "b\n");
        // Plan 9 has added to it, or removed it.
        assert_eq!(new("a\nb\n", Some(2), "a\nplan9\n", 2), "b\n");
        assert_eq!(new("a\nb\n", Some(2), "", 2), "b\n");
        // Nothing is known.
        assert_eq!(new("a\nb\n", None, "", 0), "a\nb\n");
        assert_eq!(new("a\nb\n", None, "a\n", 0), "b\n");
        assert_eq!(new("a\nb\n", None, "old\na\nb\n", 0), "");
        assert_eq!(new("a\nb\n", None, "a\nplan9\n", 0), "a\nb\n");
        assert_eq!(whole_lines(b"a\nhalf"), b"a\n");
        assert_eq!(whole_lines(b"half"), b"");
    }
}
