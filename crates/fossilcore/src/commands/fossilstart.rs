//! The command fossilstart: starts a fossil with the setup of the rc script, and
//! returns when it serves.
//!
//! What the script sends blindly is sent line for line here, and each answer is
//! looked at. If one is wrong, that step is named and what was started is ended.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eyre::{Report, Result, WrapErr};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{PidfdFlags, Signal, getpid, kill_process, pidfd_open};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::broker::{self, BrokerJob, Started};
use crate::console::line::quote;
use crate::console::place::{NAME, namespace};
use crate::console::transport::{is_served, wait};
use crate::console::{Console, kin, trust};
use crate::{halt, last, ninep, processes};
use venticore::codec::dial::Dial;
use venticore::codec::operand::Operand;
use venticore::config::{Config, Fossil};
use venticore::host::holders::{Holders, Process, Sight};
use venticore::host::partition::{self, Partition};
use venticore::host::terminal::Terminal;
use venticore::net::addresses::look_up;
use venticore::net::client::Client;
use venticore::state::StateDir;
use venticore::status::{Failure, Status};
use venticore::text::line_of;

/// The name of the service of a fossil without a name.
const SERVICE: &str = "fossil";

/// What a process of this command is called while it starts a fossil.
const STARTING: &str = "fossilstart";

/// The port of 9P.
const NINE_PORT: u16 = 564;

/// The most bytes of a partition's path: a fossil cuts what it prints after 255
/// bytes, and who halts it reads `fsys main config PATH` there.
const PATH: usize = 236;

/// Where nohup and the programs of a fossil are, if nobody says.
const SYSTEM: &str = "/usr/bin:/bin";

/// How long a broker has to serve.
const SERVE: Duration = Duration::from_secs(20);

/// How long what was started has to end.
const END: Duration = Duration::from_secs(300);

/// How long each step of a broker's orderly end may take.
const HALT: Duration = Duration::from_secs(120);

