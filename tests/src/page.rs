//! The manual pages in `docs/man`, as far as they are compared with something:
//! forms, options, sections, references, examples.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::command;

/// What a comment before an example that cannot be run begins with.
const NOT_RUN: &str = ".\\\" not run: ";

/// One manual page, mdoc.
#[derive(Clone, Debug)]
pub struct Page {
    /// What it is about: the name of its file before the last dot.
    pub name: String,
    /// The section of the manual: 5, 7, 8.
    pub section: String,
    /// Its text.
    pub source: String,
}

/// One display in the section EXAMPLES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Example {
    /// A line by itself: something to type, or a line for cron.
    Line(String),
    /// Several lines, kept as they are: a file, or a dialogue.
    Block(String),
}

impl Page {
    /// Where the pages lie.
    #[must_use]
    pub fn directory() -> PathBuf {
        command::root().join("docs/man")
    }

    /// All of them, sorted by file name.
    ///
    /// # Panics
    ///
    /// When one cannot be read or its name has no section.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let directory = Self::directory();
        let entries = fs::read_dir(&directory).unwrap_or_else(|e| panic!("docs/man: {e}"));
        let mut files: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        files.sort();
        files.iter().map(|file| Self::load(file)).collect()
    }

    /// The page in this file: `wrcmd.5`.
    ///
    /// # Panics
    ///
    /// When it cannot be read or its name has no section.
    #[must_use]
    pub fn load(file: &str) -> Self {
        let path = Self::directory().join(file);
        let (name, section) = file
            .rsplit_once('.')
            .unwrap_or_else(|| panic!("{file}: no section"));
        Page {
            name: name.to_owned(),
            section: section.to_owned(),
            source: fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}")),
        }
    }

    /// The name of its file.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }

    /// What it says it does, in one line.
    #[must_use]
    pub fn describes(&self) -> String {
        let line = self.source.lines().find_map(|l| l.strip_prefix(".Nd "));
        line.map(plain).unwrap_or_default()
    }

    /// The names of its sections, in order.
    #[must_use]
    pub fn sections(&self) -> Vec<&str> {
        let lines = self.source.lines();
        lines.filter_map(|line| line.strip_prefix(".Sh ")).collect()
    }

    /// The lines of a section.
    #[must_use]
    pub fn section(&self, name: &str) -> Vec<&str> {
        let title = format!(".Sh {name}");
        self.source
            .lines()
            .skip_while(|line| *line != title)
            .skip(1)
            .take_while(|line| !line.starts_with(".Sh "))
            .collect()
    }

    /// The ways to call it, without the name, as [`crate::help::Help::forms`].
    #[must_use]
    pub fn forms(&self) -> Vec<String> {
        let mut forms: Vec<String> = Vec::new();
        for line in self.section("SYNOPSIS") {
            if line.starts_with(".Nm") {
                forms.push(String::new());
            } else if let Some(form) = forms.last_mut() {
                let blank = if form.is_empty() { "" } else { " " };
                *form = format!("{form}{blank}{}", in_line(line.trim_start_matches('.')));
            }
        }
        forms
    }

    /// Every spelling of the options it lists: `-d`, `--dir`.
    #[must_use]
    pub fn options(&self) -> BTreeSet<String> {
        let items = self.source.lines();
        items
            .filter_map(|line| line.strip_prefix(".It Fl "))
            .flat_map(|item| {
                let item = format!("-{}", item.replace("Fl ", "-"));
                let words = item.split([' ', ',']).filter(|w| w.starts_with('-'));
                words.map(String::from).collect::<Vec<_>>()
            })
            .collect()
    }

    /// The pages it refers to: name and section.
    #[must_use]
    pub fn references(&self) -> Vec<(&str, &str)> {
        let lines = self.source.lines();
        lines
            .filter_map(|line| {
                let (_, reference) = line.split_once("Xr ")?;
                let mut words = reference.split(' ');
                Some((words.next()?, words.next()?))
            })
            .collect()
    }

    /// Why some examples cannot be run: comments `.\" not run: WHY`, each right
    /// before the display that it is about.
    #[must_use]
    pub fn not_run(&self) -> Vec<&str> {
        let lines = self.section("EXAMPLES").into_iter();
        lines.filter_map(|l| l.strip_prefix(NOT_RUN)).collect()
    }

    /// What its section EXAMPLES shows, but for what is not run.
    #[must_use]
    pub fn examples(&self) -> Vec<Example> {
        let mut examples = Vec::new();
        let mut block: Option<String> = None;
        let mut lines = self.section("EXAMPLES").into_iter();
        while let Some(line) = lines.next() {
            if line.starts_with(NOT_RUN) {
                if lines.next().is_some_and(|l| l.starts_with(".Bd ")) {
                    lines.by_ref().find(|line| *line == ".Ed");
                }
                continue;
            }
            match (&mut block, line) {
                (open, _) if line.starts_with(".Bd ") => *open = Some(String::new()),
                (open, ".Ed") => examples.extend(open.take().map(Example::Block)),
                (Some(text), _) => *text += &format!("{}\n", plain(line)),
                (None, _) => {
                    let shown = line.strip_prefix(".Dl ");
                    examples.extend(shown.map(|l| Example::Line(plain(l))));
                }
            }
        }
        examples
    }
}

