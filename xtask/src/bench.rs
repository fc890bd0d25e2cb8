//! `cargo xtask bench [--rounds N] [--megabytes N]`: our `wrarena` and, with
//! `$PLAN9`, the C one send the same partition to the same hashing null sink,
//! in alternation.
//!
//! The sink is a process of its own, so that its processor time is not counted
//! as the client's; it says how many blocks it took, and a run that did not
//! bring all of them does not count.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use eyre::{OptionExt, WrapErr, ensure};
use lexopt::{Arg, Parser, ValueExt};
use venti_tests::arena::{Partition, PartitionBuilder};
use venti_tests::command;
use venti_tests::plan9::Plan9;
use venti_tests::sample::Sample;

use crate::measure::{Measured, measure};

const BLOCK: usize = 8192;
const PERCENT_WORDS: usize = 65;
const DATA: u8 = 13;
const ARENA: u64 = 512 << 20;

/// What was asked for.
struct Options {
    rounds: usize,
    megabytes: u64,
}

/// A program that sends a partition, as `PROGRAM -h HOST PARTITION`.
struct Contender {
    name: &'static str,
    program: std::path::PathBuf,
    plan9: Option<Plan9>,
    took: Vec<Measured>,
}

pub(crate) fn run(arguments: &[OsString]) -> eyre::Result<()> {
    let options = Options::parse(arguments)?;
    let mut build = crate::cargo();
    build.args(["build", "--release", "-p", "wrarena", "-p", "xtask"]);
    crate::succeed(&mut build)?;
    if cfg!(debug_assertions) {
        // The sink and the maker of the partition have to be fast, too.
        let mut again = crate::cargo();
        again.args(["run", "--release", "-q", "-p", "xtask", "--", "bench"]);
        return crate::succeed(again.args(arguments));
    }
    let directory = tempfile::tempdir()?;
    let partition = make_partition(&directory.path().join("arenas"), options.megabytes)?;
    let mut contenders = contenders();
    for round in 1..=options.rounds {
        for contender in in_turn(&mut contenders, round) {
            contender.send(&partition)?;
            println!(
                "round {round}: {}",
                contender.line(partition.clumps().count())?
            );
        }
    }
    summary(&contenders)
}

impl Options {
    fn parse(arguments: &[OsString]) -> eyre::Result<Self> {
        let mut options = Options {
            rounds: 5,
            megabytes: 840,
        };
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("rounds") => options.rounds = parser.value()?.parse()?,
                Arg::Long("megabytes") => options.megabytes = parser.value()?.parse()?,
                other => return Err(other.unexpected().into()),
            }
        }
        ensure!(options.rounds > 0, "--rounds: at least one");
        Ok(options)
    }
}

/// Ours, and the C one where it is.
fn contenders() -> Vec<Contender> {
    let mut contenders = vec![Contender {
        name: "native",
        program: command::binary("wrarena"),
        plan9: None,
        took: Vec::new(),
    }];
    match Plan9::find() {
        Ok(plan9) => contenders.push(Contender {
            name: "C",
            program: plan9.program("venti/wrarena"),
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

/// Makes the partition and prints what is in it.
fn make_partition(path: &Path, megabytes: u64) -> eyre::Result<Partition> {
    let blocks = megabytes * 1_000_000 / BLOCK as u64;
    println!("making a partition of {blocks} blocks of {BLOCK} bytes ...");
    let arenas = usize::try_from(megabytes * 1_000_000 / ARENA)? + 2;
    let mut partition = PartitionBuilder::new()
        .arenas(arenas, ARENA)
        .without_seal_scores()
        .create(path)?;
    let mut sample = Sample::new(1, PERCENT_WORDS);
    partition.append_all((0..blocks).map(|_| (DATA, sample.block(BLOCK))))?;
    partition.sync()?;
    print_mix(&partition);
    Ok(partition)
}

fn print_mix(partition: &Partition) {
    let (mut words, mut stored, mut log) = (0_u32, 0_u64, 0_u64);
    let mut all = 0_u32;
    for clump in partition.clumps() {
        all += 1;
        log = log.saturating_add(clump.end() - clump.offset);
        if clump.encoding == 2 {
            words += 1;
            stored += u64::from(clump.stored);
        }
    }
    let percent = f64::from(words) * 100.0 / f64::from(all.max(1));
    let size = u64::from(words.max(1)) * BLOCK as u64;
    println!(
        "the mix: {percent:.1} % words, compressed to {}.{} % of their size; the rest random; \
         log {} MB",
        stored * 100 / size,
        stored * 1000 / size % 10,
        log / 1_000_000,
    );
}

impl Contender {
    /// One run into a fresh sink, which must take every block.
    fn send(&mut self, partition: &Partition) -> eyre::Result<()> {
        let mut sink = Sink::start()?;
        let mut command = match &self.plan9 {
            Some(plan9) => plan9.command("venti/wrarena"),
            None => Command::new(&self.program),
        };
        command
            .args(["-h", &sink.address])
            .arg(partition.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let took = measure(&mut command)?;
        let (found, expected) = (sink.stop()?, partition.clumps().count());
        ensure!(
            found == expected,
            "{} sent {found} of {expected} blocks",
            self.program.display()
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

/// The least, the median and the greatest of some numbers.
fn spread(mut numbers: Vec<f64>) -> String {
    numbers.sort_by(f64::total_cmp);
    let at = |n: usize| numbers.get(n).copied().unwrap_or(f64::NAN);
    let last = numbers.len().saturating_sub(1);
    let median = f64::midpoint(at(last / 2), at(last.div_ceil(2)));
    format!("min {:.2}, median {median:.2}, max {:.2}", at(0), at(last))
}

/// The sink's process.
struct Sink {
    child: Child,
    address: String,
    stdout: BufReader<ChildStdout>,
}

impl Sink {
    fn start() -> eyre::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("sink")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or_eyre("the sink has no output")?);
        let mut address = String::new();
        stdout.read_line(&mut address)?;
        address.truncate(address.trim_end().len());
        Ok(Sink {
            child,
            address,
            stdout,
        })
    }

    /// Ends it; says how many blocks it took.
    fn stop(&mut self) -> eyre::Result<usize> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.stdout.read_to_string(&mut text)?;
        self.child.wait()?;
        text.trim().parse().wrap_err("the sink's count")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended already: no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert_eq!(
            spread(vec![4.0, 1.0, 2.0, 3.0]),
            "min 1.00, median 2.50, max 4.00"
        );
        assert_eq!(spread(vec![3.0]), "min 3.00, median 3.00, max 3.00");
    }
}
