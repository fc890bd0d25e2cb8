//! Ventis that are reached through a command: as other ventis are, and what the command
//! says is said where they are not.

use std::fs;
use std::path::Path;

use venti_tests::command::{Command, Output};
use venti_tests::far::Far;
use venti_tests::golden;
use venti_tests::patience;
use venti_tests::sshd::Ssh;
use venti_tests::venti::{Fault, How, On, Venti, closed_port};

use crate::fixture::archives::ARCHIVES;
use crate::fixture::site::{LIMITS, Site};

/// A name that no name server knows, so that nothing but the command leads there.
const NAME: &str = "venti1.invalid";

/// The same as a target is called.
const TARGET: &str = "tcp!venti1.invalid!17034";

/// The configuration by which that name is reached through the stand-in with these words.
fn via(words: &[&str]) -> String {
    let way = env!("CARGO_BIN_EXE_stand-in-way");
    let words: Vec<&str> = std::iter::once(way).chain(words.iter().copied()).collect();
    format!("{LIMITS}[via]\n{NAME:?} = {words:?}\n")
}

fn port(venti: &Venti) -> String {
    let dial = venti.dial();
    dial.rsplit_once('!').unwrap().1.to_owned()
}

fn to(venti: &Venti) -> String {
    via(&["to", &port(venti)])
}

fn ventiprog(site: &Site, config: &str, options: &[&str]) -> Command {
    let command = site.ventiprog().config(config).args(options);
    command.args(["-v", "-p", &site.part(), NAME])
}

#[track_caller]
fn assert_done(output: &Output) {
    assert_eq!(output.status, 0, "{output:?}");
}

/// The configuration by which the name is reached through OpenSSH.
fn through_ssh(ssh: &Ssh, options: &[&str], venti: &Venti) -> String {
    let place = format!("127.0.0.1:{}", port(venti));
    let mut words = ssh.client();
    let more = options.iter().copied().chain(["-W", &place, "far"]);
    words.extend(more.map(str::to_owned));
    format!("[limits]\nretries = 0\n[via]\n{NAME:?} = {words:?}\n")
}

/// The line about the target, as far as the stand-in's path is left out.
#[track_caller]
fn assert_said(output: &Output, line: &str) {
    let way = env!("CARGO_BIN_EXE_stand-in-way");
    let said = output.stderr.replace(way, "WAY");
    assert!(said.lines().any(|found| found == line), "{line}\n{said}");
}

#[test]
fn a_target_is_filled_brought_up_to_date_and_verified() {
    let mut site = Site::new(700);
    let venti = Venti::start();
    let config = to(&venti);
    let output = ventiprog(&site, &config, &[]).run();
    assert_done(&output);
    assert_eq!(site.holes(&venti), 0);
    assert!(
        site.file("wrcmd").contains(TARGET),
        "{}",
        site.file("wrcmd")
    );
    assert_eq!(site.stands(TARGET), Some((0, site.end(0))));

    site.add(300);
    let before = venti.counts().writes;
    assert_done(&ventiprog(&site, &config, &[]).run());
    assert_eq!(site.holes(&venti), 0);
    assert_eq!(venti.counts().writes, before + 300);
    let reads = venti.counts().reads;
    assert_done(&ventiprog(&site, &config, &["--verify"]).run());
    assert!(venti.counts().reads >= reads + 1000);

    // A block that is missing there is found and sent, as without a command.
    let lost = site.score(0, 100);
    assert!(venti.forget(venticore::codec::blocktype::BlockType::Data, &lost));
    let output = ventiprog(&site, &config, &["--verify"]).run();
    assert_eq!(output.status, 4, "{output:?}");
    assert_eq!(site.holes(&venti), 0);
}

#[test]
fn a_source_is_synced_through_a_command() {
    let site = Site::new(10);
    let (source, target) = (Venti::start(), Venti::start());
    site.give(&source, site.data.keys().copied());
    let output = site.ventiprog().config(&to(&source));
    let output = output.args(["-p", &site.part(), "-s", NAME, &target.dial()]);
    assert_done(&output.run());
    assert_eq!((source.counts().syncs, site.holes(&target)), (1, 0));
}

