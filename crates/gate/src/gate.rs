//! The gate's handle: doors submit here. Each request is judged on its own, beside the others; then it queues
//! for the sequencer, which alone decides the order.
//! Always: room in memory is taken before work is; what waits is bounded by `GateSettings::inflight_bytes`.

pub(crate) mod replay;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arrow::array::RecordBatch;
use hw_event::{
    Clock, Entropy, RESOLUTIONS, RejectCode, SYSTEM_NAMES, SchemaNumber, StreamId, StreamName,
    sabotage::{Bug, armed},
};
use hw_journal::{Journal, Recovered};
use hw_schema::{DecodeLimits, Decoder, Format, Mode, Record, Registry, Rejected, Schema, Stream};
use hw_vault::{HashKey, SealKeys, Vault};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    Attributes, Catalog, EventError, Framing, Identity, Receipt, Refusal, Retried, Submission,
    assembly::Assembler,
    attributes::Keep,
    judged::{Judged, JudgedIdentity, SealedReject, Standing},
    sequencer::{Queued, Sequencer},
    window::{self, Window},
};

/// Requests that wait for the sequencer; each has its permit already.
const QUEUE_MAX: usize = 8192;
/// A body up to this size is judged where it arrived; a larger one on a thread of its own, so that others are served.
const JUDGE_INLINE_BYTES_MAX: usize = 128 * 1024;
/// Events of one request, and their cells (events times columns): an event can be two bytes long and take a row of
/// the widest schema.
const EVENTS_PER_REQUEST_MAX: usize = 1_000_000;
const CELLS_PER_REQUEST_MAX: usize = 32 * 1024 * 1024;
/// What an event's verdict takes in memory until it is in the journal, about.
const VERDICT_BYTES: usize = 128;
/// Decoders kept warm for each schema.
const DECODERS_KEPT_MAX: usize = 4;
/// Schemas with warm decoders.
const DECODED_SCHEMAS_MAX: usize = 1024;
/// Room is counted in pages of this size, so that a permit's number fits.
const ROOM_PAGE_BYTES: usize = 4096;
const ROOM_WAIT: Duration = Duration::from_secs(2);

/// Settings are values; `limits` are those of `[limits]`.
#[derive(Debug, Clone)]
pub struct GateSettings {
    pub event_bytes: usize,
    pub depth: usize,
    /// Bytes of bodies that may be held at once.
    pub inflight_bytes: usize,
}

/// What the gate is built of.
pub struct GateParts {
    pub journal: Journal,
    pub catalog: Arc<Catalog>,
    pub hash_key: HashKey,
    pub seal_keys: Arc<SealKeys>,
    /// Without one, streams with tokens are refused.
    pub vault: Option<Vault>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// On whose blocking threads large requests are judged: few, since each keeps memory of its own.
    pub heavy: Handle,
    pub settings: GateSettings,
}

#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    parts: GateParts,
    registry: Arc<Registry>,
    room: Arc<Semaphore>,
    closed: AtomicBool,
    // A std mutex: held to send a clone of the sender out, never across an await. `None` once closed.
    queue: Mutex<Option<mpsc::Sender<Queued>>>,
    /// Streams that get no more room in the journal for now, and why. Whole sets are swapped in, and only looked
    /// at while there is one.
    behind: RwLock<HashMap<StreamId, Arc<str>>>,
    any_behind: AtomicBool,
    // A std mutex: held to take or to put back one decoder.
    decoders: Mutex<HashMap<(StreamId, SchemaNumber), Vec<Decoder>>>,
}

/// The sequencer's task; it ends after `Gate::close`, when all that was queued has its answer.
pub struct Running(JoinHandle<()>);

impl Running {
    pub async fn finished(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the sequencer did not end cleanly");
        }
    }
}

impl Gate {
    /// Starts the sequencer where the journal left off.
    pub fn start(parts: GateParts, recovered: Recovered) -> (Gate, Running) {
        let keys = if armed(Bug::DedupeLostAtRestart) { Vec::new() } else { recovered.keys };
        let (window, malformed) = Window::restore(keys);
        if malformed > 0 {
            tracing::warn!(malformed, "idempotency keys in the journal could not be read");
        }
        let assembler = Assembler::new(recovered.next_offsets, window, &recovered.positions);
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let sequencer =
            Sequencer { journal: parts.journal.clone(), assembler, clock: parts.clock.clone(), queue };
        let running = Running(tokio::spawn(sequencer.run()));
        let room = Arc::new(Semaphore::new(parts.settings.inflight_bytes.div_ceil(ROOM_PAGE_BYTES)));
        let registry = parts.catalog.registry().clone();
        let inner = Inner {
            parts,
            registry,
            room,
            closed: AtomicBool::new(false),
            queue: Mutex::new(Some(sender)),
            behind: RwLock::default(),
            any_behind: AtomicBool::new(false),
            decoders: Mutex::default(),
        };
        (Gate { inner: Arc::new(inner) }, running)
    }

