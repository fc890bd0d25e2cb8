//! The example of the manual with real fossils and ventis: two file servers
//! behind OpenSSH, four ventis; and the example of the older scripts, under rc.

use std::fs;

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;
use venti_tests::command::{self, Command};
use venti_tests::far::Far;
use venti_tests::fossil;
use venti_tests::plan9::{Plan9, Venti};
use venti_tests::sshd::Ssh;
use venti_tests::surroundings::Surroundings;

use crate::fixture::broker::kin_below;

/// The venti server, which is this machine; the file server `files` and the
/// backup server `backup`.
struct Site {
    directory: TempDir,
    plan9: Plan9,
    far: Far,
}

impl Site {
    fn new() -> Self {
        let site = Site {
            directory: tempfile::tempdir().unwrap(),
            plan9: Plan9::expect(),
            far: Far::new(),
        };
        for host in ["files", "backup"] {
            site.far.machine(host);
        }
        site
    }

    fn venti(&self, name: &str) -> Venti {
        Venti::fresh(&self.plan9, self.directory.path(), name, 64 << 20, 16 << 20)
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// A new fossil on the partition of a machine.
    fn format(&self, host: &str) -> String {
        let partition = self.far.path(host).join("fossil");
        fossil::format_as(&self.plan9, &partition, 12 << 20, 8192, host);
        partition.to_str().unwrap().to_owned()
    }

    /// Gives a machine a fossil that archives to a venti, and says where
    /// plan9port is.
    fn configure(&self, host: &str, venti: &str) {
        let fossil = self.plan9.program("fossil/fossil");
        self.far.configure(
            host,
            &format!(
                "source = '{venti}'\n[fossil]\nprogram = ['{}']\nventi = '{venti}'\n",
                fossil.display()
            ),
        );
    }

    /// plan9port's 9p on the fossil of a machine.
    fn nine(&self, host: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let service = self.far.path(host).join("ns/fossil");
        let address = format!("unix!{}", service.display());
        self.plan9.nine(&address, arguments, input)
    }

    /// Runs a command line on a machine, with plan9port in its environment.
    fn run(&self, host: &str, line: &str) -> String {
        self.far.run(host, &format!("{}{line}", self.plan9_first()))
    }

    fn plan9_first(&self) -> String {
        let root = self.plan9.root().display();
        format!("PLAN9={root} PATH=$PATH:{root}/bin ")
    }

    /// Makes a command there see plan9port, however it is called.
    fn with_plan9(&self, host: &str, name: &str, arguments: &str) {
        let ours = command::program(name);
        let line = format!("{}exec {ours} {arguments}", self.plan9_first());
        self.far.script(host, name, &line);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for kin in kin_below(&self.far.path("")) {
            let _ = kill_process(kin.pid, Signal::KILL);
        }
    }
}

fn text(number: usize) -> Vec<u8> {
    format!("the text of file {number}\n")
        .repeat(number * 400 + 1)
        .into_bytes()
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_backup_server_serves_what_the_file_server_archived() {
    let site = Site::new();
    let (mut source, targets) = (
        site.venti("a"),
        ["b", "c", "d"].map(|name| site.venti(name)),
    );
    let (disk, spare) = (site.format("files"), site.format("backup"));
    site.configure("files", &source.address());
    site.configure("backup", &targets[2].address());

    // A file server at work; a snapshot, complete and on record here too.
    let _ = site.run("files", &format!("fossilstart {disk}"));
    let _ = site.run(
        "files",
        "foscons fsys main create /active/data adm sys d777",
    );
    for number in 0..5 {
        let file = format!("data/f{number}");
        site.nine("files", &["create", &file], b"");
        site.nine("files", &["write", &file], &text(number));
    }
    let line = site.run("files", &format!("fossilize -s {disk}"));
    let state = site.path("state");
    fs::create_dir(&state).unwrap();
    fs::write(format!("{state}/rootscor"), &line).unwrap();

    // All of it to three ventis; the ledger to the backup.
    let addresses = targets.each_ref().map(Venti::address);
    let output = Command::new("ventiprog")
        .args(["-d", &state, "-s", &source.address(), "-i", &source.index()])
        .args(&addresses)
        .run();
    assert_eq!(output.status, 0, "{output:?}");
    fs::copy(
        format!("{state}/rootscor"),
        site.far.path("backup").join("rootscor"),
    )
    .unwrap();

    // The backup server becomes the file server, over ssh.
    site.with_plan9("files", "fossilize", &disk);
    site.with_plan9("backup", "fosreset", "\"$@\"");
    let ssh = Ssh::start(&site.far, &["files", "backup"]);
    let config = ssh
        .as_ref()
        .map_or_else(|| site.far.config("status = true\n"), Ssh::config);
    let options = ["-p", &spare, "-v", &addresses[1], "files", "backup"];
    let output = Command::new("cpsys").config(&config).args(options).run();
    assert_eq!(output.status, 0, "{output:?}");

    // The file server and the first venti are gone; the third serves.
    let _ = site.run("files", "foshalt -k");
    source.stop();
    let _ = site.run("backup", &format!("fossilstart {spare}"));
    for number in 0..5 {
        let read = site.nine("backup", &["read", &format!("data/f{number}")], b"");
        assert_eq!(read, text(number));
    }
    // It lives on there: another archive, on the third venti.
    site.nine("backup", &["create", "data/new"], b"");
    let second = site.run("backup", &format!("fossilize -s {spare}"));
    assert_ne!(second.split(' ').next(), line.split(' ').next());
    assert!(
        second.ends_with(&format!(" {}\n", addresses[2])),
        "{second}"
    );
    let _ = site.run("backup", "foshalt -k");
}

/// As `foscriptinfo` of the collection has it, but for the file system's
/// addresses: the snapshot by a line on the console, `rx`, a list of ventis.
#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_example_of_the_scripts_runs_as_it_is_written() {
    let site = Site::new();
    let source = site.venti("a");
    let targets = ["b", "c", "d"].map(|name| site.venti(name));
    let disk = site.format("files");
    site.configure("files", &source.address());
    let _ = site.run("files", &format!("fossilstart {disk}"));
    site.with_plan9("files", "fossilize", &format!("-s {disk}"));
    let bin = site.directory.path().join("bin");
    fs::create_dir(&bin).unwrap();
    command::install(&bin);
    // What stands in for rx takes the words of its command as they come.
    let reach = site.far.path("reach");
    let rx = format!(
        "#!/bin/sh\nhost=$1; shift; exec {} \"$host\" \"$*\"\n",
        reach.display()
    );
    fs::write(bin.join("rx"), rx).unwrap();
    fs::set_permissions(
        bin.join("rx"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();

    let fat = site.path("9fat");
    fs::create_dir_all(format!("{fat}/remote")).unwrap();
    let surroundings = Surroundings::below(site.directory.path());
    let index = source.index();
    surroundings.configure(&format!(
        "dir = '{fat}'\nindex = '{index}'\nsource = '{}'\n",
        source.address()
    ));
    let script = format!(
        "cd {fat}\n\
         rx files fossilize >>rootscor\n\
         ventis=({})\n\
         ventiprog $ventis\n\
         cp rootscor remote/backup\n",
        targets
            .each_ref()
            .map(|venti| format!("'{}'", venti.address()))
            .join(" ")
    );
    let mut rc = site.plan9.command("rc");
    let path = rc.get_envs().find(|(name, _)| *name == "PATH");
    let path = path
        .and_then(|(_, value)| value)
        .unwrap_or_default()
        .to_owned();
    let mut places = vec![bin];
    places.extend(std::env::split_paths(&path));
    rc.envs(surroundings.environment())
        .env("PATH", std::env::join_paths(places).unwrap())
        .args(["-e", "-c", &script]);
    let output = rc.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let ledger = fs::read_to_string(format!("{fat}/remote/backup")).unwrap();
    assert!(ledger.starts_with("vac:"), "{ledger}");
    assert!(
        ledger.contains(&format!(" {disk} ")) && ledger.contains("\nwrarena -h "),
        "{ledger}"
    );
    for target in &targets {
        assert_eq!(target.clumps(), source.clumps(), "{}", target.address());
    }
    let _ = site.run("files", "foshalt -k");
}
