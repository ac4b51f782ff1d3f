//! The HTTP door: `POST /v1/streams/{stream}/events`.
//! Always: a request is applied after its last byte, as a whole; half a request stores nothing.
//! Answers only about the events it was sent; SQL and reads are another crate's.

mod body;
mod framing;
mod problem;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderMap, StatusCode, header};
use hw_event::{Ack, Principal};
use serde::Serialize;

use self::problem::Problem;
use crate::{Framing, Gate, Identity, ProducerSequence, Receipt, Refusal, Submission};

pub const DOOR: &str = "http";
/// Of `Idempotency-Key`, `Producer-Id` and `X-Request-Id`, in bytes.
const HEADER_TEXT_MAX: usize = 256;

/// So that no request's last sequence overflows.
const SEQUENCE_MAX: i64 = i64::MAX - u32::MAX as i64;

#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub body_bytes: usize,
    pub request_time: Duration,
    /// For requests that do not ask for a level.
    pub ack: Ack,
}

#[derive(Clone)]
struct Door {
    gate: Gate,
    settings: Arc<HttpSettings>,
    name: Arc<str>,
}

/// The door's routes. Who may come near (Host, Origin, connections) is decided around them.
pub fn router(gate: Gate, settings: HttpSettings) -> Router {
    Router::new().route("/v1/streams/{stream}/events", post(ingest)).with_state(Door {
        gate,
        settings: Arc::new(settings),
        name: DOOR.into(),
    })
}

async fn ingest(State(door): State<Door>, Path(stream): Path<String>, request: Request) -> Response {
    match door.ingest(stream, request).await {
        Ok(receipt) => answer(receipt),
        Err(problem) => problem.into_response(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Ndjson,
    Json,
}

impl Door {
    async fn ingest(&self, stream: String, request: Request) -> Result<Receipt, Problem> {
        let (parts, body): (_, Body) = request.into_parts();
        let ack = ack(parts.uri.query(), self.settings.ack)?;
        let content = content(&parts.headers)?;
        let identity = identity(&parts.headers)?;
        let request_id = text_header(&parts.headers, "x-request-id")?;
        let held = body::read(
            &self.gate,
            &parts.headers,
            body,
            self.settings.body_bytes,
            self.settings.request_time,
        )
        .await?;
        let events_max = self.gate.events_max(&stream);
        let events = match content {
            Content::Ndjson => framing::ndjson(&held.bytes, events_max),
            Content::Json => framing::json(&held.bytes, events_max),
        };
        let events = events.ok_or(Refusal::TooManyEvents { events_max })?;
        let submission = Submission {
            stream,
            door: self.name.clone(),
            principal: Principal::local(),
            request_id: Some(request_id.map_or_else(|| self.new_request_id(), Into::into)),
            body: held.bytes,
            framing: Framing::Json,
            events,
            identity,
            ack,
            may_refuse: true,
            permit: Some(held.permit),
        };
        Ok(self.gate.submit(submission).await?)
    }

    fn new_request_id(&self) -> Arc<str> {
        let mut bytes = [0; 8];
        self.gate.entropy().fill(&mut bytes);
        format!("{:016x}", u64::from_be_bytes(bytes)).into()
    }
}

fn ack(query: Option<&str>, default: Ack) -> Result<Ack, Problem> {
    let mut ack = None;
    for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        let parsed = match pair.split_once('=') {
            Some(("ack", _)) if ack.is_some() => Err("ack is given twice".to_owned()),
            Some(("ack", level)) => level.parse::<Ack>().map_err(|error| error.to_string()),
            _ => Err("the only parameter is ack=disk|os|memory".to_owned()),
        };
        ack = Some(parsed.map_err(|detail| {
            Problem::new(StatusCode::BAD_REQUEST, "bad_parameter", detail, "for example ?ack=os")
        })?);
    }
    Ok(ack.unwrap_or(default))
}

/// What the content type says; bodies are never sniffed.
fn content(headers: &HeaderMap) -> Result<Content, Problem> {
    let unsupported = |detail: &str, hint: &str| {
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", detail, hint))
    };
    if headers.contains_key("ce-specversion") {
        return unsupported("CloudEvents are not built yet", "send the event's data as application/json");
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Content::Json) };
    let media = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match media.as_str() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Content::Ndjson),
        // curl's default for --data: nobody means a form by it here.
        "" | "application/json" | "application/x-www-form-urlencoded" => Ok(Content::Json),
        "application/cloudevents+json" | "application/cloudevents-batch+json" => {
            unsupported("CloudEvents are not built yet", "send the event's data as application/json")
        }
        _ => unsupported(
            "the Content-Type is not understood",
            "use application/x-ndjson for one event a line, or application/json",
        ),
    }
}

