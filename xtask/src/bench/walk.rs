//! `rootcheck` of a large root on plan9port's venti, against the time in which that server
//! answers as many reads, of the same blocks in the order in which they were stored, sent
//! without a pause. The server is started again before each, so that it has nothing in its
//! memory. Then the same over a line of 50 ms, against what its window allows there.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use eyre::ensure;
use venti_tests::command::Command;
use venti_tests::plan9::{Plan9, Venti};
use venti_tests::relay::Relay;
use venti_tests::sample::Sample;
use venti_tests::venti;
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;
use venticore::codec::tree::{Entry, Root};
use venticore::net::client::{Client, Dialer, WINDOW};

use super::{BLOCK, PERCENT_WORDS, spread};
use crate::measure::measure;

/// Blocks of each large file.
const LARGE: usize = 400;

/// Files of a directory.
const FILES: usize = 200;

/// Bytes that a block takes on disk, at most.
const ON_DISK: u64 = 9000;

const ARENA: u64 = 512 << 20;

/// Leaves of the tree that is read over a slow line, and bytes of each.
const FAR: (usize, usize) = (20_000, 512);

/// From a request to its answer on that line.
const ROUND_TRIP: Duration = Duration::from_millis(50);

/// A tree that is being stored.
struct Tree {
    client: Client,
    sample: Sample,
    /// Bytes of a leaf.
    leaf: usize,
    blocks: Vec<(Score, BlockType)>,
}

pub(super) fn run(directory: &Path, blocks: usize, rounds: usize) -> eyre::Result<()> {
    let Ok(plan9) = Plan9::find() else {
        println!("needs a real venti: set $PLAN9");
        return Ok(());
    };
    let bytes = (blocks as u64 * ON_DISK).next_multiple_of(ARENA) + 2 * ARENA;
    let mut venti = Venti::fresh(&plan9, directory, "walk", bytes, ARENA);
    println!("storing {blocks} blocks ...");
    let mut tree = Tree::on(&venti.address(), BLOCK)?;
    let root = tree.store(blocks)?.to_string();
    let stored = tree.blocks;
    drop(tree.client);
    let (mut ratios, mut peaks) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let mut times = [Duration::ZERO; 2];
        // None is always the second.
        for turn in [round % 2, 1 - round % 2] {
            venti.sync();
            venti.stop();
            venti.start();
            times[turn] = match turn {
                0 => reads(&venti, &stored)?,
                _ => {
                    let (took, peak) = check(&venti.address(), &root, stored.len())?;
                    peaks.push(peak);
                    took
                }
            };
        }
        let [reads, check] = times.map(|time| time.as_secs_f64());
        println!("round {round}: reads {reads:6.2} s, rootcheck {check:6.2} s");
        ratios.push(check / reads);
    }
    println!("rootcheck / reads: {}", spread(ratios));
    let peak = peaks.iter().max().unwrap_or(&0) / 1024;
    println!("peak memory of rootcheck: {peak} MB");
    Ok(())
}

/// Reads a tree over a slow line.
pub(super) fn far(rounds: usize) -> eyre::Result<()> {
    let server = venti::Venti::start();
    let (leaves, size) = FAR;
    let mut tree = Tree::on(&server.dial(), size)?;
    let root = tree.store(leaves)?.to_string();
    let port = server
        .dial()
        .rsplit('!')
        .next()
        .unwrap_or_default()
        .parse()?;
    let relay = Relay::slow(port, ROUND_TRIP / 2);
    let windows = u32::try_from(tree.blocks.len().div_ceil(WINDOW))?;
    let allowed = (ROUND_TRIP * windows).as_secs_f64();
    let mut shares = Vec::new();
    for _ in 0..rounds {
        let took = check(&relay.address(), &root, tree.blocks.len())?.0;
        shares.push(allowed / took.as_secs_f64());
    }
    let shares = spread(shares);
    println!("share of what {WINDOW} requests in {ROUND_TRIP:?} allow: {shares}");
    Ok(())
}

fn dial(address: &str) -> eyre::Result<Client> {
    Ok(Client::dial(&address.parse()?, &Dialer::default())?)
}

