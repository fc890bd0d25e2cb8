//! Whether an answer is a success: a console has no exit status, only texts
//! (fossil.md 6.3).

use super::line::CommandLine;

/// Commands that say nothing when they succeed.
const SILENT: &[&str] = &[
    "bfree",
    "bind",
    "clre",
    "clri",
    "clrp",
    "close",
    "config",
    "create",
    "halt",
    "open",
    "remove",
    "snap",
    "snapclean",
    "unconfig",
    "unhalt",
    "unmount",
    "venti",
];

/// Commands whose lines begin with a tab when they succeed.
const TABBED: &[&str] = &[
    "block",
    "df",
    "epoch",
    "fsys",
    "listen",
    "msg",
    "printconfig",
    "snaptime",
    "srv",
    "stat",
    "sync",
    "users",
    "who",
    "wstat",
];

/// Those among them that say nothing when they set something.
const SETTING: &[&str] = &["listen", "snaptime", "srv"];

/// What a failure of any command may begin with.
const FAILURES: &[&str] = &[
    "file system ",
    "fsys: ",
    "unknown command - ",
    "usage: ",
    "errors in . ",
    "cannot ",
];

/// The line that says that a command failed, if one does.
#[must_use]
pub fn failure<'a>(line: &CommandLine, answer: &'a str) -> Option<&'a str> {
    let words = line.command();
    // `fsys NAME` alone chooses a file system, and says nothing.
    let command = words.first().map_or("config", String::as_str);
    let sets = SETTING.contains(&command) && words.len() > 1;
    let mut lines = answer.lines().filter(|line| !line.trim().is_empty());
    if command.starts_with('#') || command == "echo" {
        return None;
    }
    if SILENT.contains(&command) || sets {
        return lines.next();
    }
    match command {
        "check" if answer.lines().any(|line| line.starts_with("fsck: ")) => None,
        "check" => lines.next_back().or(Some("no result")),
        "vac" if answer.starts_with("vac:") => None,
        "vac" => lines.next_back().or(Some("no score")),
        command if TABBED.contains(&command) => {
            lines.find(|line| !line.starts_with('\t') || line.starts_with("\tfsEpochLow: "))
        }
        command => lines.find(|text| {
            FAILURES.iter().any(|failure| text.starts_with(failure))
                || text.ends_with("- eh?")
                || text.starts_with(&format!("{command}: "))
                || command == "." && text.starts_with(". ")
        }),
    }
}

/// The name of the file system in `file system NAME is halted`.
#[must_use]
pub fn halted(answer: &str) -> Option<&str> {
    let name = answer.trim_end().strip_prefix("file system ")?;
    name.strip_suffix(" is halted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, answer: &str, expected: Option<&str>) {
        let line = line.parse().unwrap();
        assert_eq!(failure(&line, answer), expected, "{line}");
    }

    #[test]
    fn silence_is_success_only_where_it_should_be() {
        for line in [
            "fsys main config a.part",
            "fsys main open -c 9000",
            "fsys main",
            "fsys main halt",
            "fsys main snaptime -a none",
            "srv -A f",
            "listen tcp!*!564",
            "snap -a",
        ] {
            check(line, "", None);
            check(line, "what\n", Some("what"));
        }
        check("fsys main check", "", Some("no result"));
        check("vac /active", "", Some("no score"));
    }

    #[test]
    fn a_halted_file_system_names_itself() {
        assert_eq!(halted("file system main is halted\n"), Some("main"));
        assert_eq!(halted("file system main not halted\n"), None);
        assert_eq!(halted(""), None);
    }
}
