//! The environment and the configuration file, read once: option, environment,
//! file, default, in this order of precedence.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::client::Limits;
use crate::dial::{Dial, DialError};
use crate::partition::{Operand, OperandError};
use crate::replicate::Checkpoint;
use crate::state::StateDir;

/// What the environment and the configuration file say; the default is an
/// empty environment without a file.
#[derive(Clone, Debug)]
pub struct Config {
    /// `$venti`: the venti that commands talk to unless told otherwise.
    pub venti: Option<String>,
    /// `$targetventis`, else `targets` of the file.
    pub targets: Vec<String>,
    /// `source` of the file: the venti whose arenas are replicated.
    pub source: Option<String>,
    /// `index` of the file: the URL of the source's index page.
    pub index: Option<String>,
    /// `[partitions]` of the file: see [`Config::local_path`].
    partitions: HashMap<String, String>,
    /// `engine` of the file: who sends, `native` or `external`.
    pub engine: Option<String>,
    /// `wrarena` of the file: the external engine's argument vector.
    pub wrarena: Option<Vec<String>>,
    /// `9fat` of the file: a 9fat that nobody mounts, as a partition operand.
    nine_fat: Option<OsString>,
    /// `[mount]` of the file: a 9fat to be mounted as the state directory.
    mount: Option<Mount>,
    /// `dir` of the file.
    dir: Option<PathBuf>,
    /// `$STATE_DIRECTORY`.
    state_directory: Option<PathBuf>,
    /// `$NAMESPACE`, else `namespace` of the file: see [`Config::namespace`].
    namespace: Option<PathBuf>,
    /// `$DISPLAY`, `$USER`: what the namespace is named after.
    display: Option<String>,
    user: Option<String>,
    /// `$PLAN9`: where plan9port is.
    pub plan9: Option<PathBuf>,
    /// `$PATH`, as far as it is text.
    pub path: String,
    /// `[fossil]` of the file: how a fossil without a name is started.
    fossil: Fossil,
    /// `[fossils.NAME]` of the file: what differs for one with this name.
    fossils: HashMap<String, Fossil>,
    /// `console` of `[limits]`: how long a command on a fossil's console may take.
    pub console: Duration,
    /// `archive` of `[limits]`: how long an archival snapshot may take.
    pub archive: Duration,
    /// `[limits]` of the file.
    pub limits: Limits,
    /// `retries` of `[limits]`: how often a target that was lost in the middle
    /// is dialled again.
    pub retries: u32,
    /// `checkpoint` of `[limits]`: bytes of log after which a target is asked
    /// to sync.
    pub checkpoint_bytes: u64,
    /// How long to wait before a target is dialled again; twice as long before
    /// each further time.
    pub backoff: Duration,
    /// `remote` of the file: how other machines are reached; a key of
    /// `[remotes]`, a built-in one, or a program.
    pub remote: Option<String>,
    /// `[remotes.NAME]` of the file.
    pub remotes: HashMap<String, Remote>,
    /// `[hosts]` of the file: how each of these machines is reached.
    pub hosts: HashMap<String, String>,
    /// `remote` of `[limits]`: how long a command on another machine may take.
    pub remote_limit: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            venti: None,
            targets: Vec::new(),
            source: None,
            engine: None,
            wrarena: None,
            index: None,
            partitions: HashMap::new(),
            nine_fat: None,
            mount: None,
            dir: None,
            state_directory: None,
            namespace: None,
            display: None,
            user: None,
            plan9: None,
            path: String::new(),
            fossil: Fossil::default(),
            fossils: HashMap::new(),
            console: Duration::from_secs(120),
            archive: Duration::from_secs(30 * 60),
            limits: Limits::default(),
            retries: 5,
            checkpoint_bytes: Checkpoint::default().bytes,
            backoff: Duration::from_millis(250),
            remote: None,
            remotes: HashMap::new(),
            hosts: HashMap::new(),
            remote_limit: Duration::from_secs(60 * 60),
        }
    }
}

