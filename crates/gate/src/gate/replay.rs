//! Rejects that are judged again: what passes becomes rows with `_origin`, and what became of each reject is a row of the
//! platform's own stream `resolutions`.
//! Always: rows and resolutions of one call are one append, so that a reject comes back once, whatever dies; what fails again
//! stays the reject it was and never becomes another. Who calls makes sure that no reject is tried twice at one time: this
//! module does not know which ones are open.

use std::sync::Arc;

use arrow::array::StringArray;
use bytes::Bytes;
use hw_event::{Ack, Principal, RESOLUTIONS, SchemaNumber, StreamName, Timestamp};
use hw_schema::{
    DecodeLimits, Decoder, Format, KvFields, PayloadForm, PayloadReader, Record, Schema, Stream,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Gate, Inner};
use crate::{
    EventError, Framed, Framing, Identity, Refusal, Retried, Submission,
    judged::{Judged, JudgedIdentity, Standing},
    sequencer::{Answer, Queued},
};

/// The door's name in the ledger.
const DOOR: &str = "replay";
/// What a resolution keeps of a path, a message or a reason.
const TEXT_CHARS_MAX: usize = 1000;

/// A persisted format: columns are only added.
const SCHEMA: &str = r#"{
  "type": "object",
  "description": "What became of rejects; of several rows for one reject the last counts.",
  "properties": {
    "stream": {"type": "string"},
    "partition": {"type": "integer"},
    "offset": {"type": "integer"},
    "status": {"type": "string", "enum": ["open", "fixed", "replayed", "discarded"]},
    "attempt": {"type": "integer"},
    "code": {"type": ["string", "null"]},
    "path": {"type": ["string", "null"]},
    "message": {"type": ["string", "null"]},
    "principal": {"type": "string"},
    "reason": {"type": ["string", "null"]}
  },
  "required": ["stream", "partition", "offset", "status", "attempt", "principal"]
}"#;

/// A reject that is to be judged again.
#[derive(Debug, Clone)]
pub struct Retry {
    pub partition: i32,
    pub offset: i64,
    /// When it first came: its time, if it has none of its own.
    pub received_at: Timestamp,
    /// How it is written, as its door's records are or as a payload; neither: it is JSON.
    pub fields: Option<Arc<KvFields>>,
    pub written: Option<Written>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// As it came, or as a fix has made it.
    pub bytes: Bytes,
}

/// In which notation an event is written, and the version of the schema that it was first judged by. `None`: it came before
/// there was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub form: PayloadForm,
    pub schema: Option<SchemaNumber>,
}

impl Written {
    /// Reads such events as the stream's newest schema has them. `None`: that is written in another notation.
    pub(crate) fn reader(self, stream: &Stream) -> Option<PayloadReader> {
        let (_, newest) = stream.current()?;
        let older = match self.schema {
            Some(number) => stream.version(number)?,
            // Whoever sent it knew the first, if any.
            None => stream.versions.first()?,
        };
        newest.reader_of_older(self.form, older)
    }
}

/// What a reject is called once it has come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    /// With other bytes than it came with.
    Fixed,
    /// As it came.
    Replayed,
}

/// Who sends rejects back, and why.
#[derive(Debug, Clone)]
pub struct Sender {
    pub principal: Principal,
    pub reason: Option<Arc<str>>,
}

impl Gate {
    /// What would become of each: `None` passes. Writes nothing.
    pub async fn rehearse(
        &self,
        stream: &str,
        retries: Vec<Retry>,
    ) -> Result<Vec<Option<EventError>>, Refusal> {
        let stream = self.with_schema(stream)?;
        let inner = self.inner.clone();
        let (answer, _) = oneshot::channel();
        blocking(move || {
            let (_, errors) = inner.judge_again(&retries, stream, &Principal::local(), answer)?;
            Ok(errors)
        })
        .await
    }

