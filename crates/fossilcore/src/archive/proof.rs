//! The proof that a venti has an archive: `active` as far as a fossil has to
//! read it to find everything, or every block.
//!
//! Directories are taken in batches. First the metadata of a batch is read,
//! which says where the subdirectories are; then its entries are, and what they
//! lead to: files are asked for, pairs of subdirectory and metadata go on the
//! list. The list is worked off from its end, so it is as long as the
//! directories on the way to the deepest one are wide.

use std::collections::{HashMap, HashSet};
use std::fmt;

use eyre::Result;

use super::tree::{self, Dir};
use super::{Archive, ArchiveError};
use crate::disk::DirEntry;
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;
use venticore::codec::tree::{Entry, block_type};
use venticore::net::client::Client;
use venticore::net::tree::{
    BadBlock, BlockFault, Counts, Leaf, LeafPlan, StreamRequest, TreeError, Visitor, Walker,
};
use venticore::status::{Failure, Status};

/// Directories in a batch.
const BATCH: usize = 64;

/// The most subdirectories of a batch.
const SUBS_MAX: usize = 1 << 20;

/// The most directories that are remembered: those met, and those on the list.
/// An archive made to be large could else take all memory.
const DIRECTORIES_MAX: usize = 1 << 21;

/// Damaged blocks that are kept to be named; the rest is counted.
const NAMED: usize = 16;

/// How much is proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Of what is below the root, nothing.
    Shallow,
    /// `active`: directories, pointers and metadata are read, and
    /// the venti is asked for everything else.
    #[default]
    Active,
    /// Every block is read, the blocks of earlier snapshots too.
    Every,
}

/// What a proof found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// How many blocks were looked at.
    pub counts: Counts,
    /// Directories of `active`.
    pub directories: u64,
    /// The first of what the venti lacks or has damaged.
    pub damaged: Vec<Finding>,
    /// How many there are.
    pub total: u64,
    /// The first of what is invalid, and stored as it was written.
    pub invalid: Vec<Finding>,
    /// How many there are.
    pub total_invalid: u64,
}

/// Something missing or damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The directory it was met in, or what is walked.
    pub place: String,
    /// The block.
    pub damage: BadBlock,
    /// The directory, where the file in it has no name yet.
    dir: Option<Dir>,
}

impl Finding {
    /// Puts the name of the file in the place of the number of its entry, where the
    /// directory can be read.
    fn named(mut self, client: &mut Client) -> Self {
        let (Some(dir), Some(&number)) = (self.dir.take(), self.damage.path.first()) else {
            return self;
        };
        let files = tree::list(client, &dir).unwrap_or_default();
        if let Some(file) = files.iter().find(|file| u64::from(file.entry) == number) {
            self.place = tree::below(&self.place, &file.elem);
            self.damage.path.remove(0);
        }
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.damage)
    }
}

impl Findings {
    /// Nothing is missing or damaged, or invalid.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.total == 0 && self.total_invalid == 0
    }

    fn add(&mut self, place: &str, dir: Option<Dir>, damage: BadBlock) {
        let (all, total) = match damage.fault.is_as_written() {
            true => (&mut self.invalid, &mut self.total_invalid),
            false => (&mut self.damaged, &mut self.total),
        };
        *total += 1;
        if all.len() < NAMED {
            let place = place.to_owned();
            all.push(Finding { place, damage, dir });
        }
    }

    /// With the names of files.
    fn named(self, client: &mut Client) -> Self {
        let mut named = |all: Vec<Finding>| all.into_iter().map(|one| one.named(client)).collect();
        Findings {
            damaged: named(self.damaged),
            invalid: named(self.invalid),
            ..self
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = self.damaged.iter().chain(&self.invalid);
        match (all.next(), self.total + self.total_invalid) {
            (None, _) => f.write_str("nothing is missing or damaged"),
            (Some(first), 1) => first.fmt(f),
            (Some(first), total) => write!(f, "{first}, and {} more", total - 1),
        }
    }
}

