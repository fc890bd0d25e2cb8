//! What `docs/contrib` has for systemd, cron and OpenRC.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use venti_tests::command;
use venti_tests::machine::Machine;

fn contrib(path: &str) -> PathBuf {
    command::root().join("docs/contrib").join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files of a directory of `docs/contrib`, sorted: name and text.
fn files(directory: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(contrib(directory)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                read(&entry.path()),
            )
        })
        .collect();
    files.sort();
    files
}

/// The values of a key in a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let lines = unit.lines();
    lines
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .collect()
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    let directory = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for (name, text) in files("systemd") {
        // What is not installed here is no fault of a unit.
        let text = text
            .replace("ExecStart=", "ExecStart=/bin/true ")
            .replace("ExecStop=-", "ExecStop=-/bin/true ");
        let path = directory.path().join(name.replace("@.", "@main."));
        fs::write(&path, text).unwrap();
        units.push(path);
    }
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).args(&units);
    verify.env(
        "SYSTEMD_UNIT_PATH",
        format!("{}:", directory.path().display()),
    );
    let output = match verify.output() {
        Ok(output) => output,
        Err(error) => {
            command::skipped(&format!("systemd-analyze: {error}"));
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // It loads other units of the machine, too.
    let names = |line: &&str| {
        let ours = directory.path().to_string_lossy();
        let named = ["ventiprog", "ventilag", "ventiserve", "rootcheck", "fossil"];
        line.contains(&*ours) || named.iter().any(|name| line.contains(name))
    };
    let faults: Vec<&str> = said.lines().filter(names).collect();
    assert!(faults.is_empty(), "{said}");
}

#[test]
fn a_unit_is_named_like_the_command_it_runs() {
    for (name, text) in files("systemd") {
        let tool = name.split(['@', '.']).next().unwrap();
        let commands = values(&text, "ExecStart");
        for (number, command) in commands.into_iter().enumerate() {
            let program = command.split(' ').next().unwrap();
            // Wherever it is installed: systemd looks in all the usual places. What comes
            // after may be several commands.
            assert!(program == tool || number > 0 && program == "sh", "{name}");
        }
    }
}

#[test]
fn the_service_tells_what_passes_from_what_does_not() {
    use venticore::status::Status;
    let unit = read(&contrib("systemd/ventiprog.service"));
    let passes = [Status::Done, Status::Locked, Status::Unreachable];
    let mut stays: Vec<u8> = Status::ALL
        .iter()
        .filter(|status| !passes.contains(status))
        .map(|status| status.code())
        .collect();
    stays.sort_unstable();
    let stays: Vec<String> = stays.iter().map(u8::to_string).collect();
    assert_eq!(values(&unit, "Restart"), ["on-failure"]);
    assert_eq!(values(&unit, "RestartPreventExitStatus"), [stays.join(" ")]);
    assert!(values(&unit, "SuccessExitStatus").is_empty());
    assert_eq!(values(&unit, "StateDirectoryMode"), ["0700"]);
    let timer = read(&contrib("systemd/ventiprog.timer"));
    assert_eq!(values(&timer, "Persistent"), ["true"]);
    assert_eq!(values(&timer, "RandomizedDelaySec").len(), 1);
}

/// What a unit may do stands between these lines of each that runs once.
#[test]
fn the_units_that_run_once_are_hardened_alike() {
    let hardened = |text: &str| {
        let start = text.find("CapabilityBoundingSet=")?;
        Some(text[start..].to_owned())
    };
    let services = files("systemd").into_iter();
    let once = services.filter(|(_, text)| values(text, "Type") == ["oneshot"]);
    let all: Vec<_> = once.map(|(name, text)| (name, hardened(&text))).collect();
    assert!(all.len() > 2, "{all:?}");
    let (_, first) = &all[0];
    assert!(first.as_ref().unwrap().contains("ProtectSystem=strict"));
    for (name, found) in &all {
        assert_eq!(found, first, "{name}");
    }
}

/// It writes one directory, and needs no right of root's.
#[test]
fn the_server_is_hardened_like_the_others_and_tells_when_it_serves() {
    let unit = read(&contrib("systemd/ventiserve.service"));
    let other = read(&contrib("systemd/ventiprog.service"));
    let (_, hardened) = other.split_once("DevicePolicy=closed\n").unwrap();
    let shared = |line: &&str| !line.starts_with("DeviceAllow") && !line.starts_with("ProtectHome");
    for line in hardened.lines().filter(shared) {
        assert!(unit.lines().any(|of| of == line), "{line}");
    }
    for (key, value) in [
        ("Type", "notify"),
        ("DynamicUser", "yes"),
        ("CapabilityBoundingSet", ""),
        ("KillSignal", "SIGTERM"),
        ("StateDirectory", "venti"),
    ] {
        assert_eq!(values(&unit, key), [value], "{key}");
    }
    // Each option in it is one of the command.
    let help = command::Command::new("ventiserve").arg("--help").run();
    for option in values(&unit, "Environment").join(" ").split(' ') {
        if let Some(option) = option.strip_prefix('-') {
            assert!(help.stdout.contains(&format!("-{option}, ")), "{option}");
        }
    }
    let socket = read(&contrib("systemd/ventiserve.socket"));
    for address in values(&socket, "ListenStream") {
        let is_local = address.starts_with("127.0.0.1:") || address.starts_with("[::1]:");
        assert!(is_local && address.ends_with(":17034"), "{address}");
    }
}

/// The drill of the unit and the drill of cron are one.
#[test]
fn the_restore_drill_reads_one_root_like_a_copy() {
    let unit = read(&contrib("systemd/rootcheck.service"));
    let [check, get] = values(&unit, "ExecStart")[..] else {
        panic!("{unit}");
    };
    let cron = read(&contrib("cron/rootcheck"));
    let lines: Vec<&str> = cron.lines().filter(|line| !line.starts_with('#')).collect();
    let script = get
        .strip_prefix("sh -c '")
        .unwrap()
        .strip_suffix('\'')
        .unwrap();
    let commands = [check, &script.replace("$$", "$")];
    for (line, command) in lines.iter().zip(commands) {
        assert_eq!(line.splitn(7, ' ').nth(6), Some(command));
    }
    for key in ["OnSuccess", "OnFailure"] {
        assert_eq!(values(&unit, key), ["ventilag.service"], "{key}");
    }
    assert!(values(&unit, "SuccessExitStatus").is_empty());
}

#[test]
fn the_lines_for_cron_work() {
    let machine = Machine::scratch();
    machine.put(
        "/etc/ventiprog.toml",
        machine.here("source = 'localhost'\ntargets = ['venti1.example.org']\nindex = 'http://localhost:8000/index'\n"),
    );
    // The first backup is made by hand.
    for command in ["ventiprog -q", "fossilize /dev/sdb2"] {
        let output = machine.run(command);
        assert_eq!(output.status, 0, "{command}: {output:?}");
    }
    let mut run = 0;
    for (_, text) in files("cron") {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let command: Vec<&str> = line.splitn(7, ' ').collect();
            assert_eq!(command[5], "root", "{line}");
            let output = machine.run(command[6]);
            assert_eq!(output.status, 0, "{line}: {output:?}");
            run += 1;
        }
    }
    assert!(run > 0);
}

#[test]
fn the_scripts_for_openrc_are_scripts() {
    for (name, _) in files("openrc") {
        let checked = Command::new("sh")
            .arg("-n")
            .arg(contrib("openrc").join(&name))
            .output();
        let output = checked.unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
}