    /// Judges each again; what passes is a durable row when this returns, and the rest is as open as before, with its new
    /// reason. `None`: it has come back. Dropping the future does not take it back.
    pub async fn replay(
        &self,
        stream: &str,
        retries: Vec<Retry>,
        returned: Returned,
        sender: Sender,
    ) -> Result<Vec<Option<EventError>>, Refusal> {
        let stream = self.with_schema(stream)?;
        self.check_behind(stream.id)?;
        let bytes = retries.iter().map(|retry| retry.bytes.len()).sum();
        let permit = self.room(bytes).await?;
        let (answer, answered) = oneshot::channel();
        let inner = self.inner.clone();
        let (mut queued, errors) = blocking(move || {
            let resolutions = inner.resolutions_stream()?;
            let name = stream.name.clone();
            let (mut queued, errors) = inner.judge_again(&retries, stream, &sender.principal, answer)?;
            let lines = retries.iter().zip(&errors).map(|(retry, error)| {
                let status = match (error, returned) {
                    (Some(_), _) => "open",
                    (None, Returned::Fixed) => "fixed",
                    (None, Returned::Replayed) => "replayed",
                };
                line(&name, (retry.partition, retry.offset), status, retry.attempt, error.as_ref(), &sender)
            });
            let resolutions = inner.resolutions(resolutions, &sender, lines)?;
            match queued.judged.received {
                0 => queued.judged = resolutions,
                _ => queued.resolutions = Some(resolutions),
            }
            Ok((queued, errors))
        })
        .await?;
        queued.permit = Some(permit);
        self.enqueue(queued).await?;
        answered.await.map_err(|_| Refusal::Closed)??;
        Ok(errors)
    }

    /// These rejects will not be tried again. Durable when this returns.
    pub async fn discard(
        &self,
        stream: &StreamName,
        places: Vec<(i32, i64)>,
        sender: Sender,
    ) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        let (inner, stream) = (self.inner.clone(), stream.clone());
        let queued = blocking(move || {
            let resolutions = inner.resolutions_stream()?;
            let lines = places.iter().map(|&place| line(&stream, place, "discarded", 0, None, &sender));
            let judged = inner.resolutions(resolutions, &sender, lines)?;
            Ok(Queued { judged, resolutions: None, ack: Ack::Disk, answer, permit: None })
        })
        .await?;
        self.enqueue(queued).await?;
        answered.await.map_err(|_| Refusal::Closed)??;
        Ok(())
    }

    /// The JSON of an event that is written in the notation of its stream's schema. `None`: it cannot be read.
    pub(crate) fn json_of(&self, stream: &str, written: Written, bytes: &[u8]) -> Option<Vec<u8>> {
        let stream = self.registry().by_name(stream)?;
        let settings = self.settings();
        let limits = DecodeLimits { depth: settings.depth, event_bytes: settings.event_bytes };
        written.reader(&stream)?.json(bytes, limits)
    }

    fn with_schema(&self, name: &str) -> Result<Arc<Stream>, Refusal> {
        let stream = self.registry().by_name(name).filter(|stream| stream.current().is_some());
        stream.ok_or_else(|| Refusal::BadName(name.to_owned(), "no schema is declared under this name"))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "rejects could not be judged again");
        Refusal::Internal
    })?
}

