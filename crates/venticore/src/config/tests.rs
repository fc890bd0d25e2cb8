//! Tests of the configuration.

use super::file::File;
use super::limits::FileLimits;
use super::*;
use crate::net::client::Timeouts;
use std::fs;

fn config(text: &str, env: &[(&str, &str)]) -> eyre::Result<Config> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    fs::write(&file, text).unwrap();
    let env = env.iter().map(|(name, value)| (name.into(), value.into()));
    let named = ("VENTIPROG_CONFIG".into(), file.into());
    Config::from(&env.chain([named]).collect())
}

#[test]
fn the_environment_goes_before_the_file() {
    let text = "targets = ['c']\nsource = 's'\ndir = '/d'\n[limits]\nsilence = 3\n";
    let config = config(
        text,
        &[
            ("targetventis", "a\x01 b"),
            ("venti", "v"),
            ("STATE_DIRECTORY", "/s:/t"),
        ],
    )
    .unwrap();
    assert_eq!(config.targets, ["a", "b"]);
    assert_eq!(config.source.as_deref(), Some("s"));
    assert_eq!(config.venti.as_deref(), Some("v"));
    assert_eq!(config.dialer.limits.silence, Duration::from_secs(3));
    assert_eq!(config.dialer.limits.connect, Timeouts::default().connect);
    assert_eq!(config.state_dir(None), Path::new("/d"));
    assert_eq!(config.state_dir(Some(Path::new("/o"))), Path::new("/o"));
}

#[test]
fn without_a_key_the_state_directory_is_that_of_systemd() {
    let with = config("", &[("STATE_DIRECTORY", "/s:/t")]).unwrap();
    if !Path::new(NINE_FAT).is_dir() {
        assert_eq!(with.state_dir(None), Path::new("/s"));
    }
}

#[test]
fn an_unknown_key_is_an_error_that_names_it_and_its_line() {
    let error = config("dir = '/d'\ntarget = 'x'\n", &[]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("line 2") && text.contains("`target`"),
        "{text}"
    );
    let error = config("[limits]\nsilense = 1\n", &[]).unwrap_err();
    assert!(error.to_string().contains("`silense`"), "{error}");
}

#[test]
fn a_partition_is_where_the_table_says() {
    let text = "index = 'http://h:8000/index'\n[partitions]\n'/dev/a' = '/here/a'\n\
                '/dev/a:1-2' = '/here/b'\n";
    let config = config(text, &[]).unwrap();
    assert_eq!(config.index.as_deref(), Some("http://h:8000/index"));
    for (partition, path) in [
        ("/dev/a", "/here/a"),
        ("/dev/a:1-2", "/here/b"),
        ("/dev/a:3-4", "/here/a:3-4"),
        ("/dev/b", "/dev/b"),
        ("/dev/b:1-2", "/dev/b:1-2"),
        ("arenas", "arenas"),
    ] {
        assert_eq!(config.local_path(partition), path);
    }
}

#[test]
fn a_9fat_is_an_image_or_is_mounted_where_it_is_configured() {
    let text = "9fat = 'disk.img:9fat'\ndir = '/n/x'\n[mount]\npartition = '/dev/sdz9'\n";
    let config = config(text, &[("STATE_DIRECTORY", "/s")]).unwrap();
    let image = |given: Option<&str>| {
        let operand = config.nine_fat(given.map(OsStr::new));
        operand.unwrap().unwrap().image.to_string()
    };
    assert_eq!(image(None), "disk.img:9fat");
    assert_eq!(image(Some("other")), "other");
    assert!(config.nine_fat(Some(OsStr::new(""))).is_err());
    let mount = config.mount_at(Path::new("/n/x")).unwrap();
    assert_eq!(mount.command.first().unwrap(), "mount");
    assert_eq!(mount.unmount, ["umount", "--", "{dir}"]);
    assert_eq!(config.mount_at(Path::new("/n/y")), None);
    assert_eq!(config.keep_dir(None), Path::new("/s"));
    assert_eq!(config.keep_dir(Some(Path::new("/"))), Path::new("/"));
}

#[test]
fn what_writes_a_fat_is_mcopy_unless_the_file_says_otherwise() {
    let write = |text: &str| {
        config(text, &[])
            .unwrap()
            .nine_fat(None)
            .unwrap()
            .unwrap()
            .write
    };
    let words = write("9fat = 'x'\n");
    assert_eq!(words, ["mcopy", "-o", "-i", "{image}", "-", "{file}"]);
    let words = write("9fat = 'x'\n[mtools]\nwrite = ['put', '{image}', '{file}']\n");
    assert_eq!(words, ["put", "{image}", "{file}"]);
    assert!(config("[mtools]\nread = ['get']\n", &[]).is_err());
}

