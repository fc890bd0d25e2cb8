//! fosreset and flfmt: what cannot be proved or must not be overwritten is
//! refused, and then the partition is byte for byte what it was.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fossilcore::archive::{self, Archive, Dir};
use fossilcore::disk::{Header, SuperBlock};
use fossilcore::format::{CheckedFormat, Format, FormatJob, Tag, perform};
use fossilcore::last::Last;
use venti_tests::command::{self, Command, Output};
use venti_tests::golden;
use venti_tests::random::Random;
use venti_tests::venti::{Fault, How, On, closed_port};

use crate::fixture::archives::{ARCHIVES, manifest_blocks};
use crate::fixture::loop_device::Loop;
use crate::fixture::reset::{Site, is_blind};
use venticore::codec::blocktype::BlockType;
use venticore::codec::operand::Operand;
use venticore::codec::score::Score;
use venticore::codec::tree::{Entry, Root, scores};
use venticore::config::Config;
use venticore::host::partition::Partition;
use venticore::host::terminal::Terminal;
use venticore::net::client::Client;

/// The root of `archived-8k`, and that of the archive after it.
const FIRST: &str = ARCHIVES[0].0;
const SECOND: &str = ARCHIVES[1].0;

/// What happened is a reset to this score, that can be undone.
#[track_caller]
fn assert_reset(site: &Site, output: &Output, score: &str) {
    assert_eq!(output.status, 0, "{output:?}");
    let last = site.last().unwrap();
    assert!(last.superblock.last.is_nil() && last.superblock.active == 1);
    let undo = site.undos().pop().unwrap();
    let (state, partition) = (undo.display(), site.partition.display());
    assert_eq!(output.stdout, format!("fosreset -u {state} {partition}\n"));
    assert!(
        site.log()
            .ends_with(&format!("vac:{score} {partition} {}\n", site.venti.dial()))
    );
    for file in [undo.clone(), site.state().join("rootscor")] {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

/// The default is a file server; a word that was forgotten must not cost it.
#[test]
fn without_a_terminal_the_partition_is_named_or_nothing_is_reset() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let run = |options: &[&str]| {
        let default = format!("[fossil]\npartition = '{}'\n", site.partition.display());
        let command = site.command().config(&default).args(options).arg(SECOND);
        let command = command.env("venti", site.venti.dial());
        command.stdin(b"y\n").run()
    };
    for options in [&[][..], &["-q"], &["-c"]] {
        let output = run(options);
        site.assert_untouched(&output, 2, "without a terminal nobody can be asked");
        assert!(output.stderr.contains("fosreset SCORE PARTITION"));
    }
    assert_eq!(run(&["-n"]).status, 0, "that writes nothing");
    assert_eq!(run(&["-y"]).status, 0);
}

#[test]
fn a_network_directory_before_the_venti_means_nothing_here() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let venti = format!("/net.alt/{}", site.venti.dial());
    let line = format!("vac:{SECOND} {} {venti}\n", site.partition.display());
    let output = site
        .command()
        .args(["-y", "-"])
        .stdin(line.as_bytes())
        .run();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(site.log().ends_with(&line), "kept as it was written");
    // Nor is it a partition.
    let output = site.command().args([SECOND, &venti]).run();
    assert_eq!(output.status, 2, "{output:?}");
    assert!(output.stderr.contains("found the address"), "{output:?}");
}

#[test]
fn a_reset_is_logged_and_can_be_undone() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let output = site.reset(&[], &format!("vac:{SECOND}"));
    assert_reset(&site, &output, SECOND);
    let lines: Vec<String> = site.log().lines().map(str::to_owned).collect();
    let (partition, dial) = (site.partition.display(), site.venti.dial());
    assert!(lines[0].starts_with("# ") && lines[0].ends_with(" fosreset"));
    assert_eq!(lines[1], format!("vac:{FIRST} {partition} {dial}"));
    assert_eq!(lines.len(), 3);
    // The rest of the partition is as it was.
    let (now, header) = (site.bytes(), site.last().unwrap().header);
    let (from, to) = (header.superblock * 8192, (header.data + 2) * 8192);
    for (at, (now, before)) in now.iter().zip(&site.before).enumerate() {
        let needed = (from as usize..to as usize).contains(&at) || (0x20000..0x20200).contains(&at);
        assert!(needed || now == before, "byte {at}");
    }
    let undo = site.undos().pop().unwrap();
    let output = site.undo(&["-n"], &undo);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.stderr.contains(&format!(
        "would be put back, whose last archive is vac:{FIRST}"
    )));
    assert!(site.bytes() == now);
    let output = site.undo(&[], &undo);
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (0, ""),
        "{output:?}"
    );
    assert!(site.bytes() == site.before);
    let output = site.undo(&[], &undo);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.stderr.contains("holds what"), "{output:?}");
}

/// An undo file that says that it was made at another time.
fn made_at(file: &Path, time: &str) {
    let bytes = fs::read(file).unwrap();
    let text = bytes.windows(2).position(|two| two == b"\n\n").unwrap();
    let (text, rest) = bytes.split_at(text);
    let text = String::from_utf8(text.to_vec()).unwrap();
    let old = text.lines().find(|line| line.starts_with("time ")).unwrap();
    let mut bytes = text.replace(old, &format!("time {time}")).into_bytes();
    bytes.extend(&rest[..rest.len() - Score::LEN]);
    let hash = Score::of(&bytes);
    bytes.extend(hash.as_bytes());
    fs::write(file, bytes).unwrap();
}

