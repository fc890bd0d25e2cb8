//! Commands of the suite, or the rc scripts of the same names, run on another
//! machine.
//!
//! How the machine is reached is an argument vector from the configuration;
//! nothing here runs a shell, but there is one at the far end, and the command
//! is quoted for it. Where the vector's program brings no exit status of the
//! far command, that shell is made to print it: without that line, nobody
//! knows how the command ended, or whether it did.

mod answer;
mod shell;

use std::fmt;
use std::path::Path;
use std::process::Command;

use eyre::{Result, bail};
use venticore::config::{Config, Remote, Shell};
use venticore::host::child::{self, ChildLimits};
use venticore::status::{Failure, Status};

use answer::Captured;
pub use answer::{RemoteEnd, RemoteOutput};

/// The most bytes that are taken from each stream of a far command.
const OUTPUT_MAX: u64 = 256 << 10;

/// Another machine, and how it is reached.
#[derive(Clone, Debug)]
pub struct Machine {
    host: String,
    remote: Remote,
    limits: ChildLimits,
}

/// A far command that did not come to its end.
#[derive(Debug)]
pub struct RemoteFailure {
    /// What became of it.
    pub fault: child::ChildFault,
    /// What the program that leads there may lack; nothing, or `; ` and the text.
    hint: &'static str,
}

/// There are two programs of this name.
const DRAWTERM: &str = "; it must be the drawterm of 9front \
     (on Debian the package drawterm-9front, not drawterm), and $PASS must hold its password";

impl Machine {
    /// A machine by its name: reached as `asked` says, otherwise as the configuration
    /// has it for this host, otherwise as it has it for all, otherwise by ssh.
    ///
    /// # Errors
    /// The name could be taken for something that is not a name, or the argument
    /// vector has no place for the command.
    pub fn new(host: &str, asked: Option<&str>, config: &Config) -> Result<Self> {
        check_host(host)?;
        let name = asked
            .or(config.hosts.get(host).map(String::as_str))
            .or(config.remote.as_deref())
            .unwrap_or("ssh");
        let remote = match config.remotes.get(name) {
            Some(remote) => remote.clone(),
            None => built_in(name),
        };
        check_vector(name, &remote.command)?;
        Ok(Machine {
            host: host.to_owned(),
            remote,
            limits: ChildLimits {
                silence: config.remote_limit,
                whole: config.remote_limit,
                output: OUTPUT_MAX,
            },
        })
    }

    /// Its name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The commands there are the rc scripts.
    #[must_use]
    pub fn has_scripts(&self) -> bool {
        self.remote.scripts
    }

    /// A call as a person would type it, to be shown.
    #[must_use]
    pub fn shown(&self, words: &[&str]) -> String {
        let program = self.remote.command.first().map_or("", String::as_str);
        let program = program.rsplit('/').next().unwrap_or(program);
        let words = shell::line(self.remote.shell, words);
        format!("{program} {} {words}", self.host)
    }

    /// Runs a command there, with these bytes on its standard input.
    ///
    /// # Errors
    /// The program could not be started, or has outlived the limits: whether
    /// the far command has ended is not known.
    pub fn run(&self, words: &[&str], input: &str) -> Result<RemoteOutput, RemoteFailure> {
        let mut line = shell::line(self.remote.shell, words);
        let mark = (!self.remote.status).then(shell::status_mark);
        if let Some(mark) = &mark {
            line.push_str(&shell::tell_status(self.remote.shell, mark));
        }
        let mut vector = self.remote.command.iter().map(|word| {
            // The command last: it is not looked at for a place of the host.
            word.replace("{host}", &self.host)
                .replace("{command}", &line)
        });
        let mut command = Command::new(vector.next().unwrap_or_default());
        command.args(vector);
        let ended = child::run::<Captured>(command, input.into(), &self.limits);
        let hint = self.hint();
        let ended = ended.map_err(|fault| RemoteFailure { fault, hint })?;
        let mut answer = RemoteOutput::new(ended, mark.as_deref());
        if let RemoteEnd::Unknown(why) = &mut answer.end {
            why.push_str(hint);
        }
        Ok(answer)
    }

