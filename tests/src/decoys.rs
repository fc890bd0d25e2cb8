//! What nothing that the tests start may touch: a live fossil's console, a state
//! directory, a fossil partition and a venti, where a command finds them that was
//! not told otherwise.
//!
//! [`Decoys::inside`] runs a program where they lie at the built-in paths, as on a
//! file server: `/tmp/ns.root.:0`, `/srv`, `/n/9fat`, `/dev/sdC0/fossil` ... in a
//! root of their own. [`Decoys::lead`] has the environment lead to them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tempfile::TempDir;

use crate::{command, golden};

/// What is watched, below the root.
const WATCHED: [&str; 7] = [
    "dev/sdC0",
    "etc/ventiprog.toml",
    "nobody",
    "n",
    "srv",
    "tmp/ns.root.:0",
    "var/lib/ventiprog",
];

/// Makes `$1` a root that is as the machine's, but for the directories in `$2`,
/// and runs the rest of the words there. What else is needed and lies below those
/// is named in `$KEEP`.
const ROOT: &str = r#"
set -e
root=$1 decoys=$2; shift 2
mount -t tmpfs none "$root"
for path in /*; do
	[ -e "$root$path" ] || [ -e "$decoys$path" ] && continue
	if [ -L "$path" ]; then cp -d "$path" "$root$path"
	elif [ -d "$path" ]; then mkdir "$root$path"; mount --rbind "$path" "$root$path"
	fi
done
for path in "$decoys"/*; do
	name=${path##*/}
	mkdir "$root/$name"; mount --bind "$path" "$root/$name"
done
for path in null zero full random urandom tty ptmx; do
	: >"$root/dev/$path"; mount --bind "/dev/$path" "$root/dev/$path"
done
for path in pts shm; do
	mkdir -p "$root/dev/$path"; mount --rbind "/dev/$path" "$root/dev/$path"
done
ln -sfn /proc/self/fd "$root/dev/fd"
for path in $KEEP; do
	[ "$path" -ef "$root$path" ] && continue
	mkdir -p "$root$path"; mount --rbind "$path" "$root$path"
done
exec chroot "$root" sh -c 'cd "$1" && shift && exec "$@"' sh "$PWD" "$@"
"#;

/// What a watched path was.
type Seen = BTreeMap<PathBuf, (u32, u64, i64, i64, Vec<u8>)>;

/// The decoys. They end with this.
#[derive(Debug)]
pub struct Decoys {
    directory: TempDir,
    venti: String,
    before: Seen,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Decoys {
    /// Makes them, with a `/etc` that is a copy of the machine's.
    ///
    /// # Panics
    /// When they cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("a bound port");
        let venti = format!("tcp!127.0.0.1!{}", address.port());
        let mut decoys = Decoys {
            directory,
            venti,
            before: Seen::new(),
            calls: Arc::default(),
        };
        for path in [
            "dev/sdC0",
            "etc",
            "nobody",
            "n/9fat",
            "srv",
            "tmp/ns.root.:0",
        ] {
            fs::create_dir_all(decoys.path(path)).expect("our own directory");
        }
        for path in ["var/lib/ventiprog", "var/tmp"] {
            fs::create_dir_all(decoys.path(path)).expect("our own directory");
        }
        for path in ["tmp/ns.root.:0", "var/lib/ventiprog", "n/9fat"] {
            decoys.mode(path, 0o700);
        }
        decoys.mode("tmp", 0o1777);
        decoys.mode("var/tmp", 0o1777);
        decoys.copy_etc();
        decoys.fill();
        decoys.serve(listener);
        decoys.before = decoys.seen();
        decoys
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join("decoys").join(path)
    }

    fn mode(&self, path: &str, mode: u32) {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(self.path(path), mode).expect("our own directory");
    }

    fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(path), content).expect("our own directory");
        self.mode(path, 0o600);
    }

    /// What a plain user may not read stays behind.
    fn copy_etc(&self) {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg("/etc/.").arg(self.path("etc"));
        let _ = copy.stderr(Stdio::null()).status();
    }

    /// A state directory with a target that is behind, a fossil with an archive, and
    /// a configuration that leads to them.
    fn fill(&self) {
        let venti = &self.venti;
        self.put("dev/sdC0/fossil", golden::fossil("archived-8k"));
        self.put("dev/sdC0/arenas", golden::bytes("g5.part"));
        let wrcmd = format!("wrarena -h {venti} -o 794624 /dev/sdC0/arenas 0x0\n");
        for state in ["n/9fat", "var/lib/ventiprog"] {
            self.put(&format!("{state}/wrcmd"), &wrcmd);
            self.put(&format!("{state}/rootscor"), "");
        }
        let config = format!("source = '{venti}'\ntargets = ['{venti}']\n");
        self.put("etc/ventiprog.toml", config);
    }

    /// Whoever comes is written down, and sent away.
    fn serve(&self, listener: TcpListener) {
        let calls = Arc::clone(&self.calls);
        thread::spawn(move || {
            for _ in listener.incoming() {
                note(&calls, "the venti");
            }
        });
        for path in [
            "srv/fscons",
            "tmp/ns.root.:0/fscons",
            "tmp/ns.root.:0/fossil",
        ] {
            let listener = UnixListener::bind(self.path(path)).expect("a short path");
            let calls = Arc::clone(&self.calls);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    note(&calls, path);
                    let _ = (&stream).write_all(b"prompt: ");
                }
            });
        }
    }

    /// Has the environment of a program lead to them.
    ///
    /// # Panics
    /// When that cannot be made.
    pub fn lead(&self, command: &mut Command) {
        let [fat, srv, fossil] = ["n/9fat", "srv", "dev/sdC0/fossil"].map(|p| self.path(p));
        let config = format!(
            "dir = {fat:?}\nconsoles = {srv:?}\nsource = '{venti}'\ntargets = ['{venti}']\n\
             [fossil]\npartition = {fossil:?}\n",
            venti = self.venti,
        );
        let file = self.directory.path().join("lead.toml");
        fs::write(&file, config).expect("our own directory");
        keep_cargo(command);
        command
            .env("HOME", self.path("nobody"))
            .env("NAMESPACE", self.path("tmp/ns.root.:0"))
            .env("STATE_DIRECTORY", self.path("var/lib/ventiprog"))
            .env("VENTIPROG_CONFIG", file)
            .env("venti", &self.venti)
            .env("targetventis", &self.venti);
    }

    /// A call of a program where they lie at the built-in paths. None where this
    /// system does not let us mount, which is said.
    #[must_use]
    pub fn inside(&self, program: &Path) -> Option<Command> {
        let root = self.directory.path().join("root");
        let _ = fs::create_dir(&root);
        let unshare = || {
            let mut unshare = Command::new("unshare");
            match rustix::process::geteuid().is_root() {
                true => unshare.args(["--mount", "--propagation", "private"]),
                false => unshare.args(["--mount", "--map-root-user"]),
            };
            keep_cargo(&mut unshare);
            unshare
                .args(["sh", "-c", ROOT, "sh"])
                .arg(&root)
                .arg(self.directory.path().join("decoys"))
                .env("HOME", "/nobody");
            for name in [
                "NAMESPACE",
                "DISPLAY",
                "STATE_DIRECTORY",
                "VENTIPROG_CONFIG",
                "TMPDIR",
            ] {
                unshare.env_remove(name);
            }
            unshare
        };
        let able = unshare().arg("true").stderr(Stdio::piped()).output();
        let why = match able {
            Ok(output) if output.status.success() => {
                let mut command = unshare();
                command.arg(program);
                return Some(command);
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr)
                .trim_end()
                .to_owned(),
            Err(error) => error.to_string(),
        };
        command::skipped(&format!("decoys at the built-in paths: unshare: {why}"));
        None
    }

    /// A command of the workspace, started there as none of the tests may start
    /// it: to see that the decoys tell.
    #[must_use]
    pub fn bare(&self, name: &str) -> Option<Command> {
        self.inside(&command::programs().join(name))
    }

    /// Leaves `/n/9fat` as it is where no 9fat is mounted.
    ///
    /// # Panics
    /// When that fails.
    pub fn unmount(&mut self) {
        for name in ["wrcmd", "rootscor"] {
            fs::remove_file(self.path("n/9fat").join(name)).expect("our own file");
        }
        self.before = self.seen();
    }

    /// What was touched since they were made.
    #[must_use]
    pub fn touched(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut touched = calls.clone();
        let now = self.seen();
        let changed = |(path, seen): &(&PathBuf, _)| self.before.get(*path) != Some(*seen);
        let added = now.iter().filter(changed);
        let gone = self.before.keys().filter(|path| !now.contains_key(*path));
        for path in added.map(|(path, _)| path).chain(gone) {
            touched.push(path.display().to_string());
        }
        touched
    }

    fn seen(&self) -> Seen {
        let mut seen = Seen::new();
        let mut next: Vec<PathBuf> = WATCHED.map(|path| self.path(path)).into();
        while let Some(path) = next.pop() {
            let Ok(found) = fs::symlink_metadata(&path) else {
                continue;
            };
            let mut content = Vec::new();
            if found.is_dir() {
                let entries = fs::read_dir(&path).into_iter().flatten().flatten();
                for entry in entries {
                    content.extend(entry.file_name().as_bytes());
                    content.push(0);
                    next.push(entry.path());
                }
            } else if found.is_file() {
                content = fs::read(&path).unwrap_or_default();
            }
            let changed = (found.mtime(), found.mtime_nsec());
            let of = (found.mode(), found.len(), changed.0, changed.1, content);
            seen.insert(path, of);
        }
        seen
    }
}

impl Default for Decoys {
    fn default() -> Self {
        Self::new()
    }
}

fn note(calls: &Mutex<Vec<String>>, what: &str) {
    let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
    calls.push(format!("{what}: was called"));
}

/// Whatever `$HOME` is, cargo finds what it has.
fn keep_cargo(command: &mut Command) {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let mut keep = vec![command::root().to_owned()];
    keep.push(command::programs().to_owned());
    for (name, directory) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let given = std::env::var_os(name).map(PathBuf::from);
        let path = given.unwrap_or_else(|| home.join(directory));
        if path.is_dir() {
            command.env(name, &path);
            keep.push(path);
        }
    }
    let keep: Vec<String> = keep.iter().map(|path| path.display().to_string()).collect();
    command.env("KEEP", keep.join(" "));
}

/// The running program, to be started again elsewhere.
///
/// # Errors
/// The system does not know its path.
pub fn this_program() -> io::Result<PathBuf> {
    std::env::current_exe()
}
