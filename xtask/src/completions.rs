//! `cargo xtask completions [directory]`: completions for bash, zsh and fish,
//! made from what `--help` says. A new command needs nothing here.

mod bash;
mod fish;
mod zsh;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use eyre::WrapErr;
use venti_tests::command;
use venti_tests::help::Help;

/// What a word of a command line can be completed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A file, a partition among them.
    File,
    /// A directory.
    Directory,
    /// A host.
    Host,
    /// One of these.
    Words(&'static [&'static str]),
    /// Nothing that a shell could know.
    Nothing,
}

impl Kind {
    /// The kind of an operand or argument, by its name in `--help`.
    fn of(name: &str) -> Self {
        match name.to_lowercase().as_str() {
            "dir" => Self::Directory,
            "dest" | "host" | "remote" | "source" | "sourceventi" | "target" | "venti"
            | "ventiaddr" | "ventilist" => Self::Host,
            "engine" => Self::Words(&["native", "external"]),
            "blocksize" | "clumpoffset" | "command" | "fileoffset" | "hours" | "indexurl"
            | "label" | "n" | "path" | "rate" | "rootscore" | "score" | "seconds" | "size"
            | "srvname" | "url" => Self::Nothing,
            // As shells do with what they know nothing of.
            _ => Self::File,
        }
    }
}

/// One shell: how its script is made, and where below `share` it looks for it.
pub(crate) struct Shell {
    script: fn(&Help) -> String,
    path: fn(&str) -> PathBuf,
}

/// The shells.
pub(crate) const SHELLS: [Shell; 3] = [
    Shell {
        script: bash::script,
        path: |name| Path::new("bash-completion/completions").join(name),
    },
    Shell {
        script: zsh::script,
        path: |name| Path::new("zsh/vendor-completions").join(format!("_{name}")),
    },
    Shell {
        script: fish::script,
        path: |name| Path::new("fish/vendor_completions.d").join(format!("{name}.fish")),
    },
];

/// The scripts of a command: path below `share`, and text.
pub(crate) fn of(help: &Help) -> Vec<(PathBuf, String)> {
    let script = |shell: &Shell| ((shell.path)(&help.name), (shell.script)(help));
    SHELLS.iter().map(script).collect()
}

pub(crate) fn run(arguments: &[OsString]) -> eyre::Result<()> {
    let target = command::root().join("target/completions");
    let directory = match arguments {
        [] => target,
        [directory] => directory.into(),
        _ => return Err(eyre::eyre!("takes one directory, or nothing")),
    };
    for name in command::names() {
        for (path, text) in of(&Help::of(&name)) {
            let path = directory.join(path);
            let parent = path.parent().unwrap_or(&directory);
            fs::create_dir_all(parent).wrap_err_with(|| parent.display().to_string())?;
            fs::write(&path, text).wrap_err_with(|| path.display().to_string())?;
        }
    }
    println!("written below {}", directory.display());
    Ok(())
}

/// The letters of the options that do, or do not, take an argument.
fn letters(help: &Help, argument: bool) -> String {
    let options = help.options.iter();
    let fitting = options.filter(|option| option.argument.is_some() == argument);
    fitting.filter_map(|option| option.short).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Mutex;

    use super::*;

    /// The completions of a command line, as a script for that shell prints
    /// them, sorted; none where the shell is not installed.
    fn completed(shell: &str, arguments: &[&str], script: &str) -> Option<Vec<String>> {
        let mut program = Command::new(shell);
        program.args(arguments).arg(script);
        let output = match program.output() {
            Ok(output) => output,
            Err(error) => {
                static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
                let mut said = SAID.lock().unwrap();
                if !said.iter().any(|s| s == shell) {
                    command::skipped(&format!("{shell}: {error}"));
                    said.push(shell.to_owned());
                }
                return None;
            }
        };
        assert!(output.status.success(), "{shell}: {output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let mut words: Vec<String> = said.lines().map(|l| l.trim().to_owned()).collect();
        words.retain(|word| !word.is_empty());
        words.sort();
        words.dedup();
        Some(words)
    }

    /// A directory with a file and a directory, and the scripts of all commands.
    fn scripts() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("part1"), "").unwrap();
        fs::create_dir(directory.path().join("part2")).unwrap();
        run(&[directory.path().join("share").into()]).unwrap();
        directory
    }

    /// What each shell completes this line to, which ends at the cursor.
    fn each(directory: &Path, line: &str) -> Vec<(&'static str, Vec<String>)> {
        let name = line.split(' ').next().unwrap();
        let path = |shell: usize| {
            let path = directory.join("share").join((SHELLS[shell].path)(name));
            path.display().to_string()
        };
        let at = directory.display();
        let bash = format!(
            "cd {at}; . {}; COMP_LINE={line:?}; COMP_POINT=${{#COMP_LINE}}; \
             compopt() {{ :; }}; _{name}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            path(0)
        );
        let zsh = zsh::capture(
            directory,
            &directory.join("share/zsh/vendor-completions"),
            line,
        );
        let fish = format!("cd {at}; source {}; complete -C {line:?}", path(2));
        let shells = [
            ("bash", completed("bash", &["--norc", "-c"], &bash)),
            ("zsh", completed("zsh", &["-f", "-c"], &zsh)),
            ("fish", completed("fish", &["--no-config", "-c"], &fish)),
        ];
        shells
            .into_iter()
            .filter_map(|(shell, words)| {
                let plain = |word: String| {
                    let word = word.split('\t').next().unwrap_or_default().to_owned();
                    word.trim_end_matches('/').to_owned()
                };
                Some((shell, words?.into_iter().map(plain).collect()))
            })
            .collect()
    }

    #[test]
    fn long_options_are_completed() {
        let directory = scripts();
        for name in command::names() {
            let help = Help::of(&name);
            for (shell, words) in each(directory.path(), &format!("{name} --")) {
                for long in help.options.iter().filter_map(|o| o.long.as_ref()) {
                    let there = words
                        .iter()
                        .any(|w| w.trim_end_matches('=') == format!("--{long}"));
                    assert!(there, "{shell}: {name} --{long} is not in {words:?}");
                }
            }
        }
    }

    #[test]
    fn operands_and_arguments_are_completed_by_kind() {
        let directory = scripts();
        let cases: [(&str, &[&str]); 8] = [
            ("fossilast par", &["part1", "part2"]),
            ("fossilize -d par", &["part2"]),
            ("fossilize --dir par", &["part2"]),
            ("fossilize -nqd par", &["part2"]),
            ("fossilize -t 5 par", &["part1", "part2"]),
            ("ventiprog -e ex", &["external"]),
            ("fossilize --dr", &["--dry-run"]),
            ("fossilast part1 par", &[]),
        ];
        for (line, expected) in cases {
            for (shell, words) in each(directory.path(), line) {
                assert_eq!(words, expected, "{shell}: {line}");
            }
        }
    }

    #[test]
    fn after_an_operand_there_are_no_options() {
        let directory = scripts();
        for line in ["fossilize part1 --dr", "wrarena -- --of"] {
            for (shell, words) in each(directory.path(), line) {
                assert!(words.is_empty(), "{shell}: {line}: {words:?}");
            }
        }
    }

    #[test]
    fn a_value_behind_an_equals_sign_is_completed() {
        let directory = scripts();
        for (shell, words) in each(directory.path(), "ventiprog --engine=ex") {
            let fits = |w: &String| w.trim_start_matches("--engine=") == "external";
            assert!(
                words.iter().all(fits) && words.len() == 1,
                "{shell}: {words:?}"
            );
        }
    }
}
