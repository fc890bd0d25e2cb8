//! The environment and the configuration file, read once: option, environment,
//! file, default, in this order of precedence.

mod access;
mod environment;
mod explain;
mod file;
mod fossil;
mod limits;
mod mount;
mod mtools;
mod namespace;
mod reading;
mod remote;
#[cfg(feature = "serve")]
mod service;
mod undo;
mod value;
mod via;

use crate::codec::invalid::Invalid;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use fossil::Fossil;
pub use mount::Mount;
pub use mtools::NineFat;
pub use remote::{Remote, Shell};
#[cfg(feature = "serve")]
pub use service::Service;
pub use undo::Undo;

use crate::codec::dial::Dial;
use crate::codec::index;
use crate::codec::operand::Operand;
use crate::codec::target::TargetName;
use crate::copy::replicate::Checkpoint;
use crate::net::client::Dialer;
use crate::replica::StoreAccess;
use crate::state::StateDir;
use crate::status::{Failure, Status};
use environment::Environment;
use limits::seconds;
use mtools::Mtools;
use namespace::Namespace;

/// Where the scripts keep their state.
const NINE_FAT: &str = "/n/9fat";

/// Where Plan 9 posts services, consoles among them.
const SRV: &str = "/srv";

/// Where a fossil is.
const FOSSIL: &str = "/dev/sdC0/fossil";

/// What the environment and the configuration file say; the default is an
/// empty environment without a file.
#[derive(Clone, Debug)]
pub struct Config {
    /// The files that were read: the one whose keys go before first.
    pub files: Vec<PathBuf>,
    /// `$venti`: the venti that commands talk to unless told otherwise.
    pub venti: Option<String>,
    /// `$targetventis`, otherwise `targets` of the file.
    pub targets: Vec<String>,
    /// `source` of the file: the venti whose arenas are replicated.
    pub source: Option<String>,
    /// `address` of the file: the name by which other machines reach this one.
    pub address: Option<String>,
    /// `[undo]` of the file: which undo files are kept.
    pub undo: Undo,
    /// `index` of the file: the URL of the source's index page.
    pub index: Option<String>,
    /// `default_index` of the file: the index page to ask where nothing else
    /// says which arenas there are.
    pub default_index: String,
    /// `arenas` of the file: arena partitions that are read where neither a call
    /// nor its index page names any.
    pub arenas: Vec<String>,
    /// `offline` of the file: no server writes the partitions.
    pub offline: bool,
    /// `[partitions]` of the file: see [`Config::local_path`].
    partitions: HashMap<String, String>,
    /// `engine` of the file: who sends, `native` or `external`.
    pub engine: Option<String>,
    /// `wrarena` of the file: the external engine's argument vector.
    pub wrarena: Option<Vec<String>>,
    /// `9fat` of the file: a 9fat that nobody mounts, as a partition operand.
    nine_fat: Option<OsString>,
    /// `[mtools]` of the file: what writes to it.
    mtools: Mtools,
    /// `[mount]` of the file: a 9fat to be mounted as the state directory.
    mount: Option<Mount>,
    /// `dir` of the file.
    dir: Option<PathBuf>,
    /// `$STATE_DIRECTORY`.
    state_directory: Option<PathBuf>,
    /// `consoles` of the file: the directory in which Plan 9 posts consoles.
    pub consoles: PathBuf,
    /// See [`Config::namespace`].
    namespace: Namespace,
    /// `$PLAN9`: where plan9port is.
    pub plan9: Option<PathBuf>,
    /// `$PATH`, as far as it is text.
    pub path: String,
    /// `private` of `[fossil]`: whether no process outside this container can open a
    /// fossil's partition.
    pub private: bool,
    /// `[fossil]` of the file: how a fossil without a name is started.
    fossil: Fossil,
    /// `[fossils.NAME]` of the file: what differs for one with this name.
    fossils: HashMap<String, Fossil>,
    /// `console` of `[limits]`: how long a command on a fossil's console may take.
    pub console: Duration,
    /// `archive` of `[limits]`: how long an archival snapshot may take.
    pub archive: Duration,
    /// `[s3]` of the file, and the usual variables: how object stores are reached.
    pub replicas: StoreAccess,
    /// `[limits]` and `[via]` of the file: how ventis are reached.
    pub dialer: Dialer,
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
    /// `[target_index]` of the file: the URLs of targets' own index pages.
    pub target_index: HashMap<String, String>,
    /// `[hosts]` of the file: how each of these machines is reached.
    pub hosts: HashMap<String, String>,
    /// `remote` of `[limits]`: how long a command on another machine may take.
    pub remote_limit: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            files: Vec::new(),
            venti: None,
            targets: Vec::new(),
            source: None,
            address: None,
            undo: Undo::default(),
            engine: None,
            wrarena: None,
            index: None,
            default_index: index::DEFAULT_URL.to_owned(),
            arenas: Vec::new(),
            offline: false,
            partitions: HashMap::new(),
            nine_fat: None,
            mtools: Mtools::default(),
            mount: None,
            dir: None,
            state_directory: None,
            consoles: SRV.into(),
            namespace: Namespace::default(),
            plan9: None,
            path: String::new(),
            private: false,
            fossil: Fossil::default(),
            fossils: HashMap::new(),
            console: Duration::from_secs(120),
            archive: Duration::from_secs(30 * 60),
            replicas: StoreAccess::default(),
            dialer: Dialer::default(),
            retries: 5,
            checkpoint_bytes: Checkpoint::default().bytes,
            backoff: Duration::from_millis(250),
            remote: None,
            remotes: HashMap::new(),
            target_index: HashMap::new(),
            hosts: HashMap::new(),
            remote_limit: Duration::from_secs(60 * 60),
        }
    }
}
impl Config {
    /// Reads the process's environment and the configuration file it leads to.
    ///
    /// # Errors
    /// A file is named by `$VENTIPROG_CONFIG` and missing, a file cannot be
    /// read or holds an unknown key or a value that is not what it should be.
    pub fn load() -> eyre::Result<Self> {
        Self::from(&Environment::of_this_process())
    }

