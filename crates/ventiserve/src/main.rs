//! Serve arenas as a venti.

use std::process::ExitCode;

use eyre::{Result, WrapErr};
use lexopt::prelude::*;
use venticore::codec::network::Network;
use venticore::codec::wrcmd::scaled;
use venticore::commands::ventiserve::{self, Options};
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "ventiserve",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-rv] [-a address] [-H address] [-c size] [-A size] [--cache size] [--allow network] store ...",
    help: "\
Serve arenas as a venti. A store is a partition or file with arenas, as plan9port's
fmtarenas makes them, or one arena that rdarena wrote. It is read and written in
place; its index is made in memory at the start. With -r, a store may be a
replica, dir:PATH.

  -a, --address ADDR     listen here; tcp!127.0.0.1!17034 and tcp!::1!17034 without it
  -H, --http ADDR        serve the pages /, /index, /storage and /metrics here
  -c, --create SIZE      make stores that are not there, of this size
  -A, --arena-size SIZE  cut them into arenas of this size; 512m without it
      --cache SIZE       memory for blocks that are read again; 64m without it, 0 for none
      --allow NETWORK    let in only these addresses, 10.0.0.0/8 or fd00::/8
  -r, --read-only        do not write to the stores
  -v, --verbose          say what it serves, and where
  -h, --help             print this text
  -V, --version          print the version

-a, -H and --allow may be given several times. A size may end in k, m, g or t.
SIGTERM and SIGINT end it when all is written; SIGUSR1 prints its status.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let mut operands = tool.operands(parser, |option, parser| {
        match option {
            Short('a') | Long("address") => options.addresses.push(parser.value()?.string()?),
            Short('H') | Long("http") => options.web.push(parser.value()?.string()?),
            Short('c') | Long("create") => options.create = Some(size("--create", parser)?),
            Short('A') | Long("arena-size") => {
                options.arena_size = Some(size("--arena-size", parser)?);
            }
            Long("cache") => options.cache = Some(size("--cache", parser)?),
            Long("allow") => options.allow.push(network(parser)?),
            Short('r') | Long("read-only") => options.read_only = true,
            Short('v') | Long("verbose") => options.verbose = true,
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    options.stores = vec![operands.expect("a store")?];
    options.stores.extend(operands);
    options.check().map_err(|cause| tool.usage(&cause))?;
    let terminal = Terminal::new(tool.name, false, options.verbose);
    ventiserve::run(options, terminal)
}

fn size(option: &'static str, parser: &mut lexopt::Parser) -> Result<u64> {
    scaled(&parser.value()?.string()?).wrap_err(option)
}

fn network(parser: &mut lexopt::Parser) -> Result<Network> {
    let network = parser.value()?.string()?.parse();
    network.wrap_err("--allow")
}
