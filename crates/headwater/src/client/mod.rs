//! The commands that talk to a running server. They use its public HTTP API and TCP listeners, nothing else.
//! Always: an error says what, where and what to do; the exit code follows from its kind.

mod backup;
pub mod batch;
mod deliver;
mod erase;
pub mod error;
mod export;
mod generate;
pub mod input;
mod plan;
mod play;
mod query;
mod rejects;
mod send;
mod server;
mod tail;
mod tokens;
mod verify;

use std::{io::Write, path::Path};

use reqwest::Method;
use serde_json::Value;

use crate::{
    cli::{Command, ServerArgs},
    exit::Exit,
    output,
};
use error::ClientError;
use server::Server;
pub use server::innermost;

/// Runs one client command to its end.
pub fn run(command: Command) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return Exit::Usage;
        }
    };
    let result = runtime.block_on(dispatch(command));
    // A thread that waits for standard input would keep the runtime from ending.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit,
        Err(ClientError::Output(error)) => output::write_failed(&error).unwrap_or(Exit::Fine),
        Err(error) => {
            // Standard error may be closed too; then there is nobody left to tell.
            let _ = write!(std::io::stderr(), "{}", error.render());
            error.exit()
        }
    }
}

/// What the server of a data directory says of itself; `None` where none runs.
pub fn running_status(data: &Path) -> Result<Option<Value>, ClientError> {
    const STATUS_BYTES_MAX: usize = 16 << 20;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if !server::runs_at(data).await? {
            return Ok(None);
        }
        let server = Server::find(&ServerArgs { url: None, data: Some(data.to_owned()) })?;
        let response = server.ask(server.request(Method::GET, &["v1", "status"], &[])).await?;
        let body = server.body(response, STATUS_BYTES_MAX).await?;
        serde_json::from_slice(&body).map(Some).map_err(|error| server.strange(error))
    })
}

async fn dispatch(command: Command) -> Result<Exit, ClientError> {
    match command {
        Command::Ls(arguments) => query::ls(arguments).await,
        Command::Sql(arguments) => query::sql(arguments).await,
        Command::Backup(arguments) => backup::run(arguments).await,
        Command::Export(arguments) => export::run(arguments).await,
        Command::Ledger(arguments) => query::ledger(arguments).await,
        Command::Gen(arguments) => generate::run(arguments).await,
        Command::Send(arguments) => send::run(arguments).await,
        Command::Tail(arguments) => tail::run(arguments).await,
        Command::Play(arguments) => play::run(arguments).await,
        Command::Rejects(arguments) => rejects::run(arguments).await,
        Command::Verify(arguments) => verify::run(arguments).await,
        Command::Plan(arguments) => plan::run(arguments).await,
        Command::Erase(arguments) => erase::run(arguments).await,
        Command::Tokens(arguments) => tokens::run(arguments).await,
        Command::Up(_)
        | Command::Check(_)
        | Command::Test(_)
        | Command::Doctor(_)
        | Command::Restore(_)
        | Command::Vault(_) => {
            Err(ClientError::usage("this command needs no server", "it is run by the binary itself"))
        }
    }
}
