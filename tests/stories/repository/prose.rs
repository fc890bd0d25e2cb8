//! What people read is plain English: forms that were read twice do not come back
//! (CONTRIBUTING.md).

use super::references::texts;

/// The pages, the comments that rustdoc shows, and what `--help` says. The specification
/// is cited word by word, and the changes of a release stay as they were written.
fn is_read(path: &str) -> bool {
    let is_page = path.contains("/docs/man/") || path.ends_with(".md");
    let is_code = path.ends_with(".rs") && (path.contains("/crates/") || path.contains("/xtask/"));
    (is_page || is_code) && !path.contains("/docs/spec/") && !path.ends_with("CHANGELOG.md")
}

/// How the text of `--help` begins in a command.
const HELP: &str = "help: \"\\";

/// The lines of a text that are prose, each with its number.
fn prose<'a>(path: &str, text: &'a str) -> Vec<(usize, &'a str)> {
    let numbered = (1..).zip(text.lines().map(str::trim));
    if path.ends_with(".rs") {
        let comment = |line: &'a str| line.strip_prefix("///").or(line.strip_prefix("//!"));
        let mut is_help = false;
        let read = numbered.filter_map(|(number, line)| {
            let read = comment(line).or(is_help.then_some(line));
            is_help = line == HELP || is_help && !line.ends_with("\",");
            Some((number, read?))
        });
        return read.collect();
    }
    let mut is_literal = false;
    let mut lines = Vec::new();
    for (number, line) in numbered {
        let opens = line.starts_with(".Bd -literal");
        is_literal = match line {
            _ if line.starts_with("```") => !is_literal,
            ".Ed" => false,
            _ => is_literal || opens,
        };
        // A line of a page that begins with a dot is a macro.
        if !is_literal && !line.starts_with(['.', '`']) {
            lines.push((number, line));
        }
    }
    lines
}

/// The forms in a line.
fn forms(line: &str) -> Vec<String> {
    let bare = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        word.to_lowercase()
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).map_or(String::new(), |next| bare(next));
        let after = words.get(at + 2).map_or(String::new(), |after| bare(after));
        let before = at.checked_sub(1).and_then(|at| words.get(at));
        let before = before.map_or(String::new(), |before| bare(before));
        let ends = word.ends_with([',', ';', ':', '.']);
        let is_form = match bare(word).as_str() {
            "is" | "are" | "was" | "were" => {
                let is_time = ["longer", "more"].contains(&after.as_str());
                next == "no" && !ends && !is_time && before != "there"
            }
            "that" | "those" => next == "of" && !ends,
            "so" => ["many", "long"].contains(&next.as_str()) && after != "as",
            "save" => next == "that",
            "or" => next == "else",
            "else" => words[..at]
                .last()
                .is_some_and(|word| word.ends_with([',', ';'])),
            "anew" => true,
            _ => false,
        };
        if is_form {
            found.push(format!("{word} {next}"));
        }
    }
    found
}

#[test]
fn forms_that_were_read_twice_do_not_come_back() {
    let mut found = Vec::new();
    for (path, text) in texts() {
        let path = path.display().to_string();
        if !is_read(&path) {
            continue;
        }
        for (number, line) in prose(&path, &text) {
            let forms = forms(line).into_iter();
            found.extend(forms.map(|form| format!("{path}:{number}: {form}: {line}")));
        }
    }
    assert!(found.is_empty(), "{}:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_forms_are_known() {
    for line in [
        "It is no arena.",
        "the end of the log, not that of the arena",
        "Everything is probed anew",
        "as it was, or else it is said",
        "the server, else $venti",
        "so many bytes a second",
    ] {
        assert_eq!(forms(line).len(), 1, "{line}");
    }
    assert!(
        forms("It is no longer there, there is no other, nothing else is, so long as it lasts")
            .is_empty()
    );
}

/// Options stand in one column of `--help`: after two blanks, or six where one has no short
/// form.
#[test]
fn options_stand_in_one_column() {
    let mut crooked = Vec::new();
    for (path, text) in texts() {
        let mut lines = text.lines();
        if lines.by_ref().all(|line| line.trim() != HELP) {
            continue;
        }
        for line in lines.take_while(|line| !line.ends_with("\",")) {
            let option = line.trim_start();
            let indent = line.len() - option.len();
            let is_placed = [2, 6].contains(&indent) && (indent == 2 || option.starts_with("--"));
            if option.starts_with('-') && indent > 0 && !is_placed {
                crooked.push(format!("{}: {line}", path.display()));
            }
        }
    }
    assert!(crooked.is_empty(), "{}", crooked.join("\n"));
}
