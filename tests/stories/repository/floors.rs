//! The floors of venticore and fossilcore: a module uses only those listed before it in
//! its crate's `lib.rs`, no command uses another, codecs do no I/O, and no files use
//! each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use venti_tests::command;

/// A module by its path, without the crate.
type Module = Vec<String>;

/// The modules of a crate, and the paths that the code of each names.
struct Crate {
    floors: Vec<String>,
    uses: BTreeMap<Module, BTreeSet<Module>>,
    code: BTreeMap<Module, String>,
}

impl Crate {
    fn read(name: &str) -> Self {
        let source = command::root().join("crates").join(name).join("src");
        let library = fs::read_to_string(source.join("lib.rs")).unwrap();
        let floors = library.lines().filter_map(|line| {
            let name = line.trim_start_matches("pub ").strip_prefix("mod ")?;
            Some(name.trim_end_matches(';').to_owned())
        });
        let mut code = BTreeMap::new();
        gather(&source, &mut Vec::new(), &mut code);
        let modules: BTreeSet<Module> = code.keys().cloned().collect();
        let uses = code.iter().map(|(module, text)| {
            let named = paths(text).into_iter();
            let named = named.filter_map(|path| resolved(module, &path, &modules));
            (module.clone(), named.filter(|to| to != module).collect())
        });
        Crate {
            floors: floors.collect(),
            uses: uses.collect(),
            code,
        }
    }

    fn floor(&self, module: &[String]) -> usize {
        let is_floor = |floor: &String| Some(floor) == module.first();
        let found = self.floors.iter().position(is_floor);
        found.unwrap_or_else(|| panic!("{module:?}: not in lib.rs"))
    }
}

/// The code of all modules below a directory, without comments and tests.
fn gather(directory: &Path, module: &mut Module, code: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            module.push(name);
            gather(&path, module, code);
            module.pop();
        } else if !matches!(&*name, "lib" | "tests") {
            let text = fs::read_to_string(&path).unwrap();
            let (text, _) = text.split_once("#[cfg(test)]\nmod ").unwrap_or((&text, ""));
            let lines = text.lines().map(|line| line.split("//").next().unwrap());
            let mut of = module.clone();
            of.extend((name != "mod").then_some(name));
            let text = lines.collect::<Vec<_>>().join("\n");
            code.entry(of).or_default().push_str(&text);
        }
    }
}

/// The paths in a text that begin with `crate` or `super`, those in braces one by one.
fn paths(text: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for root in ["crate::", "super::"] {
        let starts = text.match_indices(root).map(|(at, _)| at);
        let is_root =
            |at: &usize| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == ':');
        for at in starts.filter(is_root) {
            path(&text[at..], &mut Vec::new(), &mut found);
        }
    }
    found
}

/// Reads one path, or a list of them in braces, and returns what follows.
fn path<'t>(text: &'t str, before: &mut Module, found: &mut Vec<Module>) -> &'t str {
    let depth = before.len();
    let mut rest = text;
    loop {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        before.push(word.to_owned());
        rest = after;
        match rest.strip_prefix("::") {
            Some(group) if group.starts_with('{') => {
                rest = &group[1..];
                while !rest.trim_start().starts_with('}') {
                    rest = path(rest.trim_start(), before, found);
                    let next = rest.find([',', '}']).unwrap();
                    rest = rest[next..].strip_prefix(',').unwrap_or(&rest[next..]);
                }
                rest = rest.trim_start().strip_prefix('}').unwrap();
                break;
            }
            Some(after) => rest = after,
            None => {
                found.push(before.clone());
                break;
            }
        }
    }
    before.truncate(depth);
    rest
}

/// The module that a path leads to, as seen from another.
fn resolved(from: &[String], path: &[String], modules: &BTreeSet<Module>) -> Option<Module> {
    let mut to = match path.first()?.as_str() {
        "crate" => Vec::new(),
        _ => from.to_vec(),
    };
    for word in path {
        match word.as_str() {
            "crate" | "self" => {}
            "super" => drop(to.pop()),
            word => to.push(word.to_owned()),
        }
    }
    while !to.is_empty() && !modules.contains(&to) {
        to.pop();
    }
    (!to.is_empty()).then_some(to)
}

/// Those that `from` leads to by uses, itself only through a circle. A module and what is
/// inside it are one thing here.
fn reached<'a>(of: &'a Crate, from: &'a Module) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for to in &of.uses[module] {
            let is_apart = !to.starts_with(module) && !module.starts_with(to);
            if is_apart && reached.insert(to) {
                open.push(to);
            }
        }
    }
    reached
}

fn crates() -> [Crate; 2] {
    ["venticore", "fossilcore"].map(Crate::read)
}

#[test]
fn a_module_uses_only_those_listed_before_it() {
    let mut wrong = Vec::new();
    for of in crates() {
        for (module, uses) in &of.uses {
            let is_command = |module: &Module| module.first().is_some_and(|m| m == "commands");
            for to in uses {
                let is_higher = of.floor(to) > of.floor(module);
                let is_other = is_command(module) && is_command(to) && to.get(1) != module.get(1);
                if is_higher || is_other {
                    wrong.push(format!("{} -> {}", module.join("::"), to.join("::")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for of in crates() {
        let modules = of.uses.keys();
        let in_circle = modules.filter(|module| reached(&of, module).contains(module));
        circles.extend(in_circle.map(|module| module.join("::")));
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn codecs_do_no_io_and_only_the_configuration_reads_the_environment() {
    let mut wrong = Vec::new();
    for of in crates() {
        for (module, text) in &of.code {
            let codec = matches!(module.first().map(String::as_str), Some("codec" | "disk"));
            let io = ["std::fs", "std::net", "std::thread", "std::env", "Instant"];
            let found = io.iter().filter(|word| codec && text.contains(*word));
            wrong.extend(found.map(|word| format!("{}: {word}", module.join("::"))));
            let configures = module.first().is_some_and(|of| of == "config");
            if text.contains("env::var") && !configures {
                wrong.push(format!("{}: env::var", module.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
