//! Every reference in a comment, a page or a document leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use venti_tests::command;

/// The texts that are read: below these, with these endings.
const BELOW: [&str; 5] = ["crates", "tests/src", "tests/stories", "xtask", "docs"];
const TOP: [&str; 3] = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// What a path of the repository begins with.
const ROOTS: [&str; 5] = ["crates/", "tests/", "xtask/", "docs/", ".ci/"];

pub(crate) fn texts() -> Vec<(PathBuf, String)> {
    let root = command::root();
    let mut found: Vec<PathBuf> = TOP.iter().map(|name| root.join(name)).collect();
    BELOW
        .iter()
        .for_each(|below| gather(&root.join(below), &mut found));
    let texts = found.into_iter().filter_map(|path| {
        let text = fs::read_to_string(&path).ok()?;
        Some((path, text))
    });
    texts.collect()
}

fn gather(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => gather(&path, found),
            false => found.push(path),
        }
    }
}

/// The numbers of the sections of a specification.
fn sections(name: &str) -> BTreeSet<String> {
    let path = command::root().join("docs/spec").join(name);
    let text = fs::read_to_string(path).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let number = headings.filter_map(|line| line.split(' ').nth(1));
    number
        .map(|number| number.trim_end_matches('.').to_owned())
        .collect()
}

fn is_number(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// The sections of a specification that a text names: `venti.md 7.2`, also with more
/// numbers behind `and`, `to` or a comma.
fn named<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(&format!("{name} ")) {
        let mut rest = &text[at + name.len() + 1..];
        while rest.starts_with(|c: char| c.is_ascii_digit()) {
            let end = rest.find(|c| !is_number(c)).unwrap_or(rest.len());
            found.push(rest[..end].trim_end_matches('.'));
            rest = &rest[end..];
            let more = [", ", " and ", " to "].iter();
            rest = more
                .filter_map(|and| rest.strip_prefix(and))
                .next()
                .unwrap_or("");
        }
    }
    found
}

#[test]
fn a_section_of_a_specification_that_is_named_is_there() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for name in ["venti.md", "fossil.md"] {
        let sections = sections(name);
        for (path, text) in texts() {
            for section in named(&text, name) {
                count += 1;
                if !sections.contains(section) {
                    wrong.push(format!("{}: {name} {section}", path.display()));
                }
            }
        }
    }
    assert!(count > 50, "only {count} references were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_file_of_the_repository_that_is_named_is_there() {
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let root = command::root();
    let mut wrong = Vec::new();
    for (path, text) in texts() {
        for word in text.split(|c| !is_of_path(c)) {
            let word = word.trim_end_matches(['.', '/', '-']);
            let is_named = ROOTS.iter().any(|root| word.starts_with(root));
            let is_file = word
                .rsplit('/')
                .next()
                .is_some_and(|name| name.contains('.'));
            let is_made = ["/target", "..", "NAME"]
                .iter()
                .any(|made| word.contains(made));
            if is_named && is_file && !is_made && !root.join(word).exists() {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_link_in_a_document_leads_to_a_file() {
    let mut wrong = Vec::new();
    for (path, text) in texts() {
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split([')', '#']).next().unwrap();
            let is_outside = link.contains("://") || link.is_empty();
            if !is_outside && !path.parent().unwrap().join(link).exists() {
                wrong.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
