//! The command fosreset: makes a partition the fossil of an archive, whatever it
//! was before, so that nothing is lost by a mistake (fossil.md 3.4 and 7).
//!
//! What can be refused is refused first: the archive is proved, then the user is
//! asked, then fossils that hold the partition are halted and ended, and
//! only then is anything written; see [`crate::format`].

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use eyre::{Result, WrapErr, eyre};

use crate::archive::{self, Archive, Depth};
use crate::format::source::{ArchiveSource, LABEL, Proving, open};
use crate::format::{
    self, ChangeError, CheckedFormat, FormatJob, Matches, Standing, UndoFile, check, old_undo,
    perform, say_first,
};
use crate::last::{Last, UnderWay};
use crate::processes::{self, HaltFirst};
use crate::rootline::{RootLine, root_score};
use crate::venti;
use venticore::codec::operand::Operand;
use venticore::codec::score::Score;
use venticore::codec::utc::Utc;
use venticore::config::Config;
use venticore::host::holders::{self, Process};
use venticore::host::partition::Partition;
use venticore::host::terminal::Terminal;
use venticore::net::client::Client;
use venticore::status::{Failure, Status};

/// The most bytes of the line on standard input.
const LINE_MAX: u64 = 16 << 10;

/// A word that a script forgot must not cost the file server that is the default.
const UNNAMED: &str = "expected a partition, found none: without a terminal nobody can be asked, \
     so name it (fosreset SCORE PARTITION), or give -y for the default";

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How much is proved: `-c`, `--shallow`.
    pub depth: Depth,
    /// `--as-written`: go on where what is invalid was written so.
    pub as_written: bool,
    /// `-f`: overwrite what is not a fossil.
    pub force: bool,
    /// `-n`: neither halt nor write.
    pub dry_run: bool,
    /// `-y`: do not ask.
    pub yes: bool,
    /// `-d`: the state directory.
    pub dir: Option<PathBuf>,
    /// `-u`: put this undo file back.
    pub undo: Option<PathBuf>,
    /// `-u` alone: list the undo files.
    pub list: bool,
    /// The root score, or `-`; nothing with `-u`.
    pub score: String,
    /// The partition.
    pub partition: Option<OsString>,
    /// The venti.
    pub venti: Option<String>,
}

/// The three words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ResetOperands {
    score: String,
    partition: Option<OsString>,
    venti: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// Something cannot be proved or must not be overwritten: nothing was
/// written. Or what was begun did not end, and the message says how to go on.
pub fn run(
    tool: &str,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
    halt: &dyn HaltFirst,
) -> Result<Status> {
    if options.list {
        return list(&config.keep_dir(options.dir.as_deref()), terminal);
    }
    match &options.undo {
        Some(undo) => put_back(undo, options, config, terminal),
        None => reset(tool, options, config, terminal, halt),
    }
}

/// Proves, halts, formats.
fn reset(
    tool: &str,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
    halt: &dyn HaltFirst,
) -> Result<Status> {
    let (words, answers) = words(options)?;
    let score = root_score(&words.score).wrap_err("rootscore")?;
    let operand = named(&words, answers.is_some(), options, config)?;
    let (venti, dial) = venti::chosen(
        words.venti.as_deref(),
        "name it after the partition",
        config,
    )?;
    let partition = open(&operand, options.dry_run)?;
    let (dir, force) = (options.dir.as_deref(), options.force);
    let job = FormatJob {
        tool,
        config,
        terminal,
        dir,
        partition: &partition,
        force,
    };
    let standing = Standing::of(&partition)?;
    let unfinished = old_undo(&job, &standing)?;
    if unfinished.is_none() {
        check(&partition, &standing, force)?;
    }
    let fossils = fossils_or_claim(&partition, config)?;
    let (venti, dial) = (&venti, &dial);
    let source = ArchiveSource { score, venti, dial };
    let mut client = source.dial(config)?;
    let (checked, proved) = proved(&source, &mut client, &partition, options, terminal)?;
    let to = format!("vac:{score}, {proved}");
    let asked = answers.filter(|_| !options.yes && !options.dry_run);
    if let Some(undo) = &unfinished
        && (options.dry_run || asked.is_some())
    {
        say_first(&job, undo);
    }
    if options.dry_run {
        tell_dry(terminal, &partition, &standing, &fossils, &to);
        return Ok(Status::Done);
    }
    let operand = partition.operand();
    let lost = || lost(&standing, &mut client, &fossils);
    agree(asked, score, &standing, lost, operand, terminal)?;
    drop(client);
    end_fossils(&partition, halt, config, terminal)?;
    perform(&job, &checked, &|| {
        processes::prove_free(&partition, config)
    })?;
    terminal.detail(|| format!("{operand}: reset to {to}"));
    Ok(Status::Done)
}

