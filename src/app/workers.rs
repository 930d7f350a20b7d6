//! Threads that serve sessions, one a core, each with a runtime of its own.
//!
//! A session stays on the thread that accepted it: nothing is woken on another core for it, which
//! on a proxy's many short steps costs more than the work itself.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// How many threads there are to be.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub struct Workers {
    handles: Vec<Handle>,
    /// Dropped, they end the threads.
    _stops: Vec<oneshot::Sender<()>>,
}

impl Workers {
    /// One a core.
    pub fn start() -> io::Result<Workers> {
        let mut workers = Workers { handles: Vec::new(), _stops: Vec::new() };
        for n in 0..cores() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (stop, stopped) = oneshot::channel::<()>();
            workers.handles.push(runtime.handle().clone());
            workers._stops.push(stop);
            std::thread::Builder::new().name(format!("worker-{n}")).spawn(move || {
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
        }
        Ok(workers)
    }

    pub fn len(&self) -> usize {
        self.handles.len()
    }

    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// Runs on the worker of that number.
    pub fn spawn(
        &self,
        worker: usize,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Option<AbortHandle> {
        self.handles.get(worker).map(|handle| handle.spawn(task).abort_handle())
    }
}
