//! A newcomer's evening with real servers and unpacked archives of the
//! commands: the first backup, nights by cron, a target that is down for
//! three of them and one that is retired, more arenas, a source restored from an
//! older copy, and every restore of `docs/restore.md`, as it is written there.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use venti_tests::command::{self, Output};
use venti_tests::fossil;
use venti_tests::patience;
use venti_tests::plan9::{Plan9, Venti};
use venti_tests::port;
use venti_tests::sample::Sample;
use venti_tests::surroundings::Surroundings;
use venti_tests::tree::{Node, nodes};

use crate::fixture::broker::kin_below;

const MEGABYTE: u64 = 1 << 20;

/// A machine with the commands unpacked, a venti and its fossil, and two
/// ventis to back them up to.
struct Evening {
    directory: TempDir,
    plan9: Plan9,
    surroundings: Surroundings,
    sample: Sample,
    source: Venti,
    targets: Vec<Venti>,
    /// Where the two targets are named, as the configuration has them.
    listed: Vec<String>,
    /// The servers of the guide.
    served: Vec<Pid>,
}

impl Evening {
    fn new() -> Self {
        let plan9 = Plan9::expect();
        let directory = tempfile::tempdir().unwrap();
        let venti = |name, bytes| Venti::fresh(&plan9, directory.path(), name, bytes, MEGABYTE);
        let source = venti("main", 6 * MEGABYTE);
        let targets: Vec<Venti> = ["one", "two"].map(|name| venti(name, 64 * MEGABYTE)).into();
        let surroundings = Surroundings::below(directory.path());
        surroundings.make();
        unpack(directory.path());
        fs::create_dir(directory.path().join("tree")).unwrap();
        let listed = targets.iter().map(Venti::address).collect();
        let evening = Evening {
            surroundings,
            sample: Sample::new(51, 65),
            source,
            targets,
            listed,
            served: Vec::new(),
            directory,
            plan9,
        };
        evening.configure("");
        evening
    }

