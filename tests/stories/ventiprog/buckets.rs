//! ventiprog to a bucket of an object store, which may be at fault.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use venti_tests::bucket::{Bucket, Fault, KEY, SECRET};
use venti_tests::command::{Command, Output};

use crate::fixture::site::{LIMITS, Site};

/// Three arenas: two sealed, one in use.
pub(super) fn three_arenas() -> Site {
    let mut site = Site::empty(4);
    site.add(300);
    site.seal();
    site.add(200);
    site.seal();
    site.add(100);
    site
}

/// Gives a command the key of the bucket, and further attempts.
pub(super) fn with_key(command: Command) -> Command {
    command
        .config(&LIMITS.replace("retries = 0", "retries = 2"))
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
}

fn run(site: &Site, target: &str) -> Output {
    let command = site.ventiprog().args(["-p", &site.part(), target]);
    with_key(command).run()
}

/// A run that ends with this status, and says nothing that could be a key.
pub(super) fn runs(site: &Site, target: &str, status: i32) -> Output {
    let output = run(site, target);
    assert_eq!(output.status, status, "{output:?}\n{}", site.file("wrcmds"));
    assert_tells_no_key(site, &output);
    output
}

/// No key, secret, signature or signed URL is in what was said, or in a state file.
pub(super) fn assert_tells_no_key(site: &Site, output: &Output) {
    let mut texts = vec![output.stdout.clone(), output.stderr.clone()];
    for entry in fs::read_dir(site.path("state")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    for text in &texts {
        for word in [KEY, SECRET, "X-Amz", "Signature=", "AWS4", "\u{1b}"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}

/// The objects below a prefix, without it.
pub(super) fn below(bucket: &Bucket, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let start = format!("{prefix}/");
    let objects = bucket.objects().into_iter();
    let named = objects.map(|(key, bytes)| {
        let name = key.strip_prefix(&start);
        (name.unwrap_or_else(|| panic!("{key}")).to_owned(), bytes)
    });
    named.collect()
}

/// What the same run writes to a directory.
pub(super) fn expected(site: &Site) -> BTreeMap<String, Vec<u8>> {
    let beside = tempfile::tempdir().unwrap();
    let root = beside.path().join("replica");
    fs::create_dir(&root).unwrap();
    let target = format!("dir:{}", root.display());
    let state = beside.path().join("state");
    fs::create_dir(&state).unwrap();
    let command = Command::new("ventiprog")
        .config(LIMITS)
        .arg("-d")
        .arg(state);
    let output = command.args(["-p", &site.part(), &target]).run();
    assert_eq!(output.status, 0, "{output:?}");
    let mut objects = BTreeMap::new();
    for entry in fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() {
            objects.insert(name, fs::read(&path).unwrap());
            continue;
        }
        for object in fs::read_dir(&path).unwrap() {
            let object = object.unwrap();
            let file = object.file_name().to_str().unwrap().to_owned();
            objects.insert(format!("{name}/{file}"), fs::read(object.path()).unwrap());
        }
    }
    objects
}

fn has(objects: &BTreeMap<String, Vec<u8>>, end: &str) -> String {
    let name = objects.keys().find(|name| name.ends_with(end));
    name.unwrap_or_else(|| panic!("{end}: {:?}", objects.keys()))
        .clone()
}

#[test]
fn a_bucket_gets_the_same_objects_as_a_directory() {
    let mut site = three_arenas();
    let bucket = Bucket::start();
    let target = bucket.replica("a/b");
    let output = runs(&site, &target, 0);
    assert_eq!((&*output.stdout, &*output.remarks()), ("", ""));
    assert_eq!(site.stands(&target), Some((2, site.end(2))));
    let first = below(&bucket, "a/b");
    assert!(first == expected(&site), "{:?}", first.keys());
    assert_eq!(bucket.wrong(), [""; 0]);

    // Nothing new: nothing is written. Then one object more.
    let _ = bucket.requests();
    runs(&site, &target, 0);
    let puts = |of: Vec<String>| of.into_iter().filter(|of| of.starts_with("PUT")).count();
    assert_eq!(puts(bucket.requests()), 0);
    site.add(20);
    runs(&site, &target, 0);
    assert_eq!(puts(bucket.requests()), 1);
    assert_eq!(below(&bucket, "a/b").len(), first.len() + 1);
}

#[test]
fn faults_that_pass_are_passed() {
    for (method, of, fault) in [
        ("PUT", "/log.", Fault::Status(503, "SlowDown")),
        ("PUT", "/head", Fault::Status(500, "InternalError")),
        ("PUT", "/log.", Fault::Status(400, "BadDigest")),
        ("PUT", "/end", Fault::ErrorIn200("InternalError")),
        ("PUT", "/log.", Fault::HalfARequest),
        ("PUT", "/log.", Fault::NoAnswer),
        ("PUT", "/log.", Fault::WrongTag),
        ("PUT", "/log.", Fault::Encrypted),
        ("PUT", "/log.", Fault::Silent(Duration::from_secs(3))),
        ("GET", "/ventiprog", Fault::HalfABody),
        ("GET", "arenas", Fault::HalfABody),
        ("GET", "arenas", Fault::ErrorIn200("SlowDown")),
        ("HEAD", "/head", Fault::Status(503, "")),
    ] {
        let site = three_arenas();
        let bucket = Bucket::start();
        bucket.plan(method, of, 1, fault);
        let target = bucket.replica("x");
        runs(&site, &target, 0);
        assert!(
            below(&bucket, "x") == expected(&site),
            "{method} {of} {fault:?}"
        );
    }
}

#[test]
fn faults_that_stay_end_the_run_and_the_next_one_goes_on() {
    for (method, of, fault, status, said) in [
        (
            "PUT",
            "/log.",
            Fault::Status(503, "SlowDown"),
            6,
            "the server answers 503 SlowDown",
        ),
        (
            "PUT",
            "/log.",
            Fault::ErrorIn200("InternalError"),
            6,
            "the server answers 200 InternalError",
        ),
        ("PUT", "/log.", Fault::HalfARequest, 6, ": put: "),
        (
            "GET",
            "/ventiprog",
            Fault::Status(403, "RequestTimeTooSkewed"),
            1,
            "the clock of this machine and of the server differ",
        ),
        (
            "GET",
            "/ventiprog",
            Fault::Status(403, "SignatureDoesNotMatch"),
            1,
            "check the key, its secret, the region",
        ),
        (
            "GET",
            " x/",
            Fault::Status(404, "NoSuchBucket"),
            1,
            "make the bucket first",
        ),
        (
            "PUT",
            "/log.",
            Fault::Status(400, "InvalidRequest"),
            1,
            "the server answers 400 InvalidRequest",
        ),
        (
            "PUT",
            "/log.",
            Fault::OtherBytes,
            4,
            "the server has stored other bytes than were sent",
        ),
    ] {
        let site = three_arenas();
        let bucket = Bucket::start();
        bucket.plan(method, of, 100, fault);
        let target = bucket.replica("x");
        let output = runs(&site, &target, status);
        assert!(output.stderr.contains(said), "{fault:?}: {output:?}");
        assert_eq!(output.remarks().lines().count(), 1, "{output:?}");
        let after = site.stands(&target);
        assert!(after.is_none_or(|at| at < (2, site.end(2))), "{after:?}");
        if fault != Fault::OtherBytes {
            bucket.plan_nothing();
            runs(&site, &target, 0);
            assert!(below(&bucket, "x") == expected(&site), "{fault:?}");
        }
    }
}

#[test]
fn a_listing_by_pages_and_one_that_hides_objects_lead_to_the_same() {
    let mut site = three_arenas();
    let bucket = Bucket::start();
    bucket.set_page(2);
    let target = bucket.replica("x");
    runs(&site, &target, 0);
    for _ in 0..4 {
        site.add(5);
        runs(&site, &target, 0);
    }
    let objects = below(&bucket, "x");
    for key in objects.keys().filter(|key| key.contains("/log.")) {
        bucket.hide(&format!("x/{key}"));
    }
    // The log was acknowledged and seems to have gone: that is said. What is there stays as
    // it is, whatever is written beside it.
    let output = runs(&site, &target, 4);
    assert!(output.stderr.contains("missing"), "{output:?}");
    let after = below(&bucket, "x");
    for (name, bytes) in &objects {
        assert!(after[name] == *bytes, "{name}");
    }
}

#[test]
fn other_bytes_under_a_name_stay_and_are_said() {
    let site = three_arenas();
    for ignores in [false, true] {
        let bucket = Bucket::start();
        if ignores {
            bucket.ignore_conditions();
        }
        let target = bucket.replica(&format!("x{ignores}"));
        let mut objects = expected(&site);
        let name = has(&objects, "/head");
        objects.get_mut(&name).unwrap()[0] ^= 1;
        bucket.set(&format!("x{ignores}/{name}"), &objects[&name]);
        bucket.set(&format!("x{ignores}/ventiprog"), b"ventiprog replica 1\n");
        bucket.hide(&format!("x{ignores}/{name}"));
        let output = runs(&site, &target, 4);
        assert!(
            output.stderr.contains("other bytes than the source"),
            "{output:?}"
        );
        assert!(below(&bucket, &format!("x{ignores}"))[&name] == objects[&name]);
    }
}

#[test]
fn a_bucket_is_read_back_and_read_as_a_partition() {
    let site = three_arenas();
    for ignores_ranges in [false, true] {
        let bucket = Bucket::start();
        if ignores_ranges {
            bucket.ignore_ranges();
        }
        let target = bucket.replica(&format!("x{ignores_ranges}"));
        runs(&site, &target, 0);
        let verify = site
            .ventiprog()
            .args(["--verify", "-p", &site.part(), &target]);
        let output = with_key(verify).run();
        assert_eq!(output.status, 0, "{output:?}");

        // Every block, to another venti.
        let venti = venti_tests::venti::Venti::start();
        let command = Command::new("wrarena").args(["-h", &venti.dial(), &target]);
        let output = with_key(command).run();
        assert_eq!(output.status, 0, "{output:?}");
        assert_eq!(site.holes(&venti), 0);
        assert_tells_no_key(&site, &output);
    }
}

#[test]
fn damage_in_a_bucket_is_found() {
    for (kind, said) in [
        ("flipped", "is damaged at"),
        ("cut", "fewer or more than its name says"),
        ("gone", "is missing"),
    ] {
        let site = three_arenas();
        let bucket = Bucket::start();
        let target = bucket.replica("x");
        runs(&site, &target, 0);
        let objects = below(&bucket, "x");
        let name = has(&objects, &format!("-{:016x}", site.end(2)));
        let key = format!("x/{name}");
        let mut bytes = objects[&name].clone();
        bytes[2000] ^= 1;
        match kind {
            "flipped" => bucket.set(&key, &bytes),
            "cut" => bucket.set(&key, &objects[&name][..5000]),
            _ => bucket.remove(&key),
        }
        let output = runs(&site, &target, 4);
        assert!(output.stderr.contains(said), "{output:?}");
    }
}

#[test]
fn keys_come_from_a_file_of_mode_0600_or_from_a_program() {
    let site = three_arenas();
    let secret = site.path("secret");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let set = |mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&secret, mode).unwrap();
    };
    let file = format!(
        "[s3]\naccess_key_id = {KEY:?}\nsecret_access_key_file = {:?}\n",
        secret.display().to_string()
    );
    let program = format!(
        "[s3]\ncredentials = ['printf', '%s', '{{\"AccessKeyId\":\"{KEY}\",\"SecretAccessKey\":\"{SECRET}\"}}']\n"
    );
    let bucket = Bucket::start();
    for (mode, config, status) in [(0o644, &file, 1), (0o600, &file, 0), (0o644, &program, 0)] {
        set(mode);
        let target = bucket.replica(&format!("{mode}{}", config.len()));
        let command = site.ventiprog().args(["-p", &site.part(), &target]);
        let output = command.config(&format!("{LIMITS}{config}")).run();
        assert_eq!(output.status, status, "{output:?}");
        assert_eq!(
            status == 1,
            output.stderr.contains("chmod 600"),
            "{output:?}"
        );
        assert_tells_no_key(&site, &output);
    }
    assert_eq!(bucket.wrong(), [""; 0]);

    // Without any, nothing is asked.
    let target = bucket.replica("none");
    let _ = bucket.requests();
    let output = site.ventiprog().args(["-p", &site.part(), &target]).run();
    output.assert_refused(1, "AWS_ACCESS_KEY_ID");
    assert_eq!(bucket.requests(), [""; 0]);
}

#[test]
fn no_key_is_in_the_arguments_of_a_process() {
    let site = three_arenas();
    let bucket = Bucket::start();
    bucket.plan("PUT", "/log.", 1, Fault::Silent(Duration::from_secs(1)));
    let target = bucket.replica("x");
    let command = site.ventiprog().args(["-p", &site.part(), &target]);
    let mut running = with_key(command).start();
    let mut seen = 0;
    while running.is_running() {
        let Ok(line) = fs::read(format!("/proc/{}/cmdline", running.id())) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(!line.contains(SECRET) && !line.contains("X-Amz"), "{line}");
        seen += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(seen > 0);
    assert_eq!(running.wait().status, 0);
}