#[test]
fn every_other_command_that_dials_a_venti_goes_through_it() {
    let venti = golden::archives();
    let config = to(&venti);
    let score = ARCHIVES[0].0;
    let run = |name: &str, arguments: &[&str]| {
        let command = Command::new(name).config(&config);
        command.args(arguments).run()
    };
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().display().to_string();
    let output = run("rootcheck", &["-d", &state, "-h", NAME, score]);
    assert_done(&output);
    let line = format!("vac:{score} {TARGET} whole ");
    assert!(output.stdout.starts_with(&line), "{output:?}");
    assert_done(&run("rootget", &["-h", NAME, score]));

    let part = golden::unpack("fossil/arenas.part", scratch.path());
    let part = part.display().to_string();
    let output = run("ventiroots", &["-h", NAME, &part]);
    assert_done(&output);
    let lines = output.stdout.lines();
    assert!(
        lines.clone().all(|line| line.ends_with(" readable")),
        "{output:?}"
    );
    assert_ne!(lines.count(), 0);

    let fresh = Venti::start();
    let output = Command::new("wrarena").config(&to(&fresh));
    assert_done(&output.args(["-h", NAME, &part]).run());
    assert!(!fresh.blocks().is_empty());

    let image = scratch.path().join("fossil");
    fs::write(&image, vec![0; 64 << 20]).unwrap();
    let image = image.display().to_string();
    let output = run("flfmt", &["-y", "-h", NAME, "-v", score, &image]);
    assert_done(&output);
}

#[test]
fn a_command_that_ends_in_the_middle_is_started_again() {
    let site = Site::new(700);
    let venti = Venti::start();
    let marker = site.path("died").display().to_string();
    let config = via(&["once", &marker, "1000000", &port(&venti)]);
    let config = config.replace("retries = 0", "retries = 3");
    let output = ventiprog(&site, &config, &[]).run();
    assert_done(&output);
    assert!(Path::new(&marker).exists());
    assert_eq!(site.holes(&venti), 0);
    assert_said(
        &output,
        &format!(
            "ventiprog: {TARGET}: connection lost: \
             WAY: Connection to the other machine closed by a test; again in 250ms"
        ),
    );
}

#[test]
fn what_a_command_says_is_in_the_message() {
    let site = Site::new(3);
    for (words, cause) in [
        (
            &["says", "me@venti1: Permission denied (publickey).", "255"][..],
            "WAY: me@venti1: Permission denied (publickey)",
        ),
        (&["says", "", "7"], "WAY: exit status 7"),
        (
            &["hangs"],
            "WAY: no venti version line within 2s \
             (nobody is there to answer a question for a password)",
        ),
    ] {
        let output = ventiprog(&site, &via(words), &[]).run();
        assert_eq!(output.status, 6, "{output:?}");
        let line = format!("ventiprog: {TARGET}: cannot connect: {cause}; the next run catches up");
        assert_said(&output, &line);
        assert_eq!(site.file("wrcmds"), "");
    }
    let config = format!("{LIMITS}[via]\n{NAME:?} = ['/nowhere/ssh']\n");
    let output = ventiprog(&site, &config, &[]).run();
    assert_eq!(output.status, 6, "{output:?}");
    let named = format!("{TARGET}: cannot connect: /nowhere/ssh: cannot be started: ");
    assert!(output.stderr.contains(&named), "{output:?}");
}

#[test]
fn a_command_ends_with_the_one_that_started_it() {
    let site = Site::new(700);
    // Its replies to writes are late, so that it is there to be killed.
    let venti = Venti::faulty([Fault::from(On::Write, 1, How::Silence)]);
    let note = site.path("pid");
    let words = ["noted", &note.display().to_string(), &port(&venti)];
    let config = via(&words).replace("silence = 2", "silence = 600");
    let mut running = ventiprog(&site, &config, &[]).start();
    patience::until("a write", || venti.counts().writes > 0);
    let process = Path::new("/proc").join(fs::read_to_string(&note).unwrap());
    assert!(process.exists());
    running.kill();
    assert_eq!(running.wait().status, 137);
    patience::until("the end of the command", || !process.exists());

    // It is gone as well when a run ends by itself, before that does.
    venti.heal();
    let output = ventiprog(&site, &via(&words), &[]).run();
    assert_done(&output);
    let process = Path::new("/proc").join(fs::read_to_string(&note).unwrap());
    assert!(!process.exists());
}

