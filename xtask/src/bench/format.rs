//! A reset of a sparse partition of 64 GB: at most 64 MB of memory, and at most
//! three times as long as `dd conv=fsync` takes for as many bytes as its labels
//! have.
//!
//! Over holes and over zeros, where there is nothing to write but two labels,
//! and over the labels of a full file system, which have to be kept and cleared.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use eyre::ensure;
use venti_tests::command;
use venti_tests::golden;
use venti_tests::random::Random;

use super::spread;
use crate::measure::{Measured, measure};

/// The size of the partition.
const LEN: u64 = 64_000_000_000;
const BLOCK: u64 = 8192;
const LABEL: u64 = 14;
const PER_BLOCK: u64 = BLOCK / LABEL;
/// The first label block, behind header and super block.
const LABELS: u64 = 19;
/// A root among the golden archives.
const SCORE: &str = "f50b65b3911fc87ae786cc7970b2e34d1348bd00";
/// The most memory, in KiB.
const MEMORY: u64 = 64 << 10;

/// What the label area holds before.
#[derive(Clone, Copy)]
enum Before {
    Holes,
    /// Zeros that were written: what a format leaves.
    Zeros,
    /// Labels that are in use.
    Labels,
}

pub(super) fn run(directory: &Path, rounds: usize) -> eyre::Result<()> {
    let blocks = LEN / BLOCK - LABELS;
    let data = PER_BLOCK * blocks / (PER_BLOCK + 1);
    let bytes = data.div_ceil(PER_BLOCK) * BLOCK;
    println!("{LEN} bytes, {data} data blocks, {bytes} bytes of labels");
    let venti = golden::archives();
    for before in [Before::Holes, Before::Zeros, Before::Labels] {
        let over = match before {
            Before::Holes => "over holes",
            Before::Zeros => "over zeros",
            Before::Labels => "over labels in use",
        };
        let mut ratios = Vec::new();
        for round in 1..=rounds {
            let partition = directory.join("fossil");
            File::create(&partition)?.set_len(LEN)?;
            match before {
                Before::Holes => {}
                Before::Zeros => clear(&partition, bytes)?,
                Before::Labels => fill(&partition, data)?,
            }
            let copy = copy(directory, bytes)?;
            let ours = reset(directory, &partition, &venti.dial())?;
            println!(
                "round {round}, {over}: fosreset {:6.3} s  processor {:6.2} s  peak {:3} MB  undo file {:4} KB; dd {:6.3} s",
                ours.elapsed.as_secs_f64(),
                ours.processor,
                ours.peak_kib / 1024,
                undo_bytes(directory)? / 1000,
                copy.elapsed.as_secs_f64(),
            );
            ensure!(ours.peak_kib < MEMORY, "peak {} KiB", ours.peak_kib);
            ratios.push(ours.elapsed.as_secs_f64() / copy.elapsed.as_secs_f64());
            std::fs::remove_dir_all(directory.join("state"))?;
            std::fs::remove_file(&partition)?;
        }
        // The labels in use are read, packed, written, and each of that checked.
        let limit = match before {
            Before::Labels => "no limit",
            _ => "required: at most 3",
        };
        println!("{over}, fosreset / dd: {} ({limit})", spread(ratios));
    }
    Ok(())
}

/// Writes zeros where the labels are.
fn clear(partition: &Path, bytes: u64) -> eyre::Result<()> {
    let file = File::options().write(true).open(partition)?;
    file.write_all_at(&vec![0; usize::try_from(bytes)?], LABELS * BLOCK)?;
    file.sync_all()?;
    Ok(())
}

/// Gives a partition the labels of a file system that is full: files of some
/// blocks each, most of them archived.
fn fill(partition: &Path, data: u64) -> eyre::Result<()> {
    let file = File::options().write(true).open(partition)?;
    let mut random = Random::new(1);
    let (mut left, mut label) = (0, Vec::new());
    for block in 0..data.div_ceil(PER_BLOCK) {
        let mut bytes = Vec::with_capacity(usize::try_from(BLOCK)?);
        for _ in 0..PER_BLOCK {
            if left == 0 {
                left = 1 + random.below(24);
                let epoch = u32::try_from(1 + random.below(500))?;
                label = vec![if random.below(3) == 0 { 1 } else { 5 }, 0];
                label.extend(epoch.to_be_bytes());
                label.extend([0xff; 4]);
                label.extend(random.bytes(4));
            }
            left -= 1;
            bytes.extend_from_slice(&label);
        }
        bytes.resize(usize::try_from(BLOCK)?, 0);
        file.write_all_at(&bytes, (LABELS + block) * BLOCK)?;
    }
    file.sync_all()?;
    Ok(())
}

/// What dd takes for `bytes` bytes.
fn copy(directory: &Path, bytes: u64) -> eyre::Result<Measured> {
    let to = directory.join("copy");
    let mut dd = Command::new("dd");
    dd.arg("if=/dev/zero")
        .arg(format!("of={}", to.display()))
        .args(["bs=1M", "iflag=count_bytes", "conv=fsync", "status=none"])
        .arg(format!("count={bytes}"));
    let took = measure(&mut dd)?;
    std::fs::remove_file(to)?;
    Ok(took)
}

fn reset(directory: &Path, partition: &Path, venti: &str) -> eyre::Result<Measured> {
    let mut command = command::Command::new("fosreset")
        // Labels without a header are no fossil.
        .args(["-qyfd"])
        .arg(directory.join("state"))
        .args([SCORE.as_ref(), partition.as_os_str()])
        .arg(venti)
        .prepare();
    command.stdin(Stdio::null()).stdout(Stdio::null());
    measure(&mut command)
}

fn undo_bytes(directory: &Path) -> eyre::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory.join("state"))? {
        let entry = entry?;
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "undo")
        {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
