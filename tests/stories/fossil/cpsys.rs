//! cpsys: three commands on two machines, each of which must convince.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use venti_tests::command::{Command, Output};
use venti_tests::far::Far;
use venti_tests::sshd::Ssh;

const SCORE: &str = "0123456789abcdef0123456789abcdef01234567";
const OLD: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// A fosreset that notes what it was called with.
const NOTES: &str =
    "cd ${VENTIPROG_CONFIG%/*}; echo \"$*\" >>reset; case $1 in -*) cat >>reset;; esac";

/// How a command is called whose status the way there brings.
const LIKE_SSH: &str = "status = true\n";

/// Two machines: `old` has an archive, `new` another.
fn machines() -> Far {
    let far = Far::new();
    for (host, score) in [("old", SCORE), ("new", OLD)] {
        far.machine(host);
        let fossilize = format!(
            "echo vac:{score} /dev/sdC0/fossil tcp!10.0.0.{}!17034",
            host.len()
        );
        far.script(host, "fossilize", &fossilize);
        far.script(host, "fosreset", NOTES);
        far.script(host, "fossilstart", "echo started \"$*\" with $venti");
    }
    far
}

fn line(score: &str) -> String {
    format!("vac:{score} /dev/sdC0/fossil tcp!10.0.0.3!17034")
}

fn cpsys(far: &Far, keys: &str, arguments: &[&str]) -> Output {
    let command = Command::new("cpsys").config(&far.config(keys));
    command.args(arguments).args(["old", "new"]).run()
}

/// What fosreset was called with on the destination; nothing if it was not.
fn reset(far: &Far) -> String {
    fs::read_to_string(far.path("new").join("reset")).unwrap_or_default()
}

/// Nothing was reset, and one line says why, after what the far side said.
#[track_caller]
fn assert_refused(far: &Far, output: &Output, status: i32, why: &str) {
    assert_eq!(output.status, status, "{output:?}");
    let last = output.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("cpsys: ") && last.contains(why),
        "{output:?}"
    );
    assert_eq!(reset(far), "", "{output:?}");
}

#[test]
fn the_destination_is_recorded_then_reset_to_what_the_source_says() {
    let far = machines();
    let output = cpsys(&far, LIKE_SSH, &[]);
    let shown = format!("{}\nreach new fosreset {}\n", line(OLD), line(SCORE));
    assert_eq!((output.status, output.stdout), (0, shown));
    let start = "cpsys: new: start its fossil again: \
                 reach new fossilstart -v tcp!10.0.0.3!17034 /dev/sdC0/fossil\n";
    assert_eq!(output.stderr, start);
    let calls = ["new: fossilize", "old: fossilize", "new: fosreset -"];
    assert_eq!(far.calls(), calls);
    assert_eq!(reset(&far), format!("-\n{}\n", line(SCORE)));
}

#[test]
fn no_score_stands_in_an_argument_list_of_ours() {
    let far = machines();
    assert_eq!(cpsys(&far, LIKE_SSH, &["--start"]).status, 0);
    assert!(!far.calls().join("\n").contains(SCORE));
}

#[test]
fn options_replace_what_the_source_says() {
    let far = machines();
    let options = ["-p", "disk.img:fossil", "-v", "backup", "--start"];
    let output = cpsys(&far, LIKE_SSH, &options);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    assert!(output.stdout.ends_with(
        "reach new fossilstart -v backup disk.img:fossil\n\
                 started -v backup disk.img:fossil with\n"
    ));
    assert_eq!(
        reset(&far),
        format!("-\nvac:{SCORE} disk.img:fossil backup\n")
    );
    assert_eq!(far.calls()[0], "new: fossilize disk.img:fossil");
}

#[test]
fn a_dry_run_lets_the_far_side_prove() {
    let far = machines();
    let output = cpsys(&far, LIKE_SSH, &["-n"]);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    let calls = [
        "new: fossilize -n",
        "old: fossilize -n",
        "new: fosreset -n -",
    ];
    assert_eq!(far.calls(), calls);
}

