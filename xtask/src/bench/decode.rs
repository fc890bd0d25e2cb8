//! Our whack decoder and plan9port's (its port to Rust), in alternation, over three kinds of
//! text and one of binaries that are on the machine, as plan9port's encoder leaves them.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Instant;

use eyre::ensure;
use plan9whack::unwhack::unwhack;
use plan9whack::whack::whackblock;
use venticore::codec::whack::decompress;

use super::whack::{gather, sysroot};
use super::{BLOCK, spread};

/// A block as it is, and as it is stored.
type Block<'a> = (&'a [u8], Vec<u8>);

pub(super) fn run(rounds: usize) -> eyre::Result<()> {
    let toolchain = sysroot()?;
    let crates = venti_tests::command::root().join("crates");
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let registry = home.unwrap_or_default().join("registry/src");
    let system = Path::new("/usr");
    let kinds: [(&str, &[&str], [&Path; 3]); 4] = [
        ("sources", &["rs"], [&registry, &toolchain, &crates]),
        (
            "C",
            &["c", "h"],
            [&registry, &system.join("include"), &toolchain],
        ),
        (
            "prose",
            &["md", "txt", "html"],
            [&registry, &system.join("share"), &toolchain],
        ),
        (
            "binaries",
            &["so"],
            [&toolchain, &system.join("lib"), &registry],
        ),
    ];
    for (name, endings, places) in kinds {
        let wanted = |path: &Path| {
            let ending = path.extension().and_then(|ending| ending.to_str());
            ending.is_some_and(|ending| endings.contains(&ending))
        };
        let mut data = Vec::new();
        for place in places {
            data.extend(gather(place, wanted)?);
        }
        ensure!(!data.is_empty(), "no {name} found");
        compare(name, &data[..data.len().min(super::whack::BYTES)], rounds)?;
    }
    Ok(())
}

fn compare(name: &str, data: &[u8], rounds: usize) -> eyre::Result<()> {
    let pack = |block| Some((block, whackblock(block)?));
    let blocks: Vec<Block<'_>> = data.chunks(BLOCK).filter_map(pack).collect();
    let bytes: usize = blocks.iter().map(|(block, _)| block.len()).sum();
    let mut room = vec![0; BLOCK];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(seconds(&blocks, |(block, stored)| {
            let room = &mut room[..block.len()];
            decompress(stored, room).is_ok_and(|len| len == block.len()) && room == *block
        })?);
        theirs.push(seconds(&blocks, |(block, stored)| {
            unwhack(stored, block.len()).is_ok_and(|found| found == *block)
        })?);
    }
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| theirs / ours);
    let ratios = spread(ratios.collect());
    let speed = |seconds: &[f64]| {
        spread(
            seconds
                .iter()
                .map(|seconds| bytes as f64 / 1e6 / seconds)
                .collect(),
        )
    };
    println!("{name}, {} blocks of {BLOCK} bytes", blocks.len());
    println!("native     MB/s {}", speed(&ours));
    println!("plan9whack MB/s {}", speed(&theirs));
    println!("times plan9whack's speed: {ratios}");
    Ok(())
}

/// Decodes all blocks once, and compares each with what it was.
fn seconds(blocks: &[Block<'_>], mut decode: impl FnMut(&Block<'_>) -> bool) -> eyre::Result<f64> {
    let start = Instant::now();
    let right = blocks.iter().filter(|block| decode(block)).count();
    let seconds = start.elapsed().as_secs_f64();
    ensure!(right == blocks.len(), "{right} of {} blocks", blocks.len());
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_decoded_by_both() {
        let text = b"the rain in spain falls mainly in the plain; ".repeat(1000);
        compare("rain", &text, 1).unwrap();
    }
}
