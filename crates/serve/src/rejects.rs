//! `POST /v1/rejects/{fix,replay,discard}` and the jobs they begin.
//! Always: an order is checked as a whole before a job begins; the answer says the job's number, and the job says the rest.
//! Never quotes an event.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hw_event::{Principal, RejectCode, Timestamp};
use hw_gate::doors::replay::{Correction, NotStarted, Order, Replays, Report, Selection, Task};
use hw_query::check_embeddable;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{
    Problem,
    json_body::{bad_body, json_body},
    sql::Reads,
};

const ORDER_BODY: &str =
    "the body is {\"stream\":\"orders\",\"dry_run\":true}; a fix also has set, patch, merge or expr";
const REASON_BYTES_MAX: usize = 1000;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repair {
    /// Whose rejects.
    #[schema(example = "orders")]
    stream: String,
    /// Only those of this code.
    code: Option<String>,
    /// Only those for which this SQL condition on the columns of `rejects` holds.
    #[serde(rename = "where")]
    condition: Option<String>,
    /// Only those received at or after this time, RFC 3339.
    from: Option<String>,
    /// Only those received before this time.
    to: Option<String>,
    /// At most so many.
    limit: Option<u64>,
    /// Say what would happen, and write nothing.
    #[serde(default)]
    dry_run: bool,
    /// Why. `discard` wants one.
    reason: Option<String>,
    /// `fix`: values by JSON pointer.
    #[schema(value_type = Option<Object>)]
    set: Option<Map<String, Value>>,
    /// `fix`: a JSON Patch (RFC 6902).
    #[schema(value_type = Option<Vec<Object>>)]
    patch: Option<Value>,
    /// `fix`: a JSON Merge Patch (RFC 7396).
    #[schema(value_type = Option<Object>)]
    merge: Option<Value>,
    /// `fix`: an SQL expression over `event`, the event as text (of a payload its JSON); its value is the corrected event.
    expr: Option<String>,
}

#[utoipa::path(post, path = "/v1/rejects/{task}", tag = "operating", request_body = Repair,
    params(("task" = String, Path, description = "`fix`: correct and judge again; `replay`: judge again as they came; `discard`: give them up.")),
    responses(
    (status = 202, description = "A job has begun: its report, as `GET /v1/jobs/{job}` gives it."),
    (status = 400, description = "`bad_body`, `bad_correction`, `bad_condition`, `sql_text`", content_type = "application/problem+json"),
    (status = 404, description = "`no_stream`", content_type = "application/problem+json"),
    (status = 409, description = "`job_running`: the stream has one; `no_schema`: there is nothing to judge by.", content_type = "application/problem+json"),
    (status = 415, description = "The body is not `application/json`.", content_type = "application/problem+json"),
    (status = 429, description = "`busy`: as many jobs run as may.", content_type = "application/problem+json"),
))]
pub(crate) async fn begin(
    State(reads): State<Reads>,
    Path(task): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let replays = replays(&reads)?;
    if !matches!(task.as_str(), "fix" | "replay" | "discard") {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is nothing at this path",
            "rejects are for /v1/rejects/fix, replay or discard",
        ));
    }
    let body = json_body(&headers, body, ORDER_BODY).await?;
    let repair: Repair =
        serde_json::from_slice(&body).map_err(|fault| bad_body(&fault.to_string(), ORDER_BODY))?;
    let job = replays.start(order(&task, repair)?)?;
    let report = replays.report(job).ok_or_else(no_job)?;
    let mut response = (StatusCode::ACCEPTED, Json(report)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/jobs/{job}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

#[utoipa::path(get, path = "/v1/jobs", tag = "operating", responses(
    (status = 200, description = "`{\"jobs\":[…]}`: the jobs since the start, the oldest first; the last 64."),
))]
pub(crate) async fn jobs(State(reads): State<Reads>) -> Result<Response, Problem> {
    Ok(fresh(json!({ "jobs": replays(&reads)?.reports() })))
}

#[utoipa::path(get, path = "/v1/jobs/{job}", tag = "operating", params(("job" = u64, Path)), responses(
    (status = 200, description = "`{\"job\",\"task\",\"stream\",\"dry_run\",\"state\",\"selected\",\"done\",\"passed\",\"failed\",\"payload_gone\",\"not_corrected\",\"exhausted\",\"before\":{code:n},\"after\":{code:n},\"waiting\",\"error\"}`; `state` is running, done, failed or cancelled."),
    (status = 404, description = "`no_job`", content_type = "application/problem+json"),
))]
pub(crate) async fn job(State(reads): State<Reads>, Path(job): Path<String>) -> Result<Response, Problem> {
    let replays = replays(&reads)?;
    let report: Report = replays.report(number(&job)?).ok_or_else(no_job)?;
    Ok(fresh(report))
}

#[utoipa::path(delete, path = "/v1/jobs/{job}", tag = "operating", params(("job" = u64, Path)), responses(
    (status = 202, description = "It ends behind the append it waits for; what came back stays."),
    (status = 404, description = "`no_job`", content_type = "application/problem+json"),
))]
pub(crate) async fn cancel(State(reads): State<Reads>, Path(job): Path<String>) -> Result<Response, Problem> {
    let replays = replays(&reads)?;
    let job = number(&job)?;
    if !replays.cancel(job) {
        return Err(no_job());
    }
    let report = replays.report(job).ok_or_else(no_job)?;
    Ok((StatusCode::ACCEPTED, Json(report)).into_response())
}

