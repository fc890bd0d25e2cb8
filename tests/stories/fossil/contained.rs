//! Partitions that are open outside a container: what is inside must not start a
//! fossil there, nor write it. Needs root, for a PID namespace.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process;

use venti_tests::command::{self, Command, Output};
use venti_tests::golden;
use venti_tests::standin::Script;

use crate::fixture::archives::ARCHIVES;
use crate::fixture::broker::Site;
use crate::fixture::loop_device::Loop;
use crate::fixture::reset::is_blind;

/// A container as small as it can be.
const CONTAINER: [&str; 4] = ["unshare", "--pid", "--fork", "--mount-proc"];

/// Whether containers can be made here; that they cannot is said.
fn have_containers() -> bool {
    let made = process::Command::new(CONTAINER[0])
        .args(&CONTAINER[1..])
        .arg("true")
        .output();
    let able = made.is_ok_and(|done| done.status.success()) && !is_blind();
    if !able {
        command::skipped("containers: no PID namespace can be made here");
    }
    able
}

/// A fossil's surroundings, where the partition may be open outside or not.
fn site(private: bool) -> Site {
    let script = Script::default();
    Site::new(&script).with(&script, &format!("private = {private}\n"))
}

/// fosreset in a container; the archive is on a venti of its own.
fn reset(site: &Site, partition: &Path) -> Output {
    let venti = golden::archives();
    let command = site.command("fosreset").through(CONTAINER);
    let command = command.args(["-y", ARCHIVES[0].0]).arg(partition);
    command.arg(venti.dial()).run()
}

/// fossilstart in a container, with a namespace of its own.
fn start(site: &Site, partition: &Path) -> Output {
    let command = Command::new("fossilstart").config(&site.config);
    let namespace = command.home().join("ns");
    let command = command.env("NAMESPACE", namespace).through(CONTAINER);
    command.env("venti", site.venti.dial()).arg(partition).run()
}

#[test]
fn what_a_container_cannot_see_it_does_not_touch() {
    if !have_containers() {
        return;
    }
    let site = site(false);
    let before = fs::read(&site.partition).unwrap();
    let said = "outside this container";
    start(&site, &site.partition).assert_refused(1, said);
    // Whether it is open or not.
    for _ in 0..2 {
        let output = reset(&site, &site.partition);
        output.assert_refused(1, said);
        assert!(output.stderr.contains("private = true"), "{output:?}");
        assert!(fs::read(&site.partition).unwrap() == before);
        if site.kin().is_empty() {
            site.started(None);
        }
    }
    start(&site, &site.partition).assert_refused(1, "claimed");
    assert_eq!(site.halt(&["-k"]).status, 0);
}

#[test]
fn a_fossil_holds_its_claim_against_those_who_cannot_see_it() {
    if !have_containers() {
        return;
    }
    let site = site(true);
    site.started(None);
    let before = fs::read(&site.partition).unwrap();
    reset(&site, &site.partition).assert_refused(1, "claimed");
    start(&site, &site.partition).assert_refused(1, "claimed");
    assert!(fs::read(&site.partition).unwrap() == before);
    assert_eq!(site.halt(&["-k"]).status, 0);
    let output = reset(&site, &site.partition);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(fs::read(&site.partition).unwrap() != before);
}

/// A container may have a node of its own for a device, on which locks are not seen.
#[test]
fn a_device_is_claimed_whatever_its_node() {
    if !have_containers() {
        return;
    }
    let mut site = site(true);
    // What fosreset ends is called fossil.
    let program = env!("CARGO_BIN_EXE_stand-in-fossil");
    let fossil = site.directory.path().join("fossil");
    symlink(program, &fossil).unwrap();
    site.config = site.config.replace(program, fossil.to_str().unwrap());
    let Some(device) = Loop::of(&site.partition, &[]) else {
        command::skipped("a claim on a device: no loop device can be made here");
        return;
    };
    let image = std::mem::replace(&mut site.partition, device.0.clone().into());
    let node = site.directory.path().join("node");
    let number = device.0.trim_start_matches("/dev/loop");
    let made = process::Command::new("mknod")
        .arg(&node)
        .args(["b", "7", number])
        .status();
    assert!(made.unwrap().success());
    site.started(None);
    let before = fs::read(&image).unwrap();
    for path in [&site.partition, &node] {
        let output = reset(&site, path);
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (1, ""),
            "{output:?}"
        );
        start(&site, path).assert_refused(1, "claimed");
        assert!(fs::read(&image).unwrap() == before);
    }
    // Its configuration is another matter, and is written while it runs.
    let file = site.directory.path().join("conf");
    fs::write(&file, "fsys main config\n").unwrap();
    let command = site.command("fossilconf").arg("-w").arg(&site.partition);
    let output = command.arg(&file).run();
    assert_eq!(output.status, 0, "{output:?}");
    // Where the fossil can be seen it is halted, and the partition is reset.
    let venti = golden::archives();
    let command = site.command("fosreset").args(["-y", ARCHIVES[0].0]);
    let output = command.arg(&site.partition).arg(venti.dial()).run();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(site.kin().is_empty());
}