/// Proves that the venti has what is below a root. Blocks of `active` may have
/// at most `block_size` bytes.
///
/// # Errors
/// The venti was lost, the archive has no `active`, or more than can be
/// walked.
pub fn prove(
    client: &mut Client,
    archive: &Archive,
    depth: Depth,
    block_size: u64,
    tick: impl FnMut(&Counts),
) -> Result<Findings> {
    if depth == Depth::Shallow {
        return Ok(Findings::default());
    }
    let findings = prove_tree(client, archive, depth, block_size, tick)?;
    Ok(findings.named(client))
}

fn prove_tree<'c>(
    client: &'c mut Client,
    archive: &Archive,
    depth: Depth,
    block_size: u64,
    tick: impl FnMut(&Counts) + 'c,
) -> Result<Findings> {
    let known = (archive.score, BlockType::Root);
    let mut walker = Walker::new(Walker::MEMORY, tick);
    walker.try_probes(client, known)?;
    let mut proof = Proof {
        walker,
        client,
        findings: Findings::default(),
        pending: vec![Pending {
            name: "/".into(),
            dir: archive.directory(),
            top: true,
        }],
        seen: HashSet::new(),
        block_size,
    };
    proof.directories()?;
    // A root directory that cannot be read has told so itself.
    if proof.findings.directories < 2 && proof.findings.is_whole() {
        let refusal = ArchiveError::Shape("expected a directory active in it, found none".into());
        return Err(refusal.report(&archive.score, &"venti"));
    }
    if depth == Depth::Every {
        proof.every(archive)?;
    }
    proof.findings.counts = proof.walker.counts();
    Ok(proof.findings)
}

/// A directory on the list.
struct Pending {
    name: String,
    dir: Dir,
    /// It is the root directory, of which only `active` is wanted.
    top: bool,
}

/// A subdirectory: what the metadata says, and what the entries do.
struct Sub {
    name: String,
    /// The number of its entry, and the number of its metadata's entry.
    numbers: [u32; 2],
    entries: [Option<Entry>; 2],
}

struct Proof<'c> {
    walker: Walker<'c>,
    client: &'c mut Client,
    findings: Findings,
    pending: Vec<Pending>,
    /// Pairs of directory and metadata that were met.
    seen: HashSet<Score>,
    block_size: u64,
}

impl Proof<'_> {
    /// Works off the list.
    fn directories(&mut self) -> Result<()> {
        while !self.pending.is_empty() {
            let batch = self.batch();
            let subs = self.metadata(&batch)?;
            self.entries(&batch, subs)?;
            if self.seen.len() + self.pending.len() > DIRECTORIES_MAX {
                return Err(too_many(DIRECTORIES_MAX, "the archive"));
            }
        }
        Ok(())
    }

    /// The next directories that were not met before.
    fn batch(&mut self) -> Vec<Pending> {
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(next) = self.pending.pop()
        {
            let of = |entry: &Entry| entry.to_bytes().split_off(4);
            let pair = [of(&next.dir.entry), of(&next.dir.meta)].concat();
            if self.seen.insert(Score::of(&pair)) {
                batch.push(next);
            }
        }
        self.findings.directories += batch.len() as u64;
        batch
    }

    /// Reads the metadata of a batch: the subdirectories of each.
    fn metadata(&mut self, batch: &[Pending]) -> Result<Vec<Vec<Sub>>> {
        let mut visit = Metadata {
            batch,
            subs: batch.iter().map(|_| Vec::new()).collect(),
            count: 0,
            findings: &mut self.findings,
        };
        let wanted = wanted(
            batch,
            |dir| (dir.meta, LeafPlan::Give),
            self.block_size,
            &mut visit,
        );
        run(&mut self.walker, self.client, wanted, &mut visit)?;
        if visit.count > SUBS_MAX {
            return Err(too_many(SUBS_MAX, &format!("{BATCH} directories")));
        }
        Ok(visit.subs)
    }

    /// Reads the entries of a batch; puts the subdirectories on the list.
    fn entries(&mut self, batch: &[Pending], subs: Vec<Vec<Sub>>) -> Result<()> {
        let mut visit = EntryVisitor {
            batch,
            roles: subs.iter().map(|subs| roles(subs)).collect(),
            subs,
            block_size: self.block_size,
            findings: &mut self.findings,
        };
        let wanted = wanted(
            batch,
            |dir| (dir.entry, LeafPlan::Follow),
            self.block_size,
            &mut visit,
        );
        run(&mut self.walker, self.client, wanted, &mut visit)?;
        for sub in visit.subs.into_iter().flatten() {
            // An entry that is not in use has no blocks: a fossil shows such
            // a directory and cannot open it, as it could not before.
            let [entry, meta] = sub.entries.map(|entry| entry.unwrap_or(Entry::parse(&[])));
            if entry.active || meta.active {
                self.pending.push(Pending {
                    name: sub.name,
                    dir: Dir { entry, meta },
                    top: false,
                });
            }
        }
        Ok(())
    }

    /// Reads every block below the root that was not read yet.
    fn every(&mut self, archive: &Archive) -> Result<()> {
        let streams: Vec<Entry> = match archive.top {
            Some(top) => vec![top],
            None => archive.sources.into(),
        };
        let wanted = (0..).zip(streams).map(|(number, entry)| StreamRequest {
            entry,
            plan: LeafPlan::Read,
            id: 0,
            path: vec![number],
        });
        let mut visit = Every(&mut self.findings);
        run(&mut self.walker, self.client, wanted.collect(), &mut visit)
    }
}