/// What is no number is the number of no job.
fn number(job: &str) -> Result<u64, Problem> {
    job.parse().map_err(|_| no_job())
}

fn fresh(value: impl serde::Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(value)).into_response()
}

fn replays(reads: &Reads) -> Result<&Replays, Problem> {
    reads.backend.replays().ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "starting",
            "rejects cannot be repaired just now",
            "try again in a moment",
        )
        .retry_after(1)
    })
}

fn no_job() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_job",
        "there is no such job",
        "jobs are forgotten when the server stops; the same command again goes on where it stood",
    )
}

fn order(task: &str, repair: Repair) -> Result<Order, Problem> {
    let Repair { stream, code, condition, from, to, limit, dry_run, reason, set, patch, merge, expr } =
        repair;
    let bad = |code: &'static str, detail: String, hint: &'static str| {
        Problem::new(StatusCode::BAD_REQUEST, code, detail, hint)
    };
    let stream = stream.parse().map_err(|_| NotStarted::Unknown)?;
    let code = code
        .map(|code| {
            code.parse::<RejectCode>().map_err(|_| {
                bad(
                    "bad_body",
                    "code is no code of a reject".to_owned(),
                    "headwater rejects list --by code shows them",
                )
            })
        })
        .transpose()?;
    for text in [&condition, &expr].into_iter().flatten() {
        check_embeddable(text)?;
    }
    let moment = |name: &str, text: Option<String>| {
        text.map(|text| {
            let moment = text.parse::<jiff::Timestamp>().map_err(|_| {
                bad("bad_body", format!("{name} is no time"), "for example 2026-11-21T20:00:00Z")
            })?;
            Ok::<_, Problem>(Timestamp(moment.as_microsecond()))
        })
        .transpose()
    };
    if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return Err(bad(
            "bad_body",
            format!("the reason is over {REASON_BYTES_MAX} bytes"),
            "make it shorter",
        ));
    }
    if task == "discard" && reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(bad("bad_body", "discard wants a reason".to_owned(), "say why they are given up"));
    }
    let given = [set.is_some(), patch.is_some(), merge.is_some(), expr.is_some()];
    let given = given.into_iter().filter(|given| *given).count();
    let wanted = usize::from(task == "fix");
    if given != wanted {
        let hint = "fix takes one of set, patch, merge and expr; replay and discard take none";
        return Err(bad("bad_correction", format!("there are {given} corrections"), hint));
    }
    let correction = if let Some(set) = set {
        if let Some(pointer) = set.keys().find(|pointer| !pointer.starts_with('/')) {
            let shown: String = pointer.chars().take(80).collect();
            return Err(bad("bad_correction", format!("{shown:?} is no JSON pointer"), "for example /value"));
        }
        Some(Correction::Set(set.into_iter().collect()))
    } else if let Some(patch) = patch {
        let patch = serde_json::from_value(patch).map_err(|fault| {
            bad(
                "bad_correction",
                format!("it is no JSON Patch: {fault}"),
                "see RFC 6902; a merge patch goes in merge",
            )
        })?;
        Some(Correction::Patch(patch))
    } else {
        merge.map(Correction::Merge).or(expr.map(Correction::Expression))
    };
    let task = match (task, correction) {
        (_, Some(correction)) => Task::Fix(correction),
        ("discard", None) => Task::Discard,
        (_, None) => Task::Replay,
    };
    let (from, to) = (moment("from", from)?, moment("to", to)?);
    Ok(Order {
        task,
        selection: Selection { stream, code, condition, from, to, limit },
        dry_run,
        reason: reason.map(Arc::from),
        principal: Principal::local(),
        gentle: false,
    })
}

impl From<NotStarted> for Problem {
    fn from(refused: NotStarted) -> Problem {
        match refused {
            NotStarted::Running(job) => Problem::new(
                StatusCode::CONFLICT,
                "job_running",
                format!("job {job} works on the rejects of this stream"),
                "one runs at a time: wait for it (GET /v1/jobs/N) or cancel it (DELETE /v1/jobs/N)",
            ),
            NotStarted::TooMany => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "busy",
                "as many jobs run as may at one time",
                "wait until one has ended",
            )
            .retry_after(5),
            NotStarted::Unknown => Problem::new(
                StatusCode::NOT_FOUND,
                "no_stream",
                "there is no stream of this name",
                "headwater rejects list --by code names the streams that have rejects",
            ),
            NotStarted::NoSchema => Problem::new(
                StatusCode::CONFLICT,
                "no_schema",
                "no schema is declared under this name, so nothing can be judged",
                "add schemas/NAME.json to the project and start the server again: its rejects then come back by themselves",
            ),
            NotStarted::Stopping => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "the server is stopping",
                "send the same request again when the server is back",
            )
            .retry_after(1),
        }
    }
}
