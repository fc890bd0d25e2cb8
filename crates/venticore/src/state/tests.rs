//! The state directory: locks, replaced files and the log, against every fault that can be made here.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::{Command, Output};
use std::thread;
use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::*;

const COMMENT: &str = "# 2026-11-22T03:56:12Z wren ventiprog\n";
/// Names a scratch directory to the tests that run as children.
const SCRATCH: &str = "VENTICORE_TEST_SCRATCH";

fn stamp() -> Stamp<'static> {
    Stamp {
        time: UNIX_EPOCH + Duration::from_secs(1_795_319_772),
        host: "wren",
        tool: "ventiprog",
    }
}

fn scratch() -> (TempDir, StateDir) {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    (dir, state)
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn log(state: &StateDir, lines: &[&str]) -> Result<Access, StateError> {
    state.append_rootscor(&stamp(), lines, Duration::ZERO)
}

/// Runs an ignored test of this module in a process of its own, after a
/// shell has run `setup` in it, with a scratch directory.
fn in_child(setup: &str, wrapper: &[&str], test: &str, dir: &Path) -> Output {
    let script = format!("{setup}\nexec \"$@\"");
    let shell = ["sh", "-c", &script, "sh"];
    let argv: Vec<_> = wrapper.iter().chain(&shell).collect();
    Command::new(argv[0])
        .args(&argv[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg(format!("state::tests::{test}"))
        .env(SCRATCH, dir)
        .output()
        .unwrap()
}

fn passed(output: &Output) -> bool {
    let text = String::from_utf8_lossy(&output.stdout);
    let ok = output.status.success() && text.contains("1 passed");
    if !ok {
        eprintln!("{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    ok
}

/// The scratch directory of a child; none where the ignored tests are run by hand.
fn child_scratch() -> Option<PathBuf> {
    std::env::var_os(SCRATCH).map(PathBuf::from)
}

#[test]
fn a_directory_is_made_private_and_its_parents_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/state");
    assert!(StateDir::existing(&path).unwrap().is_none());
    assert!(!dir.path().join("a").exists());
    let state = StateDir::open(&path).unwrap();
    assert_eq!(state.path(), path);
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(dir.path().join("a")) & 0o700, 0o700);
    assert_ne!(mode(dir.path().join("a/b")), 0o700);
    StateDir::open(&path).unwrap();
}

#[test]
fn a_file_in_place_of_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("state")] {
        let error = StateDir::open(&path).unwrap_err().to_string();
        assert!(
            error.contains("file") && error.contains("irectory"),
            "{error}"
        );
    }
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

#[test]
fn reading_only_writes_nothing() {
    let (dir, state) = scratch();
    state.replace("wrcmd", b"old\n").unwrap();
    let state = StateDir::existing(dir.path()).unwrap().unwrap();
    assert_eq!(state.read_wrcmd().unwrap().as_deref(), Some(&b"old\n"[..]));
    assert!(state.replace("wrcmd", b"new\n").is_err());
    assert!(log(&state, &["x"]).is_err());
    assert!(state.lock().is_err());
    assert_eq!(names(dir.path()), ["wrcmd"]);
}

#[test]
fn a_second_run_is_told_who_holds_the_lock() {
    let (dir, state) = scratch();
    let held = state.lock().unwrap();
    let error = StateDir::open(dir.path()).unwrap().lock().unwrap_err();
    assert!(matches!(error, StateError::Locked { .. }));
    let pid = std::process::id();
    assert_eq!(
        error.to_string(),
        format!("another run holds the lock: pid {pid}")
    );
    assert_eq!(mode(dir.path().join("lock")), 0o600);
    drop(held);
    fs::write(dir.path().join("lock"), "99999999999999 and more\n").unwrap();
    drop(state.lock().unwrap());
    assert_eq!(
        fs::read_to_string(dir.path().join("lock")).unwrap(),
        format!("{pid}\n")
    );
}

#[test]
fn half_a_pid_is_no_pid() {
    let (dir, state) = scratch();
    let _held = state.lock().unwrap();
    for text in [
        "",
        "12",
        "12345678901234567890\n",
        "x\n",
        "\n",
        "-1\n",
        "\u{e9}\n",
        "\0\0\n",
    ] {
        fs::write(dir.path().join("lock"), text).unwrap();
        let error = state.lock().unwrap_err();
        assert!(
            matches!(error, StateError::Locked { pid: None }),
            "{text:?}"
        );
        assert_eq!(error.to_string(), "another run holds the lock");
    }
}

#[test]
fn the_lock_goes_with_its_process() {
    let dir = tempfile::tempdir().unwrap();
    assert!(passed(&in_child(
        "",
        &[],
        "child_takes_the_lock_and_dies",
        dir.path()
    )));
    let pid = fs::read_to_string(dir.path().join("lock")).unwrap();
    assert_ne!(pid, format!("{}\n", std::process::id()));
    StateDir::open(dir.path()).unwrap().lock().unwrap();
}

#[test]
#[ignore = "run by the_lock_goes_with_its_process"]
fn child_takes_the_lock_and_dies() {
    let Some(dir) = child_scratch() else { return };
    std::mem::forget(StateDir::open(&dir).unwrap().lock().unwrap());
}

#[test]
fn a_file_is_replaced_whole_and_private() {
    let (dir, state) = scratch();
    assert_eq!(state.read_wrcmd().unwrap(), None);
    fs::write(dir.path().join("wrcmd"), "an old and longer line\n").unwrap();
    fs::set_permissions(dir.path().join("wrcmd"), fs::Permissions::from_mode(0o644)).unwrap();
    state.replace("wrcmd", b"new\n").unwrap();
    assert_eq!(state.read_wrcmd().unwrap().as_deref(), Some(&b"new\n"[..]));
    assert_eq!(mode(dir.path().join("wrcmd")), 0o600);
    assert_eq!(names(dir.path()), ["wrcmd"]);
}

#[test]
fn a_file_is_as_private_as_it_should_be_under_any_umask() {
    let dir = tempfile::tempdir().unwrap();
    for umask in ["umask 0", "umask 277"] {
        assert!(passed(&in_child(umask, &[], "child_replaces", dir.path())));
        assert_eq!(mode(dir.path().join("wrcmd")), 0o600);
    }
}

#[test]
#[ignore = "run by a_file_is_as_private_as_it_should_be_under_any_umask"]
fn child_replaces() {
    let Some(dir) = child_scratch() else { return };
    StateDir::open(&dir)
        .unwrap()
        .replace("wrcmd", b"x")
        .unwrap();
}

#[test]
fn a_file_that_is_too_long_or_no_file_is_not_read() {
    let (dir, state) = scratch();
    state.replace("wrcmd", &[b'x'; WrCmd::MAX_LEN]).unwrap();
    assert_eq!(state.read_wrcmd().unwrap().unwrap().len(), WrCmd::MAX_LEN);
    state.replace("wrcmd", &[b'x'; WrCmd::MAX_LEN + 1]).unwrap();
    let error = state.read_wrcmd().unwrap_err().to_string();
    assert!(
        error.ends_with("wrcmd: expected at most 4096 bytes, found more"),
        "{error}"
    );
    let fifo = dir.path().join("wrcmds");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    assert!(matches!(state.read_wrcmds(), Err(StateError::NotAFile(_))));
    assert!(matches!(
        state.replace("wrcmds", b"x"),
        Err(StateError::NotAFile(_))
    ));
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
}

#[test]
fn only_plain_names_are_replaced() {
    let (dir, state) = scratch();
    fs::create_dir(dir.path().join("sub")).unwrap();
    for name in [
        "", ".", "..", "sub/x", "../x", ".hidden", "a\0b", "lock", "rootscor",
    ] {
        let error = state.replace(name, b"x").unwrap_err();
        assert!(error.to_string().contains("invalid filename"), "{error}");
    }
    assert!(matches!(
        state.replace("sub", b"x"),
        Err(StateError::NotAFile(_))
    ));
    assert_eq!(names(dir.path()), ["sub"]);
}

/// A directory may belong to a service user while root runs a command in it.
#[test]
fn no_link_is_followed() {
    let (dir, state) = scratch();
    let target = dir.path().join("target");
    for to in [&target, Path::new("/nonexistent/target")] {
        fs::write(&target, "theirs").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
        for name in ["lock", "wrcmd", "wrcmds", "rootscor", "log"] {
            let _ = fs::remove_file(state.path_of(name));
            symlink(to, state.path_of(name)).unwrap();
        }
        let is_link = |result: Result<(), StateError>| matches!(result, Err(StateError::Link(_)));
        assert!(is_link(state.lock().map(drop)));
        assert!(is_link(state.lock_file("lock").map(drop)));
        assert!(is_link(state.replace("wrcmd", b"x")));
        assert!(is_link(state.replace("wrcmds", b"x")));
        assert!(is_link(log(&state, &["x"]).map(drop)));
        assert!(is_link(state.log("log").map(drop)));
        assert!(is_link(state.read_wrcmd().map(drop)));
        assert!(is_link(state.read_wrcmds().map(drop)));
        assert_eq!(state.tighten(), Vec::<String>::new());
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        assert_eq!(mode(&target), 0o644);
    }
    let said = state.read_wrcmd().unwrap_err().to_string();
    assert!(
        said.contains("found a symbolic link: put the file itself there"),
        "{said}"
    );
}

#[test]
fn a_directory_that_anybody_can_write_is_refused() {
    let (dir, _) = scratch();
    let allow = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o777, 0o1777, 0o702] {
        allow(mode);
        let error = StateDir::open(dir.path()).unwrap_err();
        assert!(matches!(error, StateError::Exposed { .. }), "{error}");
        // What is there can still be looked at.
        assert!(StateDir::existing(dir.path()).unwrap().is_some());
    }
    for mode in [0o700, 0o755, 0o775] {
        allow(mode);
        assert_eq!(StateDir::open(dir.path()).unwrap().strangers(), None);
    }
    assert!(matches!(
        StateDir::open(Path::new("/dev/..")),
        Err(StateError::RootDirectory)
    ));
    assert!(matches!(
        StateDir::open(Path::new("")),
        Err(StateError::Unnamed)
    ));
    assert!(matches!(
        StateDir::existing(Path::new("")),
        Err(StateError::Unnamed)
    ));
}

#[test]
fn a_directory_of_another_user_is_named_and_a_file_with_a_second_name_refused() {
    let (dir, state) = scratch();
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, "theirs").unwrap();
    fs::hard_link(&elsewhere, state.path_of("lock")).unwrap();
    fs::hard_link(&elsewhere, state.path_of("rootscor")).unwrap();
    // In a directory of our own we are free to.
    log(&state, &["x"]).unwrap();
    assert_eq!(state.strangers(), None);
    if std::os::unix::fs::chown(dir.path(), Some(1234), None).is_err() {
        eprintln!("skipped: only root gives files away");
        return;
    }
    let before = fs::read(&elsewhere).unwrap();
    assert!(matches!(state.lock(), Err(StateError::SecondName(_))));
    assert!(matches!(
        log(&state, &["x"]),
        Err(StateError::SecondName(_))
    ));
    assert!(matches!(
        state.read("lock", 100),
        Err(StateError::SecondName(_))
    ));
    assert_eq!(fs::read(&elsewhere).unwrap(), before);
    let said = state.strangers().unwrap();
    assert!(
        said.contains(": belongs to user 1234, who can change"),
        "{said}"
    );
}

