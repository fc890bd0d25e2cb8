//! `cargo xtask bench [PART ...] [--rounds N] [--megabytes N] [--log N] [--blocks N] [--clumps N]`: what the
//! commands cost, beside the C tools where `$PLAN9` is set.
//!
//! | part | measures |
//! |---|---|
//! | `throughput` | `wrarena` and the C one, the same partition into the same null sink, in alternation |
//! | `targets` | what `ventiprog` itself takes for three null sinks, against one |
//! | `replica` | `ventiprog` to a replica in a directory, against `cp` and `sync` of the same partition |
//! | `format` | `fosreset` of a sparse partition of 64 GB, against a dd of as many bytes as its labels have |
//! | `increment` | a run with about 1 MB that is new on a large partition, against the C tool with the same wrcmd; and runs with nothing new |
//! | `walk` | `rootcheck` of a root of 200,000 blocks on a real venti, against as many reads sent without a pause |
//! | `halt` | `foshalt`, and `fosreset` of a fossil that runs, against the fixed sleeps of the rc scripts |
//! | `serve` | `ventiserve` and plan9port's venti: writes, duplicate writes, probes, reads |
//! | `start` | how soon `ventiserve` serves a store of 20 million clumps, against reading their directories |
//! | `decode` | our whack decoder and plan9port's: three kinds of text and one of binaries |
//! | `whack` | our whack encoder and plan9port's: speed, and size of what comes out |
//!
//! Without a part, all of them. `--megabytes` is what the blocks of the first
//! two add up to, `--log` the megabytes of log of the third, `--blocks` the leaves of `walk`,
//! `--clumps` what the store of `start` holds.
//!
//! The sinks are processes of their own, so that their processor time is not
//! counted as the client's; they say how many blocks they took.

mod decode;
mod format;
mod halt;
mod increment;
mod replica;
mod serve;
mod start;
mod targets;
mod throughput;
mod walk;
mod whack;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use eyre::{OptionExt, WrapErr, ensure};
use lexopt::{Arg, Parser, ValueExt};
use venti_tests::arena::{Partition, PartitionBuilder};
use venti_tests::command::{self, Prepared};
use venti_tests::sample::Sample;

const BLOCK: usize = 8192;
const PERCENT_WORDS: usize = 65;
const DATA: u8 = 13;
const ARENA: u64 = 512 << 20;
const PARTS: [&str; 11] = [
    "throughput",
    "targets",
    "replica",
    "increment",
    "walk",
    "format",
    "halt",
    "whack",
    "decode",
    "serve",
    "start",
];

/// What was asked for.
struct Options {
    parts: Vec<String>,
    rounds: usize,
    megabytes: u64,
    log: u64,
    blocks: usize,
    clumps: u64,
}

