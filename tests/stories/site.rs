//! What the stories of ventiprog with many targets share: a source partition,
//! a state directory, and the files in it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use venti_tests::arena::{Partition, PartitionBuilder};
use venti_tests::command::{Command, Output};
use venti_tests::sample::Sample;
use venti_tests::venti::Venti;
use venticore::codec::blocktype::BlockType;
use venticore::codec::dial::Dial;
use venticore::codec::score::Score;
use venticore::codec::wrcmds::{Progress, Wrcmds};

/// Bytes of each block; noise, so that as many are stored.
pub(crate) const BLOCK: usize = 4096;

/// Bytes of each arena.
const ARENA: u64 = 8 << 20;

/// Short limits and no second try, but for what a story says.
pub(crate) const LIMITS: &str = "[limits]\nconnect = 2\nsilence = 2\nsync = 2\nretries = 0\n";

/// A source partition and a state directory.
pub(crate) struct Site {
    directory: TempDir,
    pub(crate) partition: Partition,
    sample: Sample,
    /// The blocks, by score.
    pub(crate) data: HashMap<Score, (BlockType, Vec<u8>)>,
}

impl Site {
    /// Arenas without clumps.
    pub(crate) fn empty(arenas: usize) -> Self {
        Self::built(&PartitionBuilder::new().arenas(arenas, ARENA))
    }

    /// Two arenas, and blocks in the first.
    pub(crate) fn new(blocks: usize) -> Self {
        let mut site = Self::empty(2);
        site.add(blocks);
        site
    }

    /// The same, and other blocks.
    pub(crate) fn other(blocks: usize) -> Self {
        let mut site = Self::empty(2);
        site.sample = Sample::new(24, 0);
        site.add(blocks);
        site
    }

