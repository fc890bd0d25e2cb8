//! Looking through `/proc` for open files, mappings and mounts.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Process, Sight, Written};
use crate::host::partition::overlap::{self as device, Overlap};

/// The most descriptors of a process that are looked at.
const DESCRIPTORS: usize = 65_536;

/// The flag of a thread of the kernel in `stat`: it has no descriptors.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The place of the flags among the fields after the command's name.
const FLAGS: usize = 6;

/// The place of the parent's number among them.
const PARENT: usize = 1;

/// The most bytes of a `stat` or `comm`: both are shorter.
const STAT_MAX: u64 = 4096;

/// The most bytes of a list of mappings: some hundred thousand of them.
const MAPS_MAX: u64 = 16 << 20;

/// The most bytes of a table of mounts: some ten thousand of them.
const MOUNTS_MAX: u64 = 16 << 20;

/// What the first PID namespace is called, in which all processes are listed.
const FIRST: &str = "pid:[4026531836]";

/// What was found.
#[derive(Debug, Default)]
pub(super) struct ScanResult {
    pub(super) processes: Vec<Process>,
    pub(super) mounts: Vec<PathBuf>,
    pub(super) sight: Sight,
}

/// The number of this process, as it is listed here: not its own where it is in
/// another PID namespace than what is listed.
fn own(proc: &Path) -> u32 {
    let link = fs::read_link(proc.join("self")).ok();
    let number = link.and_then(|link| link.to_str()?.parse().ok());
    number.unwrap_or_else(std::process::id)
}

/// Whether processes may be there that are not listed, since this one is in another
/// PID namespace than the first. A kernel without them has no such link.
fn is_contained(proc: &Path) -> bool {
    match fs::read_link(proc.join("self/ns/pid")) {
        Ok(link) => link != Path::new(FIRST),
        Err(_) => !proc.join("self/ns").is_dir(),
    }
}

/// Looks at all processes but this one, and at the mounts in all their views of
/// the file tree.
pub(super) fn processes(proc: &Path, wanted: &Overlap) -> io::Result<ScanResult> {
    let own = own(proc);
    let mut seen = ScanResult::default();
    let (mut mounts, mut views, mut unseen) = (BTreeSet::new(), BTreeSet::new(), 0);
    let mut look = |directory: &Path| {
        let view = fs::read_link(directory.join("ns/mnt")).ok();
        if view.is_some_and(|view| views.insert(view)) {
            mounts.extend(mounted(&directory.join("mountinfo"), wanted));
        }
    };
    look(&proc.join(own.to_string()));
    let pids = pids(proc)?;
    for &pid in pids.iter().filter(|&&pid| pid != own) {
        let directory = proc.join(pid.to_string());
        look(&directory);
        match process(&directory, wanted) {
            Ok(false) => {}
            Ok(true) => seen.processes.push(Process {
                pid,
                command: command(&directory),
            }),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                unseen += usize::from(!is_kernel_thread(&directory));
            }
            // It has ended.
            Err(_) => {}
        }
    }
    seen.mounts = mounts.into_iter().collect();
    seen.sight = sight(proc, &pids, unseen);
    Ok(seen)
}

/// How much is seen where these processes are listed, and the open files of
/// `unseen` of them are not shown.
fn sight(proc: &Path, pids: &[u32], unseen: usize) -> Sight {
    match unseen {
        _ if is_contained(proc) => Sight::Contained,
        // The first process is always there; who cannot see it sees only his own.
        _ if !pids.contains(&1) => Sight::Hidden,
        0 => Sight::Full,
        count => Sight::Part(count),
    }
}

/// The processes that are listed, by number.
fn pids(proc: &Path) -> io::Result<Vec<u32>> {
    let mut pids: Vec<u32> = fs::read_dir(proc)?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    Ok(pids)
}

/// Looks once at all processes but this one and its children, and only at what they
/// have open for writing: for each of what is wanted, who has it.
pub(super) fn writers(proc: &Path, wanted: &[Overlap]) -> io::Result<(Vec<Vec<Process>>, Sight)> {
    let own = own(proc);
    let pids = pids(proc)?;
    let mut unseen = 0;
    let mut writers = vec![Vec::new(); wanted.len()];
    for &pid in pids.iter().filter(|&&pid| pid != own) {
        let directory = proc.join(pid.to_string());
        let written = match written(&directory, wanted) {
            Ok(written) => written,
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                unseen += usize::from(!is_kernel_thread(&directory));
                continue;
            }
            // It has ended.
            Err(_) => continue,
        };
        // A child that has not yet executed its program has our open files.
        if written.is_empty() || parent(&directory) == Some(own) {
            continue;
        }
        let process = Process {
            pid,
            command: command(&directory),
        };
        for (number, writers) in writers.iter_mut().enumerate() {
            if written.contains(&number) {
                writers.push(process.clone());
            }
        }
    }
    Ok((writers, sight(proc, &pids, unseen)))
}

