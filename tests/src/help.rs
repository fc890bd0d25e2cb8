//! What a command says of itself with `--help`, as a value: the completions are
//! made from it, and the manual pages and the README are compared with it.

use std::collections::BTreeSet;

use crate::command::Command;

/// The text of `--help`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// The command's name.
    pub name: String,
    /// The ways to call it, without the name: `[-jnq] [-d dir] [partition]`.
    pub forms: Vec<String>,
    /// What it does: the text between usage and options, as it stands.
    pub summary: String,
    /// Its options, in the order of the text.
    pub options: Vec<Choice>,
}

/// One option.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Its letter.
    pub short: Option<char>,
    /// Its long name, without the dashes.
    pub long: Option<String>,
    /// The name of its argument, as `SECONDS`.
    pub argument: Option<String>,
    /// What it does.
    pub does: String,
}

/// One operand of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Its name.
    pub name: String,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether there may be several.
    pub repeated: bool,
}

impl Help {
    /// What the command of this name says, built from the present sources.
    ///
    /// # Panics
    ///
    /// When its `--help` fails or is not of the common form.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let output = Command::new(name).arg("--help").run();
        assert_eq!(output.status, 0, "{name} --help: {output:?}");
        Self::parse(&output.stdout).unwrap_or_else(|| panic!("{name} --help: {}", output.stdout))
    }

    /// Takes the text of `--help` apart; none if it does not begin with
    /// `usage: NAME`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (usage, rest) = text.split_once("\n\n")?;
        let name = usage.strip_prefix("usage: ")?.split_whitespace().next()?;
        let form = |line: &str| {
            let line = line.trim_start_matches("usage:").trim();
            Some(line.strip_prefix(name)?.trim().to_owned())
        };
        let mut help = Help {
            name: name.to_owned(),
            forms: usage.lines().map(form).collect::<Option<_>>()?,
            summary: String::new(),
            options: Vec::new(),
        };
        let is_option = |line: &str| line.starts_with(' ') && line.trim_start().starts_with('-');
        let mut lines = rest.lines().peekable();
        while let Some(line) = lines.next_if(|line| !is_option(line)) {
            help.summary += line;
            help.summary.push('\n');
        }
        help.summary.truncate(help.summary.trim_end().len());
        while let Some(line) = lines.next_if(|line| line.starts_with(' ')) {
            match help.options.last_mut() {
                Some(last) if !is_option(line) => {
                    last.does = format!("{} {}", last.does, line.trim()).trim().to_owned();
                }
                _ => help.options.push(Choice::parse(line)?),
            }
        }
        Some(help)
    }

    /// The operands of the first form.
    #[must_use]
    pub fn operands(&self) -> Vec<Operand> {
        let mut operands: Vec<Operand> = Vec::new();
        let mut after: Option<&Choice> = None;
        for group in groups(self.forms.first().map_or("", String::as_str)) {
            let optional = group.starts_with('[');
            let words: Vec<&str> = group.trim_matches(['[', ']']).split_whitespace().collect();
            match words.as_slice() {
                [option, ..] if option.starts_with('-') && option.len() > 1 => {
                    // Its argument is the next word, where that stands alone.
                    let option = self.option(option);
                    after = option.filter(|o| o.argument.is_some() && words.len() == 1);
                }
                [] | ["..."] | [_] if after.take().is_some() => {}
                [name, dots @ ..] => operands.push(Operand {
                    name: (*name).to_owned(),
                    optional,
                    repeated: dots == ["..."],
                }),
                [] => {}
            }
        }
        operands
    }

    /// The option of this spelling: `-d`, `--dir`.
    #[must_use]
    pub fn option(&self, spelling: &str) -> Option<&Choice> {
        self.options
            .iter()
            .find(|option| option.spellings().iter().any(|s| s == spelling))
    }

    /// Every spelling of every option: `-d`, `--dir`.
    #[must_use]
    pub fn spellings(&self) -> BTreeSet<String> {
        self.options.iter().flat_map(Choice::spellings).collect()
    }
}

/// The parts of a form: what stands in brackets, and the words outside.
fn groups(form: &str) -> Vec<&str> {
    let mut groups = Vec::new();
    let mut rest = form.trim();
    while !rest.is_empty() {
        let end = match rest.starts_with('[') {
            true => rest.find(']').map_or(rest.len(), |at| at + 1),
            false => rest.find(' ').unwrap_or(rest.len()),
        };
        let (group, further) = rest.split_at(end);
        groups.push(group);
        rest = further.trim_start();
    }
    groups
}

impl Choice {
    /// An option from its line: `  -d, --dir DIR  what it does`.
    fn parse(line: &str) -> Option<Self> {
        let (spellings, does) = line.trim().split_once("  ").unwrap_or((line.trim(), ""));
        let mut option = Choice {
            does: does.trim().to_owned(),
            ..Choice::default()
        };
        for word in spellings.split([' ', ',', '=']).filter(|w| !w.is_empty()) {
            match (word.strip_prefix("--"), word.strip_prefix('-')) {
                (Some(long), _) => option.long = Some(long.to_owned()),
                (None, Some(short)) => option.short = Some(short.chars().next()?),
                (None, None) => option.argument = Some(word.to_owned()),
            }
        }
        Some(option)
    }

    /// How it is written: `-d` and `--dir`.
    #[must_use]
    pub fn spellings(&self) -> Vec<String> {
        let short = self.short.map(|c| format!("-{c}"));
        let long = self.long.as_ref().map(|name| format!("--{name}"));
        short.into_iter().chain(long).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
usage: tool [-nv] [-d dir] -w score [part] [host ...]
       tool -l [--older hours]

Does something.
On two lines.

  -n, --dry-run      write nothing
  -d, --dir DIR      where it lies, or
                     where it lay
      --older HOURS  that old
  -w, --wait
                     for it
  -v                 more

A last word - no option.
";

    #[test]
    fn a_text_is_taken_apart() {
        let help = Help::parse(TEXT).unwrap();
        assert_eq!(help.name, "tool");
        assert_eq!(
            help.forms,
            [
                "[-nv] [-d dir] -w score [part] [host ...]",
                "-l [--older hours]"
            ]
        );
        assert_eq!(help.summary, "Does something.\nOn two lines.");
        assert_eq!(help.options.len(), 5);
        let dir = help.option("--dir").unwrap();
        assert_eq!(Some(dir), help.option("-d"));
        assert_eq!(dir.argument.as_deref(), Some("DIR"));
        assert_eq!(dir.does, "where it lies, or where it lay");
        assert_eq!(help.option("-w").unwrap().does, "for it");
        assert_eq!(help.option("--older").unwrap().short, None);
        assert_eq!(help.option("-v").unwrap().long, None);
        assert_eq!(help.spellings().len(), 8);
    }

    #[test]
    fn operands_are_what_no_option_takes() {
        let help = Help::parse(TEXT).unwrap();
        let names = |help: &Help| {
            let operands = help.operands();
            let told = |o: &Operand| format!("{} {} {}", o.name, o.optional, o.repeated);
            operands.iter().map(told).collect::<Vec<_>>()
        };
        assert_eq!(
            names(&help),
            ["score false false", "part true false", "host true true"]
        );
        let help = Help::parse(&TEXT.replace("--wait", "--wait S")).unwrap();
        assert_eq!(names(&help), ["part true false", "host true true"]);
    }

    #[test]
    fn another_text_is_none() {
        assert_eq!(Help::parse("what?\n\nno\n"), None);
        assert_eq!(Help::parse("usage: tool\nother x\n\nno\n"), None);
    }
}