#[test]
fn undo_files_are_listed_and_kept_as_the_configuration_says() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let other = site.directory.path().join("other");
    fs::write(&other, golden::fossil("archived-8k")).unwrap();
    let reset = |partition: &Path, score: &str, config: &str| {
        let command = site.command().config(config).arg(score).arg(partition);
        let output = command.arg(site.venti.dial()).run();
        assert_eq!(output.status, 0, "{output:?}");
    };
    let list = || site.command().arg("-u").run();
    assert_eq!(list().stdout, "", "there is none");
    reset(&other, SECOND, "");
    for score in [SECOND, FIRST, SECOND] {
        reset(&site.partition, score, "");
    }
    let all = site.undos();
    assert_eq!(
        all.len(),
        4,
        "none is removed unless the configuration says so"
    );
    let output = list();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    let lines: Vec<Vec<&str>> = output
        .stdout
        .lines()
        .map(|l| l.split(' ').collect())
        .collect();
    let mut files: Vec<PathBuf> = lines.iter().map(|words| words[0].into()).collect();
    files.sort();
    assert_eq!(files, all);
    let of_other: Vec<_> = lines.iter().filter(|l| Path::new(l[1]) == other).collect();
    assert!(of_other.len() == 1 && of_other[0].len() == 5, "{output:?}");
    assert_eq!(of_other[0][3], format!("vac:{FIRST}"));

    // Two of this partition, the one just made among them.
    reset(&site.partition, FIRST, "[undo]\nkeep = 2\n");
    let kept = site.undos();
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(kept.contains(&PathBuf::from(of_other[0][0])));
    let made = kept.iter().filter(|file| !all.contains(file));
    let made: Vec<&PathBuf> = made.collect();
    assert_eq!(made.len(), 1, "{kept:?}");
    // None that is older than some days.
    for file in &kept {
        made_at(file, "2020-01-01T00:00:00Z");
    }
    reset(&site.partition, SECOND, "[undo]\nkeep = 9\ndays = 30\n");
    let kept = site.undos();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.contains(&PathBuf::from(of_other[0][0])));
    // No number is so small that the one just made goes.
    let before = site.bytes();
    reset(&site.partition, FIRST, "[undo]\nkeep = 0\n");
    let kept = site.undos();
    assert_eq!(kept.len(), 2, "{kept:?}");
    let made = kept
        .iter()
        .find(|file| file.as_path() != Path::new(of_other[0][0]));
    assert_eq!(site.undo(&[], made.unwrap()).status, 0);
    assert!(site.bytes() == before);
    // One that is damaged is named.
    fs::write(made.unwrap(), "fossil undo 1\n").unwrap();
    let output = list();
    assert_eq!(output.status, 1, "{output:?}");
    assert_eq!(
        (output.stdout.lines().count(), output.stderr.lines().count()),
        (1, 1)
    );
}

#[test]
fn the_score_is_taken_in_every_form_and_from_standard_input() {
    if is_blind() {
        return;
    }
    for score in [
        FIRST.to_owned(),
        FIRST.to_uppercase(),
        format!("vac:{}", FIRST.to_uppercase()),
    ] {
        let site = Site::of("archived-8k");
        let output = site.reset(&["-q"], &score);
        assert_reset(&site, &output, FIRST);
        assert_eq!(output.stderr, "");
    }
    let site = Site::of("archived-8k");
    let line = format!(
        "vac:{FIRST} {} {}\n",
        site.partition.display(),
        site.venti.dial()
    );
    let output = site.command().arg("-").stdin(line.as_bytes()).run();
    assert_reset(&site, &output, FIRST);
    // What the command line says goes before what the line does.
    let site = Site::of("archived-8k");
    let line = format!("vac:{FIRST} /nonexistent tcp!nowhere!1\n");
    let command = site
        .command()
        .arg("-")
        .arg(&site.partition)
        .arg(site.venti.dial());
    assert_reset(&site, &command.stdin(line.as_bytes()).run(), FIRST);
    // The venti may be that of the environment.
    let site = Site::of("archived-8k");
    let command = site.command().arg(FIRST).arg(&site.partition);
    let output = command.env("venti", site.venti.dial()).run();
    assert_reset(&site, &output, FIRST);
    // The score alone, where the command line names the partition.
    let site = Site::of("archived-8k");
    let command = site.command().args(["-n", "-"]).arg(&site.partition);
    let score = format!("vac:{FIRST}\n");
    let command = command.env("venti", site.venti.dial());
    let output = command.stdin(score.as_bytes()).run();
    site.assert_untouched(&output, 0, "would be reset to");
    let output = site.command().args(["-n", "-"]).stdin(score.as_bytes());
    let named = "or vac:SCORE alone where the command line names the partition \
                 (fosreset - PARTITION), found one word";
    site.assert_untouched(&output.run(), 2, named);
    for odd in ["", "\n", "vac:x /p v\nmore\n", "a b c d\n"] {
        let site = Site::of("archived-8k");
        let output = site
            .command()
            .arg("-")
            .arg(&site.partition)
            .stdin(odd.as_bytes())
            .run();
        site.assert_untouched(&output, 2, "line of fossilize");
    }
}

#[test]
fn without_a_venti_or_with_one_for_a_partition_nothing_happens() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let output = site.command().arg(FIRST).arg(&site.partition).run();
    site.assert_untouched(&output, 2, "please set a venti");
    let output = site.command().args([FIRST, &site.venti.dial()]).run();
    site.assert_untouched(&output, 2, "expected a partition");
    let output = Command::new("flfmt")
        .args(["-v", FIRST])
        .arg(&site.partition)
        .run();
    site.assert_untouched(&output, 2, "please set a venti");
    let output = Command::new("flfmt").arg(&site.partition).run();
    site.assert_untouched(&output, 2, "expected -v score");
    let output = site.command().args(["-c", "--shallow", FIRST]).run();
    site.assert_untouched(&output, 2, "expected one of -c and --shallow");
    for option in ["-c", "--shallow", "-f"] {
        let output = site.command().args([option, "-u", "file"]).run();
        site.assert_untouched(
            &output,
            2,
            "expected none of -c, --shallow, --as-written and -f with -u",
        );
    }
}