/// The numbers in `wanted` of what a process has open for writing.
fn written(directory: &Path, wanted: &[Overlap]) -> io::Result<BTreeSet<usize>> {
    let mut numbers = BTreeSet::new();
    for entry in fs::read_dir(directory.join("fd"))? {
        let entry = entry?;
        // The link has the modes of the open file.
        if !entry.metadata().is_ok_and(|link| is_writable(&link)) {
            continue;
        }
        match fs::metadata(entry.path()) {
            Ok(meta) => {
                let all = wanted.iter().enumerate();
                numbers.extend(all.filter(|(_, wanted)| wanted.has(&meta)).map(|(n, _)| n));
            }
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Err(e),
            // Closed meanwhile.
            Err(_) => {}
        }
    }
    Ok(numbers)
}

/// What a process has open for writing, each once.
pub(super) fn written_by(directory: &Path) -> Vec<Written> {
    let entries = fs::read_dir(directory.join("fd")).into_iter().flatten();
    let mut all: Vec<Written> = Vec::new();
    for entry in entries.flatten().take(DESCRIPTORS) {
        let is_open = entry.metadata().is_ok_and(|link| is_writable(&link));
        let kind = fs::metadata(entry.path()).map(|meta| meta.file_type());
        if !is_open || !kind.is_ok_and(|kind| kind.is_file() || kind.is_block_device()) {
            continue;
        }
        let Ok(name) = fs::read_link(entry.path()) else {
            continue;
        };
        if all.iter().all(|written| written.name != name) {
            let descriptor = entry.path();
            all.push(Written { name, descriptor });
        }
    }
    all
}

fn is_writable(link: &fs::Metadata) -> bool {
    link.mode() & 0o200 != 0
}

