//! ventiprog: the place moves only when every target has acknowledged a sync.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use venti_tests::arena::{Partition, PartitionBuilder};
use venti_tests::command::{Command, Output};
use venti_tests::random::Random;
use venti_tests::sample::Sample;
use venti_tests::venti::{Fault, How, On, Setup, Venti, closed_port};
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;

/// A source partition and a state directory.
struct Site {
    directory: TempDir,
    partition: Partition,
    sample: Sample,
    /// The blocks, by score.
    data: HashMap<Score, Vec<u8>>,
}

impl Site {
    fn new(blocks: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let partition = PartitionBuilder::new()
            .arenas(2, 8 << 20)
            .create(&directory.path().join("arenas"))
            .unwrap();
        fs::create_dir(directory.path().join("state")).unwrap();
        let mut site = Site {
            directory,
            partition,
            sample: Sample::new(11, 65),
            data: HashMap::new(),
        };
        site.add(blocks);
        site
    }

    fn add(&mut self, blocks: usize) {
        for _ in 0..blocks {
            let block = self.sample.block(4096);
            self.partition.append(13, &block).unwrap();
            self.data.insert(Score::of(&block), block);
        }
        self.partition.sync().unwrap();
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn part(&self) -> String {
        self.partition.path().display().to_string()
    }

    /// The command that goes on from `offset`.
    fn command(&self, host: &str, offset: u64) -> String {
        format!("wrarena -h {host} -o 794624 {} {offset:#x}", self.part())
    }

    fn end(&self) -> u64 {
        self.partition.arenas()[0].counters().used
    }

    fn write_wrcmd(&self, text: &str) {
        fs::write(self.state().join("wrcmd"), text).unwrap();
    }

    fn wrcmd(&self) -> String {
        fs::read_to_string(self.state().join("wrcmd")).unwrap()
    }

    fn rootscor(&self) -> String {
        fs::read_to_string(self.state().join("rootscor")).unwrap_or_default()
    }

    fn ventiprog(&self) -> Command {
        Command::new("ventiprog")
            .config("[limits]\nconnect = 2\nsilence = 1\nsync = 1\nretries = 0\n")
            .arg("-d")
            .arg(self.state())
    }

    fn assert_complete(&self, venti: &Venti) {
        for clump in self.partition.clumps() {
            assert!(venti.contains(BlockType::Data, &clump.score), "{clump:?}");
        }
    }
}

#[test]
fn only_what_is_new_goes_and_the_place_moves() {
    let mut site = Site::new(100);
    let venti = Venti::start();
    let first = site.command(&venti.dial(), 0);
    site.write_wrcmd(&format!("{first}\n"));
    let output = site.ventiprog().run();
    let second = site.command(&venti.dial(), site.end());
    assert_eq!(output.status, 0);
    assert_eq!(output.stdout, format!("{first}\n{second}\n"));
    assert_eq!(output.remarks(), "");
    assert_eq!(site.wrcmd(), format!("{second}\n"));
    assert_eq!(venti.counts().writes, 100);

    site.add(7);
    assert_eq!(site.ventiprog().run().status, 0);
    let third = site.command(&venti.dial(), site.end());
    assert_eq!(venti.counts().writes, 107);
    assert_eq!(venti.counts().duplicates, 0);
    assert_eq!(site.wrcmd(), format!("{third}\n"));
    site.assert_complete(&venti);

    let log = site.rootscor();
    let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, [&first, &second, &second, &third]);
    for name in ["wrcmd", "wrcmds", "rootscor", "lock"] {
        let mode = fs::metadata(site.state().join(name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_network_directory_in_the_wrcmd_is_kept_and_not_used() {
    let site = Site::new(3);
    let venti = Venti::start();
    let host = format!("/net.alt/{}", venti.dial());
    site.write_wrcmd(&format!("{}\n", site.command(&host, 0)));
    let output = site.ventiprog().run();
    assert_eq!(output.status, 0, "{output:?}");
    site.assert_complete(&venti);
    let moved = format!("{}\n", site.command(&host, site.end()));
    assert_eq!(site.wrcmd(), moved);
}

#[test]
fn when_nothing_is_new_both_commands_are_printed_and_nothing_is_logged() {
    let site = Site::new(3);
    let venti = Venti::start();
    site.write_wrcmd(&site.command(&venti.dial(), 0));
    assert_eq!(site.ventiprog().run().status, 0);
    let (command, log) = (site.wrcmd(), site.rootscor());
    let output = site.ventiprog().run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!(output.stdout, format!("{command}{command}"));
    assert_eq!((site.wrcmd(), site.rootscor()), (command, log));
    assert_eq!(venti.counts().writes, 3);
}

#[test]
fn every_venti_of_the_list_gets_it_on_the_port_of_the_command() {
    let site = Site::new(30);
    let ventis = [Venti::start(), Venti::start(), Venti::start()];
    let port = |venti: &Venti| venti.dial().rsplit('!').next().unwrap().to_owned();
    // The same venti twice, in two spellings, is one target.
    let own = format!("127.0.0.1:{}", port(&ventis[0]));
    let [_, second, third] = ventis.each_ref().map(Venti::dial);
    site.write_wrcmd(&site.command(&own, 0));
    let output = site
        .ventiprog()
        .args(["127.0.0.1", &second])
        .env("targetventis", "unused.invalid")
        .run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    let output = site
        .ventiprog()
        .env("targetventis", format!("{second}\x01{third}"))
        .run();
    assert_eq!(output.status, 0, "{output:?}");
    let writes = ventis.each_ref().map(|venti| venti.counts().writes);
    assert_eq!(
        writes,
        [30, 30, 30],
        "the third gets what came before it joined"
    );
}

#[test]
fn what_is_not_changed_is_kept_byte_for_byte() {
    let site = Site::new(5);
    let venti = Venti::start();
    let (host, part, end) = (venti.dial(), site.part(), site.end());
    for (text, expected) in [
        (
            format!("/bin/venti/wrarena  -h\t{host} -o 794624   {part}\t 0x0  \n"),
            format!("/bin/venti/wrarena  -h\t{host} -o 794624   {part}\t {end:#x}  \n"),
        ),
        (
            format!("venti/wrarena \u{2013}o 794624 \u{2013}h {host} {part} 0x0\n"),
            format!("venti/wrarena \u{2013}o 794624 \u{2013}h {host} {part} {end:#x}\n"),
        ),
        (
            format!("wrarena -vo794624 -h{host} {part}"),
            format!("wrarena -vo794624 -h{host} {part} {end:#x}\n"),
        ),
    ] {
        site.write_wrcmd(&text);
        let output = site.ventiprog().run();
        assert_eq!(output.status, 0, "{output:?}");
        assert_eq!(site.wrcmd(), expected);
        let warned = output.stderr.contains("en dash");
        assert_eq!(warned, text.contains('\u{2013}'), "{output:?}");
    }
}

/// What the rc script does to the wrcmd after a run of its own.
fn rc_script_moves(line: &str, end: u64) -> String {
    let cut = line.find("0x").unwrap();
    format!("{}{end:#x}", &line[..cut])
}

#[test]
fn the_rc_script_and_we_can_take_turns() {
    let mut site = Site::new(10);
    let venti = Venti::start();
    site.write_wrcmd(&format!("{}\n", site.command(&venti.dial(), 0)));
    fs::write(
        site.state().join("rootscor"),
        "vac:0000 /dev/sdC0/fossil 1.2.3.4",
    )
    .unwrap();
    assert_eq!(site.ventiprog().run().status, 0);

    // The script's turn: it reads our line, sends, and writes its own.
    let sent = site.partition.clumps().count();
    site.add(10);
    for clump in site.partition.clumps().skip(sent) {
        venti.insert(BlockType::Data, &site.data[&clump.score]);
    }
    let ours = site.wrcmd();
    let theirs = rc_script_moves(ours.trim_end(), site.end());
    site.write_wrcmd(&format!("{theirs}\n"));
    let log = format!("{}{ours}{theirs}\n", site.rootscor());
    fs::write(site.state().join("rootscor"), &log).unwrap();

    // Ours again.
    site.add(10);
    assert_eq!(site.ventiprog().run().status, 0);
    assert_eq!(
        site.wrcmd(),
        format!("{}\n", site.command(&venti.dial(), site.end()))
    );
    assert_eq!(venti.counts().writes, 20, "ours, not the ten of the script");
    assert!(site.rootscor().starts_with(&log), "the log only grows");
    assert!(log.starts_with("vac:0000 /dev/sdC0/fossil 1.2.3.4\n# "));
}

/// Runs with a target that misbehaves; nothing may have moved.
fn assert_unmoved(site: &Site, output: &Output, before: &str, status: i32, host: &str) {
    assert_eq!(output.status, status, "{output:?}");
    assert_eq!(output.stdout, "");
    assert_eq!(site.wrcmd(), before);
    assert_eq!(site.rootscor(), "");
    let remarks = output.remarks();
    let lines: Vec<&str> = remarks.lines().collect();
    let [line] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert!(line.starts_with(&format!("ventiprog: {host}: ")), "{line}");
    let mut left: Vec<_> = fs::read_dir(site.state()).unwrap().collect();
    left.retain(|entry| entry.as_ref().unwrap().file_name() != "wrcmds");
    assert_eq!(
        left.len(),
        2,
        "wrcmd and lock, nothing left behind: {left:?}"
    );
}

#[test]
fn a_target_that_fails_moves_nothing() {
    let site = Site::new(200);
    let cases = [
        (Fault::at(On::Write, 150, How::Close), 6),
        (Fault::at(On::Write, 150, How::Short), 6),
        (Fault::from(On::Write, 150, How::Silence), 6),
        (Fault::from(On::Request, 150, How::Stall), 6),
        (Fault::at(On::Connection, 1, How::Silence), 6),
        (Fault::at(On::Hello, 1, How::Silence), 6),
        (Fault::at(On::Sync, 1, How::Silence), 6),
        (Fault::at(On::Sync, 1, How::Close), 6),
        (Fault::at(On::Write, 150, How::Wrong), 4),
        (Fault::at(On::Write, 150, How::Error("disk full".into())), 1),
        (Fault::at(On::Write, 150, How::TooLong), 1),
        (Fault::at(On::Write, 150, How::Say(vec![0xff; 9000])), 1),
        (Fault::at(On::Write, 150, How::WrongTag), 1),
        (
            Fault::at(On::Connection, 1, How::Say(b"220 smtp ready\r\n".to_vec())),
            1,
        ),
    ];
    for (fault, status) in cases {
        let venti = Venti::faulty([fault.clone()]);
        let before = site.command(&venti.dial(), 0);
        site.write_wrcmd(&before);
        let output = site.ventiprog().run();
        println!("{fault:?}: {}", output.stderr);
        assert_unmoved(&site, &output, &before, status, &venti.dial());
    }
    let host = closed_port();
    let before = site.command(&host, 0);
    site.write_wrcmd(&before);
    assert_unmoved(&site, &site.ventiprog().run(), &before, 6, &host);
}

#[test]
fn one_target_down_moves_nothing_and_the_others_get_everything() {
    let site = Site::new(50);
    let venti = Venti::start();
    let down = closed_port();
    let before = site.command(&venti.dial(), 0);
    site.write_wrcmd(&before);
    let output = site.ventiprog().arg(&down).run();
    assert_unmoved(&site, &output, &before, 3, &down);
    site.assert_complete(&venti);
}

#[test]
fn a_version_02_server_is_served_too() {
    let site = Site::new(50);
    let venti = Venti::with(Setup {
        offer: vec![venticore::codec::wire::Version::V02],
        ..Setup::default()
    });
    site.write_wrcmd(&site.command(&venti.dial(), 0));
    assert_eq!(site.ventiprog().run().status, 0);
    site.assert_complete(&venti);
}

#[test]
fn the_source_is_synced_first_and_never_a_target() {
    let site = Site::new(20);
    let (source, target) = (Venti::start(), Venti::start());
    for block in site.data.values() {
        source.insert(BlockType::Data, block);
    }
    let before = site.command(&target.dial(), 0);
    site.write_wrcmd(&before);
    let output = site.ventiprog().args(["-s", &source.dial()]).run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!((source.counts().syncs, source.counts().writes), (1, 0));

    // A source that cannot be synced: the copy goes on, the run is a partial one.
    site.write_wrcmd(&before);
    let output = site.ventiprog().args(["-s", &closed_port()]).run();
    assert_eq!(output.status, 3, "{output:?}");
    assert_eq!(site.wrcmd(), before, "3, and not through damage alone");

    // A target that is the source, under another name.
    let port = target.dial().rsplit('!').next().unwrap().to_owned();
    let moved = site.wrcmd();
    let output = site
        .ventiprog()
        .args(["-s", &format!("localhost:{port}")])
        .run();
    assert_eq!(output.status, 2, "{output:?}");
    assert!(output.stderr.contains("is the source itself"), "{output:?}");
    assert_eq!(site.wrcmd(), moved);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let site = Site::new(40);
    let venti = Venti::start();
    let before = site.command(&venti.dial(), 0);
    site.write_wrcmd(&before);
    let output = site.ventiprog().arg("-n").run();
    assert_eq!(output.status, 0);
    let bytes = site.end();
    let expected = format!(
        "ventiprog: {}: would send 40 clumps, {bytes} bytes of log, except what it has already\n",
        venti.dial()
    );
    assert_eq!(output.stderr, expected);
    assert_eq!(venti.counts().connections, 0);
    assert_eq!(site.wrcmd(), before);
    assert_eq!(
        fs::read_dir(site.state()).unwrap().count(),
        1,
        "not even a lock"
    );
}

/// At a byte a second, a run that sent would never end.
#[test]
fn a_dry_run_is_not_throttled() {
    let site = Site::new(400);
    site.write_wrcmd(&site.command(&closed_port(), 0));
    let output = site.ventiprog().args(["-n", "-b", "1"]).run();
    assert_eq!(output.status, 0, "{output:?}");
    let said = "would send 400 clumps";
    assert!(output.stderr.contains(said), "{output:?}");
}

#[test]
fn json_tells_each_target_and_the_run() {
    let site = Site::new(9);
    let (venti, down) = (Venti::start(), closed_port());
    site.write_wrcmd(&site.command(&venti.dial(), 0));
    let output = site.ventiprog().args(["-j", &down]).run();
    let lines: Vec<serde_json::Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line["schema"] == 1));
    assert_eq!(
        (&lines[0]["target"], &lines[0]["sent"]),
        (&venti.dial().into(), &9.into())
    );
    assert_eq!(
        (&lines[1]["target"], &lines[1]["status"]),
        (&down.into(), &6.into())
    );
    assert_eq!(
        (&lines[0]["status"], &lines[2]["status"]),
        (&0.into(), &3.into())
    );
    assert_eq!(output.status, 3);
}

#[test]
fn a_second_run_at_the_same_time_says_who_holds_the_lock() {
    let site = Site::new(20);
    let venti = Venti::faulty([Fault::from(On::Sync, 1, How::Silence)]);
    site.write_wrcmd(&site.command(&venti.dial(), 0));
    let mut first = site.ventiprog().config("[limits]\nsync = 60\n").start();
    while venti.counts().syncs == 0 {
        std::thread::yield_now();
    }
    let output = site.ventiprog().run();
    let expected = format!("another run holds the lock: pid {}\n", first.id());
    assert_eq!(output.status, 5);
    assert!(output.remarks().ends_with(&expected), "{output:?}");
    first.kill();
    assert_eq!(first.wait().status, 137);
    venti.heal();
    assert_eq!(
        site.ventiprog().run().status,
        0,
        "the lock goes with its holder"
    );
}

/// Killed at random moments while seeding: the place never moved too far, and
/// one run afterwards completes.
#[test]
fn a_hundred_kills_lose_nothing() {
    let site = Site::new(1200);
    let mut random = Random::new(17);
    let mut done = 0;
    let mut venti = Venti::start();
    site.write_wrcmd(&site.command(&venti.dial(), 0));
    for _ in 0..100 {
        let mut run = site.ventiprog().start();
        let moment = venti.counts().writes + random.below(1400) as u64;
        while venti.counts().writes < moment && run.is_running() {
            std::thread::yield_now();
        }
        run.kill();
        let status = run.wait().status;
        assert!(matches!(status, 0 | 137), "{status}");
        let place = site.wrcmd();
        assert_wrcmd_is_whole(&site, &place, &venti);
        if status == 0 || !place.ends_with(" 0x0") {
            done += 1;
            site.assert_complete(&venti);
            venti = Venti::start();
            // The port may be one that another venti had before.
            fs::remove_file(site.state().join("wrcmds")).unwrap();
            site.write_wrcmd(&site.command(&venti.dial(), 0));
        }
    }
    assert!(done < 100, "no kill hit a run");
    assert_eq!(site.ventiprog().run().status, 0);
    site.assert_complete(&venti);
    let left: Vec<_> = fs::read_dir(site.state()).unwrap().collect();
    assert_eq!(left.len(), 4, "wrcmd, wrcmds, rootscor, lock: {left:?}");
}

fn assert_wrcmd_is_whole(site: &Site, place: &str, venti: &Venti) {
    let old = site.command(&venti.dial(), 0);
    let new = format!("{}\n", site.command(&venti.dial(), site.end()));
    assert!(place == old || place == new, "{place}");
}

#[test]
fn a_state_that_cannot_be_written_is_said_and_nothing_moves() {
    let site = Site::new(5);
    let venti = Venti::start();
    let before = site.command(&venti.dial(), 0);
    site.write_wrcmd(&before);
    fs::create_dir(site.state().join("rootscor")).unwrap();
    let output = site.ventiprog().run();
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("rootscor"), "{output:?}");
    assert_eq!(site.wrcmd(), before);
}

#[test]
fn a_wrcmd_that_makes_no_sense_is_refused() {
    let site = Site::new(1);
    let cases = [
        ("\n", 2),
        (
            "wrarena -h tcp!127.0.0.1!1 -o 794624 /a 0x0\nwrarena /b\n",
            2,
        ),
        ("wrarena -h tcp!127.0.0.1!1 -z /a 0x0\n", 2),
        ("wrarena -h tcp!127.0.0.1!1 -o 1M /a 0x0\n", 2),
        ("wrarena -h tcp!a!b!c -o 1 /a 0x0\n", 2),
        ("wrarena -o 794624 /a 0x0\n", 2),
        ("wrarena -h tcp!127.0.0.1!1 -o 1 /nonexistent 0x0\n", 1),
    ];
    for (text, status) in cases {
        site.write_wrcmd(text);
        let output = site.ventiprog().run();
        assert_eq!(output.status, status, "{text:?} {output:?}");
        assert_eq!(output.remarks().lines().count(), 1, "{output:?}");
        assert_eq!(site.wrcmd(), text);
    }
    fs::remove_file(site.state().join("wrcmd")).unwrap();
    let output = site.ventiprog().run();
    assert_eq!(output.status, 2);
    assert!(output.stderr.contains("no target"), "{output:?}");
}

#[test]
fn a_call_without_a_target_leaves_nothing_behind_and_points_to_help() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let output = Command::new("ventiprog").arg("-d").arg(&state).run();
    output.assert_refused(2, "see ventiprog --help");
    assert!(!state.exists());
    fs::create_dir(&state).unwrap();
    let output = Command::new("ventiprog").arg("-d").arg(&state).run();
    output.assert_refused(2, "no target");
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
}

