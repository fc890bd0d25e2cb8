//! The command rootget: lists what is in an archive of vac or a fossil, or copies it out.

mod list;
mod listed;
mod stdout;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use eyre::{Report, Result, WrapErr};

use crate::archive::{ArchiveItem, ArchiveRoot, Contents, Folder, Located, locate};
use crate::rootline::root_score;
use crate::unpack::{CopyOutcome, Done, Unpack};
use crate::venti;
use list::Listing;
use listed::ListedName;
use venticore::codec::replica::ReplicaName;
use venticore::codec::score::Score;
use venticore::config::Config;
use venticore::host::terminal::{Output, Several, Terminal};
use venticore::net::client::{Client, ClientError};
use venticore::net::tree::{ArenaBlocks, Blocks};
use venticore::replica::OpenedSource;
use venticore::source::{ArenaSource, notes};
use venticore::status::{Failure, Status};
use venticore::text::{in_lower_case, printable};

/// What stands before a partition in the place of a venti.
const PARTITION: &str = "part:";

/// The most bytes of a file or standard input in which a score is looked for.
const FILE_MAX: u64 = 16 << 20;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-c`: check what is there.
    pub check: bool,
    /// `-j`: print JSON.
    pub json: bool,
    /// `-n`: list, and write nothing.
    pub list: bool,
    /// `-q`: no line for what was done.
    pub quiet: bool,
    /// `-h`: the venti.
    pub host: Option<String>,
    /// `-o`: the directory to copy into; `-` is standard output.
    pub output: Option<OsString>,
    /// The score, or where it stands.
    pub score: OsString,
    /// Paths in the archive; none are all of it.
    pub paths: Vec<OsString>,
}

/// What to do it with.
struct RootJob<'a> {
    options: &'a Options,
    terminal: &'a Terminal,
    blocks: Box<dyn Blocks>,
    root: ArchiveRoot,
}

/// Runs the command.
///
/// # Errors
/// Usage, a venti that was lost, a root that has no files, a directory that cannot be
/// written.
pub fn run(options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    check_paths(options)?;
    let score = score_of(&options.score)?;
    let (from, mut blocks) = blocks_of(options.host.as_deref(), config, terminal)?;
    let root = ArchiveRoot::open(&mut *blocks, &score).wrap_err_with(|| from.clone())?;
    let mut job = RootJob {
        options,
        terminal,
        blocks,
        root,
    };
    let status = match options.output.as_deref().map(OsStr::as_encoded_bytes) {
        _ if options.list => job.list(),
        Some(b"-") => job.print(),
        _ => job.copy(),
    };
    terminal.clear();
    status.map_err(|error| match error.is::<ClientError>() {
        true => error.wrap_err(from),
        false => error,
    })
}

/// Where the blocks come from, and how it is called: a venti, or its arenas in a
/// partition or a replica.
fn blocks_of(
    host: Option<&str>,
    config: &Config,
    terminal: &Terminal,
) -> Result<(String, Box<dyn Blocks>)> {
    let replica = host.filter(|host| ReplicaName::is_meant(host));
    let path = replica.or_else(|| host?.strip_prefix(PARTITION));
    let Some(path) = path else {
        let (_, dial) = venti::chosen(host, "give -h HOST", config)?;
        let client = Client::dial(&dial, &config.dialer).wrap_err_with(|| dial.to_string())?;
        return Ok((dial.to_string(), Box::new(client)));
    };
    let subject = || printable(path.as_bytes());
    let partition = OpenedSource::named(path.as_ref(), &config.replicas)?;
    notes::say_wrong(&partition.notes, terminal);
    let arenas = match ArenaSource::read(&partition, 0).wrap_err_with(subject)? {
        ArenaSource::Single(arena) => vec![arena],
        ArenaSource::Partition(table) => notes::all_arenas(&partition, &table, terminal).0,
    };
    let tick = &mut |clumps| terminal.looking(clumps, 0);
    let blocks = ArenaBlocks::of(Arc::new(partition), arenas, tick).wrap_err_with(subject)?;
    terminal.clear();
    Ok((subject(), Box::new(blocks)))
}

/// A path with `..` in it, or two that would come to the same place.
fn check_paths(options: &Options) -> Result<()> {
    let usage = |text: String| Err(Failure::report(Status::Usage, text));
    let mut last = Vec::new();
    for path in &options.paths {
        let bytes = path.as_encoded_bytes();
        let mut names = bytes.split(|&byte| byte == b'/');
        if names.any(|name| name == b"..") {
            let shown = printable(bytes);
            return usage(format!(
                "{shown}: expected a path in the archive, found .. in it"
            ));
        }
        let mut names = bytes.split(|&byte| byte == b'/');
        let name = names.rfind(|name| !name.is_empty() && *name != b".");
        let copies = !options.list && last.contains(&name);
        if copies {
            let shown = printable(name.unwrap_or(b"/"));
            return usage(format!("{shown}: two paths would come to the same place"));
        }
        last.push(name);
    }
    let prints = !options.list
        && options
            .output
            .as_deref()
            .is_some_and(|output| output == "-");
    if prints && options.paths.len() != 1 {
        let found = options.paths.len();
        return usage(format!(
            "-o -: expected the path of one file, found {found} paths"
        ));
    }
    Ok(())
}

/// The score that an operand gives: itself, a file with it, or standard input.
fn score_of(operand: &OsStr) -> Result<Score> {
    if operand == "-" {
        return line_of(io::stdin().lock(), "standard input");
    }
    let shown = printable(operand.as_encoded_bytes());
    let text = operand.to_str().unwrap_or_default();
    let parsed = root_score(text);
    if parsed.is_ok() {
        return parsed;
    }
    match File::open(operand) {
        Ok(file) => line_of(file, &shown),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = format!(
                "{shown}: expected vac:SCORE, SCORE, - or a file that holds one of them, found none"
            );
            Err(Failure::report(Status::Usage, text))
        }
        Err(error) => Err(Report::new(error).wrap_err(shown)),
    }
}

/// The score in a file: of its last line that begins with `vac:`, as in rootscor(5) and in
/// what ventiroots prints; where there is none, of its only line.
fn line_of(from: impl Read, name: &str) -> Result<Score> {
    let mut bytes = Vec::new();
    let read = from.take(FILE_MAX + 1).read_to_end(&mut bytes);
    let read = read.wrap_err_with(|| name.to_owned())?;
    if read as u64 > FILE_MAX {
        let text = format!("{name}: expected at most {FILE_MAX} bytes, found more");
        return Err(Failure::report(Status::Usage, text));
    }
    let text = String::from_utf8_lossy(&bytes);
    let root = text.lines().rfind(|line| line.starts_with("vac:"));
    let root = root.and_then(|line| line.split_ascii_whitespace().next());
    let refused = || format!("{name}: expected a line vac:SCORE");
    root_score(root.unwrap_or(text.trim_ascii())).wrap_err_with(refused)
}

/// A place in the archive to begin at.
enum StartPoint {
    /// The root directory.
    Root,
    /// A directory or a file.
    At(Box<ArchiveItem>),
    /// There is none; why was said.
    Nowhere(Status),
}

impl StartPoint {
    /// The directory that it is in, or the root directory.
    fn above(&self) -> Rc<Folder> {
        let Self::At(found) = self else {
            return Folder::root();
        };
        match &**found {
            ArchiveItem::Directory { above, .. } | ArchiveItem::File { above, .. } => {
                Rc::clone(above)
            }
            _ => Folder::root(),
        }
    }

    /// Everything from there on.
    fn contents(self, root: &ArchiveRoot) -> Option<Contents> {
        match self {
            Self::Root => Some(Contents::of(Folder::root(), root.directory)),
            Self::At(found) => Some(Contents::starting_at(*found)),
            Self::Nowhere(_) => None,
        }
    }
}

impl RootJob<'_> {
    /// The places to begin at.
    fn starts(&mut self) -> Result<Vec<StartPoint>> {
        if self.options.paths.is_empty() {
            return Ok(vec![StartPoint::Root]);
        }
        let mut starts = Vec::new();
        for path in &self.options.paths {
            starts.push(self.start(path.as_encoded_bytes())?);
        }
        Ok(starts)
    }

    fn start(&mut self, path: &[u8]) -> Result<StartPoint> {
        let shown = printable(path);
        let nowhere = |status, text: &str| {
            self.terminal.say(&format!("{shown}: {text}"));
            Ok(StartPoint::Nowhere(status))
        };
        match locate(&mut *self.blocks, self.root.directory, path)? {
            Located::Root => Ok(StartPoint::Root),
            Located::Nothing { within, lost } => {
                let within = match &*printable(&within) {
                    "" => "the root directory".to_owned(),
                    path => path.to_owned(),
                };
                let Some(cause) = lost.first() else {
                    return nowhere(Status::Failed, &format!("not found in {within}"));
                };
                let text = format!("not found among the names that can be read: {within}: {cause}");
                nowhere(Status::Unverified, &text)
            }
            Located::Item(found) => match *found {
                ArchiveItem::Lost { cause, .. } => nowhere(Status::Unverified, &cause),
                ArchiveItem::Unused { .. } => nowhere(
                    Status::Failed,
                    "the archive has its name, but not its contents",
                ),
                found => Ok(StartPoint::At(Box::new(found))),
            },
        }
    }

    /// Lists what is there; with `-c` reads all of it.
    fn list(&mut self) -> Result<Status> {
        let starts = self.starts()?;
        let mut listing = Listing::new(self.options, self.terminal);
        for start in starts {
            if let StartPoint::Nowhere(status) = start {
                listing.worsen(status);
            }
            if let Some(mut contents) = start.contents(&self.root) {
                listing.run(&mut *self.blocks, &mut contents)?;
            }
        }
        listing.end()
    }

    /// Writes one file to standard output.
    fn print(&mut self) -> Result<Status> {
        match self.starts()?.pop() {
            Some(StartPoint::Nowhere(status)) => return Ok(status),
            Some(StartPoint::At(found)) => {
                if let ArchiveItem::File { above, info, entry } = *found {
                    let path = printable(&above.path_of(&info.elem));
                    return stdout::copy(&mut *self.blocks, &entry, &path);
                }
            }
            _ => {}
        }
        let text = "-o -: expected the path of a file, found a directory";
        Err(Failure::report(Status::Usage, text))
    }

    /// Copies what is there into a directory.
    fn copy(&mut self) -> Result<Status> {
        let here = OsString::from(".");
        let output = self.options.output.as_ref().unwrap_or(&here);
        let output = PathBuf::from(output);
        let starts = self.starts()?;
        if let [StartPoint::Nowhere(status)] = starts[..] {
            return Ok(status);
        }
        let mut told = Told::new(self.options, self.terminal);
        for start in starts {
            if let StartPoint::Nowhere(status) = start {
                told.status = told.status.worst(status);
            }
            let above = start.above();
            if let Some(mut contents) = start.contents(&self.root) {
                copy_into(&mut *self.blocks, &output, &above, &mut contents, &mut told)?;
            }
        }
        told.end(&output)
    }
}

fn copy_into(
    blocks: &mut dyn Blocks,
    output: &Path,
    above: &Rc<Folder>,
    contents: &mut Contents,
    told: &mut Told<'_>,
) -> Result<()> {
    let shown = || printable(output.as_os_str().as_encoded_bytes());
    let unpack = Unpack::into(output, above, told.options.check, |done| told.take(done));
    let unusable = |error| Failure::report(Status::Failed, in_lower_case(&error));
    let mut unpack = unpack.map_err(unusable).wrap_err_with(shown)?;
    let copied = unpack.run(blocks, contents);
    copied.map_err(|error| match error.is::<ClientError>() {
        true => error,
        false => error.wrap_err(shown()),
    })
}

/// What was done, told.
struct Told<'a> {
    options: &'a Options,
    terminal: &'a Terminal,
    refused: Several<'a>,
    output: Output,
    files: u64,
    bytes: u64,
    directories: u64,
    others: u64,
    damaged: u64,
    status: Status,
    failed: Option<io::Error>,
}

impl<'a> Told<'a> {
    fn new(options: &'a Options, terminal: &'a Terminal) -> Self {
        Told {
            options,
            terminal,
            refused: terminal.several("that were not copied"),
            output: terminal.output(),
            files: 0,
            bytes: 0,
            directories: 0,
            others: 0,
            damaged: 0,
            status: Status::Done,
            failed: None,
        }
    }

    /// What became of one name.
    fn take(&mut self, done: &Done<'_>) {
        let name = done.info.map_or(&b""[..], |info| &info.elem);
        let path = done.above.path_of(name);
        let shown = match &*printable(&path) {
            "" => "the root directory".to_owned(),
            path => path.to_owned(),
        };
        let (state, cause) = match &done.outcome {
            CopyOutcome::Copied => {
                self.count(done);
                self.terminal.detail(|| shown.clone());
                ("copied", None)
            }
            CopyOutcome::Compared => return,
            CopyOutcome::Differs(cause) => {
                self.damaged += 1;
                self.status = self.status.worst(Status::Unverified);
                let text = "copied, but differs from the archive";
                self.terminal.say(&format!("{shown}: {text}: {cause}"));
                ("differs", Some(cause))
            }
            CopyOutcome::Unused => {
                let text = "the archive has its name, but not its contents";
                self.terminal.detail(|| format!("{shown}: {text}"));
                ("unused", None)
            }
            CopyOutcome::Refused(cause) | CopyOutcome::Failed(cause) => {
                self.others += 1;
                self.status = self.status.worst(Status::Failed);
                self.refused.say(&format!("{shown}: not copied: {cause}"));
                ("refused", Some(cause))
            }
            CopyOutcome::Damaged(cause) => {
                self.damaged += 1;
                self.status = self.status.worst(Status::Unverified);
                self.terminal.say(&format!("{shown}: damaged: {cause}"));
                ("damaged", Some(cause))
            }
        };
        if self.options.json {
            let line = ListedName::of(&path, done.info, done.size);
            let line = line.and_state(state, cause.map(String::as_str));
            self.print(&line.json());
        }
        self.terminal.files(self.files, self.bytes);
    }

    fn count(&mut self, done: &Done<'_>) {
        match ListedName::of(b"", done.info, done.size).kind() {
            "directory" => self.directories += 1,
            _ => {
                self.files += 1;
                self.bytes += done.size;
            }
        }
    }

    fn print(&mut self, line: &str) {
        if self.failed.is_none() {
            self.failed = writeln!(self.output, "{line}").err();
        }
    }

    /// What all of it came to.
    fn end(mut self, output: &Path) -> Result<Status> {
        self.terminal.clear();
        let Told {
            files,
            bytes,
            directories,
            others,
            damaged,
            status,
            ..
        } = self;
        if self.options.json {
            let line = listed::summary(&[
                ("files", files),
                ("directories", directories),
                ("bytes", bytes),
                ("damaged", damaged),
                ("refused", others),
                ("status", status.code().into()),
            ]);
            self.print(&line);
        }
        let shown = printable(output.as_os_str().as_encoded_bytes());
        let mut line = format!(
            "{shown}: {} copied",
            listed::totals(files, directories, bytes)
        );
        if others > 0 {
            line = format!("{line}; {others} not copied");
        }
        if damaged > 0 {
            line = format!("{line}; {damaged} damaged");
        }
        drop(self.refused);
        self.terminal.report(&line);
        match self.failed.take() {
            Some(error) => Err(Report::new(error).wrap_err("standard output")),
            None => {
                self.output.flush().wrap_err("standard output")?;
                Ok(status)
            }
        }
    }
}