    fn from(environment: &Environment) -> eyre::Result<Self> {
        let file = reading::found_by(environment)?;
        let targets = environment.list("targetventis")?;
        let limits = file.limits.unwrap_or_default();
        let default = Config::default();
        let fossil = file.fossil.unwrap_or_default();
        Ok(Config {
            files: file.read_from,
            venti: environment.list("venti")?.into_iter().next(),
            targets: if targets.is_empty() {
                file.targets.unwrap_or_default()
            } else {
                targets
            },
            source: file.source,
            address: file.address,
            undo: file.undo.unwrap_or_default(),
            engine: file.engine,
            wrarena: file.wrarena,
            index: file.index,
            default_index: file.default_index.unwrap_or(default.default_index),
            arenas: file.arenas.unwrap_or_default(),
            offline: file.offline.unwrap_or_default(),
            partitions: file.partitions.unwrap_or_default(),
            nine_fat: file.nine_fat.map(OsString::from),
            mtools: file.mtools.unwrap_or_default(),
            mount: file.mount,
            dir: file.dir,
            state_directory: environment.state_directory(),
            consoles: file.consoles.unwrap_or(default.consoles),
            namespace: Namespace::of(environment, file.namespace),
            plan9: environment.path("PLAN9"),
            path: environment.text("PATH").unwrap_or_default(),
            private: fossil.private == Some(true),
            fossil,
            fossils: file.fossils.unwrap_or_default(),
            console: seconds(limits.console, default.console),
            archive: seconds(limits.archive, default.archive),
            retries: limits.retries.unwrap_or(default.retries),
            checkpoint_bytes: limits.checkpoint.unwrap_or(default.checkpoint_bytes),
            backoff: default.backoff,
            remote: file.remote,
            remotes: file.remotes.unwrap_or_default(),
            target_index: file.target_index.unwrap_or_default(),
            hosts: file.hosts.unwrap_or_default(),
            remote_limit: seconds(limits.remote, default.remote_limit),
            replicas: file
                .s3
                .unwrap_or_default()
                .access(file.filter, environment, &limits),
            dialer: Dialer::new(limits.of_a_client(), file.via.unwrap_or_default().0),
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
        let is_fat = self.mount_at(&dir).is_some() || StateDir::is_on_fat(&dir);
        match is_fat || self.lacks_nine_fat(given) {
            true => self.own_dir(),
            false => dir,
        }
    }

    /// Whether the state directory is `/n/9fat` because that exists, and nothing is
    /// mounted there: what is written would be hidden once it is.
    #[must_use]
    pub fn lacks_nine_fat(&self, given: Option<&Path>) -> bool {
        let is_named = given.is_some() || self.dir.is_some() || self.mount.is_some();
        !is_named && is_bare(Path::new(NINE_FAT))
    }

    /// What is to be mounted at the state directory before it is used: nothing
    /// where another one is given than the configured one or `/n/9fat`.
    #[must_use]
    pub fn mount_at(&self, dir: &Path) -> Option<&Mount> {
        let configured = self.dir.as_deref().unwrap_or(Path::new(NINE_FAT));
        self.mount.as_ref().filter(|_| dir == configured)
    }

    /// The 9fat that nobody mounts: the one given, otherwise the configured one.
    ///
    /// # Errors
    /// It is not the text of a partition.
    pub fn nine_fat(&self, given: Option<&OsStr>) -> Result<Option<NineFat>, Invalid> {
        let text = given.or(self.nine_fat.as_deref());
        let image = text.map(Operand::try_from).transpose()?;
        Ok(image.map(|image| NineFat {
            image,
            write: self.mtools.write.clone(),
        }))
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

    /// The same for a name that is to be in a wrcmd, which is run from anywhere: what
    /// a server calls its partition is relative to where that server was started.
    ///
    /// # Errors
    /// The path is relative.
    pub fn path_from_anywhere<'a>(&'a self, partition: &'a str) -> eyre::Result<Cow<'a, str>> {
        let path = self.local_path(partition);
        match Path::new(&*path).is_absolute() {
            true => Ok(path),
            false => Err(Failure::report(
                Status::Usage,
                format!(
                    "the index page has the partition {partition:?}, which is relative to where the server was started: configure its path here, [partitions] {partition:?} = \"/PATH\""
                ),
            )),
        }
    }

    /// The directory in which plan9port's programs post their services:
    /// `$NAMESPACE`, the key `namespace`, or `/tmp/ns.USER.DISPLAY`, where they
    /// look for it; `login` is the name of the user that runs this. Without a
    /// display they take none; we take `:0`.
    #[must_use]
    pub fn namespace(&self, login: Option<&str>) -> PathBuf {
        self.namespace.directory(login)
    }

    /// The partition of a fossil: the one given, the one in `[fossil]`, or
    /// `/dev/sdC0/fossil`.
    #[must_use]
    pub fn fossil_partition(&self, given: Option<&OsStr>) -> OsString {
        let configured = self.fossil.partition.as_deref().map(OsStr::new);
        given
            .or(configured)
            .unwrap_or(OsStr::new(FOSSIL))
            .to_owned()
    }

    /// How the fossil of this name is started. An address to listen at belongs to
    /// one fossil alone, so no fossil gets another's.
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
    /// The text is not an address, or `$venti` is not set.
    pub fn dial(&self, text: &str) -> Result<Dial, Invalid> {
        Dial::parse_with(text, self.venti.as_deref())
    }

    /// A target: a venti, in which `$venti` may stand for one, or a replica.
    ///
    /// # Errors
    /// As [`TargetName::parse`].
    pub fn target(&self, text: &str) -> Result<TargetName, Invalid> {
        TargetName::parse(text, self.venti.as_deref(), Dial::VENTI)
    }
}

/// Whether this is a directory on the file system of its parent that has nothing
/// of a 9fat in it, and none of the state that somebody keeps there all the same.
fn is_bare(dir: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|found| (found.is_dir(), found.dev()));
    let Ok((true, own)) = device(dir) else {
        return false;
    };
    let parent = dir.parent().map(device);
    let is_mounted = !parent.is_some_and(|parent| parent.is_ok_and(|(_, device)| device == own));
    let signs = ["plan9.ini", StateDir::WRCMD, StateDir::ROOTSCOR];
    !is_mounted && !signs.iter().any(|name| dir.join(name).exists())
}

#[cfg(test)]
mod tests;
