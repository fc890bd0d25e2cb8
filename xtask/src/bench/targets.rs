//! One pass over the source for all targets: three null sinks must not cost
//! `ventiprog` itself more than 1.5 times what one does.
//!
//! Each clump is read once, by the bytes that the process has read (`rchar` of
//! `/proc/PID/io`, which does not count sockets), and decoded once, by its own
//! count (`-j`), which must be the number of the clumps.

use std::fs::File;

use eyre::{OptionExt, ensure};
use venti_tests::arena::Partition;

use super::{Sink, spread, ventiprog};
use crate::measure::{Measured, measure};

pub(super) fn run(partition: &Partition, rounds: usize) -> eyre::Result<()> {
    let log: u64 = partition.arenas().iter().map(|a| a.counters().used).sum();
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        // The order changes, so that none is always the second.
        let mut took = if round % 2 == 0 { [3, 1] } else { [1, 3] }.map(|n| (n, None));
        for (targets, measured) in &mut took {
            *measured = Some(send(partition, *targets)?);
        }
        took.sort_by_key(|(targets, _)| *targets);
        if let [(_, Some(one)), (_, Some(three))] = took {
            for (targets, m) in [(1, one), (3, three)] {
                println!(
                    "round {round}: {targets} target(s) {:6.2} s  processor {:6.2} s  peak {:4} MB  \
                     {}, of a log of {log} bytes; each clump decoded once",
                    m.elapsed.as_secs_f64(),
                    m.processor,
                    m.peak_kib / 1024,
                    m.read_text(),
                );
            }
            ratios.push(three.processor / one.processor);
        }
    }
    println!(
        "processor time, three targets / one: {} (required: at most 1.5)",
        spread(ratios)
    );
    Ok(())
}

/// A run into fresh sinks, which must take every block.
fn send(partition: &Partition, targets: usize) -> eyre::Result<Measured> {
    let directory = tempfile::tempdir()?;
    let mut sinks = Vec::new();
    for _ in 0..targets {
        sinks.push(Sink::start()?);
    }
    let said = directory.path().join("said");
    let mut command = ventiprog(directory.path(), "state", partition);
    command.stdout(File::create(&said)?).arg("-j");
    command.args(sinks.iter().map(|sink| &sink.address));
    let took = measure(&mut command)?;
    let expected = partition.clumps().count();
    let decoded = decoded(&std::fs::read_to_string(said)?)?;
    ensure!(
        decoded == expected,
        "{decoded} clumps were decoded, there are {expected}"
    );
    for sink in &mut sinks {
        let found = sink.stop()?.writes;
        ensure!(found == expected, "{found} of {expected} blocks were sent");
    }
    Ok(took)
}

/// How many clumps a run has decoded, by the last line of what it says in JSON.
fn decoded(said: &str) -> eyre::Result<usize> {
    let last = said.lines().last().ok_or_eyre("ventiprog said nothing")?;
    let run: serde_json::Value = serde_json::from_str(last)?;
    let decoded = run["decoded"].as_u64();
    Ok(usize::try_from(
        decoded.ok_or_eyre("no count of clumps decoded")?,
    )?)
}
