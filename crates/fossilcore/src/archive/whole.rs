//! Whether a venti has all that lies below a root, of whatever kind: an archive of a
//! fossil, of vac(1), of vbackup(8).

use std::fmt;

use venticore::codec::blocktype::{BLOCK_MAX, BlockName, BlockType};
use venticore::codec::score::Score;
use venticore::codec::tree::{Entry, Root};
use venticore::net::client::Client;
use venticore::net::tree as hashtree;
use venticore::net::tree::{
    BadBlock, BlockFault, Counts, LeafPlan, StreamRequest, TreeError, Visitor, Walker,
};

use super::names::{self, Budget, Layout};
use super::other_type;

/// Bad blocks of a root that are kept to be named; the rest is counted.
const NAMED: usize = 20;

/// The directory of the history, in the root directory of an archive of a fossil.
const HISTORY: &[u8] = b"archive";

/// How a root is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checking {
    /// Data is asked for, and not read.
    pub probe: bool,
    /// The history of a fossil, below `/archive`, is checked too.
    pub history: bool,
}

/// What was found below a root.
#[derive(Clone, Debug, Default)]
pub struct RootFindings {
    /// The root block, where it could be read.
    pub root: Option<Root>,
    /// What the score belongs to, where that is not a root.
    pub other_type: Option<BlockType>,
    /// The blocks that were looked at for this root.
    pub counts: Counts,
    /// The first bad blocks.
    pub bad: Vec<NamedBlock>,
    /// How many blocks are missing.
    pub missing: u64,
    /// How many are there, and are not what they should be.
    pub damaged: u64,
    /// How many are invalid, and stored as they were written.
    pub invalid: u64,
}

/// A bad block, and the file it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedBlock {
    /// The path of the file, as far as it is known.
    pub place: String,
    /// The block.
    pub block: BadBlock,
}

impl fmt::Display for NamedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadBlock {
            ty, score, fault, ..
        } = &self.block;
        write!(f, "{}: {}", self.place, BlockName(*ty, *score))?;
        match self.block.at {
            Some(at) if at > 0 => write!(f, " at byte {at}: {fault}"),
            _ => write!(f, ": {fault}"),
        }
    }
}

impl RootFindings {
    /// How many blocks are bad in any way.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.missing + self.damaged + self.invalid
    }

    fn add(&mut self, block: BadBlock) {
        *match &block.fault {
            BlockFault::Missing => &mut self.missing,
            fault if fault.is_as_written() => &mut self.invalid,
            _ => &mut self.damaged,
        } += 1;
        if self.bad.len() < NAMED {
            let place = String::new();
            self.bad.push(NamedBlock { place, block });
        }
    }
}

/// A check of one root. Where the venti is lost, [`RootCheck::run`] goes on over another
/// connection.
pub struct RootCheck {
    score: Score,
    how: Checking,
    findings: RootFindings,
    is_begun: bool,
    /// What is to be walked, until it is.
    streams: Vec<StreamRequest>,
    /// The entries of the root directory that are passed over, for the history.
    passed_over: Vec<u64>,
    /// Blocks that were read beside the walk, and their bytes.
    beside: Counts,
    /// What the walker had looked at before.
    before: Counts,
}

impl RootCheck {
    /// A check of the root with this score.
    #[must_use]
    pub fn new(score: Score, how: Checking, walker: &Walker<'_>) -> Self {
        RootCheck {
            score,
            how,
            findings: RootFindings::default(),
            is_begun: false,
            streams: Vec::new(),
            passed_over: Vec::new(),
            beside: Counts::default(),
            before: walker.counts(),
        }
    }

