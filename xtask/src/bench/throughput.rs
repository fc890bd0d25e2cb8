//! Our `wrarena` and, with `$PLAN9`, the C one send the same partition to the
//! same hashing null sink, in alternation. A run that did not bring all blocks
//! does not count.

use std::process::Stdio;

use eyre::{OptionExt, ensure};
use venti_tests::arena::Partition;
use venti_tests::command;
use venti_tests::plan9::Plan9;

use super::{BLOCK, Sink, spread};
use crate::measure::{Measured, measure};

/// A program that sends a partition, as `PROGRAM -h HOST PARTITION`.
struct Contender {
    name: &'static str,
    plan9: Option<Plan9>,
    took: Vec<Measured>,
}

pub(super) fn run(partition: &Partition, rounds: usize) -> eyre::Result<()> {
    let mut contenders = contenders();
    for round in 1..=rounds {
        for contender in in_turn(&mut contenders, round) {
            contender.send(partition)?;
            println!(
                "round {round}: {}",
                contender.line(partition.clumps().count())?
            );
        }
    }
    summary(&contenders)
}

/// Ours, and the C one where it is.
fn contenders() -> Vec<Contender> {
    let mut contenders = vec![Contender {
        name: "native",
        plan9: None,
        took: Vec::new(),
    }];
    match Plan9::find() {
        Ok(plan9) => contenders.push(Contender {
            name: "C",
            plan9: Some(plan9),
            took: Vec::new(),
        }),
        Err(error) => println!("no C wrarena to compare with: {error}"),
    }
    contenders
}

/// The order changes from round to round, so that none is always the second.
fn in_turn(contenders: &mut [Contender], round: usize) -> Vec<&mut Contender> {
    let mut turn: Vec<&mut Contender> = contenders.iter_mut().collect();
    if round.is_multiple_of(2) {
        turn.reverse();
    }
    turn
}

impl Contender {
    /// One run into a fresh sink, which must take every block.
    fn send(&mut self, partition: &Partition) -> eyre::Result<()> {
        let mut sink = Sink::start()?;
        let mut c = self
            .plan9
            .as_ref()
            .map(|plan9| plan9.command("venti/wrarena"));
        let mut ours = command::Command::new("wrarena").prepare();
        let command = c.as_mut().unwrap_or(&mut ours);
        command
            .args(["-h", &sink.address])
            .arg(partition.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let took = measure(command)?;
        let (found, expected) = (sink.stop()?.writes, partition.clumps().count());
        ensure!(
            found == expected,
            "{} sent {found} of {expected} blocks",
            self.name
        );
        self.took.push(took);
        Ok(())
    }

    fn line(&self, blocks: usize) -> eyre::Result<String> {
        let took = self.took.last().ok_or_eyre("no run")?;
        let megabytes = f64::from(u32::try_from(blocks * BLOCK / 1_000_000)?);
        Ok(format!(
            "{:<7} {:6.2} s  {:6.1} MB/s  processor {:6.2} s  peak {:4} MB",
            self.name,
            took.elapsed.as_secs_f64(),
            megabytes / took.elapsed.as_secs_f64(),
            took.processor,
            took.peak_kib / 1024,
        ))
    }
}

fn summary(contenders: &[Contender]) -> eyre::Result<()> {
    for contender in contenders {
        let name = contender.name;
        let each = |f: fn(&Measured) -> f64| spread(contender.took.iter().map(f).collect());
        println!("{name}: seconds {}", each(|m| m.elapsed.as_secs_f64()));
        println!("{name}: processor seconds {}", each(|m| m.processor));
        let peak = contender.took.iter().map(|m| m.peak_kib).max();
        println!(
            "{name}: peak memory {} MB",
            peak.ok_or_eyre("no run")? / 1024
        );
    }
    if let [native, c] = contenders {
        let ratios = |f: fn(&Measured) -> f64| {
            let pairs = c.took.iter().zip(&native.took);
            spread(pairs.map(|(c, native)| f(c) / f(native)).collect())
        };
        println!(
            "throughput, times the C one: {}",
            ratios(|m| m.elapsed.as_secs_f64())
        );
        println!("processor time, C / native:  {}", ratios(|m| m.processor));
    }
    Ok(())
}