#[test]
fn what_others_could_read_is_put_back_and_told() {
    let (dir, state) = scratch();
    for (name, to) in [
        ("wrcmd", 0o644),
        ("wrcmds", 0o640),
        ("rootscor", 0o600),
        ("other", 0o644),
    ] {
        fs::write(dir.path().join(name), "x").unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(to)).unwrap();
    }
    let told = state.tighten();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("wrcmds: was open to others, mode 640: now 600"),
        "{told:?}"
    );
    let modes = ["wrcmd", "wrcmds", "rootscor", "other"].map(|name| mode(dir.path().join(name)));
    assert_eq!(modes, [0o600, 0o600, 0o600, 0o644]);
    assert_eq!(state.tighten(), Vec::<String>::new());
}

#[test]
fn what_crashed_runs_left_is_removed_with_the_lock() {
    let (dir, state) = scratch();
    let left = [".wrcmd.17-0.new", ".wrcmds.4711-12.new"];
    let kept = [
        ".wrcmd.new",
        ".wrcmd.1-x.new",
        ".wrcmd.1-.new",
        "wrcmd.1-2.new",
        ".wrcmd.1-2.new~",
        "..1-2.new",
    ];
    for name in left.iter().chain(&kept) {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    fs::create_dir(dir.path().join(".wrcmd.1-1.new")).unwrap();
    let in_use = dir.path().join(".wrcmd.2-2.new");
    let file = File::create(&in_use).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    let _held = state.lock().unwrap();
    assert!(left.iter().all(|name| !dir.path().join(name).exists()));
    assert!(kept.iter().all(|name| dir.path().join(name).exists()));
    assert!(in_use.exists());
}

#[test]
fn an_entry_of_the_log() {
    let (dir, state) = scratch();
    assert_eq!(
        log(&state, &["vac:da39 /dev/f $venti", "old"]).unwrap(),
        Access::Private
    );
    assert_eq!(log(&state, &[]).unwrap(), Access::Private);
    let text = fs::read_to_string(dir.path().join("rootscor")).unwrap();
    assert_eq!(
        text,
        format!("{COMMENT}vac:da39 /dev/f $venti\nold\n{COMMENT}")
    );
    assert_eq!(mode(dir.path().join("rootscor")), 0o600);
}

#[test]
fn a_torn_last_line_is_ended_first_and_the_file_stays_the_same_file() {
    let (dir, state) = scratch();
    let path = dir.path().join("rootscor");
    fs::write(&path, "vac:torn").unwrap();
    let mut shell = OpenOptions::new().append(true).open(&path).unwrap();
    log(&state, &["x"]).unwrap();
    io::Write::write_all(&mut shell, b"by a shell\n").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("vac:torn\n{COMMENT}x\nby a shell\n"));
}