fn text_header(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Problem> {
    let bad = |detail: String| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad_header",
            detail,
            "send one value of 1 to 256 printable bytes",
        )
    };
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad(format!("{name} is given more than once")));
    }
    match value.to_str() {
        Ok(text) if (1..=HEADER_TEXT_MAX).contains(&text.len()) => Ok(Some(text.to_owned())),
        _ => Err(bad(format!("{name} is empty, too long or not printable"))),
    }
}

fn identity(headers: &HeaderMap) -> Result<Identity, Problem> {
    let key = text_header(headers, "idempotency-key")?;
    let producer = text_header(headers, "producer-id")?;
    let epoch = text_header(headers, "producer-epoch")?;
    let sequence = text_header(headers, "producer-sequence")?;
    let bad =
        |detail: &str, hint: &str| Err(Problem::new(StatusCode::BAD_REQUEST, "bad_header", detail, hint));
    let numbered = "Producer-Id needs Producer-Epoch (0 to 2147483647) and Producer-Sequence (0 or more)";
    match (key, producer, epoch, sequence) {
        // The key wins: it says more about the request than the sequence does.
        (Some(key), ..) => Ok(Identity::Key(key)),
        (None, None, None, None) => Ok(Identity::None),
        (None, Some(id), Some(epoch), Some(first)) => match (epoch.parse::<i32>(), first.parse::<i64>()) {
            (Ok(epoch), Ok(first)) if epoch >= 0 && (0..=SEQUENCE_MAX).contains(&first) => {
                Ok(Identity::Producer(ProducerSequence { id, epoch, first }))
            }
            _ => bad("the producer's epoch or sequence is not a number in range", numbered),
        },
        _ => bad("a producer's headers are incomplete", numbered),
    }
}

#[derive(Serialize)]
struct ReceiptBody {
    accepted: u64,
    rejected: u64,
    duplicates: u64,
    offsets: Vec<OffsetsBody>,
    errors: Vec<ErrorBody>,
    errors_left_out: u64,
    seq: u64,
}

#[derive(Serialize)]
struct OffsetsBody {
    partition: i32,
    base: i64,
    count: u32,
}

#[derive(Serialize)]
struct ErrorBody {
    index: u32,
    code: &'static str,
    path: String,
    message: String,
}

fn answer(receipt: Receipt) -> Response {
    let status = if receipt.undeclared {
        StatusCode::NOT_FOUND
    } else if receipt.accepted + receipt.duplicates > 0 {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let body = ReceiptBody {
        accepted: receipt.accepted,
        rejected: receipt.rejected,
        duplicates: receipt.duplicates,
        offsets: receipt
            .offsets
            .iter()
            .map(|range| OffsetsBody { partition: range.partition, base: range.base, count: range.count })
            .collect(),
        errors: receipt
            .errors
            .into_iter()
            .map(|error| ErrorBody {
                index: error.index,
                code: error.code.as_str(),
                path: error.path,
                message: error.message,
            })
            .collect(),
        errors_left_out: receipt.errors_left_out,
        seq: receipt.seq.0,
    };
    (status, Json(body)).into_response()
}
