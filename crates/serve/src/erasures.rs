//! `POST /v1/erasures`, `GET /v1/erasures[/{id}]`: asking for people to be forgotten, and how far that has come.
//! Always: no subject is repeated in an answer; a request that was answered with 202 is durable. Carries nothing out
//! itself: the backend does.

use std::io;

use async_trait::async_trait;
use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use hw_event::Principal;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    Problem,
    json_body::{bad_body, json_body},
    sql::Reads,
};

const BODY: &str = "the body is {\"subjects\":[\"…\"],\"reason\":\"…\",\"dry_run\":false}";
const REASON_CHARS_MAX: usize = 1000;

/// Who is to be forgotten.
pub struct EraseRequest {
    pub subjects: Vec<String>,
    pub reason: Option<String>,
    /// Count, and change nothing.
    pub dry_run: bool,
    pub principal: String,
}

/// Why a request was not taken.
#[derive(Debug)]
pub enum EraseRefused {
    Bad(String),
    /// As many wait as may.
    Busy,
    /// It could not be made durable.
    Disk(io::Error),
    Unavailable(String),
}

/// What carries erasures out.
#[async_trait]
pub trait Erasures: Send + Sync {
    /// Returns how it stands, once it is durable; of a dry run, the counts.
    async fn request(&self, request: EraseRequest) -> Result<Value, EraseRefused>;
    /// The newest first.
    fn list(&self) -> Vec<Value>;
    fn get(&self, id: &str) -> Option<Value>;
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Erase {
    /// As events name them: numbers in decimal. At most 10,000.
    subjects: Vec<String>,
    /// For the receipt.
    #[serde(default)]
    reason: Option<String>,
    /// Only count what would go.
    #[serde(default)]
    dry_run: bool,
}

#[utoipa::path(post, path = "/v1/erasures", tag = "privacy", request_body = Erase, responses(
    (status = 202, description = "The erasure is durable and will be carried out: `{\"id\",\"requested_at\",\"subjects\",\"reason\",\"phase\",\"rows\",\"rejects\",\"progress\"|\"receipt\"}`."),
    (status = 200, description = "A dry run: `{\"dry_run\":true,\"subjects\":n,\"rows\":{\"stream\":n},\"rejects\":n}`."),
    (status = 400, description = "`bad_body`", content_type = "application/problem+json"),
    (status = 415, description = "The body is not `application/json`.", content_type = "application/problem+json"),
    (status = 429, description = "`erasures_waiting`: too many wait already.", content_type = "application/problem+json"),
    (status = 503, description = "`erasures_unavailable`", content_type = "application/problem+json"),
    (status = 507, description = "`disk`: it could not be written down.", content_type = "application/problem+json"),
))]
pub(crate) async fn erase(
    State(reads): State<Reads>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = json_body(&headers, body, BODY).await?;
    // Serde's own words may quote what stands there, and that may be somebody.
    let asked: Erase = serde_json::from_slice(&body).map_err(|fault| {
        bad_body(
            &format!("the body cannot be read at line {}, column {}", fault.line(), fault.column()),
            BODY,
        )
    })?;
    if asked.reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON_CHARS_MAX) {
        return Err(bad_body(&format!("the reason has more than {REASON_CHARS_MAX} characters"), BODY));
    }
    let dry_run = asked.dry_run;
    let request = EraseRequest {
        subjects: asked.subjects,
        reason: asked.reason,
        dry_run,
        principal: Principal::local().to_string(),
    };
    let told = reads.backend.erasures().request(request).await?;
    let status = if dry_run { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, [(header::CACHE_CONTROL, "no-store")], Json(told)).into_response())
}

#[utoipa::path(get, path = "/v1/erasures", tag = "privacy", responses(
    (status = 200, description = "`{\"erasures\":[…]}`, the newest first, at most 1,000."),
))]
pub(crate) async fn list(State(reads): State<Reads>) -> Response {
    let list = reads.backend.erasures().list();
    ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "erasures": list }))).into_response()
}

#[utoipa::path(get, path = "/v1/erasures/{id}", tag = "privacy", params(("id" = String, Path, description = "As it was answered.")), responses(
    (status = 200, description = "How it stands: `phase` is `requested`, `draining`, `rewriting`, `wiping`, `forgetting` or `done`; with `progress`, or once it is done `receipt`: `{\"text\",\"signature\",\"public_key\",\"algorithm\"}`."),
    (status = 404, description = "`no_erasure`", content_type = "application/problem+json"),
))]
pub(crate) async fn get(State(reads): State<Reads>, Path(id): Path<String>) -> Result<Response, Problem> {
    let told = reads.backend.erasures().get(&id).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_erasure",
            "there is no erasure of this id",
            "GET /v1/erasures lists them",
        )
    })?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(told)).into_response())
}

impl From<EraseRefused> for Problem {
    fn from(refused: EraseRefused) -> Problem {
        match refused {
            EraseRefused::Bad(detail) => bad_body(&detail, BODY),
            EraseRefused::Busy => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "erasures_waiting",
                "too many erasures wait already",
                "name more subjects in one request, or ask again when some are done",
            )
            .retry_after(30),
            EraseRefused::Disk(error) => Problem::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "disk",
                format!("the erasure could not be written down: {error}"),
                "nothing was erased: make room, then ask again",
            ),
            EraseRefused::Unavailable(detail) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "erasures_unavailable",
                detail,
                "ask again in a while",
            )
            .retry_after(5),
        }
    }
}