/// The time that the server takes for all of these.
fn reads(venti: &Venti, blocks: &[(Score, BlockType)]) -> eyre::Result<Duration> {
    let mut client = dial(&venti.address())?;
    let start = Instant::now();
    let mut read = 0;
    client.read_many(blocks.iter().copied(), |_, block| {
        read += usize::from(block.is_ok());
        ControlFlow::Continue(())
    })?;
    let took = start.elapsed();
    ensure!(read == blocks.len(), "{read} of {} blocks", blocks.len());
    Ok(took)
}

/// The time that rootcheck takes for them, and the most memory that it held.
fn check(address: &str, root: &str, blocks: usize) -> eyre::Result<(Duration, u64)> {
    let arguments = ["-h", address, root];
    let mut command = Command::new("rootcheck").args(arguments).prepare();
    let took = measure(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
    println!(
        "rootcheck of {blocks} blocks: processor {:.2} s",
        took.processor
    );
    Ok((took.elapsed, took.peak_kib))
}

impl Tree {
    fn on(address: &str, leaf: usize) -> eyre::Result<Self> {
        Ok(Tree {
            client: dial(address)?,
            sample: Sample::new(1, PERCENT_WORDS),
            leaf,
            blocks: Vec::new(),
        })
    }

    /// Stores this many leaves and what leads to them: directories of large files, and of
    /// files of one block each.
    fn store(&mut self, leaves: usize) -> eyre::Result<Score> {
        let mut entries: Vec<Vec<u8>> = Vec::new();
        let mut left = leaves;
        while left > 0 {
            let large = if entries.len().is_multiple_of(2) {
                LARGE
            } else {
                1
            };
            let mut files = Vec::new();
            while files.len() < FILES / large.min(20) && left > 0 {
                files.push(self.file(large.min(left))?.to_bytes());
                left -= large.min(left);
            }
            let size = files.len() * Entry::LEN;
            let score = self.put(BlockType::Dir, &files.concat())?;
            entries.push(entry(true, 0, size, score).to_bytes());
        }
        let mut level = Vec::new();
        for block in entries.chunks(BLOCK / Entry::LEN) {
            let score = self.put(BlockType::Dir, &block.concat())?;
            level.push(entry(true, 0, block.len() * Entry::LEN, score).to_bytes());
        }
        let root = Root {
            name: Vec::new(),
            kind: b"bench".to_vec(),
            score: self.put(BlockType::Dir, &level.concat())?,
            stored_size: u16::try_from(BLOCK)?,
            big: false,
            prev: Score::ZERO,
        };
        let score = self.put(BlockType::Root, &root.to_bytes())?;
        self.client.sync()?;
        Ok(score)
    }

    fn file(&mut self, leaves: usize) -> eyre::Result<Entry> {
        let mut scores = Vec::new();
        for _ in 0..leaves {
            let block = self.sample.block(self.leaf);
            scores.push(self.put(BlockType::Data, &block)?);
        }
        let size = leaves * self.leaf;
        if let [score] = scores[..] {
            return Ok(self.entry(0, size, score));
        }
        let pointers: Vec<u8> = scores.iter().flat_map(|s| *s.as_bytes()).collect();
        let score = self.put(BlockType::Pointer(1), &pointers)?;
        Ok(self.entry(1, size, score))
    }

    /// The entry of a file.
    fn entry(&self, depth: u8, size: usize, score: Score) -> Entry {
        Entry {
            stored_dsize: u16::try_from(self.leaf).unwrap_or(u16::MAX),
            ..entry(false, depth, size, score)
        }
    }

    fn put(&mut self, ty: BlockType, block: &[u8]) -> eyre::Result<Score> {
        let score = Score::of(block);
        self.client.write(ty, &score, block)?;
        self.blocks.push((score, ty));
        Ok(score)
    }
}

fn entry(directory: bool, depth: u8, size: usize, score: Score) -> Entry {
    Entry {
        stored_psize: 8160,
        stored_dsize: 8192,
        active: true,
        directory,
        depth,
        size: size as u64,
        score,
        ..Entry::parse(&[])
    }
}