#[test]
fn a_partition_has_one_path() {
    for text in [
        "[mount]\ncommand = []\n",
        "[partitions]\na = 1\n",
        "partitions = 'a'\n",
        "index = 1\n",
    ] {
        assert!(config(text, &[]).is_err(), "{text}");
    }
}

#[test]
fn a_fossil_is_started_as_its_tables_say() {
    let text = "[fossil]\nopen = '-c 1'\nlisten = 'tcp!a!1'\n\
                [fossils.alt]\nsrv = '-P'\nlisten = 'tcp!b!2'\n";
    let config = config(text, &[]).unwrap();
    assert_eq!(config.fossil(None).listen.as_deref(), Some("tcp!a!1"));
    let alt = config.fossil(Some("alt"));
    assert_eq!(alt.open.as_deref(), Some("-c 1"));
    assert_eq!(alt.srv.as_deref(), Some("-P"));
    assert_eq!(alt.listen.as_deref(), Some("tcp!b!2"));
    assert_eq!(config.fossil(Some("other")).listen, None);
}

#[test]
fn a_directory_where_no_9fat_is_mounted_is_known() {
    let dir = tempfile::tempdir().unwrap();
    assert!(is_bare(dir.path()));
    fs::write(dir.path().join("other"), "").unwrap();
    assert!(is_bare(dir.path()));
    for sign in ["plan9.ini", "wrcmd", "rootscor"] {
        fs::write(dir.path().join(sign), "").unwrap();
        assert!(!is_bare(dir.path()), "{sign}");
        fs::remove_file(dir.path().join(sign)).unwrap();
    }
    // Mounted, and not there.
    assert!(!is_bare(Path::new("/proc")));
    assert!(!is_bare(&dir.path().join("none")));
    for text in ["dir = '/n/9fat'\n", "[mount]\npartition = 'p'\n"] {
        assert!(!config(text, &[]).unwrap().lacks_nine_fat(None));
    }
    let named = Some(Path::new(NINE_FAT));
    assert!(!config("", &[]).unwrap().lacks_nine_fat(named));
}

#[test]
fn every_default_place_can_be_another() {
    let config = |text| config(text, &[]).unwrap();
    let default = config("[fossil]\nopen = ''\n");
    assert_eq!(default.consoles, Path::new("/srv"));
    assert_eq!(default.fossil_partition(None), "/dev/sdC0/fossil");
    assert_eq!(default.default_index, "http://127.0.0.1:8000/index");
    let text = "consoles = '/a'\ndefault_index = 'http://h/i'\n[fossil]\npartition = '/b'\n";
    let other = config(text);
    assert_eq!(other.consoles, Path::new("/a"));
    assert_eq!(other.fossil_partition(None), "/b");
    assert_eq!(other.fossil_partition(Some(OsStr::new("/c"))), "/c");
    assert_eq!(
        (other.default_index.as_str(), other.index),
        ("http://h/i", None)
    );
}

#[test]
fn a_fossil_with_a_name_has_no_default_partition() {
    let error = config("[fossils.a]\npartition = '/b'\n", &[]).unwrap_err();
    let said = "[fossils.a]: unknown key `partition`: expected only in [fossil]";
    assert!(error.to_string().ends_with(said), "{error}");
}

#[test]
fn the_namespace_is_where_plan9port_has_it() {
    for (env, expected) in [
        (&[("NAMESPACE", "/n"), ("DISPLAY", ":1")][..], "/n"),
        (&[("DISPLAY", ":0.0")], "/tmp/ns.u.:0"),
        (&[("DISPLAY", "host:10.0")], "/tmp/ns.u.host:10"),
        (&[("DISPLAY", "host:1.1")], "/tmp/ns.u.host:1.1"),
        (&[("DISPLAY", "/tmp/launch/:0")], "/tmp/ns.u._tmp_launch_:0"),
        (&[], "/tmp/ns.u.:0"),
    ] {
        let namespace = config("", env).unwrap().namespace(Some("u"));
        assert_eq!(namespace, Path::new(expected));
    }
}

