//! ventiprog --check: whether a run would succeed, each thing in one line.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use venti_tests::command::{Output, skipped};
use venti_tests::http::Http;
use venti_tests::venti::{Venti, closed_port};
use venticore::codec::blocktype::BlockType;

use crate::fixture::site::{LIMITS, Site};

fn check(site: &Site, arguments: &[&str]) -> Output {
    let part = site.part();
    let command = site.ventiprog().args(["--check", "-p", &part, "--offline"]);
    command.args(arguments).run()
}

/// The lines that say that something is wrong.
fn wrong(output: &Output) -> Vec<&str> {
    let lines = output.stdout.lines();
    lines.filter(|line| line.starts_with("not ok: ")).collect()
}

#[track_caller]
fn assert_ok(output: &Output, line: &str) {
    let line = format!("ok: {line}");
    assert!(
        output.stdout.lines().any(|found| found == line),
        "{output:?}"
    );
}

#[test]
fn what_is_well_is_said_line_by_line_and_nothing_is_written() {
    let mut site = Site::new(20);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    site.add(5);
    let before: Vec<String> = ["wrcmd", "wrcmds", "rootscor"].map(|f| site.file(f)).into();
    let writes = venti.counts().writes;
    let output = check(&site, &[]);
    assert_eq!((output.status, wrong(&output).len()), (0, 0), "{output:?}");
    let target = format!("target {}: ", venti.dial());
    assert_ok(
        &output,
        &format!("{target}answers, and has the block acknowledged last"),
    );
    assert_ok(&output, &format!("partition {}: 2 arenas", site.part()));
    let state = site.path("state").display().to_string();
    assert_ok(&output, &format!("state directory {state}: can be written"));
    assert_ok(&output, "lock: no other run is at work");
    assert!(output.stdout.contains("ok: configuration: /"), "{output:?}");
    assert!(output.stdout.contains("ok: clock: 20"), "{output:?}");
    assert!(output.stderr.contains("would send 5 clumps"), "{output:?}");
    let after: Vec<String> = ["wrcmd", "wrcmds", "rootscor"].map(|f| site.file(f)).into();
    assert_eq!((before, writes), (after, venti.counts().writes));
    // Without a state directory, none is made.
    let absent = site.path("absent/state").display().to_string();
    let output = check(&site, &["-d", &absent, &venti.dial()]);
    assert_eq!(output.status, 0, "{output:?}");
    assert_ok(
        &output,
        &format!("state directory {absent}: not there yet, can be made"),
    );
    assert!(!site.path("absent").exists());
    let output = check(&site, &["-q"]);
    assert_eq!((output.status, &*output.stdout), (0, ""));
    let output = check(&site, &["-j"]);
    let lines: Vec<serde_json::Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.iter().all(|line| line["schema"] == 1), "{output:?}");
    let checks = lines.iter().filter(|line| line["ok"] == true);
    assert!(checks.count() >= 6, "{output:?}");
    assert_eq!(lines.last().unwrap()["dry_run"], true);
}

#[test]
fn each_thing_that_is_wrong_is_said_also_after_the_first() {
    let site = Site::new(20);
    let (here, gone) = (Venti::start(), closed_port());
    site.runs(&[&here], 0);
    // Nothing listens at port 1.
    let (source, page) = ("127.0.0.1:1", "http://127.0.0.1:1/index");
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("other"), "x").unwrap();
    let replica = format!("dir:{}", other.path().display());
    let here = here.dial();
    let arguments = ["-s", source, "-i", page, &gone, &replica, &here];
    let output = site.ventiprog().arg("--check").args(arguments).run();
    let wrong = wrong(&output);
    assert_eq!((output.status, wrong.len()), (3, 4), "{output:?}");
    for what in [
        format!("not ok: index page {page}: "),
        "not ok: source tcp!127.0.0.1!1: not synced: ".to_owned(),
        format!("not ok: target {gone}: "),
        format!("not ok: target {replica}: expected a replica"),
    ] {
        let is_it = |line: &&str| line.starts_with(&what);
        assert!(wrong.iter().any(is_it), "{what}: {output:?}");
    }
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
    // The same run ends as was foretold.
    let run = site.ventiprog().args(arguments).run();
    assert_eq!(run.status, output.status, "{run:?}");
}

