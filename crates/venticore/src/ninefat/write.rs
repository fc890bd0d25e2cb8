//! Writing a file to a FAT file system. mtools does it, to a copy: its commands
//! end with status 0 where room ran out, and leave a damaged file system where
//! they are killed. What differs is looked through, and brought to the image.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use super::fat::{Bad, Bytes, Fat, SECTOR, SECTOR_LEN, Sectors};
use super::program::{self, ProgramFailure};
use super::redo::SECTORS_MAX;
use crate::state::StateDir;

/// The longest image that is copied; a 9fat has some hundred megabytes.
const IMAGE_MAX: u64 = 4 << 30;

/// Bytes that are copied and compared at once.
const CHUNK: usize = 1 << 18;

/// What mtools is told. Some of Plan 9's geometries are not those it would make; names are in
/// 8.3; and nobody knows the zone of the Plan 9 machine.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("MTOOLS_SKIP_CHECK", "1"),
    ("MTOOLS_NO_VFAT", "1"),
    ("TZ", "UTC"),
    ("LC_ALL", "C"),
];

/// The sectors by which an image of `len` bytes with this file system differs from one with these
/// `contents` in a file. `words` is the command line of the program that writes it.
pub(super) fn changes(
    image: &impl Bytes,
    len: u64,
    file: (&str, &[u8]),
    words: &[String],
    state: &StateDir,
) -> Result<Sectors, Bad> {
    let (name, contents) = file;
    let before = Fat::read(image, len)?;
    before.check_room(name, contents.len() as u64)?;
    if len > IMAGE_MAX {
        return Err(format!("expected at most {IMAGE_MAX} bytes, found {len}"));
    }
    let copy = state.scratch("ninefat").map_err(|e| e.to_string())?;
    copy_of(image, len, &copy).map_err(|e| format!("a copy of it: {e}"))?;
    let said = call(words, &copy, name, contents)?;
    let checked = Fat::read(&copy, len).and_then(|after| {
        let changed = differing(image, &copy, len)?;
        before.check_only(name, contents, &after, &copy, &changed)?;
        Ok(changed)
    });
    checked.map_err(|bad| match said.as_str() {
        "" => bad,
        said => format!("{bad} ({}: {said})", program_of(words)),
    })
}

/// Has a program write a file to a copy.
fn call(words: &[String], copy: &File, name: &str, contents: &[u8]) -> Result<String, Bad> {
    // It has no other name.
    let image = format!("/proc/{}/fd/{}", std::process::id(), copy.as_raw_fd());
    let file = format!("::{name}");
    let words = program::fill(words, &[("{image}", &image), ("{file}", &file)]);
    let program = program_of(&words);
    let called = program::call(&words, &ENVIRONMENT, contents.to_vec());
    called.map_err(|failed| match failed {
        ProgramFailure::Missing => format!(
            "{program:?} is not installed: install GNU mtools (package mtools), or name another program in [mtools]"
        ),
        ProgramFailure::Ended(cause) => format!("{program}: {cause}"),
    })
}

fn program_of(words: &[String]) -> &str {
    words.first().map_or("", String::as_str)
}

/// Where each piece of an image of `len` bytes begins, and how long it is.
fn pieces(len: u64) -> impl Iterator<Item = (u64, usize)> {
    let size = move |at: u64| usize::try_from(len - at).map_or(CHUNK, |left| left.min(CHUNK));
    (0..len).step_by(CHUNK).map(move |at| (at, size(at)))
}

/// Copies an image into an empty file.
fn copy_of(image: &impl Bytes, len: u64, copy: &File) -> std::io::Result<()> {
    copy.set_len(len)?;
    let mut buffer = vec![0; CHUNK];
    for (at, size) in pieces(len) {
        let piece = &mut buffer[..size];
        image.read_at(piece, at)?;
        if piece.iter().any(|&byte| byte != 0) {
            copy.write_all_at(piece, at)?;
        }
    }
    Ok(())
}

/// The sectors of a copy that differ from the image's.
fn differing(image: &impl Bytes, copy: &File, len: u64) -> Result<Sectors, Bad> {
    let failed = |e: std::io::Error| e.to_string();
    if copy.metadata().map_err(failed)?.len() != len {
        return Err(format!("its length of {len} bytes would change"));
    }
    let mut sectors = Sectors::new();
    let (mut old, mut new) = (vec![0; CHUNK], vec![0; CHUNK]);
    for (at, size) in pieces(len) {
        let (old, new) = (&mut old[..size], &mut new[..size]);
        image.read_at(old, at).map_err(failed)?;
        copy.read_exact_at(new, at).map_err(failed)?;
        if old == new {
            continue;
        }
        let numbers = at / SECTOR_LEN..;
        for (number, (old, new)) in numbers.zip(old.chunks(SECTOR).zip(new.chunks(SECTOR))) {
            if old == new {
                continue;
            }
            let sector = <[u8; SECTOR]>::try_from(new);
            sectors.insert(
                number,
                sector.map_err(|_| "its end would change".to_owned())?,
            );
        }
        if sectors.len() > SECTORS_MAX {
            return Err(format!("more than {SECTORS_MAX} sectors would change"));
        }
    }
    Ok(sectors)
}
