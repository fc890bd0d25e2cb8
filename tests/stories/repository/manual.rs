//! The manual: pages, `--help`, README and code say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process;

use venti_tests::command::{self, Command};
use venti_tests::help::Help;
use venti_tests::page::Page;

/// The page of a command.
fn page(name: &str) -> Page {
    Page::load(&format!("{name}.8"))
}

/// The pages of one section.
fn section(number: &str) -> Vec<Page> {
    let mut pages = Page::all();
    pages.retain(|page| page.section == number);
    pages
}

#[test]
fn every_command_has_a_page_and_every_page_of_section_8_a_command() {
    let pages: Vec<String> = section("8").into_iter().map(|page| page.name).collect();
    assert_eq!(pages, command::names());
    let known = ["5", "7", "8"];
    for page in Page::all() {
        assert!(known.contains(&page.section.as_str()), "{}", page.file());
    }
}

#[test]
fn every_page_is_whole() {
    let always = ["NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO", "BUGS"];
    let of_commands = [
        "SYNOPSIS",
        "FILES",
        "ENVIRONMENT",
        "EXIT STATUS",
        "DIAGNOSTICS",
    ];
    for page in Page::all() {
        let more: &[&str] = match page.section.as_str() {
            "8" => &of_commands,
            _ => &["FILES"],
        };
        let sections = page.sections();
        for section in always.iter().chain(more) {
            assert!(
                sections.contains(section),
                "{} lacks {section}",
                page.file()
            );
        }
        let title = format!(".Dt {} {}", page.name.to_uppercase(), page.section);
        let titled = page.source.lines().any(|line| line == title);
        assert!(titled, "{} lacks {title}", page.file());
        assert_ne!(page.describes(), "", "{}", page.file());
    }
}

#[test]
fn a_page_and_the_help_show_the_same_forms_and_options() {
    for name in command::names() {
        let (help, page) = (Help::of(&name), page(&name));
        assert_eq!(help.name, name);
        assert_eq!(help.forms, page.forms(), "{name}: --help, and the page");
        assert_eq!(
            help.spellings(),
            page.options(),
            "{name}: --help, and the page"
        );
        assert!(help.option("--help").is_some(), "{name}");
    }
}

#[test]
fn every_option_has_a_long_name_and_says_what_it_does() {
    for name in command::names() {
        for option in Help::of(&name).options {
            assert!(option.long.is_some(), "{name}: {option:?}");
            assert_ne!(option.does, "", "{name}: {option:?}");
        }
    }
}

#[test]
fn every_form_names_options_that_there_are() {
    for name in command::names() {
        let help = Help::of(&name);
        for form in &help.forms {
            let words = form.split(['[', ']', ' ']);
            for word in words.filter(|word| word.starts_with('-') && word.len() > 1) {
                let known = match word.starts_with("--") {
                    true => help.option(word).is_some(),
                    false => word
                        .chars()
                        .skip(1)
                        .all(|c| help.option(&format!("-{c}")).is_some()),
                };
                assert!(known, "{name}: {word} of {form}");
            }
        }
    }
}

/// The row of the README's table that a command should have.
fn row(name: &str) -> String {
    let help = Help::of(name);
    // A bar would end the cell.
    let form = help.forms.first().expect("a form").replace('|', "\\|");
    let does = page(name).describes();
    format!("| [`{name}`](docs/man/{name}.8) | `{form}` | {does} |")
}

#[test]
fn the_readme_lists_each_command_as_its_page_and_its_help_do() {
    let readme = fs::read_to_string(command::root().join("README.md")).unwrap();
    let found: Vec<&str> = readme.lines().filter(|l| l.starts_with("| [`")).collect();
    let expected: Vec<String> = command::names().iter().map(|name| row(name)).collect();
    assert_eq!(found, expected, "expected:\n{}", expected.join("\n"));
}

#[test]
fn a_page_refers_to_pages_that_there_are() {
    let pages = Page::all();
    let ours = |name: &str| pages.iter().any(|page| page.name == name);
    for page in &pages {
        for (name, section) in page.references() {
            let there = pages
                .iter()
                .any(|other| other.name == name && other.section == section);
            assert!(there || !ours(name), "{}: {name}({section})", page.file());
        }
    }
}

/// The keys that a table of the configuration may have, as an error names
/// them when it meets another one.
fn keys_of_the_code(table: &str) -> BTreeSet<String> {
    let config = format!("{table}no-such-key = 1\n");
    let output = Command::new("ventiprog").arg("-n").config(&config).run();
    assert_eq!(output.status, 2, "{output:?}");
    let (_, expected) = output.stderr.split_once("expected").unwrap();
    let quoted = expected.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// The subsections of the page that are about a table of its own, and that table.
const TABLES: [(&str, &str); 8] = [
    ("", ""),
    ("Fossils", "[fossil]\n"),
    ("Limits", "[limits]\n"),
    ("Mount", "[mount]\n"),
    ("Mtools", "[mtools]\n"),
    ("Object stores", "[s3]\n"),
    ("Remotes", "[remotes.x]\n"),
    ("Undo", "[undo]\n"),
];

#[test]
fn the_page_of_the_configuration_lists_the_keys_of_the_code() {
    let page = Page::load("ventiprog.toml.5");
    let mut in_page: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut subsection = "";
    for line in page.section("DESCRIPTION") {
        subsection = line.strip_prefix(".Ss ").unwrap_or(subsection);
        if let Some(key) = line.strip_prefix(".It Li ") {
            // `[limits]` is a key, and so is each of `[remotes.NAME]`.
            let key = key.trim_matches(['[', ']']).trim_end_matches(".NAME");
            in_page
                .entry(subsection)
                .or_default()
                .insert(key.to_owned());
        }
    }
    let of_code = TABLES.map(|(subsection, table)| (subsection, keys_of_the_code(table)));
    assert_eq!(in_page, of_code.into());
}

#[test]
fn mandoc_finds_nothing_to_say() {
    let mut mandoc = process::Command::new("mandoc");
    mandoc.args(["-T", "lint", "-W", "style"]);
    for page in Page::all() {
        mandoc.arg(Page::directory().join(page.file()));
    }
    let output = match mandoc.output() {
        Ok(output) => output,
        Err(error) => {
            command::skipped(&format!("mandoc: {error}"));
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    // What is not installed here is no fault of a page.
    let faults: Vec<&str> = said
        .lines()
        .filter(|line| !line.contains("referenced manual not found"))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