#[test]
fn one_line_sums_a_run_up_and_a_quiet_one_that_succeeds_says_nothing() {
    let mut site = Site::new(40);
    let (venti, down) = (Venti::start(), closed_port());
    site.write_wrcmd(&site.command(&venti.dial(), 0));
    let output = site.ventiprog().run();
    let (log, end) = (site.end(), site.end());
    let line = output.summary();
    assert!(
        line.starts_with("ventiprog: 1 target current: 40 blocks, "),
        "{line}"
    );
    assert!(
        line.contains(&format!("{:.2} kB of log sent", log as f64 / 1e3)),
        "{line}"
    );
    assert!(
        line.ends_with(&format!("next from arena0 {end:#x}")),
        "{line}"
    );
    assert_eq!(output.remarks(), "");
    let output = site.ventiprog().arg(&down).run();
    let line = output.summary();
    let start = format!("ventiprog: 1 of 2 targets current, not {down}: nothing was sent, ");
    assert!(line.starts_with(&start), "{line}");
    assert!(line.ends_with("; exit status 3"), "{line}");
    site.add(10);
    let output = site.ventiprog().arg("-q").run();
    let all = (output.status, &*output.stdout, &*output.stderr);
    assert_eq!(all, (0, "", ""));
    assert_eq!(
        site.wrcmd(),
        format!("{}\n", site.command(&venti.dial(), site.end()))
    );
    // Its only line is the one about what went wrong.
    let output = site.ventiprog().args(["-q", &down]).run();
    assert_eq!((output.status, &*output.stdout), (3, ""));
    assert_eq!((output.summary(), output.stderr.lines().count()), ("", 1));
}