/// Asks whether what is `lost` may be; where nobody is asked, says that a snapshot is.
///
/// # Errors
/// The answer is not yes.
fn agree(
    asked: Answers,
    score: Score,
    standing: &Standing,
    lost: impl FnOnce() -> Vec<String>,
    operand: &Operand,
    terminal: &Terminal,
) -> Result<()> {
    if let Some(mut answers) = asked {
        for line in lost() {
            terminal.say(&format!("{operand}: {line}"));
        }
        return confirm(
            operand,
            &format!("reset it to vac:{score}?"),
            &mut answers,
            terminal,
        );
    }
    if let Some(under_way) = under_way(standing) {
        terminal.say(&format!("{operand}: {under_way}, and will be lost"));
    }
    Ok(())
}

/// Lays out the format, and proves the archive: in which way, in words.
fn proved(
    source: &ArchiveSource<'_>,
    client: &mut Client,
    partition: &Partition,
    options: &Options,
    terminal: &Terminal,
) -> Result<(CheckedFormat, String)> {
    let (archive, checked) = source.plan(client, partition, None, LABEL.as_bytes())?;
    let block_size = checked.format.header.block_size.into();
    let how = Proving {
        depth: options.depth,
        as_written: options.as_written,
        terminal,
    };
    let proved = source.prove(client, &archive, &how, block_size)?;
    Ok((checked, proved))
}

/// The fossils that hold a partition, which are ended later. Where there is none it is
/// claimed. What holds it and is not a fossil has to go first in any case.
fn fossils_or_claim(partition: &Partition, config: &Config) -> Result<Vec<Process>> {
    let fossils = processes::fossils_on(partition, config)?;
    if fossils.is_empty() {
        processes::claim(partition)?;
    }
    Ok(fossils)
}

/// The partition: the one that is named, or the configured one where a person is asked.
fn named(
    words: &ResetOperands,
    can_ask: bool,
    options: &Options,
    config: &Config,
) -> Result<OsString> {
    let unasked = !can_ask && !options.yes && !options.dry_run;
    if unasked && words.partition.is_none() {
        return Err(Failure::report(Status::Usage, UNNAMED));
    }
    let operand = config.fossil_partition(words.partition.as_deref());
    refuse_address(&operand)?;
    Ok(operand)
}

/// Halts and ends the fossils that hold a partition, and proves that nobody
/// does.
fn end_fossils(
    partition: &Partition,
    halt: &dyn HaltFirst,
    config: &Config,
    terminal: &Terminal,
) -> Result<()> {
    let fossils = processes::fossils_on(partition, config)?;
    if !fossils.is_empty() {
        let done = halt.halt(partition, &fossils)?;
        terminal.detail(|| format!("{}: {done}", partition.operand()));
        processes::end(partition, &fossils, config)?;
    }
    processes::prove_free(partition, config)?;
    processes::claim(partition)
}

/// The old scripts take any word that does not begin with `tcp` for a disk.
fn refuse_address(operand: &OsString) -> Result<()> {
    let text = operand.to_string_lossy();
    let named = text.split_once('!').filter(|(_, host)| !host.is_empty());
    let net = named.and_then(|(net, _)| net.rsplit('/').next());
    if matches!(net, Some("tcp" | "net")) {
        let text = format!("{text}: expected a partition, found the address of a venti: not disk");
        return Err(Failure::report(Status::Usage, text));
    }
    Ok(())
}

/// What `-n` tells.
fn tell_dry(
    terminal: &Terminal,
    partition: &Partition,
    standing: &Standing,
    fossils: &[Process],
    to: &str,
) {
    let operand = partition.operand();
    for fossil in fossils {
        terminal.say(&format!(
            "{operand}: held open by {fossil}, which would be halted and ended"
        ));
    }
    terminal.say(&format!(
        "{operand}: holds {standing}; would be reset to {to}; nothing was written"
    ));
}

fn under_way(standing: &Standing) -> Option<UnderWay> {
    let Standing::Whole(whole) = standing else {
        return None;
    };
    let last = Last {
        header: whole.header,
        superblock: whole.superblock.clone(),
    };
    last.under_way()
}

