//! Work that blocks, kept off the threads that must not.
//! Always: on a runtime of one thread it is done in place, in the order in which it was asked for. There is nobody else
//! whom it would keep waiting for long, and a simulation of one thread stays one.

//! Heavy work (judging, decoding, writing a data file) has few threads of its own: memory that a thread has used stays with
//! it for a while, so work that wanders over all threads that ever blocked takes as many times as much. They come behind the
//! threads that answer, and behind a statement that has just begun. Judging comes last: what was taken shall be carried on before
//! more is taken, else the log grows by what the followers are behind.

use std::{sync::LazyLock, thread::available_parallelism};

use rustix::process::{getpid, getpriority_process, setpriority_process};
use tokio::{
    runtime::{Builder, Handle, Runtime, RuntimeFlavor},
    task::{self, JoinHandle},
};

/// Beside one a processor: some wait for the disk while others work.
const WAITING: usize = 2;
/// How much nicer than the process they are: six of its other threads' shares make one of theirs, but only where both want the
/// same processor.
const HEAVY_NICE: i32 = 8;
const JUDGE_NICE: i32 = 12;

/// Like `tokio::task::spawn_blocking`; a panic is the handle's to tell there and here. Needs a runtime.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => task::spawn(async move { work() }),
        _ => task::spawn_blocking(work),
    }
}

/// Like `spawn_blocking`, for work that fills a processor or megabytes of memory. It must not wait for other work of its kind.
pub fn spawn_heavy<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => task::spawn(async move { work() }),
        _ => heavy_threads().spawn_blocking(work),
    }
}

/// Where heavy work may have a part of itself done by another thread, as long as it does not wait for one that has not begun.
/// `None`: it is alone. Needs a runtime.
pub fn helper() -> Option<Handle> {
    (Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread).then(heavy_threads)
}

/// Like `tokio::spawn`, for tasks of others that compute for long between two waits: on threads that serve no connection.
/// Needs a runtime.
pub fn spawn_apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    static THREADS: LazyLock<Option<Runtime>> = LazyLock::new(|| {
        // Two: one of them may wait in place for a task of its own.
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).thread_name("hw-apart").on_thread_start(|| lower_priority(HEAVY_NICE));
        let built = builder.enable_all().build();
        built.inspect_err(|error| tracing::warn!(%error, "long tasks have no threads of their own")).ok()
    });
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => task::spawn(work),
        _ => match &*THREADS {
            Some(threads) => threads.spawn(work),
            None => task::spawn(work),
        },
    }
}

/// The threads for heavy work, as a runtime that is good for `spawn_blocking` alone.
pub(crate) fn heavy_threads() -> Handle {
    static THREADS: LazyLock<Option<Runtime>> =
        LazyLock::new(|| few_threads("hw-heavy", heavy_threads_max(), HEAVY_NICE));
    THREADS.as_ref().map_or_else(Handle::current, |threads| threads.handle().clone())
}

/// Those that judge events, likewise.
pub fn judging_threads() -> Handle {
    static THREADS: LazyLock<Option<Runtime>> =
        LazyLock::new(|| few_threads("hw-judge", judging_threads_max(), JUDGE_NICE));
    THREADS.as_ref().map_or_else(Handle::current, |threads| threads.handle().clone())
}

fn few_threads(name: &str, most: usize, nice: i32) -> Option<Runtime> {
    let mut builder = Builder::new_current_thread();
    builder.max_blocking_threads(most).thread_name(name).on_thread_start(move || lower_priority(nice));
    let built = builder.build();
    built.inspect_err(|error| tracing::warn!(%error, name, "heavy work has no threads of its own")).ok()
}

/// It waits for nothing but a processor.
pub(crate) fn judging_threads_max() -> usize {
    available_parallelism().map_or(1, |count| count.get())
}

pub(crate) fn heavy_threads_max() -> usize {
    available_parallelism().map_or(1, |count| count.get()) + WAITING
}

/// Makes this thread so much nicer than the process is, as Linux has it: of a thread alone. There is no way back. Where it may
/// not, the thread is as important as any.
pub fn lower_priority(nice: i32) {
    let lowered = getpriority_process(Some(getpid())).and_then(|base| setpriority_process(None, base + nice));
    if let Err(error) = lowered {
        tracing::debug!(%error, "a thread has no lower priority");
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Barrier, time::Duration};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_long_task_keeps_no_other_waiting() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let long = spawn_apart(async move { wait.recv_timeout(Duration::from_secs(30)).is_ok() });
        // The only worker is free for this one, without which the long task does not end.
        tokio::spawn(async move { go.send(()) }).await.expect("no panic").expect("somebody waits");
        assert!(long.await.expect("no panic"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn heavy_work_stays_on_its_few_threads_whatever_else_blocks() {
        let most = heavy_threads_max();
        // As many threads for blocking calls as that, and more: each waits until all are there.
        let crowd = 3 * most;
        let all_there = std::sync::Arc::new(Barrier::new(crowd));
        let blocked: Vec<_> = (0..crowd)
            .map(|_| {
                let all_there = all_there.clone();
                spawn_blocking(move || drop(all_there.wait()))
            })
            .collect();
        for blocked in blocked {
            blocked.await.expect("no panic");
        }
        let heavy: Vec<_> = (0..20 * most).map(|_| spawn_heavy(|| std::thread::current().id())).collect();
        let mut threads = HashSet::new();
        for heavy in heavy {
            threads.insert(heavy.await.expect("no panic"));
        }
        assert!(threads.len() <= most, "{} threads", threads.len());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn heavy_work_comes_behind_the_threads_that_answer() {
        let nice = || getpriority_process(None).expect("a thread knows its own");
        let heavy = spawn_heavy(nice).await.expect("no panic");
        let apart = spawn_apart(async move { nice() }).await.expect("no panic");
        let mine = tokio::spawn(async move { nice() }).await.expect("no panic");
        assert_eq!((heavy, apart), (mine + HEAVY_NICE, mine + HEAVY_NICE));
        let judge = judging_threads().spawn_blocking(nice).await.expect("no panic");
        assert_eq!(judge, mine + JUDGE_NICE);
    }
}
