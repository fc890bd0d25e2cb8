//! The command ventiroots: the roots that arenas hold, told from those that a later
//! root goes on from.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use eyre::{Result, WrapErr};
use serde::Serialize;

use crate::codec::blocktype::BlockType;
use crate::codec::dial::Dial;
use crate::codec::score::Score;
use crate::codec::tree::Root;
use crate::codec::utc::Utc;
use crate::config::Config;
use crate::host::terminal::{SCHEMA, Terminal};
use crate::net::client::{Client, ClientError};
use crate::replica::{OpenedSource, StoreAccess};
use crate::source::roots::{self, RootClump, RootEvent};
use crate::source::{Arena, ArenaSource, ReadAt, notes};
use crate::status::{Failure, Status};
use crate::text::{counted, printable};

/// The most roots that are kept: some 200 bytes each.
const MOST: usize = 1 << 20;

/// What cannot be written, where that is.
const STDOUT: &str = "standard output";

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-a`: also the roots that a later one goes on from.
    pub all: bool,
    /// `-j`: one JSON object a root.
    pub json: bool,
    /// `--every-clump`: read every clump, whatever the directories say.
    pub every_clump: bool,
    /// `-h`: the venti that is asked for each root.
    pub host: Option<String>,
    /// The partitions, or files of one arena each.
    pub partitions: Vec<OsString>,
}

/// Runs the command.
///
/// # Errors
/// A partition cannot be read or holds no arenas, the host cannot be reached, or
/// standard output cannot be written. Damage is in the status.
pub fn run(options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let venti = options.host.as_deref().map(|host| reach(host, config));
    let mut venti = venti.transpose()?;
    let mut search = RootSearch {
        options,
        terminal,
        roots: Vec::new(),
        known: HashSet::new(),
        status: Status::Done,
        arenas: 0,
    };
    for operand in &options.partitions {
        let subject = || operand.to_string_lossy().into_owned();
        search
            .partition(operand, &config.replicas)
            .wrap_err_with(subject)?;
    }
    terminal.clear();
    search.print(venti.as_mut())
}

/// The venti that is asked for each root.
fn reach(host: &str, config: &Config) -> Result<(Dial, Client)> {
    let dial = config
        .dial(host)
        .wrap_err_with(|| format!("host {host:?}"))?;
    let client = Client::dial(&dial, &config.dialer).wrap_err_with(|| dial.to_string())?;
    Ok((dial, client))
}

/// A root, and where it was found first.
struct FoundRoot {
    clump: RootClump,
    partition: Arc<str>,
    arena: Arc<str>,
}

/// The roots of all partitions.
struct RootSearch<'a> {
    options: &'a Options,
    terminal: &'a Terminal,
    roots: Vec<FoundRoot>,
    known: HashSet<Score>,
    status: Status,
    arenas: usize,
}

impl RootSearch<'_> {
    fn partition(&mut self, operand: &OsStr, access: &StoreAccess) -> Result<()> {
        let partition = OpenedSource::named(operand, access)?;
        self.odd(notes::say_wrong(&partition.notes, self.terminal));
        let name: Arc<str> = operand.to_string_lossy().into();
        let arenas = match ArenaSource::read(&partition, 0)? {
            ArenaSource::Single(arena) => {
                self.odd(notes::say_notes(&arena, self.terminal));
                vec![arena]
            }
            ArenaSource::Partition(table) => {
                let (arenas, status) = notes::all_arenas(&partition, &table, self.terminal);
                self.odd(status);
                arenas
            }
        };
        let whole: u64 = arenas.iter().map(|arena| arena.live.used).sum();
        let source: Arc<dyn ReadAt> = Arc::new(partition);
        let mut before = 0;
        for arena in &arenas {
            let terminal = self.terminal;
            let progress = |at| terminal.progress(before + at, whole);
            self.arena(&source, &name, arena, &progress)?;
            before += arena.live.used;
        }
        self.arenas += arenas.len();
        Ok(())
    }

    fn odd(&mut self, status: Status) {
        self.status = self.status.worst(status);
    }

    fn arena(
        &mut self,
        source: &Arc<dyn ReadAt>,
        partition: &Arc<str>,
        arena: &Arena,
        progress: &dyn Fn(u64),
    ) -> Result<()> {
        let name: Arc<str> = arena.name.to_string().into();
        let subject = format!("{partition}: arena {name}");
        let mut damaged = self.terminal.several("damaged stretches of log");
        let every = self.options.every_clump;
        let walked = roots::find(source, arena, every, &mut |event| match event {
            RootEvent::At(offset) => progress(offset),
            RootEvent::Found(clump) => self.add(clump, partition, &name),
            RootEvent::Lost {
                offset,
                clumps,
                why,
            } => {
                self.odd(Status::Partly);
                let clumps = counted(clumps, "clump", "clumps");
                let what = format!("{subject}: {clumps} damaged at {offset:#x}: {why}");
                damaged.say(&format!("{what}; a root among them is not listed"));
            }
        });
        walked.wrap_err(subject)?;
        match self.roots.len() > MOST {
            true => Err(Failure::report(
                Status::Failed,
                format!("expected at most {MOST} roots, found more: name fewer partitions"),
            )),
            false => Ok(()),
        }
    }

    /// Keeps a root that is not known yet.
    fn add(&mut self, clump: RootClump, partition: &Arc<str>, arena: &Arc<str>) {
        if self.roots.len() <= MOST && self.known.insert(clump.score) {
            self.roots.push(FoundRoot {
                clump,
                partition: Arc::clone(partition),
                arena: Arc::clone(arena),
            });
        }
    }

    /// Prints the roots, the oldest first.
    fn print(mut self, mut venti: Option<&mut (Dial, Client)>) -> Result<Status> {
        if self.roots.is_empty() {
            self.terminal.say(&format!(
                "no root in {}",
                counted(self.arenas as u64, "arena", "arenas")
            ));
        }
        self.roots.sort_by_key(|root| root.clump.time);
        let before = self.roots.iter();
        let before = before.filter_map(|found| Some(found.clump.root.as_ref()?.prev));
        let before: HashSet<Score> = before.collect();
        let mut output = self.terminal.output();
        let mut hidden = 0;
        for found in &self.roots {
            let newest = !before.contains(&found.clump.score);
            if !newest && !self.options.all {
                hidden += 1;
                continue;
            }
            let state = venti.as_mut().map(|(dial, client)| {
                let state = state_of(client, &found.clump.score);
                state.wrap_err_with(|| dial.to_string())
            });
            let state = state.transpose()?;
            if state.is_some_and(|state| state != HostState::Readable) {
                self.status = self.status.worst(Status::Unverified);
            }
            match self.options.json {
                true => output.json_line(&json(found, newest, state))?,
                false => writeln!(output, "{}", line(&found.clump, state)).wrap_err(STDOUT)?,
            }
        }
        output.flush().wrap_err(STDOUT)?;
        if hidden > 0 {
            let why = "a later root names each as the one before it";
            self.terminal
                .report(&format!("roots left out: {hidden}; {why}; -a lists them"));
        }
        Ok(self.status)
    }
}

/// Whether a venti has a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum HostState {
    Readable,
    Missing,
    Damaged,
}

impl HostState {
    fn word(self) -> &'static str {
        match self {
            Self::Readable => "readable",
            Self::Missing => "missing",
            Self::Damaged => "damaged",
        }
    }
}

/// # Errors
/// The venti was lost.
fn state_of(client: &mut Client, score: &Score) -> Result<HostState, ClientError> {
    let most = u32::try_from(Root::LEN).unwrap_or(u32::MAX);
    match client.read(score, BlockType::Root, most) {
        Ok(_) => Ok(HostState::Readable),
        Err(error) if error.is_absent() => Ok(HostState::Missing),
        Err(ClientError::Refused { .. } | ClientError::WrongScore { .. }) => Ok(HostState::Damaged),
        Err(error) => Err(error),
    }
}

/// What wrote a root: `fossil`, or what the root says it is of (`vac`, `ext2`).
fn kind(root: &Root) -> String {
    match (&*root.name, &*root.kind) {
        (b"fossil", b"vac") => "fossil".to_owned(),
        (_, kind) => word(kind),
    }
}

/// The label before a score: what the root is of, where that can be one.
fn label(root: Option<&Root>) -> &str {
    let kind = root.and_then(|root| str::from_utf8(&root.kind).ok());
    let is_plain =
        |kind: &&str| kind.chars().all(|c| c.is_ascii_alphanumeric()) && !kind.is_empty();
    kind.filter(is_plain).unwrap_or("vac")
}

/// A text of a root as one word of a line.
fn word(text: &[u8]) -> String {
    let text = printable(text).replace(char::is_whitespace, "_");
    match text.is_empty() {
        true => "-".to_owned(),
        false => text,
    }
}

fn time(clump: &RootClump) -> Option<String> {
    let seconds = Duration::from_secs(clump.time?.into());
    Some(Utc(UNIX_EPOCH + seconds).to_string())
}

/// `vac:SCORE TIME KIND NAME`, and what the host says.
fn line(clump: &RootClump, state: Option<HostState>) -> String {
    let root = clump.root.as_ref();
    let words = [
        format!("{}:{}", label(root), clump.score),
        time(clump).unwrap_or_else(|| "unknown".to_owned()),
        root.map_or_else(|| "unknown".to_owned(), kind),
        root.map_or_else(|| "-".to_owned(), |root| word(&root.name)),
    ];
    let mut line = words.join(" ");
    if let Some(state) = state {
        line.push(' ');
        line.push_str(state.word());
    }
    line
}

/// What `-j` says of a root.
#[derive(Serialize)]
struct RootJson<'a> {
    schema: u32,
    score: String,
    kind: Option<String>,
    name: Option<String>,
    #[serde(rename = "type")]
    root_type: Option<String>,
    time: Option<String>,
    block_size: Option<u64>,
    prev: Option<String>,
    newest: bool,
    partition: &'a str,
    arena: &'a str,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<HostState>,
}

fn json(found: &FoundRoot, newest: bool, host: Option<HostState>) -> RootJson<'_> {
    let root = found.clump.root.as_ref();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let prev = root.map(|root| root.prev).filter(|prev| !prev.is_nil());
    RootJson {
        schema: SCHEMA,
        score: format!("{}:{}", label(root), found.clump.score),
        kind: root.map(kind),
        name: root.map(|root| text(&root.name)),
        root_type: root.map(|root| text(&root.kind)),
        time: time(&found.clump),
        block_size: root.map(Root::block_size),
        prev: prev.map(|prev| format!("{}:{prev}", label(root))),
        newest,
        partition: &found.partition,
        arena: &found.arena,
        offset: found.clump.offset,
        host,
    }
}