/// The configuration file, TOML. A key that is not listed here is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "9fat")]
    nine_fat: Option<String>,
    mount: Option<Mount>,
    dir: Option<PathBuf>,
    source: Option<String>,
    engine: Option<String>,
    wrarena: Option<Vec<String>>,
    targets: Option<Vec<String>>,
    index: Option<String>,
    partitions: Option<HashMap<String, String>>,
    remote: Option<String>,
    remotes: Option<HashMap<String, Remote>>,
    hosts: Option<HashMap<String, String>>,
    namespace: Option<PathBuf>,
    fossil: Option<Fossil>,
    fossils: Option<HashMap<String, Fossil>>,
    limits: Option<FileLimits>,
}

/// A 9fat that is mounted as the state directory while a command runs. In the
/// words of both commands, `{partition}` and `{dir}` stand for those.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The partition, as mount(8) takes it.
    pub partition: String,
    /// What mounts it.
    #[serde(default = "Mount::command")]
    pub command: Vec<String>,
    /// What unmounts it.
    #[serde(default = "Mount::unmount")]
    pub unmount: Vec<String>,
}

impl Mount {
    fn command() -> Vec<String> {
        // A FAT has no modes: those of the mount keep others out.
        let words = [
            "mount",
            "-t",
            "vfat",
            "-o",
            "umask=077",
            "--",
            "{partition}",
            "{dir}",
        ];
        words.map(str::to_owned).into()
    }

    fn unmount() -> Vec<String> {
        ["umount", "--", "{dir}"].map(str::to_owned).into()
    }
}

/// How a command is run on another machine: `[remotes.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// The argument vector, with `{host}` and `{command}`.
    pub command: Vec<String>,
    /// The shell there, for which the command is quoted.
    #[serde(default)]
    pub shell: Shell,
    /// Its exit status is that of the command; else the shell there is made
    /// to print it.
    #[serde(default)]
    pub status: bool,
    /// The commands there are the rc scripts: they read no score from standard
    /// input, and have no options.
    #[serde(default)]
    pub scripts: bool,
}

/// A shell on another machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shell {
    /// The shell of Unix.
    #[default]
    Sh,
    /// That of Plan 9.
    Rc,
}

/// How a fossil is started: `[fossil]` or `[fossils.NAME]`. What is absent is
/// as the rc script fossilstart has it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Fossil {
    /// The program and its first arguments.
    pub program: Option<Vec<String>>,
    /// The venti it archives to.
    pub venti: Option<String>,
    /// The options of `open`.
    pub open: Option<String>,
    /// The options of `snaptime`; empty: it is not given.
    pub snaptime: Option<String>,
    /// The options of `srv`.
    pub srv: Option<String>,
    /// The address to listen at; absent: none.
    pub listen: Option<String>,
}

/// Time limits in seconds, and how to go on after a fault.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLimits {
    connect: Option<u32>,
    silence: Option<u32>,
    sync: Option<u32>,
    retries: Option<u32>,
    checkpoint: Option<u64>,
    remote: Option<u32>,
    console: Option<u32>,
    archive: Option<u32>,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum Error {
    /// A configuration file could not be read.
    Read(PathBuf, io::Error),
    /// Its text is not what was expected.
    Text(PathBuf, String),
    /// A variable holds what is not text.
    Variable(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Text(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Variable(name) => write!(f, "${name}: expected text, found other bytes"),
        }
    }
}

impl std::error::Error for Error {}

/// Where the scripts keep their state.
const NINE_FAT: &str = "/n/9fat";

impl Config {
    /// Reads the process's environment and the configuration file it leads to.
    ///
    /// # Errors
    /// A file is named by `$VENTIPROG_CONFIG` and missing, a file cannot be
    /// read or holds an unknown key or a value of the wrong kind.
    pub fn load() -> Result<Self, Error> {
        Self::from(&std::env::vars_os().collect())
    }

