//! `POST /v1/verify` and `GET /v1/status`: how the server stands, and whether what it holds is whole.
//! Always: one verification at a time; one whose caller has gone ends. Checks nothing itself: the backend does.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use futures::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    Problem, VerifyRefused,
    json_body::{bad_body, json_body},
    outgoing::{STALL_TIME, paced},
    sql::Reads,
};

const NAMES_BODY: &str = "the body is {} or {\"names\":[\"orders\"]}";

#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Names {
    /// Streams, or `rejects` or `ledger`; none means everything.
    #[serde(default)]
    names: Vec<String>,
}

#[utoipa::path(post, path = "/v1/verify", tag = "operating", request_body = Names, responses(
    (status = 200, description = "One line each: `{\"progress\":{…}}` while it runs, `{\"check\":{\"check\",\"of\",\"fine\",\"figures\",\"faults\":[{\"what\",\"where\",\"do\"}],\"faults_left_out\"}}`, and last `{\"summary\":{\"fine\",\"checks\",\"faults\",\"through\",\"seconds\"}}`. A body without its last line is a verification that did not come to its end.", content_type = "application/x-ndjson"),
    (status = 400, description = "`bad_body`", content_type = "application/problem+json"),
    (status = 404, description = "`no_stream`: a name is no stream.", content_type = "application/problem+json"),
    (status = 415, description = "The body is not `application/json`.", content_type = "application/problem+json"),
    (status = 429, description = "`verifying`: one is under way.", content_type = "application/problem+json"),
))]
pub(crate) async fn verify(
    State(reads): State<Reads>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = json_body(&headers, body, NAMES_BODY).await?;
    let names = serde_json::from_slice(&body).map_err(|fault| bad_body(&fault.to_string(), NAMES_BODY))?;
    let Names { names } = names;
    let lines = reads.backend.verify(names)?;
    let lines = stream::unfold(lines, |mut lines| async move {
        let line = lines.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(format!("{line}\n"))), lines))
    });
    let mut response = Response::new(paced(lines, STALL_TIME));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

#[utoipa::path(get, path = "/v1/status", tag = "operating", responses(
    (status = 200, description = "How the server stands: version, limits, journal, follower, tables that cannot commit. What `headwater doctor` reads; members may be added."),
))]
pub(crate) async fn status(State(reads): State<Reads>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(reads.backend.status())).into_response()
}

impl From<VerifyRefused> for Problem {
    fn from(refused: VerifyRefused) -> Problem {
        match refused {
            VerifyRefused::Busy => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "verifying",
                "a verification is under way",
                "one runs at a time: ask again when it has ended",
            )
            .retry_after(10),
            VerifyRefused::Unknown(name) => {
                let name: String = name.chars().take(200).collect();
                Problem::new(
                    StatusCode::NOT_FOUND,
                    "no_stream",
                    format!("there is no stream {name:?}"),
                    "name streams, rejects or ledger; no name means everything",
                )
            }
        }
    }
}
