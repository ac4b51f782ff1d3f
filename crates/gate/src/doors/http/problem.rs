//! Answers without a receipt: RFC 9457 problem details with a stable `code` and a `hint` that says what to do.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::Refusal;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Problem {
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
    pub(crate) fn new(
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

    fn retry_after(self, seconds: u32) -> Problem {
        Problem { retry_after_seconds: Some(seconds), ..self }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let detail = refusal.to_string();
        let (status, code, hint, retry) = match refusal {
            Refusal::BadName(..) => (
                StatusCode::NOT_FOUND,
                "bad_stream_name",
                "a stream is named after its schema file, for example sensor.reading",
                None,
            ),
            Refusal::Empty => (
                StatusCode::BAD_REQUEST,
                "empty_body",
                "send one JSON object a line (application/x-ndjson), or a JSON array",
                None,
            ),
            Refusal::TooManyEvents { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_many_events", "send them in several requests", None)
            }
            Refusal::Busy => (
                StatusCode::TOO_MANY_REQUESTS,
                "busy",
                "send the same request again after the seconds in Retry-After; smaller or fewer requests at once help",
                Some(1),
            ),
            Refusal::Full(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "journal_full",
                "the lake is behind: retry later, or raise journal.budget",
                Some(2),
            ),
            Refusal::Behind(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "stream_behind",
                "retry later: other streams go on; headwater doctor says what keeps this one's table from committing",
                Some(5),
            ),
            Refusal::UndeclaredFull => (
                StatusCode::TOO_MANY_REQUESTS,
                "undeclared_full",
                "declare the stream: add schemas/NAME.json to the project",
                Some(60),
            ),
            Refusal::Disk(_) => (
                StatusCode::INSUFFICIENT_STORAGE,
                "disk",
                "nothing was acknowledged: free space on the data directory's disk, then send the same request \
                 again with the same Idempotency-Key",
                Some(1),
            ),
            Refusal::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "nothing of the request was stored; the server's log says more",
                None,
            ),
            Refusal::Closed => (
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "send the same request again when the server is back",
                Some(1),
            ),
            Refusal::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "use a new Idempotency-Key for each new body",
                None,
            ),
            Refusal::ProducerFenced { .. } => (
                StatusCode::CONFLICT,
                "producer_fenced",
                "another instance of this producer has taken over: stop, or begin a higher Producer-Epoch",
                None,
            ),
            Refusal::SequenceGap { .. } => (
                StatusCode::CONFLICT,
                "sequence_gap",
                "send the missing events first, or begin a higher Producer-Epoch",
                None,
            ),
        };
        let problem = Problem::new(status, code, detail, hint);
        match retry {
            Some(seconds) => problem.retry_after(seconds),
            None => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
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