/// The script would record, and cannot prove.
#[test]
fn a_dry_run_that_proves_nothing_says_so_in_its_status() {
    let far = machines();
    let output = cpsys(&far, "scripts = true\n", &["-n"]);
    assert_eq!((output.status, reset(&far)), (3, String::new()));
    let said = "cpsys: new: not run, and nothing was proved: ";
    assert!(output.stderr.starts_with(said), "{output:?}");
    assert!(output.stderr.contains("set scripts = false"), "{output:?}");
    let calls = far.calls();
    assert!(
        calls.len() == 1 && calls[0].starts_with("old: fossilize;"),
        "{calls:?}"
    );
    let shown = format!("reach new fosreset {}\n", line(SCORE));
    assert_eq!(output.stdout, shown, "what would be run is shown");
}

#[test]
fn the_fossil_is_started_on_the_venti_that_the_archive_was_proved_on() {
    for (keys, calls) in [
        (
            LIKE_SSH,
            [
                "-v backup /dev/sdC0/fossil",
                "-v tcp!10.0.0.3!17034 /dev/sdC0/fossil",
            ],
        ),
        (
            "scripts = true\n",
            [
                "/dev/sdC0/fossil with backup",
                "/dev/sdC0/fossil with tcp!10.0.0.3!17034",
            ],
        ),
    ] {
        for (options, call) in [&["--start", "-v", "backup"][..], &["--start"]]
            .iter()
            .zip(calls)
        {
            let far = machines();
            let output = cpsys(&far, keys, options);
            assert_eq!(output.status, 0, "{output:?}");
            let started = output.stdout.lines().last().unwrap_or_default();
            assert!(
                started.starts_with(&format!("started {call}")),
                "{output:?}"
            );
        }
    }
}

#[test]
fn the_partition_of_the_source_can_be_named() {
    let far = machines();
    let echo = format!("echo vac:{SCORE} \"${{1-/dev/sdC0/fossil}}\" tcp!10.0.0.3!17034");
    far.script("old", "fossilize", &echo);
    let output = cpsys(&far, LIKE_SSH, &["-P", "/dev/sdb2", "-p", "/dev/sdc1"]);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(far.calls()[1], "old: fossilize /dev/sdb2");
    let words = format!("-\nvac:{SCORE} /dev/sdc1 tcp!10.0.0.3!17034\n");
    assert_eq!(reset(&far), words);
    // It is the one there too unless another is named.
    let output = cpsys(&far, LIKE_SSH, &["--source-partition", "disk.img:fossil"]);
    assert!(
        output.stdout.contains(" disk.img:fossil tcp!"),
        "{output:?}"
    );

    let far = machines();
    let output = cpsys(&far, LIKE_SSH, &["-P", "/dev/sdb2"]);
    assert_refused(
        &far,
        &output,
        1,
        "expected the line of /dev/sdb2, found the line of /dev/sdC0/fossil",
    );
    let output = cpsys(&far, LIKE_SSH, &["-P", "a b"]);
    assert_refused(&far, &output, 2, "-P: expected the name of a partition");
}

/// The first call there has no partition, the second has: both say so.
#[test]
fn each_line_is_passed_on_once_and_none_with_quiet_unless_something_fails() {
    let far = machines();
    far.script(
        "new",
        "fossilize",
        "echo fossilize: p: no archival snapshot >&2; exit 1",
    );
    let output = cpsys(&far, LIKE_SSH, &[]);
    assert_eq!(far.calls().len(), 4, "{:?}", far.calls());
    let mut lines: Vec<&str> = output.stderr.lines().collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!((output.status, lines.len()), (0, count), "{output:?}");
    for options in [&["-q"][..], &["-q", "--start"], &["-q", "-n"]] {
        let output = cpsys(&far, LIKE_SSH, options);
        let said = (output.stdout.as_str(), output.stderr.as_str());
        assert_eq!((output.status, said), (0, ("", "")));
    }
    far.script(
        "new",
        "fosreset",
        "echo fosreset: it is held open >&2; exit 1",
    );
    let output = cpsys(&far, LIKE_SSH, &["-q"]);
    assert_eq!((output.status, output.stdout.as_str()), (1, ""));
    let end = "cpsys: new: fosreset: it is held open\ncpsys: new: fosreset: exit status 1\n";
    assert!(output.stderr.ends_with(end), "{output:?}");
}

