//! How it starts, who is let in, and how it ends.

use std::ffi::OsStr;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use venti_tests::command::{Command, Running};
use venti_tests::patience::{self, PATIENCE};
use venti_tests::port;
use venti_tests::random::Random;
use venti_tests::served::{Served, WireClient};
use venticore::codec::operand::Operand;
use venticore::codec::score::Score;
use venticore::codec::wire::{Request, Version};
use venticore::store::disk;

use crate::fixture::loop_device::Loop;

fn write(client: &mut WireClient, data: &[u8]) {
    let answer = client.ask(&Request::Write { ty: 13, data });
    assert_eq!(answer, format!("Rwrite {}", Score::of(data)));
}

fn has(client: &mut WireClient, data: &[u8]) -> bool {
    let score = Score::of(data);
    let read = Request::Read {
        score,
        ty: 13,
        count: 57344,
    };
    client.ask(&read).starts_with("Rread ")
}

#[test]
fn a_signal_ends_it_with_0_and_what_was_written_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let blocks: Vec<Vec<u8>> = (0..100).map(|n| Random::new(n).bytes(3000)).collect();
    for (signal, blocks) in [Signal::TERM, Signal::INT]
        .into_iter()
        .zip(blocks.chunks(50))
    {
        let served = Served::made(&store);
        let mut client = served.client(Version::V04);
        // None is synced, and the last ones are only sent.
        for data in blocks {
            client.send(1, &Request::Write { ty: 13, data }).unwrap();
        }
        // It has all of them when it takes the next request.
        client.send(1, &Request::Ping).unwrap();
        for _ in 0..blocks.len() {
            assert!(client.answer().unwrap().starts_with("Rwrite"));
        }
        served.signal(signal);
        let output = served.end();
        assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    }
    let served = Served::with(&["-r"], &store);
    let mut client = served.client(Version::V04);
    assert!(blocks.iter().all(|data| has(&mut client, data)));
}

#[test]
fn what_was_sent_before_a_signal_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    let mut client = served.client(Version::V04);
    let data = Random::new(8).bytes(8192);
    for _ in 0..300 {
        client
            .send(
                1,
                &Request::Write {
                    ty: 13,
                    data: &data,
                },
            )
            .unwrap();
    }
    assert!(client.answer().unwrap().starts_with("Rwrite"));
    served.signal(Signal::TERM);
    let answers = client.rest().unwrap();
    assert_eq!(answers.len(), 299);
    assert_eq!(served.end().status, 0);
}

#[test]
fn a_store_has_one_server() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let served = Served::made(&store);
    let address = format!("127.0.0.1:{}", port::free());
    let output = Command::new("ventiserve")
        .args(["-a", &address])
        .arg(&store)
        .run();
    output.assert_refused(5, "another process serves it");
    assert_eq!(served.end().status, 0);
    let served = Served::made(&store);
    let address = format!("127.0.0.1:{}", served.port());
    let other = directory.path().join("other");
    let command = Command::new("ventiserve").args(["-c", "8m", "-a", &address]);
    let output = command.arg(&other).run();
    output.assert_refused(1, "in use");
    // It is listened on before a store is made.
    assert!(!other.exists());
    let output = Command::new("ventiserve")
        .arg(directory.path().join("none"))
        .run();
    output.assert_refused(1, "none");
}

#[test]
fn a_block_device_is_served_by_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    assert_eq!(Served::made(&store).end().status, 0);
    let Some(device) = Loop::of(&store, &[]) else {
        venti_tests::command::skipped("no loop device");
        return;
    };
    let path = Path::new(&device.0);
    let serve = || Served::with::<&str>(&[], path);
    let served = serve();
    let mut client = served.client(Version::V04);
    write(&mut client, b"on a device");
    let address = format!("127.0.0.1:{}", port::free());
    for other in [path, &store] {
        let command = Command::new("ventiserve").args(["-a", &address]);
        command
            .arg(other)
            .run()
            .assert_refused(5, "another process");
    }
    assert_eq!(served.end().status, 0);
    assert!(has(&mut serve().client(Version::V04), b"on a device"));
}