#[test]
fn a_named_file_must_be_there() {
    let env = [("VENTIPROG_CONFIG".into(), "/nonexistent/c.toml".into())];
    let error = Config::from(&env.into_iter().collect()).unwrap_err();
    let said =
        "$VENTIPROG_CONFIG: /nonexistent/c.toml: no such file; correct the variable or unset it";
    assert_eq!(error.to_string(), said);
}

#[test]
fn a_key_in_the_wrong_place_is_told_where_it_belongs() {
    for (text, said) in [
        (
            "#[limits]\nconnect = 3\n",
            "line 2: unknown field `connect`, it stands above the first [table] and belongs in [limits]",
        ),
        (
            "[limits]\nsync = 3\ntargets = ['a']\n",
            "line 3: unknown field `targets`, it stands in [limits] and belongs above the first [table]",
        ),
        (
            "[undo]\npartition = '/a'\n",
            "line 2: unknown field `partition`, it stands in [undo] and belongs in [fossil] or in [mount]",
        ),
    ] {
        let error = config(text, &[]).unwrap_err().to_string();
        assert!(error.ends_with(said), "{error}");
    }
    let error = config("\ntarget = 'x'\n", &[]).unwrap_err().to_string();
    let said = "line 2: unknown field `target`, it stands above the first [table]: did you mean `targets`?";
    assert!(error.ends_with(said), "{error}");
    for (text, said) in [
        (
            "source = 127.0.0.1:17034 # ours\n",
            "found 127.0.0.1:17034: put texts in quotes, source = \"127.0.0.1:17034\"",
        ),
        (
            "a = 1\nindex = http://h/index\n",
            "found http://h/index: put texts in quotes, index = \"http://h/index\"",
        ),
    ] {
        let error = config(text, &[]).unwrap_err().to_string();
        assert!(error.ends_with(said), "{error}");
    }
    let error = config("[nothing]\na = 1\n", &[]).unwrap_err().to_string();
    assert!(error.contains("expected one of `9fat`"), "{error}");
}

#[test]
fn a_value_of_the_wrong_type_is_told_with_an_example() {
    for (text, said) in [
        (
            "dir = '/d'\ntargets = 'a'\n",
            "line 2: key `targets`: expected a list, such as targets = [\"a\"], found string \"a\"",
        ),
        (
            "[limits]\nconnect=\"3\"\n",
            "line 2: key `connect`: expected a whole number, such as connect = 10, found string \"3\"",
        ),
        (
            "offline = 'yes'\n",
            "key `offline`: expected true or false, such as offline = true, found string \"yes\"",
        ),
        (
            "source = ['a']\n",
            "key `source`: expected a string, such as source = \"...\", found sequence",
        ),
        (
            "limits = 3\n",
            "key `limits`: expected a table, such as [limits], found integer `3`",
        ),
        (
            "targets = [\n  'a',\n  3,\n]\n",
            "line 3: key `targets`: expected a string, such as targets = \"...\", found integer `3`",
        ),
    ] {
        let error = config(text, &[]).unwrap_err().to_string();
        assert!(error.ends_with(said), "{error}");
    }
}