    /// What may be wrong with the program where no answer comes.
    fn hint(&self) -> &'static str {
        let program = self.remote.command.first().map(Path::new);
        match program.and_then(Path::file_name) {
            Some(name) if name == "drawterm" => DRAWTERM,
            _ => "",
        }
    }
}

impl fmt::Display for RemoteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.fault, self.hint)
    }
}

/// What is known without configuration.
fn built_in(name: &str) -> Remote {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let plan9 = |command| Remote {
        command,
        shell: Shell::Rc,
        status: false,
        scripts: true,
    };
    match name {
        "ssh" => Remote {
            command: words(&["ssh", "-T", "-oBatchMode=yes", "--", "{host}", "{command}"]),
            shell: Shell::Sh,
            status: true,
            scripts: false,
        },
        "rx" => plan9(words(&["rx", "{host}", "{command}"])),
        "drawterm" => plan9(words(&[
            "drawterm",
            "-G",
            "-h",
            "{host}",
            "-c",
            "{command}",
        ])),
        program => Remote {
            command: words(&[program, "{host}", "{command}"]),
            shell: Shell::Sh,
            status: false,
            scripts: true,
        },
    }
}

/// A name that is not an option, and not more than one word for any program.
fn check_host(host: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:@%[]".contains(c);
    if host.is_empty() || host.starts_with(['-', '@']) || !host.chars().all(plain) {
        let text = format!("expected the name of a machine, found {host:?}");
        return Err(Failure::report(Status::Usage, text));
    }
    // ssh takes what follows the @ for the host, and may take it for an option.
    if host.contains("@-") {
        let text = format!("expected user@machine, found {host:?}");
        return Err(Failure::report(Status::Usage, text));
    }
    Ok(())
}

fn check_vector(name: &str, command: &[String]) -> Result<()> {
    let has = |place: &str| command.iter().skip(1).any(|word| word.contains(place));
    if command.first().is_none_or(String::is_empty) || !has("{host}") || !has("{command}") {
        let text = format!(
            "remote {name}: expected a command such as \
             [\"ssh\", \"--\", \"{{host}}\", \"{{command}}\"], found {command:?}"
        );
        bail!(Failure {
            status: Status::Usage,
            message: text,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use venticore::tool::status_of;

    #[test]
    fn a_host_is_one_plain_word() {
        for host in ["gridfour", "root@10.0.0.1", "[::1]", "a-b.example.org"] {
            check_host(host).unwrap();
        }
        for host in [
            "",
            "-oProxyCommand=x",
            "a b",
            "a;b",
            "u@-x",
            "$h",
            "a\nb",
            "ä",
            "@h",
        ] {
            let error = check_host(host).unwrap_err();
            assert_eq!(status_of(&error), Status::Usage, "{host}");
        }
    }

    #[test]
    fn a_machine_is_reached_as_the_nearest_word_says() {
        let remote = |program: &str| Remote {
            command: [program, "{host}", "{command}"].map(str::to_owned).into(),
            shell: Shell::Rc,
            status: false,
            scripts: true,
        };
        let mut config = Config::default();
        let reached = |config: &Config, asked: Option<&str>| {
            Machine::new("h", asked, config).unwrap().shown(&["x"])
        };
        assert_eq!(reached(&config, None), "ssh h x");
        config.remotes.insert("far".into(), remote("/opt/a"));
        config.remotes.insert("near".into(), remote("b"));
        config.remote = Some("far".into());
        assert_eq!(reached(&config, None), "a h x");
        config.hosts.insert("h".into(), "near".into());
        assert_eq!(reached(&config, None), "b h x");
        assert_eq!(reached(&config, Some("/usr/bin/c")), "c h x");
        assert_eq!(reached(&config, Some("rx")), "rx h x");
    }

    #[test]
    fn a_vector_has_places_for_host_and_command() {
        for vector in [
            &[][..],
            &["ssh"],
            &["ssh", "{host}"],
            &["{host}", "{command}"],
        ] {
            let vector: Vec<String> = vector.iter().map(|&word| word.to_owned()).collect();
            assert!(check_vector("x", &vector).is_err(), "{vector:?}");
        }
    }
}