    pub fn settings(&self) -> &GateSettings {
        &self.inner.parts.settings
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.inner.registry
    }

    pub(crate) fn hash_key(&self) -> &HashKey {
        &self.inner.parts.hash_key
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.parts.clock
    }

    pub fn entropy(&self) -> &dyn Entropy {
        &*self.inner.parts.entropy
    }

    /// The streams whose requests are refused until the next call leaves them out, each with the reason.
    pub fn set_behind(&self, behind: HashMap<StreamId, Arc<str>>) {
        let any = !behind.is_empty();
        *self.inner.behind.write().unwrap_or_else(PoisonError::into_inner) = behind;
        self.inner.any_behind.store(any, Ordering::Release);
    }

    fn check_behind(&self, stream: StreamId) -> Result<(), Refusal> {
        if !self.inner.any_behind.load(Ordering::Acquire) {
            return Ok(());
        }
        let behind = self.inner.behind.read().unwrap_or_else(PoisonError::into_inner);
        behind.get(&stream).map_or(Ok(()), |reason| Err(Refusal::Behind(reason.clone())))
    }

    /// How many events a request for this stream may hold.
    pub fn events_max(&self, stream: &str) -> usize {
        self.inner.registry.by_name(stream).map_or(EVENTS_PER_REQUEST_MAX, |stream| events_max(&stream))
    }

    /// Takes room for `bytes` of a body before it is read; waits a little, then refuses.
    pub async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let room = self.inner.room.clone();
        match tokio::time::timeout(ROOM_WAIT, room.acquire_many_owned(self.pages(bytes))).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Refusal::Closed),
            Err(_) => Err(Refusal::Busy),
        }
    }

    /// Takes more room for a body that turned out to be larger. Never waits: two half-read bodies that wait for
    /// one another's room would wait for ever.
    pub fn more_room(&self, held: &mut OwnedSemaphorePermit, bytes: usize) -> Result<(), Refusal> {
        match self.inner.room.clone().try_acquire_many_owned(self.pages(bytes)) {
            Ok(more) => {
                held.merge(more);
                Ok(())
            }
            Err(_) => Err(Refusal::Busy),
        }
    }

    fn pages(&self, bytes: usize) -> u32 {
        let all = self.settings().inflight_bytes.div_ceil(ROOM_PAGE_BYTES);
        u32::try_from(bytes.div_ceil(ROOM_PAGE_BYTES).clamp(1, all)).unwrap_or(u32::MAX)
    }

    /// Judges, queues and waits until the append has come as far as asked. Dropping the future does not take
    /// the request back.
    pub async fn submit(&self, mut submission: Submission) -> Result<Receipt, Refusal> {
        if self.inner.closed.load(Ordering::Acquire) {
            return Err(Refusal::Closed);
        }
        if submission.events.is_empty() {
            return Err(Refusal::Empty);
        }
        let stream = self.resolve(&submission.stream)?;
        self.check_behind(stream.id)?;
        let events_max = events_max(&stream);
        if submission.events.len() > events_max {
            return Err(Refusal::TooManyEvents { events_max });
        }
        // Verdicts take room too, and many small events more of it than their bytes do.
        if let Some(permit) = &mut submission.permit {
            self.more_room(permit, submission.events.len() * VERDICT_BYTES)?;
        }
        let tokenizes = stream.current().is_some_and(|(_, schema)| !schema.token_domains().is_empty());
        if tokenizes && self.inner.parts.vault.is_none() {
            return Err(Refusal::Disk("there is no vault to keep tokens in".to_owned()));
        }
        let undeclared = !stream.declared;
        let (answer, answered) = oneshot::channel();
        let queued = if submission.body.len() <= JUDGE_INLINE_BYTES_MAX {
            self.inner.judge(submission, stream, answer)?
        } else {
            let inner = self.inner.clone();
            self.heavy(move || inner.judge(submission, stream, answer)).await.map_err(|error| {
                tracing::error!(%error, "a request could not be judged");
                Refusal::Internal
            })??
        };
        self.enqueue(queued).await?;
        let (verdict, seq) = answered.await.map_err(|_| Refusal::Closed)??;
        Ok(Receipt {
            accepted: verdict.accepted,
            rejected: verdict.rejected,
            duplicates: verdict.duplicates,
            offsets: verdict.offsets,
            errors: verdict.errors,
            errors_left_out: verdict.errors_left_out,
            seq,
            undeclared,
        })
    }

    async fn enqueue(&self, mut queued: Queued) -> Result<(), Refusal> {
        self.keep_tokens(&mut queued.judged).await?;
        let queue = self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.ok_or(Refusal::Closed)?;
        queue.send(queued).await.map_err(|_| Refusal::Closed)
    }

    /// What the request's tokens stand for is durable before its rows can be.
    async fn keep_tokens(&self, judged: &mut Judged) -> Result<(), Refusal> {
        let entries = judged.take_entries();
        if entries.is_empty() {
            return Ok(());
        }
        // Without a vault no request has come this far.
        let Some(vault) = &self.inner.parts.vault else { return Err(Refusal::Internal) };
        vault.keep(entries).await.map_err(|error| {
            tracing::error!(%error, "the vault cannot keep tokens");
            Refusal::Disk(error.to_string())
        })
    }

    /// Work that fills a processor and megabytes of memory.
    pub(crate) fn heavy<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.inner.parts.heavy.spawn_blocking(work)
    }

    /// Takes no more requests; what was submitted is still answered.
    pub fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        drop(self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn resolve(&self, name: &str) -> Result<Arc<Stream>, Refusal> {
        if name == RESOLUTIONS {
            return Err(Refusal::BadName(name.to_owned(), "only the platform writes to this stream"));
        }
        if let Some(stream) = self.inner.registry.by_name(name) {
            return Ok(stream);
        }
        if SYSTEM_NAMES.contains(&name) {
            return Err(Refusal::BadName(name.to_owned(), "the name belongs to a table of the platform"));
        }
        let name: StreamName = name
            .parse()
            .map_err(|error: hw_event::InvalidStreamName| Refusal::BadName(error.name, error.reason))?;
        match self.inner.parts.catalog.note_undeclared(&name) {
            Ok(Some(stream)) => Ok(stream),
            Ok(None) => Err(Refusal::UndeclaredFull),
            Err(error) => Err(Refusal::Disk(error.to_string())),
        }
    }
}