#[test]
fn a_value_that_is_wrong_is_found_when_the_file_is_read_with_line_and_key() {
    for (text, said) in [
        (
            "[limits]\n\nconnect = 0\n",
            "line 3: key `connect`: expected at least 1, found 0",
        ),
        (
            "[limits]\nsilence = 0\n",
            "line 2: key `silence`: expected at least 1, found 0",
        ),
        (
            "[limits]\ncheckpoint = 0\n",
            "line 2: key `checkpoint`: expected at least 1, found 0",
        ),
        (
            "source = 'tcp!a!0'\n",
            "line 1: key `source`: expected a port from 1 to 65535 or one of venti, 9fs, fossil, found \"0\"",
        ),
        (
            "address = 'tcp!!'\n",
            "line 1: key `address`: expected a host name or address without a port, such as fs.example.org, found \"tcp!!\"",
        ),
        (
            "address = ''\n",
            "line 1: key `address`: expected a host name or address without a port, such as fs.example.org, found \"\"",
        ),
        (
            "engine = 'natve'\n",
            "line 1: key `engine`: expected native or external, found \"natve\"",
        ),
        (
            "targets = [\n  'a',\n  'localhost:2o101',\n]\n",
            "line 3: key `targets`: expected a port from 1 to 65535 or one of venti, 9fs, fossil, found \"2o101\"",
        ),
        (
            "targets = ['a b']\n",
            "line 1: key `targets`: expected one address, found \"a b\": give several as separate words",
        ),
        (
            "targets = ['dir:usb']\n",
            "line 1: key `targets`: expected dir:PATH, the path absolute and without \"..\", blanks and shell characters, found \"dir:usb\"",
        ),
        (
            "index = 'localhost:8000/index'\n",
            "line 1: key `index`: expected http://HOST:PORT/index, found \"localhost:8000/index\"",
        ),
        (
            "default_index = 'x'\n",
            "line 1: key `default_index`: expected http://HOST:PORT/index, found \"x\"",
        ),
        (
            "arenas = ['/a', '']\n",
            "line 1: key `arenas`: expected a partition, found an empty word",
        ),
        (
            "9fat = ''\n",
            "line 1: key `9fat`: expected a partition, found an empty word",
        ),
        (
            "dir = ''\n",
            "line 1: key `dir`: expected a directory, found an empty name",
        ),
        (
            "wrarena = []\n",
            "line 1: key `wrarena`: expected a program and its arguments, found []",
        ),
        (
            "remote = ' '\n",
            "line 1: key `remote`: expected a name, found \" \"",
        ),
        (
            "[target_index]\n'a' = 'http://a:8000'\n",
            "line 2: key `'a'`: expected http://HOST:PORT/index, found \"http://a:8000\"",
        ),
        (
            "[target_index]\n'b' = 'http://b/index'\n'a!' = 'http://a/index'\n",
            "line 3: key `'a!'`: expected a port from 1 to 65535 or one of venti, 9fs, fossil, found \"\"",
        ),
        (
            "[via]\n'dir:/mnt' = ['ssh']\n",
            "line 2: key `'dir:/mnt'`: expected the address of a venti, found the replica \"dir:/mnt\", which no command leads to",
        ),
        (
            "[via]\na = ['ssh']\n'tcp!a!venti' = ['ssh']\n",
            "line 1: [via]: \"a\" and \"tcp!a!venti\" name one venti: expected each once",
        ),
        (
            "[via]\na = []\n",
            "line 2: key `a`: expected a program and its arguments, found []",
        ),
        (
            "[via]\n'$venti' = ['ssh']\n",
            "line 2: key `'$venti'`: expected a host name or address, found \"$venti\"",
        ),
        (
            "[partitions]\n'/dev/a' = ''\n",
            "line 2: key `'/dev/a'`: expected a partition, found an empty word",
        ),
        (
            "[hosts]\na = ''\n",
            "line 2: key `a`: expected a name, found \"\"",
        ),
        (
            "[remotes.x]\ncommand = ['']\n",
            "line 2: key `command`: expected a program and its arguments, found [\"\"]",
        ),
        (
            "[fossil]\nventi = '*'\n",
            "line 2: key `venti`: expected a host name or address, found \"*\"",
        ),
        (
            "[fossil]\nopen = \"-c 1\\nhalt\"\n",
            "line 2: key `open`: expected options in one line, found \"-c 1\\nhalt\"",
        ),
        (
            "[mount]\npartition = '/a'\ncommand = []\n",
            "line 3: key `command`: expected a program and its arguments, found []",
        ),
        (
            "[mtools]\nwrite = []\n",
            "line 2: key `write`: expected a program and its arguments, found []",
        ),
        (
            "[fossils.a]\nprivate = true\n",
            "[fossils.a]: unknown key `private`: expected only in [fossil]",
        ),
    ] {
        let error = config(text, &[]).unwrap_err().to_string();
        assert!(error.ends_with(&format!(": {said}")), "{text}: {error}");
    }
    let text = "source = '$venti'\ntargets = ['/net.alt/tcp!a', '[::1]:17034', 'dir:/mnt/usb']\naddress = '::1'\n";
    config(text, &[]).unwrap();
}

#[test]
fn the_nearer_file_wins_key_by_key() {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let near = File {
        dir: Some("/near".into()),
        via: toml::from_str("'tcp!a!venti' = ['near']").unwrap(),
        partitions: Some([("a", "near")].map(owned).into()),
        limits: Some(FileLimits {
            sync: Some(1),
            ..FileLimits::default()
        }),
        ..File::default()
    };
    let far = File {
        dir: Some("/far".into()),
        via: toml::from_str("a = ['far']\nb = ['far']").unwrap(),
        source: Some("far".into()),
        index: Some("far".into()),
        partitions: Some([("a", "far"), ("b", "far")].map(owned).into()),
        limits: Some(FileLimits {
            sync: Some(2),
            connect: Some(2),
            ..FileLimits::default()
        }),
        ..File::default()
    };
    let both = near.over(far);
    assert_eq!(both.dir, Some("/near".into()));
    let words = both.via.unwrap().0.into_values().collect::<Vec<_>>();
    assert_eq!(words, [["near"], ["far"]], "a and b");
    assert_eq!(both.source.as_deref(), Some("far"));
    assert_eq!(both.index.as_deref(), Some("far"));
    let partitions = both.partitions.unwrap();
    assert_eq!(partitions, [("a", "near"), ("b", "far")].map(owned).into());
    let limits = both.limits.unwrap().of_a_client();
    assert_eq!(
        [limits.sync, limits.connect],
        [Duration::from_secs(1), Duration::from_secs(2)]
    );
}

