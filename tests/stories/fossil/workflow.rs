//! The example of the manual, in its order, on three machines played by this
//! one, with a stand-in for fossil.

use std::collections::BTreeMap;
use std::fs;

use fossilcore::archive::{self, Archive, Dir};
use venti_tests::command::Command;
use venti_tests::far::Far;
use venti_tests::golden;
use venti_tests::page::Page;
use venti_tests::sshd::Ssh;
use venti_tests::standin::Script;
use venti_tests::venti::Venti;
use venticore::codec::score::Score;
use venticore::net::client::{Client, Dialer};
use venticore::net::tree;

use crate::fixture::archives::ARCHIVES;
use crate::fixture::reset::is_blind;
use crate::fixture::site::Site;

/// A file of an archive: owner, mode, time, and the hash of its content.
type File = (Vec<u8>, u32, u32, Option<Score>);

/// Every file of an archive, by its path.
fn files(venti: &Venti, score: &str) -> BTreeMap<String, File> {
    let mut client = Client::dial(&venti.dial().parse().unwrap(), &Dialer::default()).unwrap();
    let archive = Archive::read(&mut client, &score.parse().unwrap()).unwrap();
    let mut found = BTreeMap::new();
    list(&mut client, &archive.directory(), "", &mut found);
    found
}

fn list(client: &mut Client, dir: &Dir, path: &str, found: &mut BTreeMap<String, File>) {
    for info in archive::list(client, dir).unwrap() {
        // What a crash has left without a file.
        let Some(file) = archive::find(client, dir, &info.elem).unwrap() else {
            continue;
        };
        let path = format!("{path}/{}", String::from_utf8_lossy(&info.elem));
        let content = match &file.directory {
            Some(dir) => {
                list(client, dir, &path, found);
                None
            }
            None => {
                let mut bytes = Vec::new();
                tree::copy(client, &file.entry, &mut bytes).unwrap();
                Some(Score::of(&bytes))
            }
        };
        found.insert(path, (info.uid, info.mode, info.mtime, content));
    }
}

/// The configuration of a machine whose fossil archives as this score.
fn fossil(score: &str, venti: &Venti) -> String {
    let script = Script {
        score: Some(score.parse().unwrap()),
        ..Script::default()
    };
    let program = env!("CARGO_BIN_EXE_stand-in-fossil");
    let (word, venti) = (script.to_word(), venti.dial());
    format!("source = '{venti}'\n[fossil]\nprogram = ['{program}', '{word}']\nventi = '{venti}'\n")
}

fn partition(far: &Far, host: &str, golden: &str) -> String {
    let path = far.path(host).join("fossil");
    fs::write(&path, golden::fossil(golden)).unwrap();
    path.display().to_string()
}

#[test]
fn snapshot_replicate_reset_and_serve_from_another_venti() {
    if is_blind() {
        return;
    }
    let score = ARCHIVES[1].0;
    // The venti server: its venti, and the arenas it lies in.
    let source = golden::archives();
    let site = Site::empty(1);
    let arenas = golden::unpack("fossil/arenas.part", site.path("state").parent().unwrap());
    let targets = [Venti::start(), Venti::start(), Venti::start()];
    // The file server, and the backup server.
    let far = Far::new();
    for host in ["files", "backup"] {
        far.machine(host);
    }
    let disk = partition(&far, "files", "archived-8k");
    let spare = partition(&far, "backup", "fresh-8k");
    far.configure("files", &fossil(score, &source));
    far.configure("backup", &fossil(score, &targets[2]));
    let expected = files(&source, score);
    assert!(expected.len() > 3, "{expected:?}");

    // A fossil that serves; a snapshot; its score on both machines.
    let _ = far.run("files", &format!("fossilstart {disk}"));
    let line = far.run("files", &format!("fossilize -s {disk}"));
    assert_eq!(line, format!("vac:{score} {disk} {}\n", source.dial()));
    fs::write(site.state("rootscor"), &line).unwrap();

    // Everything to three ventis.
    let command = site.ventiprog().args(["-s", &source.dial(), "-p"]);
    let command = command.arg(&arenas).args(targets.iter().map(Venti::dial));
    let output = command.run();
    assert_eq!(output.status, 0, "{output:?}");
    fs::copy(site.state("rootscor"), far.path("backup").join("rootscor")).unwrap();
    let ledger = site.file("rootscor");
    assert!(
        ledger.starts_with(&line) && ledger.contains("\nwrarena -h "),
        "{ledger}"
    );

    // The backup server becomes what the file server was.
    let ssh = Ssh::start(&far, &["files", "backup"]);
    let config = ssh
        .as_ref()
        .map_or_else(|| far.config("status = true\n"), Ssh::config);
    let venti = targets[1].dial();
    let options = ["-P", &disk, "-p", &spare, "-v", &venti, "files", "backup"];
    let output = Command::new("cpsys").config(&config).args(options).run();
    assert_eq!(output.status, 0, "{output:?}");
    let call = format!(
        " fosreset vac:{score} {spare} {}
",
        targets[1].dial()
    );
    assert!(output.stdout.contains(&call), "{output:?}");
    let log = fs::read_to_string(far.path("backup").join("state/rootscor")).unwrap();
    assert!(
        log.ends_with(&format!("vac:{score} {spare} {}\n", targets[1].dial())),
        "{log}"
    );

    // The file server and the first venti are gone; the backup serves from the third.
    let _ = far.run("files", "foshalt -k");
    drop(source);
    let started = far.run("backup", &format!("fossilstart {spare}"));
    assert!(started.contains("fscons"), "{started}");
    assert_eq!(files(&targets[2], score), expected);
    assert_is_root_of(&spare, &targets[2], score);
    let _ = far.run("backup", "foshalt -k");
}

