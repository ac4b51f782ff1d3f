//! Work that blocks, kept off the threads that must not.
//! Always: on a runtime of one thread it is done in place, in the order in which it was asked for. There is nobody else
//! whom it would keep waiting for long, and a simulation of one thread stays one.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::{self, JoinHandle},
};

/// Like `tokio::task::spawn_blocking`; a panic is the handle's to tell there and here. Needs a runtime.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => task::spawn(async move { work() }),
        _ => task::spawn_blocking(work),
    }
}
