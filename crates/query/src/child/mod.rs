//! Statements in processes of their own: the server's side (`Children`) and the side inside (`serve_statements`).
//! Always: one statement a process at a time, so what a statement does to its process, it does to itself. Whatever a process
//! says is checked; what it holds of `sql.memory` comes back when it dies. Starts no process itself and opens no socket:
//! both are handed in.
//!
//! Two sockets join the server and a process. On one go statements and answers (`wire`), on the other the process asks
//! for what only the server has: memory within the one bound, and payloads opened (`link`).

mod account;
mod children;
mod cut;
mod grants;
mod inside;
mod link;
mod rows;
mod wire;
mod worker;

pub use children::Children;
pub use inside::{HotOpener, serve_statements};
pub use worker::{Launch, Launched};
