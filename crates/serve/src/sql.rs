//! `POST /v1/sql`: a statement in, rows out, in the format the caller accepts.
//! Always: the status tells the truth if the answer fits the buffer or fails within it. An answer that fails later has
//! begun with 200; its body then ends abnormally (a chunked body without its last chunk, a reset stream), which
//! no client takes for a complete one.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{HeaderValue, StatusCode, header};
use hw_event::Principal;
use hw_query::{
    Answer, QueryError,
    render::{self, Format},
};
use serde::Deserialize;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use utoipa::ToSchema;

use crate::{
    Backend, Problem,
    accept::{accepted, media_type},
    json_body::{bad_body, json_body},
    outgoing::{STALL_TIME, paced},
};

/// What a body looks like, for those whose body does not.
const SQL_BODY: &str = "send Content-Type: application/json and {\"sql\":\"SELECT 1\"}";
/// Rendered bytes of one answer that are held back until its end is known …
const ANSWER_BUFFER_BYTES: usize = 32 * 1024 * 1024;
/// … and of all answers together, in KiB. An answer that finds no room begins at once.
const BUFFERS_KIB: usize = 128 * 1024;
/// How long a page of events waits for room among them.
const ROOM_WAIT: Duration = Duration::from_secs(10);

/// What the reading doors share.
#[derive(Clone)]
pub(crate) struct Reads {
    pub(crate) backend: Arc<dyn Backend>,
    buffers: Arc<Semaphore>,
}

impl Reads {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Reads {
        Reads { backend, buffers: Arc::new(Semaphore::new(BUFFERS_KIB)) }
    }

    /// Runs a statement over the tables as of now.
    pub(crate) async fn run(&self, statement: &str) -> Result<Answer, Problem> {
        let engine = self.backend.engine();
        let names = engine.names(statement).await?;
        let cut = self.backend.cut(&names).await?;
        Ok(engine.run(statement, &Principal::local(), cut).await?)
    }

    /// Room for an answer of up to so many bytes that is made whole before it goes; waits a little for it.
    pub(crate) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = timeout(ROOM_WAIT, Arc::clone(&self.buffers).acquire_many_owned(kib)).await;
        room.ok().and_then(Result::ok).ok_or_else(|| {
            Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "busy",
                "many large answers are on their way",
                "ask again after the seconds in Retry-After; take answers as they come",
            )
            .retry_after(1)
        })
    }

    /// A whole answer as a response.
    pub(crate) async fn respond(&self, answer: Answer, format: Format) -> Result<Response, Problem> {
        let pieces = hold(render::pieces(answer, format).boxed(), Arc::clone(&self.buffers)).await?;
        let mut response = Response::new(paced(pieces, STALL_TIME));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(format)));
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(response)
    }
}

/// Pulls pieces until the end, an error or a full buffer; only the first two are known when this returns.
async fn hold<S>(
    mut pieces: S,
    buffers: Arc<Semaphore>,
) -> Result<impl Stream<Item = Result<Bytes, QueryError>> + Send + 'static, QueryError>
where
    S: Stream<Item = Result<Bytes, QueryError>> + Send + Unpin + 'static,
{
    let mut held = Vec::new();
    let mut bytes = 0;
    while bytes < ANSWER_BUFFER_BYTES {
        let Some(piece) = pieces.next().await.transpose()? else { break };
        bytes += piece.len();
        // One row can be larger than all buffers: then it is not held back either.
        let kib = u32::try_from(piece.len().div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&buffers).try_acquire_many_owned(kib).ok();
        let full = room.is_none();
        held.push((piece, room));
        if full {
            break;
        }
    }
    // Each piece gives its room back as it leaves.
    let held = stream::iter(held).map(|(piece, _room)| Ok(piece));
    Ok(held.chain(pieces).inspect(|piece| {
        if let Err(error) = piece {
            tracing::warn!(code = error.code(), "an answer failed after it had begun: its body is cut off");
        }
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// One statement: SELECT, WITH, VALUES, EXPLAIN, SHOW TABLES or DESCRIBE.
    #[schema(example = "SELECT stream, events, rejected FROM streams")]
    sql: String,
}

#[utoipa::path(post, path = "/v1/sql", tag = "read", request_body = Ask, responses(
    (status = 200, description = "The rows, in one of four formats by `Accept`: JSON `{\"columns\":[{\"name\",\"type\"}],\"rows\":[[…]],\"row_count\":n}`, NDJSON, CSV, Arrow IPC stream. A body that ends abnormally is an answer that failed after it had begun.",
        content((String = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"), (String = "application/vnd.apache.arrow.stream"))),
    (status = 400, description = "`sql_text`, `sql_plan`, `sql_execution`, `sql_size`, `sql_depth`; `bad_body` for a body that is not `{\"sql\":\"…\"}`.", content_type = "application/problem+json"),
    (status = 403, description = "`sql_kind`: the statement does more than read.", content_type = "application/problem+json"),
    (status = 406, description = "No media type in `Accept` can be made.", content_type = "application/problem+json"),
    (status = 410, description = "`version_gone`: a version of a table that has been cleaned up; `detail` names the oldest that can be read.", content_type = "application/problem+json"),
    (status = 413, description = "The body is larger than 1 MiB.", content_type = "application/problem+json"),
    (status = 415, description = "The body is not `application/json`.", content_type = "application/problem+json"),
    (status = 422, description = "`sql_memory`, `sql_rows`.", content_type = "application/problem+json"),
    (status = 500, description = "`damaged`: bytes of a file that the statement needs are not what was written; `detail` names file and range. `sql_crashed`: the process that ran the statement has died; nothing else was hurt. `internal`: a fault of the server.", content_type = "application/problem+json"),
    (status = 503, description = "`snapshot_gone`: the journal needed the room of rows that were being read; send it again. `no_cut`.", content_type = "application/problem+json"),
    (status = 504, description = "`sql_time`.", content_type = "application/problem+json"),
))]
pub(crate) async fn sql(State(reads): State<Reads>, request: Request) -> Response {
    match answer(&reads, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn answer(reads: &Reads, request: Request) -> Result<Response, Problem> {
    let format = accepted(request.headers())?;
    let (parts, body) = request.into_parts();
    let body = json_body(&parts.headers, body, SQL_BODY).await?;
    let ask: Ask = serde_json::from_slice(&body).map_err(|fault| bad_body(&fault.to_string(), SQL_BODY))?;
    let answer = reads.run(&ask.sql).await?;
    reads.respond(answer, format).await
}
