//! `POST /v1/streams/{s}/plan`: what a changed schema would do to the stream's table and its rows.
//! Always: nothing is changed; one plan at a time, since it reads the table. Judges nothing itself: the backend does.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};

use crate::{
    PlanRefused, Problem,
    json_body::{bad_body, json_body},
    sql::Reads,
};

const PLAN_BODY: &str = "the body is the schema document, as headwater check accepts it";

#[utoipa::path(post, path = "/v1/streams/{stream}/plan", tag = "operating", params(("stream" = String, Path)), request_body(content = String, description = "The schema document.", content_type = "application/json"), responses(
    (status = 200, description = "`{\"stream\",\"verdict\",\"changes\":[{\"pointer\",\"action\",\"misfits\",\"null_is_possible\",\"message\",\"hint\"}],\"rows\",\"bytes\",\"seconds\"}`. `verdict` is `new`, `unchanged`, `allowed`, `rewrite` (with the words of `headwater up` that it needs) or `refused`; `misfits` counts stored values that do not fit."),
    (status = 400, description = "`bad_body`, `bad_schema`", content_type = "application/problem+json"),
    (status = 415, description = "The body is not `application/json`.", content_type = "application/problem+json"),
    (status = 429, description = "`planning`: one is being made.", content_type = "application/problem+json"),
    (status = 503, description = "`plan_failed`: the table cannot be read.", content_type = "application/problem+json"),
))]
pub(crate) async fn plan(
    State(reads): State<Reads>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = json_body(&headers, body, PLAN_BODY).await?;
    let document =
        String::from_utf8(body.to_vec()).map_err(|_| bad_body("the body is not UTF-8", PLAN_BODY))?;
    Ok(Json(reads.backend.plan(&name, document).await?).into_response())
}

impl From<PlanRefused> for Problem {
    fn from(refused: PlanRefused) -> Problem {
        match refused {
            PlanRefused::Document(fault) => Problem::new(
                StatusCode::BAD_REQUEST,
                "bad_schema",
                fault,
                "headwater check tells every fault",
            ),
            PlanRefused::Busy => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "planning",
                "another plan is being made",
                "ask again when it is done",
            )
            .retry_after(1),
            PlanRefused::Failed(why) => {
                let hint = "headwater verify and headwater doctor say what is wrong with a table";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "plan_failed", why, hint).retry_after(1)
            }
        }
    }
}