#[test]
fn the_status_is_the_one_that_a_run_has() {
    let site = Site::new(20);
    let gone = closed_port();
    let unreached = check(&site, &[&gone]);
    assert_eq!(
        (unreached.status, wrong(&unreached).len()),
        (6, 1),
        "{unreached:?}"
    );
    let none = check(&site, &[]);
    assert_eq!((none.status, wrong(&none).len()), (2, 1), "{none:?}");
    let venti = Venti::start();
    let missing = site.ventiprog();
    let missing = missing.args(["--check", "--offline", "-p", "/nonexistent/arenas"]);
    let missing = missing.arg(venti.dial()).run();
    assert_eq!(
        (missing.status, wrong(&missing).len()),
        (1, 1),
        "{missing:?}"
    );
    let config = site.ventiprog().config("sauce = 1\n").arg("--check").run();
    assert_eq!((config.status, wrong(&config).len()), (2, 1), "{config:?}");
    assert!(
        config.stdout.starts_with("not ok: configuration: "),
        "{config:?}"
    );
    site.runs(&[&venti], 0);
    assert!(venti.forget(BlockType::Data, &site.score(0, 19)));
    let lost = check(&site, &[]);
    assert_eq!((lost.status, wrong(&lost).len()), (4, 1), "{lost:?}");
    // A record that cannot be read keeps nothing else from being checked.
    site.write("wrcmds", "# place\n");
    let torn = check(&site, &[&gone]);
    assert_eq!((torn.status, wrong(&torn).len()), (6, 2), "{torn:?}");
}

#[test]
fn a_clock_that_is_behind_what_was_written_is_not_ok() {
    let site = Site::new(20);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let wrcmds = site.file("wrcmds");
    let mut words = wrcmds.split_ascii_whitespace();
    let utc = words.find_map(|word| word.strip_prefix("time=")).unwrap();
    let later = wrcmds.replace(utc, &format!("2999{}", &utc[4..]));
    site.write("wrcmds", &later);
    let output = check(&site, &[]);
    let wrong = wrong(&output);
    assert_eq!((output.status, wrong.len()), (3, 1), "{output:?}");
    assert!(wrong[0].starts_with("not ok: clock: 20"), "{output:?}");
}

#[test]
fn another_run_is_seen_without_its_lock_being_touched() {
    let site = Site::new(20);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let lock = fs::File::options()
        .write(true)
        .open(site.state("lock"))
        .unwrap();
    fs::write(site.state("lock"), format!("{}\n", std::process::id())).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let output = check(&site, &[]);
    let said = format!(
        "not ok: lock: another run holds the lock: pid {}",
        std::process::id()
    );
    assert_eq!(
        (output.status, wrong(&output)),
        (5, vec![&*said]),
        "{output:?}"
    );
}

#[test]
fn a_state_directory_that_cannot_be_written_is_not_ok() {
    if rustix::process::geteuid().is_root() {
        return skipped("as root, every directory can be written");
    }
    let site = Site::new(20);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let mode = |mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(site.path("state"), mode).unwrap();
    };
    mode(0o500);
    let output = check(&site, &[]);
    mode(0o700);
    let state = site.path("state").display().to_string();
    let said = format!("not ok: state directory {state}: ");
    assert_eq!((output.status, wrong(&output).len()), (1, 1), "{output:?}");
    assert!(wrong(&output)[0].starts_with(&said), "{output:?}");
}

#[test]
fn index_pages_of_source_and_targets_are_read() {
    let site = Site::new(20);
    let (venti, page) = (Venti::start(), Http::page("no index page"));
    let config = format!(
        "{LIMITS}offline = true\nindex = \"{0}\"\n[target_index]\n\"{1}\" = \"{0}\"\n",
        page.url(),
        venti.dial()
    );
    // Top-level keys stand before the first table.
    let (limits, rest) = config.split_at(LIMITS.len());
    let (keys, table) = rest.split_once("[target_index]").unwrap();
    let config = format!("{keys}{limits}[target_index]{table}");
    site.runs(&[&venti], 0);
    let output = site.ventiprog().config(&config).arg("--check").run();
    let wrong = wrong(&output);
    assert_eq!(wrong.len(), 2, "{output:?}");
    assert!(
        wrong.iter().all(|line| line.contains(&page.url())),
        "{output:?}"
    );
}