#[test]
fn a_text_that_is_no_score_is_refused() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let mut other = FIRST.to_owned();
    other.replace_range(7..8, "g");
    for text in [
        format!("{FIRST}0"),
        FIRST[1..].to_owned(),
        format!("{FIRST} "),
        format!("{FIRST}x"),
        format!("vac:{FIRST}:"),
        format!("ffs:{FIRST}"),
        other,
    ] {
        site.refused(&text, 2, "rootscore: ");
    }
    site.refused(&Score::ZERO.to_string(), 4, "score of nothing");
}

#[test]
fn a_root_that_is_none_is_refused() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    site.refused(&"ab".repeat(20), 4, "root block abab");
    let root = read_root(&site, FIRST);
    site.refused(&root.score.to_string(), 4, "found a directory block");
    // A plain archive of vac, with and without the local flag.
    let sources = site
        .venti
        .get(BlockType::Dir, &archive(&site).top.unwrap().score)
        .unwrap();
    let own = Entry::parse(&sources[80..]);
    let meta = site.venti.get(BlockType::Data, &own.score).unwrap();
    for (how, says) in [(true, "local flag"), (false, "without a qid space")] {
        let mut sources = sources.clone();
        if how {
            for entry in sources.chunks_mut(40) {
                entry[8] |= 0x20;
            }
        } else {
            let without = without_qid_space(&meta);
            let score = site.venti.insert(BlockType::Data, &without);
            sources[100..].copy_from_slice(score.as_bytes());
        }
        let score = put_root(&site, &sources);
        site.refused(&score, 4, says);
    }
    // Shapes that no fossil writes.
    let change = |from: usize, to: &[u8]| {
        let mut sources = sources.clone();
        sources[from..from + to.len()].copy_from_slice(to);
        put_root(&site, &sources)
    };
    for (from, to, says) in [
        (8, &[0_u8][..], "root source 0: not in use"),
        (
            44,
            &[0, 255],
            "root source 1: expected blocks of at least 256",
        ),
        (8, &[1], "root source 0: expected a directory"),
        (88, &[1 << 2 | 1], "root source 2: expected depth 0"),
        (
            48,
            &[0x41],
            "root source 1: in the encoding of large blocks",
        ),
    ] {
        site.refused(&change(from, to), 4, says);
    }
    let long = [sources.clone(), vec![1; 40]].concat();
    site.refused(&put_root(&site, &long), 4, "expected 3 root sources");
    // A root of another kind.
    let other = Root {
        kind: b"ext2".to_vec(),
        ..root
    };
    let score = site
        .venti
        .insert(BlockType::Root, &other.to_bytes())
        .to_string();
    site.refused(&score, 4, "expected type vac");
}

fn read_root(site: &Site, score: &str) -> Root {
    let score = score.parse().unwrap();
    Root::parse(&site.venti.get(BlockType::Root, &score).unwrap()).unwrap()
}

/// A root over these root sources, without the extra layer of fossil.
fn put_root(site: &Site, sources: &[u8]) -> String {
    let score = site.venti.insert(BlockType::Dir, sources);
    let root = Root {
        score,
        ..read_root(site, FIRST)
    };
    site.venti
        .insert(BlockType::Root, &root.to_bytes())
        .to_string()
}

/// The root's metadata with its option removed.
fn without_qid_space(meta: &[u8]) -> Vec<u8> {
    use fossilcore::disk::MetaBlock;
    let mut block = meta.to_vec();
    block.resize(8192, 0);
    let meta = MetaBlock::parse(&block).unwrap();
    let mut own = meta.entries().next().unwrap().unwrap();
    own.qid_space = None;
    MetaBlock::of(&[own], meta.slots, 8192).unwrap().to_bytes()
}

fn archive(site: &Site) -> Archive {
    Archive::read(&mut site.client(), &FIRST.parse().unwrap()).unwrap()
}

/// Blocks of `active`: what each is for, its type and its score.
struct Inside {
    directory: (BlockType, Score),
    pointer: (BlockType, Score),
    metadata: (BlockType, Score),
    leaf: (BlockType, Score),
}

/// One block of each kind, the directory's and its metadata below `active`.
fn inside(site: &Site) -> Inside {
    let mut client = site.client();
    let root = archive(site).directory();
    let active = archive::find(&mut client, &root, b"active")
        .unwrap()
        .unwrap();
    let mut pending = vec![active.directory.unwrap()];
    let (mut sub, mut file) = (None, None);
    while let Some(dir) = pending.pop() {
        for info in archive::list(&mut client, &dir).unwrap() {
            let found = archive::find(&mut client, &dir, &info.elem)
                .unwrap()
                .unwrap();
            match found.directory {
                Some(dir) => {
                    pending.push(dir);
                    sub = sub.or(Some(dir).filter(|dir| !dir.meta.score.is_nil()));
                }
                None if found.entry.depth > 0 => file = Some(found.entry),
                None => {}
            }
        }
    }
    let (sub, file) = (sub.unwrap(), file.unwrap());
    let pointer = (BlockType::Pointer(file.depth), file.score);
    let block = site.venti.get(pointer.0, &pointer.1).unwrap();
    assert_eq!((file.depth, sub.entry.depth, sub.meta.depth), (1, 0, 0));
    Inside {
        directory: (BlockType::Dir, sub.entry.score),
        pointer,
        metadata: (BlockType::Data, sub.meta.score),
        leaf: (BlockType::Data, scores(&block).nth(1).unwrap()),
    }
}

