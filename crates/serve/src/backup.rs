//! `POST /v1/backups`: a backup is staged for as long as somebody takes the lines of the answer, or until
//! `DELETE /v1/backups/{id}`. Always: one at a time; one whose caller has gone is taken away. Sends no byte of it: whoever copies it has rights of his own
//! on the server's machine.

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use futures::stream;
use http::{HeaderValue, StatusCode, header};

use crate::{
    BackupRefused, Problem,
    outgoing::{STALL_TIME, paced},
    sql::Reads,
};

#[utoipa::path(post, path = "/v1/backups", tag = "operating", responses(
    (status = 200, description = "The first line is `{\"id\",\"directory\",\"through\",\"files\",\"bytes\",\"version\",\"outside\"}`: below that directory, on the server's machine, is its data as of append `through`; what the settings in `outside` name is not in it. Then a line each second, `{\"staged\":true}`. It is taken away when the caller goes.", content_type = "application/x-ndjson"),
    (status = 429, description = "`backing_up`: one is being copied. `busy`: an erasure or a new generation works on the data.", content_type = "application/problem+json"),
    (status = 500, description = "`backup_failed`", content_type = "application/problem+json"),
))]
pub(crate) async fn backup(State(reads): State<Reads>) -> Response {
    let lines = match reads.backend.backup().await {
        Ok(lines) => lines,
        Err(refused) => return Problem::from(refused).into_response(),
    };
    let lines = stream::unfold(lines, |mut lines| async move {
        let line = lines.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(format!("{line}\n"))), lines))
    });
    let mut response = Response::new(paced(lines, STALL_TIME));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[utoipa::path(delete, path = "/v1/backups/{id}", tag = "operating", params(("id" = String, Path)), responses(
    (status = 204, description = "It was copied, and is gone."),
    (status = 404, description = "`no_backup`: none of this id is staged.", content_type = "application/problem+json"),
))]
pub(crate) async fn end(State(reads): State<Reads>, Path(id): Path<String>) -> Response {
    if reads.backend.end_backup(&id).await {
        return StatusCode::NO_CONTENT.into_response();
    }
    let problem = Problem::new(
        StatusCode::NOT_FOUND,
        "no_backup",
        "no backup of this id is staged",
        "the first line of POST /v1/backups names it",
    );
    problem.into_response()
}

impl From<BackupRefused> for Problem {
    fn from(refused: BackupRefused) -> Problem {
        match refused {
            BackupRefused::Running => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "backing_up",
                "a backup is being copied",
                "one at a time: ask again when it has ended",
            )
            .retry_after(10),
            BackupRefused::Busy(what) => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "busy",
                what,
                "a backup has all of it or nothing: ask again when it has ended",
            )
            .retry_after(10),
            BackupRefused::Failed(what) => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "backup_failed",
                what,
                "nothing was left behind; headwater doctor looks at disk and data",
            ),
        }
    }
}
