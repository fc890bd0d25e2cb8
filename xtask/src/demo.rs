//! `cargo xtask demo`: the main job on a scratch partition, in plain words.
//!
//! Everything it says it has checked; what is not true ends it with an error.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use eyre::{OptionExt, WrapErr, ensure};
use tempfile::TempDir;
use venti_tests::arena::{Partition, PartitionBuilder};
use venti_tests::command::{self, Command};
use venti_tests::sample::Sample;
use venti_tests::venti::Venti;
use venticore::codec::blocktype::BlockType;
use venticore::codec::dial::Dial;
use venticore::net::client::{Client, Timeouts};

const DATA: u8 = 13;
const FIRST: u64 = 2000;
const ADDED: u64 = 1000;
/// So small that both the first blocks and those added fill an arena.
const ARENA: u64 = 4 << 20;

/// The scratch partition, the ventis in memory, and the state directory.
struct Demo {
    partition: Partition,
    sample: Sample,
    targets: [Venti; 2],
    state: PathBuf,
    _scratch: TempDir,
}

pub(crate) fn run(arguments: &[OsString]) -> eyre::Result<()> {
    ensure!(arguments.is_empty(), "takes no arguments");
    // What is still to be compiled shows before the demo begins.
    command::build();
    show(&mut std::io::stdout())
}

/// Does it, and tells it to `out`.
fn show(out: &mut dyn Write) -> eyre::Result<()> {
    let mut demo = Demo::set_up(out)?;

    writeln!(out, "\n1. The first run: everything is new.")?;
    demo.replicate(out, FIRST)?;

    writeln!(out, "\n2. The same again: nothing is new.")?;
    demo.replicate(out, 0)?;

    writeln!(
        out,
        "\n3. {ADDED} more blocks are stored in the source. They fill an arena; the rest go into the next."
    )?;
    let arena = demo.active();
    demo.add(ADDED)?;
    ensure!(demo.active() > arena, "no arena was filled");
    demo.replicate(out, ADDED)?;

    writeln!(
        out,
        "\n4. Every block is read back from each target and hashed."
    )?;
    demo.read_back(out)?;

    writeln!(
        out,
        "\nEach statement was checked before it was printed. The scratch directory is removed."
    )?;
    Ok(())
}