/// What will be lost, a line each.
fn lost(standing: &Standing, client: &mut Client, fossils: &[Process]) -> Vec<String> {
    let mut lines = vec![match standing {
        Standing::Whole(whole) => {
            let name = String::from_utf8_lossy(&whole.superblock.name);
            format!("holds the fossil \"{}\"", name.escape_debug())
        }
        other => format!("holds {other}"),
    }];
    if let Some(last) = standing.last() {
        lines.push(format!(
            "its last archive is vac:{last}: {}",
            readable(client, &last)
        ));
        lines.push("changes made after that archive will be lost".into());
    } else if matches!(standing, Standing::Whole(_)) {
        lines.push(
            "it was never archived, or not since it was formatted: all of it will be lost".into(),
        );
    }
    lines.extend(under_way(standing).map(|under_way| format!("{under_way}, and will be lost")));
    lines.extend(
        fossils
            .iter()
            .map(|fossil| format!("{fossil} has it open, and will be ended")),
    );
    lines
}

/// When an archive was taken, and whether this venti has it.
fn readable(client: &mut Client, score: &Score) -> String {
    let archive = match Archive::read(client, score) {
        Ok(archive) => archive,
        Err(error) => return format!("not readable on this venti: {error}"),
    };
    match archive::taken(client, &archive) {
        Ok(Some(time)) => format!("taken {}, its root is readable on this venti", Utc(time)),
        Ok(None) => "its root is readable on this venti".into(),
        Err(error) => {
            format!("its root is readable on this venti, its directories are not: {error}")
        }
    }
}

/// Prints a line for each undo file.
fn list(dir: &Path, terminal: &Terminal) -> Result<Status> {
    let mut status = Status::Done;
    let mut output = terminal.output();
    for line in format::listed(dir) {
        match line {
            Ok(line) => writeln!(output, "{line}").wrap_err("standard output")?,
            Err((path, error)) => {
                terminal.say(&format!("{}: {error}", path.display()));
                status = Status::Failed;
            }
        }
    }
    output.flush().wrap_err("standard output")?;
    Ok(status)
}

