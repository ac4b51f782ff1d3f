//! The server's side of what the HTTP surface asks for, and the surface put together: the doors' routes, the guard.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use hw_pipeline::FollowerHandle;
use hw_query::{Cut, Runner};
use hw_schema::Registry;
use hw_serve::{CutFailed, Guard};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::reading::Tables;

pub struct Backend {
    pub tables: Tables,
    pub runner: Runner,
    pub follower: FollowerHandle,
    pub metrics: PrometheusHandle,
    pub stop: CancellationToken,
}

#[async_trait]
impl hw_serve::Backend for Backend {
    async fn cut(&self) -> Result<Cut, CutFailed> {
        let tables = self.tables.clone();
        let cut = tokio::task::spawn_blocking(move || tables.cut()).await;
        cut.map_err(|error| CutFailed(error.to_string()))?.map_err(|error| CutFailed(error.to_string()))
    }

    fn runner(&self) -> &Runner {
        &self.runner
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
