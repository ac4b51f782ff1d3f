//! Stopping: what asks for it, and who waits for whom.
//! Always: nothing acknowledged is lost, at any ack level; a second signal does not wait.
//!
//! 1. Not ready any more; no listener accepts.
//! 2. Open requests and connections finish what they have read; directories, the batch that is under way.
//! 3. The gate takes no more, and answers what it has.
//! 4. The follower drains what is durable into the lake and commits.
//! 5. The journal syncs and seals its tail; the vault is closed.
//! 6. `endpoints.json` goes.

use std::{io, time::Duration};

use hw_gate::{Gate, Running};
use hw_journal::Journal;
use hw_pipeline::{FollowError, FollowerHandle};
use hw_vault::Vault;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::data_directory::DataDirectory;

/// For requests that are under way and for the lake's last commit, each.
const PATIENCE: Duration = Duration::from_secs(30);

/// TERM and Ctrl-C. One that comes before `next` is asked waits for it.
pub struct Signals {
    term: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals { term: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "TERM",
            _ = self.interrupt.recv() => "INT",
        }
    }
}

pub struct Parts {
    pub stop: CancellationToken,
    pub doors: Vec<JoinHandle<()>>,
    pub gate: Gate,
    pub running: Running,
    pub follower: FollowerHandle,
    pub following: JoinHandle<Result<(), FollowError>>,
    pub journal: Journal,
    pub vault: Vault,
    pub directory: DataDirectory,
}

impl Parts {
    pub async fn shut_down(self) -> anyhow::Result<()> {
        self.stop.cancel();
        for door in self.doors {
            match tokio::time::timeout(PATIENCE, door).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a door did not end cleanly"),
                Err(_) => tracing::warn!("a door's connections did not finish in time"),
            }
        }
        self.gate.close();
        self.running.finished().await;
        self.follower.stop();
        match tokio::time::timeout(PATIENCE, self.following).await {
            Ok(Ok(Ok(()))) => {}
            // The journal still holds what the lake does not: the next start goes on from there.
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the lake is behind"),
            Ok(Err(error)) => tracing::error!(%error, "the follower did not end cleanly"),
            Err(_) => tracing::warn!("the lake's last commit did not finish in time"),
        }
        self.journal.close().await;
        // No request is left that could wait for it.
        self.vault.close();
        self.directory.remove_endpoints()?;
        Ok(())
    }
}
