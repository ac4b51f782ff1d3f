//! Is it alive, is it ready, what does it measure.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};

use crate::{Problem, sql::Reads};

#[utoipa::path(get, path = "/livez", tag = "operating", responses((status = 200, description = "The process answers.", body = String)))]
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

#[utoipa::path(get, path = "/readyz", tag = "operating", responses(
    (status = 200, description = "It takes requests: `{\"ready\":true}`."),
    (status = 503, description = "It is starting or stopping, or a part has failed; `detail` says which.", content_type = "application/problem+json"),
))]
pub(crate) async fn readyz(State(reads): State<Reads>) -> Response {
    match reads.backend.ready() {
        Ok(()) => Json(serde_json::json!({ "ready": true })).into_response(),
        Err(reason) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", reason, "ask again in a second")
                .retry_after(1)
                .into_response()
        }
    }
}

#[utoipa::path(get, path = "/metrics", tag = "operating", responses((status = 200, description = "Prometheus text format.", body = String)))]
pub(crate) async fn metrics(State(reads): State<Reads>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], reads.backend.metrics())
}
