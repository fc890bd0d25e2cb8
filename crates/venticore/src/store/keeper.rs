//! What a store does by itself: a sync when blocks wait for one, and the scores of sealed arenas.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Store;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(5);

/// A thread that keeps a store until it is dropped; then it ends, with what it does at once.
#[derive(Debug)]
pub struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts to keep a store.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn start(store: Arc<Store>) -> io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let is_over =
            move |wait| !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout));
        let keep = move || {
            while !is_over(PERIOD) {
                // What fails has been said, and is what the next client is told.
                let _ = store.sync();
                while store.seal_one(&is_over) {}
            }
        };
        let thread = thread::Builder::new().name("keeper".into()).spawn(keep)?;
        Ok(Keeper {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
