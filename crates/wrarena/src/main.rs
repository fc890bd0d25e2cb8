//! Send the clumps of a venti arena to a venti server.

use std::process::ExitCode;

use eyre::{Result, WrapErr};
use lexopt::prelude::*;
use venticore::codec::wrcmd;
use venticore::commands::wrarena::{self, Options};
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "wrarena",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-fv] [-o fileoffset] [-h host] [-M n] arenafile [clumpoffset]",
    help: "\
Send the clumps of an arena to a venti server, and sync it.

  -o, --offset FILEOFFSET  send the arena at this offset; print its end offset
  -h, --host HOST          the server; $venti unless given; with /dev/null, only
                           check the clumps; dir:PATH is a replica
  -M, --max N              stop after N clumps
  -f, --fast               accepted; damaged clumps are still not sent
  -v, --verbose            print the score of every block
      --help               print this text
  -V, --version            print the version

Numbers are decimal, 0x hexadecimal or 0 octal. On a partition without -o
every arena is sent from its start. A replica, dir:PATH, is read like one.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let options = options(tool, parser)?;
    let terminal = Terminal::new(tool.name, false, options.verbose);
    wrarena::run(&options, &Config::load()?, &terminal)
}

fn options(tool: &Tool, parser: lexopt::Parser) -> Result<Options> {
    let mut options = Options::default();
    let mut operands = tool.operands(parser, |option, parser| {
        match option {
            Short('f') | Long("fast") => {}
            Short('v') | Long("verbose") => options.verbose = true,
            Short('o') | Long("offset") => {
                options.file_offset = Some(number(parser).wrap_err("-o")?);
            }
            Short('M') | Long("max") => {
                options.max_clumps = Some(number(parser).wrap_err("-M")?);
            }
            Short('h') | Long("host") => options.host = Some(parser.value()?.string()?),
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    options.file = operands.expect("an arena file")?;
    if let Some(offset) = operands.text()? {
        options.clump_offset = Some(wrcmd::number(&offset).wrap_err("clumpoffset")?);
    }
    operands.end()?;
    Ok(options)
}

fn number(parser: &mut lexopt::Parser) -> Result<u64> {
    Ok(wrcmd::number(&parser.value()?.string()?)?)
}
