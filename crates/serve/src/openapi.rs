//! `/openapi.json`: the whole HTTP surface as one document.
//! Always: the reading side is taken from the handlers; ingest, which another crate serves, is the document
//! `ingest.json`. A test asks every path of it.

use std::sync::LazyLock;

use axum::response::IntoResponse;
use http::header;
use serde_json::Value;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Headwater",
        description = "Event data: send events, read them, ask SQL. Errors are RFC 9457 problem documents with `code` and `hint`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        crate::sql::sql,
        crate::streams::streams,
        crate::streams::stream,
        crate::streams::versions,
        crate::plan::plan,
        crate::events::events,
        crate::streams::ledger,
        crate::tokens::reveal,
        crate::verify::verify,
        crate::verify::status,
        crate::backup::backup,
        crate::backup::end,
        crate::erasures::erase,
        crate::erasures::list,
        crate::erasures::get,
        crate::rejects::begin,
        crate::rejects::jobs,
        crate::rejects::job,
        crate::rejects::cancel,
        crate::health::livez,
        crate::health::readyz,
        crate::health::metrics,
    ),
    components(schemas(
        crate::sql::Ask,
        crate::verify::Names,
        crate::erasures::Erase,
        crate::rejects::Repair,
        crate::tokens::Reveal
    ))
)]
struct Reading;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    // Both documents are constants that the tests read.
    let mut document = serde_json::to_value(Reading::openapi()).unwrap_or_default();
    let ingest: Value = serde_json::from_str(include_str!("ingest.json")).unwrap_or_default();
    for part in ["paths", "components"] {
        merge(&mut document[part], &ingest[part]);
    }
    document.to_string()
});

/// Members of `more` join those of `into`, objects level by level.
fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name.as_str()).or_insert(Value::Null), value);
            }
        }
        (into @ Value::Null, more) => *into = more.clone(),
        _ => {}
    }
}

pub(crate) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_are_in_the_document() {
        let document: Value = serde_json::from_str(&DOCUMENT).unwrap();
        for (path, method) in [
            ("/v1/sql", "post"),
            ("/v1/streams", "get"),
            ("/v1/streams/{stream}", "get"),
            ("/v1/streams/{stream}/events", "get"),
            ("/v1/streams/{stream}/events", "post"),
            ("/v1/ledger", "get"),
            ("/v1/verify", "post"),
            ("/v1/status", "get"),
            ("/v1/erasures", "post"),
            ("/v1/erasures", "get"),
            ("/v1/erasures/{id}", "get"),
            ("/v1/rejects/{task}", "post"),
            ("/v1/jobs", "get"),
            ("/v1/jobs/{job}", "get"),
            ("/v1/jobs/{job}", "delete"),
            ("/v1/tokens/reveal", "post"),
            ("/v1/streams/{stream}/plan", "post"),
            ("/livez", "get"),
            ("/readyz", "get"),
            ("/metrics", "get"),
        ] {
            assert!(document["paths"][path][method].is_object(), "{method} {path}");
        }
        assert!(document["components"]["schemas"]["Receipt"].is_object());
    }
}
