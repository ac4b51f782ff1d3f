//! What the doors out need of the house. The binary implements it.

use async_trait::async_trait;
use hw_event::{Offset, Partition, Principal, StreamId};
use hw_gate::doors::replay::Replays;
use hw_query::{Cut, Engine, Names};
use hw_schema::Registry;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::Erasures;

/// So many versions of a table are listed.
pub const VERSIONS_MAX: usize = 1000;

/// The tables cannot be seen just now. The text is for the operator's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no cut can be taken: {0}")]
pub struct CutFailed(pub String);

/// Why no verification was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyRefused {
    /// One is under way.
    Busy,
    /// No stream and no table has this name.
    Unknown(String),
}

/// Why no backup is staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupRefused {
    /// One is being copied.
    Running,
    /// Something works on the data that a backup would have in parts.
    Busy(String),
    Failed(String),
}

/// Who asks what tokens stand for, and why.
#[derive(Debug, Clone)]
pub struct RevealAsked {
    pub principal: Principal,
    pub domain: String,
    pub tokens: Vec<String>,
    pub reason: String,
}

/// What became of one token. Never logged: it may hold clear text.
pub struct TokenRevealed {
    pub token: String,
    /// `revealed`, `unknown`, `erased` or `damaged`.
    pub state: &'static str,
    /// Of `revealed`.
    pub value: Option<String>,
}

/// Why no token was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevealRefused {
    /// Nobody here has the right.
    NotAllowed,
    /// It could not be done, or not be written down.
    Failed(String),
}

/// Why there is no plan.
#[derive(Debug)]
pub enum PlanRefused {
    /// It is no schema document: its first fault.
    Document(String),
    /// One is being made.
    Busy,
    Failed(String),
}

#[async_trait]
pub trait Backend: Send + Sync {
    /// The tables as of now, for a statement in which these names stand.
    async fn cut(&self, names: &Names) -> Result<Cut, CutFailed>;

    /// The versions that a table's log tells of, the newest first, at most [`VERSIONS_MAX`]. `None`: there is no such
    /// table. `table` is a stream's name, or `rejects` or `ledger`.
    async fn versions(&self, _table: &str) -> Result<Option<Vec<Value>>, CutFailed> {
        Ok(None)
    }

    /// What would come of this schema document for the stream's table, and its rows.
    async fn plan(&self, _stream: &str, _document: String) -> Result<Value, PlanRefused> {
        Err(PlanRefused::Failed("there are no plans here".to_owned()))
    }

    /// Runs statements over a cut.
    fn engine(&self) -> &dyn Engine;

    fn registry(&self) -> &Registry;

    /// `Err` says why not: starting, stopping, a part that has failed.
    fn ready(&self) -> Result<(), String>;

    /// In the text format of Prometheus.
    fn metrics(&self) -> String;

    /// How the parts stand, for `GET /v1/status`.
    fn status(&self) -> Value;

    /// Begins a verification of what is named, or of everything. Its lines come until the channel ends; dropping the
    /// receiver ends it.
    fn verify(&self, names: Vec<String>) -> Result<mpsc::Receiver<Value>, VerifyRefused>;

    /// Stages a backup in the data directory. The first line says where; it stays until the receiver is dropped, and lines
    /// come for as long.
    async fn backup(&self) -> Result<mpsc::Receiver<Value>, BackupRefused> {
        Err(BackupRefused::Failed("there are no backups here".to_owned()))
    }

    /// The backup that is staged was copied. Returns once it is gone; `false`: there is none of this id.
    async fn end_backup(&self, _id: &str) -> bool {
        false
    }

    /// What forgets people.
    fn erasures(&self) -> &dyn Erasures;

    /// The jobs on rejects. `None`: there are none to be had just now.
    fn replays(&self) -> Option<&Replays> {
        None
    }

    /// What tokens stand for. That it was asked is durable before the answer is given, whatever it is.
    async fn reveal(&self, _asked: RevealAsked) -> Result<Vec<TokenRevealed>, RevealRefused> {
        Err(RevealRefused::NotAllowed)
    }

    /// The first offset that is not below what retention or erasure took away. Gaps above it are no loss.
    fn first_kept(&self, _stream: StreamId, _partition: Partition) -> Offset {
        Offset(0)
    }
}
