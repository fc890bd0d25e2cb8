//! A format from the log to the comparison, once the archive is proved and the
//! partition is free.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use eyre::{Report, Result, WrapErr, eyre};

use super::ChangeError;
use super::kept::{self, SUFFIX};
use super::plan::Format;
use super::standing::Standing;
use super::undo::{Matches, UndoFile, save};
use super::write::write;
use crate::{rootline, venti};
use venticore::codec::score::Score;
use venticore::codec::utc::Utc;
use venticore::config::Config;
use venticore::host::partition::Partition;
use venticore::host::terminal::Terminal;
use venticore::state::StateDir;
use venticore::status::{Failure, Status};

/// The most bytes of a partition's name that go into a file's name.
const NAME_MAX: usize = 64;

/// What is to be done, and for whom.
#[derive(Clone, Copy)]
pub struct FormatJob<'a> {
    /// The command: named in the log.
    pub tool: &'a str,
    /// The environment.
    pub config: &'a Config,
    /// Where to say things.
    pub terminal: &'a Terminal,
    /// `-d`: the state directory.
    pub dir: Option<&'a Path>,
    /// The partition, open for writing unless nothing is to be written.
    pub partition: &'a Partition,
    /// Overwrite what is not a fossil.
    pub force: bool,
}

/// A format that may be carried out.
#[derive(Debug)]
pub struct CheckedFormat {
    /// What is written.
    pub format: Format,
    /// The score it comes from.
    pub score: Score,
    /// The venti that has it, as it was written.
    pub venti: String,
    /// The venti of the fossil that is replaced, where that was seen running.
    pub old_venti: Option<String>,
}

/// Whether what a partition holds may be overwritten.
///
/// # Errors
/// It is not a fossil, and `force` is not set.
pub fn check(partition: &Partition, standing: &Standing, force: bool) -> Result<()> {
    match standing {
        Standing::Other { .. } if !force => {
            let operand = partition.operand();
            Err(eyre!(
                "{operand}: expected a fossil or zeros, found {standing}: if this is the right partition, give -f"
            ))
        }
        _ => Ok(()),
    }
}

/// The undo file of a format of this partition, or of putting it back, that
/// did not end. Looked for where the partition is not a whole fossil.
///
/// # Errors
/// The partition cannot be read.
pub fn old_undo(job: &FormatJob<'_>, standing: &Standing) -> Result<Option<UndoFile>> {
    if matches!(standing, Standing::Whole(_)) {
        return Ok(None);
    }
    for path in kept::newest_first(&job.config.keep_dir(job.dir)) {
        let Ok(undo) = UndoFile::open(&path) else {
            continue;
        };
        match undo.matches(job.partition) {
            Ok(Matches::Between | Matches::New) => return trusted(undo).map(Some),
            Ok(Matches::Old) => {}
            Err(ChangeError::Io(error)) => return Err(error.into()),
            Err(_) => {}
        }
    }
    Ok(None)
}

/// Only what we kept, or root, is put back unasked.
fn trusted(undo: UndoFile) -> Result<UndoFile> {
    let owner = undo.owner()?;
    match venticore::state::is_trusted(owner) {
        true => Ok(undo),
        false => Err(eyre!(
            "{}: an earlier format was not finished, and its undo file belongs to user {owner}: put it back with fosreset -u, or move it away",
            undo.path().display(),
        )),
    }
}

/// Carries out a format: what an earlier one left is put back first; then the
/// log, the undo file, the writes. `still_free` is asked just before the first
/// write.
///
/// # Errors
/// Up to the first write nothing was changed; afterwards the message says how to go on.
pub fn perform(
    job: &FormatJob<'_>,
    checked: &CheckedFormat,
    still_free: &dyn Fn() -> Result<()>,
) -> Result<()> {
    // So that what is a hole is known.
    job.partition.sync()?;
    let mut standing = Standing::of(job.partition)?;
    if let Some(undo) = old_undo(job, &standing)? {
        still_free()?;
        say_first(job, &undo);
        undo.put_back(job.partition)
            .map_err(|error| unfinished(job, &error, undo.path()))?;
        standing = Standing::of(job.partition)?;
    }
    check(job.partition, &standing, job.force)?;
    log(job, checked, standing.last())?;
    let undo = keep(job, checked)?;
    announce(job, &undo)?;
    still_free()?;
    unchanged(job, &undo, &standing)?;
    let old = standing.superblock_at();
    write(job.partition, &checked.format, old).map_err(|error| {
        let report = unfinished(job, &error, &undo);
        match error {
            ChangeError::Differs { .. } => {
                Failure::report(Status::Unverified, format!("{report:#}"))
            }
            _ => report,
        }
    })?;
    kept::prune(
        &job.config.keep_dir(job.dir),
        job.config.undo,
        job.partition,
        &undo,
        job.terminal,
    );
    Ok(())
}

