//! What halting takes on an idle machine: `foshalt`, and `fosreset` as a whole, of
//! which the halt is a part. The rc scripts sleep 13 and 17 seconds.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use eyre::{ensure, eyre};
use venti_tests::command::Command;
use venti_tests::plan9::{Plan9, Venti};

/// What the fixed sleeps of the scripts add up to.
const SCRIPTS: [(&str, u64); 2] = [("foshalt", 13), ("fosreset", 17)];

struct Site<'a> {
    directory: &'a Path,
    venti: String,
    partition: String,
}

impl Site<'_> {
    /// Runs a command that must succeed: what it printed, and how long it took.
    fn run(&self, name: &str, arguments: &[&str]) -> eyre::Result<(String, Duration)> {
        let command = Command::new(name)
            .args(arguments)
            .env("PLAN9", std::env::var_os("PLAN9").unwrap_or_default())
            .env("NAMESPACE", self.directory.join("ns"))
            .env("STATE_DIRECTORY", self.directory.join("state"))
            .env("venti", &self.venti);
        let start = Instant::now();
        let output = command.run();
        let took = start.elapsed();
        ensure!(output.status == 0, "{name}: {}", output.stderr.trim());
        Ok((output.stdout, took))
    }
}

pub(super) fn run(directory: &Path, rounds: usize) -> eyre::Result<()> {
    let Ok(plan9) = Plan9::find() else {
        println!("needs a real fossil: set $PLAN9");
        return Ok(());
    };
    let venti = Venti::fresh(&plan9, directory, "halt", 64 << 20, 16 << 20);
    let partition = directory.join("fossil");
    File::create(&partition)?.set_len(16 << 20)?;
    let text = partition.to_str().ok_or_else(|| eyre!("no text"))?;
    plan9.succeed("fossil/flfmt", &["-y", "-l", "bench", text]);
    let site = Site {
        directory,
        venti: venti.address(),
        partition: text.to_owned(),
    };
    let [halts, resets] = [halts(&site, rounds)?, resets(&site, rounds)?];
    for ((name, sleeps), times) in SCRIPTS.into_iter().zip([halts, resets]) {
        let (least, most) = (times.iter().min(), times.iter().max());
        if let (Some(least), Some(most)) = (least, most) {
            println!(
                "{name:10} {:6.3} to {:6.3} s of {} runs; the script sleeps {sleeps} s",
                least.as_secs_f64(),
                most.as_secs_f64(),
                times.len()
            );
        }
    }
    Ok(())
}

/// Times of `foshalt`, on a fossil that archives nothing.
fn halts(site: &Site<'_>, rounds: usize) -> eyre::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for round in 0..rounds {
        site.run("fossilstart", &[&site.partition])?;
        if round == 0 {
            // After that no archive is due today.
            site.run("fossilize", &["-s", &site.partition])?;
        }
        times.push(site.run("foshalt", &[])?.1);
        site.run("foshalt", &["-k"])?;
    }
    Ok(times)
}

/// Times of `fosreset` while the fossil runs: proof, halt, end and format.
fn resets(site: &Site<'_>, rounds: usize) -> eyre::Result<Vec<Duration>> {
    let (score, _) = site.run("fossilast", &[&site.partition])?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        site.run("fossilstart", &[&site.partition])?;
        match site.run("fosreset", &["-y", score.trim(), &site.partition]) {
            Ok((_, took)) => times.push(took),
            Err(error) => {
                println!("fosreset is left out: {error}");
                site.run("foshalt", &["-k"])?;
                break;
            }
        }
    }
    Ok(times)
}
