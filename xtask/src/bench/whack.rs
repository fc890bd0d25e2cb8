//! Our whack encoder and plan9port's (its port to Rust), in alternation, over sources and
//! binaries of the Rust toolchain, block by block.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use eyre::{WrapErr, ensure, eyre};
use plan9whack::whack::whackblock;
use venticore::codec::whack::Compressor;

use super::spread;

/// Bytes taken of each kind.
pub(super) const BYTES: usize = 16 << 20;

/// The usual size of a block, and the largest.
const SIZES: [usize; 2] = [8192, 57344];

/// What came of one kind of data.
struct Pass {
    seconds: f64,
    bytes: usize,
}

pub(super) fn run(rounds: usize) -> eyre::Result<()> {
    let root = sysroot()?;
    let binaries = gather(&root.join("lib/rustlib"), is_binary)?;
    let sources = gather(&root.join("lib/rustlib/src"), is_source)?;
    let ours = gather(&venti_tests::command::root().join("crates"), is_source)?;
    let sources = if sources.is_empty() { ours } else { sources };
    for (name, data) in [("sources", sources), ("binaries", binaries)] {
        ensure!(!data.is_empty(), "{}: no {name} found", root.display());
        for size in SIZES {
            compare(name, &data, size, rounds);
        }
    }
    Ok(())
}

fn compare(name: &str, data: &[u8], size: usize, rounds: usize) {
    let mut compressor = Compressor::new();
    let mut out = vec![0; size];
    let (mut native, mut port) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        native.push(pass(data, size, |block| {
            compressor.compress(block, &mut out)
        }));
        port.push(pass(data, size, |block| {
            whackblock(block).map(|out| out.len())
        }));
    }
    println!("{name}, {} bytes in blocks of {size}", data.len());
    for (encoder, passes) in [("native", &native), ("plan9whack", &port)] {
        let speed = |pass: &Pass| data.len() as f64 / 1e6 / pass.seconds;
        let share = passes[0].bytes as f64 * 100.0 / data.len() as f64;
        let speeds = spread(passes.iter().map(speed).collect());
        println!("{encoder:<10} to {share:.1} %, MB/s {speeds}");
    }
    let ratios = native
        .iter()
        .zip(&port)
        .map(|(ours, port)| port.seconds / ours.seconds);
    let sizes = native[0].bytes as f64 / port[0].bytes as f64;
    println!(
        "times plan9whack's speed: {}; its size: {sizes:.3}",
        spread(ratios.collect())
    );
}

/// Compresses all of it once.
fn pass(data: &[u8], size: usize, mut compress: impl FnMut(&[u8]) -> Option<usize>) -> Pass {
    let start = Instant::now();
    let blocks = data.chunks(size);
    let bytes = blocks
        .map(|block| compress(block).unwrap_or(block.len()))
        .sum();
    Pass {
        seconds: start.elapsed().as_secs_f64(),
        bytes,
    }
}

pub(super) fn sysroot() -> eyre::Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output();
    let output = output.wrap_err("rustc")?;
    let path = String::from_utf8(output.stdout).wrap_err("rustc --print sysroot")?;
    Ok(PathBuf::from(path.trim_end()))
}

fn is_source(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("rs"))
}

fn is_binary(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("so"))
}

/// The contents of the files below a directory, in the order of their names, up to
/// [`BYTES`]; nothing if there is no such directory.
pub(super) fn gather(directory: &Path, wanted: impl Fn(&Path) -> bool) -> eyre::Result<Vec<u8>> {
    let mut data = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        if data.len() >= BYTES || !path.exists() {
            continue;
        }
        let named = |error| eyre!("{}: {error}", path.display());
        if path.is_dir() {
            let entries = fs::read_dir(&path).map_err(named)?;
            let mut paths = Vec::new();
            for entry in entries {
                paths.push(entry.map_err(named)?.path());
            }
            paths.sort_unstable_by(|a, b| b.cmp(a));
            left.append(&mut paths);
        } else if wanted(&path) {
            data.extend(fs::read(&path).map_err(named)?);
        }
    }
    data.truncate(BYTES);
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_binaries_are_found() {
        let root = sysroot().unwrap();
        let ours = venti_tests::command::root().join("crates");
        assert!(gather(&ours, is_source).unwrap().len() > 1 << 20);
        let binaries = gather(&root.join("lib/rustlib"), is_binary).unwrap();
        assert!(binaries.len() > 1 << 20);
        compare("binaries", &binaries[..100_000], 8192, 1);
    }
}
