//! fossilconf and venticonf: the region of a partition, and no other byte.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use tempfile::TempDir;
use venti_tests::command::{Command, Output};
use venti_tests::golden;
use venti_tests::random::Random;

/// One of the two commands, and what it edits.
struct Kind {
    command: &'static str,
    first_line: &'static str,
    offset: usize,
    size: usize,
    /// What follows the region in a partition of this kind.
    magics: &'static [u32],
}

const FOSSIL: Kind = Kind {
    command: "fossilconf",
    first_line: "fossil config\n",
    offset: 130_048,
    size: 1024,
    magics: &[0x3776_ae89],
};

const VENTI: Kind = Kind {
    command: "venticonf",
    first_line: "venti config\n",
    offset: 253_952,
    size: 8192,
    magics: &[0xa9e4_a5e7, 0xd15c_5ec7],
};

const KINDS: [Kind; 2] = [FOSSIL, VENTI];

impl Kind {
    fn end(&self) -> usize {
        self.offset + self.size
    }

    /// The longest text.
    fn full(&self) -> Vec<u8> {
        let room = self.size - self.first_line.len();
        let mut text = "# a comment\n".repeat(room).into_bytes();
        text.truncate(room - 1);
        text.push(b'\n');
        text
    }

    /// A region as it should be.
    fn region(&self, text: &[u8]) -> Vec<u8> {
        let mut region = [self.first_line.as_bytes(), text].concat();
        region.resize(self.size, 0);
        region
    }

    /// A partition of noise, this in the region, and a header.
    fn partition(&self, region: &[u8]) -> Partition {
        let mut image = Random::new(7).bytes(300_000);
        image[self.offset..self.end()].fill(0);
        image[self.offset..self.offset + region.len()].copy_from_slice(region);
        image[self.end()..self.end() + 4].copy_from_slice(&self.magics[0].to_be_bytes());
        Partition::of(&image)
    }

    /// One that holds this configuration.
    fn configured(&self, text: &str) -> Partition {
        self.partition(&self.region(text.as_bytes()))
    }

    fn call(&self, partition: &Partition, options: &[&str]) -> Command {
        let state = partition.directory.path().join("state");
        let command = Command::new(self.command).args(options);
        command.arg("-d").arg(state).arg(&partition.path)
    }

    /// `-w` with this text on standard input.
    fn write(&self, partition: &Partition, text: &[u8]) -> Output {
        self.call(partition, &["-w"]).stdin(text).run()
    }
}

/// A partition in a file, with a state directory beside it.
struct Partition {
    directory: TempDir,
    path: PathBuf,
    before: Vec<u8>,
}

impl Partition {
    fn of(image: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("part");
        fs::write(&path, image).unwrap();
        let before = image.to_owned();
        Partition {
            directory,
            path,
            before,
        }
    }

    /// The region holds these bytes, and no byte outside of it has changed.
    #[track_caller]
    fn assert_region(&self, kind: &Kind, expected: &[u8]) {
        let now = fs::read(&self.path).unwrap();
        assert_eq!(now.len(), self.before.len());
        let found = &now[kind.offset..kind.end()];
        assert!(found == expected, "{}", String::from_utf8_lossy(found));
        assert!(now[..kind.offset] == self.before[..kind.offset]);
        assert!(now[kind.end()..] == self.before[kind.end()..]);
    }

    #[track_caller]
    fn assert_untouched(&self) {
        assert!(fs::read(&self.path).unwrap() == self.before);
    }

    /// The files kept in the state directory, by name.
    fn kept(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.directory.path().join("state")) else {
            return Vec::new();
        };
        let mut kept: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        kept.sort();
        kept
    }
}

#[track_caller]
fn assert_done(output: &Output) {
    assert_eq!(output.status, 0, "{output:?}");
}

#[test]
fn golden_partitions_are_read_and_written_back_byte_for_byte() {
    for name in ["conf-8k", "conf-4k"] {
        let size = name.trim_start_matches("conf-");
        let text = format!("fsys main config *\nfsys main open -AWP -c 300\nsrv -A fossil{size}\n");
        let partition = Partition::of(&golden::fossil(name));
        let output = FOSSIL.call(&partition, &[]).run();
        assert_eq!((output.status, output.stdout.as_str()), (0, text.as_str()));
        assert_done(&FOSSIL.write(&partition, b"other\n"));
        partition.assert_region(&FOSSIL, &FOSSIL.region(b"other\n"));
        assert_done(&FOSSIL.write(&partition, text.as_bytes()));
        partition.assert_untouched();
    }
}