#[test]
fn a_home_that_is_no_directory_has_no_file() {
    let home = [("HOME".into(), "/dev/null".into())];
    // The machine's own file may be there, and is not ours to judge.
    if let Err(error) = Config::from(&home.into_iter().collect()) {
        assert!(!error.to_string().contains("/dev/null"), "{error}");
    }
}

#[test]
fn a_file_without_end_is_no_configuration() {
    let fits = format!("{}\n", "#".repeat((1 << 20) - 1));
    assert!(config(&fits, &[]).is_ok());
    assert!(config(&format!("{fits}\n"), &[]).is_err());
    let named = [("VENTIPROG_CONFIG".into(), "/dev/zero".into())];
    let error = Config::from(&named.into_iter().collect()).unwrap_err();
    let said = "/dev/zero: expected at most 1048576 bytes, found more";
    assert_eq!(error.to_string(), said);
}

/// The sample that comes with the packages.
fn sample() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/contrib/toml/ventiprog");
    fs::read_to_string(path).unwrap()
}

/// The same, with everything that is commented out.
fn whole_sample() -> String {
    let is_key = |line: &&str| line.starts_with('[') || line.contains(" = ");
    let lines = sample();
    // It stands in place of the other parts of a key.
    let lines = lines
        .lines()
        .filter(|line| !line.starts_with("#credentials"));
    let lines = lines.map(|line| {
        let key = line.strip_prefix('#').filter(is_key);
        key.unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The keys that may stand below a heading: what the error about an unknown one lists.
fn known_keys(heading: &str) -> Vec<String> {
    let Err(error) = config(&format!("{heading}zz = 1\n"), &[]) else {
        return Vec::new();
    };
    let text = error.to_string();
    let Some((_, keys)) = text.split_once("unknown field `zz`, expected ") else {
        return Vec::new();
    };
    keys.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_sample_is_understood_as_it_is_and_with_everything_in_it() {
    config(&sample(), &[]).unwrap();
    let whole = config(&whole_sample(), &[]).unwrap();
    assert_eq!(whole.remotes.len(), 1);
}

#[test]
fn the_sample_has_every_key() {
    let sample: toml::Table = whole_sample().parse().unwrap();
    let top = known_keys("");
    assert!(top.len() > 15, "{top:?}");
    for key in top {
        let value = sample.get(&key);
        let value = value.unwrap_or_else(|| panic!("the sample lacks {key}"));
        let one = |table: &toml::Table| table.values().next().cloned();
        let tables = [
            (known_keys(&format!("[{key}]\n")), value.as_table().cloned()),
            (
                known_keys(&format!("[{key}.x]\n")),
                value
                    .as_table()
                    .and_then(one)
                    .and_then(|table| table.as_table().cloned()),
            ),
        ];
        for (keys, table) in tables {
            // One of several tables shows what differs.
            for below in keys.iter().filter(|_| key != "fossils") {
                let has = table
                    .as_ref()
                    .is_some_and(|table| table.contains_key(below))
                    || self::sample().contains(&format!("\n#{below} = "));
                assert!(has, "the sample lacks {below} of {key}");
            }
        }
    }
}

#[test]
fn a_pipe_is_read_and_one_without_a_writer_is_not_waited_for() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let named = || {
        let named = ("VENTIPROG_CONFIG".into(), path.clone().into());
        Config::from(&[named].into_iter().collect())
    };
    let error = named().unwrap_err().to_string();
    assert!(
        error.ends_with("a pipe, and nothing came within 5 s"),
        "{error}"
    );
    let writer = path.clone();
    let writer = std::thread::spawn(move || std::fs::write(writer, "engine = 'external'\n"));
    assert_eq!(named().unwrap().engine.as_deref(), Some("external"));
    writer.join().unwrap().unwrap();
}
