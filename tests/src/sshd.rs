//! A real OpenSSH server for each of some machines of [`Far`], on loopback,
//! with keys made for it.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::far::Far;
use crate::port;
use crate::surroundings::Surroundings;

/// How long a server may take to greet.
const START: Duration = Duration::from_secs(20);

/// The servers; they end when dropped.
#[derive(Debug)]
pub struct Ssh {
    servers: Vec<Child>,
    client: PathBuf,
}

impl Ssh {
    /// A server for each of these machines. None where OpenSSH is not
    /// installed or makes no keys, as for a user without a name; which is said.
    ///
    /// # Panics
    ///
    /// When a server cannot be started.
    #[must_use]
    pub fn start(far: &Far, hosts: &[&str]) -> Option<Self> {
        let programs = ["sshd", "ssh", "ssh-keygen"].map(program);
        let [Some(sshd), Some(_), Some(keygen)] = programs else {
            crate::command::skipped("no OpenSSH server (apt-get install openssh-server)");
            return None;
        };
        // Where a server run by root wants to shut itself in.
        let _ = fs::create_dir_all("/run/sshd");
        let key = far.path("key");
        if let Err(why) = make_key(&keygen, &key) {
            crate::command::skipped(&format!("no OpenSSH server: {why}"));
            return None;
        }
        let mut ssh = Ssh {
            servers: Vec::new(),
            client: far.path("ssh_config"),
        };
        let mut config = format!(
            "IdentityFile {key}\nIdentitiesOnly yes\nStrictHostKeyChecking no\n\
             UserKnownHostsFile {known}\nLogLevel ERROR\nConnectTimeout 10\n",
            key = key.display(),
            known = far.path("known").display(),
        );
        for host in hosts {
            let port = ssh.serve(&sshd, &keygen, &far.path(host), &key);
            let entry = format!("Host {host}\n HostName 127.0.0.1\n Port {port}\n");
            config.push_str(&entry);
        }
        fs::write(&ssh.client, config).expect("our own directory");
        Some(ssh)
    }

    /// The table of the configuration by which the machines are reached.
    #[must_use]
    pub fn config(&self) -> String {
        let client = self.client.display().to_string();
        format!(
            "remote = 'here'\n[remotes.here]\nstatus = true\n\
             command = ['ssh', '-F', {client:?}, '-T', '-oBatchMode=yes', '--', '{{host}}', '{{command}}']\n"
        )
    }

    /// The client's words before those that say where to.
    #[must_use]
    pub fn client(&self) -> Vec<String> {
        let client = self.client.display().to_string();
        let words = ["ssh", "-F", &client, "-o", "BatchMode=yes"];
        words.map(str::to_owned).into()
    }

    /// Ends the server of one machine, connections and all.
    pub fn stop(&mut self, number: usize) {
        if let Some(server) = self.servers.get_mut(number) {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Starts a server whose sessions see the machine's directory as theirs.
    fn serve(&mut self, sshd: &Path, keygen: &Path, machine: &Path, key: &Path) -> u16 {
        let host_key = machine.join("host_key");
        make_key(keygen, &host_key).expect("a second key");
        let port = port::free();
        let shown = machine.display();
        let path = std::env::var("PATH").unwrap_or_default();
        let environment: Vec<String> = Surroundings::below(machine)
            .environment()
            .iter()
            .map(|(name, value)| format!("{name}={}", value.display()))
            .collect();
        let environment = environment.join(" ");
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {shown}/host_key\nPidFile none\n\
             AuthorizedKeysFile {key}.pub\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             PermitRootLogin yes\nPrintMotd no\nSetEnv PATH={shown}/bin:{path} {environment}\n",
            key = key.display(),
        );
        let file = machine.join("sshd_config");
        fs::write(&file, config).expect("our own directory");
        let child = Command::new(sshd)
            .args(["-D", "-e", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd starts");
        self.servers.push(child);
        await_greeting(port);
        port
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        for number in 0..self.servers.len() {
            self.stop(number);
        }
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(more);
    places.find_map(|place| Some(place.join(name)).filter(|found| found.is_file()))
}

fn make_key(keygen: &Path, file: &Path) -> Result<(), String> {
    let made = Command::new(keygen)
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .expect("ssh-keygen starts");
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr);
        return Err(format!("ssh-keygen: {}", said.trim_end()));
    }
    fs::set_permissions(file, Permissions::from_mode(0o600)).expect("our own key");
    Ok(())
}

fn await_greeting(port: u16) {
    let start = Instant::now();
    loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            let mut line = String::new();
            let read = BufReader::new(stream).read_line(&mut line);
            if read.is_ok() && line.starts_with("SSH-") {
                return;
            }
        }
        assert!(
            start.elapsed() < START,
            "sshd does not greet at port {port}"
        );
        thread::sleep(Duration::from_millis(10));
    }
}