#[test]
fn what_is_written_is_read_and_no_other_byte_changes() {
    for kind in KINDS {
        let texts = ["a\n", "a\n\n# *\tb\r\n", "läßt\n", "\n", "-w\n"];
        for text in texts {
            let partition = kind.partition(&[]);
            let output = kind.write(&partition, text.as_bytes());
            assert_done(&output);
            assert_eq!(output.stdout, "");
            partition.assert_region(&kind, &kind.region(text.as_bytes()));
            let output = kind.call(&partition, &[]).run();
            assert_done(&output);
            assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (text, ""));
        }
    }
}

#[test]
fn a_shorter_text_leaves_nothing_of_a_longer_one() {
    for kind in KINDS {
        let partition = kind.partition(&kind.region(&kind.full()));
        assert_done(&kind.write(&partition, b"short\n"));
        partition.assert_region(&kind, &kind.region(b"short\n"));
    }
}

#[test]
fn the_text_comes_from_a_file_too() {
    for kind in KINDS {
        let partition = kind.partition(&[]);
        let file = partition.directory.path().join("conf");
        fs::write(&file, "from a file\n").unwrap();
        let call = kind.call(&partition, &["--write"]).arg(&file);
        assert_done(&call.stdin(b"from standard input\n").run());
        partition.assert_region(&kind, &kind.region(b"from a file\n"));
    }
}

#[test]
fn the_limits_are_exact() {
    for kind in KINDS {
        let partition = kind.configured("old\n");
        let full = kind.full();
        let more = [b"#", full.as_slice()].concat();
        let output = kind.write(&partition, &more);
        assert_eq!(output.status, 2, "{output:?}");
        let expected = format!(
            "standard input: expected at most {} bytes of text, found {}\n",
            full.len(),
            more.len()
        );
        assert!(output.stderr.ends_with(&expected), "{output:?}");
        partition.assert_untouched();
        assert_eq!(partition.kept(), [] as [PathBuf; 0]);

        assert_done(&kind.write(&partition, &full));
        partition.assert_region(&kind, &[kind.first_line.as_bytes(), &full].concat());
        let output = kind.call(&partition, &[]).run();
        assert_eq!(output.stdout.as_bytes(), full);
    }
    assert_eq!((FOSSIL.full().len(), VENTI.full().len()), (1010, 8179));
}

#[test]
fn only_a_venti_needs_a_last_newline_and_gets_it() {
    let partition = FOSSIL.partition(&[]);
    assert_done(&FOSSIL.write(&partition, b"a\nb"));
    partition.assert_region(&FOSSIL, &FOSSIL.region(b"a\nb"));

    let partition = VENTI.partition(&[]);
    let output = VENTI.write(&partition, b"mem 1m\naddr x");
    assert_done(&output);
    assert!(output.stderr.contains("added a newline"), "{output:?}");
    partition.assert_region(&VENTI, &VENTI.region(b"mem 1m\naddr x\n"));

    // The newline counts.
    let mut full = VENTI.full();
    full.pop();
    assert_done(&VENTI.write(&partition, &full));
    partition.assert_region(&VENTI, &VENTI.region(&VENTI.full()));
    full.push(b'x');
    let partition = VENTI.configured("old\n");
    let output = VENTI.write(&partition, &full);
    assert_eq!(output.status, 2);
    assert!(
        output
            .stderr
            .contains("found 8180, including the newline that its last line lacks")
    );
    partition.assert_untouched();
}

