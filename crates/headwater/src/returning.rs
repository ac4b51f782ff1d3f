//! Events that came before their schema return when it is declared: one job for each declared stream that has open rejects
//! of the code `no_schema`.
//! Always: the jobs are gentle and one after another, so that what comes now goes first; what is interrupted is begun
//! again at the next start, because what is still open says so itself.

use std::time::Duration;

use arrow::array::AsArray;
use futures::StreamExt;
use hw_event::{Principal, RejectCode};
use hw_gate::doors::replay::{Order, Replays, Selection, ShelfError, State, Task};
use hw_query::Engine;
use tokio_util::sync::CancellationToken;

use crate::shelf::RejectShelf;

const LOOK_EVERY: Duration = Duration::from_millis(200);
const WAITING: &str =
    "SELECT DISTINCT stream FROM rejects WHERE code = 'no_schema' AND status = 'open' ORDER BY 1";

/// Runs once, after the start.
pub async fn return_declared(shelf: RejectShelf, replays: Replays, stop: CancellationToken) {
    let streams = match waiting(&shelf).await {
        Ok(streams) => streams,
        Err(error) => {
            tracing::warn!(%error, "whether events wait for their schema is not known; headwater rejects replay brings them back");
            return;
        }
    };
    for name in streams {
        let declared = shelf.tables.registry.by_name(&name).filter(|stream| stream.current().is_some());
        let Some(stream) = declared else { continue };
        let order = Order {
            task: Task::Replay,
            selection: Selection {
                stream: stream.name.clone(),
                code: Some(RejectCode::NoSchema),
                condition: None,
                from: None,
                to: None,
                limit: None,
            },
            dry_run: false,
            reason: Some("its schema was declared".into()),
            principal: Principal::local(),
            gentle: true,
        };
        let job = match replays.start(order) {
            Ok(job) => job,
            Err(refused) => {
                tracing::warn!(stream = %name, ?refused, "events wait for their schema, which is declared; headwater rejects replay brings them back");
                continue;
            }
        };
        while replays.report(job).is_some_and(|report| report.state == State::Running) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

async fn waiting(shelf: &RejectShelf) -> Result<Vec<String>, ShelfError> {
    // Mostly there are no rejects at all: then no process for statements is started.
    let fault = |error: hw_query::QueryError| ShelfError(error.to_string());
    let names = shelf.engine.names(WAITING).await.map_err(fault)?;
    let tables = shelf.tables.clone();
    let cut = tokio::task::spawn_blocking(move || tables.cut_for(&names)).await;
    let cut = cut.map_err(|error| ShelfError(error.to_string()))?;
    let cut = cut.map_err(|error| ShelfError(error.to_string()))?;
    let rejects = cut.tables.iter().find(|table| table.name == "rejects");
    if rejects.is_none_or(|table| table.files.is_empty() && table.hot.rows() == 0) {
        return Ok(Vec::new());
    }
    drop(cut);
    let mut answer = shelf.ask(WAITING, &Principal::local()).await?;
    let mut streams = Vec::new();
    while let Some(batch) = answer.next().await {
        let batch = batch.map_err(fault)?;
        let column = batch.column(0).as_string_opt::<i32>();
        streams.extend(column.into_iter().flatten().flatten().map(str::to_owned));
    }
    Ok(streams)
}
