//! What a nightly run costs: about 1 MB is new on a partition of gigabytes, or
//! nothing is.
//!
//! The partition is made of a few thousand blocks over and over, which is quick,
//! and lets the target keep them all, so that it can give them back when asked.
//! The C wrarena takes a wrcmd for a partition as a call to send all of it. It
//! goes on from an offset only where it is shown one arena, `PARTITION:LO-HI`.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use eyre::{OptionExt, ensure};
use venti_tests::arena::{Block, Partition, PartitionBuilder};
use venti_tests::plan9::Plan9;
use venti_tests::sample::Sample;

use super::{ARENA, BLOCK, DATA, PERCENT_WORDS, Sink, spread, ventiprog};
use crate::measure::{Measured, measure};

/// Blocks that the log is made of.
const BLOCKS: usize = 4096;
/// How many blocks are new each night.
const NEW: usize = 1_000_000 / BLOCK;

pub(super) fn run(directory: &Path, log_megabytes: u64, rounds: usize) -> eyre::Result<()> {
    let mut sample = Sample::new(2, PERCENT_WORDS);
    let mut partition = make(directory, log_megabytes, &mut sample)?;
    let mut sink = Sink::keeping()?;
    let call = |options: &[&str], sink: &Sink, partition: &Partition| -> eyre::Result<Measured> {
        let mut command = ventiprog(directory, "state", partition);
        measure(command.args(options).arg(&sink.address))
    };
    let seeded = call(&[], &sink, &partition)?;
    println!("the first run:   {}", line(&seeded));

    let wrcmd = directory.join("state/wrcmd");
    let mut nights = Vec::new();
    let mut before = String::new();
    for _ in 0..rounds {
        partition.append_all((0..NEW).map(|_| (DATA, sample.block(BLOCK))))?;
        partition.sync()?;
        before = fs::read_to_string(&wrcmd)?;
        let took = call(&[], &sink, &partition)?;
        println!("{NEW} new blocks: {}", line(&took));
        nights.push(took);
        ensure!(
            fs::read_to_string(&wrcmd)? != before,
            "the wrcmd has not moved"
        );
    }
    for _ in 0..rounds {
        println!("nothing new:    {}", line(&call(&[], &sink, &partition)?));
    }
    let looked = call(&["-n"], &sink, &partition)?;
    println!("the same, -n:   {}", line(&looked));
    println!(
        "(-n reads nothing back: header, table, heads, trailers, a block at the end of each log; \
         reading back adds directory entries, to know what to ask for)"
    );
    say_sizes(&partition);
    let taken = sink.stop()?;
    println!(
        "the target took {} writes, {} reads, {} probes in all",
        taken.writes, taken.reads, taken.probes
    );
    match Plan9::find() {
        Ok(plan9) => beside_c(&plan9, &partition, &before, &nights),
        Err(error) => {
            println!("no C wrarena to compare with: {error}");
            Ok(())
        }
    }
}

/// Makes the partition.
fn make(directory: &Path, megabytes: u64, sample: &mut Sample) -> eyre::Result<Partition> {
    let arenas = usize::try_from(megabytes * 1_000_000 / ARENA)? + 2;
    let mut partition = PartitionBuilder::new()
        .arenas(arenas, ARENA)
        .without_seal_scores()
        .create(&directory.join("large"))?;
    let blocks: Vec<_> = (0..BLOCKS).map(|_| (DATA, sample.block(BLOCK))).collect();
    let blocks = Block::pack_all(&blocks);
    let mut log = 0;
    for block in blocks.iter().cycle() {
        let placed = partition.append_block(block)?;
        log += placed.clump.end() - placed.clump.offset;
        if log >= megabytes * 1_000_000 {
            break;
        }
    }
    partition.sync()?;
    println!(
        "a partition with {} MB of log: {} clumps in {arenas} arenas",
        log / 1_000_000,
        partition.clumps().count()
    );
    Ok(partition)
}

/// What there is to be read by a run that has nothing to send.
fn say_sizes(partition: &Partition) {
    let active = partition
        .arenas()
        .iter()
        .rev()
        .find(|a| a.counters().clumps > 0);
    if let Some(arena) = active {
        println!(
            "the active arena has {} clumps, so {} KB of directory, which tells the roots; \
             256 random clumps have 6 KB of entries",
            arena.counters().clumps,
            arena.counters().clumps * 25 / 1000
        );
    }
}

/// The C tool with the wrcmd that the last of our runs began with.
fn beside_c(
    plan9: &Plan9,
    partition: &Partition,
    wrcmd: &str,
    nights: &[Measured],
) -> eyre::Result<()> {
    let words: Vec<&str> = wrcmd.split_whitespace().collect();
    let [_, _, _, _, head, part, offset] = words[..] else {
        return Err(eyre::eyre!("wrcmd: {wrcmd}"));
    };
    let arenas = partition.arenas().iter();
    let mut ends = arenas.filter(|arena| arena.head().to_string() == head);
    let arena = ends.next().ok_or_eyre("the wrcmd names no arena")?;
    let end = arena.head() + arena.total();
    let one = format!("{part}:{head}-{end}");
    let forms: [(&str, [&str; 4]); 2] = [
        ("C, the same wrcmd", ["-o", head, part, offset]),
        ("C, one arena", ["-o", "0", &one, offset]),
    ];
    for (name, arguments) in forms {
        let mut sink = Sink::start()?;
        let mut command = plan9.command("venti/wrarena");
        command.args(["-h", &sink.address]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let took = measure(command.stderr(Stdio::null()))?;
        println!(
            "{name}: {}, {} blocks sent",
            line(&took),
            sink.stop()?.writes
        );
        let each = nights
            .iter()
            .map(|night| took.elapsed.div_duration_f64(night.elapsed));
        println!("{name}: times our time: {}", spread(each.collect()));
    }
    println!("(required of the same wrcmd: at least 100)");
    Ok(())
}

fn line(took: &Measured) -> String {
    format!(
        "{:7.3} s  processor {:5.2} s  peak {:3} MB  {}",
        took.elapsed.as_secs_f64(),
        took.processor,
        took.peak_kib / 1024,
        took.read_text()
    )
}