impl Inner {
    /// The request of those that pass, and of each why it does not.
    fn judge_again(
        &self,
        retries: &[Retry],
        stream: Arc<Stream>,
        principal: &Principal,
        answer: oneshot::Sender<Answer>,
    ) -> Result<(Queued, Vec<Option<EventError>>), Refusal> {
        let mut body = Vec::with_capacity(retries.iter().map(|retry| retry.bytes.len()).sum());
        let mut events = Vec::with_capacity(retries.len());
        for retry in retries {
            let start = body.len();
            body.extend_from_slice(&retry.bytes);
            events.push(Framed::new(start, body.len()));
        }
        let retried = retries.iter().map(|it| Retried {
            fields: it.fields.clone(),
            reader: it.written.and_then(|written| written.reader(&stream)),
            received_at: it.received_at,
        });
        let submission = Submission {
            stream: stream.name.to_string(),
            door: DOOR.into(),
            principal: principal.clone(),
            request_id: None,
            body: body.into(),
            framing: Framing::Retried(retried.collect()),
            events,
            identity: Identity::None,
            ack: Ack::Disk,
            may_refuse: false,
            permit: None,
        };
        let name = stream.name.clone();
        let mut queued = self.judge(submission, stream, answer)?;
        let judged = &mut queued.judged;
        let mut errors: Vec<Option<EventError>> = retries.iter().map(|_| None).collect();
        for reject in std::mem::take(&mut judged.rejects) {
            let index = reject.error.index as usize;
            errors[index] = Some(reject.error);
        }
        let rows = judged.rows.iter().flat_map(|applied| &applied.rows);
        let origins: Vec<String> = rows
            .map(|row| {
                let Retry { partition, offset, .. } = &retries[row.index as usize];
                format!("rejects/{name}/{partition}/{offset}")
            })
            .collect();
        let origins = StringArray::from(origins);
        judged.received = errors.iter().filter(|error| error.is_none()).count() as u32;
        judged.standing = Standing::Replayed { origins };
        Ok((queued, errors))
    }

    /// The stream of resolutions, which exists from its first use on.
    fn resolutions_stream(&self) -> Result<Arc<Stream>, Refusal> {
        let internal = |error: String| {
            tracing::error!(%error, "the stream of resolutions cannot be declared");
            Refusal::Internal
        };
        let schema = Schema::parse(SCHEMA).map_err(|faults| internal(format!("{faults:?}")))?;
        let name: StreamName = RESOLUTIONS.parse().map_err(|error| internal(format!("{error}")))?;
        let declared = self.parts.catalog.declare(&name, Arc::new(schema.schema));
        declared.map_err(|error| Refusal::Disk(error.to_string()))
    }

    fn resolutions(
        &self,
        stream: Arc<Stream>,
        sender: &Sender,
        lines: impl Iterator<Item = Value>,
    ) -> Result<Judged, Refusal> {
        let lines: Vec<Vec<u8>> = lines.map(|line| line.to_string().into_bytes()).collect();
        let Some((number, schema)) = stream.current().map(|(number, schema)| (number, schema.clone())) else {
            return Err(Refusal::Internal);
        };
        let records: Vec<Record<'_>> = lines
            .iter()
            .map(|line| Record { bytes: line, format: Format::Json, fault: None, event_time: None })
            .collect();
        // Lines of ours: the limits of users' events are not theirs.
        let limits = DecodeLimits { depth: 4, event_bytes: usize::MAX };
        let applied = Decoder::new(schema.clone(), self.parts.hash_key.clone(), limits).apply(&records);
        if let Some(reject) = applied.rejects.first() {
            tracing::error!(code = %reject.code, path = %reject.path, "a resolution is not of its schema");
            return Err(Refusal::Internal);
        }
        Ok(Judged {
            stream,
            schema: Some((number, schema)),
            door: DOOR.into(),
            principal: sender.principal.clone(),
            request_id: None,
            received: u32::try_from(lines.len()).unwrap_or(u32::MAX),
            bytes: lines.iter().map(|line| line.len() as u64).sum(),
            attribute_bytes: 0,
            rows: Some(applied),
            context: None,
            rejects: Vec::new(),
            identity: JudgedIdentity::None,
            refuses: false,
            standing: Standing::Resolutions,
        })
    }
}

fn line(
    stream: &StreamName,
    (partition, offset): (i32, i64),
    status: &str,
    attempt: u32,
    error: Option<&EventError>,
    sender: &Sender,
) -> Value {
    let short = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
    json!({
        "stream": stream.as_str(),
        "partition": partition,
        "offset": offset,
        "status": status,
        "attempt": attempt,
        "code": error.map(|error| error.code.as_str()),
        "path": error.map(|error| short(&error.path)),
        "message": error.map(|error| short(&error.message)),
        "principal": sender.principal.name(),
        "reason": sender.reason.as_deref().map(short),
    })
}
