//! Print the last archival score of a fossil partition.

use std::ffi::OsString;
use std::process::ExitCode;

use eyre::Result;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "fossilast",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "partition",
    help: "\
Print the score of the last archival snapshot of a fossil partition, as
vac:SCORE. A file system that was never archived has none: then nothing is
printed, and the exit status is 1.

  -h, --help     print this text
  -V, --version  print the version

A partition is a file or block device, PATH:LO-HI for some of its bytes, or
DISK:NAME for a partition of a Plan 9 disk.",
};

fn main() -> ExitCode {
    TOOL.run(|tool, parser| fossilcore::last::run(&partition(tool, parser)?))
}

fn partition(tool: &Tool, parser: lexopt::Parser) -> Result<OsString> {
    let mut operands = tool.operands(parser, |option, _| tool.common(option))?;
    let partition = operands.expect("a partition")?;
    operands.end()?;
    Ok(partition)
}
