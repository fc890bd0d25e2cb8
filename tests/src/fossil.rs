//! A real fossil file server, with its console on a pseudo-terminal.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::plan9::{Plan9, zeros};

/// How long a command on the console may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. It is killed when dropped, without a sync.
#[derive(Debug)]
pub struct Fossil {
    server: Child,
    console: File,
    heard: Arc<Mutex<String>>,
    /// How much of what was heard has been looked at.
    read: usize,
    asked: u32,
}

/// Formats a fossil partition of so many bytes in this directory.
///
/// # Panics
///
/// When flfmt fails.
#[must_use]
pub fn format(plan9: &Plan9, directory: &Path, bytes: u64, block_size: u32) -> PathBuf {
    let partition = directory.join("fossil");
    format_as(plan9, &partition, bytes, block_size, "real");
    partition
}

/// The same, on a partition of this path, with a label.
///
/// # Panics
///
/// When flfmt fails.
pub fn format_as(plan9: &Plan9, partition: &Path, bytes: u64, block_size: u32, label: &str) {
    zeros(partition, bytes);
    let size = block_size.to_string();
    let path = partition.to_str().expect("a path of text");
    plan9.succeed("fossil/flfmt", &["-y", "-b", &size, "-l", label, path]);
}

impl Fossil {
    /// A server of this partition as `main`, which archives to this venti.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    #[must_use]
    pub fn start(plan9: &Plan9, partition: &Path, venti: &str) -> Self {
        let (console, terminal) = terminal();
        let log = File::create(partition.with_extension("log")).expect("a log beside it");
        let config = format!("fsys main config {}", partition.display());
        let server = plan9
            .command_on_terminal("fossil/fossil")
            .args(["-t", "-c", &config, "-c", "fsys main open -AWP -c 300"])
            .env("venti", venti)
            .env(
                "NAMESPACE",
                partition.parent().expect("it is in a directory"),
            )
            .stdin(terminal)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("setsid fossil: {e}"));
        let heard = Arc::new(Mutex::new(String::new()));
        let listener = console.try_clone().expect("another descriptor");
        let into = Arc::clone(&heard);
        thread::spawn(move || listen(listener, &into));
        let mut fossil = Fossil {
            server,
            console,
            heard,
            read: 0,
            asked: 0,
        };
        let said = fossil.ask("fsys main df");
        assert!(said.contains("main: "), "the console says {said:?}");
        fossil
    }

    /// Gives the console a command, and says what it answers.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn ask(&mut self, command: &str) -> String {
        self.asked += 1;
        let token = format!("asked{}", self.asked);
        let lines = format!("{command}\necho {token}\n");
        self.console.write_all(lines.as_bytes()).expect("a console");
        // The echo of what is typed has the token too, but not in a line of its own.
        self.wait_for(&format!("\n{token}\n"))
    }

    /// Waits for a text on the console, and says what came before it.
    ///
    /// # Panics
    ///
    /// When it does not come.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            {
                let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                let new = heard.get(self.read..).unwrap_or_default();
                if let Some(at) = new.find(text) {
                    self.read += at + text.len();
                    return new.get(..at).unwrap_or_default().to_owned();
                }
                assert!(Instant::now() < deadline, "no {text:?} in {new:?}");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until an archive is complete, and says what score the console printed.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn archived(&mut self) -> String {
        self.wait_for("archive vac:");
        format!("vac:{}", self.wait_for("\n").trim())
    }
}

impl Drop for Fossil {
    fn drop(&mut self) {
        // A signal to the first of its two processes ends both.
        if let Some(pid) = i32::try_from(self.server.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.server.wait();
    }
}

/// A pseudo-terminal: its two ends. The far one is raw.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn terminal() -> (File, File) {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
    let near = near.expect("a pseudo-terminal");
    grantpt(&near).expect("our own");
    unlockpt(&near).expect("our own");
    let name = ptsname(&near, Vec::new()).expect("it has a name");
    let far = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(OFlags::NOCTTY.bits()).expect("a flag"))
        .open(name.to_str().expect("a name of text"))
        .expect("the far end");
    let mut modes = tcgetattr(&far).expect("a terminal");
    modes.make_raw();
    tcsetattr(&far, OptionalActions::Now, &modes).expect("a terminal");
    (near.into(), far)
}

/// Reads the console to its end.
fn listen(mut console: File, heard: &Mutex<String>) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = console.read(&mut bytes) {
        let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default());
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push_str(&text);
    }
}
