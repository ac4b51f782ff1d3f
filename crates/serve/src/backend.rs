//! What the doors out need of the house. The binary implements it.

use async_trait::async_trait;
use hw_event::{Offset, Partition, StreamId};
use hw_gate::doors::replay::Replays;
use hw_query::{Cut, Engine, Names};
use hw_schema::Registry;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::Erasures;

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

#[async_trait]
pub trait Backend: Send + Sync {
    /// The tables as of now, for a statement in which these names stand.
    async fn cut(&self, names: &Names) -> Result<Cut, CutFailed>;

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

    /// What forgets people.
    fn erasures(&self) -> &dyn Erasures;

    /// The jobs on rejects. `None`: there are none to be had just now.
    fn replays(&self) -> Option<&Replays> {
        None
    }

    /// The first offset that is not below what retention or erasure took away. Gaps above it are no loss.
    fn first_kept(&self, _stream: StreamId, _partition: Partition) -> Offset {
        Offset(0)
    }
}