#[test]
fn a_log_open_to_others_is_closed_to_them() {
    let (dir, state) = scratch();
    let path = dir.path().join("rootscor");
    fs::write(&path, "old\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let access = log(&state, &["x"]).unwrap();
    assert_eq!(access, Access::Tightened(0o640));
    assert!(
        access
            .to_string()
            .starts_with("was open to others, mode 640")
    );
    assert_eq!(mode(&path), 0o600);
    assert_eq!(log(&state, &["x"]).unwrap(), Access::Private);
}

#[test]
fn more_than_a_line_is_no_entry() {
    let (dir, state) = scratch();
    for line in ["a\nb", "a\0", "\n"] {
        assert!(matches!(
            log(&state, &["fine", line]),
            Err(StateError::Entry(_))
        ));
    }
    let stamp = Stamp {
        host: "a\nb",
        ..stamp()
    };
    assert!(
        state
            .append_rootscor(&stamp, &["x"], Duration::ZERO)
            .is_err()
    );
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_log_that_another_has_locked_is_waited_for_so_long_and_no_longer() {
    let (dir, state) = scratch();
    let path = dir.path().join("rootscor");
    fs::write(&path, "old\n").unwrap();
    let other = File::open(&path).unwrap();
    flock(&other, FlockOperation::LockExclusive).unwrap();
    let wait = Duration::from_millis(60);
    let start = std::time::Instant::now();
    let error = state.append_rootscor(&stamp(), &["x"], wait).unwrap_err();
    assert!(matches!(error, StateError::Busy { .. }));
    assert!(start.elapsed() >= wait);
    assert_eq!(fs::read(&path).unwrap(), b"old\n");
    let waiting =
        thread::spawn(move || state.append_rootscor(&stamp(), &["x"], Duration::from_secs(30)));
    thread::sleep(wait);
    assert!(!waiting.is_finished());
    drop(other);
    waiting.join().unwrap().unwrap();
}

/// Appends to a log that is locked, moved away during the wait, and then
/// replaced by a file with these bytes, if any.
fn append_to_moved(replacement: Option<&str>) -> String {
    let (dir, state) = scratch();
    let path = dir.path().join("rootscor");
    fs::write(&path, "old\n").unwrap();
    let other = File::open(&path).unwrap();
    flock(&other, FlockOperation::LockExclusive).unwrap();
    let waiting =
        thread::spawn(move || state.append_rootscor(&stamp(), &["x"], Duration::from_secs(30)));
    thread::sleep(Duration::from_millis(100));
    fs::rename(&path, dir.path().join("moved")).unwrap();
    if let Some(text) = replacement {
        fs::write(&path, text).unwrap();
    }
    drop(other);
    waiting.join().unwrap().unwrap();
    assert_eq!(fs::read(dir.path().join("moved")).unwrap(), b"old\n");
    fs::read_to_string(&path).unwrap()
}

#[test]
fn a_log_moved_away_during_the_wait_is_not_written_to() {
    let entry = format!("{COMMENT}x\n");
    assert_eq!(append_to_moved(None), entry);
    assert_eq!(append_to_moved(Some("new\n")), format!("new\n{entry}"));
}

#[test]
fn the_log_must_be_a_file() {
    let (dir, state) = scratch();
    let path = dir.path().join("rootscor");
    fs::create_dir(&path).unwrap();
    assert!(log(&state, &["x"]).is_err());
    fs::remove_dir(&path).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    assert!(matches!(log(&state, &["x"]), Err(StateError::NotAFile(_))));
}

#[test]
fn entries_of_several_writers_are_all_there_and_whole() {
    let (dir, state) = scratch();
    let path = dir.path().join("rootscor");
    let writer = |id: u32| {
        let state = state.clone();
        move || {
            for n in 0..50 {
                let line = format!("{id}-{n}-{}", "x".repeat(100));
                state
                    .append_rootscor(&stamp(), &[&line, &line], StateDir::ROOTSCOR_WAIT)
                    .unwrap();
            }
        }
    };
    let writers: Vec<_> = (0..4).map(|id| thread::spawn(writer(id))).collect();
    let shell = Command::new("sh")
        .args([
            "-c",
            "for i in 1 2 3 4 5 6 7 8 9 10; do echo shell >>rootscor; done",
        ])
        .current_dir(dir.path())
        .status()
        .unwrap();
    assert!(shell.success());
    for writer in writers {
        writer.join().unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| *line != "shell").collect();
    assert_eq!(text.lines().count() - lines.len(), 10);
    assert_eq!(lines.len(), 4 * 50 * 3);
    for entry in lines.chunks(3) {
        assert_eq!(entry[0], COMMENT.trim_end());
        assert_eq!(entry[1], entry[2]);
    }
}

/// A limit on the size of files makes the kernel write a part, then nothing.
#[test]
fn a_write_cut_short_leaves_all_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let old = "x".repeat(1000) + "\n";
    for name in ["wrcmd", "rootscor"] {
        fs::write(dir.path().join(name), &old).unwrap();
    }
    // Two units of 512 or of 1024 bytes, as the shell counts.
    let setup = "trap '' XFSZ; ulimit -f 2";
    assert!(passed(&in_child(
        setup,
        &[],
        "child_writes_too_much",
        dir.path()
    )));
    for name in ["wrcmd", "rootscor"] {
        assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), old);
    }
    assert_eq!(names(dir.path()), ["rootscor", "wrcmd"]);
}

