//! `GET /v1/streams[/{s}]`, `GET /v1/streams/{s}/versions` and `GET /v1/ledger`: the system tables without SQL.

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
};
use futures::TryStreamExt;
use http::{HeaderMap, StatusCode};
use hw_query::render::{self, Format};
use serde_json::{Value, json};

use crate::{Problem, accept::accepted, sql::Reads};

#[utoipa::path(get, path = "/v1/streams", tag = "read", responses(
    (status = 200, description = "`{\"streams\":[…]}`, each with the columns of the table `streams`."),
))]
pub(crate) async fn streams(State(reads): State<Reads>) -> Result<Response, Problem> {
    let rows = objects(&reads, "SELECT * FROM streams ORDER BY stream").await?;
    Ok(Json(json!({ "streams": rows })).into_response())
}

#[utoipa::path(get, path = "/v1/streams/{stream}", tag = "read", params(("stream" = String, Path)), responses(
    (status = 200, description = "The stream's row of the table `streams`, and `document`: its current schema."),
    (status = 404, description = "`no_stream`", content_type = "application/problem+json"),
))]
pub(crate) async fn stream(
    State(reads): State<Reads>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let stream = reads.backend.registry().by_name(&name).filter(|stream| stream.declared);
    let schema = stream.as_ref().and_then(|stream| stream.current());
    let (Some(stream), Some((_, schema))) = (&stream, schema) else { return Err(no_stream()) };
    let name = literal(stream.name.as_str());
    let rows = objects(&reads, &format!("SELECT * FROM streams WHERE stream = {name}")).await?;
    let Some(Value::Object(mut row)) = rows.into_iter().next() else { return Err(no_stream()) };
    // A registered document is JSON; if it were not, its text would still be shown.
    let document = serde_json::from_str(schema.document()).unwrap_or_else(|_| json!(schema.document()));
    row.insert("document".to_owned(), document);
    Ok(Json(row).into_response())
}

#[utoipa::path(get, path = "/v1/streams/{stream}/versions", tag = "read", params(("stream" = String, Path, description = "A stream, or `rejects` or `ledger`.")), responses(
    (status = 200, description = "`{\"versions\":[{\"version\",\"at\",\"operation\",\"files\",\"rows\",\"bytes\",\"readable\"}]}` of the stream's table, the newest first, at most 1,000. `readable`: `VERSION AS OF` can read it in SQL."),
    (status = 404, description = "`no_stream`", content_type = "application/problem+json"),
    (status = 503, description = "`no_cut`: the table's log cannot be read.", content_type = "application/problem+json"),
))]
pub(crate) async fn versions(
    State(reads): State<Reads>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let versions = reads.backend.versions(&name).await?.ok_or_else(no_stream)?;
    Ok(Json(json!({ "versions": versions })).into_response())
}

#[utoipa::path(get, path = "/v1/ledger", tag = "read", params(("stream" = Option<String>, Query, description = "Only this stream.")), responses(
    (status = 200, description = "The rows of the table `ledger`, in the formats of `/v1/sql`.", content((String = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))),
    (status = 406, description = "No media type in `Accept` can be made.", content_type = "application/problem+json"),
))]
pub(crate) async fn ledger(
    State(reads): State<Reads>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let format = accepted(&headers)?;
    let mut only = String::new();
    for (name, value) in parameters(query.as_deref())? {
        match name.as_str() {
            "stream" => only = format!("WHERE stream = {}", literal(&value)),
            _ => return Err(unknown_parameter(&name, "stream")),
        }
    }
    let answer = reads.run(&format!("SELECT * FROM ledger {only} ORDER BY minute, stream, door")).await?;
    reads.respond(answer, format).await
}

/// All rows of a small table, each an object.
async fn objects(reads: &Reads, statement: &str) -> Result<Vec<Value>, Problem> {
    let answer = reads.run(statement).await?;
    let mut lines = Vec::new();
    let mut pieces = std::pin::pin!(render::pieces(answer, Format::Ndjson));
    while let Some(piece) = pieces.try_next().await? {
        lines.extend_from_slice(&piece);
    }
    let rows = serde_json::Deserializer::from_slice(&lines).into_iter().collect::<Result<_, _>>();
    rows.map_err(|fault| hw_query::QueryError::Internal(fault.to_string()).into())
}

pub(crate) fn no_stream() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_stream",
        "there is no stream of this name",
        "GET /v1/streams lists the streams; a stream is declared by its schema file",
    )
}

/// A text of SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The parameters of a query string, each at most once.
pub(crate) fn parameters(query: Option<&str>) -> Result<Vec<(String, String)>, Problem> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text)
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| bad_parameter("a parameter is not UTF-8".to_owned()))
    };
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if parameters.iter().any(|(known, _)| *known == name) {
            return Err(bad_parameter(format!("the parameter {name:?} stands twice")));
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

pub(crate) fn bad_parameter(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_parameter", detail, "see /openapi.json for the parameters")
}

pub(crate) fn unknown_parameter(name: &str, known: &str) -> Problem {
    let name: String = name.chars().take(40).collect();
    bad_parameter(format!("unknown parameter {name:?}: known is {known}"))
}