/// Puts an undo file back.
fn put_back(
    path: &std::path::Path,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Result<Status> {
    let undo = UndoFile::open(path).wrap_err_with(|| path.display().to_string())?;
    let given = options.partition.clone();
    let given = given.unwrap_or_else(|| undo.partition.clone().into());
    refuse_address(&given)?;
    let operand = Operand::try_from(given.as_os_str())?;
    let partition = match options.dry_run {
        true => Partition::open(&operand)?,
        false => holders::open_rw(&operand)?,
    };
    let named = |error: ChangeError| eyre!("{operand}: {}: {error}", path.display());
    processes::prove_free(&partition, config)?;
    processes::claim(&partition)?;
    let matches = undo.matches(&partition).map_err(named)?;
    let was = undo.old.map_or_else(String::new, |old| {
        format!(", whose last archive is vac:{old}")
    });
    let holds = match matches {
        Matches::Old => {
            terminal.say(&format!(
                "{operand}: holds what {} would put back",
                path.display()
            ));
            return Ok(Status::Done);
        }
        Matches::New => format!("the format to vac:{}", undo.new),
        Matches::Between => format!("a format to vac:{} that was not finished", undo.new),
    };
    if options.dry_run {
        terminal.say(&format!(
            "{operand}: holds {holds}; what was there before would be put back{was}"
        ));
        return Ok(Status::Done);
    }
    if !options.yes && io::stdin().is_terminal() {
        let then = Utc(undo.time);
        let question = format!("holds {holds}; put back what was there at {then}{was}?");
        confirm(&operand, &question, &mut io::stdin().lock(), terminal)?;
    }
    processes::prove_free(&partition, config)?;
    undo.put_back(&partition).map_err(|error| {
        let report = eyre!("{operand}: {}: {error}: run again", path.display());
        match error {
            ChangeError::Differs { .. } => {
                Failure::report(Status::Unverified, format!("{report:#}"))
            }
            _ => report,
        }
    })?;
    let then = Utc(undo.time);
    terminal.detail(|| format!("{operand}: holds again what was there at {then}{was}"));
    Ok(Status::Done)
}

/// Asks a question about a partition.
///
/// # Errors
/// The answer is not yes.
fn confirm(
    operand: &Operand,
    question: &str,
    answers: &mut dyn BufRead,
    terminal: &Terminal,
) -> Result<()> {
    if terminal.ask(&format!("{operand}: {question}"), answers)? {
        return Ok(());
    }
    let text = format!("{operand}: the answer was not y: nothing was written");
    Err(Failure::report(Status::Failed, text))
}

/// Where answers to questions come from, if from anywhere.
type Answers = Option<Box<dyn BufRead>>;

/// The words of the command line, or of the line on standard input; and where
/// answers come from: a terminal, or nowhere.
fn words(options: &Options) -> Result<(ResetOperands, Answers)> {
    let given = ResetOperands {
        score: options.score.clone(),
        partition: options.partition.clone(),
        venti: options.venti.clone(),
    };
    let terminal = io::stdin().is_terminal();
    // Read before answers take hold of standard input.
    let line = match given.score.as_str() {
        "-" => Some(read_line(terminal).wrap_err("standard input")?),
        _ => None,
    };
    let mut answers: Answers = None;
    if terminal {
        answers = Some(Box::new(io::stdin().lock()));
    }
    let Some(line) = line else {
        return Ok((given, answers));
    };
    let line = ResetOperands::parse(&line, given.partition.is_some())?;
    // A line from a pipe leaves no room for answers there; the user of
    // the session may be asked all the same.
    if !terminal
        && io::stderr().is_terminal()
        && let Ok(tty) = File::open("/dev/tty")
    {
        answers = Some(Box::new(BufReader::new(tty)));
    }
    let words = ResetOperands {
        score: line.score,
        partition: given.partition.or(line.partition),
        venti: given.venti.or(line.venti),
    };
    Ok((words, answers))
}

/// All of standard input, or of a terminal one line.
fn read_line(terminal: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut input = io::stdin().lock().take(LINE_MAX + 1);
    match terminal {
        true => input.read_until(b'\n', &mut bytes)?,
        false => input.read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

impl ResetOperands {
    /// The line that fossilize prints: `vac:SCORE PARTITION VENTI`, the last
    /// where it is known; the first alone where the partition is named elsewhere, so
    /// that a line that was cut does not reset the default partition.
    fn parse(input: &[u8], is_named: bool) -> Result<Self> {
        let odd = |found: &str| {
            let text = format!(
                "standard input: expected the one line of fossilize, vac:SCORE PARTITION VENTI \
                 (echo vac:SCORE /dev/sdb1 venti1 | fosreset -), or vac:SCORE alone where the \
                 command line names the partition (fosreset - PARTITION), found {found}"
            );
            Failure::report(Status::Usage, text)
        };
        if input.len() as u64 > LINE_MAX {
            return Err(odd("more bytes than such a line has"));
        }
        let text = std::str::from_utf8(input).map_err(|_| odd("bytes that are not text"))?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        if line.contains('\n') {
            return Err(odd("several lines"));
        }
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(odd("control characters"));
        }
        let (score, partition, venti) = match RootLine::parse(line) {
            Ok(line) => (line.score, Some(line.partition.into()), line.venti),
            Err(0) => return Err(odd("nothing")),
            Err(1) if is_named => (line.trim().to_owned(), None, None),
            Err(1) => return Err(odd("one word")),
            Err(words) => return Err(odd(&format!("{words} words"))),
        };
        Ok(ResetOperands {
            score,
            partition,
            venti,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use venticore::tool::status_of;

    #[test]
    fn the_line_of_fossilize_has_two_or_three_words() {
        let parsed = ResetOperands::parse(b"vac:S /dev/p tcp!v!1\n", false).unwrap();
        let expected = ResetOperands {
            score: "vac:S".into(),
            partition: Some("/dev/p".into()),
            venti: Some("tcp!v!1".into()),
        };
        assert_eq!(parsed, expected);
        let apart = ResetOperands::parse(b"vac:S  /dev/p\ttcp!v!1\n", false);
        assert_eq!(apart.unwrap(), expected);
        assert_eq!(
            ResetOperands::parse(b"vac:S /dev/p", false).unwrap().venti,
            None
        );
        for odd in [
            &b""[..],
            b"\n",
            b"vac:S",
            b"a b c d",
            b"hello\nvac:S p v\n",
            b"vac:S p v\n\n",
            b"vac:S p v\r\n",
            b"vac:S p \xff",
            &[&b"vac:S p v"[..], &[b'v'; 1 << 14]].concat(),
        ] {
            let error = ResetOperands::parse(odd, false).unwrap_err();
            assert_eq!(status_of(&error), Status::Usage, "{odd:?}");
            assert!(error.to_string().contains("line of fossilize"), "{error}");
        }
        let error = ResetOperands::parse(b"vac:S\n", false)
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("found one word"), "{error}");
        assert!(error.contains("| fosreset -)"), "{error}");
        let alone = ResetOperands::parse(b"vac:S\n", true).unwrap();
        assert_eq!((&*alone.score, alone.partition), ("vac:S", None));
    }

    #[test]
    fn the_address_of_a_venti_is_no_partition() {
        for text in ["tcp!venti!17034", "net!x!venti", "/net.alt/tcp!x!1"] {
            assert!(refuse_address(&text.into()).is_err());
        }
        assert!(refuse_address(&"/dev/tcp!".into()).is_ok());
    }
}