#[test]
fn ranges_of_one_file_are_served_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let [disk, one, two] = ["disk", "one", "two"].map(|name| directory.path().join(name));
    let mut whole = Vec::new();
    for part in [&one, &two] {
        assert_eq!(
            Served::with(&["-c", "4m", "-A", "2m"], part).end().status,
            0
        );
        whole.extend(fs::read(part).unwrap());
    }
    fs::write(&disk, &whole).unwrap();
    let range = |range: &str| format!("{}:{range}", disk.display());
    let serve = || Served::with(&[range("0-4m")], Path::new(&range("4m-8m")));
    // More than the first range has room for.
    let blocks: Vec<Vec<u8>> = (0..100).map(|n| Random::new(n).bytes(50_000)).collect();
    let served = serve();
    let mut client = served.client(Version::V04);
    blocks.iter().for_each(|block| write(&mut client, block));
    let address = format!("127.0.0.1:{}", port::free());
    let other = Command::new("ventiserve").args(["-a", &address]);
    let output = other.arg(range("4m-8m")).run();
    output.assert_refused(5, "another process serves it");
    assert_eq!(served.end().status, 0);
    let served = serve();
    let mut client = served.client(Version::V04);
    assert!(blocks.iter().all(|block| has(&mut client, block)));
    // The same one twice would be written twice.
    let twice = Command::new("ventiserve").args(["-a", &address]);
    assert_eq!(served.end().status, 0);
    let output = twice.args([range("0-4m"), range("0-4m")]).run();
    output.assert_refused(1, "is also in");
}

#[test]
fn stores_that_are_made_have_arenas_with_names_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let [nm, nm1, same] = ["nm", "nm1", "b/nm1"].map(|name| directory.path().join(name));
    let serve = |others: &[&PathBuf], last: &PathBuf| {
        let options = ["-c", "13m", "-A", "1m"].map(OsStr::new);
        let others = others.iter().map(|store| store.as_os_str());
        let options: Vec<_> = options.into_iter().chain(others).collect();
        assert_eq!(Served::with(&options, last).end().status, 0);
    };
    // nm1 and 0 is also nm and 10; and a store in another directory may have the same name.
    serve(&[], &nm);
    serve(&[&nm, &nm1], &same);
    for (store, prefix) in [(&nm, "nm"), (&nm1, "nm1-2-"), (&same, "nm1-3-")] {
        let names = disk::arena_names(&Operand::try_from(store.as_os_str()).unwrap());
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let expected: Vec<String> = (0..12).map(|number| format!("{prefix}{number}")).collect();
        assert_eq!(names, expected);
    }
    for store in [&nm, &nm1] {
        fs::remove_file(store).unwrap();
    }
    serve(&[&nm], &nm1);
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    for (options, said) in [
        (&["-r", "-c", "1g", "x"][..], "-c makes a store"),
        (&["-A", "1g", "x"], "-A is for stores"),
        (&["-c", "1x", "x"], "--create: expected a whole number"),
        (&["-c", "1.5g", "x"], "such as 1536m, found \"1.5g\""),
        (&["-c", "1g", "-A", "100X", "x"], "--arena-size: expected a"),
        (&["--cache", "1x", "x"], "--cache: expected a whole number"),
        (
            &["--cache", "1000k", "x"],
            "expected 0, or 1m to 64g, found 1024000 bytes",
        ),
        (
            &["--cache", "65g", "x"],
            "expected 0, or 1m to 64g, found 69793218560 bytes",
        ),
        (
            &["-c", "09m", "x"],
            "octal digits after the leading 0, found \"09m\"",
        ),
        (&["--allow", "10.0.0.1/8", "x"], "expected 10.0.0.0/8"),
        (&["--allow", "localhost", "x"], "found \"localhost\""),
        (&["-a", "tcp!a!b!c", "x"], "address \"tcp!a!b!c\""),
    ] {
        let output = Command::new("ventiserve").args(options).run();
        output.assert_refused(2, said);
    }
}