#[test]
fn damage_is_named_and_the_place_moves_past_it() {
    let mut site = Site::new(50);
    site.partition.flip_data(0, 20, 1).unwrap();
    let venti = Venti::start();
    site.write_wrcmd(&site.command(&venti.dial(), 0));
    let output = site.ventiprog().run();
    assert_eq!(output.status, 3);
    let clump = site.partition.arenas()[0].clumps()[20];
    let named = format!(
        "arena arena0 clump {:#x} score {}: ",
        clump.offset, clump.score
    );
    assert!(output.stderr.contains(&named), "{output:?}");
    assert_eq!(venti.counts().writes, 49);
    assert_eq!(
        site.wrcmd(),
        format!("{}\n", site.command(&venti.dial(), site.end()))
    );
}

#[test]
fn the_state_directory_is_made_private() {
    let home = tempfile::tempdir().unwrap();
    let state: &Path = &home.path().join("new");
    let calls = Command::new("ventiprog").arg("-d").arg(state);
    let output = calls.args(["-p", "/nonexistent", "127.0.0.1:1"]).run();
    assert_eq!(output.status, 1);
    let mode = fs::metadata(state).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// The user to whom a state directory belongs may put a link there, and root may run
/// the command.
#[test]
fn no_link_in_the_state_directory_is_followed() {
    let site = Site::new(5);
    let venti = Venti::start();
    let theirs = site.state().with_file_name("theirs");
    for name in ["lock", "wrcmd", "wrcmds", "rootscor"] {
        let site = Site::new(5);
        site.write_wrcmd(&site.command(&venti.dial(), 0));
        fs::write(&theirs, "theirs\n").unwrap();
        let _ = fs::remove_file(site.state().join(name));
        std::os::unix::fs::symlink(&theirs, site.state().join(name)).unwrap();
        let output = site.ventiprog().arg(venti.dial()).run();
        assert_eq!(output.status, 1, "{name}: {output:?}");
        assert!(
            output.stderr.contains("found a symbolic link"),
            "{output:?}"
        );
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs\n", "{name}");
        let still = fs::symlink_metadata(site.state().join(name)).unwrap();
        assert!(still.is_symlink(), "{name}");
    }
}

#[test]
fn a_state_directory_that_anybody_can_write_is_refused_and_one_of_another_user_named() {
    let site = Site::new(5);
    let venti = Venti::start();
    site.write_wrcmd(&site.command(&venti.dial(), 0));
    let state = site.state();
    let allow = |mode| fs::set_permissions(&state, fs::Permissions::from_mode(mode)).unwrap();
    allow(0o777);
    let output = site.ventiprog().arg(venti.dial()).run();
    output.assert_refused(1, "anybody can write it, mode 777: expected a state directory that only its owner can write, such as ");
    assert_eq!(venti.counts().writes, 0);
    allow(0o755);
    if std::os::unix::fs::chown(&state, Some(1234), None).is_err() {
        return;
    }
    let output = site.ventiprog().arg(venti.dial()).run();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.stderr.contains("belongs to user 1234"), "{output:?}");
}

