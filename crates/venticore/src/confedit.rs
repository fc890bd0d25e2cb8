//! The commands that read and write a region: fossilconf, venticonf.
//!
//! What was there is kept in the state directory before it is overwritten, and
//! what cannot be seen to be ours is overwritten only by `-f`.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use eyre::{Report, Result, WrapErr, eyre};
use lexopt::prelude::*;

use crate::codec::confregion::{Region, RegionContents, diff};
use crate::codec::operand::Operand;
use crate::codec::utc::Utc;
use crate::config::Config;
use crate::host::holders;
use crate::host::partition::Partition;
use crate::host::terminal::Output;
use crate::host::terminal::Terminal;
use crate::state::StateDir;
use crate::status::{Failure, Status};
use crate::text;
use crate::tool::Tool;

/// The most of a text that is read, to say how long it is: far more than fits.
const READ_MAX: u64 = 1 << 20;

/// Bytes that a message shows of what was found.
const EXCERPT: usize = 48;

/// The most bytes of a partition's name that go into a file's name.
const NAME_MAX: usize = 64;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-w`: write the region.
    pub write: bool,
    /// `-n`: show what `-w` would change.
    pub dry_run: bool,
    /// `-f`: overwrite what is not a configuration; write a doubtful text.
    pub force: bool,
    /// `-q`: only errors on standard error.
    pub quiet: bool,
    /// `-d`: the state directory.
    pub dir: Option<PathBuf>,
    /// The partition.
    pub partition: OsString,
    /// The file with the text; without it, standard input.
    pub text: Option<PathBuf>,
}

impl Options {
    /// The options of a command line.
    ///
    /// # Errors
    /// A usage error, or what `--help` and `--version` print.
    pub fn parse(tool: &Tool, parser: lexopt::Parser) -> Result<Self> {
        let mut options = Options::default();
        let mut operands = tool.operands(parser, |option, parser| {
            match option {
                Short('w') | Long("write") => options.write = true,
                Short('n') | Long("dry-run") => options.dry_run = true,
                Short('f') | Long("force") => options.force = true,
                Short('q') | Long("quiet") => options.quiet = true,
                Short('d') | Long("dir") => options.dir = Some(StateDir::given(parser.value()?)?),
                _ => tool.common(option)?,
            }
            Ok(())
        })?;
        options.partition = operands.expect("a partition")?;
        options.text = operands.next().map(PathBuf::from);
        operands.end()?;
        let writes = options.write || options.dry_run;
        if !writes && (options.force || options.text.is_some()) {
            return Err(tool.usage("-f and a file of text need -w or -n"));
        }
        Ok(options)
    }
}

/// Runs the command of this region.
///
/// # Errors
/// The partition does not exist or holds no configuration, the text cannot stand
/// there or only by `-f`, what was there cannot be kept, the partition cannot
/// be written. Unless the message says otherwise nothing was written.
pub fn run(
    options: &Options,
    region: &Region,
    config: &Config,
    terminal: &Terminal,
) -> Result<Status> {
    let operand = Operand::try_from(options.partition.as_os_str())?;
    if !options.write && !options.dry_run {
        let partition = Partition::open(&operand)?;
        return print(region, &partition);
    }
    let partition = match options.dry_run {
        true => Partition::open(&operand)?,
        false => holders::open_rw(&operand)?,
    };
    let edit = Edit {
        options,
        region,
        terminal,
        partition: &partition,
        before: read(region, &partition)?,
    };
    let text = edit.text()?;
    edit.permit()?;
    if options.dry_run {
        return edit.show(&text);
    }
    edit.write(&text, &config.keep_dir(options.dir.as_deref()))
}

/// The bytes of the region.
fn read(region: &Region, partition: &Partition) -> Result<Vec<u8>> {
    if partition.len() < region.min_len {
        return Err(eyre!(
            "{}: expected a partition of at least {} bytes, found {}",
            partition.operand(),
            region.min_len,
            partition.len()
        ));
    }
    let mut bytes = vec![0; region.size];
    partition.read_at(&mut bytes, region.offset)?;
    Ok(bytes)
}

/// Prints the text.
fn print(region: &Region, partition: &Partition) -> Result<Status> {
    let bytes = read(region, partition)?;
    let RegionContents::Text { text, .. } = region.decode(&bytes) else {
        let found = what_is_there(region, &bytes);
        let operand = partition.operand();
        return Err(eyre!("{operand}: no configuration: {found}"));
    };
    let mut output = Output::stdout();
    let done = output.write_all(text).and_then(|()| output.flush());
    done.wrap_err("standard output")?;
    Ok(Status::Done)
}

/// One region about to be written.
struct Edit<'a> {
    options: &'a Options,
    region: &'a Region,
    terminal: &'a Terminal,
    partition: &'a Partition,
    /// What the region held.
    before: Vec<u8>,
}

impl Edit<'_> {
    /// The new text, with the newline that it may lack.
    fn text(&self) -> Result<Vec<u8>> {
        let (text, name) = given_text(self.options.text.as_deref())?;
        let whole = self.region.complete(&text);
        let added = matches!(whole, Cow::Owned(_));
        self.check(&whole, added)
            .map_err(|cause| Failure::report(Status::Usage, format!("{name}: {cause}")))?;
        if added {
            let note = "added a newline to its last line, which the server would ignore";
            self.terminal.detail(|| format!("{name}: {note}"));
        }
        Ok(whole.into_owned())
    }

    /// Whether a text may be written, and if not, why.
    fn check(&self, text: &[u8], added: bool) -> Result<(), String> {
        let encoded = self.region.encode(text);
        encoded.map_err(|error| match added {
            true => format!("{error}, including the newline that its last line lacks"),
            false => error.to_string(),
        })?;
        let first_line = self.region.first_line;
        if self.options.force {
            Ok(())
        } else if text.is_empty() {
            Err("expected a text, found none: give -f to write that".into())
        } else if text.starts_with(first_line.as_bytes()) {
            let line = first_line.escape_default();
            Err(format!(
                "begins with \"{line}\", which is not part of the text and is always there: leave it out, or give -f"
            ))
        } else {
            Ok(())
        }
    }

    /// Whether what is there may be overwritten.
    fn permit(&self) -> Result<()> {
        let held = self.region.decode(&self.before);
        let header = self.header()?;
        let fits = match held {
            RegionContents::Text { .. } => return Ok(()),
            RegionContents::Zeros => self.region.is_header(&header),
            RegionContents::Other(_) => false,
        };
        if fits {
            return Ok(());
        }
        let mut found = what_is_there(self.region, &self.before);
        if held == RegionContents::Zeros {
            let kinds: Vec<&str> = self.region.headers.iter().map(|h| h.name).collect();
            found = format!(
                "{found}, and no {} header at {}, but {}",
                kinds.join(" or "),
                self.region.end(),
                text::quoted(&header, EXCERPT)
            );
        }
        let operand = self.partition.operand();
        if self.options.force {
            self.terminal.say(&format!("{operand}: {found}"));
            return Ok(());
        }
        Err(eyre!(
            "{operand}: {found}: if this is the right partition, give -f"
        ))
    }

    /// What follows the region, as far as it is needed.
    fn header(&self) -> Result<Vec<u8>> {
        let after = self.partition.len().saturating_sub(self.region.end());
        let mut header =
            vec![0; usize::try_from(after).map_or(EXCERPT, |after| after.min(EXCERPT))];
        self.partition.read_at(&mut header, self.region.end())?;
        Ok(header)
    }

    /// Prints what `-w` would change in the text.
    fn show(&self, text: &[u8]) -> Result<Status> {
        let old = match self.region.decode(&self.before) {
            RegionContents::Text { text, .. } => text,
            RegionContents::Zeros | RegionContents::Other(_) => &[],
        };
        let to = self.options.text.as_deref().map(text::path);
        let from = self.partition.operand().to_string();
        let diff = diff::unified(
            (&from, old),
            (to.as_deref().unwrap_or("standard input"), text),
        );
        let mut output = Output::stdout();
        let done = output.write_all(&diff).and_then(|()| output.flush());
        done.wrap_err("standard output")?;
        Ok(Status::Done)
    }

    /// Keeps what is there and writes the text over it.
    fn write(&self, text: &[u8], state: &Path) -> Result<Status> {
        let operand = self.partition.operand();
        let after = self.region.encode(text)?;
        if after == self.before {
            self.terminal
                .detail(|| format!("{operand}: has this configuration already"));
            return Ok(Status::Done);
        }
        let kept = self.keep(state)?;
        // Somebody else may have written it since.
        if read(self.region, self.partition)? != self.before {
            return Err(eyre!(
                "{operand}: the configuration was changed by somebody else just now: run again"
            ));
        }
        let written = self.overwrite(&after);
        written.wrap_err_with(|| format!("{operand}: perhaps half written; {kept}"))?;
        self.terminal
            .detail(|| format!("{operand}: configuration written; {kept}"));
        Ok(Status::Done)
    }

    /// Keeps what is there, in one or two files; says where.
    fn keep(&self, state: &Path) -> Result<String> {
        let (text, region) = match self.region.decode(&self.before) {
            RegionContents::Zeros => return Ok("there was none before".into()),
            RegionContents::Text { text, rest } => (Some(text), rest),
            RegionContents::Other(_) => (None, true),
        };
        let state = StateDir::open(state).wrap_err("give -d dir to keep the old one there")?;
        let name = self.name_to_keep();
        let mut kept = Vec::new();
        if let Some(text) = text {
            let path = state.keep(&name, text)?;
            kept.push(format!("the old text is in {}", text::path(&path)));
        }
        if region {
            let path = state.keep(&format!("{name}.region"), &self.before)?;
            kept.push(format!(
                "all bytes that were there are in {}",
                text::path(&path)
            ));
        }
        Ok(kept.join(", "))
    }

    /// `fossilconf.20261122T035612Z.dev_sdC0_fossil`.
    fn name_to_keep(&self) -> String {
        let time = Utc(SystemTime::now()).to_string().replace(['-', ':'], "");
        let operand = self.partition.operand().to_string();
        let name = operand.replace(
            |c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c)),
            "_",
        );
        let name = name.trim_start_matches('_');
        let tail = name.get(name.len().saturating_sub(NAME_MAX)..);
        let command = self.region.command;
        format!("{command}.{time}.{}", tail.unwrap_or(name))
    }

    /// Writes the region, makes it last, and reads it back.
    fn overwrite(&self, after: &[u8]) -> Result<()> {
        self.partition.write_at(after, self.region.offset)?;
        self.partition.sync()?;
        let found = read(self.region, self.partition)?;
        match difference(self.region, after, &found) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Why what was read back is not what was written.
fn difference(region: &Region, expected: &[u8], found: &[u8]) -> Option<Report> {
    let at = expected.iter().zip(found).position(|(e, f)| e != f)?;
    let place = region.offset + u64::try_from(at).unwrap_or(0);
    let from = |bytes: &[u8]| text::quoted(bytes.get(at..).unwrap_or_default(), EXCERPT);
    let (expected, found) = (from(expected), from(found));
    let message = format!("read back at {place}: expected {expected}, found {found}");
    Some(Failure::report(Status::Unverified, message))
}

/// The text of a file or of standard input, and what to call that.
fn given_text(path: Option<&Path>) -> Result<(Vec<u8>, String)> {
    let name = path.map_or("standard input".into(), text::path);
    let mut text = Vec::new();
    let done = match path {
        Some(path) => File::open(path).and_then(|file| file.take(READ_MAX).read_to_end(&mut text)),
        None => io::stdin().lock().take(READ_MAX).read_to_end(&mut text),
    };
    let len = done.wrap_err_with(|| name.clone())?;
    if u64::try_from(len).is_ok_and(|len| len >= READ_MAX) {
        let message = format!("{name}: expected some lines of text, found a mebibyte or more");
        return Err(Failure::report(Status::Usage, message));
    }
    Ok((text, name))
}

/// What a region without its first line holds.
fn what_is_there(region: &Region, bytes: &[u8]) -> String {
    let first_line = region.first_line.escape_default();
    let expected = format!("expected \"{first_line}\" at {}", region.offset);
    let RegionContents::Other(at) = region.decode(bytes) else {
        return format!("{expected}, found {} zero bytes", region.size);
    };
    let place = region.offset + u64::try_from(at).unwrap_or(0);
    let found = text::quoted(bytes.get(at..).unwrap_or_default(), EXCERPT);
    match at {
        0 => format!("{expected}, found {found}"),
        at => format!("{expected}, found {at} zero bytes and {found} at {place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::venticonf::REGION;
    use crate::tool::status_of;

    const TOOL: Tool = Tool {
        name: "venticonf",
        version: "0",
        synopsis: "",
        help: "",
    };

    fn parsed(arguments: &[&str]) -> Result<Options, String> {
        let parser = lexopt::Parser::from_args(arguments);
        Options::parse(&TOOL, parser).map_err(|e| format!("{e:#}"))
    }

    #[test]
    fn options_are_plain_data() {
        let options = parsed(&["-fw", "-d", "dir", "--", "-p", "t"]).unwrap();
        let expected = Options {
            write: true,
            force: true,
            dir: Some("dir".into()),
            partition: "-p".into(),
            text: Some("t".into()),
            ..Options::default()
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn what_only_a_write_needs_is_refused_without() {
        for arguments in [
            &["p", "t"][..],
            &["-f", "p"],
            &["-w"],
            &["-w", "p", "t", "x"],
        ] {
            assert!(parsed(arguments).is_err(), "{arguments:?}");
        }
        for arguments in [&["p"][..], &["-n", "p", "t"], &["-fw", "p"]] {
            assert!(parsed(arguments).is_ok(), "{arguments:?}");
        }
    }

    #[test]
    fn what_reads_back_differently_is_no_success() {
        let written = REGION.encode(b"mem 1m\n").unwrap();
        assert!(difference(&REGION, &written, &written).is_none());
        let mut found = written.clone();
        found[20] = b'x';
        let error = difference(&REGION, &written, &found).unwrap();
        assert_eq!(status_of(&error), Status::Unverified);
        assert!(error.to_string().starts_with("read back at 253972: "));
    }
}
