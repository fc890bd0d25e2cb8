//! What is printed and said.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use eyre::{Result, WrapErr};
use serde::Serialize;

use super::Options;
use super::roots::AskedRoot;
use super::target::{Decided, Outcome};
use crate::archive::NamedBlock;
use venticore::codec::target::TargetName;
use venticore::codec::verified::Verdict;
use venticore::host::terminal::{Output, Terminal};
use venticore::net::tree::Counts;
use venticore::status::Status;
use venticore::text::counted;

/// The version of the JSON lines.
const SCHEMA: u32 = 1;

/// Hex digits of a root's score in messages: a score is a key, and messages end up in logs.
const DIGITS: usize = 8;

/// Blocks of all targets, for the progress line.
pub(super) struct Progress<'a> {
    terminal: &'a Terminal,
    counts: Mutex<Vec<(u64, u64)>>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(terminal: &'a Terminal, targets: usize) -> Self {
        Progress {
            terminal,
            counts: Mutex::new(vec![(0, 0); targets]),
        }
    }

    /// What is told of one target.
    pub(super) fn of(&self, target: usize) -> impl FnMut(&Counts) + '_ {
        move |counts| {
            let mut all = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(of) = all.get_mut(target) {
                *of = (counts.read + counts.probed, counts.bytes);
            }
            let sum = all
                .iter()
                .fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
            drop(all);
            self.terminal.looking(sum.0, sum.1);
        }
    }
}

/// Tells of outcomes as they come.
pub(super) struct Reporter<'a> {
    options: &'a Options,
    terminal: &'a Terminal,
    output: Output,
    pub(super) status: Status,
    /// Targets that could not be reached, or were lost; and the worst that was said there.
    lost: usize,
    lost_status: Status,
    decided: usize,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: u32,
    score: String,
    target: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    partitions: &'a [String],
    /// None where it was not decided.
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
}

#[derive(Serialize)]
struct Found {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    blocks: u64,
    bytes: u64,
    read: u64,
    probed: u64,
    shared: u64,
    missing: u64,
    damaged: u64,
    invalid: u64,
    bad: Vec<Bad>,
}

#[derive(Serialize)]
struct Bad {
    path: String,
    /// Bytes of the file before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(rename = "type")]
    ty: String,
    score: String,
    fault: String,
}

impl From<&NamedBlock> for Bad {
    fn from(bad: &NamedBlock) -> Self {
        Bad {
            path: bad.place.clone(),
            offset: bad.block.at,
            ty: bad.block.ty.to_string(),
            score: bad.block.score.to_string(),
            fault: bad.block.fault.to_string(),
        }
    }
}

impl<'a> Reporter<'a> {
    pub(super) fn new(options: &'a Options, terminal: &'a Terminal) -> Self {
        Reporter {
            options,
            terminal,
            output: terminal.output(),
            status: Status::Done,
            lost: 0,
            lost_status: Status::Done,
            decided: 0,
        }
    }

    /// Tells of one.
    pub(super) fn tell(&mut self, outcome: &Outcome) -> Result<()> {
        match outcome {
            Outcome::Decided(decided) => {
                self.decided += 1;
                self.decided(decided)
            }
            Outcome::Undecided {
                target,
                root,
                error,
            } => {
                self.status = self.status.worst(Status::Failed);
                let named = named(target, root);
                self.terminal.say(&format!("{named}: {error}"));
                self.undecided(target, root, &error.to_string())
            }
            Outcome::Lost {
                target,
                roots,
                error,
            } => {
                self.lost += 1;
                self.lost_status = self.lost_status.worst(error.status());
                self.terminal.say(&format!("{target}: {error}"));
                roots
                    .iter()
                    .try_for_each(|root| self.undecided(target, root, &error.to_string()))
            }
        }
    }

    /// How the run ends. Where nothing was decided, it ends as the targets did.
    pub(super) fn end(self, targets: usize) -> Status {
        let of_lost = match self.lost {
            0 => Status::Done,
            lost if lost == targets && self.decided == 0 => self.lost_status,
            _ => Status::Partly,
        };
        self.status.worst(of_lost)
    }