/// Where plan9port may be, if nobody says.
const ROOTS: &[&str] = &["/usr/local/plan9", "/opt/plan9", "/usr/lib/plan9"];

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-F`: stay until the fossil ends.
    pub foreground: bool,
    /// `-d`: the state directory, where the log is.
    pub dir: Option<PathBuf>,
    /// `-v`: the venti it archives to.
    pub venti: Option<String>,
    /// The partition.
    pub partition: Option<OsString>,
    /// The name of service and console.
    pub name: Option<String>,
}

/// Runs what a broker or its shim is called with; `None` where it is neither.
///
/// # Errors
/// As [`broker::run`] and [`broker::become_fossil`].
#[must_use = "the process is a broker's then"]
pub fn behind(mut arguments: impl Iterator<Item = OsString>) -> Option<Result<Status>> {
    match arguments.next()?.to_str()? {
        broker::AS_BROKER => Some(broker::run(halt::in_order, HALT)),
        broker::AS_FOSSIL => Some(broker::become_fossil(arguments)),
        _ => None,
    }
}

/// Runs the command.
///
/// # Errors
/// A step failed; what was started is ended then.
pub fn run(options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let plan = StartPlan::new(options, config)?;
    // Two that start a fossil here at once would both find the partition free.
    let claim = plan.claim()?;
    plan.check(config, terminal)?;
    let signals = told()?;
    terminal.wait("starting");
    let mut started = broker::start(&plan.job, claim, SERVE).wrap_err("start")?;
    let done = plan.set_up(config).and_then(|()| match options.foreground {
        true => Ok(()),
        // Half a fossil must not stay behind when its start is broken off.
        false => not_told(&signals),
    });
    terminal.clear();
    if let Err(error) = done {
        let ended = broker::end(&mut started.broker, END);
        let error = match plan.last_word(started.fossil) {
            // It ended by itself; that nothing answers follows from that.
            Some(said) => Failure::report(Status::Failed, format!("{said}: {}", line_of(&error))),
            None => error,
        };
        return Err(match ended {
            Ok(_) => error.wrap_err(format!("{} (ended again)", plan.console.display())),
            Err(left) => error.wrap_err(format!("{left:#}")),
        });
    }
    let line = format!("{} {}\n", plan.service.display(), plan.console.display());
    let mut output = terminal.output();
    output
        .write_all(line.as_bytes())
        .and_then(|()| output.flush())
        .wrap_err("standard output")?;
    match options.foreground {
        true => stay(&mut started, &plan, &signals),
        false => Ok(Status::Done),
    }
}

/// Where a byte comes for each signal that asks for the end. A process that is told
/// before the fossil serves ends it once it does.
fn told() -> Result<UnixStream> {
    let (signals, signal) = UnixStream::pair()?;
    for number in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(number, signal.try_clone()?)?;
    }
    Ok(signals)
}

/// Fails when a signal has asked for the end.
fn not_told(signals: &UnixStream) -> Result<()> {
    let mut fds = [PollFd::new(signals, PollFlags::IN)];
    if wait(&mut fds, Some(Duration::ZERO))? == 0 {
        return Ok(());
    }
    let text = "interrupted by a signal before it had started";
    Err(Failure::report(Status::Failed, text))
}

/// All that is to be done.
struct StartPlan {
    partition: PathBuf,
    operand: Operand,
    venti: Dial,
    setup: Fossil,
    name: String,
    console: PathBuf,
    service: PathBuf,
    job: BrokerJob,
}

impl StartPlan {
    fn new(options: &Options, config: &Config) -> Result<Self> {
        let operand = config.fossil_partition(options.partition.as_deref());
        let (operand, partition) = path(&operand)?;
        let setup = config.fossil(options.name.as_deref());
        let venti = venti(options, &setup, config)?;
        let (console, name) = match &options.name {
            None => (NAME.to_owned(), SERVICE.to_owned()),
            Some(name) => (format!("{NAME}.{}", word(name)?), name.clone()),
        };
        let namespace = std::path::absolute(namespace(config))?;
        let program = program(&setup, config)?;
        let directory = std::path::absolute(config.keep_dir(options.dir.as_deref()))?;
        let job = BrokerJob {
            socket: namespace.join(&console),
            directory,
            log: format!("{console}.log"),
            environment: environment(&program, &namespace, &venti, config),
            program: program.into_iter().chain(["-t".to_owned()]).collect(),
            follows: options.foreground.then(|| getpid().as_raw_nonzero().get()),
        };
        Ok(StartPlan {
            partition,
            operand,
            venti,
            setup,
            console: job.socket.clone(),
            service: namespace.join(&name),
            name,
            job,
        })
    }

    /// Claims the partition: the fossil gets what is returned, and has it as long as
    /// it lives.
    fn claim(&self) -> Result<File> {
        let named = || self.partition.display().to_string();
        if let Some(file) = partition::claim(&self.partition).wrap_err_with(named)? {
            return Ok(file);
        }
        let holders = Holders::of(&self.partition)?;
        let starts = |process: &Process| process.command == STARTING;
        Err(if holders.is_free() {
            let text = format!("{}: {}", named(), processes::CLAIMED);
            Failure::report(Status::Failed, text)
        } else if holders.processes.iter().all(starts) {
            let text = format!("{}: another run is at work on it: run again", named());
            Failure::report(Status::Locked, text)
        } else {
            self.in_use(&holders)
        })
    }

    /// What can be known before anything is started.
    fn check(&self, config: &Config, terminal: &Terminal) -> Result<()> {
        last::open(&self.operand)?;
        let holders = Holders::of(&self.partition)?;
        if !holders.is_free() {
            return Err(self.in_use(&holders));
        }
        // One that cannot be written opens all the same, and then hangs.
        let partition = match self.only_reads() {
            true => Partition::open(&self.operand)?,
            // It is claimed: by us.
            false => Partition::open_rw_beside(&self.operand)?,
        };
        match (holders.sight, processes::prove_free(&partition, config)) {
            (_, Ok(())) => {}
            (Sight::Contained, unseen) => return unseen,
            // A plain user never sees all; a fossil of fossilstart has a claim.
            (sight, Err(_)) => {
                terminal.say(&format!("{}: {sight}", self.partition.display()));
            }
        }
        prepare(self.console.parent().unwrap_or(Path::new("/")))?;
        for path in [&self.console, &self.service] {
            if is_served(path, SERVE).wrap_err_with(|| path.display().to_string())? {
                let text = format!("{}: served already, choose another name", path.display());
                return Err(Failure::report(Status::Failed, text));
            }
        }
        if let Some(kin) = kin::of(&self.console).first() {
            let text = format!(
                "{}: process {} ({}) of the fossil that had this console goes on: end it first",
                self.console.display(),
                kin.pid.as_raw_nonzero(),
                kin.command
            );
            return Err(Failure::report(Status::Failed, text));
        }
        // Without its venti a fossil opens, and never archives.
        Client::dial(&self.venti, &config.dialer)
            .wrap_err_with(|| format!("venti {}", self.venti))?;
        StateDir::open(&self.job.directory)?;
        Ok(())
    }

    /// Whether the fossil is to open the partition with `-r`.
    fn only_reads(&self) -> bool {
        let mut words = self.setup.open.iter().flat_map(|open| open.split(' '));
        words.any(|word| word.starts_with('-') && word.contains('r'))
    }

    fn in_use(&self, holders: &Holders) -> Report {
        let consoles = kin::all();
        let of = |pid: u32| {
            let kin = consoles.iter();
            let mut kin =
                kin.filter(|kin| u32::try_from(kin.pid.as_raw_nonzero().get()) == Ok(pid));
            kin.next().map(|kin| kin.console.display().to_string())
        };
        let console = holders.processes.iter().find_map(|p| of(p.pid));
        let console = console.map_or(String::new(), |path| format!(", console {path}"));
        let text = format!(
            "{}: expected a partition that nobody serves, found it {holders}{console}",
            self.partition.display()
        );
        Failure::report(Status::Failed, text)
    }

    /// The setup of the script, line for line, until it serves.
    fn set_up(&self, config: &Config) -> Result<()> {
        let mut console = Console::open(&self.console, config.console).map_err(|e| e.report())?;
        let partition = self.partition.to_string_lossy();
        let config_line = format!("fsys main config {}", quote(&partition));
        step("config", &mut console, &config_line)?;
        let open = self.setup.open.as_deref().unwrap_or("-c 9000");
        let said = step("open", &mut console, &format!("fsys main open {open}"))?;
        // It opens all the same, and has no archiver for as long as it lives.
        if let Some(line) = said
            .iter()
            .find(|line| line.contains("connecting to venti"))
        {
            let text = format!("open: {line}: it would never archive");
            return Err(Failure::report(Status::Unreachable, text));
        }
        let snaptime = self.setup.snaptime.as_deref();
        let snaptime = snaptime.unwrap_or("-s 60 -a 0500 -t 2880").trim();
        if !snaptime.is_empty() {
            step(
                "snaptime",
                &mut console,
                &format!("fsys main snaptime {snaptime}"),
            )?;
        }
        let srv = self.setup.srv.as_deref().unwrap_or("-A").trim();
        let srv_line = format!("srv {srv} {}", self.name).replace("  ", " ");
        step("srv", &mut console, &srv_line)?;
        self.serves(srv.contains('A'), config.console)?;
        if let Some(address) = &self.setup.listen {
            step("listen", &mut console, &format!("listen {address}"))?;
            listens(address, config.console).wrap_err("listen")?;
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.job.directory.join(&self.job.log)
    }

    /// How a fossil ended that nobody told to, as its broker logged it.
    fn last_word(&self, fossil: u32) -> Option<String> {
        let log = std::fs::read(self.log()).ok()?;
        let log = String::from_utf8_lossy(&log).into_owned();
        let started = format!("fossil is process {fossil}:");
        let ended = format!("broker: fossil (process {fossil}) ended: ");
        let mut since = log
            .lines()
            .rev()
            .take_while(|line| !line.contains(&started));
        let how = since.find_map(|line| Some(line.split_once(&ended)?.1.to_owned()))?;
        let told = since.any(|line| line.contains("broker: told to end"));
        (!told).then(|| format!("the fossil ended with {how}, see {}", self.log().display()))
    }

    /// Asks the service for its version and its tree.
    fn serves(&self, open: bool, limit: Duration) -> Result<()> {
        let at = || format!("serve: {}", self.service.display());
        let mut stream = UnixStream::connect(&self.service).wrap_err_with(at)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        match ninep::answers(&mut stream, "none", "main/active").wrap_err_with(at)? {
            // Who has to prove who they are is refused, by a server that serves.
            Some(refused) if open => {
                let text = format!("{}: {refused}", at());
                Err(Failure::report(Status::Failed, text))
            }
            _ => Ok(()),
        }
    }
}

/// One line of the setup; what was said of it on standard error.
fn step(name: &str, console: &mut Console, line: &str) -> Result<Vec<String>> {
    match console.command(line) {
        Ok(reply) => Ok(reply.stderr),
        Err(error) => Err(error.report().wrap_err(name.to_owned())),
    }
}

/// Asks for the version at an address that is listened at.
fn listens(address: &str, limit: Duration) -> Result<()> {
    let here = address.replacen("!*!", "!127.0.0.1!", 1);
    let dial = Dial::with_default_port(&here, NINE_PORT)?;
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in look_up(&dial)? {
        match TcpStream::connect_timeout(&address, limit) {
            Err(error) => failed = error,
            Ok(mut stream) => {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                ninep::answers(&mut stream, "none", "main/active").wrap_err(dial.to_string())?;
                return Ok(());
            }
        }
    }
    Err(failed).wrap_err(dial.to_string())
}

/// A partition as a path that a fossil can open.
fn path(operand: &OsString) -> Result<(Operand, PathBuf)> {
    let parsed = Operand::try_from(operand.as_os_str())?;
    let whole = Partition::open(&parsed)?;
    if whole.path().as_os_str() != operand || whole.start() != 0 {
        let text =
            format!("{parsed}: expected a whole file or device, since a fossil opens nothing else");
        return Err(Failure::report(Status::Usage, text));
    }
    let path = std::path::absolute(parsed.as_path())?;
    let plain = path
        .to_str()
        .is_some_and(|text| !text.contains(char::is_control));
    if !plain {
        let text = format!("{parsed}: expected a name of printable characters");
        return Err(Failure::report(Status::Usage, text));
    }
    let found = path.as_os_str().len();
    if found > PATH {
        let text = format!(
            "{parsed}: expected a path of at most {PATH} bytes, since the console cuts a longer one, found {found}"
        );
        return Err(Failure::report(Status::Usage, text));
    }
    Ok((Operand::try_from(path.as_os_str())?, path))
}

/// A name that is one word, and one file.
fn word(name: &str) -> Result<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let text = if name.starts_with(NAME) {
        // Its service would be taken for a console.
        format!("{name:?}: expected a name that does not begin with {NAME}")
    } else if !name.is_empty() && name.chars().all(plain) && !name.starts_with(['-', '.']) {
        return Ok(name);
    } else {
        format!("{name:?}: expected a name of letters, digits, _, - and .")
    };
    Err(Failure::report(Status::Usage, text))
}

/// The venti that it archives to. As in the script, there must be one.
fn venti(options: &Options, setup: &Fossil, config: &Config) -> Result<Dial> {
    let given = options.venti.as_ref().or(setup.venti.as_ref());
    let venti = given.or(config.venti.as_ref());
    let Some(venti) = venti.or(config.source.as_ref()) else {
        let text = "please set $venti, or venti in [fossil] of the configuration";
        return Err(Failure::report(Status::Usage, text));
    };
    config.dial(venti).wrap_err("venti")
}

/// The fossil's program, and its first arguments. On most systems `fossil` alone
/// is another program, so it is looked for as plan9port has it.
fn program(setup: &Fossil, config: &Config) -> Result<Vec<String>> {
    if let Some(program) = setup.program.clone().filter(|words| !words.is_empty()) {
        return Ok(program);
    }
    let given = config.plan9.iter().map(|root| root.join("bin"));
    let path = config.path.split(':').filter(|dir| !dir.is_empty());
    let known = ROOTS.iter().map(|root| Path::new(root).join("bin"));
    let mut places = given.chain(path.map(PathBuf::from)).chain(known);
    let found = places.find_map(|dir| {
        let program = dir.join("fossil/fossil");
        program.is_file().then_some(program)
    });
    let found = found.and_then(|path| path.into_os_string().into_string().ok());
    found.map(|program| vec![program]).ok_or_else(|| {
        let text =
            "no fossil/fossil in $PLAN9/bin or $PATH: set program in [fossil] of the configuration";
        Failure::report(Status::Failed, text)
    })
}

/// What the fossil has in its environment: its venti, its namespace, and where it
/// finds 9pserve.
fn environment(
    program: &[String],
    namespace: &Path,
    venti: &Dial,
    config: &Config,
) -> Vec<(String, String)> {
    let mut set = vec![
        (
            "NAMESPACE".to_owned(),
            namespace.to_string_lossy().into_owned(),
        ),
        ("venti".to_owned(), venti.to_string()),
    ];
    let program = program.first().map(PathBuf::from).unwrap_or_default();
    let bin = program.ends_with("bin/fossil/fossil");
    if let Some(bin) = program.ancestors().nth(2).filter(|_| bin) {
        let path = match config.path.as_str() {
            "" => SYSTEM,
            path => path,
        };
        set.push(("PATH".to_owned(), format!("{path}:{}", bin.display())));
        if let (None, Some(root)) = (&config.plan9, bin.parent()) {
            set.push(("PLAN9".to_owned(), root.to_string_lossy().into_owned()));
        }
    }
    set
}

/// Makes the namespace where it is missing; it must be ours alone to write, since
/// consoles have no authentication.
fn prepare(namespace: &Path) -> Result<()> {
    let named = || namespace.display().to_string();
    match std::fs::DirBuilder::new().mode(0o700).create(namespace) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.wrap_err_with(named)?,
    }
    trust::directory(namespace).wrap_err_with(named)
}

/// Stays until the fossil ends; a signal ends it in order.
fn stay(started: &mut Started, plan: &StartPlan, signals: &UnixStream) -> Result<Status> {
    let pid = broker::pid(&started.broker)?;
    let gone = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let mut fds = [
            PollFd::new(&gone, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        wait(&mut fds, None)?;
        let [ended, told] = [0, 1].map(|at| fds.get(at).is_some_and(|fd| !fd.revents().is_empty()));
        if ended {
            break;
        }
        if told {
            let _ = io::Read::read(&mut &*signals, &mut [0; 1])?;
            kill_process(pid, Signal::TERM)?;
        }
    }
    let status = started.broker.wait()?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(Status::Done),
        (_, Some(signal)) => {
            let left = kin::of(&plan.console).len();
            let text = format!(
                "{}: its broker was ended by signal {signal}, and {left} processes of the fossil go on without a console",
                plan.console.display()
            );
            Err(Failure::report(Status::Failed, text))
        }
        _ => {
            let text = format!(
                "{}: the fossil exited unexpectedly: see {}",
                plan.console.display(),
                plan.log().display()
            );
            Err(Failure::report(Status::Failed, text))
        }
    }
}