#[test]
fn scores_that_others_could_read_are_closed_while_nothing_moves() {
    let site = Site::new(5);
    let venti = Venti::start();
    assert_eq!(
        site.ventiprog()
            .arg("-p")
            .arg(site.part())
            .arg(venti.dial())
            .run()
            .status,
        0
    );
    let modes = |mode: u32| {
        for name in ["wrcmd", "wrcmds", "rootscor"] {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(site.state().join(name), mode).unwrap();
        }
    };
    modes(0o644);
    let output = site.ventiprog().arg(venti.dial()).run();
    assert_eq!(output.status, 0, "{output:?}");
    let said = "was open to others, mode 644: now 600";
    assert_eq!(output.stderr.matches(said).count(), 2, "{output:?}");
    for name in ["wrcmd", "wrcmds", "rootscor"] {
        let mode = fs::metadata(site.state().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn an_external_wrarena_does_the_sending() {
    let mut site = Site::new(60);
    let venti = Venti::start();
    site.write_wrcmd(&site.command(&venti.dial(), 0));
    let config = |program: &str| format!("wrarena = [{program:?}]\n");
    let ours = venti_tests::command::program("wrarena").to_string();
    let run = |site: &Site, program: &str| {
        let command = site.ventiprog().config(&config(program));
        command.args(["-e", "external"]).run()
    };
    assert_eq!(run(&site, &ours).status, 0);
    let moved = format!("{}\n", site.command(&venti.dial(), site.end()));
    assert_eq!(site.wrcmd(), moved);
    site.add(5);
    let output = run(&site, &ours);
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!((venti.counts().writes, venti.counts().duplicates), (65, 0));
    site.assert_complete(&venti);

    // One that says nothing is believed in nothing.
    site.add(5);
    let before = site.wrcmd();
    let output = run(&site, "/bin/true");
    assert_eq!((output.status, output.stdout.as_str()), (1, ""));
    assert_eq!(output.remarks().lines().count(), 1, "{output:?}");
    assert_eq!(site.wrcmd(), before);
    let output = site.ventiprog().args(["-e", "magic"]).run();
    assert_eq!(output.status, 2);
}