    pub(crate) fn built(builder: &PartitionBuilder) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let partition = builder.create(&directory.path().join("arenas")).unwrap();
        fs::create_dir(directory.path().join("state")).unwrap();
        Site {
            directory,
            partition,
            sample: Sample::new(23, 0),
            data: HashMap::new(),
        }
    }

    /// Adds data blocks to the arena in use.
    pub(crate) fn add(&mut self, blocks: usize) {
        for _ in 0..blocks {
            let block = self.sample.noise(BLOCK);
            self.put(BlockType::Data, block);
        }
        self.partition.flush().unwrap();
    }

    /// Adds small data blocks: as many clumps as there can be in little space.
    pub(crate) fn add_small(&mut self, blocks: usize) {
        for _ in 0..blocks {
            let block = self.sample.noise(20);
            self.put(BlockType::Data, block);
        }
        self.partition.flush().unwrap();
    }

    /// Adds a block of the first arena once more, as a server does that lost its index.
    pub(crate) fn add_again(&mut self, number: usize) {
        let (block_type, block) = self.data[&self.score(0, number)].clone();
        self.put(block_type, block);
        self.partition.flush().unwrap();
    }

    /// Adds a root.
    pub(crate) fn add_root(&mut self) -> Score {
        let block = self.sample.noise(300);
        let score = self.put(BlockType::Root, block);
        self.partition.flush().unwrap();
        score
    }

    fn put(&mut self, block_type: BlockType, block: Vec<u8>) -> Score {
        let score = Score::of(&block);
        self.partition.append(block_type.to_disk(), &block).unwrap();
        self.data.insert(score, (block_type, block));
        score
    }

    /// Seals the arena in use.
    pub(crate) fn seal(&mut self) {
        self.partition.seal().unwrap();
    }

    /// Formats the partition again, and fills it with other blocks.
    pub(crate) fn format_again(&mut self, builder: &PartitionBuilder) {
        let path = self.partition.path().to_owned();
        self.partition = builder.create(&path).unwrap();
        self.data.clear();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.path("state").join(name)
    }

    /// A state file; nothing where it is not there.
    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.state(name)).unwrap_or_default()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.state(name), text).unwrap();
    }

    pub(crate) fn part(&self) -> String {
        self.partition.path().display().to_string()
    }

    pub(crate) fn head(&self, arena: usize) -> u64 {
        self.partition.arenas()[arena].head()
    }

    /// Where the log of an arena ends.
    pub(crate) fn end(&self, arena: usize) -> u64 {
        self.partition.arenas()[arena].counters().used
    }

    /// Where a clump of the first arena starts.
    pub(crate) fn clump(&self, number: usize) -> u64 {
        self.partition.arenas()[0].clumps()[number].offset
    }

    pub(crate) fn score(&self, arena: usize, number: usize) -> Score {
        self.partition.arenas()[arena].clumps()[number].score
    }

    /// The command that goes on from an offset of an arena.
    pub(crate) fn command(&self, host: &str, arena: usize, offset: u64) -> String {
        let (head, part) = (self.head(arena), self.part());
        format!("wrarena -h {host} -o {head} {part} {offset:#x}")
    }

    pub(crate) fn ventiprog(&self) -> Command {
        Command::new("ventiprog")
            .config(LIMITS)
            .arg("-d")
            .arg(self.path("state"))
    }

    pub(crate) fn ventilag(&self) -> Command {
        Command::new("ventilag")
            .config(LIMITS)
            .arg("-d")
            .arg(self.path("state"))
    }

    /// The first run for these targets, and every further one: no wrcmd is
    /// needed.
    pub(crate) fn run(&self, targets: &[&Venti]) -> Output {
        let targets = targets.iter().map(|venti| venti.dial());
        let command = self.ventiprog().args(["-v", "-p", &self.part()]);
        command.args(targets).run()
    }

    /// The same, and it must end with this status.
    pub(crate) fn runs(&self, targets: &[&Venti], status: i32) -> Output {
        let output = self.run(targets);
        assert_eq!(output.status, status, "{output:?}\n{}", self.file("wrcmds"));
        output
    }

    /// The line of a target.
    pub(crate) fn place(&self, host: &str) -> Option<Progress> {
        self.wrcmds().get(&host.parse().unwrap(), &self.part())
    }

    /// Where the line of a target stands: the arena's number and the offset.
    pub(crate) fn stands(&self, host: &str) -> Option<(usize, u64)> {
        let place = self.place(host)?;
        let mut arenas = self.partition.arenas().iter();
        let arena = arenas.position(|arena| arena.head() == place.head);
        Some((arena.unwrap(), place.offset))
    }

    pub(crate) fn wrcmds(&self) -> Wrcmds {
        match fs::read(self.state("wrcmds")) {
            Ok(bytes) => Wrcmds::parse(&bytes).unwrap(),
            Err(_) => Wrcmds::new(),
        }
    }

    /// Damage remembered for a target.
    pub(crate) fn damages(&self, venti: &Venti) -> usize {
        let dial: Dial = venti.dial().parse().unwrap();
        self.wrcmds().damages(&dial, &self.part()).count()
    }

    /// Clumps before a place that a target does not have.
    pub(crate) fn holes_before(&self, venti: &Venti, (last, offset): (usize, u64)) -> usize {
        let arenas = self.partition.arenas().iter().enumerate();
        let clumps = arenas.flat_map(|(number, arena)| {
            let inside = move |end: u64| number < last || number == last && end <= offset;
            arena.clumps().iter().filter(move |c| inside(c.end()))
        });
        clumps
            .filter(|clump| {
                let block_type = BlockType::from_disk(clump.block_type).unwrap();
                !venti.contains(block_type, &clump.score)
            })
            .count()
    }

    /// All clumps that a target does not have.
    pub(crate) fn holes(&self, venti: &Venti) -> usize {
        self.holes_before(venti, (usize::MAX, 0))
    }

    /// Gives a target blocks as if somebody else had written them.
    pub(crate) fn give(&self, venti: &Venti, scores: impl IntoIterator<Item = Score>) {
        for score in scores {
            let (block_type, data) = &self.data[&score];
            venti.insert(*block_type, data);
        }
    }

    /// What was said, with this run's ports, paths and times taken out.
    pub(crate) fn hermetic(&self, text: &str, names: &[(&str, &str)]) -> String {
        let mut text = text.replace(&self.directory.path().display().to_string(), "DIR");
        let names: BTreeMap<_, _> = names.iter().copied().collect();
        for (found, name) in names.iter().rev() {
            text = text.replace(found, name);
        }
        let words = text.split_inclusive([' ', '\n']).map(|word| {
            let bare = word.trim_end();
            let time = bare.strip_prefix("time=").unwrap_or(bare);
            match is_time(time) {
                true => word.replace(time, "TIME"),
                false => word.to_owned(),
            }
        });
        words.collect()
    }
}

/// `2026-11-22T04:00:00Z`
fn is_time(word: &str) -> bool {
    word.len() == 20 && word.ends_with('Z') && word.as_bytes().get(10) == Some(&b'T')
}