impl Inner {
    /// Applies the schema to each event and seals the bytes of what it refuses. Blocks where a day's first
    /// sealing key is made.
    fn judge(
        &self,
        submission: Submission,
        stream: Arc<Stream>,
        answer: oneshot::Sender<crate::sequencer::Answer>,
    ) -> Result<Queued, Refusal> {
        let Submission {
            door,
            principal,
            request_id,
            body,
            framing,
            events,
            identity,
            ack,
            may_refuse,
            permit,
            ..
        } = submission;
        let schema = stream.current().map(|(number, schema)| (number, schema.clone()));
        let mut refuses = false;
        let mut rows = None;
        let mut context = None;
        let attributes = match &framing {
            Framing::CloudEvents(attributes)
            | Framing::Payload(_, Some(attributes))
            | Framing::Unread(_, Some(attributes)) => Some(&**attributes),
            Framing::Json
            | Framing::Kv(_)
            | Framing::Payload(_, None)
            | Framing::Unread(_, None)
            | Framing::Retried(_) => None,
        };
        let retried = match &framing {
            Framing::Retried(retried) => Some(&**retried),
            Framing::Json
            | Framing::Kv(_)
            | Framing::CloudEvents(_)
            | Framing::Payload(..)
            | Framing::Unread(..) => None,
        };
        let rejected = match &schema {
            Some((number, schema)) => {
                refuses = may_refuse && schema.mode() == Mode::Reject;
                // It was declared since the door looked.
                let declared = match &framing {
                    Framing::Unread(form, _) => schema.payload_reader(*form),
                    _ => None,
                };
                let format = |index: usize| match &framing {
                    Framing::Json | Framing::CloudEvents(_) => Format::Json,
                    Framing::Kv(fields) => Format::Kv(fields),
                    Framing::Payload(reader, _) => Format::Payload(reader),
                    Framing::Unread(..) => declared.as_ref().map_or(Format::Json, Format::Payload),
                    Framing::Retried(retried) => match &retried[index] {
                        Retried { reader: Some(reader), .. } => Format::Payload(reader),
                        Retried { fields, .. } => fields.as_deref().map_or(Format::Json, Format::Kv),
                    },
                };
                let first_time = |index: usize| match retried {
                    Some(retried) => Some(retried[index].received_at),
                    None => attributes.and_then(|attributes| attributes.time(index)),
                };
                let records: Vec<Record<'_>> = events
                    .iter()
                    .enumerate()
                    .map(|(index, event)| Record {
                        bytes: &body[event.start..event.end],
                        format: format(index),
                        fault: event.fault,
                        event_time: first_time(index),
                    })
                    .collect();
                let mut decoder = self.decoder(stream.id, *number, schema);
                let mut applied = decoder.apply(&records);
                self.keep_decoder(stream.id, *number, decoder);
                let rejected = std::mem::take(&mut applied.rejects);
                let mut left_out = applied.extra_dropped;
                if let Some(attributes) = attributes {
                    let indexes = applied.rows.iter().map(|row| row.index as usize);
                    let (columns, more) = context_of(attributes, indexes, schema)?;
                    context = Some(columns);
                    left_out += more;
                }
                if left_out > 0 {
                    metrics::counter!("headwater_extra_properties_dropped_total").increment(left_out);
                }
                rows = Some(applied);
                rejected
            }
            None => (0..events.len()).map(|index| no_schema(index)).collect(),
        };
        let now = self.parts.clock.now();
        let form = match &framing {
            Framing::Payload(reader, _) => Some(reader.form_of_events()),
            Framing::Unread(form, _) => Some(*form),
            Framing::Json | Framing::Kv(_) | Framing::CloudEvents(_) | Framing::Retried(_) => None,
        };
        let mut rejects = Vec::with_capacity(rejected.len());
        let mut sealer = None;
        let count = rejected.len();
        for reject in rejected {
            let Rejected { index, code, path, mut message, mut byte_offset } = reject;
            if let Some(fault) = attributes.and_then(|attributes| attributes.fault(index as usize))
                && code != RejectCode::NoSchema
            {
                message.clone_from(&fault.message);
                byte_offset = fault.byte_offset;
            }
            let event = &events[index as usize];
            let payload = match retried {
                // It has been a reject all along, with its bytes.
                Some(_) => Vec::new(),
                None => {
                    let sealer = match &mut sealer {
                        Some(sealer) => sealer,
                        none => {
                            let made = self.parts.seal_keys.sealer(stream.id, now, count);
                            none.insert(made.map_err(|error| Refusal::Disk(error.to_string()))?)
                        }
                    };
                    sealer.seal(&body[event.start..event.end])
                }
            };
            let error = EventError { index, code, path, message };
            rejects.push(SealedReject { error, byte_offset, payload, form });
        }
        let identity = match identity {
            Identity::None => JudgedIdentity::None,
            Identity::Key(key) => JudgedIdentity::Key {
                key: window::key_digest(&principal, &key),
                body: window::body_digest(&self.parts.hash_key, &body, attributes),
            },
            Identity::Producer(sequence) => JudgedIdentity::Producer(sequence),
            Identity::Positions(positions) => JudgedIdentity::Positions(positions),
        };
        let bytes = events.iter().map(|event| (event.end - event.start) as u64).sum();
        let judged = Judged {
            received: u32::try_from(events.len()).unwrap_or(u32::MAX),
            stream,
            schema,
            door,
            principal,
            request_id,
            bytes,
            attribute_bytes: attributes.map_or(0, |attributes| attributes.bytes() as u64),
            rows,
            context,
            rejects,
            identity,
            refuses,
            standing: Standing::Received,
        };
        Ok(Queued { judged, resolutions: None, ack, answer, permit })
    }

