//! The doors out: what is read over HTTP, the orders for jobs, the guard in front of everything, and the listener that carries it.
//! Always: a browser's page is a stranger even on loopback; every answer that is no data is a problem document with a
//! code and a hint; nothing is computed here, the runner and the backend do that. Does not know the ingest door:
//! the binary merges its routes with these.

mod accept;
mod backend;
mod backup;
mod erasures;
mod events;
mod guard;
mod health;
mod json_body;
mod links;
mod listen;
mod openapi;
mod outgoing;
mod plan;
mod problem;
mod rejects;
mod sql;
mod streams;
mod tokens;
mod verify;
mod wire;

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{delete, get, post},
};
use http::StatusCode;
use tower_http::catch_panic::CatchPanicLayer;

pub use backend::{
    Backend, BackupRefused, CutFailed, PlanRefused, RevealAsked, RevealRefused, TokenRevealed, VERSIONS_MAX,
    VerifyRefused,
};
pub use erasures::{EraseRefused, EraseRequest, Erasures};
pub use guard::Guard;
pub use listen::{ListenSettings, listen, listen_with};
pub use problem::Problem;

/// The routes of reading. Put the guard around the whole router, after all routes are merged.
pub fn router(backend: Arc<dyn Backend>) -> Router {
    let reads = sql::Reads::new(backend);
    Router::new()
        .route("/", get(links::links))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .route("/v1/sql", post(sql::sql))
        .route("/v1/status", get(verify::status))
        .route("/v1/verify", post(verify::verify))
        .route("/v1/backups", post(backup::backup))
        .route("/v1/backups/{id}", delete(backup::end))
        .route("/v1/erasures", get(erasures::list).post(erasures::erase))
        .route("/v1/erasures/{id}", get(erasures::get))
        .route("/v1/rejects/{task}", post(rejects::begin))
        .route("/v1/jobs", get(rejects::jobs))
        .route("/v1/jobs/{job}", get(rejects::job).delete(rejects::cancel))
        .route("/v1/tokens/reveal", post(tokens::reveal))
        .route("/v1/ledger", get(streams::ledger))
        .route("/v1/streams", get(streams::streams))
        .route("/v1/streams/{stream}", get(streams::stream))
        .route("/v1/streams/{stream}/versions", get(streams::versions))
        .route("/v1/streams/{stream}/plan", post(plan::plan))
        .route("/v1/streams/{stream}/events", get(events::events))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(reads)
}

/// What stands around all routes, merged from every door: strangers are turned away, unknown paths are told, and a panic
/// is one answer.
pub fn around(routes: Router, guard: Guard) -> Router {
    routes
        .fallback(not_found)
        .layer(CatchPanicLayer::custom(|_| axum::response::IntoResponse::into_response(problem::panicked())))
        .layer(middleware::from_fn_with_state(guard, Guard::check))
}

/// For paths that no door has.
async fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing at this path",
        "see /openapi.json for the paths there are",
    )
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path does not take this method",
        "see /openapi.json for the methods of each path",
    )
}
