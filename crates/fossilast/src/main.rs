//! Print the last archival score of a fossil partition.

use std::ffi::OsString;
use std::process::ExitCode;

use eyre::Result;
use lexopt::prelude::*;
use venticore::tool::{self, Tool};

const TOOL: Tool = Tool {
    name: "fossilast",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "partition",
    help: "\
Print the score of the last archival snapshot of a fossil partition, as
vac:SCORE. One that was never archived has none: nothing is printed, and the
exit status is 1.

  -h, --help     print this text
  -V, --version  print the version

A partition is a file or block device, PATH:LO-HI for some of its bytes, or
DISK:NAME for a partition of a Plan 9 disk.",
};

fn main() -> ExitCode {
    TOOL.run(|tool, parser| fossilcore::last::run(&partition(tool, parser)?))
}

fn partition(tool: &Tool, mut parser: lexopt::Parser) -> Result<OsString> {
    let mut operands = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Err(tool.help()),
            Short('V') | Long("version") => return Err(tool.version()),
            Value(first) => operands = tool::operands(&mut parser, first)?,
            _ => return Err(arg.unexpected().into()),
        }
    }
    let mut operands = operands.into_iter();
    match (operands.next(), operands.next()) {
        (Some(partition), None) => Ok(partition),
        (None, _) => Err(tool.usage("expected a partition, found none")),
        (_, Some(extra)) => Err(tool.usage(&format!("unexpected operand {}", extra.display()))),
    }
}
