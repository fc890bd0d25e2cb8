//! The licences of what is linked into a program: MIT and its like want their
//! notices kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use eyre::{OptionExt, WrapErr, eyre};
use serde_json::Value;

/// The crates that a command is built from, each with its licence and its notices.
pub(crate) fn of(command: &str, target: &str) -> eyre::Result<String> {
    let mut cargo = crate::cargo();
    cargo.args(["metadata", "--format-version=1", "--locked"]);
    cargo.args(["--filter-platform", target]);
    let metadata: Value = serde_json::from_str(&super::said(&mut cargo)?)?;
    let packages = list(&metadata["packages"])?;
    let mut text = format!(
        "{command} contains these crates from https://crates.io, each under a licence of\n\
         its own. Where there is a choice, any will do.\n"
    );
    let mut notices: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let linked = linked(&metadata, command)?;
    for package in packages {
        let is_ours = package["source"].is_null();
        if is_ours || !linked.contains(string(&package["id"])?) {
            continue;
        }
        let name = format!(
            "{} {}",
            string(&package["name"])?,
            string(&package["version"])?
        );
        let licence = package["license"].as_str().unwrap_or("see its notice");
        text += &format!("\n  {name}: {licence}");
        for notice in notices_in(Path::new(string(&package["manifest_path"])?))? {
            notices.entry(notice).or_default().push(name.clone());
        }
    }
    text.push('\n');
    for (notice, of) in notices {
        let line = "-".repeat(72);
        text += &format!("\n{line}\n{}:\n\n{}\n", of.join(", "), notice.trim_end());
    }
    Ok(text)
}

/// The ids of a command and of all that it is built from, but not what only
/// building or testing needs.
fn linked(metadata: &Value, command: &str) -> eyre::Result<BTreeSet<String>> {
    let mut nodes = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"])? {
        nodes.insert(string(&node["id"])?, node);
    }
    let packages = list(&metadata["packages"])?.iter();
    let root = packages
        .filter(|package| package["source"].is_null())
        .find(|package| package["name"] == command)
        .ok_or_else(|| eyre!("{command}: no such crate"))?;
    let mut found = BTreeSet::new();
    let mut next = vec![string(&root["id"])?];
    while let Some(id) = next.pop() {
        if !found.insert(id.to_owned()) {
            continue;
        }
        let node = nodes.get(id).ok_or_else(|| eyre!("{id}: not resolved"))?;
        for dependency in list(&node["deps"])? {
            let kinds = list(&dependency["dep_kinds"])?;
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                next.push(string(&dependency["pkg"])?);
            }
        }
    }
    Ok(found)
}

/// The notices beside a manifest, sorted.
fn notices_in(manifest: &Path) -> eyre::Result<Vec<String>> {
    let directory = manifest
        .parent()
        .ok_or_eyre("a manifest is in a directory")?;
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).wrap_err_with(|| directory.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_notice = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"]
            .iter()
            .any(|begin| name.to_uppercase().starts_with(begin));
        if is_notice && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path| Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned());
    paths.iter().map(read).collect()
}

fn list(value: &Value) -> eyre::Result<&Vec<Value>> {
    value
        .as_array()
        .ok_or_else(|| eyre!("cargo metadata: expected a list, found {value}"))
}

fn string(value: &Value) -> eyre::Result<&str> {
    value
        .as_str()
        .ok_or_else(|| eyre!("cargo metadata: expected a text, found {value}"))
}
