//! The threads of one statement: its own, for as long as it computes.
//! Always: their stacks hold the deepest tree a statement may have; a statement's place among those that run is free
//! again only when its last thread has stopped. A kernel that does not yield cannot be stopped, but it can hold up
//! nobody else's statement, and nobody waits for it beyond its time.

use std::{
    future::Future,
    io,
    num::NonZeroUsize,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    thread,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{OwnedSemaphorePermit, oneshot},
    task::JoinHandle,
};

use crate::{QueryError, stop::Stop};

/// Virtual, not resident: what the deepest tree that `statement` lets pass needs, many times over.
pub(crate) const STACK_BYTES: usize = 64 * 1024 * 1024;
/// Threads that read files and pull hot batches.
const BLOCKING_THREADS_MAX: usize = 4;

/// Threads that compute at one time.
pub(crate) fn cores() -> usize {
    // Found in files, which a process may have given up reading by the time of its first statement.
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZeroUsize::get))
}

/// Runs `work` on threads of its own; `permit` is given back when they have stopped.
pub(crate) fn start(
    permit: OwnedSemaphorePermit,
    stop: Arc<Stop>,
    work: impl Future<Output = Result<(), QueryError>> + Send + 'static,
) -> io::Result<Work> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(cores())
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_stack_size(STACK_BYTES)
        .thread_name("hw-query")
        .enable_time()
        .build()?;
    let mut threads = Threads(Some(runtime));
    let Some(runtime) = &threads.0 else { return Err(io::Error::other("no threads")) };
    let (over, is_over) = oneshot::channel::<()>();
    let handle = runtime.spawn(async move {
        // Goes with the work, however it ends.
        let _over = over;
        work.await
    });
    thread::Builder::new().name("hw-query-end".to_owned()).spawn(move || {
        // An error is the sender's end, which is what is waited for.
        let _ = is_over.blocking_recv();
        // Waits for every thread.
        drop(threads.0.take());
        drop(permit);
    })?;
    Ok(Work { handle, stop: Some(stop) })
}

/// Does not wait for its threads when it is dropped: that may happen where waiting is not allowed.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A statement under way. Dropping it ends it.
pub(crate) struct Work {
    handle: JoinHandle<Result<(), QueryError>>,
    /// `None`: what the handle runs ends when it is dropped.
    stop: Option<Arc<Stop>>,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Work {
    /// Work on the threads of the caller, which waits for others.
    pub(crate) fn spawn(work: impl Future<Output = Result<(), QueryError>> + Send + 'static) -> Work {
        Work { handle: tokio::spawn(work), stop: None }
    }

    pub(crate) fn give_up(&self) {
        if let Some(stop) = &self.stop {
            stop.give_up();
        }
        self.handle.abort();
    }

    /// How the statement ended, once it sends no more.
    pub(crate) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<(), QueryError>> {
        match ready!(Pin::new(&mut self.handle).poll(context)) {
            Ok(end) => Poll::Ready(end),
            Err(fault) => Poll::Ready(Err(QueryError::Internal(match fault.is_panic() {
                true => "the engine panicked".to_owned(),
                false => "the engine was stopped".to_owned(),
            }))),
        }
    }
}