    fn configure(&self, more: &str) {
        let program = self.plan9.program("fossil/fossil");
        let source = self.source.address();
        self.surroundings.configure(&format!(
            "source = '{source}'\ntargets = {:?}\nindex = '{}'\n{more}\
             [fossil]\nprogram = ['{}']\nventi = '{source}'\nopen = '-AWP -c 300'\nsnaptime = ''\n\
             [limits]\nconnect = 2\nretries = 0\n",
            self.listed,
            self.source.index(),
            program.display()
        ));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Types a line in a shell.
    fn type_line(&self, line: &str) -> Output {
        let mut path = self.path("local/bin").into_os_string();
        // Plan 9's tools go before those of the system, as many have it.
        for directory in [
            self.plan9.root().join("bin").into(),
            std::env::var_os("PATH").unwrap_or_default(),
        ] {
            path.push(":");
            path.push(directory);
        }
        let mut shell = Command::new("timeout");
        self.surroundings
            .around(&mut shell)
            .env("PATH", path)
            .env("PLAN9", self.plan9.root())
            .current_dir(self.directory.path())
            .args(["120", "sh", "-c", line])
            .stdin(Stdio::null());
        let output = shell.output().unwrap();
        Output {
            status: output.status.code().unwrap_or(255),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The line ends with this status, and its last line of messages has this text.
    #[track_caller]
    fn expect(&self, line: &str, status: i32, last: &str) -> Output {
        let output = self.type_line(line);
        assert_eq!(output.status, status, "{line}: {output:?}");
        let said = output.stderr.lines().last().unwrap_or_default();
        assert!(said.contains(last), "{line}: expected {last:?}: {output:?}");
        output
    }

    /// Types a line that starts a server of `ventiserve`, with `&` after it.
    fn serve(&mut self, line: &str, port: u16) {
        let line = format!("{line} >>served 2>&1 & echo $!");
        let output = self.type_line(&line);
        let id = output.stdout.trim().parse().ok().and_then(Pid::from_raw);
        self.served.extend(id);
        patience::until(&line, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// Types these lines, each of which ends with a status and a last message.
    #[track_caller]
    fn follow(&self, lines: &[String], last: &[(i32, &str)]) -> Vec<Output> {
        assert_eq!(lines.len(), last.len(), "{lines:?}");
        let lines = lines.iter().zip(last);
        lines
            .map(|(line, &(status, last))| self.expect(line, status, last))
            .collect()
    }

    /// The files that the fossil serves, by plan9port's 9p.
    fn nine(&self, arguments: &[&str]) -> Vec<u8> {
        let address = format!("unix!{}", self.path("ns/fossil").display());
        self.plan9.nine(&address, arguments, b"")
    }

    fn write(&self, file: &str, text: &[u8]) {
        let address = format!("unix!{}", self.path("ns/fossil").display());
        let _ = self.plan9.nine(&address, &["write", file], text);
    }

    /// A file of so many zeros.
    fn zeros(&self, path: &str, bytes: u64) {
        let file = fs::File::create(path).unwrap();
        file.set_len(bytes).unwrap();
    }

    /// The arenas and the index of a venti that is stopped, empty again.
    fn format_again(&self, name: &str) {
        let path = |end: &str| self.path(&format!("{name}.{end}")).display().to_string();
        let (arenas, section, configuration) = (path("arenas"), path("isect"), path("conf"));
        for file in [&arenas, &section] {
            let bytes = fs::metadata(file).unwrap().len();
            self.zeros(file, bytes);
        }
        let size = MEGABYTE.to_string();
        self.plan9
            .succeed("venti/fmtarenas", &["-a", &size, name, &arenas]);
        self.plan9.succeed("venti/fmtisect", &["isect", &section]);
        self.plan9.succeed("venti/fmtindex", &[&configuration]);
        self.plan9.succeed("venti/buildindex", &[&configuration]);
    }

    /// A night by cron in which all is well: no mail.
    #[track_caller]
    fn quiet_night(&mut self) {
        self.store(20);
        let output = self.type_line("ventiprog -q");
        let all = (output.status, &*output.stdout, &*output.stderr);
        assert_eq!(all, (0, "", ""));
    }

    /// Stores more blocks in the source, as `vac` does.
    fn store(&mut self, blocks: usize) {
        let bytes: Vec<u8> = (0..blocks).flat_map(|_| self.sample.noise(8192)).collect();
        fs::write(self.path("tree/data"), bytes).unwrap();
        self.plan9.vac(self.directory.path(), &self.source);
    }

    /// What was stored last, as a target gives it back.
    #[track_caller]
    fn assert_restorable_from(&self, venti: &Venti) {
        self.assert_restorable_at(&venti.address());
    }

    #[track_caller]
    fn assert_restorable_at(&self, address: &str) {
        let expected: BTreeMap<PathBuf, Node> = nodes(&self.path("tree"));
        let found = self.plan9.unvac(self.directory.path(), address);
        assert!(found == expected, "{address}: another tree");
    }
}

impl Drop for Evening {
    fn drop(&mut self) {
        for kin in kin_below(self.directory.path()) {
            let _ = kill_process(kin.pid, Signal::KILL);
        }
        for pid in &self.served {
            let _ = kill_process(*pid, Signal::KILL);
        }
    }
}

/// Makes the archives of the commands, and unpacks them as their README says.
fn unpack(directory: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut make = Command::new(cargo);
    make.current_dir(command::root());
    let made = make.args(["xtask", "package", "--quick"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let local = directory.join("local");
    fs::create_dir(&local).unwrap();
    let packages = command::root().join("target/package");
    for entry in fs::read_dir(packages).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "gz") {
            let mut tar = Command::new("tar");
            tar.arg("-C").arg(&local);
            tar.args(["--strip-components=1", "-xzf"]).arg(path);
            assert!(tar.status().unwrap().success());
        }
    }
}

/// `docs/restore.md`: the commands of its parts.
struct Guide {
    parts: BTreeMap<String, Vec<String>>,
}

impl Guide {
    fn read() -> Self {
        let text = fs::read_to_string(command::root().join("docs/restore.md")).unwrap();
        let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut part = String::new();
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                heading.clone_into(&mut part);
            } else if line.starts_with("    ") {
                let commands = parts.entry(part.clone()).or_default();
                commands.push(line.trim().to_owned());
            }
        }
        Guide { parts }
    }

    /// The commands of a part, with the words of a machine in place of those
    /// in capitals. They are not given out twice.
    fn part(&mut self, heading: &str, words: &[(&str, &str)]) -> Vec<String> {
        let commands = self.parts.remove(heading);
        let commands = commands.unwrap_or_else(|| panic!("{heading:?}: no such part"));
        let place = |command: String, (word, here): &(&str, &str)| command.replace(word, here);
        let here = |command: String| words.iter().fold(command, place);
        commands.into_iter().map(here).collect()
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_newcomers_evening() {
    let mut evening = Evening::new();

    // The first backup, and two nights.
    evening.store(100);
    evening.expect("ventiprog", 0, "2 targets current: ");
    for night in 0..2 {
        evening.quiet_night();
        assert_eq!(
            evening.targets[0].clumps(),
            evening.source.clumps(),
            "{night}"
        );
    }
    for target in &evening.targets {
        evening.assert_restorable_from(target);
    }

    // One target is down for three nights; the other gets what is new and no more.
    evening.targets[1].stop();
    let down = evening.listed[1].clone();
    for _ in 0..3 {
        evening.store(20);
        let output = evening.expect("ventiprog -q", 3, &format!("{down}: cannot connect"));
        assert_eq!(
            (output.stdout.as_str(), output.stderr.lines().count()),
            ("", 1)
        );
        evening.assert_restorable_from(&evening.targets[0]);
    }
    evening.store(20);
    let output = evening.expect("ventiprog", 3, "1 of 2 targets current");
    assert!(!output.stderr.contains("already"), "{output:?}");
    evening.targets[1].start();
    evening.expect("ventiprog", 0, "2 targets current: ");
    evening.assert_restorable_from(&evening.targets[1]);

    // The first target is retired; the other is the one of the wrcmd from now on.
    let first = evening.listed.remove(0);
    evening.configure("");
    evening.expect(&format!("ventiprog --forget {first}"), 0, &first);
    evening.targets[0].stop();
    evening.quiet_night();
    let wrcmd = fs::read_to_string(evening.path("state/wrcmd")).unwrap();
    assert!(
        wrcmd.contains(&format!("-h {} ", evening.listed[0])),
        "{wrcmd}"
    );

    // A second partition.
    add_partition(&mut evening);
    evening.store(500);
    evening.expect("ventiprog", 0, "1 target current: ");
    evening.assert_restorable_from(&evening.targets[1]);
    evening.quiet_night();

    // The source's disk is lost, and restored from an older copy.
    let copies: Vec<(PathBuf, Vec<u8>)> = ["main.arenas", "main.isect", "more.arenas"]
        .map(|name| evening.path(name))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .into();
    evening.quiet_night();
    evening.source.stop();
    for (path, bytes) in copies {
        fs::write(path, bytes).unwrap();
    }
    evening.source.start();
    evening.store(30);
    let output = evening.expect("ventiprog", 0, "1 target current: ");
    assert!(output.stderr.contains("does not hold at"), "{output:?}");
    evening.assert_restorable_from(&evening.targets[1]);
    evening.quiet_night();
    evening.expect("ventiprog --verify", 0, "1 target current: ");
}

/// Adds a partition of arenas to the source, as venti(8) has it.
fn add_partition(evening: &mut Evening) {
    evening.source.stop();
    let more = evening.path("more.arenas");
    fs::File::create(&more)
        .and_then(|file| file.set_len(16 * MEGABYTE))
        .unwrap();
    let size = MEGABYTE.to_string();
    let more = more.to_str().unwrap();
    let plan9 = &evening.plan9;
    plan9.succeed("venti/fmtarenas", &["-a", &size, "more", more]);
    let configuration = evening.path("main.conf");
    let text = fs::read_to_string(&configuration).unwrap();
    let own = format!("arenas {}\n", evening.source.partition().display());
    let text = text.replace(&own, &format!("{own}arenas {more}\n"));
    fs::write(&configuration, text).unwrap();
    plan9.succeed("venti/fmtindex", &["-a", configuration.to_str().unwrap()]);
    evening.source.start();
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn every_restore_of_the_guide() {
    let mut evening = Evening::new();
    let mut guide = Guide::read();
    let disk = evening.path("disk");
    fossil::format_as(&evening.plan9, &disk, 12 << 20, 8192, "evening");
    let disk = disk.display().to_string();
    evening.store(50);
    evening.expect(&format!("fossilstart {disk}"), 0, "");
    evening.expect("foscons fsys main create /active/data adm sys d777", 0, "");
    let _ = evening.nine(&["create", "data/hello"]);
    evening.write("data/hello", b"from the fossil that is lost\n");
    evening.expect(&format!("fossilize -s {disk}"), 0, "");
    evening.expect("foshalt -k", 0, "");
    evening.expect("ventiprog", 0, "2 targets current: ");
    fs::copy(evening.path("state/rootscor"), evening.path("rootscor")).unwrap();
    let [one, two] = [0, 1].map(|number| evening.targets[number].address());
    let arenas = evening.source.partition().display().to_string();
    let source = evening.source.address();

    let find = guide.part("", &[]);
    evening.follow(&find, &[(0, "")]);

    let check = guide.part("Is the backup good?", &[("venti1", &one)]);
    let whole = "all there, every block read";
    let last = [(0, ""), (0, ""), (0, whole), (0, "2 targets current: ")];
    evening.follow(&check, &last);

    // Files, from a target.
    let words = [
        ("active/usr/glenda", "active/data"),
        ("active/usr", "active/data"),
        ("BACK", "back"),
        ("venti1", &one),
    ];
    let files = guide.part("Files are lost", &words);
    evening.follow(&files, &[(0, ""), (0, "")]);
    let back = fs::read(evening.path("back/data/hello")).unwrap();
    assert_eq!(back, b"from the fossil that is lost\n");

    // A fossil.
    let spare = evening.path("spare").display().to_string();
    evening.zeros(&spare, 12 << 20);
    fs::write(
        evening.path("fossil.conf"),
        format!("fsys main config {spare}\n"),
    )
    .unwrap();
    let words = [
        ("OLDDISK", &*disk),
        ("PARTITION", &spare),
        ("venti1", &source),
        ("fosreset -", "fosreset -y -"),
    ];
    let fossil = guide.part("The fossil is lost, the venti is not", &words);
    evening.follow(&fossil, &[(0, ""), (0, ""), (0, ""), (0, "")]);
    let served = evening.nine(&["read", "data/hello"]);
    assert_eq!(served, b"from the fossil that is lost\n");
    evening.expect("foshalt -k", 0, "");

    // The state directory: what the targets have is asked for.
    fs::rename(evening.path("state"), evening.path("old")).unwrap();
    let words = [
        ("localhost", &*source),
        ("ARENAS", &arenas),
        ("PARTITION", &disk),
        ("venti1", &one),
        ("venti2", &two),
    ];
    let state = guide.part("The state directory is lost", &words);
    let last = [(0, "were there already"), (0, ""), (0, "")];
    let outputs = evening.follow(&state, &last);
    let newest = fs::read_to_string(evening.path("root.vac")).unwrap();
    assert!(outputs[2].stdout.contains(newest.trim()), "{outputs:?}");

    // A target.
    evening.targets[0].stop();
    evening.format_again("one");
    evening.targets[0].start();
    let refilled = "were sent again; the next run should end with 0";
    evening.expect("ventiprog", 4, refilled);
    evening.expect("ventiprog", 0, "2 targets current: ");
    let target = guide.part("A target is lost", &[("venti1", &one)]);
    evening.follow(&target, &[(0, "")]);
    let output = evening.expect("ventiprog", 0, "2 targets current: ");
    assert!(
        output
            .stderr
            .contains("it was on record before it was forgotten"),
        "{output:?}"
    );

    // The venti.
    evening.source.stop();
    // As of a disk that was taken out of the lost machine.
    let saved = evening.path("saved").display().to_string();
    fs::rename(&arenas, &saved).unwrap();
    // From here on on other machines, where nothing is configured.
    evening.surroundings.configure("");
    let ports = [port::free(), port::free()];
    let [saved_dial, new_dial] = ports.map(|port| format!("tcp!127.0.0.1!{port}"));
    let [restore, state, arenas, new_arenas, new_state] =
        ["restore", "state", "one.arenas", "new/store", "new-state"]
            .map(|name| evening.path(name).display().to_string());
    let words = [
        (
            "serve -r SAVED",
            &*format!("serve -a '{saved_dial}' -r {saved}"),
        ),
        (
            "-a '*' --allow NETWORK",
            &format!("-a '{new_dial}' --allow 127.0.0.0/8"),
        ),
        ("-c 100G", "-c 16M -A 1M"),
        ("OLDSTATE", &*state),
        (
            "-d NEWSTATE -s localhost",
            &format!("-d {new_state} -s {new_dial}"),
        ),
        ("RESTORE", &restore),
        ("NEWARENAS", &new_arenas),
        ("ARENAS", &arenas),
        ("localhost", &one),
        ("newventi", &new_dial),
        ("venti1", &one),
        ("venti2", &two),
    ];
    let lines = guide.part("The venti is lost, a target is not", &words);
    let (servers, lines): (Vec<String>, Vec<String>) = lines
        .into_iter()
        .partition(|line| line.starts_with("ventiserve "));
    assert_eq!(servers.len(), 2, "{servers:?}");
    for (line, port) in servers.iter().zip(ports) {
        evening.serve(line, port);
    }
    evening.assert_restorable_at(&saved_dial);
    let last = [
        (3, "main.arenas"),
        (0, "1 target current: "),
        (0, ""),
        (0, "1 target current: nothing was sent"),
        (0, "2 targets current: nothing was sent"),
    ];
    let outputs = evening.follow(&lines, &last);
    // The warning that the guide names, and none that frightens.
    let had = "had every block already: it was copied before, and its place was not on record";
    assert_eq!(outputs[4].stderr.matches(had).count(), 2, "{outputs:?}");
    assert!(!outputs[4].stderr.contains("source itself"), "{outputs:?}");
    assert!(
        outputs[2].stdout.contains(" behind 0 clumps "),
        "{outputs:?}"
    );
    evening.assert_restorable_at(&new_dial);
    assert!(guide.parts.is_empty(), "not followed: {:?}", guide.parts);
}
