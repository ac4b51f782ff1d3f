//! The HTTP door: `POST /v1/streams/{stream}/events`: NDJSON, JSON, CloudEvents, payloads in a schema's notation.
//! Always: a request is applied after its last byte, as a whole; half a request stores nothing.
//! Answers only about the events it was sent; SQL and reads are another crate's.

mod body;
pub(crate) mod cloudevents;
mod payload;
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
use hw_schema::PayloadForm;
use serde::Serialize;

use self::{payload::Reading, problem::Problem};
use crate::{Framing, Gate, Identity, ProducerSequence, Receipt, Refusal, Submission, doors::framing};

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
    CloudEvents(cloudevents::Mode),
    /// In the notation of the stream's schema.
    Payload {
        form: PayloadForm,
        /// It is the data of a CloudEvent.
        is_data: bool,
    },
}

/// A body above this size is taken apart on a thread of its own, where that is work.
const OPEN_INLINE_BYTES_MAX: usize = 128 * 1024;

impl Door {
    async fn ingest(&self, stream: String, request: Request) -> Result<Receipt, Problem> {
        let (parts, body): (_, Body) = request.into_parts();
        let ack = ack(parts.uri.query(), self.settings.ack)?;
        let content = content(&parts.headers)?;
        let reading = match content {
            Content::Payload { form, .. } => payload::reading(&self.gate, &stream, form)?,
            _ => Reading::Nothing,
        };
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
        let too_many = Refusal::TooManyEvents { events_max };
        let (held, events, framing) = match content {
            Content::Ndjson => {
                let events = framing::ndjson(&held.bytes, events_max).ok_or(too_many)?;
                (held, events, Framing::Json)
            }
            Content::Json => {
                let events = framing::json(&held.bytes, events_max).ok_or(too_many)?;
                (held, events, Framing::Json)
            }
            Content::CloudEvents(mode) => {
                let opened = self.open(mode, parts.headers, held, events_max).await?;
                (opened.held, opened.events, Framing::CloudEvents(Arc::new(opened.attributes)))
            }
            Content::Payload { is_data: true, .. } => {
                let opened = self.open(cloudevents::Mode::Binary, parts.headers, held, events_max).await?;
                let attributes = Arc::new(opened.attributes);
                let framing = match reading {
                    Reading::Now(reader) => Framing::Payload(reader, Some(attributes)),
                    Reading::Later(form) => Framing::Unread(form, Some(attributes)),
                    Reading::Nothing => Framing::CloudEvents(attributes),
                };
                (opened.held, opened.events, framing)
            }
            Content::Payload { is_data: false, .. } => {
                let cut = self.cut(reading, held, events_max).await?;
                (cut.held, cut.events, cut.framing)
            }
        };
        let submission = Submission {
            stream,
            door: self.name.clone(),
            principal: Principal::local(),
            request_id: Some(request_id.map_or_else(|| self.new_request_id(), Into::into)),
            body: held.bytes,
            framing,
            events,
            identity,
            ack,
            may_refuse: true,
            permit: Some(held.permit),
        };
        Ok(self.gate.submit(submission).await?)
    }

    async fn open(
        &self,
        mode: cloudevents::Mode,
        headers: HeaderMap,
        held: body::Held,
        events_max: usize,
    ) -> Result<cloudevents::Opened, Problem> {
        if held.bytes.len() <= OPEN_INLINE_BYTES_MAX {
            return cloudevents::open(&self.gate, mode, &headers, held, events_max);
        }
        let gate = self.gate.clone();
        let open = move || cloudevents::open(&gate, mode, &headers, held, events_max);
        tokio::task::spawn_blocking(open).await.map_err(|error| {
            tracing::error!(%error, "a body could not be taken apart");
            Refusal::Internal
        })?
    }

    async fn cut(
        &self,
        reading: Reading,
        held: body::Held,
        events_max: usize,
    ) -> Result<payload::Cut, Problem> {
        let bytes_max = self.settings.body_bytes;
        if held.bytes.len() <= OPEN_INLINE_BYTES_MAX {
            return payload::cut(&self.gate, reading, held, bytes_max, events_max);
        }
        let gate = self.gate.clone();
        let cut = move || payload::cut(&gate, reading, held, bytes_max, events_max);
        tokio::task::spawn_blocking(cut).await.map_err(|error| {
            tracing::error!(%error, "a body could not be taken apart");
            Refusal::Internal
        })?
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
    let binary = headers.contains_key("ce-specversion");
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(if binary { Content::CloudEvents(cloudevents::Mode::Binary) } else { Content::Json });
    };
    let value = value.to_str().unwrap_or("");
    let media = value.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if let Some(form) = payload::form(&media, value)? {
        // The data of a CloudEvent is one event, and so one value.
        let form = match form {
            PayloadForm::AvroFile if binary => PayloadForm::AvroDatum,
            PayloadForm::Protobuf { delimited: true } if binary => {
                return unsupported(
                    "the data of a CloudEvent is one message, and delimited=true says that there may be several",
                    "leave delimited=true out, or send the messages without ce- headers",
                );
            }
            form => form,
        };
        return Ok(Content::Payload { form, is_data: binary });
    }
    match media.as_str() {
        "application/cloudevents+json" => Ok(Content::CloudEvents(cloudevents::Mode::Structured)),
        "application/cloudevents-batch+json" => Ok(Content::CloudEvents(cloudevents::Mode::Batch)),
        media if media.starts_with("application/cloudevents") => unsupported(
            "CloudEvents are read in JSON only",
            "use application/cloudevents+json, application/cloudevents-batch+json, or ce- headers",
        ),
        // What else is said of the type counts no more once headers say that this is one event's data.
        media if binary => match media {
            // As for JSON: what curl and Python's urllib say of their own accord.
            "" | "application/json" | "application/x-www-form-urlencoded" => {
                Ok(Content::CloudEvents(cloudevents::Mode::Binary))
            }
            _ if media.ends_with("+json") => Ok(Content::CloudEvents(cloudevents::Mode::Binary)),
            _ => unsupported(
                "the data of a CloudEvent must be JSON, or in the notation of the stream's schema",
                "with ce-specversion, Content-Type says what the data is: application/json, or a type ending in +json",
            ),
        },
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Content::Ndjson),
        // curl's default for --data: nobody means a form by it here.
        "" | "application/json" | "application/x-www-form-urlencoded" => Ok(Content::Json),
        _ => unsupported(
            "the Content-Type is not understood",
            "use application/x-ndjson for one event a line, application/json, one of the two types of CloudEvents, or \
             the payload of the stream's schema: application/avro, avro/binary, application/x-capnp, application/protobuf",
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
        (None, Some(id), Some(epoch), Some(first)) => match (number::<i32>(&epoch), number::<i64>(&first)) {
            (Some(epoch), Some(first)) if first <= SEQUENCE_MAX => {
                Ok(Identity::Producer(ProducerSequence { id, epoch, first }))
            }
            _ => bad("the producer's epoch or sequence is not a number in range", numbered),
        },
        _ => bad("a producer's headers are incomplete", numbered),
    }
}

/// Digits and nothing else: no sign, no space.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
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