    /// Reads the root, and walks over all that lies below, or goes on with that.
    ///
    /// What the walker met before in this run is not looked at again, so it has to
    /// [`Walker::forget`] what it met below a root that is not whole.
    ///
    /// # Errors
    /// The server was lost, or the walk was given up.
    pub fn run(&mut self, client: &mut Client, walker: &mut Walker<'_>) -> Result<(), TreeError> {
        if !self.is_begun {
            self.begin(client, walker)?;
            self.is_begun = true;
        }
        let streams = std::mem::take(&mut self.streams);
        let mut visit = RootVisitor {
            findings: &mut self.findings,
            passed_over: &self.passed_over,
            plan: self.how.plan(),
        };
        walker.run(client, streams, &mut visit)
    }

    /// What was found, the bad blocks by the names of their files as far as these can be
    /// read.
    #[must_use]
    pub fn finish(self, client: &mut Client, walker: &Walker<'_>) -> RootFindings {
        let mut findings = self.findings;
        let (after, before, beside) = (walker.counts(), self.before, self.beside);
        findings.counts = Counts {
            read: after.read - before.read + beside.read,
            bytes: after.bytes - before.bytes + beside.bytes,
            probed: after.probed - before.probed,
            shared: after.shared - before.shared,
            damaged: findings.total(),
        };
        let mut budget = Budget::new();
        for bad in &mut findings.bad {
            let root = findings.root.as_ref();
            bad.place = names::place(client, root, &bad.block, &mut budget);
        }
        findings
    }

    /// Reads the root, and makes up what is to be walked.
    fn begin(&mut self, client: &mut Client, walker: &mut Walker<'_>) -> Result<(), TreeError> {
        let root = match hashtree::read_root(client, &self.score)? {
            Ok(root) => root,
            Err(block) => {
                let is_missing = block.fault == BlockFault::Missing;
                if is_missing {
                    self.findings.other_type = other_type(client, &self.score)?;
                }
                self.findings.add(block);
                return Ok(());
            }
        };
        if self.how.probe {
            walker.try_probes(client, (self.score, BlockType::Root))?;
        }
        let mut beside = Counts {
            read: 1,
            bytes: Root::LEN as u64,
            ..Counts::default()
        };
        let layout = match self.how.history {
            true => None,
            false => Layout::read(client, &root)?.filter(Layout::is_of_fossil),
        };
        let history = match &layout {
            Some(layout) => layout.entries_of(client, HISTORY)?,
            None => Vec::new(),
        };
        let plan = self.how.plan();
        self.streams = match layout {
            Some(layout) if !history.is_empty() => {
                beside.read += layout.blocks;
                beside.bytes += layout.bytes;
                layout.streams(plan)
            }
            _ => vec![everything(&root, plan)],
        };
        self.passed_over = history;
        self.beside = beside;
        self.findings.root = Some(root);
        Ok(())
    }
}

impl Checking {
    fn plan(self) -> LeafPlan {
        match self.probe {
            true => LeafPlan::Probe,
            false => LeafPlan::Read,
        }
    }
}

/// The block below a root as a stream of its own: all that lies below it. It has no entry,
/// and so no size that it could not have.
fn everything(root: &Root, plan: LeafPlan) -> StreamRequest {
    let most = u16::try_from(BLOCK_MAX).unwrap_or(u16::MAX);
    let entry = Entry {
        stored_psize: most,
        stored_dsize: most,
        active: true,
        directory: true,
        size: BLOCK_MAX.into(),
        score: root.score,
        ..Entry::parse(&[])
    };
    StreamRequest {
        entry,
        plan,
        id: 0,
        path: Vec::new(),
    }
}

/// Takes what the walk over a root finds.
struct RootVisitor<'f> {
    findings: &'f mut RootFindings,
    passed_over: &'f [u64],
    plan: LeafPlan,
}

impl Visitor for RootVisitor<'_> {
    fn entry(&mut self, _id: usize, number: u64, _entry: &Entry) -> Option<LeafPlan> {
        (!self.passed_over.contains(&number)).then_some(self.plan)
    }

    fn damage(&mut self, _id: usize, damage: BadBlock) {
        self.findings.add(damage);
    }
}