#[test]
fn a_bad_text_is_refused_with_nothing_written() {
    for kind in KINDS {
        let partition = kind.configured("old\n");
        let huge = vec![b'x'; 3 << 20];
        let again = format!("{}a\n", kind.first_line);
        let texts: [(&[u8], &str); 5] = [
            (b"a\n\0b\n", "expected text, found a zero byte at 2"),
            (b"a\0", "found a zero byte at 1"),
            (b"", "expected a text, found none: give -f to write that"),
            (&huge, "found a mebibyte or more"),
            (again.as_bytes(), "leave it out, or give -f"),
        ];
        for (text, cause) in texts {
            for option in ["-w", "-n"] {
                let output = kind.call(&partition, &[option]).stdin(text).run();
                assert_eq!(output.status, 2, "{cause}: {output:?}");
                assert!(output.stderr.contains(cause), "{output:?}");
                assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
                partition.assert_untouched();
                assert_eq!(partition.kept(), [] as [PathBuf; 0]);
            }
        }
        let missing = kind.call(&partition, &["-w"]).arg("no-such-file").run();
        assert_eq!(missing.status, 1);
        assert!(missing.stderr.contains("no-such-file"), "{missing:?}");
        partition.assert_untouched();
    }
}

#[test]
fn force_writes_no_text_at_all_and_a_first_line_of_its_own() {
    for kind in KINDS {
        for text in ["", kind.first_line] {
            let partition = kind.configured("old\n");
            let output = kind.call(&partition, &["-fw"]).stdin(text.as_bytes()).run();
            assert_done(&output);
            partition.assert_region(&kind, &kind.region(text.as_bytes()));
        }
        // But no zero byte, and no more than fits.
        let partition = kind.configured("old\n");
        for text in [b"\0".to_vec(), [kind.full(), kind.full()].concat()] {
            let output = kind.call(&partition, &["-fw"]).stdin(&text).run();
            assert_eq!(output.status, 2, "{output:?}");
        }
        partition.assert_untouched();
    }
}

#[test]
fn a_region_without_its_first_line_is_reported_and_not_printed() {
    for kind in KINDS {
        let other = kind.first_line.replace('\n', "\r\n");
        let zeros = format!("found {} zero bytes\n", kind.size);
        let late = "found 9 zero bytes and \"\\x1bz\\x00";
        let regions: [(&[u8], &str); 4] = [
            (b"", &zeros),
            (other.as_bytes(), "config\\r\\n"),
            (
                b"\x1b]0;x\x07\xff\xfe secret",
                "found \"\\x1b]0;x\\x07\\xff\\xfe secret\\x00",
            ),
            (b"\0\0\0\0\0\0\0\0\0\x1bz", late),
        ];
        for (region, found) in regions {
            let partition = kind.partition(region);
            let output = kind.call(&partition, &[]).run();
            output.assert_refused(1, found);
            assert!(!output.stderr.contains('\x1b'), "{output:?}");
            let at = format!(
                "no configuration: expected \"{} config\\n\" at {}",
                kind.command.trim_end_matches("conf"),
                kind.offset
            );
            assert!(output.stderr.contains(&at), "{output:?}");
            partition.assert_untouched();
        }
    }
}

#[test]
fn what_is_no_configuration_is_overwritten_by_force_only_and_kept() {
    for kind in KINDS {
        let foreign = Random::new(3).bytes(kind.size);
        let partition = kind.partition(&foreign);
        let output = kind.write(&partition, b"new\n");
        assert_eq!(output.status, 1, "{output:?}");
        assert!(
            output
                .stderr
                .ends_with("if this is the right partition, give -f\n")
        );
        partition.assert_untouched();
        assert_eq!(partition.kept(), [] as [PathBuf; 0]);

        let output = kind.call(&partition, &["-fw"]).stdin(b"new\n").run();
        assert_done(&output);
        partition.assert_region(&kind, &kind.region(b"new\n"));
        let shown = format!("found \"{}\"...", foreign[..48].escape_ascii());
        assert!(output.stderr.contains(&shown), "{output:?}");
        let kept = partition.kept();
        assert_eq!(kept.len(), 1);
        assert!(
            output.stderr.contains(kept[0].to_str().unwrap()),
            "{output:?}"
        );
        assert!(fs::read(&kept[0]).unwrap() == foreign);
        assert!(kept[0].to_str().unwrap().ends_with(".region"));
    }
}

