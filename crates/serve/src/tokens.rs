//! `POST /v1/tokens/reveal`: what tokens stand for, for those who may and say why.
//! Always: the number of tokens and the length of each text are bounded; an answer is stored by no cache. Neither reveals nor
//! writes the record of it: the backend does.

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use hw_event::Principal;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{
    Problem, RevealAsked, RevealRefused, TokenRevealed,
    json_body::{bad_body, json_body},
    sql::Reads,
};

const TOKENS_MAX: usize = 100;
const TOKEN_CHARS_MAX: usize = 256;
const DOMAIN_CHARS_MAX: usize = 255;
const REASON_CHARS_MAX: usize = 1000;
const REVEAL_BODY: &str =
    "the body is {\"domain\":\"name\",\"tokens\":[\"tok_…\"],\"reason\":\"ticket 4711: the customer asked\"}";

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reveal {
    /// The tokens' domain: `x-token-domain`, else the field's name.
    domain: String,
    /// At most 100.
    tokens: Vec<String>,
    /// Why; it is kept in the audit record.
    reason: String,
}

#[utoipa::path(post, path = "/v1/tokens/reveal", tag = "operating", request_body = Reveal, responses(
    (status = 200, description = "`{\"domain\",\"tokens\":[{\"token\",\"state\",\"value\"}]}` in the order of the request. `state` is `revealed` (then there is a `value`), `unknown`, `erased` (the subject's key was destroyed) or `damaged`."),
    (status = 400, description = "`bad_body`", content_type = "application/problem+json"),
    (status = 403, description = "`reveal_not_allowed`: `privacy.reveal` is not set. The attempt is in the audit record.", content_type = "application/problem+json"),
    (status = 415, description = "The body is not `application/json`.", content_type = "application/problem+json"),
    (status = 503, description = "`reveal_failed`: the vault cannot be read, or the audit record cannot be written.", content_type = "application/problem+json"),
))]
pub(crate) async fn reveal(
    State(reads): State<Reads>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = json_body(&headers, body, REVEAL_BODY).await?;
    // The parser's message could quote what somebody took for a token.
    let asked: Reveal = serde_json::from_slice(&body).map_err(|fault| {
        bad_body(&format!("the body cannot be read at column {}", fault.column()), REVEAL_BODY)
    })?;
    check(&asked).map_err(|what| bad_body(&what, REVEAL_BODY))?;
    let Reveal { domain, tokens, reason } = asked;
    let asked = RevealAsked { principal: Principal::local(), domain: domain.clone(), tokens, reason };
    let revealed = reads.backend.reveal(asked).await?;
    let tokens: Vec<Value> = revealed.into_iter().map(shown).collect();
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, Json(json!({ "domain": domain, "tokens": tokens }))).into_response())
}

fn check(asked: &Reveal) -> Result<(), String> {
    let within = |text: &str, max: usize| !text.trim().is_empty() && text.chars().count() <= max;
    if !(1..=TOKENS_MAX).contains(&asked.tokens.len()) {
        return Err(format!("1 to {TOKENS_MAX} tokens can be revealed at a time"));
    }
    if !asked.tokens.iter().all(|token| within(token, TOKEN_CHARS_MAX)) {
        return Err(format!("a token has 1 to {TOKEN_CHARS_MAX} characters"));
    }
    if !within(&asked.domain, DOMAIN_CHARS_MAX) {
        return Err(format!("a domain has 1 to {DOMAIN_CHARS_MAX} characters"));
    }
    if !within(&asked.reason, REASON_CHARS_MAX) {
        return Err(format!("a reason has 1 to {REASON_CHARS_MAX} characters"));
    }
    Ok(())
}

fn shown(revealed: TokenRevealed) -> Value {
    let mut shown = Map::new();
    shown.insert("token".into(), revealed.token.into());
    shown.insert("state".into(), revealed.state.into());
    if let Some(value) = revealed.value {
        shown.insert("value".into(), value.into());
    }
    Value::Object(shown)
}

impl From<RevealRefused> for Problem {
    fn from(refused: RevealRefused) -> Problem {
        match refused {
            RevealRefused::NotAllowed => Problem::new(
                StatusCode::FORBIDDEN,
                "reveal_not_allowed",
                "nobody may reveal tokens here; the attempt was written down",
                "set reveal = true under [privacy] in headwater.toml and start again, to allow it to whoever reaches this server",
            ),
            RevealRefused::Failed(why) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "reveal_failed",
                why,
                "no value was given; headwater doctor says more",
            )
            .retry_after(1),
        }
    }
}