    fn from(env: &HashMap<OsString, OsString>) -> Result<Self, Error> {
        let path = |name: &str| {
            env.get(&OsString::from(name))
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let file = match path("VENTIPROG_CONFIG") {
            Some(file) => read(&file)?,
            None => {
                let home = path("XDG_CONFIG_HOME")
                    .or_else(|| path("HOME").map(|home| home.join(".config")));
                let mut file = read_if_there(Path::new("/etc/ventiprog.toml"))?;
                if let Some(home) = home {
                    file = read_if_there(&home.join("ventiprog.toml"))?.over(file);
                }
                file
            }
        };
        let words = list(env, "targetventis")?;
        let limits = file.limits.unwrap_or_default();
        let default = Config::default();
        Ok(Config {
            venti: list(env, "venti")?.into_iter().next(),
            targets: if words.is_empty() {
                file.targets.unwrap_or_default()
            } else {
                words
            },
            source: file.source,
            engine: file.engine,
            wrarena: file.wrarena,
            index: file.index,
            partitions: file.partitions.unwrap_or_default(),
            nine_fat: file.nine_fat.map(OsString::from),
            mount: file.mount,
            dir: file.dir,
            state_directory: path("STATE_DIRECTORY").map(|dirs| first_directory(&dirs)),
            namespace: path("NAMESPACE").or(file.namespace),
            display: text(env, "DISPLAY"),
            user: text(env, "USER"),
            plan9: path("PLAN9"),
            path: text(env, "PATH").unwrap_or_default(),
            fossil: file.fossil.unwrap_or_default(),
            fossils: file.fossils.unwrap_or_default(),
            console: limits.console.map_or(default.console, whole_seconds),
            archive: limits.archive.map_or(default.archive, whole_seconds),
            retries: limits.retries.unwrap_or(default.retries),
            checkpoint_bytes: limits.checkpoint.unwrap_or(default.checkpoint_bytes).max(1),
            backoff: default.backoff,
            remote: file.remote,
            remotes: file.remotes.unwrap_or_default(),
            hosts: file.hosts.unwrap_or_default(),
            remote_limit: limits.remote.map_or(default.remote_limit, whole_seconds),
            limits: limits.limits(),
        })
    }

    /// The state directory: the one given, the configured one, `/n/9fat` where
    /// it exists, `$STATE_DIRECTORY`, or `/var/lib/ventiprog`.
    #[must_use]
    pub fn state_dir(&self, given: Option<&Path>) -> PathBuf {
        let nine_fat = || Path::new(NINE_FAT).is_dir().then(|| NINE_FAT.into());
        given
            .map(Path::to_path_buf)
            .or_else(|| self.dir.clone())
            .or_else(nine_fat)
            .unwrap_or_else(|| self.own_dir())
    }

    /// Where that lies of the state which must not lie on a FAT:
    /// `$STATE_DIRECTORY`, or `/var/lib/ventiprog`.
    #[must_use]
    pub fn own_dir(&self) -> PathBuf {
        let own = self.state_directory.clone();
        own.unwrap_or_else(|| "/var/lib/ventiprog".into())
    }

    /// Where what is about to be overwritten is kept: the state directory, but
    /// never a FAT.
    #[must_use]
    pub fn keep_dir(&self, given: Option<&Path>) -> PathBuf {
        let dir = self.state_dir(given);
        match self.mount_at(&dir).is_some() || StateDir::is_on_fat(&dir) {
            true => self.own_dir(),
            false => dir,
        }
    }

    /// What is to be mounted at the state directory before it is used: nothing
    /// where another one is given than the configured one or `/n/9fat`.
    #[must_use]
    pub fn mount_at(&self, dir: &Path) -> Option<&Mount> {
        let configured = self.dir.as_deref().unwrap_or(Path::new(NINE_FAT));
        self.mount.as_ref().filter(|_| dir == configured)
    }

    /// The 9fat that nobody mounts: the one given, else the configured one.
    ///
    /// # Errors
    /// It is no text of a partition.
    pub fn nine_fat(&self, given: Option<&OsStr>) -> Result<Option<Operand>, OperandError> {
        let text = given.or(self.nine_fat.as_deref());
        text.map(Operand::try_from).transpose()
    }

    /// The path here of a partition that a server knows as `partition`, by the
    /// table `[partitions]`. What follows the last colon (`:lo-hi`) is kept
    /// where only what is before it has a key; a name without a key stays
    /// what it is.
    #[must_use]
    pub fn local_path<'a>(&'a self, partition: &'a str) -> Cow<'a, str> {
        if let Some(path) = self.partitions.get(partition) {
            return Cow::Borrowed(path);
        }
        let part = partition
            .rsplit_once(':')
            .and_then(|(of, part)| Some(format!("{}:{part}", self.partitions.get(of)?)));
        part.map_or(Cow::Borrowed(partition), Cow::Owned)
    }

    /// The directory in which plan9port's programs post their services:
    /// `$NAMESPACE`, the key `namespace`, or `/tmp/ns.USER.DISPLAY`, where they
    /// look for it; `login` is the name of the user that runs this. Without a
    /// display they take none; we take `:0`.
    #[must_use]
    pub fn namespace(&self, login: Option<&str>) -> PathBuf {
        if let Some(namespace) = &self.namespace {
            return namespace.clone();
        }
        let display = self.display.as_deref().unwrap_or(":0").replace('/', "_");
        let screen = display.rsplit_once(":").filter(|(_, at)| {
            let digits = at.trim_start_matches(|c: char| c.is_ascii_digit());
            digits == ".0"
        });
        let display = match screen {
            Some(_) => display.trim_end_matches(".0"),
            None => &display,
        };
        let user = login.or(self.user.as_deref()).unwrap_or("none");
        format!("/tmp/ns.{user}.{display}").into()
    }

    /// How the fossil of this name is started. An address to listen at belongs to
    /// one fossil alone, so it is never that of another.
    #[must_use]
    pub fn fossil(&self, name: Option<&str>) -> Fossil {
        let Some(name) = name else {
            return self.fossil.clone();
        };
        let all = Fossil {
            listen: None,
            ..self.fossil.clone()
        };
        self.fossils
            .get(name)
            .cloned()
            .map_or(all.clone(), |own| own.over(all))
    }

    /// An address, with `$venti` as the environment has it.
    ///
    /// # Errors
    /// The text is no address, or `$venti` is not set.
    pub fn dial(&self, text: &str) -> Result<Dial, DialError> {
        Dial::parse_with(text, self.venti.as_deref())
    }
}

impl File {
    /// The keys of this file, and those of `below` that it does not have.
    fn over(self, below: File) -> File {
        let limits = self.limits.unwrap_or_default();
        let limits_below = below.limits.unwrap_or_default();
        File {
            nine_fat: self.nine_fat.or(below.nine_fat),
            mount: self.mount.or(below.mount),
            dir: self.dir.or(below.dir),
            source: self.source.or(below.source),
            engine: self.engine.or(below.engine),
            wrarena: self.wrarena.or(below.wrarena),
            targets: self.targets.or(below.targets),
            index: self.index.or(below.index),
            partitions: merged(self.partitions, below.partitions),
            remote: self.remote.or(below.remote),
            remotes: merged(self.remotes, below.remotes),
            hosts: merged(self.hosts, below.hosts),
            namespace: self.namespace.or(below.namespace),
            fossil: Some(
                self.fossil
                    .unwrap_or_default()
                    .over(below.fossil.unwrap_or_default()),
            ),
            fossils: merged(self.fossils, below.fossils),
            limits: Some(FileLimits {
                console: limits.console.or(limits_below.console),
                archive: limits.archive.or(limits_below.archive),
                connect: limits.connect.or(limits_below.connect),
                silence: limits.silence.or(limits_below.silence),
                sync: limits.sync.or(limits_below.sync),
                retries: limits.retries.or(limits_below.retries),
                checkpoint: limits.checkpoint.or(limits_below.checkpoint),
                remote: limits.remote.or(limits_below.remote),
            }),
        }
    }
}

/// A table, and the keys of `below` that it does not have.
fn merged<T>(
    table: Option<HashMap<String, T>>,
    below: Option<HashMap<String, T>>,
) -> Option<HashMap<String, T>> {
    Some(below.into_iter().chain(table).flatten().collect())
}

impl Fossil {
    /// The keys of this table, and those of `below` that it does not have.
    fn over(self, below: Fossil) -> Fossil {
        Fossil {
            program: self.program.or(below.program),
            venti: self.venti.or(below.venti),
            open: self.open.or(below.open),
            snaptime: self.snaptime.or(below.snaptime),
            srv: self.srv.or(below.srv),
            listen: self.listen.or(below.listen),
        }
    }
}

impl FileLimits {
    fn limits(&self) -> Limits {
        let default = Limits::default();
        let seconds = |given: Option<u32>, default| given.map_or(default, whole_seconds);
        Limits {
            connect: seconds(self.connect, default.connect),
            silence: seconds(self.silence, default.silence),
            sync: seconds(self.sync, default.sync),
        }
    }
}

/// The words of a variable: split at blanks, and at byte 1, which is how
/// plan9port's rc separates the elements of a list.
fn list(env: &HashMap<OsString, OsString>, name: &'static str) -> Result<Vec<String>, Error> {
    let Some(value) = env.get(&OsString::from(name)) else {
        return Ok(Vec::new());
    };
    let value = value.to_str().ok_or(Error::Variable(name))?;
    Ok(value
        .split(|c: char| c == '\x01' || c.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect())
}

/// A limit in seconds; zero would be none.
fn whole_seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.max(1).into())
}