/// Whether a process holds what is wanted. Where its first thread has ended, which
/// takes its descriptors out of sight, the others are looked at.
fn process(directory: &Path, wanted: &Overlap) -> io::Result<bool> {
    match holds(directory, wanted)? {
        Some(found) => Ok(found),
        None => {
            for thread in fs::read_dir(directory.join("task")).into_iter().flatten() {
                if holds(&thread?.path(), wanted)? == Some(true) {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

/// Whether one of the descriptors or mappings of a thread is of what is
/// wanted; `None` where it has no descriptor.
fn holds(thread: &Path, wanted: &Overlap) -> io::Result<Option<bool>> {
    let mut any = None;
    for entry in fs::read_dir(thread.join("fd"))? {
        any = Some(false);
        match fs::metadata(entry?.path()) {
            Ok(meta) if wanted.has(&meta) => return Ok(Some(true)),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Err(e),
            // Another one, or closed meanwhile.
            _ => {}
        }
    }
    let maps = read(&thread.join("maps"), MAPS_MAX).unwrap_or_default();
    let mut lines = maps.split(|&byte| byte == b'\n');
    match lines.any(|line| is_mapped(line, wanted).unwrap_or(false)) {
        true => Ok(Some(true)),
        false => Ok(any),
    }
}

/// The processes with one of these command names whose descriptors cannot be seen, and
/// the user of each.
pub(super) fn unseen(proc: &Path, names: &[&str]) -> Vec<(Process, u32)> {
    // The name first: there are many others.
    let mut found: Vec<_> = named(proc, names)
        .into_iter()
        .filter_map(|process| {
            let directory = proc.join(process.pid.to_string());
            let hidden = fs::read_dir(directory.join("fd"))
                .is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied);
            let user = fs::metadata(directory).ok()?.uid();
            hidden.then_some((process, user))
        })
        .collect();
    found.sort();
    found
}

/// The processes with one of these command names.
pub(super) fn named(proc: &Path, names: &[&str]) -> Vec<Process> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let command = command(&entry.path());
        let is_named = names.contains(&command.as_str());
        is_named.then_some(Process { pid, command })
    });
    processes.collect()
}

/// Whether one of the descriptors of what is wanted is for writing; `None` where
/// there is none.
pub(super) fn writes(directory: &Path, wanted: &Overlap) -> Option<bool> {
    let entries = fs::read_dir(directory.join("fd")).ok()?.flatten();
    let open = entries.filter(|fd| fs::metadata(fd.path()).is_ok_and(|meta| wanted.has(&meta)));
    open.map(|fd| fd.metadata().is_ok_and(|link| is_writable(&link)))
        .reduce(|one, other| one | other)
}

/// `7f00-7f01 rw-s 00000000 fe:01 1234      /path`: whether it is a shared mapping of what is wanted.
fn is_mapped(line: &[u8], wanted: &Overlap) -> Option<bool> {
    let text = std::str::from_utf8(line).ok()?;
    let mut fields = text.split_ascii_whitespace();
    if !fields.nth(1)?.ends_with('s') {
        return None;
    }
    let device = device::parse_hex(fields.nth(1)?)?;
    if wanted.has_file(device, fields.next()?.parse().ok()?) {
        return Some(true);
    }
    // Of a block device this was the number of its node, and some file systems
    // have another number here than elsewhere.
    let path = text.get(text.find('/')?..)?;
    fs::metadata(path).ok().map(|meta| wanted.has(&meta))
}

fn command(directory: &Path) -> String {
    let name = read(&directory.join("comm"), STAT_MAX).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}

fn is_kernel_thread(directory: &Path) -> bool {
    stat::<u64>(directory, FLAGS).is_some_and(|flags| flags & KERNEL_THREAD != 0)
}

fn parent(directory: &Path) -> Option<u32> {
    stat(directory, PARENT)
}

/// One of the fields of `stat` after the command's name.
fn stat<T: FromStr>(directory: &Path, field: usize) -> Option<T> {
    let stat = read(&directory.join("stat"), STAT_MAX).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name is in parentheses, and may have some itself.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(field)?.parse().ok()
}

/// The mount points in a `mountinfo` whose file system is on what is wanted.
fn mounted(mountinfo: &Path, wanted: &Overlap) -> Vec<PathBuf> {
    let table = read(mountinfo, MOUNTS_MAX).unwrap_or_default();
    let lines = table.split(|&byte| byte == b'\n');
    lines.filter_map(|line| mount(line, wanted)).collect()
}

/// `36 35 98:0 /root /point options fields - type source options`.
fn mount(line: &[u8], wanted: &Overlap) -> Option<PathBuf> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let number = device::parse(std::str::from_utf8(fields.get(2)?).ok()?)?;
    let point = PathBuf::from(OsString::from_vec(unescape(fields.get(4)?)));
    let dash = fields.iter().skip(6).position(|&field| field == b"-")? + 6;
    let source = PathBuf::from(OsString::from_vec(unescape(fields.get(dash + 2)?)));
    // Some file systems have a number of their own, and only name the device.
    let of_source = || {
        let meta = source.is_absolute().then(|| fs::metadata(&source).ok())??;
        let device = meta.file_type().is_block_device();
        device.then(|| meta.rdev())
    };
    let on_it = wanted.has_device(number) || of_source().is_some_and(|dev| wanted.has_device(dev));
    on_it.then_some(point)
}

/// Blanks and the like stand as `\040`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.get(..3).and_then(|d| std::str::from_utf8(d).ok());
        let code = digits.and_then(|d| u8::from_str_radix(d, 8).ok());
        match (byte, code) {
            (b'\\', Some(code)) => {
                out.push(code);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_is_undone() {
        assert_eq!(unescape(br"/a\040b\134c"), b"/a b\\c");
        assert_eq!(unescape(br"\04"), br"\04");
        assert_eq!(unescape(br"\999\777"), br"\999\777");
        assert_eq!(unescape(b"x\\"), b"x\\");
    }

    #[test]
    fn a_line_of_the_kernel() {
        let directory = tempfile::tempdir().unwrap();
        let stat = directory.path().join("stat");
        fs::write(&stat, "2 (k) (x)) S 0 0 0 0 -1 2129984 0 0").unwrap();
        assert!(is_kernel_thread(directory.path()));
        fs::write(&stat, "2 (bash) S 0 0 0 0 -1 4194304 0 0").unwrap();
        assert!(!is_kernel_thread(directory.path()));
        fs::write(&stat, "").unwrap();
        assert!(!is_kernel_thread(directory.path()));
    }
}
