//! What grows back unless it is counted: types of one name, types of errors, long functions.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use venti_tests::command;

/// The code of both libraries, by path, up to its tests.
fn code() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for name in ["venticore", "fossilcore"] {
        gather(
            &command::root().join("crates").join(name).join("src"),
            &mut found,
        );
    }
    found
}

fn gather(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, found);
        } else if !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            found.push((path.display().to_string(), code.to_owned()));
        }
    }
}

/// The name of a type that a line declares.
fn declared(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
    let line = line.strip_prefix("pub(super) ").unwrap_or(line);
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
    let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    rest.split(|c: char| !c.is_alphanumeric()).next()
}

#[test]
fn few_names_are_borne_by_two_types() {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, code) in code() {
        for name in code.lines().filter_map(declared) {
            names.entry(name.to_owned()).or_default().push(path.clone());
        }
    }
    let all: usize = names.values().map(Vec::len).sum();
    names.retain(|_, places| places.len() > 1);
    let twice: usize = names.values().map(Vec::len).sum();
    assert!(
        all > 300 && twice * 100 <= all * 15,
        "{twice} of {all}: {names:#?}"
    );
}

#[test]
fn few_types_are_errors() {
    let mut errors = Vec::new();
    for (path, code) in code() {
        let lines = code.lines();
        let is_error =
            |l: &&str| l.contains("thiserror::Error)]") || l.contains("error::Error for ");
        errors.extend(lines.filter(is_error).map(|line| format!("{path}: {line}")));
    }
    assert!(
        (10..=20).contains(&errors.len()),
        "{}: {errors:#?}",
        errors.len()
    );
}

#[test]
fn no_function_is_longer_than_a_page() {
    const PAGE: usize = 60;
    for (path, code) in code() {
        let lines: Vec<&str> = code.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let body = line.trim_start();
            let begins =
                body.starts_with("fn ") || body.starts_with("pub") && body.contains(" fn ");
            if !begins || body.ends_with(';') {
                continue;
            }
            let end = format!("{}}}", &line[..line.len() - body.len()]);
            let length = lines[at..].iter().position(|&line| line == end);
            let length = length.map_or(0, |length| length + 1);
            assert!(length <= PAGE, "{path}:{}: {length} lines", at + 1);
        }
    }
}
