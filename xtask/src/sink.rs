//! `xtask sink`: a venti that hashes what it is sent, answers, and forgets it.
//!
//! Prints its address, serves until its standard input ends, then prints how many
//! blocks it took.

use std::ffi::OsString;
use std::io::{Read, Write};

use venti_tests::venti::Venti;

pub(crate) fn run(_arguments: &[OsString]) -> eyre::Result<()> {
    let venti = Venti::null();
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", venti.dial())?;
    stdout.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    writeln!(stdout, "{}", venti.counts().writes)?;
    Ok(())
}