#[test]
fn a_missing_or_corrupt_block_of_active_is_refused_and_named() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let Inside {
        directory,
        pointer,
        metadata,
        leaf,
    } = inside(&site);
    for (ty, score) in [directory, pointer, metadata] {
        let block = site.venti.get(ty, &score).unwrap();
        assert!(site.venti.forget(ty, &score));
        site.refused(FIRST, 4, &format!("{ty} block {score}: not on this venti"));
        let _ = site.venti.insert(ty, &block);
        assert!(site.venti.corrupt(ty, &score));
        site.refused(FIRST, 4, &format!("{ty} block {score}: cannot be read"));
        let _ = site.venti.insert(ty, &block);
    }
    let (ty, score) = leaf;
    let block = site.venti.get(ty, &score).unwrap();
    assert!(site.venti.forget(ty, &score));
    site.refused(FIRST, 4, &format!("{ty} block {score}: not on this venti"));
    // A server that cannot be asked is read from.
    site.venti.fault(Fault::no_probe());
    site.refused(FIRST, 4, &format!("{ty} block {score}: not on this venti"));
    site.venti.heal();
    // A corrupt leaf is there when it is only asked for.
    let _ = site.venti.insert(ty, &block);
    assert!(site.venti.corrupt(ty, &score));
    let says = format!("{ty} block {score}: cannot be read");
    site.assert_untouched(&site.reset(&["-c"], FIRST), 4, &says);
    site.assert_untouched(&site.flfmt(&["-c"], FIRST), 4, &says);
    let output = site.reset(&[], FIRST);
    assert_reset(&site, &output, FIRST);
}

/// A directory block in which the entry that leads to `entry` is another.
fn changed(site: &Site, block: Score, entry: Score, change: impl Fn(&mut [u8])) -> Score {
    let mut block = site.venti.get(BlockType::Dir, &block).unwrap();
    let mut entries = block.chunks_mut(Entry::LEN);
    change(entries.find(|e| &e[20..] == entry.as_bytes()).unwrap());
    site.venti.insert(BlockType::Dir, &block)
}

#[test]
fn an_active_that_a_fossil_would_misread_is_refused() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let (archive, mut client) = (archive(&site), site.client());
    let sources = site.venti.get(BlockType::Dir, &archive.top.unwrap().score);
    let sources = sources.unwrap();
    let found = archive::find(&mut client, &archive.directory(), b"active").unwrap();
    let active = found.unwrap().directory.unwrap();
    let (root, active) = (archive.sources[0].score, active.entry.score);
    let with_root = |root: Score| {
        let mut sources = sources.clone();
        sources[20..40].copy_from_slice(root.as_bytes());
        put_root(&site, &sources)
    };
    let local = |entry: &mut [u8]| entry[8] |= 0x20;
    let large = |entry: &mut [u8]| entry[6..8].copy_from_slice(&16384_u16.to_be_bytes());
    for (change, says) in [
        (
            local as fn(&mut [u8]),
            "expected an entry of a fossil, found the local flag",
        ),
        (large, "expected blocks of at most 8192 bytes, found 16384"),
    ] {
        let score = with_root(changed(&site, root, active, change));
        site.refused(
            &score,
            4,
            &format!("/active: directory block {active}: {says}"),
        );
        // An entry in it that belongs to no directory.
        let mut block = site.venti.get(BlockType::Dir, &active).unwrap();
        let mut entry = block[..Entry::LEN].to_vec();
        change(&mut entry);
        block.resize(block.len().next_multiple_of(Entry::LEN), 0);
        block.extend(entry);
        let inside = site.venti.insert(BlockType::Dir, &block);
        let lead = |entry: &mut [u8]| entry[20..].copy_from_slice(inside.as_bytes());
        site.refused(&with_root(changed(&site, root, active, lead)), 4, says);
    }
    // The root directory's metadata has no names.
    let mut sources = sources.clone();
    sources[60..80].copy_from_slice(Score::ZERO.as_bytes());
    site.refused(&put_root(&site, &sources), 4, "expected a directory active");
}

/// A file below a directory whose entries are in one block each: the
/// directories that lead to it, its entry, its path.
fn deep_file(site: &Site) -> (Vec<Score>, Score, String) {
    fn look(client: &mut Client, dir: &Dir, path: &str) -> Option<(Vec<Score>, Score, String)> {
        assert_eq!(dir.entry.depth, 0);
        for info in archive::list(client, dir).unwrap() {
            let found = archive::find(client, dir, &info.elem).unwrap().unwrap();
            let path = format!("{path}/{}", String::from_utf8_lossy(&info.elem));
            let file = match found.directory {
                Some(below) => look(client, &below, &path),
                None if found.entry.depth > 0 => Some((Vec::new(), found.entry.score, path)),
                None => None,
            };
            if let Some((mut dirs, file, path)) = file {
                dirs.push(dir.entry.score);
                return Some((dirs, file, path));
            }
        }
        None
    }
    let (root, mut client) = (archive(site).directory(), site.client());
    let active = archive::find(&mut client, &root, b"active").unwrap();
    let active = active.unwrap().directory.unwrap();
    let (mut dirs, file, path) = look(&mut client, &active, "/active").unwrap();
    dirs.push(root.entry.score);
    (dirs, file, path)
}

