//! Consoles that are not the user's own, files that are not consoles, and fossils
//! that archive to nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;

use venti_tests::command::{self, Command};
use venti_tests::standin::{Archiver, Script};

use crate::fixture::broker::{Site, snapshot, typed};

/// A user who has nothing.
const NOBODY: u32 = 65534;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_console_in_a_namespace_that_others_can_write_is_used_only_where_it_is_named() {
    let site = Site::new(&Script::default());
    site.started(None);
    let console = site.console("fscons");
    let console = console.to_str().unwrap();
    mode(&site.namespace(), 0o1777);
    let said = "nobody else can write";
    let output = site.halt(&["-k"]);
    assert_eq!((output.status, output.stdout.as_str()), (1, ""));
    assert!(output.stderr.contains(said), "{output:?}");
    let output = site.ask(&["fsys main sync"]);
    assert_ne!(output.status, 0, "{output:?}");
    assert!(output.stderr.contains(said), "{output:?}");
    let output = snapshot(&site, &[]);
    output.assert_refused(6, said);
    let sent = typed(&mut site.connect("fscons"));
    assert!(
        !sent
            .iter()
            .any(|line| line.contains("halt") || line.contains("snap -a"))
    );
    assert_eq!(site.kin().len(), 1);
    // Who names it means it.
    assert_eq!(site.ask(&["-c", console, "fsys main sync"]).status, 0);
    assert_eq!(site.halt(&["-k", console]).status, 0);
    site.assert_nothing_runs();
}

/// Needs root, and commands that nobody can run.
#[test]
fn another_users_console_is_used_only_where_root_names_it() {
    let site = Site::new(&Script::default());
    let nobody = |command: Command| {
        mode(command.home(), 0o755);
        let mut prepared = command.prepare();
        prepared.uid(NOBODY).gid(NOBODY).output()
    };
    let probe = nobody(Command::new("fossilstart").arg("-V"));
    if !rustix::process::geteuid().is_root() || !probe.is_ok_and(|done| done.status.success()) {
        command::skipped("consoles of another user: they take root, who starts commands as nobody");
        return;
    }
    for path in [
        site.namespace(),
        site.partition.clone(),
        site.directory.path().into(),
    ] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let start = site.command("fossilstart").arg(&site.partition);
    let started = nobody(start).unwrap();
    assert!(started.status.success(), "{started:?}");
    let output = site.halt(&["-k"]);
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (1, ""),
        "{output:?}"
    );
    assert!(output.stderr.contains("found owner nobody"), "{output:?}");
    assert_ne!(site.ask(&["printconfig"]).status, 0);
    assert_eq!(site.kin().len(), 1);
    // A socket that was given away is served by another than its owner.
    let console = site.console("fscons");
    let path = console.to_str().unwrap();
    chown(&console, Some(0), Some(0)).unwrap();
    site.ask(&["-c", path, "printconfig"])
        .assert_refused(6, "found that nobody serves it");
    chown(&console, Some(NOBODY), Some(NOBODY)).unwrap();
    assert_eq!(site.ask(&["-c", path, "printconfig"]).status, 0);
    assert_eq!(site.halt(&["-k", path]).status, 0);
    site.assert_nothing_runs();
}

/// `echo fsys main snap -a >>/srv/fscons`, where there is no such console.
#[test]
fn a_plain_file_is_not_a_console_and_hides_none() {
    let site = Site::new(&Script::default());
    let file = site.console("fscons");
    for text in ["fsys main snap -a\n", ""] {
        fs::write(&file, text).unwrap();
        let said = format!("{}: expected a console, found a plain file", file.display());
        site.ask(&["printconfig"])
            .assert_refused(6, "no console in");
        let output = site.halt(&[]);
        assert_eq!(output.status, 1, "{output:?}");
        assert!(output.stderr.contains(&said), "{output:?}");
        assert!(output.stderr.contains("nothing is halted"), "{output:?}");

        site.started(Some("main"));
        let output = site.ask(&["fsys main sync"]);
        assert_eq!(output.status, 0, "{output:?}");
        assert!(output.stderr.contains(&said), "{output:?}");
        assert_eq!(snapshot(&site, &[]).status, 0);
        let output = site.halt(&["-k"]);
        assert_eq!(output.status, 0, "{output:?}");
        assert!(output.stdout.starts_with("halted main "), "{output:?}");
        assert!(output.stderr.contains(&said), "{output:?}");
        let output = site.halt(&[file.to_str().unwrap()]);
        output.assert_refused(6, "found a plain file");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert!(site.kin().is_empty());
    }
}

#[test]
fn a_fossil_without_an_archiver_is_halted_and_its_snapshot_is_said_to_wait() {
    let script = Script {
        archiver: Archiver::None,
        ..Script::default()
    };
    let site = Site::new(&script);
    site.started(None);
    let output = snapshot(&site, &[]);
    output.assert_refused(1, "has no archiver: nothing was recorded");
    // Snapshots that nobody archives would fill the fossil, one each night.
    let output = snapshot(&site, &[]);
    output.assert_refused(1, "has no archiver: no further one was taken");
    let sent = typed(&mut site.connect("fscons"));
    let taken = sent.iter().filter(|line| line.contains("snap -a")).count();
    assert_eq!(taken, 1, "{sent:?}");
    assert_eq!(site.log("rootscor"), "");
    let output = site.halt(&["-k"]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.stdout.starts_with("halted main "), "{output:?}");
    assert!(
        output.stderr.contains("this fossil has no archiver"),
        "{output:?}"
    );
    site.assert_nothing_runs();
}
