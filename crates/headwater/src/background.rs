//! Work that may take long and can wait: on a thread of its own, behind everything that somebody waits for.
//! Always: a panic of the work is told to whoever asked for it. The thread ends with the process, at the latest.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use tokio::{runtime::Handle, sync::oneshot};

/// Behind everything else that the server does, and behind statements that take long.
const NICE: i32 = 17;

/// Of this thread alone.
pub fn lower_priority() {
    hw_pipeline::lower_priority(NICE);
}

/// Does the work at a low priority; `Err` says why there is no outcome. Needs a runtime, and so may the work.
pub async fn run<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (tell, told) = oneshot::channel();
    let runtime = Handle::current();
    let work = move || {
        lower_priority();
        let _within = runtime.enter();
        // Who asked may have gone.
        let _ = tell.send(catch_unwind(AssertUnwindSafe(work)).map_err(|_| "it panicked".to_owned()));
    };
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| error.to_string())?;
    told.await.unwrap_or_else(|_| Err("its thread ended".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_outcome_comes_back_and_a_panic_is_told() {
        let runtime = run("hw-test", || Handle::try_current().is_ok()).await;
        assert_eq!(runtime, Ok(true));
        let panicked = run("hw-test", || -> u8 { panic!("as a test") }).await;
        assert_eq!(panicked, Err("it panicked".to_owned()));
        let mine = rustix::process::nice(0).unwrap();
        assert!(mine < NICE, "the caller's own priority is as it was: {mine}");
    }
}