/// Says that an earlier format is undone before anything else.
pub fn say_first(job: &FormatJob<'_>, undo: &UndoFile) {
    job.terminal.say(&format!(
        "{}: an earlier format was not finished: first putting back what it replaced, from {}",
        job.partition.operand(),
        undo.path().display()
    ));
}

/// Appends the old last score and the new one to the log.
fn log(job: &FormatJob<'_>, checked: &CheckedFormat, old: Option<Score>) -> Result<()> {
    let partition = rootline::word(job.partition.operand())?;
    let new_venti = venti::written(&checked.venti, job.config);
    let new_venti = new_venti.map_or_else(|_| checked.venti.clone(), |written| written.text);
    let mut lines = Vec::new();
    if let Some(old) = old {
        let known = || venti::of(job.partition, None, job.config);
        let venti = checked.old_venti.clone().or_else(known);
        // An address that nothing could read back is not recorded.
        let written = venti.and_then(|text| venti::written(&text, job.config).ok());
        let venti = written.map_or_else(|| new_venti.clone(), |written| written.text);
        lines.push(format!("vac:{old} {partition} {venti}"));
    }
    lines.push(format!("vac:{} {partition} {new_venti}", checked.score));
    rootline::record(job.tool, job.dir, job.config, &lines, job.terminal)
}

/// Keeps what will be overwritten.
fn keep(job: &FormatJob<'_>, checked: &CheckedFormat) -> Result<PathBuf> {
    let state = StateDir::open(&job.config.keep_dir(job.dir))?;
    let operand = job.partition.operand().to_string();
    let path = state.keep_with(&name_to_keep(job), |file| {
        save(
            file,
            job.partition,
            &checked.format,
            &operand,
            checked.score,
        )
    })?;
    // What cannot be read back is no undo file.
    let undo = UndoFile::open(&path);
    let matches = undo.and_then(|undo| undo.matches(job.partition));
    match matches.map_err(Report::new) {
        Ok(Matches::Old) => Ok(path),
        Ok(_) => Err(eyre!("{}: the partition is being written", path.display())),
        Err(error) => Err(error.wrap_err(path.display().to_string())),
    }
}

/// `fosreset.20261122T035612Z.dev_sdC0_fossil.undo`.
fn name_to_keep(job: &FormatJob<'_>) -> String {
    let time = Utc(SystemTime::now()).to_string().replace(['-', ':'], "");
    let operand = job.partition.operand().to_string();
    let name = operand.replace(
        |c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c)),
        "_",
    );
    let name = name.trim_start_matches('_');
    let tail = name
        .get(name.len().saturating_sub(NAME_MAX)..)
        .unwrap_or(name);
    format!("{}.{time}.{tail}.{SUFFIX}", job.tool)
}

/// Prints the command that undoes the format.
fn announce(job: &FormatJob<'_>, undo: &Path) -> Result<()> {
    let line = format!("{}\n", undo_command(job, undo));
    let mut output = job.terminal.output();
    let printed = std::io::Write::write_all(&mut output, line.as_bytes());
    printed
        .and_then(|()| std::io::Write::flush(&mut output))
        .wrap_err("standard output")
}

/// The command that puts back what an undo file has, for a shell.
fn undo_command(job: &FormatJob<'_>, undo: &Path) -> String {
    let [file, partition] = [undo.as_os_str(), job.partition.operand().as_os_str()].map(quoted);
    let end = if partition.starts_with('-') {
        "-- "
    } else {
        ""
    };
    format!("fosreset -u {file} {end}{partition}")
}

/// A word that a shell reads as one.
fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:,@%+=".contains(c);
    match text.chars().all(plain) && !text.is_empty() {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// A look at the header and super block just before they go.
fn unchanged(job: &FormatJob<'_>, undo: &Path, standing: &Standing) -> Result<()> {
    let now = Standing::of(job.partition)?;
    if now == *standing {
        return Ok(());
    }
    Err(eyre!(
        "{}: was written by somebody else just now: nothing was changed; remove {}, which is not needed, and run again",
        job.partition.operand(),
        undo.display()
    ))
}

/// What to do about a partition that is half written.
fn unfinished(job: &FormatJob<'_>, error: &dyn std::fmt::Display, undo: &Path) -> Report {
    eyre!(
        "{}: not a fossil now: {error}: run again, or put the old one back: {}",
        job.partition.operand(),
        undo_command(job, undo)
    )
}