/// A fossil spoils the size of a file of 2 GiB or more; the rest of the
/// archive is well.
#[test]
fn what_the_fossil_wrote_wrong_is_named_and_can_be_left_as_it_is() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let (dirs, file, path) = deep_file(&site);
    let spoiled = 0xffff_c000_0003_u64;
    let spoil = |entry: &mut [u8]| entry[14..20].copy_from_slice(&spoiled.to_be_bytes()[2..]);
    let mut dirs = dirs.into_iter();
    let first = dirs.next().unwrap();
    let mut last = (first, changed(&site, first, file, spoil));
    for dir in dirs {
        let lead = |entry: &mut [u8]| entry[20..].copy_from_slice(last.1.as_bytes());
        last = (dir, changed(&site, dir, last.0, lead));
    }
    let sources = site
        .venti
        .get(BlockType::Dir, &archive(&site).top.unwrap().score);
    let mut sources = sources.unwrap();
    sources[20..40].copy_from_slice(last.1.as_bytes());
    let score = put_root(&site, &sources);

    let size = format!("found {spoiled}, which was 3221225475 before sign extension");
    for says in [
        &path,
        &size,
        "the fossil wrote it so",
        "give --as-written to go on",
    ] {
        site.refused(&score, 4, says);
    }
    // It is as it was, and what is missing below it is still missing.
    let ty = BlockType::Pointer(1);
    let block = site.venti.get(ty, &file).unwrap();
    assert!(site.venti.forget(ty, &file));
    let says = format!("{path}: {ty} block {file}: not on this venti, and 1 more: send");
    site.assert_untouched(&site.reset(&["--as-written"], &score), 4, &says);
    site.assert_untouched(&site.flfmt(&["--as-written"], &score), 4, &says);
    let _ = site.venti.insert(ty, &block);
    let output = site.flfmt(&["--as-written", "-n"], &score);
    assert_eq!(output.status, 0, "{output:?}");
    let output = site.reset(&["--as-written", "-c"], &score);
    assert!(output.stderr.contains("left as it is"), "{output:?}");
    assert_reset(&site, &output, &score);
}

#[test]
fn every_block_of_the_root_counts_when_every_block_is_read() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let manifest = golden::json("fossil/manifest.json");
    for (ty, score) in manifest_blocks(&manifest, "archived2-8k") {
        let block = site.venti.get(ty, &score).unwrap();
        assert!(site.venti.corrupt(ty, &score));
        let output = site.reset(&["-nc"], SECOND);
        site.assert_untouched(&output, 4, &score.to_string());
        let _ = site.venti.insert(ty, &block);
    }
    let output = site.reset(&["-nc"], SECOND);
    assert_eq!(output.status, 0, "{output:?}");
}

#[test]
fn a_shallow_proof_looks_at_the_root_alone() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let (ty, score) = inside(&site).directory;
    assert!(site.venti.forget(ty, &score));
    let output = site.reset(&["--shallow"], FIRST);
    assert_reset(&site, &output, FIRST);
    let site = Site::of("archived-8k");
    let own = archive(&site).sources[2].score;
    assert!(site.venti.forget(BlockType::Data, &own));
    let output = site.reset(&["--shallow"], FIRST);
    site.assert_untouched(&output, 4, "the root's metadata");
}

#[test]
fn a_dead_venti_is_refused() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let command = site.command().arg(FIRST).arg(&site.partition);
    site.assert_untouched(&command.arg(closed_port()).run(), 6, "cannot connect");
    let reads = {
        let output = site.reset(&["-nc"], FIRST);
        assert_eq!(output.status, 0, "{output:?}");
        site.venti.counts().reads
    };
    assert!(reads > 20, "{reads}");
    // It dies at the first read, at some in the middle, at the last.
    for number in [1, 2, 5, reads / 2, reads] {
        let site = Site::of("archived-8k");
        for how in [How::Close, How::Short] {
            site.venti.heal();
            let asked = site.venti.counts().reads;
            site.venti.fault(Fault::from(On::Read, asked + number, how));
            let output = site.reset(&["-c"], FIRST);
            site.assert_untouched(&output, 6, "tcp!127.0.0.1!");
        }
    }
    let site = Site::of("archived-8k");
    site.venti.fault(Fault::from(On::Probe, 2, How::Close));
    site.assert_untouched(&site.reset(&[], FIRST), 6, "connection lost");
    site.venti.heal();
    let asked = site.venti.counts().reads;
    site.venti
        .fault(Fault::from(On::Read, asked + 3, How::Silence));
    let command = site.command().config("[limits]\nsilence = 1\n").arg(FIRST);
    let output = command.arg(&site.partition).arg(site.venti.dial()).run();
    site.assert_untouched(&output, 6, "no answer to read");
    // A venti that answers with other bytes.
    site.venti.heal();
    let asked = site.venti.counts().reads;
    site.venti.fault(Fault::at(On::Read, asked + 4, How::Wrong));
    site.assert_untouched(&site.reset(&[], FIRST), 4, "");
}

#[test]
fn a_partition_that_does_not_fit_is_refused() {
    if is_blind() {
        return;
    }
    let site = Site::with(vec![0; 1_310_719]);
    site.refused(
        FIRST,
        1,
        "partition: expected at least 1310720 bytes, found 1310719",
    );
    let site = Site::of("archived-8k");
    let output = site.flfmt(&["-b", "4096"], FIRST);
    site.assert_untouched(&output, 1, "block size: expected at least 8192");
    for size in ["8193", "65536", "0"] {
        let output = site.flfmt(&["-b", size], FIRST);
        site.assert_untouched(&output, 1, "multiple of 512");
    }
    let output = site.flfmt(&["-b", "8q"], FIRST);
    site.assert_untouched(&output, 2, "-b");
    let output = site.flfmt(&["-b", "16k", "-l", "other"], FIRST);
    assert_reset(&site, &output, FIRST);
    let last = site.last().unwrap();
    assert_eq!(
        (last.header.block_size, last.superblock.name),
        (16384, b"other".to_vec())
    );
}