#[test]
fn zeros_are_overwritten_where_the_header_of_the_server_follows() {
    for kind in KINDS {
        let header = kind.end()..kind.end() + 4;
        for magic in kind.magics {
            let mut image = kind.partition(&[]).before;
            image[header.clone()].copy_from_slice(&magic.to_be_bytes());
            let partition = Partition::of(&image);
            assert_done(&kind.write(&partition, b"new\n"));
            assert_eq!(partition.kept(), [] as [PathBuf; 0], "there was nothing");
        }
        for other in [*b"\0\0\0\0", *b"LABL"] {
            let mut image = kind.partition(&[]).before;
            image[header.clone()].copy_from_slice(&other);
            let partition = Partition::of(&image);
            let output = kind.write(&partition, b"new\n");
            assert_eq!(output.status, 1, "{output:?}");
            let cause = format!("header at {}, but \"{}", kind.end(), other.escape_ascii());
            assert!(output.stderr.contains(&cause), "{output:?}");
            partition.assert_untouched();
            assert_done(&kind.call(&partition, &["-fw"]).stdin(b"new\n").run());
            partition.assert_region(&kind, &kind.region(b"new\n"));
        }
    }
    // The likely slip: the partition of the other server, fresh from its formatter.
    let image = golden::fossil("conf-8k");
    assert!(
        image[VENTI.offset..VENTI.end()]
            .iter()
            .all(|&byte| byte == 0)
    );
    let partition = Partition::of(&image);
    assert_eq!(VENTI.write(&partition, b"index main\n").status, 1);
    partition.assert_untouched();
}

#[test]
fn a_partition_too_short_for_its_server_is_refused() {
    for (kind, least) in [(FOSSIL, 131_072), (VENTI, 262_145)] {
        for len in [0, kind.offset, kind.end() - 1, least - 1, least] {
            let image = kind.configured("old\n").before;
            let partition = Partition::of(&image[..len]);
            let expected = if len < least { 1 } else { 0 };
            for output in [
                kind.call(&partition, &[]).run(),
                kind.write(&partition, b"new\n"),
            ] {
                assert_eq!(output.status, expected, "{len}: {output:?}");
            }
            if len < least {
                partition.assert_untouched();
            } else {
                partition.assert_region(&kind, &kind.region(b"new\n"));
            }
        }
    }
}