#[test]
#[ignore = "run by a_write_cut_short_leaves_all_as_it_was"]
fn child_writes_too_much() {
    let Some(dir) = child_scratch() else { return };
    let state = StateDir::open(&dir).unwrap();
    let error = state.replace("wrcmd", &[b'y'; 4000]).unwrap_err();
    assert!(matches!(error, StateError::Write { .. }), "{error}");
    let error = log(&state, &[&"z".repeat(4000)]).unwrap_err().to_string();
    assert!(error.contains("cannot be written: only "), "{error}");
}

/// A small file system of its own, full and then read-only; needs root.
#[test]
fn a_full_or_read_only_disk_leaves_all_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size=32k,mode=700 none \"${SCRATCH}\"");
    let private = ["unshare", "-m"];
    let able = Command::new("unshare")
        .args(["-m", "sh", "-c", &mount])
        .env(SCRATCH, dir.path())
        .output();
    if !able.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let setup = format!("{mount} || exit 9");
    assert!(passed(&in_child(
        &setup,
        &private,
        "child_fills_the_disk",
        dir.path()
    )));
}

#[test]
#[ignore = "run by a_full_or_read_only_disk_leaves_all_as_it_was"]
fn child_fills_the_disk() {
    let Some(dir) = child_scratch() else { return };
    let state = StateDir::open(&dir).unwrap();
    state.replace("wrcmd", b"old\n").unwrap();
    log(&state, &["old"]).unwrap();
    let before = fs::read(dir.join("rootscor")).unwrap();
    let unchanged = || {
        assert_eq!(fs::read(dir.join("wrcmd")).unwrap(), b"old\n");
        assert_eq!(fs::read(dir.join("rootscor")).unwrap(), before);
        assert_eq!(names(&dir), ["rootscor", "wrcmd"]);
    };
    let large = "z".repeat(40_000);
    let full = state.replace("wrcmd", large.as_bytes()).unwrap_err();
    assert!(full.to_string().contains("No space left"), "{full}");
    unchanged();
    assert!(matches!(
        log(&state, &[&large]),
        Err(StateError::Write { .. })
    ));
    unchanged();
    let remount = ["-o", "remount,ro"];
    assert!(
        Command::new("mount")
            .args(remount)
            .arg(&dir)
            .status()
            .unwrap()
            .success()
    );
    for error in [
        state.replace("wrcmd", b"new\n").unwrap_err(),
        log(&state, &["new"]).unwrap_err(),
        state.lock().unwrap_err(),
        StateDir::open(&dir.join("sub")).unwrap_err(),
    ] {
        assert!(matches!(error, StateError::Write { .. }), "{error}");
        assert!(error.to_string().contains("Read-only"), "{error}");
    }
    unchanged();
}