pub(crate) fn run(arguments: &[OsString]) -> eyre::Result<()> {
    let options = Options::parse(arguments)?;
    let mut build = crate::cargo();
    build.args([
        "build",
        "--release",
        "-p",
        "wrarena",
        "-p",
        "ventiprog",
        "-p",
        "fosreset",
        "-p",
        "rootcheck",
        "-p",
        "ventiserve",
        "-p",
        "xtask",
    ]);
    crate::succeed(&mut build)?;
    if cfg!(debug_assertions) {
        // The sink and the maker of the partition have to be fast, too.
        let mut again = crate::cargo();
        again.args(["run", "--release", "-q", "-p", "xtask", "--", "bench"]);
        return crate::succeed(again.args(arguments));
    }
    let directory = tempfile::tempdir()?;
    let asks = |part: &str| options.parts.iter().any(|asked| asked == part);
    if asks("throughput") || asks("targets") || asks("replica") {
        let path = directory.path().join("arenas");
        let partition = make_partition(&path, options.megabytes)?;
        if asks("throughput") {
            println!("\nthroughput: wrarena into a null sink");
            throughput::run(&partition, options.rounds)?;
        }
        if asks("targets") {
            println!("\ntargets: ventiprog into one null sink and into three");
            targets::run(&partition, options.rounds.min(3))?;
        }
        if asks("replica") {
            println!("\nreplica: ventiprog to a directory, and cp");
            replica::run(directory.path(), &partition, options.rounds)?;
        }
        std::fs::remove_file(&path)?;
    }
    if asks("increment") {
        println!("\nincrement: about 1 MB new, and nothing new");
        increment::run(directory.path(), options.log, options.rounds.min(3))?;
    }
    if asks("walk") {
        println!(
            "\nwalk: rootcheck of {} blocks on a real venti",
            options.blocks
        );
        walk::run(directory.path(), options.blocks, options.rounds.min(3))?;
        walk::far(options.rounds.min(3))?;
    }
    if asks("halt") {
        println!("\nhalt: foshalt, and fosreset while the fossil runs");
        halt::run(directory.path(), options.rounds)?;
    }
    if asks("whack") {
        println!("\nwhack: our encoder and plan9port's");
        whack::run(options.rounds)?;
    }
    if asks("decode") {
        println!("\ndecode: our decoder and plan9port's");
        decode::run(options.rounds)?;
    }
    if asks("serve") {
        println!("\nserve: ventiserve and plan9port's venti");
        serve::run(
            directory.path(),
            options.megabytes / 4,
            options.rounds.min(3),
        )?;
    }
    if asks("start") {
        println!("\nstart: ventiserve with {} clumps", options.clumps);
        start::run(directory.path(), options.clumps, options.rounds.min(3))?;
    }
    if asks("format") {
        println!("\nformat: a sparse partition of 64 GB");
        format::run(directory.path(), options.rounds.min(3))?;
    }
    Ok(())
}

impl Options {
    fn parse(arguments: &[OsString]) -> eyre::Result<Self> {
        let mut options = Options {
            parts: Vec::new(),
            rounds: 5,
            megabytes: 840,
            log: 2100,
            blocks: 200_000,
            clumps: 20_000_000,
        };
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("rounds") => options.rounds = parser.value()?.parse()?,
                Arg::Long("megabytes") => options.megabytes = parser.value()?.parse()?,
                Arg::Long("log") => options.log = parser.value()?.parse()?,
                Arg::Long("clumps") => options.clumps = parser.value()?.parse()?,
                Arg::Long("blocks") => options.blocks = parser.value()?.parse()?,
                Arg::Value(part) => options.parts.push(part.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        ensure!(options.rounds > 0, "--rounds: at least one");
        if let Some(part) = options.parts.iter().find(|p| !PARTS.contains(&p.as_str())) {
            let known = PARTS.join(", ");
            return Err(eyre::eyre!("expected {known}, found {part}"));
        }
        if options.parts.is_empty() {
            options.parts = PARTS.map(str::to_owned).to_vec();
        }
        Ok(options)
    }
}

/// A call of ventiprog that sees no configuration but its options.
fn ventiprog(directory: &Path, state: &str, partition: &Partition) -> Prepared {
    let mut command = command::Command::new("ventiprog")
        .arg("-d")
        .arg(directory.join(state))
        .arg("-p")
        .arg(partition.path())
        .prepare();
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
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

/// What a sink took.
#[derive(Clone, Copy, Debug)]
struct Taken {
    writes: usize,
    reads: usize,
    probes: usize,
}

impl Sink {
    /// One that forgets what it is sent.
    fn start() -> eyre::Result<Self> {
        Self::with(&[])
    }

    /// One that keeps every block in memory.
    fn keeping() -> eyre::Result<Self> {
        Self::with(&["--keep"])
    }

    fn with(options: &[&str]) -> eyre::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("sink")
            .args(options)
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

    /// Ends it; says what it took.
    fn stop(&mut self) -> eyre::Result<Taken> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.stdout.read_to_string(&mut text)?;
        self.child.wait()?;
        let numbers: Result<Vec<usize>, _> = text.split_whitespace().map(str::parse).collect();
        match *numbers.wrap_err("the sink's counts")? {
            [writes, reads, probes] => Ok(Taken {
                writes,
                reads,
                probes,
            }),
            _ => Err(eyre::eyre!("the sink said {text:?}")),
        }
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