#[test]
fn the_old_text_is_kept_and_can_be_put_back() {
    for kind in KINDS {
        let partition = kind.configured("old *\n# text\n");
        let output = kind.write(&partition, b"new\n");
        assert_done(&output);
        let kept = partition.kept();
        assert_eq!(kept.len(), 1);
        assert_eq!(fs::read(&kept[0]).unwrap(), b"old *\n# text\n");
        let mode = fs::metadata(&kept[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let path = kept[0].to_str().unwrap();
        assert!(
            output
                .stderr
                .contains(&format!("the old text is in {path}\n"))
        );
        // fossilconf.20261122T035612Z.tmp_.tmpXXXXXX_part
        let name = kept[0].file_name().unwrap().to_str().unwrap();
        let rest = name.strip_prefix(&format!("{}.", kind.command)).unwrap();
        let (date, of) = rest.split_once('.').unwrap();
        assert_eq!((date.len(), &date[8..9], &date[15..]), (16, "T", "Z"));
        assert!(of.ends_with("_part"), "{name}");

        // Another one in the same second does not take its name.
        assert_done(&kind.write(&partition, b"newer\n"));
        assert_eq!(partition.kept().len(), 2);

        assert_done(&kind.call(&partition, &["-w"]).arg(path).run());
        partition.assert_untouched();
    }
}

#[test]
fn what_a_longer_text_left_behind_is_kept_too() {
    for kind in KINDS {
        let mut region = kind.region(b"now\n\0 of a longer text\n");
        region[kind.size - 1] = 1;
        let partition = kind.partition(&region);
        let output = kind.call(&partition, &[]).run();
        assert_eq!((output.status, output.stdout.as_str()), (0, "now\n"));
        assert_done(&kind.write(&partition, b"new\n"));
        partition.assert_region(&kind, &kind.region(b"new\n"));
        let kept: Vec<_> = partition
            .kept()
            .iter()
            .map(|p| fs::read(p).unwrap())
            .collect();
        assert_eq!(kept, [b"now\n".to_vec(), region]);
    }
}

#[test]
fn what_is_there_already_is_not_written_again() {
    for kind in KINDS {
        let partition = kind.configured("same\n");
        let output = kind.write(&partition, b"same\n");
        assert_done(&output);
        assert!(output.stderr.contains("has this configuration already"));
        partition.assert_untouched();
        assert_eq!(partition.kept(), [] as [PathBuf; 0]);
    }
}

#[test]
fn where_the_old_text_cannot_be_kept_nothing_is_written() {
    for kind in KINDS {
        let partition = kind.configured("old\n");
        let file = partition.directory.path().join("file");
        fs::write(&file, "").unwrap();
        let no_directories = [file.clone(), file.join("below"), "/proc/none/state".into()];
        for directory in no_directories {
            let call = Command::new(kind.command)
                .arg("-w")
                .arg("-d")
                .arg(directory);
            let output = call.arg(&partition.path).stdin(b"new\n").run();
            assert_eq!(output.status, 1, "{output:?}");
            assert!(output.stderr.contains("give -d dir"), "{output:?}");
            partition.assert_untouched();
        }
    }
}

#[test]
fn quiet_says_nothing_but_errors() {
    let partition = VENTI.configured("old\n");
    let output = VENTI.call(&partition, &["-qw"]).stdin(b"new").run();
    assert_eq!(
        (output.status, output.stdout, output.stderr),
        (0, String::new(), String::new())
    );
    partition.assert_region(&VENTI, &VENTI.region(b"new\n"));
    assert_eq!(partition.kept().len(), 1);
}

#[test]
fn a_dry_run_shows_a_diff_and_writes_nothing() {
    let old = "fsys main config *\nfsys main open -AWP -c 300\nsrv -A fossil\n# 1\n# 2\n# 3\n# 4\n";
    let new = "fsys main config *\nfsys main open -c 9000\nsrv -A fossil\n# 1\n# 2\n# 3\n# 4\n# 5";
    let partition = FOSSIL.configured(old);
    let home = partition.directory.path();
    let text = home.join("conf");
    fs::write(&text, new).unwrap();
    let output = FOSSIL.call(&partition, &["-n"]).arg(&text).run();
    assert_done(&output);
    assert_eq!(output.stderr, "");
    partition.assert_untouched();
    assert_eq!(partition.kept(), [] as [PathBuf; 0]);
    insta::assert_snapshot!(output.stdout.replace(home.to_str().unwrap(), "/tmp"));

    // Nothing differs: nothing is shown. What -w refuses is refused.
    let output = FOSSIL
        .call(&partition, &["-nw"])
        .stdin(old.as_bytes())
        .run();
    assert_eq!((output.status, output.stdout.as_str()), (0, ""));
    let foreign = VENTI.partition(b"something else");
    let output = VENTI.call(&foreign, &["--dry-run"]).stdin(b"new\n").run();
    assert_eq!((output.status, output.stdout.as_str()), (1, ""));
    let output = VENTI.call(&foreign, &["-fn"]).stdin(b"new\n").run();
    assert_done(&output);
    assert!(
        output
            .stdout
            .ends_with("+++ standard input\n@@ -0,0 +1,1 @@\n+new\n")
    );
    assert!(output.stderr.contains("something else"), "{output:?}");
    foreign.assert_untouched();
}

#[test]
fn a_partition_that_cannot_be_written_is_left_as_it_is() {
    for kind in KINDS {
        // It opens, also for root, but every write fails.
        let image = kind.configured("old\n").before;
        let flags = MemfdFlags::ALLOW_SEALING;
        let file = fs::File::from(memfd_create("part", flags).unwrap());
        (&file).write_all(&image).unwrap();
        fcntl_add_seals(&file, SealFlags::WRITE).unwrap();
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
        let directory = tempfile::tempdir().unwrap();
        let partition = Partition {
            path: format!("/proc/{}/fd/{descriptor}", std::process::id()).into(),
            before: image.clone(),
            directory,
        };
        let output = kind.write(&partition, b"new\n");
        assert_eq!(output.status, 1, "{output:?}");
        let cause = format!("cannot write {} bytes at {}", kind.size, kind.offset);
        assert!(output.stderr.contains(&cause), "{output:?}");
        let kept = partition.kept();
        assert!(
            output.stderr.contains(kept[0].to_str().unwrap()),
            "{output:?}"
        );
        let mut now = vec![0; image.len()];
        file.read_exact_at(&mut now, 0).unwrap();
        assert!(now == image);

        // Permissions do not hold root back.
        if !rustix::process::geteuid().is_root() {
            let partition = kind.configured("old\n");
            fs::set_permissions(&partition.path, fs::Permissions::from_mode(0o444)).unwrap();
            let output = kind.write(&partition, b"new\n");
            assert_eq!(output.status, 1, "{output:?}");
            assert_eq!(partition.kept(), [] as [PathBuf; 0]);
            assert_done(&kind.call(&partition, &["-n"]).stdin(b"new\n").run());
            partition.assert_untouched();
        }
    }
}

#[test]
fn a_range_of_a_file_and_a_part_of_a_disk_are_partitions() {
    const SECTOR: usize = 512;
    for kind in KINDS {
        let part = kind.configured("old\n").before;
        let mut disk = Random::new(5).bytes(400 * SECTOR + part.len() + 5000);
        disk[400 * SECTOR..][..part.len()].copy_from_slice(&part);
        // A slice of type 0x39 from sector 63 on, its table in the second one.
        disk[446..510].fill(0);
        disk[450] = 0x39;
        disk[454..458].copy_from_slice(&63_u32.to_le_bytes());
        disk[458..462].copy_from_slice(&2000_u32.to_le_bytes());
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        let table = format!("part it {} {}\n", 400 - 63, 400 - 63 + part.len() / SECTOR);
        disk[64 * SECTOR..65 * SECTOR].fill(0);
        disk[64 * SECTOR..][..table.len()].copy_from_slice(table.as_bytes());
        for suffix in [
            format!("{}-{}", 400 * SECTOR, 400 * SECTOR + part.len()),
            "it".into(),
        ] {
            let image = Partition::of(&disk);
            let operand = format!("{}:{suffix}", image.path.display());
            let output = Command::new(kind.command).arg(&operand).run();
            assert_eq!((output.status, output.stdout.as_str()), (0, "old\n"));
            let call = Command::new(kind.command).args(["-w", &operand]);
            assert_done(&call.stdin(b"new\n").run());
            let mut expected = disk.clone();
            expected[400 * SECTOR + kind.offset..][..kind.size]
                .copy_from_slice(&kind.region(b"new\n"));
            assert!(fs::read(&image.path).unwrap() == expected);
        }
    }
}

#[test]
fn a_server_may_hold_the_partition_open() {
    for kind in KINDS {
        let partition = kind.configured("old\n");
        let mut options = OpenOptions::new();
        let _held = options
            .read(true)
            .write(true)
            .open(&partition.path)
            .unwrap();
        assert_done(&kind.write(&partition, b"new\n"));
        partition.assert_region(&kind, &kind.region(b"new\n"));
    }
}

#[test]
fn a_kill_leaves_the_old_text_or_the_new_one() {
    const ROUNDS: u32 = 60;
    for kind in KINDS {
        let (old, new) = (kind.full(), kind.full().to_ascii_uppercase());
        let (old, new) = (kind.region(&old), kind.region(&new));
        let text = &new[kind.first_line.len()..];
        let started = Instant::now();
        let partition = kind.partition(&old);
        assert_done(&kind.write(&partition, text));
        let whole = started.elapsed();
        let mut killed = 0;
        for round in 0..ROUNDS {
            let partition = kind.partition(&old);
            let mut running = kind.call(&partition, &["-w"]).stdin(text).start();
            thread::sleep(Duration::max(whole, Duration::from_millis(4)) * round / ROUNDS);
            running.kill();
            let output = running.wait();
            let now = fs::read(&partition.path).unwrap();
            let is_new = now[kind.offset..kind.end()] == new;
            partition.assert_region(&kind, if is_new { &new } else { &old });
            if output.status == 0 {
                assert!(is_new, "{output:?}");
            } else {
                assert_eq!(output.status, 137, "{output:?}");
                killed += 1;
            }
            if is_new {
                let kept = fs::read(&partition.kept()[0]).unwrap();
                assert!(
                    kept == old[kind.first_line.len()..],
                    "kept before it was overwritten"
                );
            }
        }
        assert!(killed > 0, "no run was killed");
    }
}
