//! The server's side of what the HTTP surface asks for, and the surface put together: the doors' routes, the guard.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::Router;
use hw_event::{Offset, Partition, StreamId};
use hw_gate::doors::replay::Replays;
use hw_lake::Table;
use hw_pipeline::FollowerHandle;
use hw_query::{Cut, Engine, Names, child::Children};
use hw_schema::{Registry, Schema};
use hw_serve::{
    BackupRefused, CutFailed, Guard, PlanRefused, RevealAsked, RevealRefused, TokenRevealed, VerifyRefused,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    backup::Backups,
    erasure::Erasures,
    generation::survey,
    output::rfc3339,
    reading::Tables,
    reveal::Reveals,
    status::Status,
    verify::{self, Subject},
};

/// How long a verification waits for the lake to catch up: the shorter the journal's tail, the less it decodes.
const CATCH_UP: Duration = Duration::from_secs(30);

pub struct Backend {
    pub tables: Tables,
    pub engine: Children,
    pub replays: Replays,
    pub follower: FollowerHandle,
    pub metrics: PrometheusHandle,
    pub stop: CancellationToken,
    pub status: Status,
    pub reveals: Reveals,
    /// The catalog's directory.
    pub catalog: PathBuf,
    /// One permit: one verification at a time.
    pub verifying: Arc<Semaphore>,
    /// One plan at a time: it reads its table.
    pub planning: Arc<Semaphore>,
    pub erasures: Erasures,
    pub backups: Backups,
}

#[async_trait]
impl hw_serve::Backend for Backend {
    async fn cut(&self, names: &Names) -> Result<Cut, CutFailed> {
        let (tables, of) = (self.tables.clone(), names.clone());
        let cut = tokio::task::spawn_blocking(move || tables.cut_for(&of)).await;
        let cut = cut.map_err(|error| CutFailed(error.to_string()))?;
        let mut cut = cut.map_err(|error| CutFailed(error.to_string()))?;
        cut.tables.extend(self.tables.as_of(names).await);
        Ok(cut)
    }

    async fn versions(&self, table: &str) -> Result<Option<Vec<Value>>, CutFailed> {
        let tables = self.tables.lake.tables();
        let Some((table, _)) = tables.into_iter().find(|(_, name)| name == table) else { return Ok(None) };
        let versions = self.tables.lake.versions(table).await;
        let versions = versions.map_err(|error| CutFailed(error.to_string()))?;
        let told = versions.into_iter().rev().take(hw_serve::VERSIONS_MAX).map(|it| {
            json!({
                "version": it.version, "at": rfc3339(it.at.0), "operation": it.operation, "files": it.files,
                "rows": it.rows, "bytes": it.bytes, "readable": it.readable,
            })
        });
        Ok(Some(told.collect()))
    }

    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn replays(&self) -> Option<&Replays> {
        Some(&self.replays)
    }

    fn registry(&self) -> &Registry {
        &self.tables.registry
    }

    fn ready(&self) -> Result<(), String> {
        if self.stop.is_cancelled() {
            return Err("the server is stopping".into());
        }
        if let Some(failure) = self.tables.journal.usage().failed {
            return Err(format!("the journal cannot be written: {failure}"));
        }
        if self.follower.status().ended() {
            return Err("the lake's follower has ended".into());
        }
        Ok(())
    }

    fn metrics(&self) -> String {
        self.metrics.render()
    }

    fn status(&self) -> Value {
        self.status.read(&self.tables, &self.follower)
    }

    fn first_kept(&self, stream: StreamId, partition: Partition) -> Offset {
        let table = self.tables.lake.table(Table::Stream(stream));
        Offset(table.and_then(|table| table.first_kept.get(&partition.0).copied()).unwrap_or(0))
    }

    async fn backup(&self) -> Result<mpsc::Receiver<Value>, BackupRefused> {
        self.backups.begin().await
    }

    async fn end_backup(&self, id: &str) -> bool {
        self.backups.end(id).await
    }

    fn erasures(&self) -> &dyn hw_serve::Erasures {
        &self.erasures
    }

    async fn reveal(&self, asked: RevealAsked) -> Result<Vec<TokenRevealed>, RevealRefused> {
        self.reveals.reveal(asked).await
    }

    async fn plan(&self, stream: &str, document: String) -> Result<Value, PlanRefused> {
        let permit = self.planning.clone().try_acquire_owned().map_err(|_| PlanRefused::Busy)?;
        let (tables, stream) = (self.tables.clone(), stream.to_owned());
        let planned = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let parsed = Schema::parse(&document);
            let parsed = parsed.map_err(|faults| {
                PlanRefused::Document(faults.first().map(ToString::to_string).unwrap_or_default())
            })?;
            survey::plan(&tables, &stream, &Arc::new(parsed.schema)).map_err(PlanRefused::Failed)
        });
        planned.await.map_err(|error| PlanRefused::Failed(error.to_string()))?
    }

    fn verify(&self, names: Vec<String>) -> Result<mpsc::Receiver<Value>, VerifyRefused> {
        let subject = Subject::new(self.tables.clone(), self.catalog.clone());
        if let Some(name) = subject.unknown(&names) {
            return Err(VerifyRefused::Unknown(name.to_owned()));
        }
        let permit = self.verifying.clone().try_acquire_owned().map_err(|_| VerifyRefused::Busy)?;
        let (sender, lines) = mpsc::channel(verify::LINES_AHEAD);
        let (line, mut made) = mpsc::channel(verify::LINES_AHEAD);
        let (follower, stop) = (self.follower.clone(), self.stop.clone());
        tokio::spawn(async move {
            let work = async {
                // A table that cannot commit is no reason not to look.
                let _ = tokio::time::timeout(CATCH_UP, follower.commit_now()).await;
                verify::run(subject, names, line).await;
            };
            let pass_on = async {
                while let Some(line) = made.recv().await {
                    // Names, numbers and texts: such a value always serializes.
                    if sender.send(serde_json::to_value(line).unwrap_or_default()).await.is_err() {
                        break;
                    }
                }
                // Nobody listens: whoever makes lines learns of it.
                drop(made);
            };
            tokio::select! {
                () = stop.cancelled() => {}
                _ = async { tokio::join!(work, pass_on) } => {}
            }
            drop(permit);
        });
        Ok(lines)
    }
}

/// Serves reads and ingest on one listener.
pub fn serve_http(
    listener: TcpListener,
    port: u16,
    backend: Arc<Backend>,
    ingest: Router,
    connections: Arc<Semaphore>,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let router = hw_serve::around(hw_serve::router(backend).merge(ingest), Guard::new(port));
    tokio::spawn(hw_serve::listen(listener, router, connections, stop))
}