fn too_many(most: usize, place: &str) -> eyre::Report {
    let text = format!(
        "expected at most {most} directories in {place}, found more: use --shallow and check the archive otherwise"
    );
    Failure::report(Status::Failed, text)
}

fn run(
    walker: &mut Walker<'_>,
    client: &mut Client,
    wanted: Vec<StreamRequest>,
    visit: &mut dyn Visitor,
) -> Result<()> {
    walker
        .run(client, wanted, visit)
        .map_err(|error| match error {
            TreeError::TooMany | TreeError::Deep => {
                let text = format!("{error}: use --shallow and check the archive otherwise");
                Failure::report(Status::Failed, text)
            }
            TreeError::Client(error) => error.into(),
            error => error.into(),
        })
}

/// One stream of each directory. What a fossil could not open is damage.
fn wanted(
    batch: &[Pending],
    pick: impl Fn(&Dir) -> (Entry, LeafPlan),
    block_size: u64,
    visit: &mut dyn Visitor,
) -> Vec<StreamRequest> {
    let mut all = Vec::new();
    for (id, pending) in batch.iter().enumerate() {
        let (entry, plan) = pick(&pending.dir);
        match unusable(&entry, block_size) {
            Some(damage) => visit.damage(id, damage),
            None => all.push(StreamRequest {
                entry,
                plan,
                id,
                path: Vec::new(),
            }),
        }
    }
    all
}

/// What is wrong with an entry whose blocks are larger than the partition's, or
/// whose score a fossil would take for a place on the partition.
fn unusable(entry: &Entry, block_size: u64) -> Option<BadBlock> {
    let largest = entry.psize().max(entry.dsize());
    if !entry.active || entry.score.is_nil() {
        return None;
    }
    let text = match largest > block_size || entry.big {
        true => format!("expected blocks of at most {block_size} bytes, found {largest}"),
        false if entry.local => "expected an entry of a fossil, found the local flag of vac".into(),
        false => return None,
    };
    Some(BadBlock {
        path: Vec::new(),
        at: None,
        ty: block_type(entry.directory, entry.depth),
        score: entry.score,
        fault: BlockFault::Unfit(text),
    })
}

/// What the entries of a directory are for that belong to subdirectories: by
/// their number, which subdirectory, and whether it is the entry of its metadata.
fn roles(subs: &[Sub]) -> HashMap<u64, (usize, usize)> {
    let mut roles = HashMap::new();
    for (sub, found) in subs.iter().enumerate() {
        for (which, &number) in found.numbers.iter().enumerate() {
            roles.insert(number.into(), (sub, which));
        }
    }
    roles
}

