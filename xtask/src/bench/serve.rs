//! `ventiserve` beside plan9port's venti: the same blocks over one connection on the loopback,
//! written to an empty server, written again, probed, and read back by servers that have
//! nothing in their memory.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use eyre::ensure;
use venti_tests::plan9::{Plan9, Venti};
use venti_tests::served::Served;
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;
use venticore::net::client::{Client, Dialer, Presence};

use super::{ARENA, BLOCK, spread};

/// What is read for blocks: text and programs that are on every machine that builds this.
const ROOMS: [&str; 2] = ["share", "lib"];

const WHAT: [&str; 4] = ["fresh writes", "duplicate writes", "probes", "reads"];

type Block = (Score, Vec<u8>);

pub(super) fn run(directory: &Path, megabytes: u64, rounds: usize) -> eyre::Result<()> {
    let blocks = blocks(megabytes)?;
    println!(
        "{} blocks of {BLOCK} bytes of the Rust toolchain",
        blocks.len()
    );
    let plan9 = Plan9::find().ok();
    if plan9.is_none() {
        println!("ventiserve alone: for the other set $PLAN9");
    }
    let mut ratios = [const { Vec::new() }; WHAT.len()];
    for round in 1..=rounds {
        let ours = ours(directory, &blocks)?;
        println!(
            "round {round}: ventiserve {}",
            per_second(blocks.len(), ours)
        );
        if let Some(plan9) = &plan9 {
            let theirs = theirs(plan9, directory, &blocks)?;
            println!(
                "round {round}: plan9port  {}",
                per_second(blocks.len(), theirs)
            );
            for (ratios, (ours, theirs)) in ratios.iter_mut().zip(ours.iter().zip(theirs)) {
                ratios.push(theirs.as_secs_f64() / ours.as_secs_f64());
            }
        }
    }
    for (what, ratios) in WHAT.iter().zip(ratios) {
        if !ratios.is_empty() {
            println!("{what}, ours against theirs: {}", spread(ratios));
        }
    }
    Ok(())
}

fn per_second(blocks: usize, times: [Duration; WHAT.len()]) -> String {
    let rate = |(what, time): (&&str, Duration)| {
        format!("{what} {:.0}/s", blocks as f64 / time.as_secs_f64())
    };
    let rates: Vec<String> = WHAT.iter().zip(times).map(rate).collect();
    rates.join(", ")
}

/// Distinct blocks, in the order of the files they come from.
fn blocks(megabytes: u64) -> eyre::Result<Vec<Block>> {
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()?;
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout)?.trim());
    let mut blocks = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (number, room) in ROOMS.iter().enumerate() {
        let most = usize::try_from(megabytes)? * (1 << 20) / BLOCK * (number + 1) / ROOMS.len();
        let mut open = vec![sysroot.join(room)];
        while let Some(path) = open.pop()
            && blocks.len() < most
        {
            if path.is_dir() {
                let inside = fs::read_dir(&path)?.map(|entry| entry.map(|entry| entry.path()));
                open.extend(inside.collect::<Result<Vec<_>, _>>()?);
                continue;
            }
            if !path.is_file() {
                continue;
            }
            for block in fs::read(&path)?.chunks(BLOCK).take(most - blocks.len()) {
                let score = Score::of(block);
                if seen.insert(score) {
                    blocks.push((score, block.to_vec()));
                }
            }
        }
    }
    ensure!(!blocks.is_empty(), "{}: nothing to read", sysroot.display());
    Ok(blocks)
}

fn theirs(plan9: &Plan9, directory: &Path, blocks: &[Block]) -> eyre::Result<[Duration; 4]> {
    let scratch = tempfile::tempdir_in(directory)?;
    let bytes = (blocks.len() * BLOCK) as u64 * 5 / 4 + 2 * ARENA;
    let mut venti = Venti::fresh(plan9, scratch.path(), "theirs", bytes, ARENA);
    let written = write(&venti.address(), blocks)?;
    let again = write(&venti.address(), blocks)?;
    venti.stop();
    venti.start();
    let probed = probe(&venti.address(), blocks)?;
    venti.stop();
    venti.start();
    let read = read(&venti.address(), blocks)?;
    Ok([written, again, probed, read])
}

fn ours(directory: &Path, blocks: &[Block]) -> eyre::Result<[Duration; 4]> {
    let scratch = tempfile::tempdir_in(directory)?;
    let store = scratch.path().join("ours");
    let bytes = (blocks.len() * BLOCK) as u64 * 5 / 4 + 2 * ARENA;
    let server = Served::with(&["-c", &bytes.to_string()], &store);
    let written = write(&server.dial(), blocks)?;
    let again = write(&server.dial(), blocks)?;
    drop(server);
    let server = Served::with::<&str>(&[], &store);
    let probed = probe(&server.dial(), blocks)?;
    drop(server);
    let server = Served::with::<&str>(&[], &store);
    let read = read(&server.dial(), blocks)?;
    Ok([written, again, probed, read])
}

fn dial(address: &str) -> eyre::Result<Client> {
    Ok(Client::dial(&address.parse()?, &Dialer::default())?)
}

fn write(address: &str, blocks: &[Block]) -> eyre::Result<Duration> {
    let mut client = dial(address)?;
    let start = Instant::now();
    let all = blocks
        .iter()
        .map(|(score, block)| (BlockType::Data, *score, &**block));
    client.write_all(all)?;
    client.sync()?;
    Ok(start.elapsed())
}

fn probe(address: &str, blocks: &[Block]) -> eyre::Result<Duration> {
    let mut client = dial(address)?;
    let start = Instant::now();
    let mut found = 0;
    client.probe_many(wanted(blocks), |_, presence| {
        found += usize::from(matches!(presence, Presence::Present { .. }));
        ControlFlow::Continue(())
    })?;
    ensure!(found == blocks.len(), "{found} of {} blocks", blocks.len());
    Ok(start.elapsed())
}

fn read(address: &str, blocks: &[Block]) -> eyre::Result<Duration> {
    let mut client = dial(address)?;
    let start = Instant::now();
    let mut found = 0;
    client.read_many(wanted(blocks), |_, block| {
        found += usize::from(block.is_ok());
        ControlFlow::Continue(())
    })?;
    ensure!(found == blocks.len(), "{found} of {} blocks", blocks.len());
    Ok(start.elapsed())
}

fn wanted(blocks: &[Block]) -> impl Iterator<Item = (Score, BlockType)> {
    blocks.iter().map(|(score, _)| (*score, BlockType::Data))
}