/// The session that ventiprog(7) shows, with the hosts and paths of this test.
fn session(words: &[(&str, &str)]) -> String {
    let page = Page::load("ventiprog.7");
    let mut lines = page.source.lines();
    assert!(lines.any(|line| line.ends_with("it takes three machines")));
    let lines = lines.skip(1).take_while(|line| *line != ".Ed");
    let text = lines.collect::<Vec<_>>().join("\n");
    let here = |text: String, (word, here): &(&str, &str)| text.replace(word, here);
    words.iter().fold(text, here)
}

#[test]
fn the_session_of_the_page_runs_as_it_is_written() {
    if is_blind() {
        return;
    }
    let score = ARCHIVES[1].0;
    let source = golden::archives();
    let targets = [Venti::start(), Venti::start()];
    let far = Far::new();
    for host in ["here", "files", "backup"] {
        far.machine(host);
    }
    let disk = partition(&far, "files", "archived-8k");
    let spare = partition(&far, "backup", "fresh-8k");
    let arenas = golden::unpack("fossil/arenas.part", &far.path("here"));
    far.configure("files", &fossil(score, &source));
    far.configure("backup", &fossil(score, &targets[0]));
    far.configure(
        "here",
        &format!(
            "source = '{}'\narenas = ['{}']\n",
            source.dial(),
            arenas.display()
        ),
    );
    let reach = far.path("reach").display().to_string();
    let skip = "while case $1 in -*) ;; *) false ;; esac; do shift; done; host=$1; shift";
    far.script(
        "here",
        "ssh",
        &format!("{skip}; exec {reach} \"$host\" \"$*\""),
    );
    let root = far.path("").display().to_string();
    far.script(
        "here",
        "scp",
        &format!("cp \"$1\" \"{root}/${{2%%:*}}/${{2##*:}}\""),
    );
    let _ = far.run("files", &format!("fossilstart {disk}"));

    let state = far.path("here").join("state");
    fs::create_dir(&state).unwrap();
    let all = files(&source, score).into_iter();
    let (file, content) = all
        .filter(|(path, file)| path.starts_with("/active/") && file.3.is_some())
        .map(|(path, file)| (path.trim_start_matches('/').to_owned(), file.3))
        .next()
        .unwrap();
    let session = session(&[
        ("/var/lib/ventiprog", state.to_str().unwrap()),
        ("/dev/sdb2", &disk),
        ("/dev/sdb3", &spare),
        ("venti1.example.org", &targets[0].dial()),
        ("venti2.example.org", &targets[1].dial()),
        ("active/lib/news", &file),
    ]);
    let printed = far.run("here", &format!("set -e\n{session}"));
    for target in &targets {
        let verdict = format!("vac:{score} {} whole ", target.dial());
        assert!(printed.contains(&verdict), "{printed}");
    }
    assert_eq!(printed.matches("behind 0 clumps").count(), 2, "{printed}");
    let name = file.rsplit('/').next().unwrap();
    let back = fs::read(far.path("here").join("back").join(name)).unwrap();
    assert_eq!(Some(Score::of(&back)), content);

    let log = fs::read_to_string(far.path("backup").join("rootscor")).unwrap();
    assert!(log.contains(&format!("vac:{score} {disk} ")), "{log}");
    for target in &targets {
        assert_eq!(files(target, score), files(&source, score));
    }
    assert_is_root_of(&spare, &targets[0], score);
    for host in ["files", "backup"] {
        let _ = far.run(host, "foshalt -k");
    }
}

/// A partition holds the root directory of an archive for its live tree.
fn assert_is_root_of(partition: &str, venti: &Venti, score: &str) {
    let mut client = Client::dial(&venti.dial().parse().unwrap(), &Dialer::default()).unwrap();
    let archive = Archive::read(&mut client, &score.parse().unwrap()).unwrap();
    let root = archive.directory().entry.score;
    let image = fs::read(partition).unwrap();
    let mut places = image.windows(Score::LEN);
    assert!(
        places.any(|bytes| bytes == root.as_bytes()),
        "{partition}: {score}"
    );
}