/// A variable that is set to text.
fn text(env: &HashMap<OsString, OsString>, name: &str) -> Option<String> {
    let value = env.get(&OsString::from(name))?.to_str()?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// systemd separates several state directories by colons.
fn first_directory(dirs: &Path) -> PathBuf {
    match dirs.to_str().and_then(|dirs| dirs.split_once(':')) {
        Some((first, _)) => first.into(),
        None => dirs.into(),
    }
}

fn read_if_there(path: &Path) -> Result<File, Error> {
    match read(path) {
        Err(Error::Read(_, error)) if error.kind() == io::ErrorKind::NotFound => {
            Ok(File::default())
        }
        result => result,
    }
}

fn read(path: &Path) -> Result<File, Error> {
    let text = fs::read_to_string(path).map_err(|error| Error::Read(path.into(), error))?;
    toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1);
        Error::Text(path.into(), format!("line {line}: {}", error.message()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str, env: &[(&str, &str)]) -> Result<Config, Error> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        fs::write(&file, text).unwrap();
        let mut env: HashMap<OsString, OsString> = env
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        env.insert("VENTIPROG_CONFIG".into(), file.into());
        Config::from(&env)
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
        assert_eq!(config.limits.silence, Duration::from_secs(3));
        assert_eq!(config.limits.connect, Limits::default().connect);
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
            operand.unwrap().unwrap().to_string()
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
    fn a_partition_has_one_path() {
        for text in [
            "[mount]\ncommand = []\n",
            "[partitions]\na = 1\n",
            "partitions = 'a'\n",
            "index = 1\n",
        ] {
            assert!(matches!(config(text, &[]), Err(Error::Text(..))), "{text}");
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
        assert!(matches!(
            Config::from(&HashMap::from(env)),
            Err(Error::Read(..))
        ));
    }

    #[test]
    fn the_nearer_file_wins_key_by_key() {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let near = File {
            dir: Some("/near".into()),
            partitions: Some([("a", "near")].map(owned).into()),
            limits: Some(FileLimits {
                sync: Some(1),
                ..FileLimits::default()
            }),
            ..File::default()
        };
        let far = File {
            dir: Some("/far".into()),
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
        assert_eq!(both.source.as_deref(), Some("far"));
        assert_eq!(both.index.as_deref(), Some("far"));
        let partitions = both.partitions.unwrap();
        assert_eq!(partitions, [("a", "near"), ("b", "far")].map(owned).into());
        let limits = both.limits.unwrap().limits();
        assert_eq!(
            [limits.sync, limits.connect],
            [Duration::from_secs(1), Duration::from_secs(2)]
        );
    }
}