    fn decided(&mut self, decided: &Decided) -> Result<()> {
        let Decided {
            target,
            root,
            findings,
        } = decided;
        let named = named(target, root);
        if let Some(ty) = findings.other_type {
            let error =
                format!("not a root: expected a root block, found a {ty} block of this score");
            self.terminal.say(&format!("{named}: {error}"));
            self.status = self.status.worst(Status::Unverified);
            return self.undecided(target, root, &error);
        }
        let Some(verdict) = decided.verdict(self.options) else {
            return Ok(());
        };
        if !verdict.is_good() {
            self.status = self.status.worst(Status::Unverified);
        }
        for bad in &findings.bad {
            self.terminal.say(&format!("{named}: {bad}"));
        }
        let more = findings.total() - findings.bad.len() as u64;
        if more > 0 {
            let more = counted(more, "more bad block", "more bad blocks");
            self.terminal.say(&format!("{named}: and {more}"));
        }
        let counts = findings.counts;
        self.terminal.detail(|| {
            format!(
                "{named}: {verdict}: {} read, {} asked for, {} checked before",
                counted(counts.read, "block", "blocks"),
                counts.probed,
                counts.shared
            )
        });
        if self.options.json {
            let found = Some(Self::found(decided));
            return self.json(target, root, Some(verdict), None, found);
        }
        if self.options.quiet && verdict.is_good() {
            return Ok(());
        }
        let (blocks, bytes) = (decided.blocks(), counts.bytes);
        let line = format!("vac:{} {target} {verdict} {blocks} {bytes}", root.score);
        let printed = self.terminal.aside(|| writeln!(self.output, "{line}"));
        printed.wrap_err("standard output")
    }

    fn undecided(&mut self, target: &TargetName, root: &AskedRoot, error: &str) -> Result<()> {
        match self.options.json {
            true => self.json(target, root, None, Some(error.to_owned()), None),
            false => Ok(()),
        }
    }

    fn found(decided: &Decided) -> Found {
        let findings = &decided.findings;
        let text = |of: fn(&venticore::codec::tree::Root) -> &Vec<u8>| {
            let bytes = findings.root.as_ref().map(of).cloned().unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Found {
            kind: text(|root| &root.kind),
            name: text(|root| &root.name),
            blocks: decided.blocks(),
            bytes: findings.counts.bytes,
            read: findings.counts.read,
            probed: findings.counts.probed,
            shared: findings.counts.shared,
            missing: findings.missing,
            damaged: findings.damaged,
            invalid: findings.invalid,
            bad: findings.bad.iter().map(Bad::from).collect(),
        }
    }

    fn json(
        &mut self,
        target: &TargetName,
        root: &AskedRoot,
        verdict: Option<Verdict>,
        error: Option<String>,
        found: Option<Found>,
    ) -> Result<()> {
        let line = Json {
            schema: SCHEMA,
            score: format!("vac:{}", root.score),
            target: target.to_string(),
            partitions: &root.partitions,
            verdict: verdict.map(Verdict::word),
            error,
            found,
        };
        self.terminal.aside(|| self.output.json_line(&line))
    }
}

/// A root on a target, for a message.
fn named(target: &TargetName, root: &AskedRoot) -> String {
    let digits: String = root.score.to_string().chars().take(DIGITS).collect();
    match &root.partitions[..] {
        [] => format!("{target}: root {digits}"),
        of => format!("{target}: root {digits} of {}", of.join(" and ")),
    }
}

#[derive(Serialize)]
struct Planned<'a> {
    schema: u32,
    dry_run: bool,
    score: String,
    target: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    partitions: &'a [String],
}

/// Prints which roots would be checked on which targets.
pub(super) fn say_plan(
    roots: &[AskedRoot],
    targets: &[TargetName],
    options: &Options,
    terminal: &Terminal,
) -> Result<Status> {
    let mut output = terminal.output();
    for root in roots {
        for target in targets {
            let score = root.score;
            if options.json {
                let planned = Planned {
                    schema: SCHEMA,
                    dry_run: true,
                    score: format!("vac:{score}"),
                    target: target.to_string(),
                    partitions: &root.partitions,
                };
                output.json_line(&planned)?;
            } else {
                writeln!(output, "vac:{score} {target}").wrap_err("standard output")?;
            }
        }
    }
    Ok(Status::Done)
}
