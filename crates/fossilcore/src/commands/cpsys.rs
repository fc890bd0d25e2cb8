//! The command cpsys: makes one machine's fossil what another's last archive
//! was (fossil.md 7).
//!
//! Three commands on two machines, in the order of the script: the
//! destination's state is put on record before it is lost, the source says
//! what its last archive is, and the destination is reset to that. Each must
//! convince before the next is begun, and none is ever repeated.

mod line;
mod voice;

use eyre::Result;

use crate::remote::{Machine, RemoteEnd, RemoteFailure, RemoteOutput};
use crate::rootline::RootLine;
use line::FoundRoot;
use venticore::codec::dial::Dial;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::{Failure, Status};
use voice::Voice;

/// A shell adds this to the number of the signal that ended a command.
const SIGNALS: i32 = 128;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-n`: reset nothing, but let the destination tell what it would do.
    pub dry_run: bool,
    /// `-r`: how the machines are reached.
    pub remote: Option<String>,
    /// `-P`: the partition of the source, instead of the default there.
    pub source_partition: Option<String>,
    /// `-p`: the partition of the destination, instead of the source's name.
    pub partition: Option<String>,
    /// `-v`: the venti that the destination reads from, instead of the source's.
    pub venti: Option<String>,
    /// `--start`: start the fossil of the destination afterwards.
    pub start: bool,
    /// The machine whose archive is copied.
    pub source: String,
    /// The machine whose fossil is reset.
    pub dest: String,
}

/// Runs the command.
///
/// # Errors
/// Something did not convince; the message says on which machine, and whether
/// anything was begun there.
pub fn run(options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let asked = options.remote.as_deref();
    let copy = Copy {
        source: Machine::new(&options.source, asked, config)?,
        dest: Machine::new(&options.dest, asked, config)?,
        options,
        voice: Voice::new(terminal),
    };
    let done = copy.carry_out();
    if !matches!(done, Ok(Status::Done)) {
        copy.voice.speak_up();
    }
    done
}

/// What `-p` and `-v` say, checked.
struct Given {
    partition: Option<String>,
    venti: Option<String>,
}

impl Given {
    fn replace(&self, line: RootLine, source: &str) -> Result<Complete> {
        let venti = self.venti.clone().or(line.venti);
        let venti = venti.ok_or_else(|| {
            let text = format!("{source}: fossilize names no venti: name one with -v");
            Failure::report(Status::Failed, text)
        })?;
        Ok(Complete {
            score: line.score,
            source: line.partition.clone(),
            partition: self.partition.clone().unwrap_or(line.partition),
            venti,
        })
    }
}

/// What the destination is to be reset to.
struct Complete {
    score: String,
    /// The partition on the source.
    source: String,
    /// The partition on the destination.
    partition: String,
    venti: String,
}

impl Complete {
    fn words(&self) -> [&str; 4] {
        ["fosreset", &self.score, &self.partition, &self.venti]
    }
}

struct Copy<'a> {
    source: Machine,
    dest: Machine,
    options: &'a Options,
    voice: Voice<'a>,
}

impl Copy<'_> {
    /// The three commands, and the fourth.
    fn carry_out(&self) -> Result<Status> {
        let given = self.given()?;
        // The script would put something on record.
        let records = !(self.options.dry_run && self.dest.has_scripts());
        let recorded = match records {
            true => self.record(given.partition.as_deref())?,
            false => None,
        };
        let line = given.replace(self.ask(&given)?, self.source.host())?;
        self.refuse_itself(&line)?;
        let other = given.partition.is_none() && recorded.as_ref() != Some(&line.partition);
        if records && other {
            // What is on record is not the partition that will be lost; and which one
            // the default there is, that has no archive, nobody has said.
            self.record(Some(&line.partition))?;
        }
        let status = self.reset(&line)?;
        match self.options.dry_run {
            true => Ok(status),
            false => self.start(&line),
        }
    }

    fn given(&self) -> Result<Given> {
        let Options {
            partition,
            source_partition,
            venti,
            ..
        } = self.options;
        let usage = |what: &'static str| {
            move |cause| Failure::report(Status::Usage, format!("{what}: {cause}"))
        };
        if let Some(partition) = partition {
            line::check_partition(partition).map_err(usage("-p"))?;
        }
        if let Some(partition) = source_partition {
            line::check_partition(partition).map_err(usage("-P"))?;
        }
        if let Some(venti) = venti {
            line::check_venti(venti).map_err(usage("-v"))?;
        }
        Ok(Given {
            partition: partition.clone(),
            venti: venti.clone(),
        })
    }

    /// Puts the destination's state on record there. Returns the partition
    /// that it was of; none where that has no archive.
    fn record(&self, partition: Option<&str>) -> Result<Option<String>> {
        let machine = &self.dest;
        let answer = self.call(machine, &self.fossilize(machine, partition))?;
        let found = FoundRoot::in_lines(&answer.stdout);
        // With 3 and 2 it is on record all the same: see fossilize.
        let status = answer.end.status();
        if let (FoundRoot::One(line), Some(Status::Done | Status::Usage | Status::Partly)) =
            (&found, status)
        {
            self.voice.print(&line.to_string())?;
            return Ok(Some(line.partition.clone()));
        }
        if found.is_no_root() || line::tells_no_root(&answer) {
            let text = "has no archive to lose, nothing was recorded";
            self.voice.say(format!("{}: {text}", machine.host()));
            return Ok(None);
        }
        let why = match status {
            Some(Status::Done) => found.why_not(),
            _ => ended(machine, "fossilize", &answer.end),
        };
        let text = format!("{why}; its state is not on record, so it is not reset");
        Err(Failure::report(far_status(&answer.end), text))
    }

    /// Asks the source for its last archive.
    fn ask(&self, given: &Given) -> Result<RootLine> {
        let machine = &self.source;
        let asked = self.options.source_partition.as_deref();
        let answer = self.call(machine, &self.fossilize(machine, asked))?;
        if answer.end.status() == Some(Status::Partly) {
            let text = format!(
                "{}: an archive is under way there, and the previous one was recorded: \
                 run again when it is done; nothing was reset",
                machine.host()
            );
            return Err(Failure::report(Status::Partly, text));
        }
        // It says so where only the venti of its line is unusable.
        let without_venti = answer.end.status() == Some(Status::Usage) && given.venti.is_some();
        if !answer.end.is_success() && !without_venti {
            let why = ended(machine, "fossilize", &answer.end);
            let text = format!("{why}; nothing was reset");
            return Err(Failure::report(far_status(&answer.end), text));
        }
        match FoundRoot::in_lines(&answer.stdout) {
            FoundRoot::One(line) if asked.is_none_or(|asked| asked == line.partition) => Ok(line),
            FoundRoot::One(line) => {
                let text = format!(
                    "{}: fossilize: expected the line of {}, found the line of {}; nothing was reset",
                    machine.host(),
                    asked.unwrap_or_default(),
                    line.partition
                );
                Err(Failure::report(Status::Failed, text))
            }
            found => {
                let text = format!("{}: {}; nothing was reset", machine.host(), found.why_not());
                Err(Failure::report(Status::Failed, text))
            }
        }
    }

    /// Resets the destination, or lets it say what it would do.
    fn reset(&self, line: &Complete) -> Result<Status> {
        let machine = &self.dest;
        let words = line.words();
        self.voice.print(&machine.shown(&words))?;
        if self.options.dry_run && machine.has_scripts() {
            self.voice.say(format!(
                "{}: not run, and nothing was proved: the configuration says that its commands are the rc scripts, which have no -n; if they are from this suite, set scripts = false in [remotes]",
                machine.host()
            ));
            return Ok(Status::Partly);
        }
        self.voice.terminal.wait("waiting for the reset");
        let input = format!("{}\n", words[1..].join(" "));
        let answer = match (machine.has_scripts(), self.options.dry_run) {
            (true, _) => machine.run(&words, ""),
            (false, false) => machine.run(&["fosreset", "-"], &input),
            (false, true) => machine.run(&["fosreset", "-n", "-"], &input),
        };
        self.voice.terminal.clear();
        let answer = answer.map_err(|lost| self.reset_lost(&lost.to_string()))?;
        self.pass_on(machine, &answer);
        for line in &answer.stdout {
            self.voice.print(line)?;
        }
        match &answer.end {
            end if end.is_success() => Ok(Status::Done),
            RemoteEnd::Unknown(why) => Err(self.reset_lost(why)),
            // A shell's word for a signal, which may have come at any moment.
            RemoteEnd::Status(status) if *status > SIGNALS && !self.options.dry_run => {
                Err(self.reset_lost(&answer.end.to_string()))
            }
            end => {
                let why = ended(machine, "fosreset", end);
                let text = format!("{why}{}", self.whose_loopback(line));
                Err(Failure::report(far_status(end), text))
            }
        }
    }

    /// A venti that the source calls by its loopback is another one for the
    /// destination.
    fn whose_loopback(&self, line: &Complete) -> String {
        let dial: Result<Dial, _> = line.venti.parse();
        let loopback = dial.is_ok_and(|dial| dial.is_loopback());
        if !loopback || self.options.venti.is_some() || self.source.host() == self.dest.host() {
            return String::new();
        }
        format!(
            "; {} is what {} calls its venti: name it with -v as {} reaches it",
            line.venti,
            self.source.host(),
            self.dest.host()
        )
    }

    /// The way to the destination broke off after the reset was sent there.
    fn reset_lost(&self, why: &str) -> eyre::Report {
        if self.options.dry_run {
            let text = format!("{}: fosreset -n: {why}", self.dest.host());
            return Failure::report(Status::Unreachable, text);
        }
        let text = format!(
            "{}: fosreset: {why}: it may have been done, and is not repeated; \
             look there (fossilast, rootscor), then run again",
            self.dest.host()
        );
        Failure::report(Status::Partly, text)
    }

    /// Starts the fossil of the destination, or says how.
    fn start(&self, line: &Complete) -> Result<Status> {
        let machine = &self.dest;
        // On another venti than the archive was proved on, it may lack blocks.
        let set = format!("venti={}", line.venti);
        let words = match machine.has_scripts() {
            true => vec![&set, "fossilstart", &line.partition],
            false => vec!["fossilstart", "-v", &line.venti, &line.partition],
        };
        if !self.options.start {
            let shown = machine.shown(&words);
            self.voice.say(format!(
                "{}: start its fossil again: {shown}",
                machine.host()
            ));
            return Ok(Status::Done);
        }
        self.voice.print(&machine.shown(&words))?;
        let failed = |why: String| {
            let text = format!("{why}; the reset is done, start the fossil there");
            Failure::report(Status::Partly, text)
        };
        let lost = |lost: RemoteFailure| failed(format!("{}: fossilstart: {lost}", machine.host()));
        let answer = self.run(machine, &words).map_err(lost)?;
        for line in &answer.stdout {
            self.voice.print(line)?;
        }
        match answer.end.is_success() {
            true => Ok(Status::Done),
            false => Err(failed(ended(machine, "fossilstart", &answer.end))),
        }
    }

    /// A machine is not made a copy of itself.
    fn refuse_itself(&self, line: &Complete) -> Result<()> {
        if self.source.host() != self.dest.host() || line.source != line.partition {
            return Ok(());
        }
        let text = format!(
            "{}: is both source and destination, with the same partition {}; name another with -p",
            self.dest.host(),
            line.partition
        );
        Err(Failure::report(Status::Usage, text))
    }

    /// The words that call fossilize there.
    fn fossilize<'w>(&self, machine: &Machine, partition: Option<&'w str>) -> Vec<&'w str> {
        let dry = (self.options.dry_run && !machine.has_scripts()).then_some("-n");
        let words = [Some("fossilize"), dry, partition];
        words.into_iter().flatten().collect()
    }

    /// Runs a command that comes before the reset.
    fn call(&self, machine: &Machine, words: &[&str]) -> Result<RemoteOutput> {
        self.run(machine, words).map_err(|lost| {
            let name = words.first().copied().unwrap_or_default();
            let text = format!("{}: {name}: {lost}; nothing was reset", machine.host());
            Failure::report(Status::Unreachable, text)
        })
    }

    /// Runs a command that changes nothing that could not be done again.
    fn run(&self, machine: &Machine, words: &[&str]) -> Result<RemoteOutput, RemoteFailure> {
        self.voice.terminal.wait("waiting for the other machine");
        let answer = machine.run(words, "");
        self.voice.terminal.clear();
        let answer = answer?;
        self.pass_on(machine, &answer);
        Ok(answer)
    }

    /// What the far command said on standard error.
    fn pass_on(&self, machine: &Machine, answer: &RemoteOutput) {
        for line in &answer.stderr {
            self.voice.say(format!("{}: {line}", machine.host()));
        }
    }
}

/// Which command, on which machine, ended how.
fn ended(machine: &Machine, command: &str, end: &RemoteEnd) -> String {
    format!("{}: {command}: {end}", machine.host())
}

/// What the end of a far command stands for here. A usage error there is none
/// of this call.
fn far_status(end: &RemoteEnd) -> Status {
    match end {
        RemoteEnd::Unknown(_) => Status::Unreachable,
        end => match end.status() {
            None | Some(Status::Done | Status::Usage) => Status::Failed,
            Some(status) => status,
        },
    }
}
