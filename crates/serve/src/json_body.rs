//! The JSON bodies of our own requests: what they are announced as, how large they are, how long they take.
//! Always: an error says what the body is to look like. What is in it is for the caller to say.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use tokio::time::timeout;

use crate::Problem;

const BODY_BYTES_MAX: usize = 1024 * 1024;
const BODY_TIME: Duration = Duration::from_secs(10);

/// The bytes of a body that says it is JSON; `hint` says what it looks like.
pub(crate) async fn json_body(headers: &HeaderMap, body: Body, hint: &str) -> Result<Bytes, Problem> {
    if !is_json(headers) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body must be application/json",
            hint,
        ));
    }
    let body = timeout(BODY_TIME, to_bytes(body, BODY_BYTES_MAX)).await.map_err(|_| {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_time",
            "the body did not come in time",
            "send the request again",
        )
    })?;
    body.map_err(|fault| {
        // The body's limit is the only error that is not the connection's.
        let large = std::error::Error::source(&fault)
            .is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>());
        match large {
            true => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("the body has more than {BODY_BYTES_MAX} bytes"),
                "make it shorter",
            ),
            false => bad_body("the body cannot be read", hint),
        }
    })
}

pub(crate) fn bad_body(detail: &str, hint: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_body", detail, hint)
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(first), None) = (types.next(), types.next()) else { return false };
    let media_type = first.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}