impl Demo {
    fn set_up(out: &mut dyn Write) -> eyre::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let path = scratch.path().join("arenas");
        let partition = PartitionBuilder::new()
            .arenas(4, ARENA)
            .create(&path)
            .wrap_err_with(|| path.display().to_string())?;
        let state = scratch.path().join("state");
        let mut demo = Demo {
            partition,
            sample: Sample::new(1, 65),
            targets: [Venti::start(), Venti::start()],
            state,
            _scratch: scratch,
        };
        demo.add(FIRST)?;
        demo.introduce(out)?;
        Ok(demo)
    }

    /// Says what there is.
    fn introduce(&self, out: &mut dyn Write) -> eyre::Result<()> {
        let path = self.partition.path().display();
        let arenas = self.partition.arenas().len();
        let [first, second] = &self.targets;
        writeln!(out, "The source: a scratch arena partition, {path}")?;
        writeln!(
            out,
            "  with {arenas} arenas and {FIRST} blocks, as a venti server would have stored them."
        )?;
        writeln!(
            out,
            "The targets: two empty ventis in the memory of this process,"
        )?;
        writeln!(out, "  {} and {}.", first.dial(), second.dial())?;
        writeln!(out, "The state: none. No wrcmd has to be written by hand.")?;
        Ok(())
    }

    /// The arena that is being filled.
    fn active(&self) -> usize {
        let arenas = self.partition.arenas();
        let filled = arenas.iter().rposition(|arena| arena.counters().clumps > 0);
        filled.unwrap_or(0)
    }

    /// Stores `blocks` more blocks in the source.
    fn add(&mut self, blocks: u64) -> eyre::Result<()> {
        for _ in 0..blocks {
            let size = 1000 + self.sample.size(7000);
            let block = self.sample.block(size);
            self.partition.append(DATA, &block)?;
        }
        self.partition.sync()?;
        Ok(())
    }

    /// Runs ventiprog, and checks that it sent `expected` blocks to each
    /// target and moved its place to the end of the log.
    fn replicate(&self, out: &mut dyn Write, expected: u64) -> eyre::Result<()> {
        let before = self.targets.each_ref().map(writes);
        writeln!(out, "  wrcmd before:  {}", self.wrcmd()?)?;
        let [first, second] = self.targets.each_ref().map(Venti::dial);
        let (state, path) = (self.state.display(), self.partition.path().display());
        writeln!(out, "  $ ventiprog -d {state} -p {path} {first} {second}")?;
        let output = Command::new("ventiprog")
            .arg("-d")
            .arg(&self.state)
            .arg("-p")
            .arg(self.partition.path())
            .args([&first, &second])
            .run();
        ensure!(output.status == 0, "ventiprog failed: {output:?}");
        writeln!(out, "  exit status 0")?;
        writeln!(out, "  wrcmd after:   {}", self.wrcmd()?)?;
        for (number, target) in self.targets.iter().enumerate() {
            let sent = writes(target) - before[number];
            ensure!(
                sent == expected,
                "target {} was sent {sent} blocks, expected {expected}",
                number + 1
            );
            writeln!(out, "  target {} was sent {sent} blocks.", number + 1)?;
        }
        self.check_place(out)
    }

    /// The wrcmd has to be at the end of the log.
    fn check_place(&self, out: &mut dyn Write) -> eyre::Result<()> {
        let active = self.active();
        let arena = &self.partition.arenas()[active];
        let (head, used) = (arena.head(), arena.counters().used);
        let wrcmd = self.wrcmd()?;
        let first = self.targets[0].dial();
        let path = self.partition.path().display();
        let expected = format!("wrarena -h {first} -o {head} {path} {used:#x}");
        ensure!(wrcmd == expected, "wrcmd is {wrcmd}, expected {expected}");
        let number = active + 1;
        writeln!(
            out,
            "  Arena {number}, at {head}, is filled up to {used:#x}: nothing is left to send."
        )?;
        Ok(())
    }

    fn read_back(&self, out: &mut dyn Write) -> eyre::Result<()> {
        for (number, target) in self.targets.iter().enumerate() {
            let found = self.read_back_from(&target.dial())?;
            writeln!(
                out,
                "  target {}: {found} blocks, every score is right.",
                number + 1
            )?;
        }
        Ok(())
    }

    /// Reads every block of the source from a target; the client refuses data
    /// that does not hash to its score.
    fn read_back_from(&self, address: &str) -> eyre::Result<usize> {
        let mut client = Client::dial(
            &Dial::parse(address, None, Dial::VENTI)?,
            Timeouts::default(),
        )?;
        let clumps: Vec<_> = self.partition.clumps().collect();
        let mut wanted = Vec::new();
        for clump in &clumps {
            let block_type = BlockType::from_disk(clump.block_type).ok_or_eyre("unknown type")?;
            wanted.push((clump.score, block_type));
        }
        let (mut found, mut failed) = (0, None);
        client.read_many(wanted, |n, block| {
            match block {
                Ok(block) if block.len() == usize::from(clumps[n].size) => found += 1,
                Ok(_) => failed = Some(eyre::eyre!("{}: wrong size", clumps[n].score)),
                Err(error) => failed = Some(error.into()),
            }
            match failed {
                None => ControlFlow::Continue(()),
                Some(_) => ControlFlow::Break(()),
            }
        })?;
        match failed {
            Some(error) => Err(error).wrap_err_with(|| address.to_owned()),
            None => {
                ensure!(
                    found == clumps.len(),
                    "{address}: {found} blocks of {}",
                    clumps.len()
                );
                Ok(found)
            }
        }
    }

    fn wrcmd_path(&self) -> PathBuf {
        self.state.join("wrcmd")
    }

    fn wrcmd(&self) -> eyre::Result<String> {
        match self.wrcmd_path().try_exists()? {
            true => read_line(&self.wrcmd_path()),
            false => Ok("none".to_owned()),
        }
    }
}

fn read_line(path: &Path) -> eyre::Result<String> {
    let text = fs::read_to_string(path).wrap_err_with(|| path.display().to_string())?;
    Ok(text.trim_end().to_owned())
}

/// How many blocks a venti was sent.
fn writes(venti: &Venti) -> u64 {
    venti.counts().writes
}

#[cfg(test)]
mod tests {
    use venti_tests::command;

    use super::*;

    /// A text without what differs from run to run: ports, and the scratch directory.
    fn masked(text: &str) -> String {
        let word = |word: &str| match (word.split_once("127.0.0.1!"), word.split_once("/tmp/")) {
            (Some((before, after)), _) => {
                let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
                format!("{before}127.0.0.1!PORT{rest}")
            }
            (_, Some((before, after))) => {
                let (_, below) = after.split_once('/').unwrap_or((after, ""));
                format!("{before}/tmp/SCRATCH/{below}")
            }
            _ => word.to_owned(),
        };
        let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_readme_shows_what_the_demo_says() {
        let mut said = Vec::new();
        show(&mut said).unwrap();
        let said = String::from_utf8(said).unwrap();
        let temporary = std::env::temp_dir().display().to_string();
        let said = masked(&said.replace(&temporary, "/tmp"));
        let readme = command::root().join("README.md");
        let readme = fs::read_to_string(readme).unwrap();
        let (_, shown) = readme.split_once("    $ cargo xtask demo\n").unwrap();
        let lines = shown
            .lines()
            .take_while(|l| l.is_empty() || l.starts_with("    "));
        let lines: Vec<&str> = lines.map(|l| l.strip_prefix("    ").unwrap_or(l)).collect();
        assert_eq!(masked(lines.join("\n").trim_end()), said);
    }
}