/// Takes the metadata of a batch.
struct Metadata<'b> {
    batch: &'b [Pending],
    subs: Vec<Vec<Sub>>,
    count: usize,
    findings: &'b mut Findings,
}

impl Visitor for Metadata<'_> {
    fn leaf(&mut self, leaf: Leaf<'_>) {
        let (Some(of), Some(subs)) = (self.batch.get(leaf.id), self.subs.get_mut(leaf.id)) else {
            return;
        };
        let files = match tree::entries(&tree::padded(leaf.data)) {
            Ok(files) => files,
            Err(error) => {
                let damage = BadBlock {
                    path: Vec::new(),
                    at: None,
                    ty: BlockType::Data,
                    score: Score::of(leaf.data),
                    fault: BlockFault::Format(error.to_string()),
                };
                self.findings.add(&metadata_of(&of.name), None, damage);
                return;
            }
        };
        let directories = files
            .into_iter()
            .filter(|file| file.mode & DirEntry::DIRECTORY != 0)
            .filter(|file| !of.top || file.elem == b"active");
        for file in directories {
            self.count += 1;
            if self.count <= SUBS_MAX {
                subs.push(Sub {
                    name: tree::below(&of.name, &file.elem),
                    numbers: [file.entry, file.meta_entry],
                    entries: [None, None],
                });
            }
        }
    }

    fn damage(&mut self, id: usize, damage: BadBlock) {
        let name = self.batch.get(id).map_or("", |of| &of.name);
        self.findings.add(&metadata_of(name), None, damage);
    }
}

/// Takes the entries of a batch.
struct EntryVisitor<'b> {
    batch: &'b [Pending],
    roles: Vec<HashMap<u64, (usize, usize)>>,
    subs: Vec<Vec<Sub>>,
    block_size: u64,
    findings: &'b mut Findings,
}

impl Visitor for EntryVisitor<'_> {
    fn entry(&mut self, id: usize, number: u64, entry: &Entry) -> Option<LeafPlan> {
        let role = self.roles.get(id).and_then(|roles| roles.get(&number));
        let Some(&(sub, which)) = role else {
            let top = self.batch.get(id).is_some_and(|of| of.top);
            if let (false, Some(mut damage)) = (top, unusable(entry, self.block_size)) {
                damage.path = vec![number];
                self.damage(id, damage);
                return None;
            }
            return (!top).then_some(LeafPlan::Probe);
        };
        let place = self.subs.get_mut(id).and_then(|subs| subs.get_mut(sub));
        if let Some(place) = place.and_then(|sub| sub.entries.get_mut(which)) {
            *place = Some(*entry);
        }
        None
    }

    fn damage(&mut self, id: usize, damage: BadBlock) {
        let of = self.batch.get(id);
        let name = of.map_or("", |of| &of.name);
        self.findings.add(name, of.map(|of| of.dir), damage);
    }
}

/// Takes what is wrong in a walk over everything.
struct Every<'b>(&'b mut Findings);

impl Visitor for Every<'_> {
    fn damage(&mut self, _id: usize, damage: BadBlock) {
        self.0.add("the whole archive", None, damage);
    }
}

fn metadata_of(name: &str) -> String {
    format!("{name}: metadata")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_a_fossil_would_misread_is_damage() {
        let mut entry = Entry::parse(&[7; Entry::LEN]);
        (entry.active, entry.big, entry.local) = (true, false, false);
        let largest = entry.psize().max(entry.dsize());
        assert_eq!(unusable(&entry, largest), None);
        assert!(unusable(&entry, largest - 1).is_some());
        entry.local = true;
        let damage = unusable(&entry, largest).unwrap();
        assert!(damage.to_string().contains("local flag"), "{damage}");
        entry.active = false;
        assert_eq!(unusable(&entry, largest), None);
    }
}