/// Root's runs must not shut out the user to whom the directory belongs.
#[test]
fn new_files_belong_to_the_owner_of_the_old_or_of_the_directory() {
    let (dir, state) = scratch();
    let owned = |path: PathBuf| fs::metadata(path).unwrap().uid();
    if std::os::unix::fs::chown(dir.path(), Some(1234), None).is_err() {
        eprintln!("skipped: only root gives files away");
        return;
    }
    state.replace("wrcmd", b"x").unwrap();
    log(&state, &["x"]).unwrap();
    drop(state.lock().unwrap());
    for name in ["wrcmd", "rootscor", "lock"] {
        assert_eq!(owned(state.path_of(name)), 1234, "{name}");
    }
    std::os::unix::fs::chown(state.path_of("wrcmd"), Some(4321), None).unwrap();
    state.replace("wrcmd", b"y").unwrap();
    assert_eq!(owned(state.path_of("wrcmd")), 4321);
}

#[test]
fn messages_are_one_line() {
    let path = PathBuf::from("a\nb");
    for error in [
        StateError::Busy {
            path: path.clone(),
            waited: Duration::from_secs(30),
        },
        StateError::read(&path, io::ErrorKind::NotFound.into()),
        StateError::write(&path, io::ErrorKind::NotFound.into()),
        StateError::Unsynced {
            path: path.clone(),
            cause: io::ErrorKind::NotFound.into(),
        },
        StateError::NotAFile(path.clone()),
        StateError::TooLong { path, limit: 1 },
        StateError::Entry("a\nb".to_owned()),
    ] {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_was_replaced_is_read(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let (_dir, state) = scratch();
        state.replace("wrcmd", &bytes).unwrap();
        prop_assert_eq!(state.read_wrcmd().unwrap(), Some(bytes));
    }

    #[test]
    fn the_log_only_grows(old in "[a\n]{0,9}", line in "[^\0\n]{0,20}") {
        let (dir, state) = scratch();
        fs::write(dir.path().join("rootscor"), &old).unwrap();
        log(&state, &[&line]).unwrap();
        let text = fs::read_to_string(dir.path().join("rootscor")).unwrap();
        let tail = format!("{COMMENT}{line}\n");
        prop_assert!(text.starts_with(&old) && text.ends_with(&tail));
        let between = &text[old.len()..text.len() - tail.len()];
        prop_assert_eq!(between, if old.is_empty() || old.ends_with('\n') { "" } else { "\n" });
    }
}

#[test]
fn what_is_kept_has_a_name_of_its_own() {
    let (dir, state) = scratch();
    let first = state.keep("conf", b"one").unwrap();
    let second = state.keep("conf", b"two").unwrap();
    assert_eq!(names(dir.path()), ["conf", "conf.1"]);
    assert_eq!(fs::read(&first).unwrap(), b"one");
    assert_eq!(fs::read(&second).unwrap(), b"two");
    assert_eq!((mode(&first), mode(&second)), (0o600, 0o600));
}

#[test]
fn nothing_is_kept_outside_of_the_directory_or_where_it_is_only_read() {
    let (dir, state) = scratch();
    for name in ["../conf", "a/b", ".conf", ""] {
        assert!(state.keep(name, b"").is_err(), "{name}");
    }
    symlink("/nonexistent/conf", dir.path().join("link")).unwrap();
    assert_eq!(state.keep("link", b"").unwrap(), dir.path().join("link.1"));
    let read_only = StateDir::existing(dir.path()).unwrap().unwrap();
    assert!(read_only.keep("conf", b"").is_err());
}

#[test]
fn beside_a_fat_only_what_plan_9_reads_lies_on_it() {
    let directory = tempfile::tempdir().unwrap();
    let (fat, own) = (directory.path().join("fat"), directory.path().join("own"));
    fs::create_dir(&fat).unwrap();
    assert!(!StateDir::is_on_fat(&fat));
    let state = StateDir::open(&fat).unwrap().apart(&own).unwrap();
    {
        let _lock = state.lock().unwrap();
        state.replace(StateDir::WRCMD, b"wrcmd\n").unwrap();
        state.replace(StateDir::WRCMDS, b"wrcmds\n").unwrap();
        state.keep("kept", b"x").unwrap();
    }
    let stamp = Stamp {
        time: std::time::SystemTime::now(),
        host: "h",
        tool: "t",
    };
    let wait = Duration::from_secs(1);
    state.append_rootscor(&stamp, &["a"], wait).unwrap();
    let names = |path: &Path| {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&fat), ["rootscor", "wrcmd"]);
    assert_eq!(names(&own), ["kept", "lock", "wrcmds"]);
    assert_eq!(state.read_wrcmds().unwrap().unwrap(), b"wrcmds\n");
    let reading = StateDir::existing(&fat).unwrap().unwrap();
    let nowhere = directory.path().join("nowhere");
    let reading = reading.apart(&nowhere).unwrap();
    assert_eq!(reading.read_wrcmds().unwrap(), None);
    assert!(!nowhere.exists());
}