#[test]
fn what_is_no_fossil_is_overwritten_by_force_alone() {
    if is_blind() {
        return;
    }
    let zeros = vec![0; 2 << 20];
    let with = |at: usize, bytes: &[u8]| {
        let mut partition = zeros.clone();
        partition[at..at + bytes.len()].copy_from_slice(bytes);
        partition
    };
    for (partition, says) in [
        (with(0x438, &[0x53, 0xef]), "an ext file system"),
        (with(0, b"XFSB"), "an XFS file system"),
        (with(700_000, &[1]), "not zero at 700000"),
        (golden::bytes("g5.part"), "the arenas of a venti"),
        (
            Random::new(6).bytes(2 << 20),
            "something that is not a fossil",
        ),
    ] {
        let site = Site::with(partition);
        site.refused(FIRST, 1, says);
        let output = site.reset(&["-f"], FIRST);
        assert_reset(&site, &output, FIRST);
        assert_eq!(
            site.log().matches("vac:").count(),
            1,
            "there was no old score"
        );
        let undo = site.undos().pop().unwrap();
        assert_eq!(site.undo(&[], &undo).status, 0);
        assert!(site.bytes() == site.before);
    }
    // An empty partition may have a configuration already.
    for partition in [
        zeros.clone(),
        with(127 * 1024, b"fossil config\nfsys main config\n"),
    ] {
        let site = Site::with(partition);
        assert_reset(&site, &site.reset(&[], FIRST), FIRST);
    }
    // One that was destroyed is what fosreset is for; its score is recorded.
    let site = Site::of("destroyed-8k");
    assert_reset(&site, &site.reset(&[], SECOND), SECOND);
    assert!(site.log().contains(&format!("vac:{FIRST} ")));
}

#[test]
fn a_partition_that_is_held_open_is_refused_and_the_holder_named() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let mut holder = Holder::start("sleep", &site.partition);
    let says = format!("held open by sleep (pid {})", holder.0.id());
    site.refused(FIRST, 1, &says);
    // Also by another name.
    let link = site.directory.path().join("link");
    fs::hard_link(&site.partition, &link).unwrap();
    let output = site
        .command()
        .arg(FIRST)
        .arg(&link)
        .arg(site.venti.dial())
        .run();
    site.assert_untouched(&output, 1, &says);
    assert!(holder.runs(), "it was left alone");
    drop(holder);
    let output = site.reset(&[], FIRST);
    assert_reset(&site, &output, FIRST);
    let undo = site.undos().pop().unwrap();
    let _holder = Holder::start("sleep", &site.partition);
    let output = site.undo(&[], &undo);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("held open by sleep"), "{output:?}");
}

/// A program that has a file open as its standard input, until dropped.
struct Holder(std::process::Child);

impl Holder {
    fn start(program: impl AsRef<std::ffi::OsStr>, file: &Path) -> Self {
        let mut command = std::process::Command::new(program);
        let command = command
            .arg("600")
            .stdin(Stdio::from(File::open(file).unwrap()));
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        loop {
            match command.spawn() {
                Ok(child) => return Holder(child),
                // A child of another story has it for a moment still.
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::yield_now();
                }
                Err(error) => panic!("{}: {error}", file.display()),
            }
        }
    }

    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have been ended already: no error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program called fossil that holds a partition open, and another that holds
/// one of its own.
#[test]
fn only_fossils_that_hold_this_partition_are_ended() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let other = site.directory.path().join("other");
    fs::write(&other, "x").unwrap();
    let program = site.directory.path().join("fossil-bin/fossil");
    fs::create_dir(program.parent().unwrap()).unwrap();
    fs::copy("/bin/sleep", &program).unwrap();
    let mut ours = Holder::start(&program, &site.partition);
    let mut theirs = Holder::start(&program, &other);
    let output = site.reset(&["-n"], FIRST);
    let says = format!("held open by fossil (pid {}), which would be", ours.0.id());
    assert!(
        output.status == 0 && output.stderr.contains(&says),
        "{output:?}"
    );
    // What refuses the archive ends nobody.
    site.refused_by_reset(&"ab".repeat(20));
    assert!(ours.runs());
    // flfmt ends nobody at all.
    let output = site.flfmt(&[], FIRST);
    site.assert_untouched(&output, 1, "held open by fossil");
    let output = site.reset(&[], FIRST);
    assert_reset(&site, &output, FIRST);
    assert!(!ours.runs(), "it was ended");
    assert!(theirs.runs(), "it was left alone");
}

impl Site {
    #[track_caller]
    fn refused_by_reset(&self, score: &str) {
        let output = self.reset(&[], score);
        self.assert_untouched(&output, 4, "root");
    }
}

#[test]
fn a_partition_that_cannot_be_written_is_refused() {
    if is_blind() {
        return;
    }
    // A program that runs cannot be opened for writing, not even by root.
    let site = Site::of("archived-8k");
    let program = site.directory.path().join("sleep");
    fs::copy("/bin/sleep", &program).unwrap();
    let file = File::options().write(true).open(&program).unwrap();
    file.set_len(4 << 20).unwrap();
    drop(file);
    let before = fs::read(&program).unwrap();
    let running = Holder::start(&program, Path::new("/dev/null"));
    let output = site
        .command()
        .args(["-f", FIRST])
        .arg(&program)
        .arg(site.venti.dial())
        .run();
    site.assert_untouched(&output, 1, "busy");
    assert!(fs::read(&program).unwrap() == before);
    drop(running);
    // A device that can be opened for writing, and refuses what is written.
    let site = Site::of("archived-8k");
    if let Some(device) = Loop::of(&site.partition, &["--read-only"]) {
        let command = site.command().args([FIRST, &device.0, &site.venti.dial()]);
        site.assert_untouched(&command.run(), 1, "read-only");
    } else {
        command::skipped("a device that is read-only: no loop device can be made here");
    }
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(&site.partition, fs::Permissions::from_mode(0o444)).unwrap();
        let output = site.reset(&[], FIRST);
        site.assert_untouched(&output, 1, "denied");
    }
}

