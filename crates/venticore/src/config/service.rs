//! What systemd hands to a service that it starts: sockets, and where to say how it is.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;

use listenfd::ListenFd;

use super::environment::Environment;

/// What was handed to this process.
#[derive(Debug, Default)]
pub struct Service {
    /// `$NOTIFY_SOCKET`: who is told that the service serves.
    pub notify: Option<PathBuf>,
    /// `$LISTEN_FDS`: sockets that listen already, each with its name in `$LISTEN_FDNAMES`,
    /// which may be empty.
    pub sockets: Vec<(String, TcpListener)>,
}

impl Service {
    /// Takes what was handed to this process. To be called once, before there are threads.
    ///
    /// # Errors
    /// A descriptor is not a TCP socket.
    pub fn take() -> io::Result<Self> {
        let environment = Environment::of_this_process();
        let names = environment.text("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..handed.len() {
            let name = names.next().unwrap_or_default().to_owned();
            if let Some(socket) = handed.take_tcp_listener(number)? {
                sockets.push((name, socket));
            }
        }
        Ok(Service {
            notify: environment.path("NOTIFY_SOCKET"),
            sockets,
        })
    }
}