    fn decoder(&self, stream: StreamId, number: SchemaNumber, schema: &Arc<Schema>) -> Decoder {
        let mut decoders = self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(decoder) = decoders.get_mut(&(stream, number)).and_then(Vec::pop) {
            return decoder;
        }
        drop(decoders);
        let limits =
            DecodeLimits { depth: self.parts.settings.depth, event_bytes: self.parts.settings.event_bytes };
        let decoder = Decoder::new(schema.clone(), self.parts.hash_key.clone(), limits);
        match &self.parts.vault {
            Some(vault) if !schema.token_domains().is_empty() => decoder.with_tokens(&vault.token_keys()),
            _ => decoder,
        }
    }

    fn keep_decoder(&self, stream: StreamId, number: SchemaNumber, decoder: Decoder) {
        let mut decoders = self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        if decoders.len() >= DECODED_SCHEMAS_MAX {
            decoders.clear();
        }
        let kept = decoders.entry((stream, number)).or_default();
        if kept.len() < DECODERS_KEPT_MAX {
            kept.push(decoder);
        }
    }
}

fn events_max(stream: &Stream) -> usize {
    let columns = stream.current().map_or(1, |(_, schema)| schema.table_columns().fields().len());
    EVENTS_PER_REQUEST_MAX.min(CELLS_PER_REQUEST_MAX / columns)
}

fn context_of(
    attributes: &Attributes,
    indexes: impl Iterator<Item = usize>,
    schema: &Schema,
) -> Result<(RecordBatch, u64), Refusal> {
    attributes.columns(indexes, Keep::of(schema)).map_err(|error| {
        tracing::error!(%error, "attributes could not be made into columns");
        Refusal::Internal
    })
}

fn no_schema(index: usize) -> Rejected {
    Rejected {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        code: RejectCode::NoSchema,
        path: String::new(),
        message: "the stream has no schema: write schemas/STREAM.json, or correct the name".into(),
        byte_offset: 0,
    }
}
