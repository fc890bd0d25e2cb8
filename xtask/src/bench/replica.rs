//! `ventiprog` to a replica in a directory, beside `cp` of the same partition to the same disk;
//! both until the bytes are on it. Every clump is decompressed and hashed on the way.

use std::path::Path;
use std::process::Command;

use venti_tests::arena::Partition;

use super::{spread, ventiprog};
use crate::measure::{Measured, measure};

pub(super) fn run(directory: &Path, partition: &Partition, rounds: usize) -> eyre::Result<()> {
    let log: u64 = partition.arenas().iter().map(|a| a.counters().used).sum();
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let ours = replicate(directory, partition)?;
        let theirs = copy(directory, partition)?;
        let speed = |seconds: f64| log as f64 / 1e6 / seconds;
        let ours_took = ours.elapsed.as_secs_f64();
        println!(
            "round {round}: ventiprog {:6.0} MB/s  processor {:5.2} s  peak {:3} MB; cp and sync {:6.0} MB/s",
            speed(ours_took),
            ours.processor,
            ours.peak_kib / 1024,
            speed(theirs),
        );
        ratios.push(theirs / ours_took);
    }
    println!(
        "speed, ventiprog / cp: {} (required: at least 0.8)",
        spread(ratios)
    );
    Ok(())
}

/// A run to a new replica.
fn replicate(directory: &Path, partition: &Partition) -> eyre::Result<Measured> {
    let place = tempfile::tempdir_in(directory)?;
    let disk = place.path().join("disk");
    std::fs::create_dir(&disk)?;
    let mut command = ventiprog(place.path(), "state", partition);
    command.arg(format!("dir:{}", disk.display()));
    measure(&mut command)
}

/// Seconds until a copy is on the disk.
fn copy(directory: &Path, partition: &Partition) -> eyre::Result<f64> {
    let place = tempfile::tempdir_in(directory)?;
    let copy = place.path().join("copy");
    let copied = measure(Command::new("cp").arg(partition.path()).arg(&copy))?;
    let synced = measure(Command::new("sync").arg(&copy))?;
    Ok((copied.elapsed + synced.elapsed).as_secs_f64())
}
