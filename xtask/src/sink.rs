//! `xtask sink [--keep]`: a venti that hashes what it is sent, answers, and
//! forgets it, or keeps it in memory.
//!
//! Prints its address, serves until its standard input ends, then prints how many
//! writes, reads and probes it took.

use std::ffi::OsString;
use std::io::{Read, Write};

use venti_tests::venti::Venti;

pub(crate) fn run(arguments: &[OsString]) -> eyre::Result<()> {
    let venti = match arguments {
        [] => Venti::null(),
        [keep] if keep == "--keep" => Venti::start(),
        _ => return Err(eyre::eyre!("takes --keep, or nothing")),
    };
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", venti.dial())?;
    stdout.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let counts = venti.counts();
    writeln!(
        stdout,
        "{} {} {}",
        counts.writes, counts.reads, counts.probes
    )?;
    Ok(())
}
