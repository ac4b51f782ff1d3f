//! What an erasure and a new generation have in common: the old bytes leave journal and lake.
//! Always: a step can be done again; what it waits for is told; nothing that a statement reads is taken from under it but a
//! segment, and then the statement ends with `snapshot_gone`.

use std::time::Duration;

use hw_event::Seq;
use hw_journal::{Journal, Wipe, WipeState};
use hw_lake::{Eraser, Lake, Table};
use hw_pipeline::FollowerHandle;

use crate::background;

/// Between two looks at what others have to let go of.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Forgetting {
    pub journal: Journal,
    pub lake: Lake,
    pub follower: FollowerHandle,
}

impl Forgetting {
    /// Until the lake has everything through `through`.
    pub async fn drain(&self, through: Seq, tell: &(impl Fn(String) + Sync)) -> Result<(), String> {
        let mut status = self.follower.watch();
        loop {
            let now = self.follower.commit_now().await.map_err(|error| error.to_string())?;
            if now.committed >= through {
                return Ok(());
            }
            tell(match self.lake.faults().first() {
                Some(fault) => format!("a table that cannot commit: {}", fault.error),
                None => "the lake".to_owned(),
            });
            // Another round brings it, or the same trouble.
            let changed = tokio::time::timeout(RETRY_AFTER, status.changed()).await;
            if changed.is_ok_and(|changed| changed.is_err()) {
                return Err("the lake's follower has ended".to_owned());
            }
        }
    }

    pub async fn finish_wipe(&self, wipe: &mut Wipe, tell: &(impl Fn(String) + Sync)) -> Result<(), String> {
        loop {
            match wipe.step().await.map_err(|error| error.to_string())? {
                WipeState::Done => return Ok(()),
                WipeState::Unreleased(count) => {
                    self.follower.commit_now().await.map_err(|error| error.to_string())?;
                    tell(format!("{count} segments of the journal to be released"));
                }
                WipeState::Read(count) => {
                    tell(format!("{count} segments of the journal that statements read"))
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Files, commits and checkpoints of older versions of one table.
    pub async fn forget(
        &self,
        mut eraser: Eraser,
        table: Table,
        tell: &(impl Fn(String) + Sync),
    ) -> Result<Eraser, String> {
        loop {
            let forgotten = background::run("hw-forget", move || {
                let left = eraser.forget(table);
                (eraser, left)
            });
            let left;
            (eraser, left) = forgotten.await?;
            let left = left.map_err(|error| error.to_string())?;
            if left.is_none() {
                return Ok(eraser);
            }
            if left.stale_log {
                self.follower.commit_now().await.map_err(|error| error.to_string())?;
            }
            if left.held_files > 0 {
                tell(format!("{} files that statements read", left.held_files));
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}
