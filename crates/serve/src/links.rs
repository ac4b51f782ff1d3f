//! The page at `/`, until the console exists.

use axum::response::{Html, IntoResponse};
use http::header;

const PAGE: &str = "<!doctype html>
<html lang=en>
<meta charset=utf-8>
<title>Headwater</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:3em auto;max-width:40em;padding:0 1em}code{background:#eee;padding:0 .2em}</style>
<h1>Headwater</h1>
<ul>
<li><a href=/v1/streams>Streams</a>
<li><a href=/v1/ledger>Ledger</a>: what came, what was stored, what was refused
<li><code>POST /v1/sql</code> with <code>{\"sql\":\"SELECT * FROM streams\"}</code>, or <code>headwater sql</code>
<li><code>POST /v1/streams/{stream}/events</code>, or <code>headwater send</code>
<li><a href=/openapi.json>OpenAPI</a>
<li><a href=/readyz>Ready</a>, <a href=/livez>alive</a>, <a href=/metrics>metrics</a>
</ul>
";

/// The page has no scripts and may load nothing.
pub(crate) async fn links() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], Html(PAGE))
}