#[test]
fn a_log_or_undo_file_that_cannot_be_written_stops_it() {
    if is_blind() {
        return;
    }
    // The state directory is a file.
    let site = Site::of("archived-8k");
    fs::write(site.state(), "").unwrap();
    let output = site.reset(&[], FIRST);
    site.assert_untouched(&output, 1, "state");
    // The log is a directory.
    let site = Site::of("archived-8k");
    fs::create_dir_all(site.state().join("rootscor")).unwrap();
    let output = site.reset(&[], FIRST);
    site.assert_untouched(&output, 1, "rootscor");
    let output = site.flfmt(&[], FIRST);
    site.assert_untouched(&output, 1, "rootscor");
    // No file may be longer than the log is: the undo file cannot be written.
    let site = Site::of("archived-8k");
    let output = limited(&site, 1024);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(
        output.stderr.contains(".undo: cannot be written"),
        "{output:?}"
    );
    assert!(site.bytes() == site.before);
    assert!(site.undos().is_empty());
    // Nobody would learn of the undo file.
    let site = Site::of("archived-8k");
    let Some(full) = command::full() else {
        return;
    };
    let done = Command::new("fosreset")
        .arg("-d")
        .arg(site.state())
        .arg(FIRST)
        .arg(&site.partition)
        .arg(site.venti.dial())
        .prepare()
        .stdin(Stdio::null())
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(site.bytes() == site.before);
}

/// A reset in which no file may be written past this byte: the write fails.
fn limited(site: &Site, bytes: u64) -> Output {
    run_limited(site, bytes, true)
}

fn run_limited(site: &Site, bytes: u64, ignore: bool) -> Output {
    // SIGXFSZ ends a process at once, unless it is ignored.
    let script = match ignore {
        true => "trap '' XFSZ; ulimit -f $1; shift; exec \"$@\"",
        false => "ulimit -f $1; shift; exec \"$@\"",
    };
    let limit = (bytes / 1024).to_string();
    Command::new("fosreset")
        .through(["bash", "-c", script, "bash", &limit])
        .arg("-d")
        .arg(site.state())
        .arg(SECOND)
        .arg(&site.partition)
        .arg(site.venti.dial())
        .run()
}

/// What every tool says of a partition that is unfinished.
#[track_caller]
fn assert_unfinished(site: &Site) {
    for tool in ["fossilast", "fossilize"] {
        let output = Command::new(tool).arg(&site.partition).run();
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (1, ""),
            "{output:?}"
        );
        assert!(
            output.stderr.contains("a format was not finished"),
            "{output:?}"
        );
    }
}

#[test]
fn a_killed_reset_shows_and_is_completed_or_undone() {
    if is_blind() {
        return;
    }
    // The super block is at 144 KiB, the labels follow, then the data: the
    // process is killed at the first write past the limit.
    for (limit, ignore, status) in [
        (148, false, 153),
        (156, false, 153),
        (148, true, 1),
        (164, true, 1),
    ] {
        let site = Site::of("archived-8k");
        let output = run_limited(&site, limit * 1024, ignore);
        assert_eq!(output.status, status, "{output:?}");
        assert_unfinished(&site);
        let undo = site.undos().pop().unwrap();
        let printed = format!(
            "fosreset -u {} {}\n",
            undo.display(),
            site.partition.display()
        );
        assert_eq!(output.stdout, printed);
        if ignore {
            assert!(output.stderr.contains("not a fossil now"), "{output:?}");
        }
        let half = site.bytes();
        assert!(half != site.before);
        // Undone.
        assert_eq!(site.undo(&[], &undo).status, 0);
        assert!(site.bytes() == site.before);
        // Completed, and undone after that.
        fs::write(&site.partition, &half).unwrap();
        // The user to whom the state belongs may have made it.
        if std::os::unix::fs::chown(&undo, Some(1234), None).is_ok() {
            let output = site.reset(&[], FIRST);
            output.assert_refused(1, "its undo file belongs to user 1234");
            assert!(site.bytes() == half);
            std::os::unix::fs::chown(&undo, Some(0), None).unwrap();
        }
        let output = site.reset(&["-n"], FIRST);
        assert_eq!(output.status, 0, "{output:?}");
        assert!(
            output
                .stderr
                .contains("first putting back what it replaced"),
            "{output:?}"
        );
        assert!(site.bytes() == half);
        let output = site.reset(&[], FIRST);
        assert_eq!(output.status, 0, "{output:?}");
        assert!(
            output.stderr.contains("an earlier format was not finished"),
            "{output:?}"
        );
        assert!(site.last().is_ok());
        let entry = site.log();
        assert!(entry.contains(&format!("vac:{FIRST} ")), "{entry}");
        let newest = site.undos().into_iter().find(|path| *path != undo).unwrap();
        let output = site.undo(&[], &undo);
        assert_eq!(
            output.status, 1,
            "the first file is of another format: {output:?}"
        );
        assert!(output.stderr.contains("was written to since"), "{output:?}");
        let output = site.undo(&[], &newest);
        assert_eq!(output.status, 0, "{output:?}");
        assert!(site.bytes() == site.before);
    }
}

