//! The threads that carry requests out, for all connections.

use std::io;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::Shared;

/// What has chunks of requests: a connection.
pub(super) trait Chunks: Send + Sync {
    /// Carries out the chunk of this number.
    fn carry_out(&self, shared: &Shared, number: u64);
}

/// A chunk of a connection's requests.
pub(super) struct Job {
    /// The connection.
    pub(super) connection: Arc<dyn Chunks>,
    /// The number of the chunk there.
    pub(super) number: u64,
}

/// The queue of the workers. What waits in it is bounded by what each connection may have
/// on its way, and by the number of connections.
pub(super) struct Pool {
    jobs: Sender<Job>,
    work: Receiver<Job>,
}

/// There are no workers any more.
pub(super) struct NoWorkers;

impl Pool {
    pub(super) fn new() -> Self {
        let (jobs, work) = unbounded();
        Pool { jobs, work }
    }

    pub(super) fn give(&self, job: Job) -> Result<(), NoWorkers> {
        self.jobs.send(job).map_err(|_| NoWorkers)
    }

    /// Starts as many workers as there are processors. They end with the process.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<()> {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..workers {
            let shared = Arc::clone(shared);
            thread::Builder::new().spawn(move || {
                for job in &shared.pool.work {
                    job.connection.carry_out(&shared, job.number);
                }
            })?;
        }
        Ok(())
    }
}