#[test]
fn an_address_that_only_the_command_understands_is_not_compared() {
    let site = Site::new(20);
    let (source, target) = (Venti::start(), Venti::start());
    site.give(&source, site.data.keys().copied());
    let had = source.counts().writes;
    // By its address the target would be the source.
    let name = format!("localhost!{}", port(&source));
    let way = env!("CARGO_BIN_EXE_stand-in-way");
    let config = format!(
        "{LIMITS}[via]\n{name:?} = [{way:?}, 'to', '{}']\n",
        port(&target)
    );
    let run = || {
        let command = site.ventiprog().config(&config);
        command
            .args(["-p", &site.part(), "-s", &source.dial(), &name])
            .run()
    };
    assert_done(&run());
    assert_eq!((site.holes(&target), target.counts().writes), (0, 20));
    assert_eq!(source.counts().writes, had);

    // One that leads to the source is told by what it has.
    fs::remove_file(site.state("wrcmd")).unwrap();
    fs::remove_file(site.state("wrcmds")).unwrap();
    let output = site.ventiprog().config(&to(&source));
    let output = output.args(["-p", &site.part(), "-s", &source.dial(), NAME]);
    let output = output.run();
    assert_done(&output);
    assert!(
        output.stderr.contains("had every block already"),
        "{output:?}"
    );
}

#[test]
fn another_engine_does_not_dial_through_a_command() {
    let site = Site::new(3);
    let venti = Venti::start();
    let config = format!("wrarena = ['/bin/true']\n{}", to(&venti));
    let output = ventiprog(&site, &config, &["-e", "external"]).run();
    let said = format!(
        "ventiprog: {TARGET}: only the native engine reaches a venti through a command, \
         as [via] has it (-e native)"
    );
    assert_said(&output, &said);
    assert_eq!((output.status, venti.counts().writes), (1, 0), "{output:?}");
}

#[test]
fn openssh_is_such_a_command() {
    let far = Far::new();
    far.machine("far");
    let Some(ssh) = Ssh::start(&far, &["far"]) else {
        return;
    };
    let mut site = Site::new(700);
    let venti = Venti::start();
    let config = through_ssh(&ssh, &[], &venti);
    assert_done(&ventiprog(&site, &config, &[]).run());
    site.add(100);
    assert_done(&ventiprog(&site, &config, &["--verify"]).run());
    assert_eq!(site.holes(&venti), 0);

    let no_key = through_ssh(&ssh, &["-o", "PubkeyAuthentication=no"], &venti);
    let nobody = closed_port().replace("tcp!127.0.0.1!", ":");
    let no_venti = config.replace(&format!(":{}", port(&venti)), &nobody);
    for (config, cause) in [
        (no_key, "Permission denied (publickey"),
        (no_venti, "stdio forwarding failed"),
    ] {
        let output = ventiprog(&site, &config, &[]).run();
        assert_eq!(output.status, 6, "{output:?}");
        let line = format!("ventiprog: {TARGET}: cannot connect: ssh: ");
        let mut lines = output.stderr.lines();
        let said = lines.any(|said| said.starts_with(&line) && said.contains(cause));
        assert!(said, "{cause}: {output:?}");
    }
}

#[test]
fn a_target_at_a_public_address_is_named_once_where_no_command_leads_to_it() {
    let site = Site::new(3);
    // An address for documents: nobody has it, and a dry run does not connect.
    let public = ["203.0.113.7", "203.0.113.8"];
    let run = |config: &str, option: &str| {
        let command = site.ventiprog().config(config);
        let command = command.args(["-n", option, "-p", &site.part()]);
        command.args(public).arg("10.0.0.1").run()
    };
    let said = "ventiprog: tcp!203.0.113.7!17034 (203.0.113.7), tcp!203.0.113.8!17034 \
                (203.0.113.8): a public address, and ventis speak in clear text and know no \
                password: reach it through ssh, by [via] in the configuration\n";
    let output = run(LIMITS, "-v");
    assert_eq!(output.stderr.matches(said).count(), 1, "{output:?}");
    let quiet = run(LIMITS, "-q");
    assert!(!quiet.stderr.contains("public address"), "{quiet:?}");
    assert_eq!(quiet.status, output.status);
    let keys = public.map(|public| format!("'{public}' = ['ssh']\n"));
    let output = run(&format!("{LIMITS}[via]\n{}", keys.concat()), "-v");
    assert!(!output.stderr.contains("public address"), "{output:?}");
}