#[test]
fn an_empty_partition_whose_format_was_killed_needs_no_force() {
    if is_blind() {
        return;
    }
    let site = Site::with(vec![0; 4 << 20]);
    let output = run_limited(&site, 164 * 1024, false);
    assert_eq!(output.status, 153, "{output:?}");
    let output = site.reset(&[], FIRST);
    assert_eq!(output.status, 0, "{output:?}");
    // Without the undo file nobody knows what it is.
    let site = Site::with(vec![0; 4 << 20]);
    let output = run_limited(&site, 164 * 1024, false);
    assert_eq!(output.status, 153, "{output:?}");
    fs::remove_file(site.undos().pop().unwrap()).unwrap();
    let output = site.reset(&[], FIRST);
    assert_eq!(output.status, 1, "{output:?}");
}

#[test]
fn what_was_overwritten_by_force_is_put_back_and_kept_without() {
    if is_blind() {
        return;
    }
    let mut ext = vec![0; 4 << 20];
    ext[0x438..0x43a].copy_from_slice(&[0x53, 0xef]);
    let site = Site::with(ext);
    assert_eq!(site.reset(&["-f"], FIRST).status, 0);
    // As if it had been killed before the last write.
    let at = site.last().unwrap().header.superblock_at();
    let file = File::options().write(true).open(&site.partition).unwrap();
    file.write_all_at(&[0; 4], at).unwrap();
    drop(file);
    let output = site.reset(&[], FIRST);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("an ext file system"), "{output:?}");
    assert!(site.bytes() == site.before);
}

#[test]
fn an_undo_file_of_another_partition_or_of_one_that_was_written_is_refused() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    assert_eq!(site.reset(&[], FIRST).status, 0);
    let undo = site.undos().pop().unwrap();
    let other = Site::of("formatted-8k");
    let output = other.undo(&[], &undo);
    other.assert_untouched(&output, 1, "is for another partition");
    let short = Site::with(vec![0; 2 << 20]);
    let output = short.undo(&[], &undo);
    short.assert_untouched(&output, 1, "expected a partition of 4194304 bytes");
    // Somebody used it since: a fossil writes its super block.
    let file = File::options()
        .read(true)
        .write(true)
        .open(&site.partition)
        .unwrap();
    let header = Header::parse(&site.bytes()[0x20000..]).unwrap();
    let used = SuperBlock {
        qid: 99,
        ..site.last().unwrap().superblock
    };
    file.write_all_at(&used.to_bytes(), header.superblock_at())
        .unwrap();
    drop(file);
    let now = site.bytes();
    let output = site.undo(&[], &undo);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("was written to since"), "{output:?}");
    assert!(site.bytes() == now);
    let output = site.undo(&[], &site.partition);
    assert!(
        output.status == 1 && output.stderr.contains("expected an undo file"),
        "{output:?}"
    );
}

#[test]
fn a_partition_that_somebody_takes_or_writes_at_the_last_moment_is_left_alone() {
    let site = Site::of("archived-8k");
    let operand = Operand::try_from(site.partition.as_os_str()).unwrap();
    let partition = Partition::open_rw(&operand).unwrap();
    let archive = archive(&site);
    let format = Format::of(&archive, partition.len(), None, Tag::random(), b"vfs").unwrap();
    let checked = CheckedFormat {
        format,
        score: archive.score,
        venti: site.venti.dial(),
        old_venti: None,
    };
    let (terminal, _) = Terminal::keeping("fosreset");
    let state = site.state();
    let job = FormatJob {
        tool: "fosreset",
        config: &Config::default(),
        terminal: &terminal,
        dir: Some(&state),
        partition: &partition,
        force: false,
    };
    let taken = || Err(eyre::eyre!("held open"));
    let error = perform(&job, &checked, &taken).unwrap_err();
    assert!(error.to_string().contains("held open"), "{error}");
    assert!(site.bytes() == site.before);
    // A fossil that came and went.
    let Last { header, superblock } = site.last().unwrap();
    let used = SuperBlock {
        qid: 99,
        ..superblock
    };
    let written = || {
        partition.write_at(&used.to_bytes(), header.superblock_at())?;
        Ok(())
    };
    let error = perform(&job, &checked, &written).unwrap_err();
    assert!(error.to_string().contains("somebody else"), "{error}");
    assert_eq!(site.last().unwrap().superblock, used);
}

#[test]
fn the_command_that_undoes_it_can_be_run_as_it_is_printed() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let run = |through: &[&str], arguments: &[&str]| {
        let command = Command::new("fosreset").through(through).args(arguments);
        let output = command.current_dir(site.directory.path()).run();
        assert_eq!(output.status, 0, "{output:?}");
        output.stdout
    };
    let dial = site.venti.dial();
    for name in ["-x", "it's;&$x"] {
        let partition = site.directory.path().join(name);
        fs::copy(&site.partition, &partition).unwrap();
        let line = run(&[], &["-d", "state", "--", SECOND, name, &dial]);
        assert!(fs::read(&partition).unwrap() != site.before, "{name}");
        let script = line.replacen("fosreset", "\"$0\"", 1);
        let _ = run(&["bash", "-c", &script], &[]);
        assert!(fs::read(&partition).unwrap() == site.before, "{line}");
    }
}

#[test]
fn flfmt_asks_and_no_is_no() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    let ask = |answer: &str| {
        let config = format!("dir = '{}'\n", site.state().display());
        let command = Command::new("flfmt")
            .config(&config)
            .stdin(answer.as_bytes());
        let command = command.args(["-h", &site.venti.dial(), "-v", FIRST]);
        command.arg(&site.partition).run()
    };
    for answer in ["", "n\n", "Y\n", "\n", "no, y\n"] {
        let output = ask(answer);
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (1, ""),
            "{output:?}"
        );
        assert!(
            output
                .stderr
                .contains("holds a fossil; are you sure? [y/n]: "),
            "{output:?}"
        );
        assert!(site.bytes() == site.before && site.undos().is_empty());
    }
    let output = ask("yes\n");
    assert_reset(&site, &output, FIRST);
}