#[test]
fn a_loopback_of_the_source_is_named_where_the_reset_fails() {
    let far = machines();
    let own = format!("echo vac:{SCORE} /dev/sdC0/fossil localhost");
    far.script("old", "fossilize", &own);
    far.script("new", "fosreset", "exit 6");
    let hint = "localhost is what old calls its venti: name it with -v";
    let output = cpsys(&far, LIKE_SSH, &[]);
    assert_refused(&far, &output, 6, hint);
    let output = cpsys(&far, LIKE_SSH, &["-v", "localhost"]);
    assert!(!output.stderr.contains(hint), "{output:?}");
}

/// Debian has two, and the other takes -c for its server.
#[test]
fn the_other_drawterm_is_named() {
    let far = machines();
    let program = far.path("drawterm");
    fs::write(&program, "#!/bin/sh\necho usage: drawterm >&2; exit 1\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for program in [program, far.path("none/drawterm")] {
        let table = format!(
            "[remotes.drawterm]\ncommand = [{program:?}, '-h', '{{host}}', '-c', '{{command}}']\n"
        );
        let command = Command::new("cpsys").config(&table);
        let output = command.args(["-r", "drawterm", "old", "new"]).run();
        for part in ["drawterm-9front", "$PASS"] {
            assert_refused(&far, &output, 6, part);
        }
    }
}

#[test]
fn the_scripts_get_their_words_as_arguments_and_the_shell_tells_the_end() {
    let far = machines();
    let output = cpsys(&far, "scripts = true\n", &[]);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(reset(&far), format!("{}\n", line(SCORE)));
    assert!(!output.stdout.contains("far-status"), "{output:?}");
    far.script("new", "fosreset", "echo no; exit 4");
    let output = cpsys(&far, "scripts = true\n", &[]);
    assert_eq!(output.status, 4, "{output:?}");
    assert!(
        output
            .stderr
            .ends_with("cpsys: new: fosreset: exit status 4\n")
    );
    // Nobody told how it ended.
    far.script("new", "fosreset", "kill -9 $PPID");
    let output = cpsys(&far, "scripts = true\n", &[]);
    assert_eq!(output.status, 3, "{output:?}");
    assert!(
        output.stderr.contains("it may have been done"),
        "{output:?}"
    );
}

/// What the connection breaks off behind may look like a word from the shell.
#[test]
fn a_login_profile_cannot_tell_how_a_command_ended() {
    let far = machines();
    let fosreset = "echo begun >>${VENTIPROG_CONFIG%/*}/reset; echo far-status: 0; kill -9 $PPID";
    far.script("new", "fosreset", fosreset);
    let output = cpsys(&far, "scripts = true\n", &["--start"]);
    assert_eq!(output.status, 3, "{output:?}");
    assert!(
        output.stderr.contains("it may have been done"),
        "{output:?}"
    );
    assert_eq!(far.calls().len(), 3, "not started either");
}

/// The words for a shell of the other kind are an error there, before anything
/// is run.
#[test]
fn a_shell_of_another_kind_resets_nothing() {
    let far = machines();
    let output = cpsys(&far, "shell = 'rc'\nscripts = true\n", &[]);
    assert_refused(
        &far,
        &output,
        6,
        "new: fossilize: exit status 2, and the shell there did not say",
    );
}

#[test]
fn a_destination_without_an_archive_is_noted_and_no_obstacle() {
    let empty = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    for (said, status) in [
        (format!("echo vac:{empty} /dev/sdC0/fossil"), 0),
        ("echo no score?!; exit 1".to_owned(), 0),
        (
            "echo fossilize: p: no archival snapshot: never archived >&2; exit 1".to_owned(),
            0,
        ),
        (
            "echo fossilize: rootscor: cannot be written: no space >&2; exit 1".to_owned(),
            1,
        ),
        ("exit 0".to_owned(), 1),
    ] {
        let far = machines();
        far.script("new", "fossilize", &said);
        let output = cpsys(&far, LIKE_SSH, &[]);
        assert_eq!(output.status, status, "{said} {output:?}");
        if status == 0 {
            assert!(
                output.stderr.contains("new: has no archive to lose"),
                "{output:?}"
            );
            assert_ne!(reset(&far), "");
        } else {
            assert_refused(
                &far,
                &output,
                status,
                "its state is not on record, so it is not reset",
            );
        }
    }
}

