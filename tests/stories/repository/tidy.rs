//! The repository itself: nothing is forgotten, nothing lies about.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use venti_tests::command;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The names in a directory.
fn entries(directory: &Path) -> BTreeSet<String> {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The crates of the workspace: their directories.
fn crates() -> Vec<PathBuf> {
    let root = command::root();
    let mut crates: Vec<PathBuf> = entries(&root.join("crates"))
        .iter()
        .map(|name| root.join("crates").join(name))
        .collect();
    crates.extend([root.join("tests"), root.join("xtask")]);
    crates
}

/// All Rust sources below a directory.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in entries(directory) {
        let path = directory.join(&name);
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// A command that is started in another way would see the machine's own fossils,
/// state and configuration.
#[test]
fn only_the_harness_starts_a_built_command() {
    let root = command::root();
    let mut wrong = Vec::new();
    for path in [root.join("tests"), root.join("xtask")]
        .iter()
        .flat_map(|below| sources(below))
    {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let text: String = read(&path).split_whitespace().collect();
        for (what, places) in STARTERS {
            if text.contains(&what.concat()) && !places.contains(&name.as_str()) {
                wrong.push(format!("{name}: {}", what.concat()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "start it with command::Command: {wrong:#?}"
    );
}

/// What finds a built command's program, and who may. In two pieces each, so that
/// this is not found itself.
const STARTERS: &[([&str; 2], &[&str])] = &[
    // To be packed, and as the `PATH` of a machine with surroundings of its own.
    (
        ["programs", "()"],
        &[
            "tests/src/command.rs",
            "tests/src/decoys.rs",
            "tests/src/machine.rs",
            "xtask/src/demo/machine.rs",
            "xtask/src/package/build.rs",
        ],
    ),
    // Of an unpacked package, which says its version.
    (
        ["Command::new(", "to.join("],
        &["xtask/src/package/check.rs"],
    ),
    (["Command::new(", "command::program("], &[]),
    (["arg(command::", "program("], &[]),
    (["target/", "debug/"], &[]),
    (["target/", "release/"], &[]),
    (
        // Of the stories themselves.
        ["current_", "exe("],
        &[
            "tests/src/command.rs",
            "tests/src/decoys.rs",
            "xtask/src/bench.rs",
        ],
    ),
];

#[test]
fn the_top_level_holds_what_it_should() {
    let found: BTreeSet<String> = entries(command::root())
        .into_iter()
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    let expected = [
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "crates",
        "docs",
        "tests",
        "xtask",
    ];
    assert_eq!(found, expected.map(String::from).into());
}

#[test]
fn every_crate_inherits_what_the_workspace_says() {
    for directory in crates() {
        let manifest = read(&directory.join("Cargo.toml"));
        for key in [
            "version",
            "edition",
            "rust-version",
            "license",
            "repository",
            "publish",
        ] {
            let line = format!("{key}.workspace = true");
            let inherits = manifest.lines().any(|l| l == line);
            assert!(inherits, "{}: lacks {line}", directory.display());
        }
        let lints = manifest.contains("[lints]\nworkspace = true\n");
        assert!(lints, "{}: own lints", directory.display());
        let elsewhere = manifest.lines().find(|l| l.contains("path = \"../"));
        assert_eq!(elsewhere, None, "{}", directory.display());
    }
}

#[test]
fn every_story_is_told() {
    for (folder, names) in stories() {
        let listed = read(&folder.join("mod.rs"));
        for name in names.iter().filter(|&name| name != "mod") {
            let is_listed = listed.lines().any(|l| l.ends_with(&format!("mod {name};")));
            assert!(is_listed, "{name} is not in mod.rs of {}", folder.display());
        }
    }
}

/// The folders of stories, and the modules in each.
fn stories() -> Vec<(PathBuf, Vec<String>)> {
    let stories = command::root().join("tests/stories");
    let folders = entries(&stories).into_iter().map(|name| stories.join(name));
    let folders = folders.filter(|path| path.is_dir());
    let modules = |folder: &Path| {
        let names = entries(folder).into_iter();
        let names = names.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned));
        names.collect()
    };
    folders
        .map(|folder| (folder.clone(), modules(&folder)))
        .collect()
}

#[test]
fn every_source_says_what_it_is() {
    for path in crates().iter().flat_map(|directory| sources(directory)) {
        let source = read(&path);
        assert!(source.starts_with("//! "), "{}: no //!", path.display());
    }
}

#[test]
fn a_command_is_a_door_to_a_library() {
    for name in command::names() {
        let main = command::root().join(format!("crates/{name}/src/main.rs"));
        let lines = read(&main).lines().count();
        assert!(lines <= 250, "{}: {lines} lines", main.display());
    }
}

#[test]
fn no_line_ends_in_a_blank() {
    for path in crates().iter().flat_map(|directory| sources(directory)) {
        for (number, line) in read(&path).lines().enumerate() {
            let trimmed = line.trim_end();
            assert_eq!(line, trimmed, "{}:{}", path.display(), number + 1);
        }
    }
}

#[test]
fn every_real_story_is_run_by_real_only() {
    for (folder, names) in stories() {
        for name in names {
            let source = read(&folder.join(format!("{name}.rs")));
            let lines = || source.lines().map(str::trim);
            let why = |line: &&str| {
                let needs = line.strip_prefix("#[ignore = \"needs ");
                needs.is_some_and(|rest| rest.ends_with(": cargo xtask test --real\"]"))
            };
            let ignored = lines().filter(why).count();
            let expected = match folder.ends_with("real") {
                true => lines().filter(|&line| line == "#[test]").count(),
                false => 0,
            };
            assert_eq!(ignored, expected, "{name}");
        }
    }
}
