//! A machine such as the manual pages speak of, on which their examples are
//! run as they stand.
//!
//! | the pages say | here it is |
//! |---|---|
//! | `/dev/sdb1`, `/dev/sdC0/arenas` | one arena partition, two of its three arenas in use |
//! | `/dev/sdb2`, `/dev/sdC0/fossil` | a golden fossil each, archived, with a configuration |
//! | `plan9.img`, `disk.img` | a Plan 9 disk with partitions `9fat`, `fossil` and `arenas` |
//! | `fossil.img` | that fossil |
//! | `localhost`, `venti1.example.org`, `venti2.example.org`, `192.168.1.123` | ventis in this process, which have the fossil's archive |
//! | `http://localhost:8000/index` | an HTTP server with the partition's index page |
//! | `/etc/ventiprog.toml`, `/var/lib/ventiprog` ... | files below a scratch directory |
//! | `vi`, `venti`, `systemctl` | scripts that do as much as the example needs |
//! | `ssh`, `rx` and a host | this machine |
//!
//! Names of hosts are replaced by addresses with ports, and paths get the scratch
//! directory before them, unless that is the root of a `chroot`. Nothing else in an
//! example is changed, and what is shown as output is compared after the reverse.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use tempfile::TempDir;

use crate::arena::{Partition, PartitionBuilder};
use crate::command::{self, Output, status_number};
use crate::golden;
use crate::http::Http;
use crate::index;
use crate::page::{Example, Page};
use crate::plan9disk::Disk;
use crate::port;
use crate::sample::Sample;
use crate::surroundings::Surroundings;
use crate::venti::Venti;
use venticore::codec::operand::Operand;
use venticore::host::partition::Partition as Arenas;
use venticore::source::ReadAt;

/// The data blocks' type on disk.
const DATA: u8 = 13;
/// Bytes of each arena, so that the second one begins where the pages say. The file is sparse.
const ARENA: u64 = 512 << 20;
/// Where the second arena's log ends before the last blocks are added: the
/// clump offset of the pages, 0x13dd9.
const OFFSET: u64 = 0x13dd9;
/// What precedes a block in the log.
const CLUMP_HEADER: u64 = 38;
/// What examples name that has to be below the scratch directory.
const PATHS: &[&str] = &[
    "/dev/sd",
    "/etc/ventiprog.toml",
    "/mnt/",
    "/n/elsewhere",
    "/usr/local/plan9",
    "/var/lib/prometheus",
    "/var/lib/venti/",
    "/var/lib/ventiprog",
    "/var/www",
];
/// The hosts, the first one the source.
const HOSTS: [&str; 4] = [
    "localhost",
    "venti1.example.org",
    "venti2.example.org",
    "192.168.1.123",
];
/// The index page.
const INDEX: &str = "http://localhost:8000/index";
/// The configuration of all commands.
const CONFIGURATION: &str = "/etc/ventiprog.toml";
/// Programs that are not ours, and what stands in for them.
const STAND_INS: [(&str, &str); 5] = [
    ("vi", "echo '# edited' >>\"$1\""),
    ("venti", "test \"$1\" = -c && test -e \"$2\""),
    ("systemctl", "test -n \"$1\""),
    // All machines are this one.
    (
        "ssh",
        "while case $1 in -*) ;; *) false ;; esac; do shift; done; shift; exec sh -c \"$*\"",
    ),
    ("rx", "shift; exec sh -c \"$*\""),
];

/// How the examples reach the commands.
#[derive(Debug)]
enum Place {
    /// The commands of this workspace, paths below a scratch directory.
    Scratch(TempDir),
    /// Commands that are installed below a directory which becomes their root.
    Root(PathBuf),
}

/// The machine; its ventis end when it is dropped.
pub struct Machine {
    place: Place,
    ventis: [Venti; HOSTS.len()],
    index: Http,
}

