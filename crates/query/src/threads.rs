//! The threads of one statement: its own, for as long as it computes.
//! Always: their stacks hold the deepest tree a statement may have; a statement's place among those that run is free
//! again only when its last thread has stopped. A kernel that does not yield cannot be stopped, but it can hold up
//! nobody else's statement, and nobody waits for it beyond its time. A statement that has run for a while makes way for
//! those that have not.

use std::{
    future::Future,
    io,
    num::NonZeroUsize,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use rustix::{
    process::{Pid, getpid, getpriority_process, setpriority_process},
    thread::gettid,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::OwnedSemaphorePermit,
    task::JoinHandle,
};

use crate::{QueryError, stop::Stop};

/// Virtual, not resident: what the deepest tree that `statement` lets pass needs, many times over.
pub(crate) const STACK_BYTES: usize = 64 * 1024 * 1024;
/// Threads that read files and pull hot batches.
const BLOCKING_THREADS_MAX: usize = 4;
/// For so long a statement's threads are as important as the process: whoever looks at something waits for them.
const YOUNG: Duration = Duration::from_millis(250);
/// How much nicer they are from then on. Behind the server's heavy work, before its work in the background.
const OLD_NICE: i32 = 12;

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
    let crew = Arc::new(Crew::default());
    let runtime = Builder::new_multi_thread()
        .worker_threads(cores())
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_stack_size(STACK_BYTES)
        .thread_name("hw-query")
        .on_thread_start({
            let crew = Arc::clone(&crew);
            move || crew.join()
        })
        .enable_time()
        .build()?;
    let mut threads = Threads(Some(runtime));
    let Some(runtime) = &threads.0 else { return Err(io::Error::other("no threads")) };
    let (over, is_over) = mpsc::channel::<()>();
    let handle = runtime.spawn(async move {
        // Goes with the work, however it ends.
        let _over = over;
        work.await
    });
    thread::Builder::new().name("hw-query-end".to_owned()).spawn(move || {
        if let Err(RecvTimeoutError::Timeout) = is_over.recv_timeout(YOUNG) {
            crew.grow_old();
            // An error is the sender's end, which is what is waited for.
            let _ = is_over.recv();
        }
        // Waits for every thread.
        drop(threads.0.take());
        drop(permit);
    })?;
    Ok(Work { handle, stop: Some(stop) })
}

/// The threads of one statement, as the kernel knows them.
#[derive(Default)]
struct Crew {
    // Short sections.
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    old: bool,
    /// Those that came while it was young. None ends before the runtime does, so a number stands for no other thread.
    threads: Vec<Pid>,
}

impl Crew {
    /// Of the thread that calls.
    fn join(&self) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        match members.old {
            true => lower_priority(gettid()),
            false => members.threads.push(gettid()),
        }
    }

    fn grow_old(&self) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.old = true;
        members.threads.drain(..).for_each(lower_priority);
    }
}

/// Where the kernel does not let it, the statement is as important as before.
fn lower_priority(thread: Pid) {
    let _ = getpriority_process(Some(getpid()))
        .and_then(|base| setpriority_process(Some(thread), base + OLD_NICE));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crew_grows_old_as_a_whole() {
        let nice = || getpriority_process(None).unwrap();
        let base = nice();
        let crew = Arc::new(Crew::default());
        let (joined, all_joined) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let first = thread::spawn({
            let crew = Arc::clone(&crew);
            move || {
                crew.join();
                joined.send(nice()).unwrap();
                let _ = gone.recv();
                nice()
            }
        });
        assert_eq!(all_joined.recv(), Ok(base), "while it is young");
        crew.grow_old();
        drop(go);
        assert_eq!(first.join().unwrap(), base + OLD_NICE);
        let late = thread::spawn(move || {
            crew.join();
            nice()
        });
        assert_eq!(late.join().unwrap(), base + OLD_NICE, "who comes later is old at once");
        assert_eq!(nice(), base, "nobody else is");
    }
}