/// The real one, of a real partition.
#[test]
fn our_own_fossilize_tells_and_records() {
    let far = machines();
    let image = |host: &str, golden: &str| {
        let bytes = venti_tests::golden::fossil(golden);
        let path = far.path(host).join("fossil");
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let (source, dest) = (image("old", "archived-8k"), image("new", "fresh-8k"));
    for (host, path) in [("old", &source), ("new", &dest)] {
        let bin = far.path(host).join("bin");
        let ours = venti_tests::command::program("fossilize");
        let call = format!("venti=tcp!127.0.0.1!17034 exec {ours} \"${{@:-{path}}}\"");
        far.script(host, "fossilize", &call);
        assert!(bin.exists());
    }
    let output = cpsys(&far, LIKE_SSH, &["-p", &dest]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(
        output.stderr.contains("new: has no archive to lose"),
        "{output:?}"
    );
    let ledger =
        |host: &str| fs::read_to_string(far.path(host).join("state/rootscor")).unwrap_or_default();
    let root = reset(&far);
    let (score, rest) = root.trim_start_matches("-\n").split_once(' ').unwrap();
    assert!(
        ledger("old").contains(&format!("{score} {source} ")),
        "{root}"
    );
    assert_eq!(rest.trim_end(), format!("{dest} tcp!127.0.0.1!17034"));
    assert_eq!(ledger("new"), "");
}

#[test]
fn what_the_source_says_must_be_one_good_line() {
    let good = line(SCORE);
    for said in [
        String::new(),
        "echo no score?!".into(),
        format!("echo '{good}'; echo '{good}'"),
        format!("echo 'vac:{SCORE} /dev/sdC0/fossil; reboot'"),
        format!("echo 'vac:{SCORE} `reboot` v'"),
        format!("echo 'vac:{SCORE} /p $(reboot)'"),
        format!("echo 'vac:{SCORE}0 /p v'"),
        "echo vac:da39a3ee5e6b4b0d3255bfef95601890afd80709 /p v".into(),
        format!("printf 'vac:{SCORE} /p\\000 v\\n'"),
        format!("echo 'vac:{SCORE} -f v'"),
    ] {
        let far = machines();
        far.script("old", "fossilize", &said);
        let output = cpsys(&far, LIKE_SSH, &[]);
        assert_refused(&far, &output, 1, "old: fossilize: expected one line");
    }
}

#[test]
fn noise_is_no_obstacle_until_there_is_too_much_of_it() {
    let far = machines();
    let noise = |blocks: u32| {
        format!(
            "printf 'Welcome\\r\\n\\033[1mvac: is fun\\n'; dd if=/dev/zero bs=1024 count={blocks} 2>/dev/null | \
             tr '\\0' x; echo; echo '{}'; echo you have mail >&2",
            line(SCORE)
        )
    };
    far.script("old", "fossilize", &noise(100));
    let output = cpsys(&far, LIKE_SSH, &[]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(
        output.stderr.starts_with("cpsys: old: you have mail\n"),
        "{output:?}"
    );

    let far = machines();
    far.script("old", "fossilize", &noise(1024));
    let output = cpsys(&far, LIKE_SSH, &[]);
    assert_refused(
        &far,
        &output,
        6,
        "old: fossilize: more than 262144 bytes of output: killed",
    );
}

#[test]
fn a_machine_that_fails_is_named_with_command_status_and_words() {
    for (host, said, status, why) in [
        (
            "old",
            "echo broken >&2; exit 4",
            4,
            "old: fossilize: exit status 4; nothing was reset",
        ),
        ("old", "exit 3", 3, "old: an archive is under way there"),
        ("old", "exit 255", 6, "old: fossilize: no connection"),
        (
            "old",
            "exec sleep 60",
            6,
            "old: fossilize: not done after 1s: killed",
        ),
        ("new", "exit 255", 6, "new: fossilize: no connection"),
        (
            "new",
            "exec sleep 60",
            6,
            "new: fossilize: not done after 1s: killed",
        ),
    ] {
        let far = machines();
        far.script(host, "fossilize", said);
        let keys = format!("{LIKE_SSH}[limits]\nremote = 1\n");
        let output = cpsys(&far, &keys, &[]);
        assert_refused(&far, &output, status, why);
        if said.contains("broken") {
            assert!(
                output.stderr.starts_with("cpsys: old: broken\n"),
                "{output:?}"
            );
        }
    }
    let far = machines();
    let command = Command::new("cpsys").config(&far.config(LIKE_SSH));
    let output = command.args(["nobody", "new"]).run();
    assert_refused(&far, &output, 6, "nobody: fossilize: no connection");
    assert!(
        output
            .stderr
            .contains("cpsys: nobody: no route to nobody\n"),
        "{output:?}"
    );
}

/// Whatever becomes of it, a reset is begun once.
#[test]
fn a_reset_that_was_begun_is_never_repeated() {
    for (said, status, why) in [
        (
            "exit 255",
            3,
            "no connection, or it was lost: exit status 255: it may have been done",
        ),
        (
            "exec sleep 60",
            3,
            "not done after 1s: killed: it may have been done",
        ),
        ("exit 1", 1, "new: fosreset: exit status 1"),
        ("exit 4", 4, "new: fosreset: exit status 4"),
        ("exit 6", 6, "new: fosreset: exit status 6"),
    ] {
        let far = machines();
        far.script("new", "fosreset", &format!("echo begun >>reset\n{said}"));
        let keys = format!("{LIKE_SSH}[limits]\nremote = 1\n");
        let output = cpsys(&far, &keys, &["--start"]);
        assert_eq!(output.status, status, "{output:?}");
        assert!(
            output.stderr.lines().last().unwrap().contains(why),
            "{output:?}"
        );
        assert_eq!(reset(&far), "begun\n");
        assert_eq!(far.calls().len(), 3, "not started either");
    }
}

#[test]
fn a_fossil_that_does_not_start_is_no_lost_reset() {
    let far = machines();
    far.script("new", "fossilstart", "echo no venti >&2; exit 1");
    let output = cpsys(&far, LIKE_SSH, &["--start"]);
    assert_eq!(output.status, 3);
    let said = "cpsys: new: no venti\n\
                cpsys: new: fossilstart: exit status 1; the reset is done, start the fossil there\n";
    assert_eq!(output.stderr, said);
    // Nor is one that takes too long.
    far.script("new", "fossilstart", "exec sleep 60");
    let keys = format!("{LIKE_SSH}[limits]\nremote = 3\n");
    let output = cpsys(&far, &keys, &["--start"]);
    assert_eq!(output.status, 3, "{output:?}");
    let end = "fossilstart: not done after 3s: killed; the reset is done, start the fossil there\n";
    assert!(output.stderr.ends_with(end), "{output:?}");
}

/// It may have written already.
#[test]
fn of_a_reset_that_a_signal_ended_nobody_knows_whether_it_was_done() {
    let far = machines();
    far.script("new", "fosreset", "kill -9 $$");
    let output = cpsys(&far, LIKE_SSH, &["--start"]);
    assert_eq!(output.status, 3, "{output:?}");
    assert!(
        output.stderr.contains("it may have been done"),
        "{output:?}"
    );
    let output = cpsys(&far, LIKE_SSH, &["-n"]);
    assert_eq!(output.status, 1, "{output:?}");
}

#[test]
fn a_machine_is_not_made_a_copy_of_itself() {
    let far = machines();
    let run = |arguments: &[&str]| {
        let command = Command::new("cpsys").config(&far.config(LIKE_SSH));
        command.args(arguments).args(["new", "new"]).run()
    };
    let output = run(&[]);
    assert_refused(&far, &output, 2, "new: is both source and destination");
    assert_eq!(run(&["-p", "/dev/sdD0/fossil"]).status, 0);
}

#[test]
fn a_source_without_a_venti_needs_one_named() {
    let far = machines();
    far.script(
        "old",
        "fossilize",
        &format!("echo vac:{SCORE} /dev/sdC0/fossil"),
    );
    let output = cpsys(&far, LIKE_SSH, &[]);
    assert_refused(
        &far,
        &output,
        1,
        "old: fossilize names no venti: name one with -v",
    );
    assert_eq!(cpsys(&far, LIKE_SSH, &["-v", "h"]).status, 0);
}

#[test]
fn a_partition_that_is_not_the_default_is_recorded_too() {
    let far = machines();
    far.script(
        "old",
        "fossilize",
        &format!("echo vac:{SCORE} /dev/sdD0/fossil v"),
    );
    let output = cpsys(&far, LIKE_SSH, &[]);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(far.calls()[2], "new: fossilize /dev/sdD0/fossil");
}

/// That the destination's own default has no archive says nothing of the partition
/// that will be lost.
#[test]
fn a_default_without_an_archive_is_not_the_partition_that_is_lost() {
    let far = machines();
    let fossilize = format!(
        "case $1 in '') echo /srv/f: no archival snapshot >&2; exit 1;; \
         *) echo vac:{OLD} $1 v;; esac"
    );
    far.script("new", "fossilize", &fossilize);
    let output = cpsys(&far, LIKE_SSH, &[]);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(far.calls()[2], "new: fossilize /dev/sdC0/fossil");
    let recorded = format!("vac:{OLD} /dev/sdC0/fossil v\n");
    assert!(output.stdout.starts_with(&recorded), "{output:?}");
    // One that cannot be recorded is not reset.
    far.script(
        "new",
        "fossilize",
        "case $1 in '') echo no score?!; esac; exit 1",
    );
    fs::remove_file(far.path("new").join("reset")).unwrap();
    let output = cpsys(&far, LIKE_SSH, &[]);
    assert_refused(&far, &output, 1, "its state is not on record");
}

#[test]
fn bad_words_are_refused_before_anything_is_run() {
    let far = machines();
    for arguments in [
        &["old"][..],
        &["old", "new", "more"],
        &["-oProxyCommand=x", "new"],
        &["old", "new;reboot"],
        &["old", ""],
        &["-p", "-f", "old", "new"],
        &["-p", "a b", "old", "new"],
        &["-v", "!!", "old", "new"],
    ] {
        let command = Command::new("cpsys").config(&far.config(LIKE_SSH));
        let output = command.args(arguments).run();
        assert_eq!(output.status, 2, "{arguments:?} {output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    }
    assert!(!Path::new(&far.path("calls")).exists());
}

/// The way of the default configuration: real servers, real keys, a real shell.
#[test]
fn over_ssh_the_words_and_the_status_arrive_as_they_were() {
    let far = machines();
    let Some(mut ssh) = Ssh::start(&far, &["old", "new"]) else {
        return;
    };
    let run = |ssh: &Ssh| {
        let command = Command::new("cpsys").config(&ssh.config());
        command.args(["-p", "/a/b#c", "old", "new"]).run()
    };
    let output = run(&ssh);
    assert_eq!(output.status, 0, "{output:?}");
    let words = format!("vac:{SCORE} /a/b#c tcp!10.0.0.3!17034");
    assert!(output.stdout.ends_with(&format!(
        "ssh new fosreset vac:{SCORE} '/a/b#c' tcp!10.0.0.3!17034\n"
    )));
    assert_eq!(reset(&far), format!("-\n{words}\n"));

    far.script("new", "fosreset", "echo broken >&2; exit 4");
    let output = run(&ssh);
    assert_eq!(output.status, 4, "{output:?}");
    assert!(
        output
            .stderr
            .ends_with("cpsys: new: broken\ncpsys: new: fosreset: exit status 4\n")
    );

    // The connection is dropped after the reset began.
    far.script(
        "new",
        "fosreset",
        "cd ${VENTIPROG_CONFIG%/*}; echo begun >>begun; kill -9 $PPID; sleep 1",
    );
    let output = run(&ssh);
    assert_eq!(output.status, 3, "{output:?}");
    assert!(
        output.stderr.contains("it may have been done"),
        "{output:?}"
    );
    assert_eq!(
        fs::read_to_string(far.path("new").join("begun")).unwrap(),
        "begun\n"
    );

    ssh.stop(0);
    let output = run(&ssh);
    assert_eq!(output.status, 6, "{output:?}");
    assert!(
        output
            .stderr
            .contains("cpsys: old: fossilize: no connection"),
        "{output:?}"
    );
}