impl Machine {
    /// A machine below a scratch directory, with the commands of the workspace.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn scratch() -> Self {
        let scratch = tempfile::tempdir().expect("a directory for temporary files");
        Self::at(Place::Scratch(scratch))
    }

    /// A machine whose root is this directory, with the commands installed there.
    /// Only root can use it.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self::at(Place::Root(root.to_owned()))
    }

    fn at(place: Place) -> Self {
        let mut machine = Machine {
            place,
            ventis: HOSTS.map(|_| golden::archives()),
            index: Http::page(""),
        };
        let partition = machine.lay_out();
        machine.fill_source(partition.path());
        let names = ["/dev/sdb1"].map(|name| machine.here(name));
        let page = index::page(&[(&partition, &names[0])]);
        machine.index = Http::page(page);
        machine
    }

    /// Gives the first of the ventis what is in its arenas.
    fn fill_source(&self, arenas: &Path) {
        let operand = Operand::try_from(arenas.as_os_str()).expect("the path of a file");
        let arenas = Arenas::open(&operand).expect("our own file");
        let own = golden::blocks_in(&(Arc::new(arenas) as Arc<dyn ReadAt>));
        for (block_type, data) in own.into_iter().chain(golden::blocks("g5.part")) {
            self.ventis[0].insert(block_type, &data);
        }
    }

    /// Makes what lies on its disks.
    fn lay_out(&self) -> Partition {
        let partition = arenas(&self.path("/dev/sdb1"));
        fs::create_dir_all(self.path("/dev/sdC0")).expect("a fresh directory");
        // Two names of one partition; a link by path would lead out of a root.
        let _ = fs::remove_file(self.path("/dev/sdC0/arenas"));
        fs::hard_link(self.path("/dev/sdb1"), self.path("/dev/sdC0/arenas")).expect("a new name");
        let mut fossil = golden::bytes("fossil/archived-8k.fossil");
        let configured = golden::bytes("fossil/conf-8k.fossil");
        let region = 127 << 10..128 << 10;
        fossil[region.clone()].copy_from_slice(&configured[region]);
        self.put("/dev/sdb2", &fossil);
        self.put("/dev/sdC0/fossil", &fossil);
        let (fat, arenas) = (golden::bytes("ninefat/fat12.img"), golden::bytes("g5.part"));
        self.put("/images/disk.img", "");
        for disk in ["plan9.img", "disk.img"] {
            let path = self.path("/images").join(disk);
            let parts = [("9fat", &*fat), ("fossil", &*fossil), ("arenas", &*arenas)];
            let _ = Disk::create(&path, &parts);
        }
        self.put("/images/fossil.img", &fossil);
        self.put(CONFIGURATION, "");
        self.put("/n/elsewhere/rootscor", "");
        self.put("/var/lib/prometheus/node-exporter/other.prom", "");
        self.put("/var/lib/venti/other", "");
        self.put("/var/www/other.html", "");
        let conf = "index main\narenas /dev/sdb1\n";
        self.put("/usr/local/plan9/venti.conf", conf);
        for (name, script) in STAND_INS {
            let path = format!("/images/stand-ins/{name}");
            self.put(&path, format!("#!/bin/sh\n{script}\n"));
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(self.path(&path), executable).expect("our own file");
        }
        partition
    }

    /// Where a path of the machine lies on this one.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        let root = match &self.place {
            Place::Scratch(scratch) => scratch.path(),
            Place::Root(root) => root,
        };
        root.join(path.trim_start_matches('/'))
    }

    /// What a command on it sees.
    fn surroundings(&self) -> Surroundings {
        match &self.place {
            Place::Scratch(scratch) => Surroundings::of_machine(scratch.path()),
            Place::Root(_) => Surroundings::of_machine(Path::new("/")),
        }
    }

    /// Writes a file of the machine. The configuration is completed by what keeps
    /// this machine out of it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let content = content.as_ref();
        let completed = match (path, std::str::from_utf8(content)) {
            (CONFIGURATION, Ok(toml)) => Some(self.surroundings().completed(toml)),
            _ => None,
        };
        let content = completed.as_deref().map_or(content, str::as_bytes);
        let path = self.path(path);
        let parent = path.parent().expect("a file is in a directory");
        fs::create_dir_all(parent).unwrap_or_else(|e| panic!("{}: {e}", parent.display()));
        fs::write(&path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// What the pages say, and what stands for it, in the order in which it is replaced.
    fn names(&self) -> Vec<(String, String)> {
        let mut names = vec![(INDEX.to_owned(), self.index.url())];
        for (host, venti) in HOSTS.iter().zip(&self.ventis) {
            names.push((format!("tcp!{host}!17034"), venti.dial()));
        }
        for (host, venti) in HOSTS.iter().zip(&self.ventis) {
            let dial = venti.dial().replacen("tcp!", "", 1).replace('!', ":");
            names.push(((*host).to_owned(), dial));
        }
        if let Place::Scratch(scratch) = &self.place {
            let root = scratch.path().display();
            let below = |path: &&str| ((*path).to_owned(), format!("{root}{path}"));
            names.extend(PATHS.iter().map(below));
        }
        names
    }

    /// A text of the pages, as it has to read here.
    #[must_use]
    pub fn here(&self, text: &str) -> String {
        let replace = |text: String, (there, here): &(String, String)| text.replace(there, here);
        self.names().iter().fold(text.to_owned(), replace)
    }

    /// A text of this machine, as the pages would have it.
    #[must_use]
    pub fn there(&self, text: &str) -> String {
        let replace = |text: String, (there, here): &(String, String)| text.replace(here, there);
        self.names().iter().fold(text.to_owned(), replace)
    }

    /// Runs a line, or a few, of the pages in a shell. Any that fails ends it.
    ///
    /// # Panics
    /// When there is no shell.
    #[must_use]
    pub fn run(&self, script: &str) -> Output {
        let mut shell = process::Command::new("timeout");
        let surroundings = self.surroundings();
        surroundings.around(&mut shell).arg("120");
        let root = match &self.place {
            Place::Scratch(scratch) => {
                let work = scratch.path().join("images");
                let stand_ins = work.join("stand-ins");
                let system = std::env::var_os("PATH").unwrap_or_default();
                let path = [
                    command::programs().as_os_str(),
                    stand_ins.as_os_str(),
                    &system,
                ];
                shell.env("PATH", path.join(OsStr::new(":")));
                shell.current_dir(work);
                scratch.path().as_os_str()
            }
            Place::Root(root) => {
                shell.env("PATH", "/images/stand-ins:/usr/bin:/bin:/usr/sbin:/sbin");
                shell.arg("chroot").arg(root);
                OsStr::new("")
            }
        };
        shell
            .env("venti", self.ventis[0].dial())
            .args(["sh", "-e", "-c"])
            .arg(format!(
                "cd {}/images\n{}",
                root.display(),
                self.here(script)
            ));
        let output = shell
            .stdin(process::Stdio::null())
            .output()
            .expect("a shell");
        Output {
            status: status_number(output.status),
            stdout: self.there(&String::from_utf8_lossy(&output.stdout)),
            stderr: self.there(&String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Follows the examples of a page from the first to the last; says how many
    /// commands were run.
    ///
    /// A block is a dialogue if it begins with `$`; else, in section 5, the file
    /// that the page is about, and elsewhere a configuration if its lines are keys
    /// and tables, or commands. A line is a command, for cron where five fields
    /// precede it.
    ///
    /// # Errors
    /// A command ended with another status than 0, or said other than what
    /// the page shows.
    pub fn follow(&self, page: &Page) -> Result<usize, String> {
        let mut run = 0;
        for example in page.examples() {
            let followed = match &example {
                Example::Line(line) if line.contains("--9fat") && !self.has("mcopy") => {
                    command::skipped(&format!("{}: {line}: no mcopy here", page.file()));
                    Ok(0)
                }
                Example::Line(line) if line.starts_with("ventiserve ") => {
                    self.succeeds(&until_it_serves(line)).map(|_| 1)
                }
                Example::Line(line) => self.succeeds(without_times(line)).map(|_| 1),
                Example::Block(text) if text.starts_with("$ ") => self.dialogue(text),
                Example::Block(text) if page.section == "5" => {
                    self.put(&file_of(page), self.here(text));
                    Ok(0)
                }
                Example::Block(text) if is_configuration(text) => {
                    self.put("/etc/ventiprog.toml", self.here(text));
                    Ok(0)
                }
                Example::Block(text) => self.succeeds(text).map(|_| 1),
            };
            run += followed.map_err(|cause| format!("{}: {example:?}: {cause}", page.file()))?;
        }
        Ok(run)
    }

    /// Whether a program that is not ours is installed there.
    fn has(&self, program: &str) -> bool {
        let script = format!("command -v {program}");
        self.run(&script).status == 0
    }

    fn succeeds(&self, script: &str) -> Result<String, String> {
        let output = self.run(script);
        match output.status {
            0 => Ok(output.stdout),
            _ => Err(format!("{output:?}")),
        }
    }

    /// Types what follows each `$ `, and compares what comes with what follows it.
    fn dialogue(&self, text: &str) -> Result<usize, String> {
        let mut typed = 0;
        for exchange in text.trim_start_matches("$ ").split("\n$ ") {
            let (command, shown) = exchange.split_once('\n').unwrap_or((exchange, ""));
            let said = self.succeeds(command)?;
            if said.trim_end() != shown.trim_end() {
                return Err(format!("{command}: expected {shown:?}, found {said:?}"));
            }
            typed += 1;
        }
        Ok(typed)
    }
}

/// The arena partition: the first arena is sealed, the second has blocks up
/// to [`OFFSET`] and some after it.
fn arenas(path: &Path) -> Partition {
    let builder = PartitionBuilder::new().name("main").without_seal_scores();
    let mut sample = Sample::new(5, 0);
    let mut block = |size| sample.noise(size);
    let make = || -> std::io::Result<Partition> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut partition = builder.arenas(3, ARENA).create(path)?;
        partition.write_raw(248 << 10, b"venti config\nindex main\narenas /dev/sdb1\n")?;
        for _ in 0..20 {
            partition.append(DATA, &block(8192))?;
        }
        partition.seal()?;
        let whole = OFFSET / (8192 + CLUMP_HEADER);
        for _ in 0..whole {
            partition.append(DATA, &block(8192))?;
        }
        let rest = OFFSET % (8192 + CLUMP_HEADER) - CLUMP_HEADER;
        partition.append(DATA, &block(usize::try_from(rest).unwrap_or_default()))?;
        assert_eq!(partition.arenas()[1].counters().used, OFFSET);
        for _ in 0..10 {
            partition.append(DATA, &block(8192))?;
        }
        partition.flush()?;
        Ok(partition)
    };
    make().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The file that a page of section 5 is about.
fn file_of(page: &Page) -> String {
    match page.name.strip_suffix(".toml") {
        Some(_) => format!("/etc/{}", page.name),
        None => format!("/var/lib/ventiprog/{}", page.name),
    }
}

/// Whether every line is one of a configuration.
fn is_configuration(text: &str) -> bool {
    text.lines().all(|line| {
        let key = line.split_once(" = ").map(|(key, _)| key);
        let is_key = key.is_some_and(|key| !key.contains(' '));
        line.is_empty() || line.starts_with(['[', '#', ' ', ']']) || is_key
    })
}

/// A server started as an example has it, and ended when it serves. It listens on ports
/// of its own, where others may use the usual ones.
fn until_it_serves(line: &str) -> String {
    let mut call = Vec::new();
    let mut words = line.split(' ').skip(1);
    while let Some(word) = words.next() {
        match word {
            "-a" | "-H" => drop(words.next()),
            word => call.push(word),
        }
    }
    format!(
        "rm -f serving; touch serving\n\
         ventiserve -v -a 127.0.0.1:{} -H 127.0.0.1:{} {} 2>serving & server=$!\n\
         until grep -q ': serving ' serving; do kill -0 $server; sleep 0.1; done\n\
         kill $server\nwait $server",
        port::free(),
        port::free(),
        call.join(" ")
    )
}

/// A line for cron without its five fields of times.
fn without_times(line: &str) -> &str {
    let mut rest = line;
    for _ in 0..5 {
        match rest.split_once(' ') {
            Some((field, more)) if field.chars().all(|c| c.is_ascii_digit() || c == '*') => {
                rest = more;
            }
            _ => return line,
        }
    }
    rest
}