/// The macros of one line as they are printed: `Op Fl d Ar dir` is `[-d dir]`.
fn in_line(line: &str) -> String {
    if let Some(optional) = line.strip_prefix("Op ") {
        return format!("[{}]", in_line(optional));
    }
    let mut shown: Vec<String> = Vec::new();
    let mut flag = false;
    for word in line.split(' ') {
        match word {
            "Fl" => flag = true,
            "Ar" | "Cm" => flag = false,
            _ if flag => shown.push(format!("-{word}")),
            _ => shown.push(word.to_owned()),
        }
    }
    shown.join(" ")
}

/// A text without mdoc's escapes.
fn plain(text: &str) -> String {
    [("\\e", "\\"), ("\\(dq", "\""), ("\\&", ""), ("\\-", "-")]
        .iter()
        .fold(text.to_owned(), |text, (escape, shown)| {
            text.replace(escape, shown)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(source: &str) -> Page {
        Page {
            name: "x".to_owned(),
            section: "8".to_owned(),
            source: source.to_owned(),
        }
    }

    #[test]
    fn a_synopsis_is_read_as_it_is_printed() {
        let page = page(
            ".Sh SYNOPSIS\n.Nm\n.Op Fl jn\n.Op Fl -older Ar hours\n.Fl v\n.Ar score\n\
             .Op Ar host ...\n.Nm\n.Fl l\n.Sh DESCRIPTION\n.Nm\n",
        );
        assert_eq!(
            page.forms(),
            ["[-jn] [--older hours] -v score [host ...]", "-l"]
        );
    }

    #[test]
    fn examples_are_lines_and_blocks() {
        let page = page(
            ".Sh EXAMPLES\nText.\n.Dl a \\(dqb\\(dq\n.Bd -literal\nc \\e\n\td\n.Ed\n.Sh BUGS\n.Dl e\n",
        );
        let (line, block) = ("a \"b\"".to_owned(), "c \\\n\td\n".to_owned());
        assert_eq!(
            page.examples(),
            [Example::Line(line), Example::Block(block)]
        );
    }

    #[test]
    fn an_example_that_is_not_run_says_why() {
        let page = page(
            ".Sh EXAMPLES\n.\\\" not run: two machines\n.Dl a\n.Dl b\n\
             .\\\" not run: a file\n.Bd -literal\nc\nd\n.Ed\n.Dl e\n",
        );
        assert_eq!(page.not_run(), ["two machines", "a file"]);
        let lines = ["b", "e"].map(|line| Example::Line(line.to_owned()));
        assert_eq!(page.examples(), lines);
    }

    #[test]
    fn options_and_references_are_found() {
        let page =
            page(".It Fl d Ar dir , Fl -dir Ar dir\n.It Fl -all\n.Xr wrcmd 5 ,\n.Pq Xr a 8\n");
        assert_eq!(
            page.options(),
            ["--all", "--dir", "-d"].map(String::from).into()
        );
        assert_eq!(page.references(), [("wrcmd", "5"), ("a", "8")]);
    }
}
