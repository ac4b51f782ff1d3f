//! Answers that are no data: RFC 9457 problem details with a stable `code` and a `hint` that says what to do.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use hw_query::QueryError;
use serde::Serialize;

use crate::CutFailed;

#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "status_number")]
    pub status: StatusCode,
    pub detail: String,
    pub code: &'static str,
    pub hint: String,
    #[serde(skip)]
    retry_after_seconds: Option<u32>,
}

fn status_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("error"),
            status,
            detail: detail.into(),
            code,
            hint: hint.into(),
            retry_after_seconds: None,
        }
    }

    pub fn retry_after(self, seconds: u32) -> Problem {
        Problem { retry_after_seconds: Some(seconds), ..self }
    }
}

/// A bug of ours: the log has the panic, the caller learns that there was one.
pub(crate) fn panicked() -> Problem {
    internal()
}

fn internal() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the server failed at this request",
        "the server's log says more; reading again does no harm",
    )
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Problem {
        let status = match &error {
            QueryError::Text(_)
            | QueryError::Plan(_)
            | QueryError::Execution(_)
            | QueryError::Size(_)
            | QueryError::Depth { .. } => StatusCode::BAD_REQUEST,
            QueryError::Kind(_) => StatusCode::FORBIDDEN,
            QueryError::Memory(_) | QueryError::Rows { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            QueryError::Time(_) => StatusCode::GATEWAY_TIMEOUT,
            QueryError::Damaged(damage) => {
                tracing::error!(%damage, "a statement met damage");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            QueryError::VersionGone(_) => StatusCode::GONE,
            QueryError::SnapshotGone => StatusCode::SERVICE_UNAVAILABLE,
            QueryError::Crashed(how) => {
                tracing::error!(%how, "a statement's process ended before its statement");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            QueryError::Internal(fault) => {
                tracing::error!(%fault, "a statement failed");
                return internal();
            }
        };
        let problem = Problem::new(status, error.code(), error.to_string(), error.hint());
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(1) } else { problem }
    }
}

impl From<CutFailed> for Problem {
    fn from(failure: CutFailed) -> Problem {
        tracing::error!(%failure, "the tables cannot be read");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_cut",
            "the tables cannot be read just now",
            "try again; if it stays, see the server's log",
        )
        .retry_after(1)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // A struct of strings and a number always serializes.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
