//! Where the demo happens: its directory, the shell that runs its lines, and its servers.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use eyre::{OptionExt, WrapErr, ensure};
use venti_tests::{command, patience, port};
use venticore::host::lock::take_now;

/// Says that a directory is a demo's own, which the next one may remove.
const MARKER: &str = "made-by-cargo-xtask-demo";

/// The directory in which everything lies that the demo makes.
pub(crate) struct Machine {
    pub(crate) directory: PathBuf,
    /// Held while the demo runs.
    _lock: File,
}

impl Machine {
    /// Makes the directory, in place of an earlier demo's.
    pub(crate) fn new(directory: &Path) -> eyre::Result<Self> {
        let subject = || directory.display().to_string();
        // Beside it, since the directory is removed.
        let lock = directory.with_extension("lock");
        fs::create_dir_all(lock.parent().unwrap_or(directory)).wrap_err_with(subject)?;
        let lock = File::create(lock).wrap_err_with(subject)?;
        ensure!(
            take_now(&lock).wrap_err_with(subject)?,
            "{}: another demo runs there; wait until it has ended",
            subject()
        );
        if directory.exists() {
            let is_own = directory.join(MARKER).exists();
            ensure!(is_own, "{}: not made by a demo: not removed", subject());
            fs::remove_dir_all(directory).wrap_err_with(subject)?;
        }
        fs::create_dir_all(directory).wrap_err_with(subject)?;
        File::create(directory.join(MARKER)).wrap_err_with(subject)?;
        let directory = directory.to_owned();
        Ok(Machine {
            directory,
            _lock: lock,
        })
    }

    /// Runs a line, and prints it and its output, which is returned. Status 0 is expected.
    pub(crate) fn run(&self, out: &mut dyn Write, line: &str) -> eyre::Result<String> {
        let output = self.shell(&format!("exec 2>&1\n{line}"))?.output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{line}: {}: {said}", output.status);
        writeln!(out, "  $ {line}")?;
        for line in said.lines() {
            writeln!(out, "  {line}")?;
        }
        Ok(said)
    }

    /// Starts a server of a new store.
    pub(crate) fn serve(&self, out: &mut dyn Write, store: &'static str) -> eyre::Result<Server> {
        let (port, web) = (port::free(), port::free());
        let listen = format!("-a 127.0.0.1:{port} -H 127.0.0.1:{web}");
        let line = format!("ventiserve -c 64m -A 8m {listen} {store} &");
        writeln!(out, "  $ {line}")?;
        let running = self.start(&line, port)?;
        Ok(Server {
            store,
            port,
            web,
            listen,
            running,
        })
    }

    /// Runs a line that starts a server, and waits until that listens on this port.
    pub(crate) fn start(&self, line: &str, port: u16) -> eyre::Result<Running> {
        // The input of the shell ends with this process, however that ends.
        let script = format!("{line}\necho $!\nread end\nkill $!\nwait $!");
        let mut shell = self.shell(&script)?;
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = shell.stdout.take().ok_or_eyre("no output")?;
        let mut running = Running {
            shell,
            id: String::new(),
        };
        BufReader::new(output).read_line(&mut running.id)?;
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        patience::until(line, listens);
        Ok(running)
    }

    /// A shell that finds the commands, and nobody's configuration.
    fn shell(&self, script: &str) -> eyre::Result<Command> {
        let path = std::env::var("PATH").unwrap_or_default();
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.directory.join("log"))?;
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script])
            .current_dir(&self.directory)
            .env_clear()
            .env("PATH", format!("{}:{path}", commands().display()))
            .env("HOME", &self.directory)
            .env("TZ", "UTC")
            .env("VENTIPROG_CONFIG", "/dev/null")
            .stdin(Stdio::null())
            .stderr(log);
        Ok(shell)
    }
}

/// A server and the shell that started it. It ends when this is dropped.
pub(crate) struct Running {
    shell: Child,
    id: String,
}

impl Running {
    /// The process of the server.
    pub(crate) fn id(&self) -> &str {
        self.id.trim()
    }

    /// Ends it with everything on disk, and says whether its status was 0.
    pub(crate) fn end(&mut self) -> eyre::Result<bool> {
        drop(self.shell.stdin.take());
        Ok(self.shell.wait()?.success())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// A `ventiserve` of the demo.
pub(crate) struct Server {
    pub(crate) store: &'static str,
    /// The options that say where it listens.
    pub(crate) listen: String,
    pub(crate) running: Running,
    port: u16,
    web: u16,
}

impl Server {
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn page(&self) -> String {
        format!("http://127.0.0.1:{}/", self.web)
    }
}

/// Where demos of this workspace lie.
pub(crate) fn place() -> eyre::Result<PathBuf> {
    let target = commands().parent().ok_or_eyre("no target directory")?;
    Ok(target.join("demo"))
}

/// Where the commands lie, which are built now if that is still to be done.
pub(crate) fn commands() -> &'static Path {
    command::programs()
}

/// A path as a shell reads it.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/".contains(c);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