#[test]
fn only_those_who_are_allowed_are_let_in() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    for (allow, host, is_in) in [
        ("127.0.0.0/8", "127.0.0.1", true),
        ("10.0.0.0/8", "127.0.0.1", false),
        ("::/0", "127.0.0.1", false),
        ("::1", "::1", true),
        ("127.0.0.1", "::1", false),
    ] {
        let port = port::free();
        let Ok(listener) = TcpListener::bind((host, port)) else {
            venti_tests::command::skipped(&format!("{host}: not on this machine"));
            continue;
        };
        drop(listener);
        let address = format!("tcp!{host}!{port}");
        let command =
            Command::new("ventiserve").args(["-c", "8m", "-a", &address, "--allow", allow]);
        let running = command.arg(&store).start();
        let mut came = None;
        patience::until("it listens", || {
            came = TcpStream::connect((host, port)).ok();
            came.is_some()
        });
        let stream = came.unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let read = std::io::Read::read(&mut &stream, &mut [0]).unwrap_or(0);
        assert_eq!(read == 1, is_in, "{allow} {host}");
        drop(running);
    }
    // By a socket for both kinds of address, an IPv4 address comes inside an IPv6 one.
    let port = port::free();
    let address = format!("*:{port}");
    let command = Command::new("ventiserve").args(["-c", "8m", "-a", &address]);
    let running = command.args(["--allow", "127.0.0.1"]).arg(&store).start();
    let served = Served::of(running, port, 0);
    assert_eq!(served.client(Version::V02).ask(&Request::Sync), "Rsync");
}

/// It with this listener as descriptor 3.
fn handed(listener: &TcpListener, names: &str, store: &Path, notify: &Path) -> Running {
    let script = "exec 3<&0 </dev/null; exec \"$0\" \"$@\"";
    let command = Command::new("ventiserve").through(["sh", "-c", script]);
    let command = command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", names);
    let command = command.env("NOTIFY_SOCKET", notify.as_os_str());
    let listener = listener.try_clone().unwrap();
    let command = command.args(["-c", "8m"]).arg(store);
    command.start_on(OwnedFd::from(listener))
}

#[test]
fn a_socket_that_is_handed_over_is_served_and_the_supervisor_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let notify = UnixDatagram::bind(&path).unwrap();
    notify.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut bytes = [0; 64];
        let length = notify.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let store = directory.path().join("store");
    let server = handed(&listener, "venti", &store, &path);
    assert_eq!(told(), "READY=1");
    let mut client = WireClient::hello(port, Version::V04).unwrap();
    write(&mut client, b"through a socket that somebody else made");
    let pid = rustix::process::Pid::from_raw(server.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(told(), "STOPPING=1");
    assert_eq!(server.wait().status, 0);
}

#[test]
fn a_signal_prints_how_it_is_without_a_score() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    let mut client = served.client(Version::V04);
    write(&mut client, b"one");
    write(&mut client, b"one");
    patience::until("the first connection is gone", || {
        served.metric("connections") == 1
    });
    served.signal(Signal::USR1);
    // It goes on.
    write(&mut client, b"one");
    write(&mut client, b"one");
    let output = served.end();
    assert_eq!(output.status, 0);
    let status = output.stderr.strip_prefix("ventiserve: 1 block, ");
    let status = status.unwrap_or_else(|| panic!("{output:?}"));
    assert!(status.contains(": 1 stored, "), "{output:?}");
    assert!(status.contains("; 1 connection, 2 taken, "), "{output:?}");
    assert!(!output.stderr.contains(&Score::of(b"one").to_string()[..8]));
}

#[test]
fn no_store_is_made_of_a_word_that_is_mistyped() {
    let directory = tempfile::tempdir().unwrap();
    for (store, status) in [
        ("disk:arenas", 1),
        ("disk:0-8m", 1),
        ("/dev/none-such/store", 1),
    ] {
        let command = Command::new("ventiserve").current_dir(directory.path());
        let address = format!("127.0.0.1:{}", port::free());
        let output = command.args(["-c", "8m", "-a", &address, store]).run();
        assert_eq!(output.status, status, "{output:?}");
        assert!(output.stderr.contains("no such file"), "{output:?}");
    }
    for (options, said) in [
        (["-c", "5", "-A", "1m"], "with -c, found 5"),
        (["-c", "8m", "-A", "5"], "with -A, found 5 bytes"),
        (["-c", "40g", "-A", "1m"], "31744 arenas, found 40960"),
    ] {
        let command = Command::new("ventiserve").current_dir(directory.path());
        let address = format!("127.0.0.1:{}", port::free());
        let output = command.args(options).args(["-a", &address, "store"]).run();
        assert_eq!(output.status, 2, "{output:?}");
        assert!(output.stderr.contains(said), "{output:?}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
